//! `schema`: the JSON Schema of a file or report.

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::cli::{Exit, Failure, Terminal};
use crate::{mapping, project, report};

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

impl Of {
    /// The schema as JSON.
    pub fn schema(self) -> Value {
        match self {
            Of::Mapping => mapping::schema().source().clone(),
            Of::Project => project::schema().source().clone(),
            Of::Report => report::schema(),
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
