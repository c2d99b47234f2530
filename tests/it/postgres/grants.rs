//! The least rights: enough for the work, and for nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use frames_sync::cluster::Engine;
use frames_sync::ports::{
    Commit, CommitOutcome, Fence, RowChange, RowOutcome, RowWrite, Rows, RowsError, Store,
};
use frames_sync::postgres::grants::state_grants;
use frames_sync::postgres::{EntityTable, ProfileDatabase, migrate_state};
use frames_sync::value::{RecordKey, Value};
use sqlx::AssertSqlSafe;

use super::{STATE, names, of_university, table};
use crate::support::TestDatabase;

#[tokio::test]
async fn a_role_with_the_printed_grants_can_sync_and_write_nothing_else() {
    let database = TestDatabase::frames().await;
    if database.engine() == Engine::Embedded {
        // Its one backend is always the superuser, whom no grant binds.
        return;
    }
    let owner = database.connect().await;
    migrate_state(&owner, STATE).await.expect("a state schema");
    let role = "least privileged";
    sqlx::raw_sql(
        r#"do $$ begin create role "least privileged" login; exception when duplicate_object then null; end $$;
           grant select (id, university_id, name, status), update (status) on students to "least privileged""#,
    )
    .execute(&owner)
    .await
    .expect("a role");
    for grant in state_grants(STATE, role).expect("names") {
        sqlx::raw_sql(AssertSqlSafe(grant.clone()))
            .execute(&owner)
            .await
            .expect(&grant);
    }

    let pool = database.connect_as(&role.replace(' ', "%20")).await;
    let students = EntityTable {
        table: table(&pool, "students").await,
        key: names(&["id"]),
        columns: names(&["name", "status"]),
        scope: of_university("CalPolyPomona"),
        updated_at: None,
    };
    migrate_state(&pool, STATE)
        .await
        .expect("nothing to do needs no rights");
    let entities = BTreeMap::from([("students".to_owned(), students)]);
    let profile = ProfileDatabase::new(pool.clone(), STATE, "p", entities, None).expect("known columns");
    assert_eq!(profile.scan("students", None, 3).await.expect("rows").len(), 3);
    let grant = profile
        .acquire("a", Duration::from_secs(60))
        .await
        .expect("an answer")
        .expect("free");
    let write = async |column: &str| {
        let row = RowWrite::Update {
            entity: "students".to_owned(),
            key: RecordKey::single("student_001"),
            set: vec![RowChange {
                column: column.to_owned(),
                value: Value::text("alumni"),
            }],
            expect: Vec::new(),
        };
        let commit = Commit {
            row: Some((row, Box::new(|_| Vec::new()))),
            records: Vec::new(),
        };
        profile
            .commit(Fence { epoch: grant.epoch }, commit)
            .await
            .expect("an answer")
    };
    assert!(matches!(write("status").await, CommitOutcome::Committed(Some(_))));
    let refused = write("name").await;
    assert!(
        matches!(&refused, CommitOutcome::RowRefused(RowOutcome::Rejected(why)) if why.sqlstate == "42501"),
        "{refused:?}"
    );
    for sql in [
        r#"delete from "frames sync".audit where false"#,
        "delete from students where false",
    ] {
        let error = sqlx::raw_sql(sql).execute(&pool).await.expect_err(sql);
        assert_eq!(
            error
                .as_database_error()
                .and_then(|error| error.code())
                .as_deref(),
            Some("42501")
        );
    }

    // A policy that hides rows is no deletion.
    sqlx::raw_sql("alter table students enable row level security")
        .execute(&owner)
        .await
        .expect("row security");
    let hidden = profile
        .read("students", &[RecordKey::single("student_001")])
        .await;
    assert!(matches!(hidden, Err(RowsError::Hidden { .. })), "{hidden:?}");
}
