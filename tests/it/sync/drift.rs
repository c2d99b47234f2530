//! Schemas that move: a mapping gains a field, a person renames, retypes or deletes a property.

use serde_json::json;

use super::world::{World, text, writes};
use super::{BOTH, GROUPS_MAPPING, THINGS, THINGS_MAPPING};

async fn without_amount() -> World {
    let mapping = THINGS_MAPPING.replace("  Amount: { type: number, column: amount }\n", "");
    let world = World::with(THINGS, &[("things", &mapping), ("groups", GROUPS_MAPPING)]).await;
    world.ok(&["setup"]);
    world
}

#[tokio::test]
async fn a_field_added_to_the_mapping_appears_with_its_values_on_the_next_sync_or_setup() {
    for command in ["sync", "setup"] {
        let world = without_amount().await;
        let before = world.rows("things").await;
        let page = world.page("Things", "t1");
        assert_eq!(world.value(page, "Amount"), json!(null));
        world.rewrite("things", THINGS_MAPPING);
        let report = world.ok(&[command]);
        assert_eq!(world.text(page, "Amount"), "1", "{command}: {:#}", report.json);
        assert_eq!(world.text(world.page("Things", "t2"), "Amount"), "2");
        assert_eq!(world.rows("things").await, before, "no column was emptied");
        world.edit(page, "Amount", json!({ "number": 31 }));
        world.ok(&["sync"]);
        assert_eq!(
            world
                .scalar("select amount::text from things where id = 't1'")
                .await
                .as_deref(),
            Some("31")
        );
        let (_, exchanges) = world.watched(&["sync"]);
        assert_eq!(writes(&exchanges).len(), 0);
    }
}

#[tokio::test]
async fn a_renamed_property_is_followed() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    let source = world.source("Things");
    let renamed = world
        .simulator
        .workspace(|workspace| workspace.rename_property(source, "Note", "Remarks"));
    assert!(renamed.is_ok());
    let page = world.page("Things", "t1");
    world.edit(page, "Remarks", text("under a new name"));
    world
        .sql("update things set note = 'from the row' where id = 't2'")
        .await;
    world.ok(&["sync"]);
    assert_eq!(
        world
            .scalar("select note from things where id = 't1'")
            .await
            .as_deref(),
        Some("under a new name")
    );
    assert_eq!(world.text(world.page("Things", "t2"), "Remarks"), "from the row");
    let (_, exchanges) = world.watched(&["setup"]);
    assert_eq!(writes(&exchanges).len(), 0, "and is not added a second time");
}

#[tokio::test]
async fn a_deleted_or_retyped_property_freezes_its_field_and_empties_nothing() {
    for config in [None, Some(json!({ "rich_text": {} }))] {
        let world = World::with(THINGS, BOTH).await;
        world.ok(&["setup"]);
        let source = world.source("Things");
        let before = world.rows("things").await;
        world
            .simulator
            .workspace(|workspace| match &config {
                None => workspace.delete_property(source, "Amount"),
                Some(config) => workspace.set_property(source, "Amount", config),
            })
            .unwrap_or_else(|refusal| panic!("{}", refusal.message));
        world.edit(world.page("Things", "t2"), "Note", text("the others flow"));
        for _ in 0..2 {
            world.run(&["sync"]);
            world.run(&["pull"]);
        }
        let expected: Vec<String> = before
            .iter()
            .map(|row| {
                row.replace(
                    "(t2,\"Two 🚀\",cal,blue,2,f,,",
                    "(t2,\"Two 🚀\",cal,blue,2,f,\"the others flow\",",
                )
            })
            .collect();
        assert_eq!(world.rows("things").await, expected, "{config:?}");
    }
}

#[tokio::test]
async fn a_column_that_was_dropped_empties_no_page() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    world.sql("alter table things drop column amount").await;
    world.simulator.clear_exchanges();
    let report = world.run(&["sync"]);
    assert_ne!(report.code, 0);
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    assert_eq!(world.text(world.page("Things", "t1"), "Amount"), "1");
}

