//! Fields: first push, pushes, pulls, conflicts, and the requests they cost.

use frames_sync::journal::ConflictStatus;
use frames_sync::mapping::{ConflictPolicy, Direction};
use frames_sync::ports::{ColumnRejection, Store};
use frames_sync::reconcile::Side;
use frames_sync::report::{Command, ErrorCode, Outcome};
use frames_sync::simulator::table::Table;
use frames_sync::value::{Choice, Number, Value};

use super::pages::text_of;
use super::world::{Options, World};

#[tokio::test]
async fn the_first_push_creates_one_page_per_row_and_then_rests() {
    let world = World::new();
    for number in 0..60 {
        world.team(&format!("team_{number:02}"), "Team");
    }
    let report = world.run(Command::Setup).await;
    assert_eq!(report.outcome, Outcome::Ok);
    let requests = world.pages.take_requests();
    let creates = requests
        .iter()
        .filter(|request| request.starts_with("create"))
        .count();
    assert_eq!(
        (creates, requests.len()),
        (60, 62),
        "one create per row and one query per entity"
    );
    assert_eq!(world.pages.live("teams").len(), 60);
    world.assert_at_rest().await;
}

#[tokio::test]
async fn an_edited_column_becomes_one_read_and_a_patch_of_that_property() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    world.tables.set("teams", &key, "name", Value::text("Comets"));
    let report = world.sync().await;
    assert_eq!((report.pages_updated, report.rows_updated), (1, 0));
    let requests = world.pages.take_requests();
    assert_eq!(
        requests
            .iter()
            .filter(|request| !request.starts_with("query"))
            .count(),
        2,
        "{requests:?}"
    );
    let sent = world.pages.take_sent();
    let names: Vec<&str> = sent[0].properties.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(names, ["name", "last_synced"]);
    assert_eq!(text_of(&world.pages.page(&world.page_of(&key)), "name"), "Comets");
    world.assert_at_rest().await;
}

#[tokio::test]
async fn an_edited_property_becomes_one_read_and_one_column() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    world
        .pages
        .edit(&world.page_of(&key), "name", Value::rich("Comets"));
    let report = world.sync().await;
    assert_eq!((report.pages_updated, report.rows_updated), (0, 1));
    let requests = world.pages.take_requests();
    assert_eq!(
        requests
            .iter()
            .filter(|request| request.starts_with("read"))
            .count(),
        1
    );
    assert_eq!(world.column(&key, "name"), Value::text("Comets"));
    world.assert_at_rest().await;
}

#[tokio::test]
async fn edits_of_two_fields_on_two_sides_are_no_conflict() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    world
        .pages
        .edit(&world.page_of(&key), "name", Value::rich("Comets"));
    world
        .tables
        .set("teams", &key, "size", Value::Number(Number::from(9)));
    let report = world.sync().await;
    assert_eq!(
        (report.rows_updated, report.pages_updated, report.conflicts_opened),
        (1, 1, 0)
    );
    assert_eq!(world.column(&key, "name"), Value::text("Comets"));
    assert_eq!(text_of(&world.pages.page(&world.page_of(&key)), "size"), "9");
    world.assert_at_rest().await;
}

#[tokio::test]
async fn a_conflict_goes_to_the_side_that_the_policy_names_and_keeps_the_loser() {
    for (policy, expected) in [
        (ConflictPolicy::PostgresWins, "Row"),
        (ConflictPolicy::NotionWins, "Page"),
    ] {
        let world = World::with(Options {
            conflict: policy,
            ..Options::default()
        });
        let key = world.team("team_1", "Rockets");
        world.settled().await;
        world
            .pages
            .edit(&world.page_of(&key), "name", Value::rich("Page"));
        world.tables.set("teams", &key, "name", Value::text("Row"));
        let report = world.sync().await;
        assert_eq!((report.conflicts_opened, report.conflicts_resolved), (0, 1));
        assert_eq!(world.column(&key, "name"), Value::text(expected));
        assert_eq!(text_of(&world.pages.page(&world.page_of(&key)), "name"), expected);
        let overruled = world
            .store
            .audit_log()
            .into_iter()
            .filter(|entry| entry.act == frames_sync::journal::Act::Overruled)
            .count();
        assert_eq!(overruled, 1);
        world.assert_at_rest().await;
    }
}

