//! The first look at a database that a person had before: who wins, and which pages are taken for which rows.

use serde_json::json;
use uuid::Uuid;

use super::world::{World, text, title, writes};
use super::{GROUPS_MAPPING, THINGS, THINGS_MAPPING};

/// A database of a person's with one page for row `t1`, whose name differs, and one for nobody.
async fn adopted(initial: &str) -> (World, Uuid, Uuid) {
    let mapping = THINGS_MAPPING.replace(
        "{ title: Things }",
        &format!("{{ title: Things, initial: {initial} }}"),
    );
    let world = World::with(THINGS, &[("things", &mapping), ("groups", GROUPS_MAPPING)]).await;
    let pages = world.simulator.workspace(|workspace| {
        let source = workspace.add_database(
            "Things",
            &json!({
                "Name": { "title": {} }, "Amount": { "number": {} }, "Note": { "rich_text": {} },
                "postgres_id": { "rich_text": {} },
            }),
        )?;
        let known = workspace.add_row(
            source,
            &json!({ "Name": title("One in Notion"), "Amount": { "number": 1 }, "postgres_id": text("t1") }),
        )?;
        let own = workspace.add_row(source, &json!({ "Name": title("Mine") }))?;
        Ok::<_, frames_sync::simulator::workspace::Refusal>((known, own))
    });
    let (known, own) = pages.unwrap_or_else(|refusal| panic!("{}", refusal.message));
    (world, known, own)
}

/// Whoever made it, the service before this one too, which had the same three properties.
#[tokio::test]
async fn a_database_that_another_made_is_not_taken_before_the_mapping_says_who_wins() {
    let world = World::with(THINGS, &[("things", THINGS_MAPPING), ("groups", GROUPS_MAPPING)]).await;
    let made = world.simulator.workspace(|workspace| {
        let own = json!({
            "Name": { "title": {} }, "postgres_id": { "rich_text": {} }, "last_synced": { "date": {} },
            "sync_status": { "select": {} },
        });
        let source = workspace.add_database("Things", &own)?;
        workspace.add_row(
            source,
            &json!({ "Name": title("One"), "postgres_id": text("t1") }),
        )
    });
    made.unwrap_or_else(|refusal| panic!("{}", refusal.message));
    world.simulator.clear_exchanges();
    let refused = world.run(&["setup"]);
    assert_eq!(refused.code, 1, "{:#}", refused.json);
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    assert_eq!(world.pages("Things").len(), 1);
}

#[tokio::test]
async fn a_lost_state_makes_no_second_pages() {
    let world = World::with(THINGS, &[("things", THINGS_MAPPING), ("groups", GROUPS_MAPPING)]).await;
    world.ok(&["setup"]);
    let page = world.page("Things", "t1");
    world.sql("drop schema frames_sync cascade").await;
    world
        .sql("update things set note = 'written meanwhile' where id = 't1'")
        .await;
    let refused = world.run(&["setup"]);
    assert_eq!(refused.code, 1, "{:#}", refused.json);
    assert_eq!((world.pages("Things").len(), world.pages("Groups").len()), (3, 2));
    for (entity, mapping) in [("things", THINGS_MAPPING), ("groups", GROUPS_MAPPING)] {
        world.rewrite(
            entity,
            &mapping.replace("notion: { ", "notion: { initial: postgres, "),
        );
    }
    let report = world.ok(&["setup"]);
    assert_eq!(report.total("pages_created"), 0, "{:#}", report.json);
    assert_eq!(world.page("Things", "t1"), page);
    assert_eq!(world.text(page, "Note"), "written meanwhile");
    let (report, exchanges) = world.watched(&["sync"]);
    assert_eq!((report.total("unchanged"), writes(&exchanges).len()), (5, 0));
}

async fn name(world: &World) -> Option<String> {
    world.scalar("select name from things where id = 't1'").await
}

