//! What introspection finds.

use frames_sync::demo::sample::FRAMES_TABLES;
use frames_sync::postgres::{introspect_all, list_tables};
use frames_sync::schema::table::{Generated, Relkind};
use frames_sync::schema::{PgType, TableName, TableSchema};

use super::table;
use crate::support::TestDatabase;

fn public(name: &str) -> TableName {
    TableName {
        schema: "public".to_owned(),
        name: name.to_owned(),
    }
}

fn type_of(table: &TableSchema, column: &str) -> PgType {
    table.column(column).expect(column).pg_type.clone()
}

#[tokio::test]
async fn the_sample_tables_are_found_with_their_keys_and_comments() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let wanted: Vec<TableName> = FRAMES_TABLES
        .into_iter()
        .map(public)
        .chain([public("nope")])
        .collect();
    let found = introspect_all(&pool, &wanted).await.expect("the catalog");
    assert_eq!(found.len(), 7);

    let students = &found[&public("students")];
    assert_eq!(students.primary_key, ["id"]);
    assert!(students.is_unique(&["email".to_owned()]));
    assert!(!students.is_unique(&["university_id".to_owned()]));
    assert_eq!(students.comment.as_deref(), Some("Students, past and present"));
    let team = students
        .foreign_keys
        .iter()
        .find(|key| key.columns == ["team_id"])
        .expect("a foreign key");
    assert_eq!(
        (&team.references, &team.referenced_columns[..]),
        (&public("teams"), &["id".to_owned()][..])
    );
    assert!(students.privileges.owner && students.privileges.delete && students.privileges.trigger);
    assert!(!students.row_security_active);

    let modules = &found[&public("modules")];
    assert_eq!(
        modules.column("id").expect("id").generated,
        Generated::IdentityByDefault
    );
    assert!(modules.column("id").expect("id").may_be_omitted());
    assert_eq!(type_of(modules, "title"), PgType::Varchar(Some(200)));
    assert_eq!(
        type_of(modules, "difficulty"),
        PgType::Enum {
            name: "public.module_difficulty".to_owned(),
            labels: ["beginner", "intermediate", "advanced"]
                .map(str::to_owned)
                .to_vec(),
        }
    );
    let status = modules
        .checks
        .iter()
        .find_map(|check| check.allows.clone())
        .expect("a list of texts");
    assert_eq!(
        status,
        (
            "status".to_owned(),
            ["draft", "published", "archived"].map(str::to_owned).to_vec()
        )
    );
    assert_eq!(
        modules.column("status").expect("status").default.as_deref(),
        Some("'draft'::text")
    );
}

