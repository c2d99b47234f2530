//! Findings as GitHub Actions workflow commands, which annotate the lines of a pull request.

use super::super::{Diagnostic, Severity};
use super::json::Finding;

/// Renders one finding as one line.
///
/// Source: GitHub's documentation of workflow commands, "Setting an error message"; the percent, line-break, colon and
/// comma escapes are those of `actions/toolkit`'s `command.ts`.
pub fn github(diagnostic: &Diagnostic) -> String {
    let finding = Finding::from(diagnostic);
    let command = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let message = match &finding.help {
        Some(help) => format!("{}\nhelp: {help}", finding.message),
        None => finding.message.clone(),
    };
    // GitHub shows columns only for marks within one line.
    let end = if finding.line == finding.end_line {
        format!(",endLine={},endColumn={}", finding.end_line, finding.end_column)
    } else {
        format!(",endLine={}", finding.end_line)
    };
    format!(
        "::{command} file={},line={},col={}{end},title={}::{}",
        property(&finding.file),
        finding.line,
        finding.column,
        property(&finding.code),
        data(&message),
    )
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
