//! The state schema's tables: statements over a connection of the caller's, who opens and commits.
//!
//! The adapter that implements [`crate::ports::Store`] over them is in `postgres`, for a row and its records share
//! a commit.

mod erase;
mod lease;
mod links;
mod read;
mod webhooks;
mod write;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres};

use crate::journal::{Conflict, ConflictStatus};

/// One profile's part of the state schema.
#[derive(Clone, Debug)]
pub struct StateTables {
    schema: String,
    profile: String,
}

/// Why a statement over the state failed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A link moved since it was read, or its key or page is linked already.
    #[error("a record of `{entity}` was linked or changed by somebody else meanwhile")]
    Taken {
        /// The entity.
        entity: String,
    },
    /// The database failed.
    #[error("a statement over the sync state failed")]
    Sql(#[from] sqlx::Error),
    /// A stored body is not what this program writes.
    #[error("the sync state holds a record that cannot be read")]
    Body(#[from] serde_json::Error),
}

impl StateTables {
    /// The part of `profile`; `schema` is the state schema's quoted name.
    pub fn new(schema: String, profile: String) -> Self {
        Self { schema, profile }
    }

    /// The state schema's quoted name.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The profile.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// A statement of this file, `{s}` being the schema and `$1` the profile.
    fn query(&self, sql: &'static str) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(AssertSqlSafe(sql.replace("{s}", &self.schema)))
            .persistent(false)
            .bind(&self.profile)
    }
}

fn body(record: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(record)
}

fn bodies<T: DeserializeOwned>(rows: &[PgRow]) -> Result<Vec<T>, StateError> {
    rows.iter()
        .map(|row| {
            let body: &str = row.try_get(0)?;
            Ok(serde_json::from_str(body)?)
        })
        .collect()
}

/// The name that serde gives a variant without fields.
fn name_of(variant: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_value(variant).map(|name| name.as_str().unwrap_or_default().to_owned())
}

fn count(row: &PgRow, index: usize) -> Result<u64, StateError> {
    let count: i64 = row.try_get(index)?;
    Ok(count.unsigned_abs())
}

fn is_open(conflict: &Conflict) -> bool {
    matches!(conflict.status, ConflictStatus::Open | ConflictStatus::Chosen(_))
}