#[tokio::test]
async fn every_type_of_the_codec_is_told_apart() {
    let (_database, pool) = TestDatabase::with(
        r#"create schema "odd schema";
           create type "odd schema"."Mood" as enum ('so, so', 'it''s');
           create domain code as varchar(3) not null check (value in ('a', 'b'));
           create domain narrow as code;
           create table every_type (
             a text, b varchar, c varchar(7), d char(3), e uuid, f smallint, g integer, h bigint, i real,
             j double precision, k numeric, l numeric(12, 2), m boolean, n date, o time, p timetz, q timestamp(3),
             r timestamptz, s interval, t json, u jsonb, v bytea, w inet, x "odd schema"."Mood", y narrow,
             z text[], aa "odd schema"."Mood"[], bb point, cc int generated always as (1 + 1) stored,
             dd int generated always as identity, ee name, ff varchar(5)[])"#,
    )
    .await;
    let table = table(&pool, "every_type").await;
    let mood = PgType::Enum {
        name: "\"odd schema\".\"Mood\"".to_owned(),
        labels: vec!["so, so".to_owned(), "it's".to_owned()],
    };
    let narrow = PgType::Domain {
        name: "public.narrow".to_owned(),
        base: Box::new(PgType::Domain {
            name: "public.code".to_owned(),
            base: Box::new(PgType::Varchar(Some(3))),
        }),
    };
    let expected = [
        PgType::Text,
        PgType::Varchar(None),
        PgType::Varchar(Some(7)),
        PgType::Char(3),
        PgType::Uuid,
        PgType::Int2,
        PgType::Int4,
        PgType::Int8,
        PgType::Float4,
        PgType::Float8,
        PgType::Numeric(None),
        PgType::Numeric(Some((12, 2))),
        PgType::Bool,
        PgType::Date,
        PgType::Time,
        PgType::Timetz,
        PgType::Timestamp,
        PgType::Timestamptz,
        PgType::Interval,
        PgType::Json,
        PgType::Jsonb,
        PgType::Bytea,
        PgType::Inet,
        mood.clone(),
        narrow,
        PgType::Array(Box::new(PgType::Text)),
        PgType::Array(Box::new(mood)),
        PgType::Other("point".to_owned()),
        PgType::Int4,
        PgType::Int4,
        PgType::Text,
        PgType::Array(Box::new(PgType::Varchar(Some(5)))),
    ];
    let found: Vec<PgType> = table
        .columns
        .iter()
        .map(|column| column.pg_type.clone())
        .collect();
    assert_eq!(found, expected);
    assert_eq!(table.column("cc").expect("cc").generated, Generated::Stored);
    assert_eq!(
        table.column("dd").expect("dd").generated,
        Generated::IdentityAlways
    );
    assert!(table.column("y").expect("y").not_null, "by its domain");
    let allows: Vec<_> = table
        .checks
        .iter()
        .filter_map(|check| check.allows.clone())
        .collect();
    assert_eq!(
        allows,
        [("y".to_owned(), vec!["a".to_owned(), "b".to_owned()])],
        "by its domain too"
    );
    assert_eq!(table.primary_key, Vec::<String>::new());
}

#[tokio::test]
async fn partial_and_expression_indexes_make_nothing_unique() {
    let (_database, pool) = TestDatabase::with(
        "create table t (b int, a int, c text, primary key (a, b));
         create unique index on t (c) where c <> '';
         create unique index on t (lower(c));
         create unique index on t (b) include (c);
         create view v as select * from t;
         create table p (a int) partition by range (a)",
    )
    .await;
    let t = table(&pool, "t").await;
    assert_eq!(t.primary_key, ["a", "b"]);
    assert_eq!(
        t.unique,
        [vec!["a".to_owned(), "b".to_owned()], vec!["b".to_owned()]]
    );
    assert_eq!(table(&pool, "v").await.relkind, Relkind::View);
    assert_eq!(table(&pool, "p").await.relkind, Relkind::Partitioned);
    let names = list_tables(&pool).await.expect("the catalog");
    assert_eq!(names, [public("p"), public("t"), public("v")]);
}

#[tokio::test]
async fn the_role_sees_its_own_rights_and_row_security() {
    let (database, pool) = TestDatabase::with(
        "create role reader_of_some login;
         create table t (id int primary key, open text, shut text);
         grant select (id, open), update (open) on t to reader_of_some;
         alter table t enable row level security",
    )
    .await;
    let owner = table(&pool, "t").await;
    assert!(!owner.row_security_active, "the owner passes by it");
    if database.engine() == frames_sync::cluster::Engine::Embedded {
        // Its one backend is always the superuser.
        return;
    }
    let reader = database.connect_as("reader_of_some").await;
    let t = table(&reader, "t").await;
    assert!(t.row_security_active);
    assert!(!t.privileges.owner && !t.privileges.delete && !t.privileges.trigger);
    let rights = |column| {
        let rights = t.column(column).expect(column).privileges;
        (rights.select, rights.insert, rights.update)
    };
    assert_eq!(rights("open"), (true, false, true));
    assert_eq!(rights("shut"), (false, false, false));
}
