//! Records that are left alone: by a ticked box, or because somebody is typing.

use frames_sync::simulator::Clock;
use serde_json::json;

use super::{of, tune, with};
use crate::sync::world::{World, text, writes};
use crate::sync::{BOTH, THINGS};

async fn ticked() -> (World, uuid::Uuid) {
    let world = with("opt_out: Paused").await;
    let page = world.page("Things", "t1");
    world.edit(page, "Paused", json!({ "checkbox": true }));
    world.ok(&["sync"]);
    (world, page)
}

async fn row(world: &World) -> Option<String> {
    world
        .scalar("select concat(note, ':', amount) from things where id = 't1'")
        .await
}

#[tokio::test]
async fn a_ticked_record_is_left_alone_both_ways_and_caught_up_when_unticked() {
    let (world, page) = ticked().await;
    for round in 0..2 {
        world.edit(page, "Note", text(&format!("typed {round}")));
        world
            .sql(&format!("update things set amount = 10{round} where id = 't1'"))
            .await;
        for arguments in [
            &["sync"][..],
            &["sync", "--full"],
            &["push"],
            &["pull"],
            &["sync", "--key", "t1"],
        ] {
            let (_, exchanges) = world.watched(arguments);
            assert_eq!(writes(&exchanges).len(), 0, "{arguments:?}");
        }
        assert_eq!(row(&world).await, Some(format!("a note:10{round}")));
        assert_eq!(world.text(page, "Amount"), "1");
    }
    // Unticked, perhaps within the minute in which it was ticked: both edits travel.
    world.edit(page, "Paused", json!({ "checkbox": false }));
    world.ok(&["sync"]);
    assert_eq!(row(&world).await.as_deref(), Some("typed 1:101"));
    assert_eq!(world.text(page, "Amount"), "101");
    let (_, exchanges) = world.watched(&["sync", "--full"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn unticking_alone_brings_the_row_over() {
    let (world, page) = ticked().await;
    world.sql("update things set amount = 55 where id = 't1'").await;
    world.ok(&["sync"]);
    assert_eq!(world.text(page, "Amount"), "1");
    world.edit(page, "Paused", json!({ "checkbox": false }));
    world.ok(&["sync"]);
    assert_eq!(world.text(page, "Amount"), "55");
}

#[tokio::test]
async fn a_ticked_page_outlives_its_row_until_it_is_unticked() {
    let (world, page) = ticked().await;
    world.sql("delete from things where id = 't1'").await;
    for _ in 0..2 {
        let (_, exchanges) = world.watched(&["sync"]);
        assert_eq!(writes(&exchanges).len(), 0);
    }
    assert!(world.pages("Things").contains(&page));
    world.edit(page, "Paused", json!({ "checkbox": false }));
    world.ok(&["sync"]);
    assert_eq!(world.trashed("Things"), [page]);
}

#[tokio::test]
async fn the_other_records_go_on_and_explain_says_why_this_one_does_not() {
    let (world, page) = ticked().await;
    world
        .sql("update things set amount = coalesce(amount, 0) + 1 where org = 'cal'")
        .await;
    world.ok(&["sync"]);
    assert_eq!(world.text(world.page("Things", "t2"), "Amount"), "3");
    assert_eq!(world.text(page, "Amount"), "1");
    let report = world.ok(&["explain", "things", "t1"]).json;
    assert_eq!(report["opted_out"], true);
    assert_eq!(
        (of(&report, "action"), of(&report, "reason")),
        ("nothing", "the record is opted out")
    );
    // What was written before it was ticked is not taken back either.
    let created = super::history(&world, &["--key", "t1"]);
    let undone = world.run(&["undo", of(&created[0], "run_id"), "--yes"]);
    assert_eq!(undone.json["operations"], json!([]));
}

#[tokio::test]
async fn a_page_that_somebody_types_in_is_read_at_once_and_written_when_it_rests() {
    let world = World::with(THINGS, BOTH).await;
    let ago = |seconds: i64| {
        world.simulator.set_clock(Clock::Machine {
            offset: -seconds * 1000,
        });
    };
    ago(600);
    world.ok(&["setup"]);
    tune(&world, "quiet_page: 0s", "quiet_page: 3m");
    ago(0);
    let page = world.page("Things", "t1");
    world.edit(page, "Note", text("half a sent"));
    world.sql("update things set amount = 42 where id = 't1'").await;
    let report = world.ok(&["sync"]);
    assert_eq!(report.entity("things")["deferred"], 1, "{:#}", report.json);
    assert_eq!(
        row(&world).await.as_deref(),
        Some("half a sent:42"),
        "what was typed is read"
    );
    assert_eq!(
        world.text(page, "Amount"),
        "1",
        "and nothing is written under their hands"
    );
    let report = world.ok(&["explain", "things", "t1"]).json;
    assert_ne!(report["look_again_at"], serde_json::Value::Null, "{report:#}");
    // The same page, last edited five minutes ago, has rested; as if the look at it had been before that.
    let unread =
        "update frames_sync.link set body = jsonb_set(body::jsonb, '{page_edited_at}', 'null')::json";
    world.sql(unread).await;
    ago(300);
    world.edit(page, "Note", text("half a sentence"));
    ago(0);
    world.ok(&["sync"]);
    assert_eq!(world.text(page, "Amount"), "42");
    assert_eq!(row(&world).await.as_deref(), Some("half a sentence:42"));
    assert_eq!(world.text(page, "Note"), "half a sentence");
    let (_, exchanges) = world.watched(&["sync", "--full"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn a_page_that_we_wrote_last_is_nobodys_desk() {
    let world = super::set_up().await;
    tune(&world, "quiet_page: 0s", "quiet_page: 3m");
    world.sql("update things set amount = 43 where id = 't1'").await;
    let report = world.ok(&["sync"]);
    assert_eq!(report.entity("things")["deferred"], 0);
    assert_eq!(world.text(world.page("Things", "t1"), "Amount"), "43");
}

#[tokio::test]
async fn a_rows_change_waits_for_a_busy_page_no_longer_than_three_minutes() {
    let world = super::set_up().await;
    tune(&world, "quiet_page: 0s", "quiet_page: 3m");
    let page = world.page("Things", "t1");
    world.edit(page, "Note", text("typing"));
    world.sql("update things set amount = 44 where id = 't1'").await;
    world.ok(&["sync"]);
    assert_eq!(world.text(page, "Amount"), "1");
    // It has waited since long ago, and somebody still types.
    let waited = "update frames_sync.link l set body = jsonb_set(l.body::jsonb, \
                  array['fields', f.key, 'changed_at', 'postgres', '0'], '2020')::json \
                  from frames_sync.link k, jsonb_each(k.body::jsonb -> 'fields') f \
                  where k.id = l.id and jsonb_typeof(f.value -> 'changed_at' -> 'postgres') = 'array'";
    world.sql(waited).await;
    world.edit(page, "Note", text("typing on"));
    world.ok(&["sync"]);
    assert_eq!(world.text(page, "Amount"), "44");
    assert_eq!(world.text(page, "Note"), "typing on");
}
