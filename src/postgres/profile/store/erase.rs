//! Forgetting what the state holds of a record, or of long ago: the owner's work, not the runtime role's.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{ProfileDatabase, commit, state_error};
use crate::ports::{BoxFuture, Erased, StoreError};
use crate::value::RecordKey;

impl ProfileDatabase {
    /// Erases every value that the audit log, settled conflicts and links of deleted records hold of a record; that it
    /// was written stays on record.
    ///
    /// # Errors
    /// When the database refuses: the audit log lets its owner alone do it.
    pub fn erase<'a>(
        &'a self,
        entity: &'a str,
        key: &'a RecordKey,
    ) -> BoxFuture<'a, Result<Erased, StoreError>> {
        in_transaction!(self, "erase what is kept of a record", |connection| self
            .state
            .erase(connection, entity, key))
    }

    /// Ends entries of the audit log, and settled conflicts, of before an instant.
    ///
    /// # Errors
    /// As [`ProfileDatabase::erase`].
    pub fn prune(&self, before: OffsetDateTime) -> BoxFuture<'_, Result<Erased, StoreError>> {
        in_transaction!(self, "end old entries of the audit log", |connection| self
            .state
            .prune(connection, before))
    }
}
