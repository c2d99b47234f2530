//! The engine's memory in Postgres: [`Store`] over the state schema, with row writes in the same commits.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{PgConnection, Postgres, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::journal::{AuditEntry, Conflict, Intent};
use crate::ports::{
    Approval, AuditFilter, BoxFuture, Commit, CommitOutcome, Fence, LeaseGrant, Link, LinkTotals, Marks, Pin,
    Record, Retry, RowOutcome, RunRecord, Store, StoreError,
};
use crate::reconcile::Side;
use crate::store::StateError;
use crate::value::{PageId, RecordKey};

use super::super::{PostgresError, Purpose, SqlFailure, begin};
use super::write::{entity_of, rejection, write};
use super::{EntityTable, ProfileDatabase};

/// Runs one or more statements of [`crate::store::StateTables`] in a transaction of their own.
macro_rules! in_transaction {
    ($self:ident, $doing:literal, |$connection:ident| $work:expr) => {
        Box::pin(async move {
            let mut transaction = $self.open($doing).await?;
            let found = {
                let $connection: &mut PgConnection = &mut transaction;
                $work.await.map_err(|error| state_error($doing, error))?
            };
            commit(transaction, $doing).await?;
            Ok(found)
        })
    };
}

impl ProfileDatabase {
    /// Who works on the profile at present, and until when unless renewed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn lease(&self) -> Result<Option<(String, OffsetDateTime)>, StoreError> {
        in_transaction!(self, "read the lease", |connection| self.state.holder(connection)).await
    }

    /// The run of that id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn run(&self, id: Uuid) -> Result<Option<RunRecord>, StoreError> {
        in_transaction!(self, "read runs", |connection| self.state.run(connection, id)).await
    }
}

