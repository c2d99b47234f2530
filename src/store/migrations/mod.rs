//! The state schema's versions, applied in order and each once.

use sqlx::{AssertSqlSafe, PgConnection, Row};

/// Every version, oldest first; numbered from 1. Published ones never change.
const VERSIONS: [&str; 5] = [
    include_str!("0001_state.sql"),
    include_str!("0002_webhooks.sql"),
    include_str!("0003_retention.sql"),
    include_str!("0004_erasure.sql"),
    include_str!("0005_intents.sql"),
];

/// The newest version this program knows.
pub const NEWEST: i32 = VERSIONS.len() as i32;

/// Tells starters at the same time apart from nobody else's locks: "frames_s" in ASCII.
const LOCK: i64 = 0x6672_616d_6573_5f73;

/// How the schema stands to this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaVersion {
    /// There is none yet.
    Missing,
    /// It is older: migrations wait.
    Older(i32),
    /// It is what this program was written for.
    Current,
    /// A newer program made it; this one must not write to it.
    Newer(i32),
}

/// Reads the version of a state schema; `schema` is its quoted name.
///
/// # Errors
/// When the database cannot be read.
pub async fn version(connection: &mut PgConnection, schema: &str) -> Result<SchemaVersion, sqlx::Error> {
    // Read as rows, for `to_regclass` may answer from a cache of before another starter committed.
    let there: bool = sqlx::query_scalar(
        "select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
         where c.relname = 'migration' and '\"' || replace(n.nspname, '\"', '\"\"') || '\"' = $1)",
    )
        .persistent(false)
        .bind(schema)
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        return Ok(SchemaVersion::Missing);
    }
    let found: i32 = sqlx::query(AssertSqlSafe(format!(
        "select coalesce(max(version), 0) from {schema}.migration"
    )))
    .persistent(false)
    .fetch_one(connection)
    .await?
    .try_get(0)?;
    Ok(match found {
        found if found < NEWEST => SchemaVersion::Older(found),
        NEWEST => SchemaVersion::Current,
        found => SchemaVersion::Newer(found),
    })
}

/// Brings a state schema to [`NEWEST`]; runs inside the caller's transaction.
///
/// **Guarantees**: idempotent; of starters at the same time one works and the others wait and find it done; all of it
/// or, when the transaction does not commit, none. Nothing happens to a newer schema. Needs the right to create in
/// the database when the schema is missing, and nothing else when it is current.
///
/// # Errors
/// When the database refuses.
pub async fn migrate(connection: &mut PgConnection, schema: &str) -> Result<SchemaVersion, sqlx::Error> {
    if let done @ (SchemaVersion::Current | SchemaVersion::Newer(_)) = version(connection, schema).await? {
        return Ok(done);
    }
    sqlx::query("select pg_advisory_xact_lock($1)")
        .persistent(false)
        .bind(LOCK)
        .execute(&mut *connection)
        .await?;
    let start = match version(connection, schema).await? {
        done @ (SchemaVersion::Current | SchemaVersion::Newer(_)) => return Ok(done),
        SchemaVersion::Older(found) => found,
        SchemaVersion::Missing => {
            sqlx::raw_sql(AssertSqlSafe(format!(
                "create schema if not exists {schema};
                 create table {schema}.migration (version integer primary key, \
                 applied_at timestamptz not null default clock_timestamp())"
            )))
            .execute(&mut *connection)
            .await?;
            0
        }
    };
    for (number, text) in (1..).zip(VERSIONS).filter(|(number, _)| *number > start) {
        let record = format!("insert into {schema}.migration (version) values ({number})");
        sqlx::raw_sql(AssertSqlSafe(text.replace("{schema}", schema)))
            .execute(&mut *connection)
            .await?;
        sqlx::raw_sql(AssertSqlSafe(record))
            .execute(&mut *connection)
            .await?;
    }
    Ok(SchemaVersion::Current)
}
