//! Reading rows through the port, and writing them through a commit.

use std::collections::BTreeMap;
use std::time::Duration;

use frames_sync::mapping::Predicate;
use frames_sync::ports::{
    Commit, CommitOutcome, Fence, Row, RowChange, RowOutcome, RowWrite, Rows, RowsError, Store,
};
use frames_sync::postgres::{EntityTable, ProfileDatabase, migrate_state};
use frames_sync::value::{Number, RecordKey, Value};
use sqlx::PgPool;
use time::OffsetDateTime;
use time::macros::datetime;

use super::{STATE, entity, students};
use crate::support::{TestDatabase, logged};

fn text(column: &str, value: &str) -> RowChange {
    RowChange {
        column: column.to_owned(),
        value: Value::text(value),
    }
}

async fn lease(database: &ProfileDatabase) -> Fence {
    let grant = database
        .acquire("a", Duration::from_secs(60))
        .await
        .expect("a lease")
        .expect("it is free");
    Fence { epoch: grant.epoch }
}

async fn write(database: &ProfileDatabase, row: RowWrite) -> CommitOutcome {
    let fence = lease(database).await;
    let commit = Commit {
        row: Some((row, Box::new(|_| Vec::new()))),
        records: Vec::new(),
    };
    database.commit(fence, commit).await.expect("a commit")
}

fn update(key: &str, set: Vec<RowChange>, expect: Vec<RowChange>) -> RowWrite {
    RowWrite::Update {
        entity: "students".to_owned(),
        key: RecordKey::single(key),
        set,
        expect,
    }
}

async fn one(pool: &PgPool, sql: &'static str) -> Option<String> {
    sqlx::query_scalar(sql).fetch_one(pool).await.expect(sql)
}

#[tokio::test]
async fn a_scan_in_batches_meets_each_row_in_scope_once_in_key_order() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let profile = students(&pool).await;
    let mut seen: Vec<Row> = Vec::new();
    loop {
        let after = seen.last().map(|row| row.key.clone());
        let batch = profile.scan("students", after.as_ref(), 5).await.expect("rows");
        if batch.is_empty() {
            break;
        }
        assert!(batch.len() <= 5);
        seen.extend(batch);
    }
    assert_eq!(seen.len(), 22);
    assert!(seen.is_sorted_by(|a, b| a.key < b.key));
    let nine = seen
        .iter()
        .find(|row| row.key == RecordKey::single("student_009"))
        .expect("student 9");
    assert!(nine.in_scope);
    assert_eq!(nine.columns["email"], Value::Null);
    assert!(matches!(nine.columns["terms_remaining"], Value::Number(_)));
    assert_eq!(nine.columns.len(), 5);
}

#[tokio::test]
async fn a_row_of_another_tenant_is_known_to_exist_and_tells_nothing() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let profile = students(&pool).await;
    let keys = ["student_001", "student_030", "nobody"].map(RecordKey::single);
    let mut found = profile.read("students", &keys).await.expect("rows");
    found.sort_by_key(|row| row.key.clone());
    assert_eq!(found.len(), 2);
    assert!(found[0].in_scope && found[0].columns.contains_key("name"));
    assert!(!found[1].in_scope && found[1].columns.is_empty());
    let unknown = profile.scan("teams", None, 1).await;
    assert!(matches!(unknown, Err(RowsError::UnknownEntity { .. })));
}

