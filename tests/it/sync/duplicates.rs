//! Second pages of one record: a person's copy, and those that our own lost requests leave.

use std::time::Duration;

use frames_sync::simulator::{Effect, Fault, Trigger};
use serde_json::json;
use uuid::Uuid;

use super::existence::MANY;
use super::world::{World, count, text, title, writes};
use super::{BOTH, GROUPS_MAPPING, THINGS, THINGS_MAPPING};

const CREATE: &str = "POST /v1/pages";
const READ: &str = "GET /v1/pages/{page_id}";

fn copy(world: &World, page: Uuid) -> Uuid {
    world
        .simulator
        .workspace(|workspace| workspace.duplicate(page))
        .unwrap_or_else(|refusal| panic!("{}", refusal.message))
}

/// The next creates are cut off, and done an hour later: later than any machine is slow.
fn creates_land_late(world: &World, times: u32) {
    world.simulator.fault(Fault {
        when: Trigger {
            endpoint: Some(CREATE.to_owned()),
            ..Trigger::default()
        },
        effect: Effect::AppliedLate { seconds: 3600 },
        times: Some(times),
    });
}

#[tokio::test]
async fn a_flagged_duplicate_stays_listed_and_costs_no_request() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    let duplicate = copy(&world, world.page("Things", "t1"));
    let source = world.source("Things");
    let stranger = world.simulator.workspace(|workspace| {
        workspace.add_row(
            source,
            &json!({ "Name": title("?"), "postgres_id": text("nobody") }),
        )
    });
    assert!(stranger.is_ok());
    world.run(&["sync"]);
    for _ in 0..2 {
        world.simulator.clear_exchanges();
        let report = world.run(&["sync"]);
        assert_eq!(report.code, 1);
        assert_eq!(report.codes("things"), ["duplicate_page", "unknown_id"]);
        let exchanges = world.simulator.exchanges();
        assert_eq!((count(&exchanges, READ), writes(&exchanges).len()), (0, 0));
    }
    assert_eq!(world.text(duplicate, "sync_status"), "duplicate");
    // A person who clears the id makes it a page of their own.
    world.edit(duplicate, "postgres_id", json!({ "rich_text": [] }));
    assert_eq!(world.run(&["sync"]).codes("things"), ["unknown_id"]);
}

#[tokio::test]
async fn a_duplicated_page_becomes_a_row_of_its_own_where_the_mapping_says_so() {
    let mapping = THINGS_MAPPING.replace(
        "key: id\n",
        "key: id\non_duplicate: new_row\non_page_create: insert_row\nnew_row: { id: \"new_{{ uuid() }}\" }\n",
    );
    let world = World::with(THINGS, &[("things", &mapping), ("groups", GROUPS_MAPPING)]).await;
    world.ok(&["setup"]);
    let original = world.page("Things", "t2");
    let before = world.rows("things").await;
    let duplicate = copy(&world, original);
    world.edit(duplicate, "Note", text("of the copy"));
    world.ok(&["sync"]);
    world.ok(&["sync"]);
    let key = world
        .scalar("select id from things where note = 'of the copy' and name = 'Two 🚀' and kind = 'blue' and org = 'cal'")
        .await
        .expect("the copy's own row");
    assert!(key.starts_with("new_"));
    assert_eq!(world.text(duplicate, "postgres_id"), key);
    assert_eq!(world.text(duplicate, "sync_status"), "synced");
    assert_eq!(world.page("Things", "t2"), original);
    let after = world.rows("things").await;
    assert_eq!(after.len(), before.len() + 1);
    assert!(
        before.iter().all(|row| after.contains(row)),
        "no other row changed"
    );
    let (report, exchanges) = world.watched(&["sync"]);
    assert_eq!((report.total("rows_inserted"), writes(&exchanges).len()), (0, 0));
}

#[tokio::test]
async fn a_page_that_a_lost_create_made_after_all_is_trashed_and_its_record_keeps_the_other() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    world
        .sql("insert into things (id, name, org, group_id) values ('t4', 'Four', 'cal', 'g1')")
        .await;
    creates_land_late(&world, 1);
    world.run(&["sync"]);
    assert_eq!(world.pages_of("Things", "t4").len(), 0);
    world.ok(&["sync"]);
    let page = world.page("Things", "t4");
    world.simulator.advance(Duration::from_secs(3700));
    assert_eq!(world.pages_of("Things", "t4").len(), 2, "the lost request landed");
    let plan = world.ok(&["plan"]);
    assert_eq!(
        plan.json["operations"][0]["kind"], "trash_stray",
        "{:#}",
        plan.json
    );
    let report = world.ok(&["sync"]);
    assert_eq!(report.total("pages_trashed"), 1, "{:#}", report.json);
    assert_eq!(world.page("Things", "t4"), page);
    assert_eq!(world.text(page, "sync_status"), "synced");
    assert_eq!(world.trashed("Things").len(), 1);
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn a_late_page_that_a_person_edited_meanwhile_is_a_duplicate_for_a_person() {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    world
        .sql("insert into things (id, name, org) values ('t4', 'Four', 'cal')")
        .await;
    creates_land_late(&world, 1);
    world.run(&["sync"]);
    world.ok(&["sync"]);
    let page = world.page("Things", "t4");
    world.simulator.advance(Duration::from_secs(3700));
    let late = world
        .pages_of("Things", "t4")
        .into_iter()
        .find(|found| *found != page)
        .expect("the late page");
    world.edit(late, "Note", text("precious"));
    let report = world.run(&["sync"]);
    assert_eq!(report.codes("things"), ["duplicate_page"], "{:#}", report.json);
    assert_eq!(world.trashed("Things").len(), 0);
    assert_eq!(world.text(late, "Note"), "precious");
    assert_eq!(world.text(late, "sync_status"), "duplicate");
}

#[tokio::test]
async fn no_run_trashes_more_than_twenty_late_pages_and_none_counts_against_the_delete_cap() {
    let world = World::with(MANY, BOTH).await;
    world.ok(&["setup", "--skip-initial-sync"]);
    world.ok(&["push", "--entity", "groups"]);
    creates_land_late(&world, 25);
    // After a few failures in a row a run leaves Notion alone.
    for _ in 0..12 {
        if world.run(&["push"]).code == 0 {
            break;
        }
    }
    world.ok(&["sync"]);
    assert_eq!(world.pages("Things").len(), 40);
    world.simulator.advance(Duration::from_secs(3700));
    assert_eq!(world.pages("Things").len(), 65);
    let report = world.run(&["sync"]);
    assert_eq!(report.total("pages_trashed"), 20, "{:#}", report.json);
    assert_eq!(report.codes("things").len(), 5);
    let report = world.ok(&["sync"]);
    assert_eq!(report.total("pages_trashed"), 5);
    assert_eq!(world.pages("Things").len(), 40);
    // The day's deletes of records are still all there to be used.
    world.sql("delete from things where id in ('t1', 't2')").await;
    let report = world.ok(&["sync"]);
    assert_eq!(report.total("pages_trashed"), 2);
}