/// What no answer to `initial` may do: lose a page or a row, empty a value, or touch what is not mapped.
async fn assert_nothing_is_lost(world: &World, known: Uuid, own: Uuid) {
    assert_eq!(world.page("Things", "t1"), known, "no second page is made");
    assert_eq!(world.text(own, "Name"), "Mine");
    assert_eq!(world.text(own, "postgres_id"), "");
    assert_eq!(world.pages("Things").len(), 4);
    assert_eq!(world.trashed("Things").len(), 0);
    assert_eq!(world.rows("things").await.len(), 4);
    assert_eq!(world.text(known, "Note"), "a note", "an empty property is filled");
    assert_eq!(
        world
            .scalar("select note from things where id = 't1'")
            .await
            .as_deref(),
        Some("a note"),
        "and never wins"
    );
}

#[tokio::test]
async fn initial_postgres_writes_the_row_over_the_adopted_page_and_keeps_what_stood_there() {
    let (world, known, own) = adopted("postgres").await;
    world.ok(&["setup"]);
    world.ok(&["sync"]);
    assert_nothing_is_lost(&world, known, own).await;
    assert_eq!(world.text(known, "Name"), "One");
    assert_eq!(name(&world).await.as_deref(), Some("One"));
    let audit = world.rows("frames_sync.audit").await;
    assert!(audit.iter().any(|row| row.contains("One in Notion")));
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn initial_notion_writes_the_adopted_page_over_the_row_and_keeps_what_stood_there() {
    let (world, known, own) = adopted("notion").await;
    world.ok(&["setup"]);
    world.ok(&["sync"]);
    assert_nothing_is_lost(&world, known, own).await;
    assert_eq!(world.text(known, "Name"), "One in Notion");
    assert_eq!(name(&world).await.as_deref(), Some("One in Notion"));
    let kept = "select count(*)::text from frames_sync.audit where body::text like '%overruled%' \
                and body::text like '%\"One\"%'";
    assert_eq!(world.scalar(kept).await.as_deref(), Some("1"));
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn initial_manual_writes_neither_side_until_a_person_chooses() {
    let (world, known, own) = adopted("manual").await;
    world.run(&["setup"]);
    world.run(&["sync"]);
    assert_nothing_is_lost(&world, known, own).await;
    assert_eq!(world.text(known, "Name"), "One in Notion");
    assert_eq!(name(&world).await.as_deref(), Some("One"));
    let listed = world.ok(&["conflicts", "list"]).json;
    let conflicts = listed["conflicts"].as_array().expect("a list");
    assert_eq!(conflicts.len(), 1, "{listed:#}");
    assert_eq!(conflicts[0]["property"], "Name");
    let id = conflicts[0]["id"].as_str().expect("an id");
    world.ok(&["conflicts", "resolve", id, "--take", "notion"]);
    world.ok(&["sync"]);
    assert_eq!(name(&world).await.as_deref(), Some("One in Notion"));
    assert_eq!(world.text(known, "sync_status"), "synced");
    assert_eq!(world.ok(&["conflicts", "list"]).json["conflicts"], json!([]));
}

#[tokio::test]
async fn a_page_on_which_a_person_typed_the_key_of_a_new_row_is_not_taken_for_it() {
    let world = World::with(THINGS, super::BOTH).await;
    world.ok(&["setup"]);
    let source = world.source("Things");
    let typed = world.simulator.workspace(|workspace| {
        workspace.add_row(
            source,
            &json!({ "Name": title("Typed"), "postgres_id": text("t4") }),
        )
    });
    let typed = typed.unwrap_or_else(|refusal| panic!("{}", refusal.message));
    world
        .sql("insert into things (id, name, org) values ('t4', 'Four', 'cal')")
        .await;
    let report = world.run(&["sync"]);
    assert_eq!(report.code, 1, "{:#}", report.json);
    for _ in 0..2 {
        let report = world.run(&["sync"]);
        assert_eq!(report.codes("things"), ["duplicate_page"], "{:#}", report.json);
    }
    let pages = world.pages_of("Things", "t4");
    assert_eq!(
        pages.len(),
        2,
        "the row has its own page, and the typed one is flagged"
    );
    assert_eq!(world.text(typed, "sync_status"), "duplicate");
    assert_eq!(
        world
            .scalar("select name from things where id = 't4'")
            .await
            .as_deref(),
        Some("Four"),
        "nothing is read from it"
    );
}
