//! Opening transactions: the isolation each purpose needs, and settings that hold for that long only.

use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};

use super::PostgresError;

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// One snapshot of many rows; writes nothing.
    Snapshot,
    /// The catalog, with every type name qualified; writes nothing.
    Catalog,
    /// Sync state alone.
    State,
    /// Rows and sync state together: triggers of the user's run in it, and find what they are used to find.
    Write,
    /// The state schema itself; may wait for another starter.
    Migrate,
}

/// What makes the text of a value the same whatever the role, the database or the client's environment set.
const PINNED: &str = "set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; \
    set local intervalstyle = 'postgres'; set local extra_float_digits = 1; set local bytea_output = 'hex'; \
    set local idle_in_transaction_session_timeout = '30s'";

/// Searches no schema but PostgreSQL's own: an operator or function in another one, that fits our arguments better,
/// would run with our rights.
const NO_SCHEMA: &str = "; set local search_path = ''";

/// Opens a transaction.
///
/// Settings are local to it, so that nothing leaks to the next client of a pooled connection. A write waits 2 s
/// for a lock and 30 s for a statement; a snapshot may take as long as it takes.
///
/// # Errors
/// [`PostgresError::Connect`] when no connection can be had, else [`PostgresError::Transaction`].
pub async fn begin(pool: &PgPool, purpose: Purpose) -> Result<Transaction<'static, Postgres>, PostgresError> {
    let (opening, search, more) = match purpose {
        Purpose::Snapshot => ("begin isolation level repeatable read, read only", "", ""),
        Purpose::Catalog => (
            "begin isolation level repeatable read, read only",
            NO_SCHEMA,
            "; set local statement_timeout = '30s'",
        ),
        Purpose::State => (
            "begin isolation level read committed, read write",
            NO_SCHEMA,
            "; set local lock_timeout = '2s'; set local statement_timeout = '30s'",
        ),
        Purpose::Write => (
            "begin isolation level read committed, read write",
            "",
            "; set local lock_timeout = '2s'; set local statement_timeout = '30s'",
        ),
        Purpose::Migrate => (
            "begin isolation level read committed, read write",
            NO_SCHEMA,
            "; set local statement_timeout = '60s'",
        ),
    };
    // One round trip: without parameters the driver sends all of it as one simple query.
    pool.begin_with(AssertSqlSafe(format!("{opening}; {PINNED}{search}{more}")))
        .await
        .map_err(|error| match error {
            sqlx::Error::Database(_) => PostgresError::Transaction(error.into()),
            error => PostgresError::Connect(error.into()),
        })
}
