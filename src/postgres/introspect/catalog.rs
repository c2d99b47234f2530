//! The documents that the catalog queries answer, as written there.

use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct TableEntry {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) relkind: String,
    pub(super) comment: Option<String>,
    pub(super) estimated_rows: f64,
    pub(super) may_delete: bool,
    pub(super) may_trigger: bool,
    pub(super) owner: bool,
    pub(super) row_security_active: bool,
    pub(super) columns: Vec<ColumnEntry>,
    pub(super) unique: Vec<UniqueEntry>,
    pub(super) foreign_keys: Vec<ForeignKeyEntry>,
    pub(super) checks: Vec<CheckEntry>,
}

#[derive(Deserialize)]
pub(super) struct ColumnEntry {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) type_id: i64,
    pub(super) modifier: i32,
    pub(super) not_null: bool,
    pub(super) default: Option<String>,
    pub(super) generated: String,
    pub(super) identity: String,
    pub(super) comment: Option<String>,
    pub(super) may_select: bool,
    pub(super) may_insert: bool,
    pub(super) may_update: bool,
}

#[derive(Deserialize)]
pub(super) struct UniqueEntry {
    pub(super) primary: bool,
    pub(super) columns: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct ForeignKeyEntry {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    pub(super) referenced_columns: Vec<String>,
}

#[derive(Clone, Deserialize)]
pub(super) struct CheckEntry {
    pub(super) name: String,
    pub(super) definition: String,
}

#[derive(Deserialize)]
pub(super) struct TypeEntry {
    pub(super) id: i64,
    /// Its short name, for PostgreSQL's own types.
    pub(super) internal: Option<String>,
    /// Its short name, whoever made it.
    pub(super) type_name: String,
    /// Its name as `format_type` prints it, quoted and qualified.
    pub(super) name: String,
    pub(super) element: Option<i64>,
    pub(super) base: Option<i64>,
    pub(super) base_modifier: i32,
    pub(super) not_null: bool,
    pub(super) labels: Option<Vec<String>>,
    pub(super) checks: Option<Vec<CheckEntry>>,
}