#[tokio::test]
async fn a_manual_conflict_waits_for_a_person_and_then_takes_that_side() {
    let world = World::with(Options {
        conflict: ConflictPolicy::Manual,
        ..Options::default()
    });
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    let page = world.page_of(&key);
    world.pages.edit(&page, "name", Value::rich("Page"));
    world.tables.set("teams", &key, "name", Value::text("Row"));
    world
        .tables
        .set("teams", &key, "size", Value::Number(Number::from(9)));
    let report = world.sync().await;
    assert_eq!(report.conflicts_opened, 1);
    assert_eq!(
        text_of(&world.pages.page(&page), "size"),
        "9",
        "other fields flow"
    );
    assert_eq!(text_of(&world.pages.page(&page), "name"), "Page");
    assert_eq!(text_of(&world.pages.page(&page), "sync_status"), "conflict");
    world.clock.advance(300);
    world.assert_at_rest().await;
    let open = world.store.open_conflicts(None).await.unwrap();
    assert_eq!(open.len(), 1);
    assert!(
        !world
            .store
            .choose(open[0].id, open[0].rev + 1, Side::Notion)
            .await
            .unwrap()
    );
    assert!(
        world
            .store
            .choose(open[0].id, open[0].rev, Side::Notion)
            .await
            .unwrap()
    );
    let report = world.sync().await;
    assert_eq!(report.conflicts_resolved, 1);
    assert_eq!(world.column(&key, "name"), Value::text("Page"));
    assert_eq!(text_of(&world.pages.page(&page), "sync_status"), "synced");
    let closed = world.store.conflict(open[0].id).await.unwrap().unwrap();
    assert_eq!(closed.status, ConflictStatus::Resolved(Side::Notion));
    world.clock.advance(300);
    world.assert_at_rest().await;
}

#[tokio::test]
async fn the_same_edit_on_both_sides_is_no_conflict_and_no_write() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    world
        .pages
        .edit(&world.page_of(&key), "name", Value::rich("Comets"));
    world.tables.set("teams", &key, "name", Value::text("Comets"));
    let report = world.sync().await;
    assert_eq!(
        (
            report.rows_updated,
            report.pages_updated,
            report.conflicts_resolved
        ),
        (0, 0, 0)
    );
    world.assert_at_rest().await;
}

#[tokio::test]
async fn an_edit_of_a_one_way_field_is_put_back_and_kept() {
    let world = World::with(Options {
        name_direction: Direction::ToNotion,
        ..Options::default()
    });
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    let page = world.page_of(&key);
    world.pages.edit(&page, "name", Value::rich("Mine"));
    world.sync().await;
    assert_eq!(text_of(&world.pages.page(&page), "name"), "Rockets");
    assert_eq!(world.column(&key, "name"), Value::text("Rockets"));
    let rejected = world
        .store
        .audit_log()
        .iter()
        .filter(|entry| entry.act == frames_sync::journal::Act::Rejected)
        .count();
    assert_eq!(rejected, 1);
    world.assert_at_rest().await;
}

#[tokio::test]
async fn an_unknown_option_is_an_error_of_its_field_and_the_others_flow() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    world.tables.set("teams", &key, "status", Value::text("paused"));
    world.tables.set("teams", &key, "name", Value::text("Comets"));
    let report = world.sync().await;
    assert_eq!(report.errors.len(), 1);
    assert_eq!(report.errors[0].code, ErrorCode::UnknownOption);
    assert_eq!(report.errors[0].property.as_deref(), Some("status"));
    let page = world.pages.page(&world.page_of(&key));
    assert_eq!(text_of(&page, "name"), "Comets");
    assert_eq!(text_of(&page, "status"), "active");
    assert_eq!(text_of(&page, "sync_status"), "error");
    world.pages.take_requests();
    let report = world.sync().await;
    assert_eq!(report.errors.len(), 1, "still reported");
    assert!(
        world
            .pages
            .take_requests()
            .iter()
            .all(|request| request.starts_with("query")),
        "and left alone"
    );
    world
        .tables
        .set("teams", &key, "status", Value::text("completed"));
    let report = world.sync().await;
    assert_eq!(report.errors.len(), 0);
    assert_eq!(
        text_of(&world.pages.page(&world.page_of(&key)), "sync_status"),
        "synced"
    );
    world.assert_at_rest().await;
}

