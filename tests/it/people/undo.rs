//! `undo`: what was overwritten or deleted goes back, and from there to the other side.

use std::process::Stdio;
use std::time::{Duration, Instant};

use frames_sync::simulator::{Applied, Effect, Fault, Trigger};
use serde_json::{Value as Json, json};

use super::{entry, history, of, set_up, tune, with};
use crate::sync::world::{Report, World, count, select, text, writes};

const PATCH: &str = "PATCH /v1/pages/{page_id}";

async fn note(world: &World) -> Option<String> {
    world.scalar("select note from things where id = 't1'").await
}

/// The entry of the last write to a property of one side.
#[track_caller]
fn updated(world: &World, side: &str, property: &str) -> Json {
    entry(world, |entry| {
        of(entry, "act") == "updated" && of(entry, "side") == side && of(entry, "property") == property
    })
}

#[track_caller]
fn undo(world: &World, target: &str) -> Report {
    let report = world.run(&["undo", target, "--yes"]);
    assert_eq!(report.code, 0, "{:#}\n{}", report.json, report.stderr);
    report
}

/// Nothing is left to do on either side.
#[track_caller]
fn assert_in_step(world: &World) {
    for _ in 0..2 {
        let (report, exchanges) = world.watched(&["sync", "--full"]);
        assert_eq!(writes(&exchanges).len(), 0, "{:#}", report.json);
    }
}

#[tokio::test]
async fn a_value_pulled_over_another_goes_back_on_both_sides() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    world.edit(page, "Note", text("typed by mistake"));
    world.ok(&["sync"]);
    assert_eq!(note(&world).await.as_deref(), Some("typed by mistake"));
    let pulled = updated(&world, "postgres", "Note");
    let report = undo(&world, of(&pulled, "id"));
    assert_eq!(note(&world).await.as_deref(), Some("a note"));
    assert_eq!(world.text(page, "Note"), "a note");
    assert_eq!(report.json["operations"][0]["kind"], "update_row");
    assert_eq!(
        report.json["operations"][0]["fields"][0]["from"],
        "typed by mistake"
    );
    assert_eq!(report.json["operations"][0]["fields"][0]["to"], "a note");
    assert_in_step(&world);
    // It is in the log as what it is, under a run of its own.
    let undone = updated(&world, "postgres", "Note");
    assert_eq!(of(&undone, "reason"), "a person asked to undo it");
    assert_eq!(of(&undone, "run_id"), of(&report.json["run"], "run_id"));
    assert_ne!(of(&undone, "run_id"), of(&pulled, "run_id"));
}

/// What a person has put back was once sent by us; with Notion's delays taken seriously it must not look like our own
/// late write, nor like the past.
#[tokio::test]
async fn a_value_pushed_over_another_goes_back_on_both_sides_however_late_answers_may_be() {
    for careful in [false, true] {
        let world = set_up().await;
        let page = world.page("Things", "t1");
        world
            .sql("update things set note = 'first' where id = 't1'")
            .await;
        world.ok(&["sync"]);
        if careful {
            tune(&world, "read_lag: 0s", "read_lag: 150s");
            tune(&world, "settle: 0s", "settle: 120s");
        }
        world
            .sql("update things set note = 'second' where id = 't1'")
            .await;
        world.ok(&["sync"]);
        assert_eq!(world.text(page, "Note"), "second");
        let pushed = updated(&world, "notion", "Note");
        assert_eq!((of(&pushed, "from"), of(&pushed, "to")), ("first", "second"));
        let report = undo(&world, of(&pushed, "id"));
        assert_eq!(world.text(page, "Note"), "first", "careful: {careful}");
        assert_eq!(note(&world).await.as_deref(), Some("first"), "careful: {careful}");
        assert_eq!(report.json["operations"][0]["kind"], "update_page");
        assert_in_step(&world);
    }
}

#[tokio::test]
async fn an_undo_can_be_undone_as_a_run_and_entry_by_entry() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    world
        .sql("update things set note = 'second' where id = 't1'")
        .await;
    world.ok(&["sync"]);
    let pushed = updated(&world, "notion", "Note");
    let undone = undo(&world, of(&pushed, "id"));
    assert_eq!(note(&world).await.as_deref(), Some("a note"));
    let again = undo(&world, of(&undone.json["run"], "run_id"));
    assert_eq!(note(&world).await.as_deref(), Some("second"));
    assert_eq!(world.text(page, "Note"), "second");
    assert_in_step(&world);
    undo(&world, of(&again.json["run"], "run_id"));
    assert_eq!(note(&world).await.as_deref(), Some("a note"));
    assert_eq!(world.text(page, "Note"), "a note");
    assert_in_step(&world);
}

