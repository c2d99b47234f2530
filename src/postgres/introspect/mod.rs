//! Tables as the catalog describes them, in two queries however many tables there are.

use std::collections::BTreeMap;

use sqlx::PgPool;
use sqlx::query_scalar;

use crate::schema::table::{
    Check, Column, ColumnPrivileges, ForeignKey, Generated, Relkind, TablePrivileges,
};
use crate::schema::{PgType, TableName, TableSchema};

use super::constraint::allowed_texts;
use super::{PostgresError, Purpose, begin};

mod catalog;

use catalog::{CheckEntry, ColumnEntry, TableEntry, TypeEntry};

/// The table of that exact name, or `None` when the connected role's database has none.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn introspect(pool: &PgPool, table: &TableName) -> Result<Option<TableSchema>, PostgresError> {
    let mut found = introspect_all(pool, std::slice::from_ref(table)).await?;
    Ok(found.remove(table))
}

/// The tables of those exact names that there are, from one snapshot of the catalog.
///
/// Tables, partitioned and foreign tables, views and materialized views; indexes and sequences are not found.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn introspect_all(
    pool: &PgPool,
    tables: &[TableName],
) -> Result<BTreeMap<TableName, TableSchema>, PostgresError> {
    let failed = |error: sqlx::Error| PostgresError::Introspect(error.into());
    let schemas: Vec<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();

    let mut transaction = begin(pool, Purpose::Catalog).await?;
    let documents: Vec<String> = query_scalar(include_str!("tables.sql"))
        .persistent(false)
        .bind(schemas)
        .bind(names)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
    let entries = documents
        .iter()
        .map(|document| serde_json::from_str(document))
        .collect::<Result<Vec<TableEntry>, _>>()
        .map_err(PostgresError::Catalog)?;

    let mut type_ids: Vec<i64> = entries
        .iter()
        .flat_map(|table| &table.columns)
        .map(|column| column.type_id)
        .collect();
    type_ids.sort_unstable();
    type_ids.dedup();
    let documents: Vec<String> = query_scalar(include_str!("types.sql"))
        .persistent(false)
        .bind(type_ids)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    let types = documents
        .iter()
        .map(|document| serde_json::from_str(document).map(|entry: TypeEntry| (entry.id, entry)))
        .collect::<Result<BTreeMap<i64, TypeEntry>, _>>()
        .map_err(PostgresError::Catalog)?;

    let schemas = entries.into_iter().map(|entry| table_schema(entry, &types));
    Ok(schemas.map(|schema| (schema.name.clone(), schema)).collect())
}

/// Every relation that rows can be read from, but PostgreSQL's own, in order of schema and name.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn list_tables(pool: &PgPool) -> Result<Vec<TableName>, PostgresError> {
    let failed = |error: sqlx::Error| PostgresError::Introspect(error.into());
    let mut transaction = begin(pool, Purpose::Catalog).await?;
    let names: Vec<(String, String)> = sqlx::query_as(
        "select n.nspname::text, c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname <> 'information_schema' \
         and n.nspname !~ '^pg_' order by 1, 2",
    )
    .persistent(false)
    .fetch_all(&mut *transaction)
    .await
    .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(names
        .into_iter()
        .map(|(schema, name)| TableName { schema, name })
        .collect())
}

fn table_schema(entry: TableEntry, types: &BTreeMap<i64, TypeEntry>) -> TableSchema {
    let mut checks: Vec<Check> = entry
        .checks
        .into_iter()
        .map(|check| table_check(check, None))
        .collect();
    let mut columns = Vec::with_capacity(entry.columns.len());
    for column in entry.columns {
        let domains = domains_over(column.type_id, types);
        for check in domains.iter().flat_map(|domain| domain.checks.iter().flatten()) {
            checks.push(table_check(check.clone(), Some(&column.name)));
        }
        let refuses_null = column.not_null || domains.iter().any(|domain| domain.not_null);
        columns.push(table_column(column, refuses_null, types));
    }
    let primary_key = entry
        .unique
        .iter()
        .find(|index| index.primary)
        .map(|index| index.columns.clone())
        .unwrap_or_default();
    TableSchema {
        name: TableName {
            schema: entry.schema,
            name: entry.name,
        },
        relkind: match entry.relkind.as_str() {
            "p" => Relkind::Partitioned,
            "v" => Relkind::View,
            "m" => Relkind::MaterializedView,
            "f" => Relkind::Foreign,
            _ => Relkind::Table,
        },
        comment: entry.comment,
        columns,
        primary_key,
        unique: entry.unique.into_iter().map(|index| index.columns).collect(),
        foreign_keys: entry
            .foreign_keys
            .into_iter()
            .map(|key| ForeignKey {
                columns: key.columns,
                references: TableName {
                    schema: key.schema,
                    name: key.name,
                },
                referenced_columns: key.referenced_columns,
            })
            .collect(),
        checks,
        // Before the first ANALYZE it is -1, and 0 up to PostgreSQL 13.
        estimated_rows: (entry.estimated_rows > 0.0).then_some(entry.estimated_rows as u64),
        privileges: TablePrivileges {
            delete: entry.may_delete,
            trigger: entry.may_trigger,
            owner: entry.owner,
        },
        row_security_active: entry.row_security_active,
    }
}