#[tokio::test]
async fn a_changed_filter_writes_nothing_before_it_is_approved() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    let narrowed = THINGS_MAPPING
        .replace(
            "scope: { org: \"{{ vars.org }}\" }",
            "scope: { org: \"{{ vars.org }}\", kind: red }",
        )
        .replace(
            "  Kind: { type: select, column: kind, options: [red, green, blue] }\n",
            "  Kind: { type: select, column: kind, options: [red, green, blue], direction: to_notion }\n",
        );
    world.rewrite("things", &narrowed);
    world.simulator.clear_exchanges();
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1, "{:#}", report.json);
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    let hash = report.entity("things")["refusals"][0]["approve"]
        .as_str()
        .expect("a hash")
        .to_owned();
    world.ok(&["approve", &hash]);
    world.ok(&["sync"]);
    assert_eq!(world.pages("Things").len(), 1);
    world.ok(&["sync"]);
}

#[tokio::test]
async fn an_option_that_a_person_renames_is_one_event_and_no_edit_of_its_pages() {
    let world = World::with(THINGS, BOTH).await;
    world.sql("update things set kind = 'red' where id = 't2'").await;
    world.ok(&["setup"]);
    world.ok(&["sync"]);
    let rename = |from: &str, to: &str| {
        let source = world.source("Things");
        world
            .simulator
            .workspace(|workspace| workspace.rename_option(source, "Kind", from, to))
            .unwrap_or_else(|refusal| panic!("{}", refusal.message));
    };
    rename("red", "crimson");
    let rows = world.rows("things").await;
    for command in ["sync", "pull", "push"] {
        world.simulator.clear_exchanges();
        let report = world.run(&[command, "--full"]);
        assert_eq!(
            report.codes("things"),
            ["property_drift"],
            "{command}: {:#}",
            report.json
        );
        assert_eq!(writes(&world.simulator.exchanges()).len(), 0, "{command}");
        assert_eq!(world.rows("things").await, rows, "{command}");
    }
    // Everything else flows, and the option itself too, under the name that both sides know.
    let (one, three) = (world.page("Things", "t1"), world.page("Things", "t3"));
    world.edit(one, "Kind", super::world::select("blue"));
    world.sql("update things set kind = 'red' where id = 't3'").await;
    world.run(&["sync"]);
    let kinds = "select string_agg(coalesce(kind, '-'), ',' order by id) from things where org = 'cal'";
    assert_eq!(world.scalar(kinds).await.as_deref(), Some("blue,red,red"));
    assert_eq!(world.text(three, "Kind"), "crimson");
    assert_eq!(
        world.text(three, "sync_status"),
        "synced",
        "no page is in error for it"
    );
    // Named as before, nothing is left of it.
    rename("crimson", "red");
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    // Written in the mapping, the new name is the rows' too.
    rename("red", "crimson");
    world.rewrite(
        "things",
        &THINGS_MAPPING.replace("[red, green, blue]", "[crimson, green, blue]"),
    );
    world.ok(&["sync"]);
    assert_eq!(world.scalar(kinds).await.as_deref(), Some("blue,crimson,crimson"));
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn an_option_that_a_person_removes_empties_no_column() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    let source = world.source("Things");
    world
        .simulator
        .workspace(|workspace| workspace.remove_option(source, "Kind", "red"))
        .unwrap_or_else(|refusal| panic!("{}", refusal.message));
    let rows = world.rows("things").await;
    for command in ["sync", "pull", "push", "sync"] {
        world.simulator.clear_exchanges();
        let report = world.run(&[command, "--full"]);
        assert_eq!(
            report.codes("things"),
            ["property_drift"],
            "{command}: {:#}",
            report.json
        );
        assert_eq!(writes(&world.simulator.exchanges()).len(), 0, "{command}");
        assert_eq!(world.rows("things").await, rows, "{command}");
    }
    // A person lets the rows follow.
    world.rewrite(
        "things",
        &THINGS_MAPPING.replace("[red, green, blue]", "[green, blue]"),
    );
    world.ok(&["setup"]);
    world.ok(&["sync"]);
    assert_eq!(
        world
            .scalar("select coalesce(kind, 'none') from things where id = 't1'")
            .await
            .as_deref(),
        Some("none")
    );
}