#[tokio::test]
async fn a_whole_run_goes_back_on_both_sides_and_in_every_entity() {
    let world = set_up().await;
    let before = (world.rows("things").await, world.rows("groups").await);
    let (one, two, group) = (
        world.page("Things", "t1"),
        world.page("Things", "t2"),
        world.page("Groups", "g1"),
    );
    world.edit(one, "Amount", json!({ "number": 77 }));
    world.edit(one, "Kind", select("green"));
    world.edit(group, "Name", crate::sync::world::title("Renamed"));
    world
        .sql("update things set note = 'from the application', group_id = 'g1' where id = 't2'")
        .await;
    world.ok(&["sync"]);
    assert_eq!(world.text(two, "Note"), "from the application");
    let run = of(&history(&world, &[])[0], "run_id").to_owned();
    undo(&world, &run);
    assert_eq!(world.text(one, "Amount"), "1");
    assert_eq!(world.text(one, "Kind"), "red");
    assert_eq!(world.text(group, "Name"), "First");
    assert_eq!(world.text(two, "Note"), "");
    assert_eq!(
        crate::sync::world::plain(&world.value(two, "Group")),
        world.page("Groups", "g2").to_string()
    );
    // The property was empty, and so the note that was NULL comes back as what an empty property means there.
    let rows: Vec<String> = world.rows("things").await;
    let same = |rows: &[String], id: &str| {
        rows.iter()
            .find(|row| row.starts_with(&format!("({id},")))
            .cloned()
    };
    assert_eq!(same(&rows, "t1"), same(&before.0, "t1"));
    assert_eq!(world.rows("groups").await, before.1);
    assert_in_step(&world);
    // Once more: everything is there already.
    let again = world.run(&["undo", &run, "--yes"]);
    assert_eq!(again.code, 0, "{:#}", again.json);
    assert_eq!(again.json["operations"], json!([]));
    assert_eq!(again.json["run"], Json::Null);
}

#[tokio::test]
async fn what_moved_since_is_left_and_the_rest_goes_back() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    world.edit(page, "Note", text("typed"));
    world.edit(page, "Amount", json!({ "number": 9 }));
    world.ok(&["sync"]);
    let run = of(&updated(&world, "postgres", "Note"), "run_id").to_owned();
    world
        .sql("update things set note = 'newer and dear' where id = 't1'")
        .await;
    let report = world.run(&["undo", &run, "--yes"]);
    assert_eq!(report.code, 1, "{:#}", report.json);
    let left = report.json["left"].as_array().expect("left");
    assert_eq!(left.len(), 1, "{left:#?}");
    assert_eq!(left[0]["code"], "value_moved");
    assert_eq!(left[0]["property"], "Note");
    assert_eq!(left[0]["key"], "t1");
    assert_eq!(note(&world).await.as_deref(), Some("newer and dear"));
    assert_eq!(
        world
            .scalar("select amount::text from things where id = 't1'")
            .await
            .as_deref(),
        Some("1")
    );
    world.ok(&["sync"]);
    assert_eq!(world.text(page, "Note"), "newer and dear");
    assert_eq!(world.text(page, "Amount"), "1");
}

#[tokio::test]
async fn over_an_emptied_value_nothing_is_lost() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    world.edit(page, "Note", text("typed"));
    world.ok(&["sync"]);
    let pulled = updated(&world, "postgres", "Note");
    world.sql("update things set note = null where id = 't1'").await;
    undo(&world, of(&pulled, "id"));
    assert_eq!(note(&world).await.as_deref(), Some("a note"));
    assert_eq!(world.text(page, "Note"), "a note");
}

#[tokio::test]
async fn nothing_is_written_unasked_for() {
    let world = set_up().await;
    world.edit(world.page("Things", "t1"), "Note", text("typed"));
    world.ok(&["sync"]);
    let id = of(&updated(&world, "postgres", "Note"), "id").to_owned();
    let (rows, audits) = (world.rows("things").await, world.audits().await);
    let (report, exchanges) = world.watched(&["undo", &id, "--dry-run"]);
    assert_eq!(report.json["operations"].as_array().map(Vec::len), Some(1));
    assert_eq!(writes(&exchanges).len(), 0);
    world.simulator.clear_exchanges();
    // Nobody can be asked here, and nobody said yes.
    let report = world.run(&["undo", &id]);
    assert_eq!(report.code, 1);
    assert!(report.stderr.contains("--yes"), "{}", report.stderr);
    assert_eq!(writes(&world.simulator.exchanges()).len(), 0);
    assert_eq!((world.rows("things").await, world.audits().await), (rows, audits));
    let text = world.project.run(&["undo", &id, "--dry-run"]).stdout;
    assert!(text.contains("Note: \"typed\" -> \"a note\""), "{text}");
}

