//! `doctor` after things went wrong: what is stuck, since when, and the way on.

use frames_sync::simulator::{Applied, Effect, Fault, Trigger};
use serde_json::{Value as Json, json};

use super::{of, set_up, tune, with};
use crate::sync::world::{World, text};

/// The checks of a name.
fn checks(world: &World, name: &str) -> Vec<Json> {
    let report = world.ok(&["doctor"]).json;
    let checks = report["profiles"][0]["checks"]
        .as_array()
        .cloned()
        .expect("checks");
    checks
        .into_iter()
        .filter(|check| of(check, "name") == name)
        .collect()
}

#[track_caller]
fn the(world: &World, name: &str) -> Json {
    let found = checks(world, name);
    assert_eq!(found.len(), 1, "{name}: {found:#?}");
    found[0].clone()
}

#[tokio::test]
async fn all_is_well_after_a_run_that_went_well() {
    let world = set_up().await;
    assert_eq!(of(&the(&world, "last run"), "status"), "ok");
    assert_eq!(of(&the(&world, "unsettled writes"), "status"), "ok");
    assert_eq!(checks(&world, "records of things"), Vec::<Json>::new());
}

#[tokio::test]
async fn records_out_of_step_are_counted_by_code_with_the_cure() {
    let world = with("conflict: manual").await;
    world.edit(world.page("Things", "t1"), "Amount", json!({ "number": -1 }));
    world.edit(world.page("Things", "t2"), "Note", text("from Notion"));
    world
        .sql("update things set note = 'from Postgres' where id = 't2'")
        .await;
    world.run(&["sync"]);
    let found = checks(&world, "records of things");
    let messages: Vec<&str> = found.iter().map(|check| of(check, "message")).collect();
    assert_eq!(found.len(), 2, "{messages:?}");
    assert!(
        messages[0].contains("1 record [constraint_violation], first things t1"),
        "{messages:?}"
    );
    assert!(
        messages[1].contains("1 record [open_conflict], first things t2"),
        "{messages:?}"
    );
    assert!(
        of(&found[0], "help").contains("frames-sync explain things t1"),
        "{found:#?}"
    );
    assert!(of(&found[1], "help").contains("conflicts resolve"), "{found:#?}");
}

#[tokio::test]
async fn a_write_without_an_answer_is_named_and_settled_by_the_next_run() {
    let world = set_up().await;
    tune(&world, "settle: 0s", "settle: 120s");
    world.simulator.fault(Fault {
        when: Trigger {
            endpoint: Some("PATCH /v1/pages/{page_id}".to_owned()),
            nth: Some(1),
            ..Trigger::default()
        },
        effect: Effect::Dropped {
            applied: Applied::Yes,
        },
        times: None,
    });
    world.sql("update things set note = 'sent' where id = 't1'").await;
    world.run(&["sync"]);
    let stuck = the(&world, "unsettled writes");
    assert_eq!(of(&stuck, "status"), "warn");
    assert!(of(&stuck, "message").contains("1 record wait"), "{stuck:#}");
    assert!(of(&stuck, "message").contains("things t1"), "{stuck:#}");
    world.ok(&["sync"]);
    assert_eq!(of(&the(&world, "unsettled writes"), "status"), "ok");
}

#[tokio::test]
async fn a_run_that_a_guard_stopped_is_told_with_what_lets_it_pass() {
    let world = set_up().await;
    world
        .sql("insert into things (id, name, org) select 'n' || n, 'N', 'cal' from generate_series(1, 9) n")
        .await;
    world.ok(&["sync"]);
    world.sql("delete from things where id like 'n%'").await;
    assert_eq!(world.run(&["sync"]).code, 1);
    let stopped = the(&world, "last run");
    assert_eq!(of(&stopped, "status"), "warn");
    assert!(of(&stopped, "message").contains("deletes 9 pages"), "{stopped:#}");
    assert!(
        of(&stopped, "help").contains("frames-sync approve"),
        "{stopped:#}"
    );
}
