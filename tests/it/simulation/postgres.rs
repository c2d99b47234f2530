//! The Postgres side of a schedule: what the engine's ports reach, what the application does to rows, and what the oracle
//! looks at. One is simulated, the other one real; the same tape must come to the same end on both.

use std::sync::Arc;

use frames_sync::journal::{AuditEntry, Conflict};
use frames_sync::ports::{
    BoxFuture, Change, Clock, ColumnRejection, Link, Row, RowChange, RowOutcome, RowTables, RowWrite, Rows,
    RowsError, Store,
};
use frames_sync::simulator::table::{Columns, Tables};
use frames_sync::store::{MemoryBackup, MemoryStore};
use frames_sync::value::{RecordKey, Value};
use time::OffsetDateTime;

use super::database::{refused, trigger};
use super::world::{NEIGHBOUR, TEAMS, tenant};

/// A database with the tables of a profile and the engine's memory.
pub(crate) trait Postgres: Send + Sync {
    fn rows(&self) -> &dyn Rows;

    fn store(&self) -> &dyn Store;

    /// Inserts or replaces a row, as the application would.
    fn put(&self, entity: &str, columns: Columns);

    /// Deletes a row, as the application would; answers whether it was there.
    fn delete(&self, entity: &str, key: &RecordKey) -> bool;

    /// The columns of a row, whatever the scope says.
    fn row(&self, entity: &str, key: &RecordKey) -> Option<Columns>;

    /// All keys of a table, in order.
    fn keys(&self, entity: &str) -> Vec<RecordKey>;

    /// Every link, by id.
    fn links(&self) -> Vec<Link>;

    /// The first link that fits, by id.
    fn find_link(&self, fits: &dyn Fn(&Link) -> bool) -> Option<Link>;

    /// The whole audit log, oldest first.
    fn audit_log(&self) -> Vec<AuditEntry>;

    /// How many entries the audit log has.
    fn audited(&self) -> usize;

    /// Every conflict that was ever opened, by id.
    fn all_conflicts(&self) -> Vec<Conflict>;

    /// Gives a row another key, as the application would; answers whether it did.
    fn rekey(&self, entity: &str, key: &RecordKey, new: &str) -> bool;

    /// The other tenant's profile in the same database; `None` where there is none.
    fn next_door(&self) -> Option<&NextDoor>;

    /// Everything as it is now; `None` where that is not kept.
    fn backup(&self) -> Option<Backup>;

    /// Puts back what a backup holds.
    fn restore(&self, backup: &Backup);
}

/// A database at an instant: its rows, and the memory of both profiles.
#[derive(Clone)]
pub(crate) struct Backup {
    tables: frames_sync::simulator::table::Backup,
    stores: [MemoryBackup; 2],
}

/// The same table as another tenant's profile may see and write it: rows whose `org` is its own.
struct Beyond {
    tables: Arc<Tables>,
    acts: bool,
}

impl Beyond {
    fn seen(&self, key: &RecordKey) -> Option<Row> {
        let columns = self.tables.row(TEAMS, key)?;
        let in_scope = columns.get("org") == Some(&Value::text(tenant(NEIGHBOUR)));
        Some(Row {
            key: key.clone(),
            in_scope,
            columns: if in_scope { columns } else { Columns::new() },
        })
    }
}

impl Rows for Beyond {
    fn scan<'a>(
        &'a self,
        _entity: &'a str,
        after: Option<&'a RecordKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        let keys = self.tables.keys(TEAMS);
        let rows = keys
            .iter()
            .filter(|key| after.is_none_or(|after| *key > after))
            .filter_map(|key| self.seen(key))
            .filter(|row| row.in_scope)
            .take(limit)
            .collect();
        Box::pin(async move { Ok(rows) })
    }

    fn read<'a>(
        &'a self,
        _entity: &'a str,
        keys: &'a [RecordKey],
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        let rows = keys.iter().filter_map(|key| self.seen(key)).collect();
        Box::pin(async move { Ok(rows) })
    }

    fn changes<'a>(&'a self, _: &'a str, _: usize) -> BoxFuture<'a, Result<Vec<Change>, RowsError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn updated_since<'a>(
        &'a self,
        entity: &'a str,
        _since: OffsetDateTime,
        after: Option<&'a RecordKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        self.scan(entity, after, limit)
    }
}

