//! Notes that triggers write about changed rows.

use std::time::Duration;

use frames_sync::cluster::Engine;
use frames_sync::mapping::Predicate;
use frames_sync::ports::{Change, Commit, Fence, Link, Record, Rows, Store};
use frames_sync::postgres::{PostgresError, ProfileDatabase, capture};
use frames_sync::reconcile::Phase;
use frames_sync::value::RecordKey;
use sqlx::PgPool;
use uuid::Uuid;

use super::{STATE, entity, names, students, table};
use crate::support::TestDatabase;

async fn captured(pool: &PgPool) -> ProfileDatabase {
    let profile = students(pool).await;
    let students = table(pool, "students").await;
    for _ in 0..2 {
        capture::install(pool, STATE, "calpoly", "students", &students, &names(&["id"]))
            .await
            .expect("idempotent");
    }
    profile
}

#[tokio::test]
async fn profiles_that_share_a_table_may_install_its_triggers_at_the_same_time() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    students(&pool).await;
    let students = table(&pool, "students").await;
    let profiles: Vec<String> = (0..4).map(|number| format!("profile-{number}")).collect();
    for _ in 0..5 {
        let installing = profiles.iter().map(|profile| async {
            capture::install(&pool, STATE, profile, "students", &students, &names(&["id"])).await
        });
        for installed in futures_util::future::join_all(installing).await {
            installed.expect("one after the other");
        }
    }
}

async fn notes(profile: &ProfileDatabase) -> Vec<Change> {
    profile.changes("students", 100).await.expect("notes")
}

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.expect(sql);
}

#[tokio::test]
async fn each_changed_row_is_noted_with_its_columns_until_acknowledged() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let profile = captured(&pool).await;
    run(
        &pool,
        "update students set status = 'alumni', terms_remaining = 0 where id = 'student_001';
         update students set status = status where id = 'student_002';
         update students set id = 'renamed' where id = 'student_003';
         insert into students (id, name) values ('new', 'New');
         delete from students where id = 'student_004'",
    )
    .await;
    let noted = notes(&profile).await;
    let short: Vec<String> = noted
        .iter()
        .map(|change| {
            let old = change.old_key.as_ref().map(ToString::to_string);
            format!("{} {old:?} {} {:?}", change.key, change.deleted, change.columns)
        })
        .collect();
    assert_eq!(
        short,
        [
            r#"student_001 None false Some(["status", "terms_remaining"])"#,
            r#"renamed Some("student_003") false Some(["id"])"#,
            "new None false None",
            "student_004 None true None",
        ]
    );
    assert!(noted.is_sorted_by_key(|change| (change.seq, change.at)));
    assert_eq!(notes(&profile).await, noted, "the same until acknowledged");

    let grant = profile
        .acquire("a", Duration::from_secs(60))
        .await
        .expect("an answer")
        .expect("free");
    let seen = noted[..3].iter().map(|change| change.seq).collect();
    let commit = Commit::of(vec![Record::Acknowledged("students".to_owned(), seen)]);
    profile
        .commit(Fence { epoch: grant.epoch }, commit)
        .await
        .expect("a commit");
    assert_eq!(notes(&profile).await, noted[3..]);
}

#[tokio::test]
async fn a_note_that_is_committed_late_is_not_passed_over() {
    let database = TestDatabase::frames().await;
    if database.engine() == Engine::Embedded {
        // One backend: a transaction that is open keeps all others waiting, so nothing there can be late.
        return;
    }
    let pool = database.connect().await;
    let profile = captured(&pool).await;
    let mut late = pool.begin().await.expect("a transaction");
    sqlx::raw_sql("update students set status = 'alumni' where id = 'student_001'")
        .execute(&mut *late)
        .await
        .expect("an update");
    run(
        &pool,
        "update students set status = 'alumni' where id = 'student_002'",
    )
    .await;
    let first = notes(&profile).await;
    assert_eq!(first.len(), 1, "the other one is not committed");
    let grant = profile
        .acquire("a", Duration::from_secs(60))
        .await
        .expect("an answer")
        .expect("free");
    let seen = vec![first[0].seq];
    let commit = Commit::of(vec![Record::Acknowledged("students".to_owned(), seen)]);
    profile
        .commit(Fence { epoch: grant.epoch }, commit)
        .await
        .expect("a commit");
    late.commit().await.expect("a commit");
    let second = notes(&profile).await;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].key, RecordKey::single("student_001"));
    assert!(second[0].seq < first[0].seq, "it was numbered first");
}

#[tokio::test]
async fn truncating_notes_every_linked_row() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let profile = captured(&pool).await;
    let grant = profile
        .acquire("a", Duration::from_secs(60))
        .await
        .expect("an answer")
        .expect("free");
    let link = Link {
        id: Uuid::from_u128(1),
        entity: "students".to_owned(),
        key: RecordKey::single("student_001"),
        page: None,
        phase: Phase::Linked,
        incarnation: 0,
        rev: 0,
        fields: Default::default(),
        page_edited_at: None,
        page_mark: None,
        page_written_at: None,
        settled_at: None,
        status: None,
        look_again_at: None,
        missed: None,
        troubles: Vec::new(),
        note: None,
    };
    let commit = Commit::of(vec![Record::Link(Box::new(link))]);
    profile
        .commit(Fence { epoch: grant.epoch }, commit)
        .await
        .expect("a commit");
    run(&pool, "truncate students").await;
    let noted = notes(&profile).await;
    assert_eq!(noted.len(), 1);
    assert!(noted[0].deleted && noted[0].key == RecordKey::single("student_001"));
}

#[tokio::test]
async fn a_role_without_rights_to_the_state_is_noted_and_never_failed() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let profile = captured(&pool).await;
    run(
        &pool,
        "create role flask login; grant select, update on students to flask;
         create schema trap; grant usage on schema trap to flask;
         create function trap.unnest(text[]) returns setof text language sql as $$ select 'trapped' $$",
    )
    .await;
    // A search path of the user's own must not reach into the trigger.
    run(
        &pool,
        "begin; set local role flask; set local search_path = trap, public; \
                update public.students set status = 'alumni' where id = 'student_001'; commit",
    )
    .await;
    assert_eq!(notes(&profile).await.len(), 1);

    if database.engine() == Engine::Embedded {
        // Its PL/pgSQL does not catch this error, see the limits of the multiplexer.
        return;
    }
    run(&pool, r#"drop table "frames sync".change_log"#).await;
    run(
        &pool,
        "update students set status = 'outgoing' where id = 'student_001'",
    )
    .await;
}

#[tokio::test]
async fn views_cannot_be_captured_and_an_unregistered_table_is_silent() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let profile = captured(&pool).await;
    run(&pool, "create view v as select * from students").await;
    let view = entity(&pool, "v", &["name"], Predicate::EVERY_ROW).await;
    let refused = capture::install(&pool, STATE, "calpoly", "v", &view.table, &view.key).await;
    assert!(matches!(refused, Err(PostgresError::NotATable { .. })));

    capture::unregister(&pool, STATE, "calpoly", "students")
        .await
        .expect("unregistered");
    run(
        &pool,
        "update students set status = 'alumni' where id = 'student_001'",
    )
    .await;
    assert_eq!(notes(&profile).await, []);
}
