//! `capture: { updated_at }`: the column by which the application says when it changed a row.

use std::sync::Arc;

use frames_sync::engine::row_columns;
use frames_sync::mapping::{Capture, Scene, parse, validate};
use frames_sync::postgres::introspect;
use frames_sync::reconcile::Reason;
use frames_sync::schema::TableName;
use frames_sync::simulator::table::Table;
use frames_sync::value::Value;

use super::pages::text_of;
use super::world::{Options, World, team_columns};
use crate::support::TestDatabase;

#[tokio::test]
async fn the_column_tells_which_side_was_probably_later() {
    let world = World::with(Options {
        capture: Capture::UpdatedAt {
            column: "changed".to_owned(),
        },
        table: Table::new(&["id"]).updated_at("changed"),
        ..Options::default()
    });
    let key = world.team("team_1", "Rockets");
    world.settled().await;
    let page = world.page_of(&key);
    world.clock.advance(200);
    let mut row = team_columns("team_1", "Row");
    let now = frames_sync::ports::Clock::now(&*world.clock).unix_timestamp();
    let changed = jiff::Timestamp::from_second(now).unwrap();
    row.insert("changed".to_owned(), Value::Instant(changed));
    world.tables.put("teams", row);
    world.clock.advance(800);
    world.pages.edit(&page, "name", Value::rich("Page"));
    world.clock.advance(30);
    let report = world.sync().await;
    assert_eq!(report.conflicts_resolved, 1);
    assert_eq!(world.column(&key, "name"), Value::text("Page"));
    assert_eq!(text_of(&world.pages.page(&page), "name"), "Page");
    let audit = world.store.audit_log();
    let last = audit
        .iter()
        .rfind(|entry| entry.cause == Reason::NotionWasProbablyLater);
    assert!(last.is_some(), "{audit:#?}");
}

#[tokio::test]
async fn rows_are_read_with_the_column() {
    let (_database, pool) = TestDatabase::with(
        "create table teams (id text primary key, name text not null, org text, changed timestamptz, other text)",
    )
    .await;
    let text = "version: 1
entity: teams
table: public.teams
key: id
scope: { org: cal }
capture: { updated_at: changed }
notion: { title: Teams }
properties:
  Name: { type: title, column: name }
";
    let source = Arc::new(frames_sync::diagnostic::SourceFile::new("teams.yaml", text));
    let document = frames_sync::yaml::read(source).value.unwrap();
    let parsed = parse(document).value.unwrap();
    let mapping = validate(&parsed, &Scene::default()).value.unwrap();
    let name = TableName {
        schema: "public".to_owned(),
        name: "teams".to_owned(),
    };
    let table = introspect(&pool, &name).await.unwrap().unwrap();
    assert_eq!(row_columns(&mapping, &table), ["changed", "id", "name"]);
}
