//! What `undo` tells.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ErrorCode, OperationReport, Outcome, ProfileReport};

/// What is put back, what is left, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UndoReport {
    /// The version of this format.
    pub version: u32,
    /// The profile.
    pub profile: String,
    /// What was asked for: an entry of the audit log, or a run.
    pub undo: String,
    /// How it ended; `refused` where an entry that was asked for could not be put back.
    pub outcome: Outcome,
    /// What is put back, in the order it is done.
    pub operations: Vec<OperationReport>,
    /// Entries that are left as they are.
    pub left: Vec<LeftReport>,
    /// What was done, the way to the other side included; `null` where nothing was written.
    pub run: Option<ProfileReport>,
}

/// One entry that is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftReport {
    /// The entry of the audit log.
    pub entry: String,
    /// The entity.
    pub entity: String,
    /// The row's key.
    pub key: Option<String>,
    /// The property; `null` for a whole record.
    pub property: Option<String>,
    /// The code of a refusal; `null` where there was nothing to put back.
    pub code: Option<ErrorCode>,
    /// Why.
    pub message: String,
}
