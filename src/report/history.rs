//! The audit log as people and programs are told of it.

use serde_json::{Value as Json, json};
use time::OffsetDateTime;

use super::HistoryEntry;
use crate::journal::{Act, AuditEntry, Kept};
use crate::reconcile::Side;
use crate::value::{PropertyId, Value};

impl HistoryEntry {
    /// An entry as it is told; `name` gives a property's name.
    pub fn of(entry: &AuditEntry, name: impl Fn(&PropertyId) -> String) -> Self {
        Self {
            id: entry.id.to_string(),
            run_id: entry.run.to_string(),
            entity: entry.entity.clone(),
            key: entry.key.as_ref().map(ToString::to_string),
            page_id: entry.page.as_ref().map(ToString::to_string),
            property: entry.property.as_ref().map(&name),
            side: match entry.side {
                Side::Postgres => "postgres",
                Side::Notion => "notion",
            }
            .to_owned(),
            act: match entry.act {
                Act::Created => "created",
                Act::Updated => "updated",
                Act::Deleted => "deleted",
                Act::Restored => "restored",
                Act::Overruled => "overruled",
                Act::Rejected => "rejected",
                Act::Linked => "linked",
            }
            .to_owned(),
            from: kept(entry.old.as_ref(), entry.side, &name),
            to: kept(entry.new.as_ref(), entry.side, &name),
            reason: entry.cause.text().to_owned(),
            at: iso(entry.at),
        }
    }
}

fn kept(kept: Option<&Kept>, side: Side, name: impl Fn(&PropertyId) -> String) -> Json {
    match kept {
        None => Json::Null,
        Some(Kept::Value(value)) => value.to_json(),
        Some(Kept::Erased { at }) => json!({ "erased_at": iso(*at) }),
        Some(Kept::Record(values)) => Json::Object(
            values
                .iter()
                .map(|(key, value): (&String, &Value)| {
                    let key = match side {
                        Side::Postgres => key.clone(),
                        Side::Notion => name(&PropertyId(key.clone())),
                    };
                    (key, value.to_json())
                })
                .collect(),
        ),
    }
}

/// An instant as reports print it: ISO 8601 in UTC, to the second.
pub fn iso(at: OffsetDateTime) -> String {
    // Instants of the database are far from the limits of either type.
    jiff::Timestamp::from_second(at.unix_timestamp()).map_or_else(|_| at.to_string(), |at| at.to_string())
}