#[tokio::test]
async fn keys_of_several_columns_are_scanned_and_read() {
    let (_database, pool) = TestDatabase::with(
        "create table pairs (a int, b text, v text, at timestamptz, primary key (a, b));
         insert into pairs select i / 3, 'k,' || i, 'v' || i, '2024-01-01 00:00+00'::timestamptz + i * interval '1 h'
         from generate_series(0, 9) i",
    )
    .await;
    super::migrate_state(&pool, STATE).await.expect("a state schema");
    let pairs = EntityTable {
        key: super::names(&["a", "b"]),
        updated_at: Some("at".to_owned()),
        ..entity(&pool, "pairs", &["v"], Predicate::EVERY_ROW).await
    };
    let entities = BTreeMap::from([("pairs".to_owned(), pairs)]);
    let profile = ProfileDatabase::new(pool, STATE, "p", entities, None).expect("known columns");
    let key = |a: &str, b: &str| RecordKey(vec![a.to_owned(), b.to_owned()]);
    let after = profile
        .scan("pairs", Some(&key("1", "k,4")), 2)
        .await
        .expect("rows");
    let keys: Vec<RecordKey> = after.into_iter().map(|row| row.key).collect();
    assert_eq!(keys, [key("1", "k,5"), key("2", "k,6")]);
    let read = profile
        .read("pairs", &[key("3", "k,9"), key("3", "k,8")])
        .await
        .expect("rows");
    assert_eq!(read.len(), 1);
    let since: OffsetDateTime = datetime!(2024-01-01 10:00 +02);
    let late = profile
        .updated_since("pairs", since, None, 10)
        .await
        .expect("rows");
    assert_eq!(late.len(), 2, "hours 8 and 9 UTC");
}

#[tokio::test]
async fn an_update_answers_what_the_triggers_stored() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    sqlx::raw_sql(
        "create function shout() returns trigger language plpgsql as
           $$ begin new.name := upper(new.name); return new; end $$;
         create trigger shout before update on students for each row execute function shout()",
    )
    .execute(&pool)
    .await
    .expect("a trigger");
    let profile = students(&pool).await;
    let before = profile
        .read("students", &[RecordKey::single("student_003")])
        .await
        .expect("rows");
    let expect = vec![RowChange {
        column: "name".to_owned(),
        value: before[0].columns["name"].clone(),
    }];
    let CommitOutcome::Committed(Some(row)) = write(
        &profile,
        update("student_003", vec![text("name", "Zara")], expect.clone()),
    )
    .await
    else {
        panic!("it was written");
    };
    assert_eq!(row.columns["name"], Value::text("ZARA"));

    let again = write(&profile, update("student_003", vec![text("name", "Zoe")], expect)).await;
    assert_eq!(again, CommitOutcome::RowRefused(RowOutcome::Moved));
    assert_eq!(
        one(&pool, "select name from students where id = 'student_003'")
            .await
            .as_deref(),
        Some("ZARA")
    );
}

#[tokio::test]
async fn a_scan_in_batches_keeps_the_order_of_keys_that_are_no_text() {
    let (_database, pool) = TestDatabase::with(
        "create table numbered (id int primary key, part text); \
         insert into numbered select n, 'a' from generate_series(-20, 120) n",
    )
    .await;
    migrate_state(&pool, STATE).await.expect("a state schema");
    let numbered = entity(&pool, "numbered", &["part"], Predicate::All(Vec::new())).await;
    let entities = BTreeMap::from([("numbered".to_owned(), numbered)]);
    let profile = ProfileDatabase::new(pool, STATE, "all", entities, None).expect("names");
    let mut met: Vec<i32> = Vec::new();
    let mut after: Option<RecordKey> = None;
    loop {
        let rows = profile.scan("numbered", after.as_ref(), 7).await.expect("rows");
        let Some(last) = rows.last() else { break };
        after = Some(last.key.clone());
        met.extend(
            rows.iter()
                .map(|row| row.key.0[0].parse::<i32>().expect("a number")),
        );
    }
    assert_eq!(met, (-20..=120).collect::<Vec<i32>>());
}

#[tokio::test]
async fn rows_of_other_tenants_are_never_written() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let profile = students(&pool).await;
    let other = update("student_030", vec![text("name", "Mine")], Vec::new());
    assert_eq!(
        write(&profile, other).await,
        CommitOutcome::RowRefused(RowOutcome::Moved)
    );
    let leaving = update(
        "student_001",
        vec![text("university_id", "TexasState")],
        Vec::new(),
    );
    assert_eq!(
        write(&profile, leaving).await,
        CommitOutcome::RowRefused(RowOutcome::LeavesScope)
    );
    let deleting = RowWrite::Delete {
        entity: "students".to_owned(),
        key: RecordKey::single("student_030"),
        expect: Vec::new(),
    };
    assert_eq!(
        write(&profile, deleting).await,
        CommitOutcome::RowRefused(RowOutcome::Moved)
    );
    let untouched = "select string_agg(university_id || (name = 'Mine'), ' ' order by id) from students \
                     where id in ('student_001', 'student_030')";
    assert_eq!(
        one(&pool, untouched).await.as_deref(),
        Some("CalPolyPomonafalse TexasStatefalse")
    );
}

