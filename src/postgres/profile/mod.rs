//! One profile's side of Postgres: its rows and its state, which share commits.

use std::collections::BTreeMap;

use sqlx::{PgConnection, PgPool};

use crate::mapping::Predicate;
use crate::schema::TableSchema;
use crate::store::StateTables;
use crate::store::migrations::{self, NEWEST, SchemaVersion};

use super::sql::{RowSql, quoted};
use super::{PostgresError, Purpose, begin};

mod audit_copy;
mod rows;
mod store;
mod write;

use audit_copy::AuditCopy;
pub(super) use audit_copy::audit_columns;

/// The table of one entity, as far as the profile may see it.
#[derive(Clone, Debug)]
pub struct EntityTable {
    /// The table, as introspected.
    pub table: TableSchema,
    /// The key columns, in the mapping's order.
    pub key: Vec<String>,
    /// The columns that a row is answered with: mapped ones, and those that templates and capture name.
    pub columns: Vec<String>,
    /// Which rows are the profile's.
    pub scope: Predicate,
    /// The column of `capture: { updated_at }`.
    pub updated_at: Option<String>,
}

impl EntityTable {
    fn sql(&self) -> Result<RowSql<'_>, PostgresError> {
        RowSql::new(&self.table, &self.key, &self.columns, &self.scope)
    }
}

/// Implements [`crate::ports::Rows`] and [`crate::ports::Store`] for one profile.
#[derive(Debug)]
pub struct ProfileDatabase {
    pool: PgPool,
    state: StateTables,
    entities: BTreeMap<String, EntityTable>,
    audit_copy: Option<AuditCopy>,
}

impl ProfileDatabase {
    /// A profile's rows and state; `audit_table` is an existing table that audit entries are copied to as well.
    ///
    /// # Errors
    /// When a name is none, or a column of key, scope or rows is not in its table.
    pub fn new(
        pool: PgPool,
        state_schema: &str,
        profile: &str,
        entities: BTreeMap<String, EntityTable>,
        audit_table: Option<TableSchema>,
    ) -> Result<Self, PostgresError> {
        for entity in entities.values() {
            entity.sql()?;
        }
        Ok(Self {
            pool,
            state: StateTables::new(quoted(state_schema)?, profile.to_owned()),
            entities,
            audit_copy: audit_table.map(AuditCopy::new),
        })
    }

    /// Says what the properties of an entity are called in the copies of audit entries: by id, the column or the name.
    pub fn name_fields(&self, entity: &str, names: BTreeMap<String, String>) {
        if let Some(copy) = &self.audit_copy {
            copy.name_fields(entity, names);
        }
    }

    /// The data sources that other profiles of the same state were set up with.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn data_sources_of_others(&self) -> Result<Vec<String>, PostgresError> {
        let failed = |error: sqlx::Error| PostgresError::State {
            doing: "read the pins of other profiles",
            source: error.into(),
        };
        let sql = format!(
            "select value from {}.pin where profile <> $1 and name like 'data\\_source:%'",
            self.state.schema()
        );
        let mut transaction = begin(&self.pool, Purpose::Snapshot).await?;
        let found = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .persistent(false)
            .bind(self.state.profile())
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(found)
    }

    /// The connections.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// Brings the state schema to this program's version. Safe when several start at once.
///
/// # Errors
/// [`PostgresError::NewerState`] when a newer program made it, else when the database refuses.
pub async fn migrate_state(pool: &PgPool, state_schema: &str) -> Result<(), PostgresError> {
    let schema = quoted(state_schema)?;
    let mut transaction = begin(pool, Purpose::Migrate).await?;
    let failed = |error: sqlx::Error| PostgresError::State {
        doing: "migrate the sync state",
        source: error.into(),
    };
    let version = migrations::migrate(&mut transaction, &schema)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    match version {
        SchemaVersion::Newer(found) => Err(PostgresError::NewerState { found, known: NEWEST }),
        _ => Ok(()),
    }
}

/// How the state schema stands to this program.
///
/// # Errors
/// When the database cannot be read.
pub async fn state_version(pool: &PgPool, state_schema: &str) -> Result<SchemaVersion, PostgresError> {
    let schema = quoted(state_schema)?;
    let failed = |error: sqlx::Error| PostgresError::State {
        doing: "read the version of the sync state",
        source: error.into(),
    };
    let mut transaction = begin(pool, Purpose::Catalog).await?;
    let version = migrations::version(&mut transaction, &schema)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(version)
}

/// Fails unless what this connection reads of a table is all there is: on the primary, and unfiltered.
async fn check_sight(connection: &mut PgConnection, table: &TableSchema) -> Result<(), PostgresError> {
    let relation = format!("{}.{}", quoted(&table.name.schema)?, quoted(&table.name.name)?);
    let (standby, filtered): (bool, bool) = sqlx::query_as(
        "select pg_catalog.pg_is_in_recovery(), pg_catalog.row_security_active($1::text::regclass::oid)",
    )
    .persistent(false)
    .bind(relation)
    .fetch_one(connection)
    .await
    .map_err(|error| PostgresError::Read {
        table: table.name.clone(),
        source: error.into(),
    })?;
    if standby {
        Err(PostgresError::Standby)
    } else if filtered {
        Err(PostgresError::Hidden {
            table: table.name.clone(),
        })
    } else {
        Ok(())
    }
}
