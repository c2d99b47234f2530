//! Copying audit entries to a table that the application has, such as FRAMES's `audit_logs`.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use serde_json::{Value as Json, json};
use sqlx::PgConnection;
use time::format_description::well_known::Rfc3339;

use crate::journal::{AuditEntry, Kept};
use crate::mapping::Predicate;
use crate::schema::TableSchema;
use crate::schema::table::{Column, Generated};

use super::super::PostgresError;
use super::super::sql::Statement;

/// Who the application's log says did it.
const ACTOR: &str = "frames-sync";

/// The names that say something to us.
const KNOWN: [&str; 12] = [
    "actor",
    "actor_id",
    "user_id",
    "action",
    "entity_type",
    "entity_id",
    "university_id",
    "payload_before",
    "payload_after",
    "timestamp",
    "created_at",
    "meta",
];

/// The columns of a table that copies of audit entries fill.
pub(in crate::postgres) fn audit_columns(table: &TableSchema) -> Vec<&Column> {
    table
        .columns
        .iter()
        .filter(|column| matches!(column.generated, Generated::Never | Generated::IdentityByDefault))
        .filter(|column| KNOWN.contains(&column.name.as_str()))
        .collect()
}

/// The table, and which of its columns we know how to fill.
#[derive(Debug)]
pub(super) struct AuditCopy {
    table: TableSchema,
    names: RwLock<BTreeMap<String, FieldNames>>,
}

/// What readers of the table know a property's values by: its column, or its name where no column holds them; by id.
type FieldNames = BTreeMap<String, String>;

impl AuditCopy {
    pub(super) fn new(table: TableSchema) -> Self {
        Self {
            table,
            names: RwLock::default(),
        }
    }

    /// Says what the properties of an entity are called in the copies.
    pub(super) fn name_fields(&self, entity: &str, names: FieldNames) {
        let mut known = self.names.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(entity.to_owned(), names);
    }

    /// Inserts a copy; columns are matched by name, and those with other names take their defaults.
    pub(super) async fn append(
        &self,
        connection: &mut PgConnection,
        entry: &AuditEntry,
        scope: Option<&Predicate>,
    ) -> Result<(), PostgresError> {
        let values: Vec<(&str, Option<String>)> = {
            let known = self.names.read().unwrap_or_else(PoisonError::into_inner);
            let names = known.get(&entry.entity);
            let named = |id: &str| {
                let name = names.and_then(|names| names.get(id));
                name.map_or_else(|| id.to_owned(), Clone::clone)
            };
            audit_columns(&self.table)
                .into_iter()
                .filter_map(|column| {
                    Some((column.name.as_str(), content(&column.name, entry, scope, &named)?))
                })
                .collect()
        };
        if values.is_empty() {
            return Ok(());
        }
        let mut statement = Statement::new("insert into ");
        statement
            .push_qualified(&self.table.name.schema, &self.table.name.name)?
            .push(" (");
        statement.push_list(", ", &values, |statement, (name, _)| {
            statement.push_name(name).map(drop)
        })?;
        statement.push(") values (");
        statement.push_list(", ", &values, |statement, (name, value)| {
            if let Some(column) = self.table.column(name) {
                statement.push_value(value.clone(), &column.pg_type);
            }
            Ok(())
        })?;
        statement.push(")");
        statement
            .query()
            .execute(connection)
            .await
            .map(drop)
            .map_err(|error| PostgresError::Write {
                table: self.table.name.clone(),
                source: error.into(),
            })
    }
}

/// What a column of that name holds; `None` for names that say nothing to us.
fn content(
    column: &str,
    entry: &AuditEntry,
    scope: Option<&Predicate>,
    named: &dyn Fn(&str) -> String,
) -> Option<Option<String>> {
    let tenant = || {
        let constants = scope.map(Predicate::constants).unwrap_or_default();
        constants
            .into_iter()
            .find(|(name, _)| *name == column)
            .and_then(|(_, literal)| literal.text())
    };
    Some(match column {
        "actor" | "actor_id" | "user_id" => Some(ACTOR.to_owned()),
        "action" => word(&entry.act),
        "entity_type" => Some(entry.entity.clone()),
        // Every record that was written has a key or a page.
        "entity_id" => Some(match (&entry.key, &entry.page) {
            (Some(key), _) => key.to_string(),
            (None, page) => page.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
        "university_id" => tenant(),
        "payload_before" => entry.old.as_ref().map(|kept| payload(entry, kept, named)),
        "payload_after" => entry.new.as_ref().map(|kept| payload(entry, kept, named)),
        "timestamp" | "created_at" => entry.at.format(&Rfc3339).ok(),
        "meta" => Some(
            json!({
                "source": ACTOR,
                "entry": entry.id,
                "run": entry.run,
                "side": entry.side,
                "page": entry.page,
                "property": entry.property.as_ref().map(|property| named(property.as_str())),
                "cause": entry.cause,
            })
            .to_string(),
        ),
        _ => return None,
    })
}

/// The values by column, or by property where no column holds them.
fn payload(entry: &AuditEntry, kept: &Kept, named: &dyn Fn(&str) -> String) -> String {
    match kept {
        Kept::Value(value) => {
            let name = entry
                .property
                .as_ref()
                .map_or_else(|| "value".to_owned(), |property| named(property.as_str()));
            json!({ name: value.to_json() }).to_string()
        }
        Kept::Record(values) => {
            let object: serde_json::Map<String, Json> = values
                .iter()
                .map(|(name, value)| (named(name), value.to_json()))
                .collect();
            Json::Object(object).to_string()
        }
        // Copies are made when an entry is, and nothing is erased before.
        Kept::Erased { .. } => json!({}).to_string(),
    }
}

fn word(variant: &impl serde::Serialize) -> Option<String> {
    serde_json::to_value(variant)
        .ok()
        .and_then(|name| name.as_str().map(str::to_owned))
}