impl RowTables for Beyond {
    fn write(&self, write: &RowWrite, then: &mut dyn FnMut(&Row) -> bool) -> RowOutcome {
        let (key, set, expect) = match write {
            RowWrite::Update { key, set, expect, .. } => (key, set.as_slice(), expect),
            RowWrite::Delete { key, expect, .. } => (key, [].as_slice(), expect),
            // Its role may not insert.
            RowWrite::Insert { .. } => {
                return RowOutcome::Rejected(ColumnRejection {
                    sqlstate: "42501".to_owned(),
                    constraint: None,
                    column: None,
                });
            }
        };
        let Some(mut row) = self.seen(key).filter(|row| row.in_scope) else {
            return RowOutcome::Moved;
        };
        let holds = |change: &RowChange| row.columns.get(&change.column) == Some(&change.value);
        if !expect.iter().all(holds) {
            return RowOutcome::Moved;
        }
        let changes = set
            .iter()
            .map(|change| (change.column.clone(), change.value.clone()));
        row.columns.extend(changes);
        trigger(&mut row.columns, self.acts);
        if let Some(rejection) = refused(&row.columns).filter(|_| self.acts) {
            return RowOutcome::Rejected(rejection);
        }
        if !then(&row) {
            return RowOutcome::Moved;
        }
        if matches!(write, RowWrite::Delete { .. }) {
            self.tables.delete(TEAMS, key);
        } else {
            self.tables.put(TEAMS, row.columns.clone());
        }
        RowOutcome::Written(row)
    }

    fn acknowledge(&self, _entity: &str, _notes: &[i64]) {}
}

/// The other tenant's side of the database: its rows, and its engine's memory.
pub(crate) struct NextDoor {
    rows: Arc<Beyond>,
    pub(crate) store: MemoryStore,
}

impl NextDoor {
    pub(crate) fn rows(&self) -> &dyn Rows {
        &*self.rows
    }
}

/// Tables and memory in this process.
pub(crate) struct Simulated {
    tables: Arc<Tables>,
    store: MemoryStore,
    next_door: NextDoor,
}

impl Simulated {
    pub(crate) fn new(tables: Tables, clock: Arc<dyn Clock>, acts: bool) -> Self {
        let tables = Arc::new(tables);
        let rows = Arc::new(Beyond {
            tables: Arc::clone(&tables),
            acts,
        });
        Self {
            next_door: NextDoor {
                store: MemoryStore::new(Arc::clone(&rows) as _, Arc::clone(&clock)),
                rows,
            },
            store: MemoryStore::new(Arc::clone(&tables) as _, clock),
            tables,
        }
    }
}

impl Postgres for Simulated {
    fn rows(&self) -> &dyn Rows {
        &*self.tables
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn put(&self, entity: &str, columns: Columns) {
        self.tables.put(entity, columns);
    }

    fn delete(&self, entity: &str, key: &RecordKey) -> bool {
        self.tables.delete(entity, key)
    }

    fn row(&self, entity: &str, key: &RecordKey) -> Option<Columns> {
        self.tables.row(entity, key)
    }

    fn keys(&self, entity: &str) -> Vec<RecordKey> {
        self.tables.keys(entity)
    }

    fn links(&self) -> Vec<Link> {
        self.store.links()
    }

    fn find_link(&self, fits: &dyn Fn(&Link) -> bool) -> Option<Link> {
        self.store.find_link(fits)
    }

    fn audited(&self) -> usize {
        self.store.audited()
    }

    fn audit_log(&self) -> Vec<AuditEntry> {
        self.store.audit_log()
    }

    fn all_conflicts(&self) -> Vec<Conflict> {
        self.store.all_conflicts()
    }

    fn rekey(&self, entity: &str, key: &RecordKey, new: &str) -> bool {
        self.tables.rekey(entity, key, "id", Value::text(new)).is_some()
    }

    fn next_door(&self) -> Option<&NextDoor> {
        Some(&self.next_door)
    }

    fn backup(&self) -> Option<Backup> {
        Some(Backup {
            tables: self.tables.backup(),
            stores: [self.store.backup(), self.next_door.store.backup()],
        })
    }

    fn restore(&self, backup: &Backup) {
        self.tables.restore(&backup.tables);
        self.store.restore(&backup.stores[0]);
        self.next_door.store.restore(&backup.stores[1]);
    }
}
