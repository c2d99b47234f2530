//! `validate` against live tables: every code of that layer, with its place.

use std::collections::BTreeSet;

use frames_sync::cluster::Engine;
use frames_sync::diagnostic::{Code, Layer};
use sqlx::AssertSqlSafe;

use super::World;
use crate::support::TestDatabase;

/// A code, what its mapping says besides the title, and the place. Each has a table of its own, named as the code.
const CASES: [(&str, &str, &str); 17] = [
    ("table-not-found", "key: id", "/table"),
    (
        "column-not-found",
        "key: id\nproperties:\n  Extra: { type: rich_text, column: nam, direction: to_notion }",
        "/properties/Extra/column",
    ),
    (
        "type-mismatch",
        "key: id\nproperties:\n  Doc: { type: rich_text, column: doc, direction: to_notion }",
        "/properties/Doc/type",
    ),
    ("key-not-unique", "key: needed", "/key"),
    ("key-nullable", "key: code", "/key"),
    (
        "column-not-writable",
        "key: id\nproperties:\n  Stored: { type: rich_text, column: stored }",
        "/properties/Stored/column",
    ),
    (
        "option-not-allowed",
        "key: id\nproperties:\n  State: { type: select, column: state, options: [a, b, c] }",
        "/properties/State/options/2",
    ),
    (
        "option-missing",
        "key: id\nproperties:\n  State: { type: select, column: state, options: [a] }",
        "/properties/State/options",
    ),
    (
        "option-unshowable",
        "key: id\nproperties:\n  Free: { type: select, column: free, direction: to_notion, on_unknown_option: create }",
        "/properties/Free",
    ),
    (
        "text-too-long",
        "key: id\nproperties:\n  Note: { type: url, column: note, direction: to_notion }",
        "/properties/Note/column",
    ),
    (
        "number-too-large",
        "key: id\nproperties:\n  Big: { type: number, column: big, direction: to_notion }",
        "/properties/Big/column",
    ),
    ("missing-grant", "key: id", "/table"),
    ("row-security-active", "key: id", "/table"),
    ("scope-type-mismatch", "key: id\nscope: { n: many }", "/scope/n"),
    (
        "relation-key-mismatch",
        "key: id\nproperties:\n  Other: { type: relation, column: n, target: key_nullable, direction: to_notion }",
        "/properties/Other/column",
    ),
    (
        "insert-not-possible",
        "key: id\non_page_create: insert_row\nnew_row: { id: \"{{ uuid() }}\" }",
        "/on_page_create",
    ),
    (
        "capture-unusable",
        "key: id\ncapture: { updated_at: name }",
        "/capture/updated_at",
    ),
];

const TABLE: &str = "
    create table things (
        id text primary key, name text not null, needed text not null, code text unique, n integer, big numeric,
        state text check (state in ('a', 'b')), free text, note text, doc bytea,
        stored text generated always as (name || '!') stored
    )";

const ROLE: &str = "
    do $$ begin create role live_tables login; exception when duplicate_object then null; end $$;
    grant select, insert, update, delete on all tables in schema public to live_tables;
    revoke all on missing_grant from live_tables;
    grant select (id) on missing_grant to live_tables;
    alter table row_security_active enable row level security";

fn mapping(entity: &str, says: &str) -> String {
    let name = "  Name: { type: title, column: name, direction: to_notion }";
    let says = match says.split_once("properties:\n") {
        Some((before, rest)) => format!("{before}properties:\n{name}\n{rest}"),
        None => format!("{says}\nproperties:\n{name}"),
    };
    format!("version: 1\nentity: {entity}\ntable: public.{entity}\nnotion: {{ title: {entity} }}\n{says}\n")
}

#[test]
fn every_code_of_the_live_database_has_a_case() {
    let cases: BTreeSet<&str> = CASES.iter().map(|(code, _, _)| *code).collect();
    let codes: BTreeSet<&str> = Code::ALL
        .iter()
        .filter(|code| code.layer() == Layer::Postgres)
        // `workspace.rs` has both sides out of reach.
        .filter(|code| **code != Code::DatabaseUnreachable)
        .map(|code| code.name())
        .collect();
    assert_eq!(cases, codes);
}

#[tokio::test]
async fn every_code_is_shown_in_its_place_and_nothing_else_is() {
    let database = TestDatabase::new().await;
    let owner = database.connect().await;
    let mut sql = TABLE.to_owned();
    let mut mappings = Vec::new();
    for (code, says, _) in CASES {
        let entity = code.replace('-', "_");
        if code != "table-not-found" {
            sql.push_str(&format!(
                "; create table {entity} (like things including all);
                 insert into {entity} (id, name, needed, code, n, big, state, free, note) values
                 ('1', 'x', 'x', 'c', 1, 12345678901234567890123, 'a', 'one, two', repeat('y', 3000))"
            ));
        }
        mappings.push((entity.clone(), mapping(&entity, says)));
    }
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&owner)
        .await
        .expect("the tables");
    let has_roles = database.engine() != Engine::Embedded;
    let mut url = database.url();
    if has_roles {
        sqlx::raw_sql(ROLE).execute(&owner).await.expect("the role");
        url = database.url_as("live_tables");
    }
    let mappings: Vec<(&str, &str)> = mappings
        .iter()
        .map(|(entity, text)| (entity.as_str(), text.as_str()))
        .collect();
    let world =
        World::over(database, super::PROJECT, &mappings).with("DATABASE_URL", super::with_password(&url));
    let (findings, code) = world.validate();
    let mut expected: Vec<String> = CASES
        .iter()
        // The embedded engine's one backend is always the superuser, whom no grant and no policy binds.
        .filter(|(code, _, _)| has_roles || !matches!(*code, "missing-grant" | "row-security-active"))
        .map(|(code, _, at)| format!("{code} mappings/{}.yaml {at}", code.replace('-', "_")))
        .collect();
    expected.sort_unstable();
    assert_eq!(findings, expected);
    assert_eq!(code, Some(1));
}
