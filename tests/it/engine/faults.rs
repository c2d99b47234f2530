//! Lost requests, lost answers, and runs that end in the middle.

use frames_sync::engine::Request;
use frames_sync::report::Command;
use frames_sync::value::Value;

use super::pages::{Fault, text_of};
use super::world::World;

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_found_and_never_repeated() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.pages.fail_next_write(Fault::AnswerLost);
    world.run(Command::Setup).await;
    world.clock.advance(10);
    world.sync().await;
    assert_eq!(world.pages.live("teams").len(), 1);
    assert_eq!(world.pages.live("teams")[0].id, world.page_of(&key));
    world.clock.advance(600);
    world.assert_at_rest().await;
}

#[tokio::test]
async fn a_create_that_was_lost_is_repeated_only_after_its_window() {
    let world = World::new();
    world.team("team_1", "Rockets");
    world.pages.fail_next_write(Fault::RequestLost);
    world.run(Command::Setup).await;
    world.clock.advance(300);
    world.sync().await;
    assert_eq!(world.pages.live("teams").len(), 0, "it may still arrive");
    for _ in 0..3 {
        world.clock.advance(200);
        world.sync().await;
    }
    assert_eq!(world.pages.live("teams").len(), 1);
    world.clock.advance(600);
    world.assert_at_rest().await;
}

#[tokio::test]
async fn a_patch_whose_answer_was_lost_is_settled_by_reading() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    world.tables.set("teams", &key, "name", Value::text("Comets"));
    world.pages.fail_next_write(Fault::AnswerLost);
    world.sync().await;
    world.sync().await;
    assert_eq!(text_of(&world.pages.page(&world.page_of(&key)), "name"), "Comets");
    assert_eq!(world.pages.take_sent().len(), 1, "sent once");
    world.clock.advance(600);
    world.sync().await;
    world.assert_at_rest().await;
}

#[tokio::test]
async fn a_patch_that_was_lost_is_sent_again_after_its_window() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    world.tables.set("teams", &key, "name", Value::text("Comets"));
    world.pages.fail_next_write(Fault::RequestLost);
    world.sync().await;
    world.sync().await;
    let page = world.page_of(&key);
    assert_eq!(
        text_of(&world.pages.page(&page), "name"),
        "Rockets",
        "parked until it cannot land any more"
    );
    world.clock.advance(200);
    world.sync().await;
    world.sync().await;
    assert_eq!(text_of(&world.pages.page(&page), "name"), "Comets");
    world.clock.advance(600);
    world.assert_at_rest().await;
}

#[tokio::test]
async fn two_runs_at_once_do_not_write_twice() {
    let world = World::new();
    for number in 0..20 {
        world.team(&format!("team_{number:02}"), "Team");
    }
    let mut other = world.engine.clone();
    other.holder = "other".to_owned();
    let request = Request::all(Command::Setup);
    let (first, second) = tokio::join!(world.engine.run(&request), other.run(&request));
    let failures = [&first.report.failure, &second.report.failure]
        .into_iter()
        .flatten()
        .count();
    assert!(failures <= 1);
    assert_eq!(world.pages.live("teams").len(), 20);
}

#[tokio::test]
async fn a_plan_writes_nothing_and_is_the_same_twice() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    world.tables.set("teams", &key, "name", Value::text("Comets"));
    world.team("team_2", "New");
    let request = Request::all(Command::Sync);
    let (first, refusals) = world.engine.plan(&request).await.unwrap();
    let (second, _) = world.engine.plan(&request).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(first.hash(), second.hash());
    assert!(refusals.is_empty());
    let kinds: Vec<&str> = first
        .operations
        .iter()
        .map(|operation| operation.kind.name())
        .collect();
    assert_eq!(kinds, ["update_page", "create_page"]);
    assert!(world.pages.take_sent().is_empty());
    let run = world.engine.run(&request).await;
    assert_eq!(run.plan, first);
}