#[tokio::test]
async fn an_inserted_row_gets_its_tenant_from_the_scope() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let profile = students(&pool).await;
    let insert = RowWrite::Insert {
        entity: "students".to_owned(),
        set: vec![
            text("id", "student_new"),
            text("name", "New"),
            text("university_id", "TexasState"),
            RowChange {
                column: "terms_remaining".to_owned(),
                value: Value::Number(Number::parse("4").expect("a number")),
            },
        ],
    };
    let CommitOutcome::Committed(Some(row)) = write(&profile, insert.clone()).await else {
        panic!("it was inserted");
    };
    assert_eq!((row.key, row.in_scope), (RecordKey::single("student_new"), true));
    let CommitOutcome::RowRefused(RowOutcome::Rejected(rejection)) = write(&profile, insert).await else {
        panic!("a second one is refused");
    };
    assert_eq!(
        (rejection.sqlstate.as_str(), rejection.constraint.as_deref()),
        ("23505", Some("students_pkey"))
    );
}

#[tokio::test]
async fn a_refusal_names_the_constraint_and_no_value() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let profile = students(&pool).await;
    let cases = [
        (
            text("email", "student2@calpolypomona.example"),
            "23505",
            Some("students_email_key"),
        ),
        (
            text("terms_remaining", "-1"),
            "23514",
            Some("students_terms_remaining_check"),
        ),
        (
            text("team_id", "team_none"),
            "23503",
            Some("students_team_id_fkey"),
        ),
        (text("terms_remaining", "many"), "22P02", None),
    ];
    for (change, sqlstate, constraint) in cases {
        let refused = write(&profile, update("student_001", vec![change], Vec::new())).await;
        let CommitOutcome::RowRefused(RowOutcome::Rejected(rejection)) = refused else {
            panic!("{sqlstate}: {refused:?}");
        };
        assert_eq!(
            (rejection.sqlstate.as_str(), rejection.constraint.as_deref()),
            (sqlstate, constraint)
        );
    }
}

#[tokio::test]
async fn what_the_server_tells_of_other_rows_is_neither_logged_nor_told() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    sqlx::raw_sql(
        "create function tell() returns trigger language plpgsql as $$ begin
           raise exception 'SENTINEL-message' using detail = 'SENTINEL-detail', hint = 'SENTINEL-hint'; end $$;
         create trigger tell before update of team_id on students for each row execute function tell()",
    )
    .execute(&pool)
    .await
    .expect("a trigger");
    let profile = students(&pool).await;
    let theirs = "student2@calpolypomona.example";
    let cases = [
        (text("email", theirs), "23505"),
        (text("team_id", "team_none"), "P0001"),
    ];
    for (change, sqlstate) in cases {
        let refused = write(&profile, update("student_001", vec![change], Vec::new()));
        let (refused, log) = logged(refused).await;
        let told = format!("{refused:?}");
        assert!(told.contains(sqlstate), "{told}");
        for said in [theirs, "SENTINEL"] {
            assert!(!told.contains(said), "{told}");
            assert!(!log.contains(said), "{log}");
        }
    }
}

#[tokio::test]
async fn a_deferred_constraint_refuses_the_row_at_the_end() {
    let (_database, pool) = TestDatabase::with(
        "create table parents (id text primary key);
         create table children (id text primary key,
           parent text references parents deferrable initially deferred);
         insert into children values ('c', null)",
    )
    .await;
    super::migrate_state(&pool, STATE).await.expect("a state schema");
    let children = entity(&pool, "children", &["parent"], Predicate::EVERY_ROW).await;
    let entities = BTreeMap::from([("students".to_owned(), children)]);
    let profile = ProfileDatabase::new(pool, STATE, "p", entities, None).expect("known columns");
    let refused = write(&profile, update("c", vec![text("parent", "nobody")], Vec::new())).await;
    assert!(
        matches!(&refused, CommitOutcome::RowRefused(RowOutcome::Rejected(why)) if why.sqlstate == "23503"),
        "{refused:?}"
    );
}
