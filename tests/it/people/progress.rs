//! How far a run is: lines where there is no terminal, JSON where a program reads, silence where it was asked for.

use serde_json::Value as Json;

use super::set_up;
use crate::support::Ran;
use crate::sync::world::World;

async fn edited() -> World {
    let world = set_up().await;
    world.sql("update things set amount = amount + 1").await;
    world
}

fn report(ran: &Ran) -> Json {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

#[tokio::test]
async fn elsewhere_it_is_a_line_and_never_on_standard_output() {
    let world = edited().await;
    let ran = world.project.run(&["sync", "--format", "json"]);
    assert_eq!(report(&ran)["outcome"], "ok");
    assert_eq!(ran.stderr, "cal: 2 records to look at\n");
    // Nothing to do is nothing to say.
    let ran = world.project.run(&["sync"]);
    assert_eq!(ran.stderr, "");
}

#[tokio::test]
async fn a_program_gets_the_numbers() {
    let world = edited().await;
    let ran = world
        .project
        .run(&["push", "--log-format", "json", "--format", "json"]);
    let lines: Vec<Json> = ran
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["level"], "info");
    assert_eq!(lines[0]["progress"]["all"], 2);
    assert_eq!(lines[0]["progress"]["profile"], "cal");
    assert_eq!(report(&ran)["command"], "push");
}

#[tokio::test]
async fn quiet_is_quiet() {
    let world = edited().await;
    let ran = world.project.run(&["sync", "-q"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn those_who_ask_for_more_hear_each_decision_and_no_value() {
    let world = edited().await;
    world
        .sql("update things set note = 'SENTINEL' where id = 't2'")
        .await;
    let ran = world.project.run(&["sync", "-v"]);
    for wanted in [
        "cal: things t1: update page (only Postgres changed)",
        "cal: things t2: update page (only Postgres changed)",
    ] {
        assert!(ran.stderr.contains(wanted), "{wanted}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("SENTINEL"), "{}", ran.stderr);
}