impl Store for ProfileDatabase {
    fn acquire<'a>(
        &'a self,
        holder: &'a str,
        duration: Duration,
    ) -> BoxFuture<'a, Result<Option<LeaseGrant>, StoreError>> {
        in_transaction!(self, "take the lease", |connection| {
            self.state.acquire(connection, holder, duration)
        })
    }

    fn renew<'a>(
        &'a self,
        fence: Fence,
        duration: Duration,
    ) -> BoxFuture<'a, Result<LeaseGrant, StoreError>> {
        Box::pin(async move {
            let renewed: Result<Option<LeaseGrant>, StoreError> =
                in_transaction!(self, "renew the lease", |connection| {
                    self.state.renew(connection, fence, duration)
                })
                .await;
            renewed?.ok_or(StoreError::Fenced)
        })
    }

    fn release<'a>(&'a self, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>> {
        in_transaction!(self, "give the lease back", |connection| {
            self.state.release(connection, fence)
        })
    }

    fn commit<'a>(
        &'a self,
        fence: Fence,
        commit: Commit<'a>,
    ) -> BoxFuture<'a, Result<CommitOutcome, StoreError>> {
        Box::pin(self.commit_all(fence, commit))
    }

    fn links_by_key<'a>(
        &'a self,
        entity: &'a str,
        keys: &'a [RecordKey],
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        in_transaction!(self, "read links", |connection| {
            self.state.links_by_key(connection, entity, keys)
        })
    }

    fn links_by_page<'a>(
        &'a self,
        entity: &'a str,
        pages: &'a [PageId],
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        in_transaction!(self, "read links", |connection| {
            self.state.links_by_page(connection, entity, pages)
        })
    }

    fn links_after<'a>(
        &'a self,
        entity: &'a str,
        after: Option<Uuid>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        in_transaction!(self, "read links", |connection| {
            self.state.links_after(connection, entity, after, limit)
        })
    }

    fn links_due<'a>(
        &'a self,
        entity: &'a str,
        now: OffsetDateTime,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        in_transaction!(self, "read links", |connection| {
            self.state.links_due(connection, entity, now, limit)
        })
    }

    fn links_troubled<'a>(
        &'a self,
        entity: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        in_transaction!(self, "read links", |connection| {
            self.state.links_troubled(connection, entity, limit)
        })
    }

    fn totals<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<LinkTotals, StoreError>> {
        in_transaction!(self, "count links", |connection| {
            self.state.totals(connection, entity)
        })
    }

    fn intents<'a>(&'a self, links: &'a [Uuid]) -> BoxFuture<'a, Result<Vec<Intent>, StoreError>> {
        in_transaction!(self, "read the journal", |connection| {
            self.state.intents(connection, links)
        })
    }

    fn links_with_intents<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<Vec<Link>, StoreError>> {
        in_transaction!(self, "read the journal", |connection| {
            self.state.links_with_intents(connection, entity)
        })
    }

    fn conflicts<'a>(&'a self, links: &'a [Uuid]) -> BoxFuture<'a, Result<Vec<Conflict>, StoreError>> {
        in_transaction!(self, "read conflicts", |connection| {
            self.state.conflicts(connection, links)
        })
    }

    fn open_conflicts<'a>(
        &'a self,
        entity: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Conflict>, StoreError>> {
        in_transaction!(self, "read conflicts", |connection| {
            self.state.open_conflicts(connection, entity)
        })
    }

    fn conflict<'a>(&'a self, id: Uuid) -> BoxFuture<'a, Result<Option<Conflict>, StoreError>> {
        in_transaction!(self, "read conflicts", |connection| {
            self.state.conflict(connection, id)
        })
    }

    fn choose<'a>(&'a self, id: Uuid, rev: i64, side: Side) -> BoxFuture<'a, Result<bool, StoreError>> {
        in_transaction!(self, "record a choice", |connection| {
            self.state.choose(connection, id, rev, side)
        })
    }

    fn marks<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<Marks, StoreError>> {
        in_transaction!(self, "read marks", |connection| {
            self.state.marks(connection, entity)
        })
    }

    fn deleted_since<'a>(
        &'a self,
        entity: &'a str,
        side: Side,
        since: OffsetDateTime,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        in_transaction!(self, "read the audit log", |connection| {
            self.state.deleted_since(connection, entity, side, since)
        })
    }

    fn writes_since<'a>(
        &'a self,
        links: &'a [Uuid],
        since: OffsetDateTime,
    ) -> BoxFuture<'a, Result<BTreeMap<Uuid, u32>, StoreError>> {
        in_transaction!(self, "read the audit log", |connection| {
            self.state.writes_since(connection, links, since)
        })
    }

    fn identity(&self) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        Box::pin(async move {
            let mut transaction = self.open("read the database's identity").await?;
            let found: Result<String, sqlx::Error> = sqlx::query_scalar(
                "select system_identifier || ' ' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || ' ' \
                 || (select oid from pg_database where datname = current_database()) from pg_control_system()",
            )
            .persistent(false)
            .fetch_one(&mut *transaction)
            .await;
            match found {
                Ok(identity) => Ok(Some(identity)),
                // Hosts that hide their cluster: the other signs of 6.10 have to do.
                Err(sqlx::Error::Database(_)) => Ok(None),
                Err(error) => Err(statement_error("read the database's identity", error)),
            }
        })
    }

    fn pins(&self) -> BoxFuture<'_, Result<Vec<Pin>, StoreError>> {
        in_transaction!(self, "read pins", |connection| self.state.pins(connection))
    }

    fn take_approval<'a>(
        &'a self,
        hash: &'a str,
        now: OffsetDateTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        in_transaction!(self, "use an approval", |connection| {
            self.state.take_approval(connection, hash, now)
        })
    }

    fn approve<'a>(&'a self, approval: &'a Approval) -> BoxFuture<'a, Result<(), StoreError>> {
        in_transaction!(self, "record an approval", |connection| {
            self.state.approve(connection, approval)
        })
    }

    fn audit<'a>(&'a self, filter: &'a AuditFilter) -> BoxFuture<'a, Result<Vec<AuditEntry>, StoreError>> {
        in_transaction!(self, "read the audit log", |connection| {
            self.state.audit(connection, filter)
        })
    }

    fn runs<'a>(&'a self, limit: u32) -> BoxFuture<'a, Result<Vec<RunRecord>, StoreError>> {
        in_transaction!(self, "read runs", |connection| self.state.runs(connection, limit))
    }
}

const COMMIT: &str = "commit to the sync state";

impl ProfileDatabase {
    async fn open(&self, doing: &'static str) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.open_for(doing, Purpose::State).await
    }

