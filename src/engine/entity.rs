//! One entity as the engine needs it: bound to both sides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::mapping::{Capture, ConflictPolicy, Direction, Guards};
use crate::ports::{Page, PropertyRead};
use crate::reconcile::{EntityPolicy, FieldError};
use crate::schema::PgType;
use crate::value::{PropertyId, RecordKey, Value};

/// An entity bound to its table and its data source.
pub struct Entity {
    /// Its name.
    pub name: String,
    /// Its data source's id, for reports.
    pub data_source_id: String,
    /// The key columns and their types, in order.
    pub key: Vec<(String, PgType)>,
    /// The fields that travel, in mapping order; properties that only stand in Notion's schema are not here.
    pub fields: Vec<EntityField>,
    /// Fields whose property is gone or of another type, with the reason: they are left alone on both sides; and
    /// fields with options that were renamed, which go on under the old names.
    pub frozen: Vec<(String, String)>,
    /// A digest of table, key and scope: which rows are the entity's.
    pub scope: String,
    /// The engine's own text property.
    pub postgres_id: PropertyId,
    /// The engine's own date property.
    pub last_synced: PropertyId,
    /// The engine's own select property.
    pub sync_status: PropertyId,
    /// The checkbox that leaves a record alone.
    pub opt_out: Option<PropertyId>,
    /// What decides about records that come and go, and about conflicts.
    pub policy: EntityPolicy,
    /// How much may change at once.
    pub guards: Guards,
    /// How changes of rows are noticed.
    pub capture: Capture,
    /// How long a page made by a person must rest before a row is made of it.
    pub create_grace: Duration,
    /// Columns of an inserted row that the page does not carry.
    pub new_row: Arc<dyn NewRow>,
    /// What `on_page_trash: soft_delete` sets.
    pub soft_delete: Vec<(String, Value)>,
    /// Columns that an inserted row must have a value for: not null, without a default.
    pub required: Vec<String>,
}

/// One field of an entity.
pub struct EntityField {
    /// The property.
    pub property: PropertyId,
    /// Its name, for reports.
    pub name: String,
    /// The column; `None` for text computed from the row.
    pub column: Option<String>,
    /// Which way values travel.
    pub direction: Direction,
    /// What happens when both sides changed.
    pub conflict: ConflictPolicy,
    /// Where a relation leads.
    pub reference: Option<Reference>,
    /// How values are converted.
    pub codec: Arc<dyn FieldCodec>,
}

/// Where a relation leads.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The entity.
    pub target: String,
    /// The type of the column, which holds the target's key.
    pub column_type: PgType,
}

/// Converts one field's values, each way with what the other side holds.
///
/// Laws, up to canonical form: `decode(encode(v, n)) = v` on the declared domain, `encode(decode(n), n) = n`. A value
/// outside the domain is an error, never cut. Relations never come here: the engine resolves them by links.
pub trait FieldCodec: Send + Sync {
    /// The field's value in a row: its column's, or text computed from the row.
    ///
    /// # Errors
    /// When the column is not in the row, or the text cannot be computed.
    fn row_value(&self, columns: &BTreeMap<String, Value>) -> Result<Value, FieldError>;

    /// Whether Notion computes what the page holds, so that it is an answer from the first moment.
    fn is_computed(&self) -> bool {
        false
    }

    /// Whether the column's default stands in where a new row's page holds nothing.
    fn takes_default(&self) -> bool {
        false
    }

    /// The canonical form of what the property was read, or sent, to hold.
    fn canonical_page(&self, value: Value) -> Value {
        value.canonical()
    }

    /// The row's value as the property would hold it, over what it holds now.
    ///
    /// # Errors
    /// When the property cannot hold it without loss.
    fn encode(
        &self,
        row: &Value,
        columns: &BTreeMap<String, Value>,
        page: Option<&Value>,
    ) -> Result<Value, FieldError>;

    /// The page's value as the column would hold it, over what it holds now; `columns` is empty for a new row.
    ///
    /// # Errors
    /// When it cannot be understood as the column's type.
    fn decode(
        &self,
        page: &Value,
        columns: &BTreeMap<String, Value>,
        row: Option<&Value>,
    ) -> Result<Value, FieldError>;
}

/// Makes the values of an inserted row that its page does not carry.
pub trait NewRow: Send + Sync {
    /// The columns to add to `columns`, which the page carries.
    ///
    /// # Errors
    /// When a value cannot be computed.
    fn columns(&self, columns: &BTreeMap<String, Value>) -> Result<Vec<(String, Value)>, FieldError>;
}

impl Entity {
    /// The field of that property.
    pub fn field(&self, property: &PropertyId) -> Option<&EntityField> {
        self.fields.iter().find(|field| &field.property == property)
    }

    /// The same key as this entity's table writes it; `None` where the key columns cannot hold it.
    pub(super) fn own_key(&self, key: &RecordKey) -> Option<RecordKey> {
        if key.0.len() != self.key.len() {
            return None;
        }
        let parts = self.key.iter().zip(&key.0);
        let texts: Option<Vec<String>> = parts.map(|((_, kind), text)| key_text(kind, text)).collect();
        texts.map(RecordKey)
    }

    /// Whether an answer does not carry all of the page's mapped properties.
    pub(super) fn lacks(&self, page: &Page) -> bool {
        self.fields
            .iter()
            .any(|field| !page.properties.contains_key(&field.property))
    }

    /// The page with every field's value in canonical form.
    pub(super) fn canonical(&self, mut page: Page) -> Page {
        for field in &self.fields {
            let Some(read) = page.whole(&field.property) else {
                continue;
            };
            let canonical = field.codec.canonical_page(read.clone());
            // Nearly always it is: then the page stays shared with whoever read it.
            if canonical != *read
                && let Some(PropertyRead::Whole(value)) = page.properties.get_mut(&field.property)
            {
                *value = canonical;
            }
        }
        page
    }

    /// The property's name for people, the engine's own included.
    pub fn property_name(&self, property: &PropertyId) -> String {
        self.field(property)
            .map_or_else(|| property.to_string(), |field| field.name.clone())
    }
}

/// A key column's text as its type writes it; `None` where it is no value of the type.
fn key_text(kind: &PgType, text: &str) -> Option<String> {
    match kind.base() {
        PgType::Int2 => text.parse::<i16>().ok().map(|number| number.to_string()),
        PgType::Int4 => text.parse::<i32>().ok().map(|number| number.to_string()),
        PgType::Int8 => text.parse::<i64>().ok().map(|number| number.to_string()),
        PgType::Uuid => text.parse::<uuid::Uuid>().ok().map(|id| id.to_string()),
        // Postgres stores no NUL in any text.
        _ => (!text.contains('\0')).then(|| text.to_owned()),
    }
}
