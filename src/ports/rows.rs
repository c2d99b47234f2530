//! The port to a profile's rows in Postgres.
//!
//! Reading is here; writing is [`super::Store::commit`], because a row, its baseline and its journal line
//! share one commit.

use std::collections::BTreeMap;
use std::error::Error;

use time::OffsetDateTime;

use super::{BoxFuture, Retry, Value};
use crate::value::RecordKey;

/// A row, as far as the profile may see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The values of the key columns.
    pub key: RecordKey,
    /// Whether the scope predicate holds. A row outside the scope carries no columns at all: its values are
    /// another tenant's.
    pub in_scope: bool,
    /// Canonical values of the mapped columns, and of the columns that templates and `capture` name.
    pub columns: BTreeMap<String, Value>,
}

/// A note that a row may have changed: a reason to look, never the change itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The number of the note in the change log; acknowledged by [`super::Record::Acknowledged`].
    pub seq: i64,
    /// The key after the statement; for a delete, the key that went.
    pub key: RecordKey,
    /// The key before the statement, when it was another one.
    pub old_key: Option<RecordKey>,
    /// Whether the statement deleted the row.
    pub deleted: bool,
    /// `clock_timestamp()` of the statement.
    pub at: OffsetDateTime,
    /// The columns that the statement changed; `None` when it is not known.
    pub columns: Option<Vec<String>>,
}

/// Reads rows of the profile's entities, from the primary only.
pub trait Rows: Send + Sync {
    /// The next rows in scope after `after` in the table's key order, at most `limit`.
    ///
    /// An empty answer ends the scan. One statement each, no transaction stays open between two calls, so a row
    /// is proved absent only by [`Rows::read`], never by a scan that did not meet it.
    fn scan<'a>(
        &'a self,
        entity: &'a str,
        after: Option<&'a RecordKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>>;

    /// The rows with these keys, in any order; a key without a row is left out.
    ///
    /// Rows outside the scope are answered with `in_scope: false` and no columns. Absence is proof only because
    /// an implementer fails with [`RowsError::Hidden`] while row security could hide rows from it.
    fn read<'a>(
        &'a self,
        entity: &'a str,
        keys: &'a [RecordKey],
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>>;

    /// The unacknowledged notes of the change log, oldest first, at most `limit`; empty for `capture: scan`.
    ///
    /// A work set, not a stream: the same note comes back until it is acknowledged.
    fn changes<'a>(&'a self, entity: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Change>, RowsError>>;

    /// Rows in scope whose `capture: { updated_at }` column is at or after `since`, in key order after `after`.
    fn updated_since<'a>(
        &'a self,
        entity: &'a str,
        since: OffsetDateTime,
        after: Option<&'a RecordKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>>;
}

/// One column and the value it is to hold.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// The column, unquoted.
    pub column: String,
    /// The canonical value.
    pub value: Value,
}

/// A write to one row, made inside a [`super::Commit`].
#[derive(Clone, Debug, PartialEq)]
pub enum RowWrite {
    /// `UPDATE … WHERE key AND scope RETURNING *, (scope)`.
    Update {
        /// The entity.
        entity: String,
        /// The row.
        key: RecordKey,
        /// What to set.
        set: Vec<RowChange>,
        /// What the row, read `FOR NO KEY UPDATE` with the scope, must still hold; compared in canonical form.
        expect: Vec<RowChange>,
    },
    /// `INSERT … RETURNING *, (scope)`; columns left out take their defaults, equalities of the scope are added.
    Insert {
        /// The entity.
        entity: String,
        /// What to set.
        set: Vec<RowChange>,
    },
    /// `DELETE … WHERE key AND scope`.
    Delete {
        /// The entity.
        entity: String,
        /// The row.
        key: RecordKey,
        /// What the row must still hold.
        expect: Vec<RowChange>,
    },
}

/// How a row write ended; everything but `Written` left nothing behind, the other records included.
#[derive(Clone, Debug, PartialEq)]
pub enum RowOutcome {
    /// Done. The row as Postgres returned it (after its triggers); for a delete, as it was.
    Written(Row),
    /// The row no longer holds what the write relied on, or is no longer there: look again.
    Moved,
    /// The write would have put the row outside the scope.
    LeavesScope,
    /// Postgres refused the values.
    Rejected(ColumnRejection),
}

/// Why Postgres refused a row: never with DETAIL, CONTEXT or a message raised by a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnRejection {
    /// The SQLSTATE, five characters.
    pub sqlstate: String,
    /// The constraint, when Postgres names one.
    pub constraint: Option<String>,
    /// The column, when Postgres names one.
    pub column: Option<String>,
}

/// Why rows could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The connection or the server failed.
    #[error("cannot read rows of `{entity}`")]
    Read {
        /// The entity.
        entity: String,
        /// Whether another attempt may help.
        retry: Retry,
        /// What the adapter met.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Row security is active for the role, so a missing row proves nothing.
    #[error("row security hides rows of `{entity}` from this role")]
    Hidden {
        /// The entity.
        entity: String,
    },
    /// The server is a standby.
    #[error("the server is in recovery: rows are read from the primary only")]
    Standby,
    /// The entity is not one of the profile's.
    #[error("`{entity}` is not an entity of this profile")]
    UnknownEntity {
        /// The name that was asked for.
        entity: String,
    },
}

impl RowsError {
    /// When reading may be tried again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Read { retry, .. } => *retry,
            Self::Hidden { .. } | Self::Standby | Self::UnknownEntity { .. } => Retry::Never,
        }
    }
}

/// Rows that live in memory, for a [`super::Store`] that lives there too: how both share one commit.
pub trait RowTables: Send + Sync {
    /// Makes the write, then calls `then` with the row as stored; takes the write back when that answers false.
    ///
    /// Nothing else reads or writes the tables meanwhile.
    fn write(&self, write: &RowWrite, then: &mut dyn FnMut(&Row) -> bool) -> RowOutcome;

    /// Removes notes from an entity's change log.
    fn acknowledge(&self, entity: &str, notes: &[i64]);
}