    async fn open_for(
        &self,
        doing: &'static str,
        purpose: Purpose,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        begin(&self.pool, purpose)
            .await
            .map_err(|error| adapter_error(doing, error))
    }

    async fn commit_all(&self, fence: Fence, asked: Commit<'_>) -> Result<CommitOutcome, StoreError> {
        let mut transaction = self.open_for(COMMIT, Purpose::Write).await?;
        let held = self
            .state
            .holds(&mut transaction, fence)
            .await
            .map_err(|error| state_error(COMMIT, error))?;
        if !held {
            return Err(StoreError::Fenced);
        }
        self.record_all(&mut transaction, &asked.records).await?;
        let Some((row_write, settle)) = asked.row else {
            commit(transaction, COMMIT).await?;
            return Ok(CommitOutcome::Committed(None));
        };
        let entity = self.written_entity(entity_of(&row_write))?;
        let outcome = write(&mut transaction, entity, &row_write)
            .await
            .map_err(|error| adapter_error(COMMIT, error))?;
        let RowOutcome::Written(row) = outcome else {
            // Dropping the transaction rolls it back; doing it here keeps the connection ready for the next.
            transaction
                .rollback()
                .await
                .map_err(|error| statement_error(COMMIT, error))?;
            return Ok(CommitOutcome::RowRefused(outcome));
        };
        self.record_all(&mut transaction, &settle(&row)).await?;
        match transaction.commit().await {
            Ok(()) => Ok(CommitOutcome::Committed(Some(row))),
            Err(error @ sqlx::Error::Database(_)) => {
                // Deferred constraints speak up at the very end.
                let failure = SqlFailure::from(error);
                if failure.is_about_the_record() {
                    Ok(CommitOutcome::RowRefused(RowOutcome::Rejected(rejection(
                        &failure,
                    ))))
                } else {
                    Err(failed(COMMIT, failure))
                }
            }
            Err(error) => Err(unknown(error)),
        }
    }

    async fn record_all(&self, connection: &mut PgConnection, records: &[Record]) -> Result<(), StoreError> {
        for record in records {
            self.state
                .apply(connection, record)
                .await
                .map_err(|error| state_error(COMMIT, error))?;
            if let (Record::Audit(entry), Some(copy)) = (record, &self.audit_copy) {
                let scope = self.entities.get(&entry.entity).map(|entity| &entity.scope);
                copy.append(connection, entry, scope)
                    .await
                    .map_err(|error| adapter_error(COMMIT, error))?;
            }
        }
        Ok(())
    }

    fn written_entity(&self, name: &str) -> Result<&EntityTable, StoreError> {
        self.entity(name).map_err(|error| StoreError::Failed {
            doing: COMMIT,
            retry: Retry::Never,
            source: Box::new(error),
        })
    }
}

/// Commits; a connection lost on the way leaves the outcome open, a server's refusal does not.
async fn commit(transaction: Transaction<'_, Postgres>, doing: &'static str) -> Result<(), StoreError> {
    transaction.commit().await.map_err(|error| match error {
        sqlx::Error::Database(_) => statement_error(doing, error),
        error => unknown(error),
    })
}

fn unknown(error: sqlx::Error) -> StoreError {
    StoreError::Unknown {
        source: Box::new(SqlFailure::from(error)),
    }
}

fn statement_error(doing: &'static str, error: sqlx::Error) -> StoreError {
    failed(doing, error.into())
}

fn failed(doing: &'static str, failure: SqlFailure) -> StoreError {
    StoreError::Failed {
        doing,
        retry: failure.retry(),
        source: Box::new(failure),
    }
}

fn state_error(doing: &'static str, error: StateError) -> StoreError {
    match error {
        StateError::Taken { entity } => StoreError::Taken { entity },
        StateError::Sql(error) => statement_error(doing, error),
        StateError::Body(error) => StoreError::Failed {
            doing,
            retry: Retry::Never,
            source: Box::new(error),
        },
    }
}

fn adapter_error(doing: &'static str, error: PostgresError) -> StoreError {
    StoreError::Failed {
        doing,
        retry: error.retry(),
        source: Box::new(error),
    }
}

mod erase;
mod webhooks;
