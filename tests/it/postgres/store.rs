//! The engine's memory in Postgres.

use std::collections::BTreeMap;
use std::time::Duration;

use frames_sync::journal::{Act, AuditEntry, Kept};
use frames_sync::ports::{
    Approval, AuditFilter, Commit, CommitOutcome, Fence, Link, Marks, Record, RowChange, RowOutcome,
    RowWrite, RunRecord, Store, StoreError,
};
use frames_sync::postgres::{PostgresError, ProfileDatabase, migrate_state, state_version};
use frames_sync::reconcile::{Phase, Reason, Side};
use frames_sync::store::migrations::{NEWEST, SchemaVersion};
use frames_sync::value::{PageId, PropertyId, RecordKey, Value};
use sqlx::PgPool;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::{STATE, students};
use crate::support::TestDatabase;

const MINUTE: Duration = Duration::from_secs(60);

fn at(minute: u8) -> OffsetDateTime {
    datetime!(2024-01-01 00:00 UTC) + time::Duration::minutes(minute.into())
}

fn link(number: u128, key: &str, page: &str) -> Link {
    Link {
        id: Uuid::from_u128(number),
        entity: "students".to_owned(),
        key: RecordKey::single(key),
        page: Some(PageId::from(page)),
        phase: Phase::Linked,
        incarnation: 0,
        rev: 0,
        fields: BTreeMap::new().into(),
        page_edited_at: None,
        page_mark: None,
        page_written_at: None,
        settled_at: None,
        status: None,
        look_again_at: None,
        missed: None,
        troubles: Vec::new(),
        note: None,
    }
}

fn audit(number: u128, link: u128, minute: u8) -> AuditEntry {
    AuditEntry {
        id: Uuid::from_u128(number),
        run: Uuid::from_u128(900),
        link: Some(Uuid::from_u128(link)),
        entity: "students".to_owned(),
        key: Some(RecordKey::single("student_001")),
        page: Some(PageId::from("page")),
        property: Some(PropertyId::from("title")),
        side: Side::Postgres,
        act: Act::Updated,
        old: Some(Kept::Value(Value::text("Before"))),
        new: Some(Kept::Value(Value::text("After \0 with a NUL"))),
        cause: Reason::OnlyNotionChanged,
        at: at(minute),
    }
}

async fn fence(store: &ProfileDatabase, holder: &str) -> Fence {
    let grant = store
        .acquire(holder, MINUTE)
        .await
        .expect("an answer")
        .expect("it is free");
    Fence { epoch: grant.epoch }
}

fn put(link: Link) -> Record {
    Record::Link(Box::new(link))
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.expect(sql)
}