/// A constraint of the table, or of the domain of `column`.
fn table_check(check: CheckEntry, column: Option<&str>) -> Check {
    let allows =
        allowed_texts(&check.definition).map(|(name, texts)| (column.map_or(name, str::to_owned), texts));
    Check {
        name: check.name,
        expression: check.definition,
        allows,
    }
}

fn table_column(entry: ColumnEntry, not_null: bool, types: &BTreeMap<i64, TypeEntry>) -> Column {
    Column {
        pg_type: pg_type(entry.type_id, entry.modifier, types),
        name: entry.name,
        not_null,
        default: entry.default,
        generated: match (entry.generated.as_str(), entry.identity.as_str()) {
            ("", "a") => Generated::IdentityAlways,
            ("", "d") => Generated::IdentityByDefault,
            ("", _) => Generated::Never,
            _ => Generated::Stored,
        },
        comment: entry.comment,
        privileges: ColumnPrivileges {
            select: entry.may_select,
            insert: entry.may_insert,
            update: entry.may_update,
        },
    }
}

/// The domains between a column and its base type, outermost first.
fn domains_over(type_id: i64, types: &BTreeMap<i64, TypeEntry>) -> Vec<&TypeEntry> {
    let mut domains = Vec::new();
    let mut next = types.get(&type_id);
    while let Some(entry) = next.filter(|entry| entry.base.is_some()) {
        domains.push(entry);
        next = entry.base.and_then(|base| types.get(&base));
    }
    domains
}

/// The type of that id, with a column's or a domain's modifier.
///
/// Source: PostgreSQL, `varchar.c` and `numeric.c`: lengths and numeric modifiers are stored four too high, and -1
/// stands for none.
fn pg_type(id: i64, modifier: i32, types: &BTreeMap<i64, TypeEntry>) -> PgType {
    let Some(entry) = types.get(&id) else {
        return PgType::Other("unknown".to_owned());
    };
    if let Some(base) = entry.base {
        return PgType::Domain {
            name: entry.name.clone(),
            base: Box::new(pg_type(base, entry.base_modifier, types)),
        };
    }
    if let Some(element) = entry.element {
        return PgType::Array(Box::new(pg_type(element, modifier, types)));
    }
    if let Some(labels) = &entry.labels {
        return PgType::Enum {
            name: entry.name.clone(),
            labels: labels.clone(),
        };
    }
    let stored = u32::try_from(modifier)
        .ok()
        .and_then(|modifier| modifier.checked_sub(4));
    match entry.internal.as_deref() {
        Some("text" | "name") => PgType::Text,
        Some("varchar") => PgType::Varchar(stored),
        Some("bpchar") => PgType::Char(stored.unwrap_or(1)),
        Some("uuid") => PgType::Uuid,
        Some("int2") => PgType::Int2,
        Some("int4") => PgType::Int4,
        Some("int8") => PgType::Int8,
        Some("float4") => PgType::Float4,
        Some("float8") => PgType::Float8,
        Some("numeric") => PgType::Numeric(stored.map(numeric_modifier)),
        Some("bool") => PgType::Bool,
        Some("date") => PgType::Date,
        Some("time") => PgType::Time,
        Some("timetz") => PgType::Timetz,
        Some("timestamp") => PgType::Timestamp,
        Some("timestamptz") => PgType::Timestamptz,
        Some("interval") => PgType::Interval,
        Some("json") => PgType::Json,
        Some("jsonb") => PgType::Jsonb,
        Some("bytea") => PgType::Bytea,
        Some("inet") => PgType::Inet,
        None if entry.type_name == "citext" => PgType::Citext,
        _ => PgType::Other(entry.name.clone()),
    }
}

/// Precision in the upper half; scale in the lower eleven bits, as a signed number.
fn numeric_modifier(stored: u32) -> (u16, i16) {
    let scale = i16::try_from(stored & 0x7ff).unwrap_or_default();
    let scale = if scale >= 1024 { scale - 2048 } else { scale };
    (u16::try_from(stored >> 16).unwrap_or_default(), scale)
}

#[cfg(test)]
mod tests {
    use super::numeric_modifier;

    #[test]
    fn numeric_modifiers_hold_negative_scales_since_postgres_15() {
        assert_eq!(numeric_modifier((12 << 16) | 2), (12, 2));
        assert_eq!(numeric_modifier((3 << 16) | (2048 - 2)), (3, -2));
    }
}
