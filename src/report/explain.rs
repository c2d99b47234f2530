//! What `explain` tells of one record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ErrorCode, HistoryEntry};

/// One record: what each side held and holds, who changed what when, and what would be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainReport {
    /// The version of this format.
    pub version: u32,
    /// The profile.
    pub profile: String,
    /// The entity.
    pub entity: String,
    /// The row's key.
    pub key: String,
    /// The page; `null` while there is none.
    pub page_id: Option<String>,
    /// Where the record stands, such as `linked`, `held` or `tombstone`; `null` for one that was never linked.
    pub phase: Option<String>,
    /// What the row was seen to be: `present`, `out_of_scope`, `absent` or `unknown`.
    pub row: String,
    /// What the page was seen to be: `live`, `trashed`, `moved`, `inaccessible`, `unknown` or `none`.
    pub page: String,
    /// Who edited the page last; `null` where it was not read.
    pub last_editor: Option<EditorReport>,
    /// The row of the existence table that the record falls into, `E1` to `E19`.
    pub case: String,
    /// What would be done about the record as a whole, in snake case.
    pub action: String,
    /// Why, as the end of a sentence about the record.
    pub reason: String,
    /// Whether the record is opted out by its checkbox.
    pub opted_out: bool,
    /// Until when it is left alone, ISO 8601; `null` where it is not.
    pub look_again_at: Option<String>,
    /// Writes to Notion whose outcome is not known yet.
    pub unsettled: u64,
    /// What keeps the record, or fields of it, out of step.
    pub troubles: Vec<TroubleReport>,
    /// The fields, in mapping order.
    pub fields: Vec<ExplainedField>,
    /// What was done to the record as a whole, newest first.
    pub history: Vec<HistoryEntry>,
}

/// Who edited a page last, as far as the page says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EditorReport {
    /// `person`, or `frames_sync`.
    pub who: String,
    /// The user's id.
    pub user_id: String,
    /// When, to the minute and on Notion's clock, ISO 8601.
    pub at: String,
}

/// Why a record or a field is not in step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TroubleReport {
    /// The stable code.
    pub code: ErrorCode,
    /// The property, when it is about one.
    pub property: Option<String>,
    /// One sentence without any value.
    pub message: String,
    /// How often it was met in a row.
    pub attempts: u32,
    /// When it is tried again though nothing changed, ISO 8601.
    pub retry_at: Option<String>,
    /// What to do about it.
    pub next_step: String,
}

/// One field of an explained record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedField {
    /// The property.
    pub property: String,
    /// The column; `null` for text computed from the row.
    pub column: Option<String>,
    /// Which way values travel: `both`, `to_notion` or `to_postgres`.
    pub direction: String,
    /// The conflict policy.
    pub policy: String,
    /// The column.
    pub postgres: ExplainedSide,
    /// The property.
    pub notion: ExplainedSide,
    /// Whether both sides say the same.
    pub agrees: bool,
    /// What would be done: `keep`, `rebase`, `push`, `pull`, `conflict`, `freeze` or `defer`; `null` where the record
    /// as a whole decides.
    pub action: Option<String>,
    /// What a push or pull would write.
    pub writes: serde_json::Value,
    /// Why.
    pub reason: Option<String>,
    /// How sure the order of the two edits is: `proven`, `probable` or `tie`; `null` where it was not asked.
    pub certainty: Option<String>,
    /// The open conflict, as `conflicts show` takes it.
    pub conflict_id: Option<String>,
    /// What was done to the field, newest first.
    pub history: Vec<HistoryEntry>,
}

/// One side of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedSide {
    /// What it held when both sides last agreed.
    pub base: serde_json::Value,
    /// Whether there is such a baseline: no baseline is not an empty one.
    pub has_base: bool,
    /// What it holds now.
    pub now: serde_json::Value,
    /// Why it cannot be read; `null` where it can.
    pub error: Option<String>,
    /// Whether it changed since both sides agreed.
    pub changed: bool,
    /// It had not changed yet, ISO 8601; `null` where nothing is known or nothing changed.
    pub changed_after: Option<String>,
    /// It had changed, ISO 8601.
    pub changed_until: Option<String>,
    /// The best guess, ISO 8601.
    pub changed_about: Option<String>,
}
