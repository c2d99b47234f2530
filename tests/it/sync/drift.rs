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
