//! `schema`: the JSON Schema of a file or report.

use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::cli::{Exit, Failure, Terminal};
use crate::diagnostic::ValidateReport;
use crate::report::{
    ConflictsReport, ExplainReport, HistoryReport, PlanReport, RunReport, StatusReport, UndoReport,
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
    /// `plan`, and `--dry-run`.
    Plan(PlanReport),
    /// `validate`.
    Validate(ValidateReport),
    /// `status`.
    Status(StatusReport),
    /// `conflicts list`.
    Conflicts(ConflictsReport),
    /// `history`.
    History(HistoryReport),
    /// `explain`.
    Explain(ExplainReport),
    /// `undo`.
    Undo(UndoReport),
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