#[tokio::test]
async fn a_refused_value_stays_in_notion_and_the_other_fields_are_pulled() {
    let table = Table::new(&["id"]).constraint(|columns| {
        (columns["name"] == Value::text("")).then(|| ColumnRejection {
            sqlstate: "23514".to_owned(),
            constraint: Some("name_not_empty".to_owned()),
            column: None,
        })
    });
    let world = World::with(Options {
        table,
        ..Options::default()
    });
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    let page = world.page_of(&key);
    world.pages.edit(&page, "name", Value::rich(""));
    world.pages.edit(
        &page,
        "status",
        Value::Choice(Choice {
            name: "completed".to_owned(),
            id: None,
        }),
    );
    let report = world.sync().await;
    assert_eq!(report.errors.len(), 1);
    assert_eq!(report.errors[0].code, ErrorCode::ConstraintViolation);
    assert!(report.errors[0].message.contains("name_not_empty"));
    assert_eq!(world.column(&key, "status"), Value::text("completed"));
    assert_eq!(world.column(&key, "name"), Value::text("Rockets"));
    assert_eq!(text_of(&world.pages.page(&page), "sync_status"), "error");
}

#[tokio::test]
async fn what_a_trigger_stores_instead_is_pushed_back_once() {
    let table = Table::new(&["id"]).trigger(|columns| {
        if let Some(Value::Text(name)) = columns.get("name") {
            let name = Value::text(name.to_uppercase());
            columns.insert("name".to_owned(), name);
        }
    });
    let world = World::with(Options {
        table,
        ..Options::default()
    });
    let key = world.team("team_1", "ROCKETS");
    world.settled().await;
    let page = world.page_of(&key);
    world.pages.edit(&page, "name", Value::rich("comets"));
    let report = world.sync().await;
    assert_eq!((report.rows_updated, report.pages_updated), (1, 1));
    assert_eq!(text_of(&world.pages.page(&page), "name"), "COMETS");
    world.clock.advance(300);
    world.assert_at_rest().await;
}

#[tokio::test]
async fn a_relation_follows_its_record_even_when_both_are_new() {
    let world = World::new();
    world.project("p1");
    let key = world.team("team_1", "Rockets");
    world.tables.set("teams", &key, "project_id", Value::text("p1"));
    let stray = world.team("team_2", "Comets");
    world
        .tables
        .set("teams", &stray, "project_id", Value::text("elsewhere"));
    let report = world.run(Command::Setup).await;
    let page = world.pages.page(&world.page_of(&key));
    assert!(
        text_of(&page, "project_id").contains("page-"),
        "{}",
        text_of(&page, "project_id")
    );
    let teams = report
        .entities
        .iter()
        .find(|entity| entity.entity == "teams")
        .unwrap();
    assert_eq!(
        teams.errors,
        [],
        "a reference that leads out of the profile is no error"
    );
    assert_eq!(
        text_of(&world.pages.page(&world.page_of(&stray)), "project_id"),
        "[]"
    );
    world.clock.advance(300);
    world.assert_at_rest().await;
}

#[tokio::test]
async fn an_opted_out_record_is_left_alone_both_ways_until_the_box_is_cleared() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    let page = world.page_of(&key);
    world.pages.edit(&page, "paused", Value::Bool(true));
    world.sync().await;
    world.pages.edit(&page, "name", Value::rich("Page"));
    world
        .tables
        .set("teams", &key, "size", Value::Number(Number::from(9)));
    world.sync().await;
    assert_eq!(world.column(&key, "name"), Value::text("Rockets"));
    assert_eq!(text_of(&world.pages.page(&page), "size"), "5");
    world.clock.advance(120);
    world.pages.edit(&page, "paused", Value::Bool(false));
    world.sync().await;
    assert_eq!(world.column(&key, "name"), Value::text("Page"));
    assert_eq!(text_of(&world.pages.page(&page), "size"), "9");
}

#[tokio::test]
async fn push_writes_no_row_and_pull_writes_no_page_and_nothing_is_forgotten() {
    let world = World::new();
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    let page = world.page_of(&key);
    world.pages.edit(&page, "name", Value::rich("Page"));
    world
        .tables
        .set("teams", &key, "size", Value::Number(Number::from(9)));
    world.run(Command::Push).await;
    assert_eq!(world.column(&key, "name"), Value::text("Rockets"));
    assert_eq!(text_of(&world.pages.page(&page), "size"), "9");
    world
        .tables
        .set("teams", &key, "size", Value::Number(Number::from(7)));
    world.run(Command::Pull).await;
    assert_eq!(world.column(&key, "name"), Value::text("Page"));
    assert_eq!(text_of(&world.pages.page(&page), "size"), "9");
    world.sync().await;
    assert_eq!(text_of(&world.pages.page(&page), "size"), "7");
    world.assert_at_rest().await;
}
