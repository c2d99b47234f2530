//! A university's Postgres: tables in memory with a change log, another tenant's rows beside its own, and outages.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use frames_sync::ports::{
    BoxFuture, Change, Clock, Retry, Row, RowOutcome, RowTables, RowWrite, Rows, RowsError,
};
use frames_sync::schema::TableName;
use frames_sync::schema::table::{Column, PgType, TableSchema};
use frames_sync::simulator::table::{Columns, Table, Tables};
use frames_sync::value::{RecordKey, Value};
use time::OffsetDateTime;
use tokio::sync::broadcast;

use super::clock::VirtualClock;

/// The tenant whose rows lie beside everybody's.
pub(crate) const FOREIGN: &str = "elsewhere";

/// The columns of each table, and their types.
pub(crate) const TEAMS: [(&str, PgType); 8] = [
    ("id", PgType::Text),
    ("org", PgType::Text),
    ("name", PgType::Text),
    ("note", PgType::Text),
    ("size", PgType::Int8),
    ("status", PgType::Text),
    ("is_open", PgType::Bool),
    ("project_id", PgType::Text),
];
pub(crate) const PROJECTS: [(&str, PgType); 4] = [
    ("id", PgType::Text),
    ("org", PgType::Text),
    ("name", PgType::Text),
    ("note", PgType::Text),
];

/// What the catalog would say of a table.
pub(crate) fn described(name: &str, columns: &[(&str, PgType)]) -> TableSchema {
    let column = |(name, pg_type): &(&str, PgType)| Column {
        not_null: ["id", "org", "name", "is_open"].contains(name),
        ..Column::plain(name, pg_type.clone())
    };
    TableSchema {
        primary_key: vec!["id".to_owned()],
        unique: vec![vec!["id".to_owned()]],
        ..TableSchema::plain(table_name(name), columns.iter().map(column).collect())
    }
}

pub(crate) fn table_name(name: &str) -> TableName {
    TableName {
        schema: "public".to_owned(),
        name: name.to_owned(),
    }
}

/// The tables, with what a trigger would note of them.
pub(crate) struct Postgres {
    tables: Tables,
    clock: Arc<VirtualClock>,
    log: Mutex<Vec<(&'static str, Change)>>,
    next: AtomicI64,
    /// Whether nobody is answered.
    pub(crate) is_down: AtomicBool,
    /// What NOTIFY would tell.
    pub(crate) notes: broadcast::Sender<String>,
}

impl Postgres {
    pub(crate) fn new(org: &str, clock: Arc<VirtualClock>) -> Self {
        let tables = Tables::new();
        for (name, columns) in [("teams", &TEAMS[..]), ("projects", &PROJECTS[..])] {
            let (mine, given) = (org.to_owned(), org.to_owned());
            let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            let table = Table::new(&["id"])
                .columns(&names)
                .scope(move |columns| columns["org"] == Value::text(mine.as_str()))
                // The equalities of the scope go into every new row.
                .trigger(move |columns| {
                    let of = columns.entry("org".to_owned()).or_insert(Value::Null);
                    if *of == Value::Null {
                        *of = Value::text(given.as_str());
                    }
                    if columns.get("is_open") == Some(&Value::Null) {
                        columns.insert("is_open".to_owned(), Value::Bool(false));
                    }
                });
            tables.add(name, table);
        }
        Self {
            tables,
            clock,
            log: Mutex::default(),
            next: AtomicI64::new(1),
            is_down: AtomicBool::new(false),
            notes: broadcast::channel(64).0,
        }
    }

    fn log(&self) -> MutexGuard<'_, Vec<(&'static str, Change)>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes are for entities with triggers.
    fn note(&self, entity: &str, key: &RecordKey, deleted: bool, columns: Option<Vec<String>>) {
        if entity != "teams" {
            return;
        }
        let change = Change {
            seq: self.next.fetch_add(1, Ordering::Relaxed),
            key: key.clone(),
            old_key: None,
            deleted,
            at: self.clock.now(),
            columns,
        };
        self.log().push(("teams", change));
        // Nobody may be listening.
        let _ = self.notes.send(entity.to_owned());
    }

    /// Notes that wait to be looked at.
    pub(crate) fn notes_waiting(&self) -> usize {
        self.log().len()
    }

    /// The application inserts a row.
    pub(crate) fn put(&self, entity: &str, columns: Columns) {
        if let Some(key) = self.tables.put(entity, columns) {
            self.note(entity, &key, false, None);
        }
    }

    /// The application sets a column; whether the row is there.
    pub(crate) fn set(&self, entity: &str, key: &RecordKey, column: &str, value: Value) -> bool {
        let done = self.tables.set(entity, key, column, value);
        if done {
            self.note(entity, key, false, Some(vec![column.to_owned()]));
        }
        done
    }

    /// The application deletes a row.
    pub(crate) fn delete(&self, entity: &str, key: &RecordKey) {
        self.tables.delete(entity, key);
        self.note(entity, key, true, None);
    }

    /// A row, whoever's it is.
    pub(crate) fn row(&self, entity: &str, key: &RecordKey) -> Option<Columns> {
        self.tables.row(entity, key)
    }

    /// The keys of one tenant's rows, in order.
    pub(crate) fn keys(&self, entity: &str, org: &str) -> Vec<RecordKey> {
        let mut keys = self.tables.keys(entity);
        keys.retain(|key| {
            self.row(entity, key)
                .is_some_and(|columns| columns["org"] == Value::text(org))
        });
        keys
    }

    fn answers(&self, entity: &str) -> Result<(), RowsError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(RowsError::Read {
                entity: entity.to_owned(),
                retry: Retry::WithBackOff,
                source: Box::new(io::Error::other("the server is away")),
            });
        }
        Ok(())
    }
}

impl Rows for Postgres {
    fn scan<'a>(
        &'a self,
        entity: &'a str,
        after: Option<&'a RecordKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        Box::pin(async move {
            self.answers(entity)?;
            self.tables.scan(entity, after, limit).await
        })
    }

    fn read<'a>(
        &'a self,
        entity: &'a str,
        keys: &'a [RecordKey],
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        Box::pin(async move {
            self.answers(entity)?;
            self.tables.read(entity, keys).await
        })
    }

    fn changes<'a>(&'a self, entity: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Change>, RowsError>> {
        Box::pin(async move {
            self.answers(entity)?;
            let log = self.log();
            let of_entity = log.iter().filter(|(of, _)| *of == entity);
            Ok(of_entity.take(limit).map(|(_, change)| change.clone()).collect())
        })
    }

    fn updated_since<'a>(
        &'a self,
        entity: &'a str,
        since: OffsetDateTime,
        after: Option<&'a RecordKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        self.tables.updated_since(entity, since, after, limit)
    }
}

impl RowTables for Postgres {
    fn write(&self, write: &RowWrite, then: &mut dyn FnMut(&Row) -> bool) -> RowOutcome {
        let outcome = self.tables.write(write, then);
        if let RowOutcome::Written(row) = &outcome {
            let (entity, deleted, columns) = match write {
                RowWrite::Update { entity, set, .. } => (
                    entity,
                    false,
                    Some(set.iter().map(|change| change.column.clone()).collect()),
                ),
                RowWrite::Insert { entity, .. } => (entity, false, None),
                RowWrite::Delete { entity, .. } => (entity, true, None),
            };
            self.note(entity, &row.key, deleted, columns);
        }
        outcome
    }

    fn acknowledge(&self, entity: &str, notes: &[i64]) {
        self.log()
            .retain(|(of, change)| *of != entity || !notes.contains(&change.seq));
    }
}
