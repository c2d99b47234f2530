//! What stops a profile, a mapping or a record before harm is done, and how a person lets it go on.

use std::time::Duration;

use frames_sync::simulator::{Clock, Moment};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::existence::MANY;
use super::world::{Report, World, count, text, writes};
use super::{BOTH, THINGS};

async fn set_up() -> World {
    let world = World::with(THINGS, BOTH).await;
    world.ok(&["setup"]);
    world
}

/// One edit on each side.
async fn edited(world: &World) {
    world.sql("update things set amount = 50 where id = 't1'").await;
    world.edit(world.page("Things", "t2"), "Note", text("typed"));
}

async fn note_of_t2(world: &World) -> Option<String> {
    world.scalar("select note from things where id = 't2'").await
}

/// The hash with which a run was refused, all of whose refusals have that code.
#[track_caller]
fn refused(report: &Report, code: &str) -> String {
    assert_eq!(report.code, 1, "{:#}", report.json);
    let refusals = report.entity("things")["refusals"].as_array().expect("a list");
    assert!(!refusals.is_empty(), "{:#}", report.json);
    for refusal in refusals {
        assert_eq!(refusal["code"], code, "{:#}", report.json);
    }
    refusals[0]["approve"].as_str().expect("a hash").to_owned()
}

/// Writes as the profile's own connection does, without its engine knowing.
async fn write_as_us(world: &World, page: Uuid, properties: Json) {
    let answer = reqwest::Client::new()
        .patch(format!("{}/v1/pages/{page}", world.simulator.base_url))
        .bearer_auth(&world.simulator.tokens[0])
        .header("Notion-Version", "2026-03-11")
        .json(&json!({ "properties": properties }))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status().as_u16(), 200, "{:?}", answer.text().await);
}

#[tokio::test]
async fn another_database_is_plan_only_until_a_person_approves() {
    let pin = "postgres_system";
    let world = set_up().await;
    let pinned = format!("select value from frames_sync.pin where name = '{pin}'");
    let real = world.scalar(&pinned).await.expect("a pin");
    world
        .sql(&format!(
            "update frames_sync.pin set value = 'another' where name = '{pin}'"
        ))
        .await;
    edited(&world).await;
    let rows = world.rows("things").await;
    for command in ["sync", "push", "pull"] {
        world.simulator.clear_exchanges();
        refused(&world.run(&[command]), "quarantined");
        assert_eq!(writes(&world.simulator.exchanges()).len(), 0, "{pin} {command}");
        assert_eq!(world.rows("things").await, rows, "{pin} {command}");
    }
    let plan = world.run(&["plan"]);
    assert_eq!(plan.json["refusals"][0]["code"], "quarantined");
    let hash = refused(&world.run(&["sync"]), "quarantined");
    world.ok(&["approve", &hash]);
    world.ok(&["sync"]);
    assert_eq!(note_of_t2(&world).await.as_deref(), Some("typed"));
    assert_eq!(world.text(world.page("Things", "t1"), "Amount"), "50");
    assert_eq!(
        world.scalar(&pinned).await,
        Some(real),
        "it is the profile's from now on"
    );
    world.sql("update things set amount = 51 where id = 't1'").await;
    world.ok(&["sync"]);
}

#[tokio::test]
async fn another_database_that_agrees_with_notion_is_taken_over_in_silence() {
    let world = set_up().await;
    world
        .sql("update frames_sync.pin set value = 'another' where name = 'postgres_system'")
        .await;
    let (_, exchanges) = world.watched(&["sync"]);
    assert_eq!(writes(&exchanges).len(), 0);
    edited(&world).await;
    world.ok(&["sync"]);
}

#[tokio::test]
async fn a_database_restored_to_an_earlier_time_pulls_nothing_before_a_person_approves() {
    let world = set_up().await;
    world
        .sql(
            "create schema kept;
             create table kept.things as table things;
             create table kept.link as table frames_sync.link;
             create table kept.intent as table frames_sync.intent;
             create table kept.mark as table frames_sync.mark;
             create table kept.audit as table frames_sync.audit;
             -- The backup is four years old: another leap year has the same days.
             update kept.audit set body = jsonb_set(body::jsonb, '{at,0}', to_jsonb((body->'at'->>0)::int - 4))::json;",
        )
        .await;
    world.simulator.advance(Duration::from_secs(600));
    world
        .sql("update things set note = 'after the backup' where id = 't1'")
        .await;
    world.ok(&["sync"]);
    world
        .sql(
            "alter table frames_sync.audit disable trigger all;
             truncate frames_sync.link, frames_sync.intent, frames_sync.mark, frames_sync.audit;
             insert into frames_sync.link table kept.link;
             insert into frames_sync.intent table kept.intent;
             insert into frames_sync.mark table kept.mark;
             insert into frames_sync.audit overriding system value table kept.audit;
             alter table frames_sync.audit enable trigger all;
             update things set note = k.note from kept.things k where k.id = things.id;",
        )
        .await;
    let rows = world.rows("things").await;
    world.simulator.clear_exchanges();
    let hash = refused(&world.run(&["sync", "--full"]), "quarantined");
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    assert_eq!(world.rows("things").await, rows);
    world.ok(&["approve", &hash]);
    world.ok(&["sync", "--full"]);
    assert_eq!(
        world
            .scalar("select note from things where id = 't1'")
            .await
            .as_deref(),
        Some("after the backup"),
        "what Notion still knew is back"
    );
    let (_, exchanges) = world.watched(&["sync", "--full"]);
    assert_eq!(writes(&exchanges).len(), 0);
}