#[tokio::test]
async fn migrating_is_idempotent_and_safe_for_starters_at_the_same_time() {
    let database = TestDatabase::new().await;
    let pool = database.connect().await;
    assert_eq!(
        state_version(&pool, STATE).await.expect("a version"),
        SchemaVersion::Missing
    );
    let starters = (0..4).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move { migrate_state(&pool, STATE).await })
    });
    for starter in starters.collect::<Vec<_>>() {
        starter.await.expect("no panic").expect("a state schema");
    }
    assert_eq!(
        state_version(&pool, STATE).await.expect("a version"),
        SchemaVersion::Current
    );
    let versions = count(&pool, r#"select count(*) from "frames sync".migration"#).await;
    assert_eq!(versions, i64::from(NEWEST));

    sqlx::raw_sql(r#"insert into "frames sync".migration (version) values (99)"#)
        .execute(&pool)
        .await
        .expect("a row");
    let newer = migrate_state(&pool, STATE).await;
    assert!(
        matches!(newer, Err(PostgresError::NewerState { found: 99, .. })),
        "{newer:?}"
    );
}

#[tokio::test]
async fn a_lease_has_one_holder_and_its_epoch_fences_the_one_before() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let store = students(&pool).await;
    let first = fence(&store, "a").await;
    assert_eq!(store.acquire("b", MINUTE).await.expect("an answer"), None);
    assert_eq!(fence(&store, "a").await, first, "its own again");
    assert_eq!(
        store.renew(first, MINUTE).await.expect("it is held").epoch,
        first.epoch
    );

    sqlx::raw_sql(r#"update "frames sync".lease set expires_at = clock_timestamp() - interval '1 s'"#)
        .execute(&pool)
        .await
        .expect("time passes");
    assert!(
        matches!(store.renew(first, MINUTE).await, Err(StoreError::Fenced)),
        "expired is lost"
    );
    let second = fence(&store, "b").await;
    assert!(second.epoch > first.epoch);
    let late = store
        .commit(first, Commit::of(vec![put(link(1, "k", "p"))]))
        .await;
    assert!(matches!(late, Err(StoreError::Fenced)));
    assert_eq!(store.links_after("students", None, 10).await.expect("links"), []);

    store.release(first).await.expect("nothing happens");
    assert_eq!(store.acquire("a", MINUTE).await.expect("an answer"), None);
    store.release(second).await.expect("it is free");
    assert!(fence(&store, "a").await.epoch > second.epoch);
}

#[tokio::test]
async fn a_key_and_a_page_are_linked_once() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let store = students(&pool).await;
    let fence = fence(&store, "a").await;
    store
        .commit(fence, Commit::of(vec![put(link(1, "k", "p"))]))
        .await
        .expect("a first link");
    for taken in [link(2, "k", "other"), link(2, "other", "p"), link(1, "k", "p")] {
        let answer = store.commit(fence, Commit::of(vec![put(taken)])).await;
        assert!(matches!(answer, Err(StoreError::Taken { .. })), "{answer:?}");
    }
    let mut moved = store
        .links_by_key("students", &[RecordKey::single("k")])
        .await
        .expect("links")
        .remove(0);
    assert_eq!(moved.rev, 1);
    moved.phase = Phase::Tombstone;
    moved.page = None;
    store
        .commit(fence, Commit::of(vec![put(moved.clone())]))
        .await
        .expect("the rev it was read with");
    let stale = store.commit(fence, Commit::of(vec![put(moved)])).await;
    assert!(matches!(stale, Err(StoreError::Taken { .. })));

    let reborn = Link {
        incarnation: 1,
        ..link(3, "k", "p")
    };
    store
        .commit(fence, Commit::of(vec![put(reborn)]))
        .await
        .expect("a key may come back");
    let live = store
        .links_by_key("students", &[RecordKey::single("k")])
        .await
        .expect("links");
    assert_eq!(
        live.iter().map(|link| link.id).collect::<Vec<_>>(),
        [Uuid::from_u128(3)]
    );
    let by_page = store
        .links_by_page("students", &[PageId::from("p")])
        .await
        .expect("links");
    assert_eq!(by_page.len(), 1);
    assert_eq!(store.totals("students").await.expect("totals").linked(), 1);
}

#[tokio::test]
async fn row_state_and_audit_share_one_commit() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let store = students(&pool).await;
    let fence = fence(&store, "a").await;
    let update = |name: &str, expect: &str| RowWrite::Update {
        entity: "students".to_owned(),
        key: RecordKey::single("student_001"),
        set: vec![RowChange {
            column: "name".to_owned(),
            value: Value::text(name),
        }],
        expect: vec![RowChange {
            column: "status".to_owned(),
            value: Value::text(expect),
        }],
    };
    let status: String = sqlx::query_scalar("select status from students where id = 'student_001'")
        .fetch_one(&pool)
        .await
        .expect("a status");
    let commit = Commit {
        row: Some((
            update("After", &status),
            Box::new(|_| vec![Record::Audit(audit(1, 1, 0))]),
        )),
        records: vec![put(link(1, "student_001", "p"))],
    };
    assert!(matches!(
        store.commit(fence, commit).await,
        Ok(CommitOutcome::Committed(Some(_)))
    ));

    let refused = Commit {
        row: Some((
            update("Never", "not it"),
            Box::new(|_| vec![Record::Audit(audit(2, 1, 1))]),
        )),
        records: vec![put(link(2, "k", "q"))],
    };
    let refused = store.commit(fence, refused).await.expect("an answer");
    assert_eq!(refused, CommitOutcome::RowRefused(RowOutcome::Moved));

    // A record that fails takes the row with it.
    let taken = Commit {
        row: Some((
            update("Never", &status),
            Box::new(|_| vec![put(link(9, "student_001", "another"))]),
        )),
        records: Vec::new(),
    };
    assert!(matches!(
        store.commit(fence, taken).await,
        Err(StoreError::Taken { .. })
    ));

    assert_eq!(
        count(&pool, "select count(*) from students where name = 'After'").await,
        1
    );
    assert_eq!(
        count(&pool, "select count(*) from students where name = 'Never'").await,
        0
    );
    let links = store.links_after("students", None, 10).await.expect("links");
    assert_eq!(links.len(), 1);
    let entries = store
        .audit(&AuditFilter {
            limit: 10,
            ..AuditFilter::default()
        })
        .await
        .expect("entries");
    assert_eq!(entries, [audit(1, 1, 0)], "to the letter, NUL and all");
}

