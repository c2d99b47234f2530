//! Records that come and go, row by row of the existence table.

use frames_sync::mapping::{OnPageCreate, OnPageTrash};
use frames_sync::ports::{Approval, PageParent, Store};
use frames_sync::reconcile::Phase;
use frames_sync::report::{Command, ErrorCode, Outcome};
use frames_sync::simulator::table::Table;
use frames_sync::value::{RecordKey, Value};

use super::pages::text_of;
use super::world::{Options, World, team_columns};

fn phase(world: &World, key: &RecordKey) -> Phase {
    world
        .store
        .links()
        .into_iter()
        .find(|link| link.key == *key)
        .unwrap()
        .phase
}

#[tokio::test]
async fn a_deleted_row_trashes_its_page_and_a_row_with_its_key_takes_the_page_back() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.team("team_2", "Comets");
    world.settled().await;
    let page = world.page_of(&key);
    world.tables.delete("teams", &key);
    let report = world.sync().await;
    assert_eq!(report.pages_trashed, 1);
    assert!(world.pages.page(&page).in_trash);
    assert_eq!(phase(&world, &key), Phase::Tombstone);
    world.assert_at_rest().await;
    world.team("team_1", "Again");
    world.sync().await;
    assert!(
        !world.pages.page(&page).in_trash,
        "E13: the trashed page is restored"
    );
    assert_eq!(text_of(&world.pages.page(&page), "name"), "Again");
    world.assert_at_rest().await;
}

#[tokio::test]
async fn edit_and_delete_is_a_conflict_that_keeps_the_page() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.team("team_2", "Comets");
    world.settled().await;
    let page = world.page_of(&key);
    world.pages.edit(&page, "name", Value::rich("Edited"));
    world.tables.delete("teams", &key);
    let report = world.sync().await;
    assert_eq!((report.pages_trashed, report.conflicts_opened), (0, 1));
    assert!(!world.pages.page(&page).in_trash);
    assert_eq!(text_of(&world.pages.page(&page), "sync_status"), "conflict");
    let open = world.store.open_conflicts(None).await.unwrap();
    assert!(
        world
            .store
            .choose(open[0].id, 1, frames_sync::reconcile::Side::Notion)
            .await
            .unwrap()
    );
    world.sync().await;
    assert_eq!(
        world.column(&key, "name"),
        Value::text("Edited"),
        "the row is put back under its key"
    );
}

#[tokio::test]
async fn a_trashed_page_is_held_and_coming_back_is_synced_again() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.team("team_2", "Comets");
    world.settled().await;
    let page = world.page_of(&key);
    world.pages.change(&page, |page| page.in_trash = true);
    world.clock.advance(1000);
    let report = world.sync().await;
    assert_eq!(report.rows_deleted, 0);
    assert_eq!(phase(&world, &key), Phase::Held);
    assert!(world.tables.row("teams", &key).is_some());
    world.assert_at_rest().await;
    world.pages.change(&page, |page| page.in_trash = false);
    world.pages.edit(&page, "name", Value::rich("Back"));
    world.sync().await;
    assert_eq!(phase(&world, &key), Phase::Linked);
    assert_eq!(world.column(&key, "name"), Value::text("Back"));
}

#[tokio::test]
async fn a_page_trashed_while_its_row_was_edited_is_restored() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    let page = world.page_of(&key);
    world.pages.change(&page, |page| page.in_trash = true);
    world.tables.set("teams", &key, "name", Value::text("Edited"));
    let report = world.sync().await;
    assert_eq!(report.pages_restored, 1);
    assert!(!world.pages.page(&page).in_trash);
    assert_eq!(text_of(&world.pages.page(&page), "name"), "Edited");
}

#[tokio::test]
async fn hard_delete_removes_the_row_and_keeps_it_in_the_audit_log() {
    let mut options = Options::default();
    options.presence.on_page_trash = OnPageTrash::HardDelete;
    let world = World::with(options);
    let key = world.team("team_1", "Rockets");
    world.team("team_2", "Comets");
    world.settled().await;
    world
        .pages
        .change(&world.page_of(&key), |page| page.in_trash = true);
    world.clock.advance(1000);
    let report = world.sync().await;
    assert_eq!(report.rows_deleted, 1);
    assert!(world.tables.row("teams", &key).is_none());
    let kept = world.store.audit_log().into_iter().any(|entry| {
        matches!(entry.old, Some(frames_sync::journal::Kept::Record(ref columns)) if columns["name"] == Value::text("Rockets"))
    });
    assert!(kept);
    world.assert_at_rest().await;
}

#[tokio::test]
async fn a_row_that_leaves_the_scope_takes_its_page_along_and_brings_it_back() {
    let table = Table::new(&["id"]).scope(|columns| columns["size"] != Value::Null);
    let world = World::with(Options {
        table,
        ..Options::default()
    });
    let key = world.team("team_1", "Rockets");
    world.team("team_2", "Comets");
    world.settled().await;
    let page = world.page_of(&key);
    world.tables.set("teams", &key, "size", Value::Null);
    let report = world.sync().await;
    assert_eq!(report.pages_trashed, 1);
    assert_eq!(phase(&world, &key), Phase::LeftScope);
    world.assert_at_rest().await;
    world.tables.put("teams", team_columns("team_1", "Returned"));
    let report = world.sync().await;
    assert_eq!(report.pages_restored, 1);
    assert_eq!(text_of(&world.pages.page(&page), "name"), "Returned");
    world.assert_at_rest().await;
}

