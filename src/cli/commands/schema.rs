//! `schema`: the JSON Schema of a file or report.

use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::cli::commands::doctor::DoctorReport;
use crate::cli::{Exit, Failure, Terminal};
use crate::diagnostic::ValidateReport;
use crate::report::{
    ApproveReport, ConflictsReport, ExplainReport, FailureReport, HistoryReport, PlanReport, RunReport,
    StatusReport, UndoReport,
};
use crate::{mapping, project};

/// Print a JSON Schema (Draft 2020-12).
#[derive(Debug, Args)]
pub struct Schema {
    /// Of what.
    pub of: Of,
}

/// What has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Of {
    /// Mapping files.
    Mapping,
    /// The project file.
    Project,
    /// The JSON that commands print.
    Report,
}

/// What commands print with `--format json`: one of these objects.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "frames-sync report")]
#[expect(
    dead_code,
    reason = "only the schema of the union is wanted; each command prints its own report"
)]
enum Report {
    /// `sync`, `push`, `pull` and `setup`.
    Run(RunReport),
    /// `validate`.
    Validate(ValidateReport),
    /// `undo`.
    Undo(UndoReport),
    /// `doctor`.
    Doctor(DoctorReport),
    /// What is told of one profile, where the command works on one.
    One(OfProfile),
    /// The same of several.
    Several(OfProfiles),
    /// Any command that could not do its work.
    Failure(FailureReport),
}

/// What is told of one profile.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is wanted")]
enum OfProfile {
    /// `plan`, and `--dry-run`.
    Plan(PlanReport),
    /// `status`.
    Status(StatusReport),
    /// `conflicts`.
    Conflicts(ConflictsReport),
    /// `history`.
    History(HistoryReport),
    /// `explain`.
    Explain(ExplainReport),
    /// `approve`.
    Approve(ApproveReport),
}

/// What is told of several profiles: one object for each.
#[derive(Serialize, JsonSchema)]
struct OfProfiles {
    /// The version of this format.
    version: u32,
    /// In the order they were asked for.
    profiles: Vec<OfProfile>,
}

impl Of {
    /// The schema as JSON.
    pub fn schema(self) -> Value {
        match self {
            Of::Mapping => mapping::schema().source().clone(),
            Of::Project => project::schema().source().clone(),
            Of::Report => schemars::schema_for!(Report).to_value(),
        }
    }
}

impl Schema {
    /// Prints the schema on standard output.
    pub fn run(self, terminal: &Terminal) -> Result<Exit, Failure> {
        terminal.json(&self.of.schema());
        Ok(Exit::Done)
    }
}
