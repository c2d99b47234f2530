//! `run`: the built binary left running, alone and beside others.

mod together;
mod wakes;
mod world;

use std::time::{Duration, Instant};

use frames_sync::simulator::{Applied, Effect, Fault, Trigger};
use rustix::process::Signal;

use world::{GET, PATCH, QUERY, Setting, World, things, until, until_note};

fn slow(endpoint: &str, milliseconds: u64) -> Fault {
    Fault {
        when: Trigger {
            endpoint: Some(endpoint.to_owned()),
            nth: Some(1),
            ..Trigger::default()
        },
        effect: Effect::Slow { milliseconds },
        times: None,
    }
}

#[tokio::test]
async fn once_is_a_sync_with_its_report_and_exit_code() {
    let world = World::with(Setting::default()).await;
    world
        .sql("update things set note = 'edit 1' where id = 't1'")
        .await;
    let ran = world.project.run(&["run", "--once", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(report["command"], "sync");
    assert_eq!(report["profiles"][0]["entities"][0]["pages_updated"], 1);
    let broken = world.project.command(&["run", "--once"]);
    let mut broken = broken;
    broken.env("TOKEN_0", "ntn_wrong");
    let ended = broken.output().expect("the built binary runs");
    assert_eq!(ended.status.code(), Some(3), "a token that is refused");
}

#[tokio::test]
async fn the_schedule_brings_both_sides_in_step_again_and_again() {
    let world = World::with(Setting {
        schedule: "every: 1s",
        capture: "scan",
        ..Setting::default()
    })
    .await;
    let mut running = world.run(&[]);
    running.has_run(1).await;
    let page = world.page("t1");
    for round in 0..2 {
        let note = format!("edit {round}");
        world.type_note(page, &note);
        until_note(&world, "t1", &note, &running).await;
        let note = format!("edit back {round}");
        world
            .sql(&format!("update things set note = '{note}' where id = 't1'"))
            .await;
        until(|| world.note_in_notion(page) == note, || running.log()).await;
    }
    running.signal(Signal::TERM);
    assert_eq!(running.ended().await, Some(0));
    let log = running.log();
    assert!(!log.contains("edit"), "no value of a row is logged:\n{log}");
    let cycles = running.cycles();
    assert!(
        cycles
            .iter()
            .all(|cycle| cycle["version"] == 1 && cycle["command"] == "sync")
    );
    assert!(cycles.iter().all(|cycle| cycle["outcome"] == "ok"), "{cycles:?}");
}

#[tokio::test]
async fn a_row_changed_under_triggers_reaches_notion_at_once_and_costs_two_requests() {
    let world = World::with(Setting::default()).await;
    let running = world.run(&[]);
    running.has_run(1).await;
    running.has_said("listening for notes").await;
    world.simulator.clear_exchanges();
    let page = world.page("t1");
    world.sql("update things set note = 'edit 1' where id = 't1'; update things set note = 'no' where id = 'x1'").await;
    until(|| world.note_in_notion(page) == "edit 1", || running.log()).await;
    running.has_run(2).await;
    assert_eq!(
        (world.count(GET), world.count(PATCH), world.count(QUERY)),
        (1, 1, 0)
    );
    let cycles = running.cycles();
    assert_eq!(
        cycles[1]["profiles"][0]["entities"][0]["pages_updated"], 1,
        "{cycles:?}"
    );
    assert_eq!(cycles[1]["profiles"][0]["notion"]["requests"], 2);
    let left: i64 = sqlx::query_scalar("select count(*) from frames_sync.change_log")
        .fetch_one(&world.pool)
        .await
        .expect("the change log");
    assert_eq!(left, 0, "notes are acknowledged");
    // A row that comes and one that goes.
    world
        .sql("insert into things values ('t3', 'Three', 'cal', 'edit 3')")
        .await;
    running.has_run(3).await;
    assert_eq!(world.note_in_notion(world.page("t3")), "edit 3");
    world.sql("delete from things where id = 't3'").await;
    running.has_run(4).await;
    assert_eq!(
        running.cycles()[3]["profiles"][0]["entities"][0]["pages_trashed"],
        1
    );
}

#[tokio::test]
async fn what_is_under_way_is_finished_when_it_is_told_to_stop() {
    let world = World::with(Setting::default()).await;
    let mut running = world.run(&[]);
    running.has_run(1).await;
    running.has_said("listening for notes").await;
    world.simulator.clear_exchanges();
    world.simulator.fault(slow(PATCH, 1500));
    let page = world.page("t1");
    world
        .sql("update things set note = 'edit 1' where id = 't1'")
        .await;
    // The simulator has done it, and the answer is on its way for a second more.
    until(|| world.note_in_notion(page) == "edit 1", || running.log()).await;
    let told = Instant::now();
    running.signal(Signal::TERM);
    assert_eq!(running.ended().await, Some(0), "{}", running.log());
    assert!(told.elapsed() < Duration::from_secs(30));
    let (pending, holder): (i64, Option<String>) = sqlx::query_as(
        "select (select count(*) from frames_sync.intent where pending), (select holder from frames_sync.lease)",
    )
    .fetch_one(&world.pool)
    .await
    .expect("the state");
    assert_eq!(
        (pending, holder),
        (0, None),
        "the answer was waited for, and the lease given back"
    );
    let ran = world.project.run(&["sync", "--format", "json"]);
    assert_eq!(ran.code, Some(0));
    assert_eq!(world.written_notes(), ["edit 1"], "written once");
}

#[tokio::test]
async fn what_takes_too_long_is_left_to_the_journal_and_written_once() {
    let world = World::with(Setting::default()).await;
    let mut running = world.run(&[]);
    running.has_run(1).await;
    running.has_said("listening for notes").await;
    world.simulator.clear_exchanges();
    world.simulator.fault(slow(PATCH, 2500));
    let page = world.page("t1");
    world
        .sql("update things set note = 'edit 1' where id = 't1'")
        .await;
    until(|| world.note_in_notion(page) == "edit 1", || running.log()).await;
    // Twice: in a hurry.
    running.signal(Signal::TERM);
    running.has_said("stopping").await;
    running.signal(Signal::TERM);
    let told = Instant::now();
    assert_eq!(running.ended().await, Some(0), "{}", running.log());
    assert!(
        told.elapsed() < Duration::from_secs(2),
        "it does not wait for the answer"
    );
    let (pending, holder): (i64, Option<String>) = sqlx::query_as(
        "select (select count(*) from frames_sync.intent where pending), (select holder from frames_sync.lease)",
    )
    .fetch_one(&world.pool)
    .await
    .expect("the state");
    assert_eq!((pending, holder), (1, None));
    let ran = world.project.run(&["sync", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    assert_eq!(
        world.written_notes(),
        ["edit 1"],
        "recognised as ours, and not written again"
    );
}

#[tokio::test]
async fn edited_mappings_are_taken_on_where_they_are_sound() {
    let world = World::with(Setting::default()).await;
    let running = world.run(&[]);
    running.has_run(1).await;
    running.has_said("listening for notes").await;
    let page = world.page("t1");
    world.rewrite(
        "mappings/things.yaml",
        &things("triggers").replace("rich_text", "ritch_text"),
    );
    running.signal(Signal::HUP);
    running.has_said("the old ones stay").await;
    assert!(
        running.log().contains("mappings/things.yaml:10:"),
        "{}",
        running.log()
    );
    world
        .sql("update things set note = 'edit 1' where id = 't1'")
        .await;
    until(|| world.note_in_notion(page) == "edit 1", || running.log()).await;
    // Sound as a file, and still wrong: there is no such column.
    world.rewrite(
        "mappings/things.yaml",
        &things("triggers").replace("column: note", "column: notes"),
    );
    running.signal(Signal::HUP);
    running.has_said("the new settings cannot be used").await;
    world
        .sql("update things set note = 'edit 2' where id = 't1'")
        .await;
    until(|| world.note_in_notion(page) == "edit 2", || running.log()).await;
    // Sound: the name goes nowhere any more.
    let kept = things("triggers").replace("column: name }", "column: name, direction: to_postgres }");
    world.rewrite("mappings/things.yaml", &kept);
    running.signal(Signal::HUP);
    running.has_said("the new settings are in use").await;
    let before = running.cycles().len();
    running.has_run(before + 1).await;
    world
        .sql("update things set note = 'edit 3', name = 'Renamed' where id = 't2'")
        .await;
    let page = world.page("t2");
    until(|| world.note_in_notion(page) == "edit 3", || running.log()).await;
    let title = world
        .simulator
        .workspace(|workspace| workspace.value(page, "Name"));
    assert!(
        title.unwrap_or_default().to_string().contains("Two"),
        "the mapping as edited holds"
    );
}

#[tokio::test]
async fn a_refused_token_stops_its_profile_alone() {
    let world = World::with(Setting {
        profiles: &["cal", "tex"],
        schedule: "every: 1s",
        ..Setting::default()
    })
    .await;
    let arguments = [
        "run",
        "--all-profiles",
        "--format",
        "json",
        "--log-format",
        "json",
    ];
    let mut command = world.project.command(&arguments);
    command.env("TOKEN_1", "ntn_revoked");
    let mut running = world::Running::of(command);
    running.has_said("this profile stops").await;
    let page = world.page("t1");
    for round in 0..3 {
        let note = format!("edit {round}");
        world
            .sql(&format!("update things set note = '{note}' where id = 't1'"))
            .await;
        until(|| world.note_in_notion(page) == note, || running.log()).await;
    }
    let refused = running
        .cycles()
        .iter()
        .filter(|cycle| cycle["profiles"][0]["profile"] == "tex")
        .count();
    assert_eq!(refused, 1, "it does not try again");
    running.signal(Signal::INT);
    assert_eq!(running.ended().await, Some(0));
    let told: Vec<serde_json::Value> = running
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect();
    let stops = |line: &&serde_json::Value| line["level"] == "ERROR" && line["profile"] == "tex";
    assert_eq!(told.iter().filter(stops).count(), 1, "{told:?}");
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_settled_without_waiting_for_the_schedule() {
    let world = World::with(Setting::default()).await;
    let running = world.run(&[]);
    running.has_run(1).await;
    running.has_said("listening for notes").await;
    let page = world.page("t1");
    for (note, applied) in [("edit 1", Applied::No), ("edit 2", Applied::Yes)] {
        world.simulator.clear_exchanges();
        world.simulator.fault(Fault {
            when: Trigger {
                endpoint: Some(PATCH.to_owned()),
                nth: Some(1),
                ..Trigger::default()
            },
            effect: Effect::Dropped { applied },
            times: None,
        });
        world
            .sql(&format!("update things set note = '{note}' where id = 't1'"))
            .await;
        let settled = "select count(*) from frames_sync.intent where pending";
        let begun = Instant::now();
        loop {
            let pending: i64 = sqlx::query_scalar(settled)
                .fetch_one(&world.pool)
                .await
                .expect("the journal");
            if pending == 0 && world.note_in_notion(page) == note {
                break;
            }
            assert!(begun.elapsed() < world::PATIENCE, "{}", running.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let sent = if applied == Applied::Yes { 1 } else { 2 };
        assert_eq!(world.written_notes().len(), sent, "{}", running.log());
        assert_eq!(world.count(QUERY), 0, "nothing is listed for it");
    }
}

#[tokio::test]
async fn a_profile_whose_notion_is_slow_keeps_no_other_waiting() {
    let world = World::with(Setting {
        profiles: &["cal", "tex"],
        ..Setting::default()
    })
    .await;
    let page = world.page("t1");
    let other = world.simulator.workspace(|workspace| {
        let root = workspace.root_page_id();
        workspace.add_text_page(root, "Tex")
    });
    let ran = world
        .project
        .run(&["setup", "--profile", "tex", "--parent-page", &other.to_string()]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let running = world.run(&["--all-profiles"]);
    running.has_run(2).await;
    world.simulator.fault(Fault {
        when: Trigger {
            connection: Some(1),
            ..Trigger::default()
        },
        effect: Effect::Slow { milliseconds: 2500 },
        times: None,
    });
    world
        .sql("update things set note = 'edit 0' where id = 'x1'")
        .await;
    for round in 0..3 {
        let note = format!("edit {round}");
        world
            .sql(&format!("update things set note = '{note}' where id = 't1'"))
            .await;
        until(|| world.note_in_notion(page) == note, || running.log()).await;
    }
    let of_slow = running
        .cycles()
        .iter()
        .filter(|cycle| cycle["profiles"][0]["profile"] == "tex")
        .count();
    assert_eq!(of_slow, 1, "the other one's edit is still on its way");
}

#[tokio::test]
async fn failures_of_the_world_are_waited_out() {
    let world = World::with(Setting::default()).await;
    let running = world.run(&[]);
    running.has_run(1).await;
    running.has_said("listening for notes").await;
    // The database throws everybody out, the listener too.
    world
        .sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'frames-sync%' and pid <> pg_backend_pid()")
        .await;
    let page = world.page("t1");
    world
        .sql("update things set note = 'edit 1' where id = 't1'")
        .await;
    until(|| world.note_in_notion(page) == "edit 1", || running.log()).await;
    // Notion is away for some requests, and what changed meanwhile is not lost.
    world.simulator.fault(Fault {
        when: Trigger::default(),
        effect: Effect::ServerError {
            status: 503,
            applied: Applied::No,
        },
        times: Some(12),
    });
    world
        .sql("update things set note = 'edit 2' where id = 't2'")
        .await;
    let page = world.page("t2");
    until(|| world.note_in_notion(page) == "edit 2", || running.log()).await;
}