#[tokio::test]
async fn a_person_who_edits_a_page_after_us_is_no_reason_for_quarantine() {
    let world = set_up().await;
    for round in 0..3 {
        world.simulator.advance(Duration::from_secs(180));
        edited(&world).await;
        world.edit(
            world.page("Things", "t1"),
            "Note",
            text(&format!("round {round}")),
        );
        world
            .sql(&format!("update things set amount = {round} where id = 't2'"))
            .await;
        world.ok(&["sync"]);
    }
}

#[tokio::test]
async fn a_page_that_a_write_of_ours_touched_from_afar_is_no_reason_for_quarantine() {
    let world = World::with(THINGS, BOTH).await;
    world.simulator.set_clock(Clock::Machine { offset: -180_000 });
    world.ok(&["setup"]);
    world.simulator.set_clock(Clock::Machine { offset: 0 });
    let group = world.page("Groups", "g1");
    world.edit(group, "Name", super::world::title("by a person"));
    // We set the other end of a relation: the group's page is ours by its stamp, though a person typed its name.
    world
        .sql("update things set group_id = 'g1' where id = 't3'")
        .await;
    world.ok(&["push", "--entity", "things"]);
    let number = world.value(group, "sync_status");
    write_as_us(
        &world,
        group,
        json!({ "sync_status": { "select": { "name": number["name"] } } }),
    )
    .await;
    world.ok(&["sync"]);
    assert_eq!(
        world
            .scalar("select name from groups where id = 'g1'")
            .await
            .as_deref(),
        Some("by a person")
    );
}

#[tokio::test]
async fn a_record_written_too_often_is_frozen_for_the_hour_and_the_others_flow() {
    let world = set_up().await;
    world
        .sql(
            "insert into frames_sync.audit (id, profile, run, link, entity, key, side, act, at, body)
             select gen_random_uuid(), profile, run, link, entity, key, side, 'updated',
                    clock_timestamp() - n * interval '1 minute', body
             from (select * from frames_sync.audit where entity = 'things' and key = '[\"t1\"]' limit 1) a,
                  generate_series(1, 21) n",
        )
        .await;
    let page = world.page("Things", "t1");
    world
        .sql("update things set amount = 50 where id in ('t1', 't2')")
        .await;
    world.edit(page, "Note", text("typed"));
    let report = world.run(&["sync"]);
    assert_eq!(report.codes("things"), ["loop_suspected"], "{:#}", report.json);
    assert_eq!(world.text(page, "Amount"), "1");
    assert_eq!(
        world
            .scalar("select note from things where id = 't1'")
            .await
            .as_deref(),
        Some("a note")
    );
    assert_eq!(world.text(world.page("Things", "t2"), "Amount"), "50");
    world.simulator.clear_exchanges();
    let report = world.run(&["sync"]);
    assert_eq!(report.codes("things"), ["loop_suspected"], "it stays listed");
    let exchanges = world.simulator.exchanges();
    assert_eq!(writes(&exchanges).len(), 0);
    assert_eq!(
        count(&exchanges, "GET /v1/pages/{page_id}"),
        0,
        "and costs nothing"
    );
    // The hour passes.
    world
        .sql(
            "alter table frames_sync.audit disable trigger all;
             update frames_sync.audit set at = at - interval '2 hours';
             alter table frames_sync.audit enable trigger all;",
        )
        .await;
    world.let_pass(2).await;
    world.ok(&["sync"]);
    assert_eq!(world.text(page, "Amount"), "50");
}

#[tokio::test]
async fn very_many_new_rows_or_pages_stop_the_mapping() {
    let world = World::with(MANY, BOTH).await;
    world.ok(&["setup"]);
    world
        .sql(
            "insert into things (id, name, org) select 'n' || n, 'New', 'cal' from generate_series(1, 101) n",
        )
        .await;
    world.simulator.clear_exchanges();
    let hash = refused(&world.run(&["sync"]), "mass_create");
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    world.ok(&["approve", &hash]);
    let report = world.ok(&["sync"]);
    assert_eq!(report.total("pages_created"), 101);
}

#[tokio::test]
async fn a_value_that_turns_by_itself_again_and_again_is_frozen() {
    let world = World::with(THINGS, BOTH).await;
    // One minute: the page's time says nothing of what our own connection writes in it.
    let now = time::OffsetDateTime::now_utc();
    world.simulator.set_clock(Clock::Moved(Moment::of(now).floored()));
    world.ok(&["setup"]);
    let page = world.page("Things", "t1");
    let note = "select note from things where id = 't1'";
    for round in 1..=3 {
        write_as_us(&world, page, json!({ "Note": text(&format!("turn {round}")) })).await;
        world.ok(&["sync"]);
        assert_eq!(world.scalar(note).await, Some(format!("turn {round}")));
    }
    write_as_us(&world, page, json!({ "Note": text("turn 4") })).await;
    for _ in 0..2 {
        let report = world.run(&["sync"]);
        assert_eq!(report.codes("things"), ["codec_unstable"], "{:#}", report.json);
        assert_eq!(world.scalar(note).await.as_deref(), Some("turn 3"));
    }
    // The record's other fields flow, and a person's edit ends it.
    world.sql("update things set amount = 50 where id = 't1'").await;
    world.run(&["sync"]);
    assert_eq!(world.text(page, "Amount"), "50");
    world.edit(page, "Note", text("by a person"));
    world.ok(&["sync"]);
    assert_eq!(world.scalar(note).await.as_deref(), Some("by a person"));
    assert_eq!(world.text(page, "sync_status"), "synced");
}
