//! Writing one row inside a commit: pull, insert and delete of the write protocols.
//!
//! Source: sync semantics, 5.2, 5.4 and 5.5.

use sqlx::PgConnection;

use crate::ports::{ColumnRejection, Row, RowChange, RowOutcome, RowWrite};
use crate::value::RecordKey;

use super::super::sql::{Lock, RowSql};
use super::super::{PostgresError, SqlFailure, codec};
use super::EntityTable;
use super::rows::{Scope, seen};

/// Makes a write; anything but [`RowOutcome::Written`] obliges the caller to roll back.
///
/// # Errors
/// When the database fails for another reason than the row's own values.
pub(super) async fn write(
    connection: &mut PgConnection,
    entity: &EntityTable,
    write: &RowWrite,
) -> Result<RowOutcome, PostgresError> {
    let sql = entity.sql()?;
    match write {
        RowWrite::Update { key, set, expect, .. } => {
            if !still_holds(connection, entity, &sql, key, expect).await? {
                return Ok(RowOutcome::Moved);
            }
            let statement = match texts(set) {
                Ok(values) => sql.update(key, &values)?,
                Err(rejection) => return Ok(RowOutcome::Rejected(rejection)),
            };
            let written = statement.query().fetch_optional(connection).await;
            outcome(entity, &sql, written, Scope::Told)
        }
        RowWrite::Insert { set, .. } => {
            let mut values = match texts(set) {
                Ok(values) => values,
                Err(rejection) => return Ok(RowOutcome::Rejected(rejection)),
            };
            // The tenant comes from the profile and never from a page.
            for (column, literal) in entity.scope.constants() {
                values.retain(|(name, _)| name != column);
                values.push((column.to_owned(), literal.text()));
            }
            let written = sql.insert(&values)?.query().fetch_optional(connection).await;
            outcome(entity, &sql, written, Scope::Told)
        }
        RowWrite::Delete { key, expect, .. } => {
            if !still_holds(connection, entity, &sql, key, expect).await? {
                return Ok(RowOutcome::Moved);
            }
            let written = sql.delete(key)?.query().fetch_optional(connection).await;
            outcome(entity, &sql, written, Scope::Within)
        }
    }
}

/// The entity that a write is for.
pub(super) fn entity_of(write: &RowWrite) -> &str {
    match write {
        RowWrite::Update { entity, .. }
        | RowWrite::Insert { entity, .. }
        | RowWrite::Delete { entity, .. } => entity,
    }
}

/// Locks the row and compares it, here and not in SQL, whose equality knows nothing of canonical forms.
async fn still_holds(
    connection: &mut PgConnection,
    entity: &EntityTable,
    sql: &RowSql<'_>,
    key: &RecordKey,
    expect: &[RowChange],
) -> Result<bool, PostgresError> {
    let failed = |error: sqlx::Error| PostgresError::Read {
        table: entity.table.name.clone(),
        source: error.into(),
    };
    let statement = sql.select_keys(std::slice::from_ref(key), Lock::Rows)?;
    let Some(found) = statement
        .query()
        .fetch_optional(connection)
        .await
        .map_err(failed)?
    else {
        return Ok(false);
    };
    let row = seen(sql, &found, Scope::Within).map_err(failed)?;
    Ok(expect
        .iter()
        .all(|expected| row.columns.get(&expected.column) == Some(&expected.value)))
}

fn outcome(
    entity: &EntityTable,
    sql: &RowSql<'_>,
    written: Result<Option<sqlx::postgres::PgRow>, sqlx::Error>,
    scope: Scope,
) -> Result<RowOutcome, PostgresError> {
    let failed = |failure: SqlFailure| PostgresError::Write {
        table: entity.table.name.clone(),
        source: failure,
    };
    match written.map_err(SqlFailure::from) {
        Ok(None) => Ok(RowOutcome::Moved),
        Ok(Some(found)) => {
            let row: Row = seen(sql, &found, scope).map_err(|error| failed(error.into()))?;
            Ok(if row.in_scope {
                RowOutcome::Written(row)
            } else {
                RowOutcome::LeavesScope
            })
        }
        Err(failure) if failure.is_about_the_record() => Ok(RowOutcome::Rejected(rejection(&failure))),
        Err(failure) => Err(failed(failure)),
    }
}

/// What may be told of a refusal.
pub(super) fn rejection(failure: &SqlFailure) -> ColumnRejection {
    ColumnRejection {
        sqlstate: failure.sqlstate().unwrap_or_default().to_owned(),
        constraint: failure.constraint().map(str::to_owned),
        column: failure.column().map(str::to_owned),
    }
}

/// The texts to bind; a value that no text of Postgres can be is refused as Postgres would.
fn texts(set: &[RowChange]) -> Result<Vec<(String, Option<String>)>, ColumnRejection> {
    set.iter()
        .map(|change| match codec::encode(&change.value) {
            Ok(text) => Ok((change.column.clone(), text)),
            Err(_) => Err(ColumnRejection {
                sqlstate: DATA_EXCEPTION.to_owned(),
                constraint: None,
                column: Some(change.column.clone()),
            }),
        })
        .collect()
}

/// `data_exception`, of which the class is named.
const DATA_EXCEPTION: &str = "22000";