#[tokio::test]
async fn a_moved_page_is_no_longer_written() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    let page = world.page_of(&key);
    world
        .pages
        .change(&page, |page| page.parent = PageParent::Elsewhere);
    world.tables.set("teams", &key, "name", Value::text("Edited"));
    world.sync().await;
    assert_eq!(phase(&world, &key), Phase::Detached);
    assert_eq!(text_of(&world.pages.page(&page), "name"), "Rockets");
}

#[tokio::test]
async fn an_inaccessible_page_is_held_and_never_replaced() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    world.pages.hide(&world.page_of(&key));
    world.tables.set("teams", &key, "name", Value::text("Edited"));
    let report = world.sync().await;
    assert_eq!((report.pages_created, report.rows_deleted), (0, 0));
    assert_eq!(phase(&world, &key), Phase::Held);
}

#[tokio::test]
async fn a_page_made_by_a_person_becomes_a_row_once_it_has_rested() {
    let mut options = Options::default();
    options.presence.on_page_create = OnPageCreate::InsertRow;
    let world = World::with(options);
    world.team("team_1", "Rockets");
    world.settled().await;
    let page = world.pages.make("teams", &[("name", Value::rich("Made here"))]);
    assert_eq!(
        world.sync().await.rows_inserted,
        0,
        "a person may still be typing"
    );
    world.clock.advance(200);
    let report = world.sync().await;
    assert_eq!(report.rows_inserted, 1);
    let key = RecordKey::single("team_new_1");
    assert_eq!(world.column(&key, "name"), Value::text("Made here"));
    assert_eq!(text_of(&world.pages.page(&page), "postgres_id"), "team_new_1");
    world.clock.advance(300);
    world.assert_at_rest().await;
}

#[tokio::test]
async fn a_page_without_its_required_name_does_not_become_a_row() {
    let mut options = Options::default();
    options.presence.on_page_create = OnPageCreate::InsertRow;
    let world = World::with(options);
    world.pages.make("teams", &[]);
    world.clock.advance(1000);
    assert_eq!(world.sync().await.rows_inserted, 0);
    assert!(world.tables.keys("teams").is_empty());
}

#[tokio::test]
async fn a_duplicated_page_is_flagged_and_its_edits_are_not_read() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    let copy = world.pages.make(
        "teams",
        &[
            ("name", Value::rich("Copy")),
            ("postgres_id", Value::rich("team_1")),
        ],
    );
    let report = world.sync().await;
    assert_eq!(report.errors[0].code, ErrorCode::DuplicatePage);
    assert_eq!(text_of(&world.pages.page(&copy), "sync_status"), "duplicate");
    assert_eq!(world.column(&key, "name"), Value::text("Rockets"));
}

#[tokio::test]
async fn an_unknown_id_gets_one_answer_whether_the_key_exists_or_not() {
    let table = Table::new(&["id"]).scope(|columns| columns["size"] != Value::Null);
    let world = World::with(Options {
        table,
        ..Options::default()
    });
    world.team("team_1", "Rockets");
    let foreign = world.team("foreign", "Theirs");
    world.tables.set("teams", &foreign, "size", Value::Null);
    world.settled().await;
    world
        .pages
        .make("teams", &[("postgres_id", Value::rich("foreign"))]);
    world
        .pages
        .make("teams", &[("postgres_id", Value::rich("nowhere"))]);
    let report = world.sync().await;
    let answers: Vec<(ErrorCode, &str)> = report
        .errors
        .iter()
        .map(|error| (error.code, error.message.as_str()))
        .collect();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, ErrorCode::UnknownId);
}

#[tokio::test]
async fn an_edited_label_is_written_back_and_never_relinks() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.team("team_2", "Comets");
    world.settled().await;
    let page = world.page_of(&key);
    world.pages.edit(&page, "postgres_id", Value::rich("team_2"));
    let report = world.sync().await;
    assert_eq!((report.rows_inserted, report.rows_updated), (0, 0));
    assert_eq!(text_of(&world.pages.page(&page), "postgres_id"), "team_1");
    world.assert_at_rest().await;
}

#[tokio::test]
async fn a_mass_delete_is_refused_before_the_first_write_and_an_approval_lets_it_pass_once() {
    let world = World::new();
    for number in 0..40 {
        world.team(&format!("team_{number:02}"), "Team");
    }
    world.settled().await;
    for number in 0..10 {
        world
            .tables
            .delete("teams", &RecordKey::single(format!("team_{number:02}")));
    }
    let report = world.run(Command::Sync).await;
    assert_eq!(report.outcome, Outcome::Refused);
    let refusal = report
        .entities
        .iter()
        .flat_map(|entity| &entity.refusals)
        .next()
        .unwrap()
        .clone();
    assert_eq!(refusal.code, ErrorCode::DeleteCap);
    assert_eq!(world.pages.live("teams").len(), 40);
    let expires_at = time::macros::datetime!(2027-01-01 0:00 UTC);
    world
        .store
        .approve(&Approval {
            hash: refusal.approve,
            expires_at,
        })
        .await
        .unwrap();
    let report = world.run(Command::Sync).await;
    assert_eq!(report.outcome, Outcome::Ok);
    assert_eq!(world.pages.live("teams").len(), 30);
}

#[tokio::test]
async fn an_empty_table_deletes_nothing() {
    let world = World::new();
    let keys = [world.team("team_1", "Rockets"), world.team("team_2", "Comets")];
    world.settled().await;
    for key in &keys {
        world.tables.delete("teams", key);
    }
    let report = world.run(Command::Sync).await;
    assert_eq!(report.outcome, Outcome::Refused);
    assert_eq!(world.pages.live("teams").len(), 2);
}
