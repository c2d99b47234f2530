//! The Postgres side of a schedule: what the engine's ports reach, what the application does to rows, and what the oracle
//! looks at. One is simulated, the other one real; the same tape must come to the same end on both.

use std::sync::Arc;

use frames_sync::journal::{AuditEntry, Conflict};
use frames_sync::ports::{Clock, Link, Rows, Store};
use frames_sync::simulator::table::{Columns, Tables};
use frames_sync::store::MemoryStore;
use frames_sync::value::RecordKey;

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
}

/// Tables and memory in this process.
pub(crate) struct Simulated {
    tables: Arc<Tables>,
    store: MemoryStore,
}

impl Simulated {
    pub(crate) fn new(tables: Tables, clock: Arc<dyn Clock>) -> Self {
        let tables = Arc::new(tables);
        Self {
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
}