#[tokio::test]
async fn the_audit_is_copied_to_the_applications_table_by_column_name() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let store = students(&pool).await;
    let fence = fence(&store, "a").await;
    let entry = AuditEntry {
        new: Some(Kept::Value(Value::text("After"))),
        ..audit(1, 1, 5)
    };
    store
        .commit(fence, Commit::of(vec![Record::Audit(entry)]))
        .await
        .expect("a commit");
    let copied: (String, String, String, String, String, String) = sqlx::query_as(
        "select actor, action, entity_type, entity_id, university_id, payload_before::text || payload_after::text
         from audit_logs where actor = 'frames-sync' and timestamp = '2024-01-01 00:05+00'
         and meta ->> 'run' is not null",
    )
    .fetch_one(&pool)
    .await
    .expect("one copy");
    let copied = [copied.0, copied.1, copied.2, copied.3, copied.4, copied.5];
    assert_eq!(
        copied,
        [
            "frames-sync",
            "updated",
            "students",
            "student_001",
            "CalPolyPomona",
            r#"{"title":"Before"}{"title":"After"}"#
        ]
    );
}

#[tokio::test]
async fn the_audit_log_cannot_be_rewritten() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let store = students(&pool).await;
    let fence = fence(&store, "a").await;
    let entries = vec![
        Record::Audit(audit(1, 1, 0)),
        Record::Audit(audit(2, 1, 0)),
        Record::Audit(audit(3, 1, 1)),
    ];
    store.commit(fence, Commit::of(entries)).await.expect("a commit");
    for sql in [
        r#"update "frames sync".audit set entity = 'x'"#,
        r#"delete from "frames sync".audit"#,
        r#"truncate "frames sync".audit"#,
    ] {
        sqlx::raw_sql(sql).execute(&pool).await.expect_err(sql);
    }
    // Not even what may be forgotten goes by the way that forgets, before its day is over.
    let today = AuditEntry {
        at: OffsetDateTime::now_utc(),
        ..audit(4, 2, 0)
    };
    store
        .commit(fence, Commit::of(vec![Record::Audit(today)]))
        .await
        .expect("a commit");
    let soon = Record::Forgotten(OffsetDateTime::now_utc() - time::Duration::HOUR);
    store
        .commit(fence, Commit::of(vec![soon]))
        .await
        .expect_err("too early");
    let writes = store
        .writes_since(&[Uuid::from_u128(1)], at(0))
        .await
        .expect("writes");
    assert_eq!(
        writes,
        BTreeMap::from([(Uuid::from_u128(1), 2)]),
        "two fields at one instant are one write"
    );
    assert_eq!(
        store
            .deleted_since("students", Side::Postgres, at(0))
            .await
            .expect("a count"),
        0
    );
}

#[tokio::test]
async fn one_profile_never_sees_anothers_state() {
    let database = TestDatabase::frames().await;
    let pool = database.connect().await;
    let store = students(&pool).await;
    let other =
        ProfileDatabase::new(pool.clone(), STATE, "texas", BTreeMap::new(), None).expect("no columns at all");
    let fence_of_store = fence(&store, "a").await;
    let run = RunRecord {
        id: Uuid::from_u128(900),
        command: "sync".to_owned(),
        started_at: at(0),
        finished_at: None,
        report: None,
    };
    let marks = Marks {
        initialised: true,
        ..Marks::default()
    };
    let records = vec![
        put(Link {
            look_again_at: Some(at(0)),
            ..link(1, "k", "p")
        }),
        Record::Audit(audit(1, 1, 0)),
        Record::Run(run.clone()),
        Record::Marks("students".to_owned(), marks.clone()),
        Record::Approval(Approval {
            hash: "h".to_owned(),
            expires_at: at(9),
        }),
    ];
    store
        .commit(fence_of_store, Commit::of(records))
        .await
        .expect("a commit");
    let filter = AuditFilter {
        limit: 10,
        ..AuditFilter::default()
    };
    for (profile, seen) in [(&store, 1), (&other, 0)] {
        assert_eq!(
            profile
                .links_due("students", at(1), 10)
                .await
                .expect("links")
                .len(),
            seen
        );
        assert_eq!(profile.audit(&filter).await.expect("entries").len(), seen);
        assert_eq!(profile.runs(5).await.expect("runs").len(), seen);
    }
    assert_eq!(store.marks("students").await.expect("marks"), marks);
    assert_eq!(other.marks("students").await.expect("marks"), Marks::default());
    assert!(!other.take_approval("h", at(1)).await.expect("an answer"));
    assert!(
        !store.take_approval("h", at(9)).await.expect("an answer"),
        "expired"
    );
    assert!(store.take_approval("h", at(1)).await.expect("an answer"));
    assert!(
        !store.take_approval("h", at(1)).await.expect("an answer"),
        "used up"
    );
    fence(&other, "a").await;
}
