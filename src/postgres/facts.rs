//! What columns hold at present, for `validate` and `generate`; one query a table.

use std::collections::BTreeMap;

use serde::Deserialize;
use sqlx::PgPool;

use crate::mapping::Predicate;
use crate::schema::table::ColumnFacts;
use crate::schema::{PgType, TableSchema};

use super::sql::{Statement, push_predicate};
use super::{PostgresError, Purpose, begin};

/// How much to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The most rows, in no order that matters.
    pub rows: u32,
    /// The most distinct values that are worth listing.
    pub distinct: u32,
}

/// Looks at columns over rows in scope, by column name.
///
/// Distinct values are sorted; those of arrays, and of json that holds nothing but lists, are their elements. Only
/// the columns asked for are read, so the role needs no right to others.
///
/// # Errors
/// [`PostgresError::UnknownColumn`], or [`PostgresError::Facts`] when the rows cannot be read.
pub async fn column_facts(
    pool: &PgPool,
    table: &TableSchema,
    columns: &[String],
    scope: &Predicate,
    sample: Sample,
) -> Result<BTreeMap<String, ColumnFacts>, PostgresError> {
    if columns.is_empty() {
        return Ok(BTreeMap::new());
    }
    let statement = statement(table, columns, scope, sample)?;
    let mut transaction = begin(pool, Purpose::Snapshot).await?;
    let failed = |error: sqlx::Error| PostgresError::Facts {
        table: table.name.clone(),
        source: error.into(),
    };
    let row = statement
        .query()
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    let document: String = sqlx::Row::try_get(&row, 0).map_err(failed)?;
    transaction.commit().await.map_err(failed)?;

    let entries: Vec<Entry> = serde_json::from_str(&document).map_err(PostgresError::Catalog)?;
    Ok(columns
        .iter()
        .cloned()
        .zip(entries.into_iter().map(|entry| entry.facts(sample)))
        .collect())
}

#[derive(Deserialize)]
struct Entry {
    rows: u64,
    nulls: u64,
    longest: Option<u64>,
    inexact: u64,
    distinct: Option<Vec<String>>,
}

impl Entry {
    fn facts(self, sample: Sample) -> ColumnFacts {
        ColumnFacts {
            rows: self.rows,
            nulls: self.nulls,
            longest: self.longest,
            inexact_numbers: self.inexact,
            // One more than the limit was asked for.
            distinct: self
                .distinct
                .filter(|values| values.len() as u64 <= u64::from(sample.distinct)),
        }
    }
}

fn statement(
    table: &TableSchema,
    columns: &[String],
    scope: &Predicate,
    sample: Sample,
) -> Result<Statement, PostgresError> {
    let mut statement = Statement::new("with sampled as materialized (select ");
    statement.push_list(", ", columns, |statement, column| {
        statement.push_name(column).map(drop)
    })?;
    statement
        .push(" from ")
        .push_qualified(&table.name.schema, &table.name.name)?;
    statement.push(" where ");
    push_predicate(&mut statement, scope, table)?;
    statement
        .push(" limit ")
        .push_value(Some(sample.rows.to_string()), &PgType::Int8);
    statement.push(") select pg_catalog.json_build_array(");
    statement.push_list(", ", columns, |statement, name| {
        let column = table.column(name).ok_or_else(|| PostgresError::UnknownColumn {
            table: table.name.clone(),
            column: name.clone(),
        })?;
        push_facts(statement, name, &column.pg_type, sample)
    })?;
    statement.push(")::text");
    Ok(statement)
}

fn push_facts(
    statement: &mut Statement,
    name: &str,
    pg_type: &PgType,
    sample: Sample,
) -> Result<(), PostgresError> {
    let base = pg_type.base();
    statement.push("(select pg_catalog.json_build_object('rows', count(*), 'nulls', count(*) - count(");
    statement.push_name(name)?.push("), 'longest', ");
    if is_text(base) {
        statement
            .push("max(pg_catalog.char_length(")
            .push_name(name)?
            .push("::text))");
    } else {
        statement.push("null");
    }
    statement.push(", 'inexact', ");
    push_inexact(statement, name, base)?;
    statement.push(", 'distinct', ");
    push_distinct(statement, name, base, sample)?;
    statement.push(") from sampled)");
    Ok(())
}

fn is_text(pg_type: &PgType) -> bool {
    matches!(
        pg_type,
        PgType::Text | PgType::Varchar(_) | PgType::Char(_) | PgType::Citext | PgType::Json | PgType::Jsonb
    )
}

/// Counts the numbers that change on their way through a double.
fn push_inexact(statement: &mut Statement, name: &str, base: &PgType) -> Result<(), PostgresError> {
    match base {
        PgType::Int8 => {
            // 2^53: from there on a double skips numbers.
            statement
                .push("count(*) filter (where pg_catalog.abs(")
                .push_name(name)?;
            statement.push("::numeric) operator(pg_catalog.>) 9007199254740992)");
        }
        PgType::Numeric(_) => {
            // Beyond 1e300 a double may overflow, which would be an error; NaN counts as larger than that.
            statement
                .push("count(*) filter (where case when pg_catalog.abs(")
                .push_name(name)?;
            statement.push(") > 1e300 then true else ").push_name(name)?;
            statement
                .push("::float8::text::numeric <> ")
                .push_name(name)?
                .push(" end)");
        }
        _ => {
            statement.push("0");
        }
    }
    Ok(())
}

/// Lists distinct values as a JSON array of one more than the limit at most, or NULL where listing makes no sense.
fn push_distinct(
    statement: &mut Statement,
    name: &str,
    base: &PgType,
    sample: Sample,
) -> Result<(), PostgresError> {
    let (values, condition) = match base {
        PgType::Bytea => {
            statement.push("null");
            return Ok(());
        }
        PgType::Array(_) => ("pg_catalog.unnest(", ")::text"),
        PgType::Json | PgType::Jsonb => {
            // A list stands for its elements; one value that is no list makes all of it worthless.
            statement
                .push("case when pg_catalog.bool_and(pg_catalog.jsonb_typeof(")
                .push_name(name)?;
            statement.push("::jsonb) = 'array') then ");
            ("pg_catalog.jsonb_array_elements_text(", "::jsonb)")
        }
        _ => ("(", ")::text"),
    };
    statement
        .push("(select pg_catalog.json_agg(value order by value) from (select distinct value from (select ");
    statement.push(values).push_name(name)?.push(condition);
    statement
        .push(" as value from sampled where ")
        .push_name(name)?
        .push(" is not null");
    if matches!(base, PgType::Json | PgType::Jsonb) {
        statement
            .push(" and pg_catalog.jsonb_typeof(")
            .push_name(name)?
            .push("::jsonb) = 'array'");
    }
    statement.push(") as all_values where value is not null limit ");
    statement.push_value(Some((u64::from(sample.distinct) + 1).to_string()), &PgType::Int8);
    statement.push(") as few)");
    if matches!(base, PgType::Json | PgType::Jsonb) {
        statement.push(" end");
    }
    Ok(())
}
