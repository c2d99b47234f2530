//! `explain`: each field of a record, with the decision that a sync would make.

use serde_json::{Value as Json, json};

use super::{of, set_up, with};
use crate::sync::world::{World, select, text, writes};

#[track_caller]
fn explain(world: &World, key: &str) -> Json {
    world.ok(&["explain", "things", key]).json
}

#[track_caller]
fn field<'a>(report: &'a Json, property: &str) -> &'a Json {
    report["fields"]
        .as_array()
        .and_then(|fields| fields.iter().find(|field| field["property"] == property))
        .unwrap_or_else(|| panic!("no field `{property}` in {report:#}"))
}

#[tokio::test]
async fn a_record_in_step_says_so_of_every_field() {
    let world = set_up().await;
    let report = explain(&world, "t1");
    assert_eq!(of(&report, "phase"), "linked");
    assert_eq!(
        (of(&report, "case"), of(&report, "action")),
        ("E1", "merge_fields")
    );
    assert_eq!(of(&report["last_editor"], "who"), "frames_sync");
    assert_eq!(of(&report, "page_id"), world.page("Things", "t1").to_string());
    let fields = report["fields"].as_array().expect("fields");
    assert_eq!(fields.len(), 9);
    for field in fields {
        assert_eq!(field["action"], "keep", "{field:#}");
        assert_eq!(field["reason"], "nothing changed");
        assert_eq!(field["postgres"]["changed"], false);
        assert_eq!(field["postgres"]["base"], field["postgres"]["now"], "{field:#}");
        assert_eq!(field["notion"]["base"], field["notion"]["now"], "{field:#}");
        assert_eq!(field["agrees"], true, "{field:#}");
    }
    let made = &report["history"][0];
    assert_eq!((of(made, "act"), of(made, "side")), ("created", "notion"));
}

#[tokio::test]
async fn an_edit_on_either_side_is_told_with_both_values_and_what_follows() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    world.edit(page, "Kind", select("green"));
    world
        .sql("update things set note = 'from Postgres' where id = 't1'")
        .await;
    world.simulator.clear_exchanges();
    let report = explain(&world, "t1");
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    let note = field(&report, "Note");
    assert_eq!(note["column"], "note");
    assert_eq!(note["postgres"]["base"], "a note");
    assert_eq!(note["postgres"]["now"], "from Postgres");
    assert_eq!(note["postgres"]["changed"], true);
    assert_ne!(note["postgres"]["changed_after"], Json::Null);
    assert_ne!(note["postgres"]["changed_until"], Json::Null);
    assert_eq!(note["notion"]["changed"], false);
    assert_eq!(
        (of(note, "action"), of(note, "reason")),
        ("push", "only Postgres changed")
    );
    assert_eq!(note["writes"], "from Postgres");
    let kind = field(&report, "Kind");
    assert_eq!(
        (of(kind, "action"), of(kind, "reason")),
        ("pull", "only Notion changed")
    );
    assert_eq!(kind["writes"], "green");
    assert_eq!(of(&report["last_editor"], "who"), "person");
    assert_eq!(field(&report, "Name")["action"], "keep");
    // What it says is what a sync then does.
    world.ok(&["sync"]);
    assert_eq!(world.text(page, "Note"), "from Postgres");
    let report = explain(&world, "t1");
    let history = field(&report, "Note")["history"].as_array().expect("history");
    assert_eq!(of(&history[0], "to"), "from Postgres");
    assert_eq!(of(&history[0], "from"), "a note");
}

