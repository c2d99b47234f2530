//! Findings as the contract's JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{Diagnostic, Severity};

/// What `validate --format json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ValidateReport {
    /// The version of this report: 1.
    pub version: u32,
    /// Every finding, by file and place.
    pub findings: Vec<Finding>,
    /// How many findings are errors.
    pub errors: usize,
    /// How many findings are warnings.
    pub warnings: usize,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The kind of mistake; `frames-sync validate --explain CODE` explains it.
    pub code: String,
    /// How much it weighs.
    pub severity: Severity,
    /// The file, relative to where the command ran.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line of the end.
    pub end_line: usize,
    /// The column just after the end.
    pub end_column: usize,
    /// The JSON pointer of the place within the file; empty for the file as a whole.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// The cure, where one sentence can say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The other places the message is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
}

/// Another place that a finding is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Related {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is said about it.
    pub message: String,
}

impl From<&Diagnostic> for Finding {
    fn from(diagnostic: &Diagnostic) -> Self {
        let file = &diagnostic.primary.file;
        let start = file.position(diagnostic.primary.span.start);
        let end = file.position(diagnostic.primary.span.end);
        Self {
            code: diagnostic.code.name().to_owned(),
            severity: diagnostic.severity,
            file: file.path.clone(),
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
            pointer: diagnostic.pointer.clone(),
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
            related: diagnostic
                .secondary
                .iter()
                .map(|label| {
                    let position = label.file.position(label.span.start);
                    Related {
                        file: label.file.path.clone(),
                        line: position.line,
                        column: position.column,
                        message: label.text.clone(),
                    }
                })
                .collect(),
        }
    }
}

/// The report over these findings.
pub fn json(findings: &[Diagnostic]) -> ValidateReport {
    let count = |severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    ValidateReport {
        version: 1,
        findings: findings.iter().map(Finding::from).collect(),
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
    }
}
