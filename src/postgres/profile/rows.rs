//! Reading rows: [`Rows`] over one statement each.

use std::collections::BTreeMap;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::ports::{BoxFuture, Change, Row, Rows, RowsError};
use crate::schema::PgType;
use crate::value::RecordKey;

use super::super::sql::{RowSql, Statement};
use super::super::{PostgresError, Purpose, begin, codec};
use super::{EntityTable, ProfileDatabase, check_sight};

/// The instant in UTC without a zone, as text columns and `timestamp` hold it.
const NAIVE: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]");

impl Rows for ProfileDatabase {
    fn scan<'a>(
        &'a self,
        entity: &'a str,
        after: Option<&'a RecordKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        Box::pin(async move {
            let table = self.entity(entity)?;
            self.rows(table, |sql| sql.select_after(after, None, limit), Scope::Within)
                .await
                .map_err(|error| read_error(entity, error))
        })
    }

    fn read<'a>(
        &'a self,
        entity: &'a str,
        keys: &'a [RecordKey],
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        Box::pin(async move {
            let table = self.entity(entity)?;
            self.rows(table, |sql| sql.select_presence(keys), Scope::Told)
                .await
                .map_err(|error| read_error(entity, error))
        })
    }

    fn changes<'a>(&'a self, entity: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Change>, RowsError>> {
        Box::pin(async move {
            self.entity(entity)?;
            self.notes(entity, limit)
                .await
                .map_err(|error| read_error(entity, error))
        })
    }

    fn updated_since<'a>(
        &'a self,
        entity: &'a str,
        since: OffsetDateTime,
        after: Option<&'a RecordKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, RowsError>> {
        Box::pin(async move {
            let table = self.entity(entity)?;
            let Some(column) = &table.updated_at else {
                return Ok(Vec::new());
            };
            let since = (column.as_str(), instant_text(table, column, since));
            self.rows(
                table,
                |sql| sql.select_after(after, Some(since), limit),
                Scope::Within,
            )
            .await
            .map_err(|error| read_error(entity, error))
        })
    }
}

/// How a statement answers about the scope.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// It answers rows in scope only.
    Within,
    /// Its last column tells.
    Told,
}

impl ProfileDatabase {
    pub(super) fn entity(&self, name: &str) -> Result<&EntityTable, RowsError> {
        self.entities.get(name).ok_or_else(|| RowsError::UnknownEntity {
            entity: name.to_owned(),
        })
    }

    async fn rows<'a>(
        &self,
        entity: &'a EntityTable,
        statement: impl FnOnce(&RowSql<'a>) -> Result<Statement, PostgresError>,
        scope: Scope,
    ) -> Result<Vec<Row>, PostgresError> {
        let sql = entity.sql()?;
        let statement = statement(&sql)?;
        let failed = |error: sqlx::Error| PostgresError::Read {
            table: entity.table.name.clone(),
            source: error.into(),
        };
        let mut transaction = begin(&self.pool, Purpose::Snapshot).await?;
        check_sight(&mut transaction, &entity.table).await?;
        let found = statement
            .query()
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        found
            .iter()
            .map(|row| seen(&sql, row, scope).map_err(failed))
            .collect()
    }

    async fn notes(&self, entity: &str, limit: usize) -> Result<Vec<Change>, PostgresError> {
        let failed = |error: sqlx::Error| PostgresError::State {
            doing: "read the change log",
            source: error.into(),
        };
        let sql = format!(
            "select seq, old_key, new_key, op, columns, at from {}.change_log \
             where profile = $1 and entity = $2 order by seq limit $3",
            self.state.schema()
        );
        let mut transaction = begin(&self.pool, Purpose::Snapshot).await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .persistent(false)
            .bind(self.state.profile())
            .bind(entity)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        // A note without a readable key, as of a NULL in a view's key, points at nothing.
        rows.iter()
            .filter_map(|row| change(row).transpose())
            .collect::<Result<_, _>>()
            .map_err(failed)
    }
}

/// A row as one of the statements of [`RowSql`] answered it.
pub(super) fn seen(sql: &RowSql<'_>, row: &PgRow, scope: Scope) -> Result<Row, sqlx::Error> {
    let width = sql.key().len();
    let key = (0..width)
        .map(|index| row.try_get(index))
        .collect::<Result<Vec<String>, _>>()?;
    let in_scope = match scope {
        Scope::Within => true,
        Scope::Told => row.try_get(width + sql.columns().len())?,
    };
    let mut columns = BTreeMap::new();
    if in_scope {
        for (index, column) in sql.columns().iter().enumerate() {
            let text: Option<&str> = row.try_get(width + index)?;
            columns.insert(
                column.name.clone(),
                codec::decode(&column.pg_type, text).canonical(),
            );
        }
    }
    Ok(Row {
        key: RecordKey(key),
        in_scope,
        columns,
    })
}

fn change(row: &PgRow) -> Result<Option<Change>, sqlx::Error> {
    let key = |name: &str| -> Result<Option<RecordKey>, sqlx::Error> {
        let text: Option<&str> = row.try_get(name)?;
        Ok(text.and_then(|text| serde_json::from_str(text).ok()))
    };
    let (old, new) = (key("old_key")?, key("new_key")?);
    let op: &str = row.try_get("op")?;
    let Some(key) = new.clone().or_else(|| old.clone()) else {
        return Ok(None);
    };
    Ok(Some(Change {
        seq: row.try_get("seq")?,
        old_key: old.filter(|old| *old != key),
        key,
        deleted: matches!(op, "delete" | "truncate"),
        at: row.try_get("at")?,
        columns: row.try_get("columns")?,
    }))
}

/// An instant as a column of its type holds it.
fn instant_text(entity: &EntityTable, column: &str, instant: OffsetDateTime) -> String {
    let naive = instant
        .to_offset(time::UtcOffset::UTC)
        .format(NAIVE)
        .expect("every component of the format is in an instant");
    match entity.table.column(column).map(|column| column.pg_type.base()) {
        Some(PgType::Timestamptz) => format!("{naive}+00:00"),
        _ => naive,
    }
}

pub(super) fn read_error(entity: &str, error: PostgresError) -> RowsError {
    match error {
        PostgresError::Standby => RowsError::Standby,
        PostgresError::Hidden { .. } => RowsError::Hidden {
            entity: entity.to_owned(),
        },
        error => RowsError::Read {
            entity: entity.to_owned(),
            retry: error.retry(),
            source: Box::new(error),
        },
    }
}
