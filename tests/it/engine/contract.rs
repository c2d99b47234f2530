//! What every [`Store`] with its rows must do; the Postgres one passes the same suite.

use std::collections::BTreeMap;
use std::time::Duration;

use frames_sync::journal::{
    Act, AuditEntry, Conflict, ConflictStatus, Intent, IntentKind, IntentStatus, Kept,
};
use frames_sync::mapping::Predicate;
use frames_sync::ports::{
    Approval, AuditFilter, Clock, Commit, CommitOutcome, Fence, Link, Pin, Record, Row, RowChange,
    RowOutcome, RowWrite, Rows, RunRecord, Store, StoreError,
};
use frames_sync::postgres::{EntityTable, ProfileDatabase, introspect_all, migrate_state};
use frames_sync::reconcile::{Phase, Reason, Side};
use frames_sync::schema::TableName;
use frames_sync::value::{PageId, RecordKey, Value};
use time::macros::datetime;
use uuid::Uuid;

use super::world::World;
use crate::support::TestDatabase;

fn link(id: u128, key: &str, page: Option<&str>) -> Link {
    Link {
        id: Uuid::from_u128(id),
        entity: "teams".to_owned(),
        key: RecordKey::single(key),
        page: page.map(PageId::from),
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

fn put(link: Link) -> Commit<'static> {
    Commit::of(vec![Record::Link(Box::new(link))])
}

fn update(key: &str, to: &str, expect: &str) -> RowWrite {
    RowWrite::Update {
        entity: "teams".to_owned(),
        key: RecordKey::single(key),
        set: vec![RowChange {
            column: "name".to_owned(),
            value: Value::text(to),
        }],
        expect: vec![RowChange {
            column: "name".to_owned(),
            value: Value::text(expect),
        }],
    }
}

fn run(number: u128, started_at: time::OffsetDateTime) -> RunRecord {
    RunRecord {
        id: Uuid::from_u128(number),
        command: "sync".to_owned(),
        started_at,
        finished_at: None,
        report: None,
    }
}

/// What is older than it is kept goes, and nothing else: neither what is of that instant nor what is open.
async fn forgets(store: &dyn Store, fence: Fence, entry: &AuditEntry, now: time::OffsetDateTime) {
    let old = now - time::Duration::days(40);
    let before = now - time::Duration::days(30);
    let conflict = |number, status, closed_at| Conflict {
        id: Uuid::from_u128(number),
        link: entry.link.unwrap_or_default(),
        entity: "teams".to_owned(),
        key: RecordKey::single("team_1"),
        page: None,
        property: None,
        base_row: None,
        base_page: None,
        row: None,
        page_value: None,
        reason: Reason::OnlyNotionChanged,
        evidence: serde_json::Value::Null,
        status,
        rev: 1,
        opened_at: old,
        closed_at,
    };
    let aged = |number, at| AuditEntry {
        id: Uuid::from_u128(number),
        at,
        ..entry.clone()
    };
    let records = vec![
        Record::Audit(aged(30, old)),
        Record::Audit(aged(31, before)),
        Record::Run(run(32, old)),
        Record::Run(run(33, now)),
        Record::Conflict(conflict(34, ConflictStatus::Open, None)),
        Record::Conflict(conflict(35, ConflictStatus::AutoResolved, Some(old))),
        Record::Conflict(conflict(36, ConflictStatus::AutoResolved, Some(now))),
    ];
    store.commit(fence, Commit::of(records)).await.unwrap();
    store
        .commit(fence, Commit::of(vec![Record::Forgotten(before)]))
        .await
        .unwrap();
    let entry_is_kept = async |number| {
        let filter = AuditFilter {
            entry: Some(Uuid::from_u128(number)),
            limit: 1,
            ..AuditFilter::default()
        };
        !store.audit(&filter).await.unwrap().is_empty()
    };
    assert_eq!((entry_is_kept(30).await, entry_is_kept(31).await), (false, true));
    let runs: Vec<Uuid> = store
        .runs(9)
        .await
        .unwrap()
        .into_iter()
        .map(|run| run.id)
        .collect();
    assert_eq!(runs, [Uuid::from_u128(33)]);
    for (number, is_kept) in [(34, true), (35, false), (36, true)] {
        let found = store.conflict(Uuid::from_u128(number)).await.unwrap();
        assert_eq!(found.is_some(), is_kept, "{number}");
    }
}

/// Runs the suite on a store whose entity `teams` holds one row `team_1`, named `Rockets`.
pub(crate) async fn holds(store: &dyn Store, rows: &dyn Rows, now: time::OffsetDateTime) {
    let lease = store
        .acquire("one", Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    let fence = Fence { epoch: lease.epoch };
    assert!(
        store
            .acquire("two", Duration::from_secs(60))
            .await
            .unwrap()
            .is_none(),
        "one writer at a time"
    );

    // A link is replaced only over the revision it was read at, and neither key nor page is linked twice.
    store
        .commit(fence, put(link(1, "team_1", Some("p1"))))
        .await
        .unwrap();
    let stale = store.commit(fence, put(link(1, "team_1", Some("p1")))).await;
    assert!(matches!(stale, Err(StoreError::Taken { .. })));
    let same_key = store.commit(fence, put(link(2, "team_1", Some("p2")))).await;
    assert!(matches!(same_key, Err(StoreError::Taken { .. })));
    let same_page = store.commit(fence, put(link(3, "team_3", Some("p1")))).await;
    assert!(matches!(same_page, Err(StoreError::Taken { .. })));
    let found = store
        .links_by_key("teams", &[RecordKey::single("team_1")])
        .await
        .unwrap();
    assert_eq!((found.len(), found[0].rev), (1, 1));

    // A row, its link and its audit line share one commit.
    let stored = found[0].clone();
    let entry = AuditEntry {
        id: Uuid::from_u128(9),
        run: Uuid::from_u128(8),
        link: Some(stored.id),
        entity: "teams".to_owned(),
        key: Some(stored.key.clone()),
        page: None,
        property: None,
        side: Side::Postgres,
        act: Act::Updated,
        old: Some(Kept::Value(Value::Null)),
        new: None,
        cause: Reason::OnlyNotionChanged,
        at: now,
    };
    let settle = |row: &Row| {
        assert_eq!(row.columns["name"], Value::text("Comets"));
        vec![
            Record::Link(Box::new(stored.clone())),
            Record::Audit(entry.clone()),
        ]
    };
    let commit = Commit {
        row: Some((update("team_1", "Comets", "Rockets"), Box::new(settle))),
        records: Vec::new(),
    };
    let outcome = store.commit(fence, commit).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed(Some(_))));
    assert_eq!(
        store.writes_since(&[stored.id], now).await.unwrap()[&stored.id],
        1
    );
    assert_eq!(
        store
            .audit(&AuditFilter {
                limit: 9,
                ..Default::default()
            })
            .await
            .unwrap()[0]
            .old,
        Some(Kept::Value(Value::Null))
    );

    // A row that moved, or a link that moved, leaves neither behind.
    let commit = Commit {
        row: Some((update("team_1", "Lost", "Rockets"), Box::new(|_| Vec::new()))),
        records: vec![],
    };
    let outcome = store.commit(fence, commit).await.unwrap();
    assert_eq!(outcome, CommitOutcome::RowRefused(RowOutcome::Moved));
    let settle = |_: &Row| vec![Record::Link(Box::new(link(1, "team_1", Some("p1"))))];
    let commit = Commit {
        row: Some((update("team_1", "Lost", "Comets"), Box::new(settle))),
        records: vec![],
    };
    assert!(matches!(
        store.commit(fence, commit).await,
        Err(StoreError::Taken { .. })
    ));
    let row = rows.read("teams", &[RecordKey::single("team_1")]).await.unwrap();
    assert_eq!(row[0].columns["name"], Value::text("Comets"), "rolled back");

    // A row that is not there is left out, and a scan in key order ends.
    assert!(
        rows.read("teams", &[RecordKey::single("nobody")])
            .await
            .unwrap()
            .is_empty()
    );
    let first = rows.scan("teams", None, 10).await.unwrap();
    assert_eq!(first.len(), 1);
    assert!(
        rows.scan("teams", Some(&first[0].key), 10)
            .await
            .unwrap()
            .is_empty()
    );

    // What is due comes by its instant, and once.
    let due = Link {
        look_again_at: Some(now),
        ..found[0].clone()
    };
    let current = store.links_by_page("teams", &[PageId::from("p1")]).await.unwrap()[0].rev;
    store
        .commit(fence, put(Link { rev: current, ..due }))
        .await
        .unwrap();
    let minute = time::Duration::MINUTE;
    assert_eq!(store.links_due("teams", now - minute, 9).await.unwrap().len(), 0);
    assert_eq!(store.links_due("teams", now, 9).await.unwrap().len(), 1);

    // Deletes are counted by side and time; a page that belonged to no record is none.
    for (id, link) in [(20, Some(Uuid::from_u128(1))), (21, None)] {
        let deleted = AuditEntry {
            id: Uuid::from_u128(id),
            link,
            side: Side::Notion,
            act: Act::Deleted,
            ..entry.clone()
        };
        store
            .commit(fence, Commit::of(vec![Record::Audit(deleted)]))
            .await
            .unwrap();
    }
    let deleted = async |side, since| store.deleted_since("teams", side, since).await.unwrap();
    assert_eq!(deleted(Side::Notion, now).await, 1);
    assert_eq!(deleted(Side::Notion, now + minute).await, 0);
    assert_eq!(deleted(Side::Postgres, now).await, 0);

    // An approval is of one plan, once, and for its time.
    let approval = Approval {
        hash: "abcdef12".to_owned(),
        expires_at: now + minute,
    };
    store.approve(&approval).await.unwrap();
    assert!(!store.take_approval("another", now).await.unwrap());
    assert!(!store.take_approval("abcdef12", now + minute * 2).await.unwrap());
    assert!(store.take_approval("abcdef12", now).await.unwrap());
    assert!(!store.take_approval("abcdef12", now).await.unwrap());

    // Leave that is given twice is one leave.
    for until in [now + minute, now + minute * 3] {
        store
            .approve(&Approval {
                expires_at: until,
                ..approval.clone()
            })
            .await
            .unwrap();
    }
    assert!(store.take_approval("abcdef12", now + minute * 2).await.unwrap());
    assert!(!store.take_approval("abcdef12", now).await.unwrap());

    // A person's choice counts for the values that it was made on, once; it makes the record due.
    let conflict = Conflict {
        id: Uuid::from_u128(40),
        link: stored.id,
        entity: "teams".to_owned(),
        key: stored.key.clone(),
        page: Some(PageId::from("p1")),
        property: Some("name".into()),
        base_row: None,
        base_page: None,
        row: Some(Value::text("here")),
        page_value: Some(Value::text("there")),
        reason: Reason::PersonMustChoose,
        evidence: serde_json::Value::Null,
        status: ConflictStatus::Open,
        rev: 2,
        opened_at: now,
        closed_at: None,
    };
    let open = Commit::of(vec![Record::Conflict(conflict.clone())]);
    store.commit(fence, open).await.unwrap();
    let before = store.links_by_page("teams", &[PageId::from("p1")]).await.unwrap()[0].clone();
    for rev in [1, 3] {
        assert!(
            !store.choose(conflict.id, rev, Side::Notion).await.unwrap(),
            "the values moved"
        );
    }
    assert_eq!(store.conflict(conflict.id).await.unwrap(), Some(conflict.clone()));
    assert!(store.choose(conflict.id, 2, Side::Notion).await.unwrap());
    let chosen = &store.conflicts(&[stored.id]).await.unwrap()[0];
    assert_eq!(chosen.status, ConflictStatus::Chosen(Side::Notion));
    let after = store.links_by_page("teams", &[PageId::from("p1")]).await.unwrap()[0].clone();
    assert_eq!(after.rev, before.rev + 1);
    assert!(after.look_again_at.is_some());
    let closed = Conflict {
        status: ConflictStatus::Resolved(Side::Notion),
        closed_at: Some(now),
        ..conflict.clone()
    };
    let close = Commit::of(vec![Record::Conflict(closed)]);
    store.commit(fence, close).await.unwrap();
    assert!(
        !store.choose(conflict.id, 2, Side::Postgres).await.unwrap(),
        "it is closed"
    );
    assert!(store.open_conflicts(None).await.unwrap().is_empty());

    let two_days_ago = now - time::Duration::days(2);
    // An intent is told while its outcome is open, and until a run ends a day after that; a request that nobody had looked after
    // for long may have been sent before.
    let intent = |id: u128, status: IntentStatus, settle_after: time::OffsetDateTime| Intent {
        id: Uuid::from_u128(id),
        link: stored.id,
        entity: "teams".to_owned(),
        kind: IntentKind::PatchPage,
        fields: Vec::new(),
        attempt: 1,
        sent_at: two_days_ago,
        settle_after,
        status,
    };
    let intents = [
        intent(50, IntentStatus::Pending, two_days_ago),
        intent(51, IntentStatus::Settled, two_days_ago),
        intent(52, IntentStatus::Abandoned, now - time::Duration::DAY),
        intent(53, IntentStatus::Abandoned, now - time::Duration::DAY + minute),
    ];
    let written = Commit::of(intents.clone().map(Record::Intent).to_vec());
    store.commit(fence, written).await.unwrap();
    assert_eq!(store.intents(&[stored.id]).await.unwrap(), intents);
    let run = Commit::of(vec![Record::Run(run(33, now))]);
    store.commit(fence, run).await.unwrap();
    let told = store.intents(&[stored.id]).await.unwrap();
    assert_eq!(told, [intents[0].clone(), intents[3].clone()]);
    assert_eq!(store.links_with_intents("teams").await.unwrap().len(), 1);
    let gone = Commit::of(vec![Record::IntentGone(Uuid::from_u128(50))]);
    store.commit(fence, gone).await.unwrap();
    assert!(store.links_with_intents("teams").await.unwrap().is_empty());

    // Of a key's tombstones the one of the last incarnation is told, and of a live link and tombstones the live one.
    let tombstone = |id: u128, incarnation: u32| Link {
        phase: Phase::Tombstone,
        incarnation,
        ..link(id, "team_9", None)
    };
    for link in [tombstone(62, 1), tombstone(61, 2)] {
        store.commit(fence, put(link)).await.unwrap();
    }
    let key = [RecordKey::single("team_9")];
    let told = store.links_by_key("teams", &key).await.unwrap();
    assert_eq!(told.iter().map(|link| link.incarnation).collect::<Vec<_>>(), [2]);
    let reborn = Link {
        incarnation: 3,
        ..link(60, "team_9", None)
    };
    store.commit(fence, put(reborn)).await.unwrap();
    let told = store.links_by_key("teams", &key).await.unwrap();
    assert_eq!(
        told.iter().map(|link| link.phase).collect::<Vec<_>>(),
        [Phase::Linked]
    );
    forgets(store, fence, &entry, now).await;

    // A pin is replaced, and what tells the database from another one does not change by itself.
    for value in ["first", "second"] {
        let pin = Pin {
            name: "bot".to_owned(),
            value: value.to_owned(),
        };
        store
            .commit(fence, Commit::of(vec![Record::Pin(pin)]))
            .await
            .unwrap();
    }
    let pins = store.pins().await.unwrap();
    assert_eq!((pins.len(), pins[0].value.as_str()), (1, "second"));
    assert_eq!(store.identity().await.unwrap(), store.identity().await.unwrap());

    // Whoever lost the lease commits nothing.
    store.release(fence).await.unwrap();
    let next = store
        .acquire("two", Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    assert!(next.epoch > lease.epoch);
    assert!(matches!(
        store.commit(fence, put(link(4, "team_4", None))).await,
        Err(StoreError::Fenced)
    ));
    assert!(matches!(
        store.renew(fence, Duration::from_secs(60)).await,
        Err(StoreError::Fenced)
    ));
}

#[tokio::test]
async fn the_store_in_memory_keeps_the_contract() {
    let world = World::new();
    world.team("team_1", "Rockets");
    holds(&*world.store, &*world.tables, world.clock.now()).await;
}

#[tokio::test]
async fn the_store_in_postgres_keeps_the_contract() {
    let (_database, pool) = TestDatabase::with(
        "create table teams (id text primary key, name text not null);
         insert into teams values ('team_1', 'Rockets');",
    )
    .await;
    migrate_state(&pool, "frames_sync").await.unwrap();
    let name = TableName {
        schema: "public".to_owned(),
        name: "teams".to_owned(),
    };
    let table = introspect_all(&pool, std::slice::from_ref(&name))
        .await
        .unwrap()
        .remove(&name)
        .unwrap();
    let teams = EntityTable {
        table,
        key: vec!["id".to_owned()],
        columns: vec!["id".to_owned(), "name".to_owned()],
        scope: Predicate::All(Vec::new()),
        updated_at: None,
    };
    let entities = BTreeMap::from([("teams".to_owned(), teams)]);
    let database = ProfileDatabase::new(pool, "frames_sync", "cal", entities, None).unwrap();
    // Instants are kept to the microsecond there.
    holds(&database, &database, datetime!(2026-01-01 12:00 UTC)).await;
    assert!(database.identity().await.unwrap().is_some());
}