#[tokio::test]
async fn an_unknown_target_is_said_to_be_one() {
    let world = set_up().await;
    let ran = world
        .project
        .run(&["undo", "00000000-0000-0000-0000-000000000000", "--yes"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("no entry and no run"), "{}", ran.stderr);
}

#[tokio::test]
async fn undoing_a_first_push_overwrites_nothing_and_takes_nothing_away() {
    let world = set_up().await;
    let before = (world.rows("things").await, world.rows("groups").await);
    let run = of(&history(&world, &[])[0], "run_id").to_owned();
    let (report, exchanges) = world.watched(&["undo", &run, "--yes"]);
    assert_eq!(report.json["operations"], json!([]));
    assert_eq!(writes(&exchanges).len(), 0);
    assert_eq!((world.rows("things").await, world.rows("groups").await), before);
    // Asked for by name it is a refusal, for somebody expected something of it.
    let created = entry(&world, |entry| of(entry, "act") == "created");
    let report = world.run(&["undo", of(&created, "id"), "--yes"]);
    assert_eq!(
        (report.code, of(&report.json["left"][0], "code")),
        (1, "not_undoable")
    );
}

#[tokio::test]
async fn a_one_way_field_is_corrected_where_its_value_comes_from() {
    let world = set_up().await;
    world
        .sql("update things set created_at = '2025-01-01T00:00:00' where id = 't1'")
        .await;
    world.ok(&["sync"]);
    let pushed = updated(&world, "notion", "Created");
    let report = world.run(&["undo", of(&pushed, "id"), "--yes"]);
    assert_eq!(
        (report.code, of(&report.json["left"][0], "code")),
        (1, "not_undoable")
    );
    assert!(of(&report.json["left"][0], "message").contains("correct the row"));
    assert!(
        world
            .text(world.page("Things", "t1"), "Created")
            .starts_with("2025-01-01")
    );
}

#[tokio::test]
async fn the_loser_of_a_conflict_goes_back() {
    let world = with("conflict: postgres_wins").await;
    let page = world.page("Things", "t1");
    world.edit(page, "Note", text("from Notion"));
    world
        .sql("update things set note = 'from Postgres' where id = 't1'")
        .await;
    world.ok(&["sync"]);
    assert_eq!(world.text(page, "Note"), "from Postgres");
    let lost = entry(&world, |entry| of(entry, "act") == "overruled");
    assert_eq!(of(&lost, "from"), "from Notion");
    undo(&world, of(&lost, "id"));
    assert_eq!(note(&world).await.as_deref(), Some("from Notion"));
    assert_eq!(world.text(page, "Note"), "from Notion");
    assert_in_step(&world);
}

#[tokio::test]
async fn a_deleted_row_and_its_page_come_back_whole_and_can_go_again() {
    let world = set_up().await;
    let page = world.page("Things", "t1");
    // Of a document in a `json` column the content is remembered, not the blanks.
    world
        .sql("update things set meta = '{\"a\":1}' where id = 't1'")
        .await;
    world.ok(&["sync"]);
    let before = world.rows("things").await;
    world.sql("delete from things where id = 't1'").await;
    world.ok(&["sync"]);
    assert_eq!(world.trashed("Things"), [page]);
    let trashed = entry(&world, |entry| of(entry, "act") == "deleted");
    let report = undo(&world, of(&trashed, "id"));
    assert_eq!(report.json["operations"][0]["kind"], "insert_row");
    // Columns that only go to Notion too, which the page could not give back.
    assert_eq!(world.rows("things").await, before);
    assert_eq!(world.page("Things", "t1"), page);
    assert_eq!(world.text(page, "Note"), "a note");
    assert_in_step(&world);
    // The undo undone: the row goes again, and its page with it.
    undo(&world, of(&report.json["run"], "run_id"));
    assert_eq!(world.scalar("select id from things where id = 't1'").await, None);
    assert_eq!(world.trashed("Things"), [page]);
    assert_in_step(&world);
    undo(&world, of(&history(&world, &[])[0], "run_id"));
    assert_eq!(world.rows("things").await, before);
    assert_eq!(world.page("Things", "t1"), page);
    assert_in_step(&world);
}

#[tokio::test]
async fn a_row_whose_key_was_given_away_stays_gone() {
    let world = set_up().await;
    world.sql("delete from things where id = 't3'").await;
    world.ok(&["sync"]);
    let trashed = entry(&world, |entry| of(entry, "act") == "deleted");
    world
        .sql("insert into things (id, name, org) values ('t3', 'Of another', 'tex')")
        .await;
    let report = world.run(&["undo", of(&trashed, "id"), "--yes"]);
    assert_eq!(
        (report.code, of(&report.json["left"][0], "code")),
        (1, "not_undoable")
    );
    assert_eq!(
        world
            .scalar("select name from things where id = 't3'")
            .await
            .as_deref(),
        Some("Of another")
    );
}

#[tokio::test]
async fn a_row_deleted_with_its_page_comes_back_with_the_columns_that_no_property_shows() {
    let world = with("on_page_trash: hard_delete").await;
    world
        .sql(
            "alter table things add column secret_sauce text not null default 'plain', \
              add column number bigint generated always as identity",
        )
        .await;
    world
        .sql("update things set secret_sauce = 'very hot' where id = 't2'")
        .await;
    let before = world.rows("things").await;
    let page = world.page("Things", "t2");
    world.simulator.workspace(|workspace| workspace.trash(page));
    world.ok(&["sync"]);
    assert_eq!(world.scalar("select id from things where id = 't2'").await, None);
    let deleted = entry(&world, |entry| of(entry, "act") == "deleted");
    undo(&world, of(&deleted, "id"));
    assert_eq!(world.rows("things").await, before);
    assert_eq!(
        world.page("Things", "t2"),
        page,
        "and its page is out of the trash"
    );
    assert_in_step(&world);
}

#[tokio::test]
async fn a_softly_deleted_row_comes_back_and_can_go_again() {
    let world = with("on_page_trash: soft_delete\nsoft_delete: { note: \"gone\" }").await;
    let before = world.rows("things").await;
    let page = world.page("Things", "t1");
    world.simulator.workspace(|workspace| workspace.trash(page));
    world.ok(&["sync"]);
    assert_eq!(note(&world).await.as_deref(), Some("gone"));
    let deleted = entry(&world, |entry| of(entry, "act") == "deleted");
    let report = undo(&world, of(&deleted, "id"));
    assert_eq!(world.rows("things").await, before);
    assert_eq!(world.page("Things", "t1"), page);
    assert_eq!(world.text(page, "Note"), "a note");
    assert_in_step(&world);
    undo(&world, of(&report.json["run"], "run_id"));
    assert_eq!(note(&world).await.as_deref(), Some("gone"));
    assert_eq!(world.trashed("Things"), [page]);
    assert_in_step(&world);
}

#[tokio::test]
async fn a_row_out_of_scope_brings_its_page_back_by_itself_alone() {
    let world = set_up().await;
    world.sql("update things set org = 'tex' where id = 't2'").await;
    world.ok(&["sync"]);
    let trashed = entry(&world, |entry| of(entry, "act") == "deleted");
    let report = world.run(&["undo", of(&trashed, "id"), "--yes"]);
    assert_eq!(
        (report.code, of(&report.json["left"][0], "code")),
        (1, "not_undoable")
    );
    assert!(of(&report.json["left"][0], "message").contains("scope"));
    assert_eq!(world.trashed("Things").len(), 1);
}

#[tokio::test]
async fn an_undo_that_is_killed_is_finished_by_the_next_one() {
    let world = set_up().await;
    world
        .sql("insert into things (id, name, org, note) select 'n' || n, 'N' || n, 'cal', 'old' from generate_series(1, 60) n")
        .await;
    world.ok(&["sync"]);
    world
        .sql("update things set note = 'new' where id like 'n%' and length(id) = 3 and id < 'n35'")
        .await;
    world.ok(&["sync"]);
    let run = of(&updated(&world, "notion", "Note"), "run_id").to_owned();
    for after in [1, 4, 9] {
        world.simulator.clear_exchanges();
        let mut child = world
            .project
            .command(&["undo", &run, "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the built binary runs");
        let start = Instant::now();
        while count(&world.simulator.exchanges(), PATCH) < after && start.elapsed() < Duration::from_secs(20)
        {
            std::thread::yield_now();
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("its end");
        world
            .sql("update frames_sync.lease set expires_at = now() - interval '1 second'")
            .await;
    }
    undo(&world, &run);
    world.ok(&["sync"]);
    let old = "select count(*)::text from things where note = 'old' and id like 'n%'";
    assert_eq!(world.scalar(old).await.as_deref(), Some("60"));
    for page in world.pages("Things") {
        if world.text(page, "postgres_id").starts_with('n') {
            assert_eq!(world.text(page, "Note"), "old");
        }
    }
    assert_in_step(&world);
}

#[tokio::test]
async fn an_edit_that_was_never_written_cannot_be_put_back() {
    let world = set_up().await;
    world.edit(world.page("Things", "t2"), "Note", text("typed for cal"));
    world.sql("update things set org = 'tex' where id = 't2'").await;
    world.ok(&["sync"]);
    let rejected = entry(&world, |entry| of(entry, "act") == "rejected");
    assert_eq!(of(&rejected, "from"), "typed for cal");
    let report = world.run(&["undo", of(&rejected, "id"), "--yes"]);
    assert_eq!(
        (report.code, of(&report.json["left"][0], "code")),
        (1, "not_undoable")
    );
    assert_eq!(
        world.scalar("select note from things where id = 't2'").await,
        None,
        "another tenant's row is not written"
    );
}

#[tokio::test]
async fn a_padded_column_is_put_back_too() {
    let world = World::with(
        "create table things (id text primary key, name text not null, org text, code char(6));
         insert into things values ('t1', 'One', 'cal', 'ab');",
        &[(
            "things",
            "version: 1
entity: things
table: public.things
key: id
scope: { org: \"{{ vars.org }}\" }
notion: { title: Things }
properties:
  Name: { type: title, column: name }
  Code: { type: rich_text, column: code }
",
        )],
    )
    .await;
    world.ok(&["setup"]);
    let page = world.page("Things", "t1");
    world.edit(page, "Code", text("cd"));
    world.ok(&["sync"]);
    undo(&world, of(&updated(&world, "postgres", "Code"), "id"));
    assert_eq!(
        world.scalar("select trim(code) from things").await.as_deref(),
        Some("ab")
    );
    assert_eq!(world.text(page, "Code"), "ab");
    assert_in_step(&world);
}

#[tokio::test]
async fn an_undo_whose_answer_is_lost_is_told_and_settled_by_looking() {
    for applied in [Applied::Yes, Applied::No] {
        let world = set_up().await;
        let page = world.page("Things", "t1");
        world
            .sql("update things set note = 'second' where id = 't1'")
            .await;
        world.ok(&["sync"]);
        let pushed = updated(&world, "notion", "Note");
        world.simulator.fault(Fault {
            when: Trigger {
                endpoint: Some(PATCH.to_owned()),
                nth: Some(1),
                ..Trigger::default()
            },
            effect: Effect::Dropped { applied },
            times: None,
        });
        let report = world.run(&["undo", of(&pushed, "id"), "--yes"]);
        assert_eq!(
            (report.code, of(&report.json["left"][0], "code")),
            (1, "outcome_unknown")
        );
        world.ok(&["sync"]);
        if applied == Applied::Yes {
            // It had arrived, and is a person's edit: it travels, and the log has it.
            assert_eq!(note(&world).await.as_deref(), Some("a note"));
            let undone = entry(&world, |entry| of(entry, "reason") == "a person asked to undo it");
            assert_eq!((of(&undone, "from"), of(&undone, "to")), ("second", "a note"));
        } else {
            assert_eq!(note(&world).await.as_deref(), Some("second"));
            undo(&world, of(&pushed, "id"));
            assert_eq!(note(&world).await.as_deref(), Some("a note"));
        }
        assert_eq!(world.text(page, "Note"), "a note");
        assert_in_step(&world);
    }
}

#[tokio::test]
async fn somebody_elses_lease_is_respected() {
    let world = set_up().await;
    world.edit(world.page("Things", "t1"), "Note", text("typed"));
    world.ok(&["sync"]);
    let pulled = updated(&world, "postgres", "Note");
    world
        .sql("update frames_sync.lease set holder = 'another-machine', expires_at = now() + interval '1 minute'")
        .await;
    let report = world.run(&["undo", of(&pulled, "id"), "--yes"]);
    assert_eq!(
        (report.code, of(&report.json["run"]["failure"], "code")),
        (3, "profile_busy")
    );
    assert_eq!(note(&world).await.as_deref(), Some("typed"));
}