#[tokio::test]
async fn the_decision_is_the_one_that_the_planner_makes() {
    let world = with("conflict: last_write_wins").await;
    let page = world.page("Things", "t1");
    world.edit(page, "Note", text("from Notion"));
    world.edit(page, "Amount", json!({ "number": 5 }));
    world.edit(
        world.page("Things", "t2"),
        "Created",
        json!({ "date": { "start": "1999-01-01" } }),
    );
    world
        .sql("update things set note = 'from Postgres', done = false where id = 't1'")
        .await;
    world.sql("update things set name = 'Drei' where id = 't3'").await;
    let plan = world.ok(&["plan"]).json;
    let mut compared = 0;
    for operation in plan["operations"].as_array().expect("operations") {
        let report = explain(&world, of(operation, "key"));
        for planned in operation["fields"].as_array().expect("fields") {
            let explained = field(&report, of(planned, "property"));
            assert_eq!(explained["reason"], planned["reason"], "{explained:#}");
            assert_eq!(explained["writes"], planned["to"], "{explained:#}");
            compared += 1;
        }
    }
    assert_eq!(compared, 5, "{plan:#}");
    let report = explain(&world, "t1");
    assert_ne!(field(&report, "Note")["certainty"], Json::Null);
}

#[tokio::test]
async fn an_open_conflict_names_the_way_out() {
    let world = with("conflict: manual").await;
    let page = world.page("Things", "t1");
    world.edit(page, "Note", text("from Notion"));
    world
        .sql("update things set note = 'from Postgres' where id = 't1'")
        .await;
    assert_eq!(world.run(&["sync"]).code, 1);
    let report = explain(&world, "t1");
    let note = field(&report, "Note");
    assert_eq!(of(note, "action"), "conflict");
    let open = world.ok(&["conflicts", "list"]).json;
    assert_eq!(note["conflict_id"], open["conflicts"][0]["id"]);
    assert_eq!(of(&report["troubles"][0], "code"), "open_conflict");
    assert!(of(&report["troubles"][0], "next_step").contains("conflicts resolve"));
    let ran = world.project.run(&["explain", "things", "t1", "Note"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for wanted in [
        "note <-> Note (manual)",
        "\"from Postgres\"  (was \"a note\"",
        "\"from Notion\"  (was \"a note\"",
        "neither side is written: both sides changed, and a person must choose",
        "--take postgres|notion",
    ] {
        assert!(ran.stdout.contains(wanted), "{wanted}: {}", ran.stdout);
    }
    assert!(
        !ran.stdout.contains("Amount"),
        "only the property that was asked for"
    );
}

#[tokio::test]
async fn rows_without_a_page_and_records_that_ended_are_explained_too() {
    let world = set_up().await;
    world
        .sql("insert into things (id, name, org) values ('t4', 'Four', 'cal'); delete from things where id = 't3'")
        .await;
    let report = explain(&world, "t4");
    assert_eq!(
        (of(&report, "case"), of(&report, "action")),
        ("E15", "create_page")
    );
    assert_eq!(report["page_id"], Json::Null);
    let report = explain(&world, "t3");
    assert_eq!((of(&report, "case"), of(&report, "action")), ("E3", "trash_page"));
    world.ok(&["sync"]);
    let report = explain(&world, "t3");
    assert_eq!(
        (of(&report, "phase"), of(&report, "action")),
        ("tombstone", "nothing")
    );
    assert_eq!(of(&report["history"][0], "act"), "deleted");
}

#[tokio::test]
async fn names_that_are_not_there_are_said_to_be_and_another_tenants_row_is_no_news() {
    let world = set_up().await;
    let ran = world.project.run(&["explain", "thigns", "t1"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("`things`"), "{}", ran.stderr);
    let ran = world.project.run(&["explain", "things", "t1", "Nope"]);
    assert_eq!(ran.code, Some(2));
    let nowhere = world.project.run(&["explain", "things", "t99"]);
    assert_eq!(nowhere.code, Some(1));
    let foreign = world.project.run(&["explain", "things", "x1"]);
    assert_eq!(foreign.code, Some(1));
    assert_eq!(foreign.stderr.replace("x1", "t99"), nowhere.stderr);
    assert!(!foreign.stdout.contains("SENTINEL"), "{}", foreign.stdout);
}
