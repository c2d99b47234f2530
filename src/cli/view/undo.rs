//! What an undo does, as a person reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{one_run, operation};
use crate::diagnostic::inline;
use crate::report::UndoReport;

/// What would be put back, or what was.
pub(crate) fn undo(report: &UndoReport) -> String {
    let mut out = String::new();
    if let Some(run) = &report.run {
        for left in report.left.iter().filter(|left| left.code.is_some()) {
            out.push_str(&refused(left));
        }
        let _ = writeln!(out, "undone, as run {}", run.run_id);
        out.push_str(&one_run(run));
        return out;
    }
    let _ = writeln!(out, "profile {}: undo {}", report.profile, report.undo);
    for put_back in &report.operations {
        out.push_str(&operation(put_back));
    }
    // What has nothing to put back is only counted: a first run makes very many pages.
    let mut nothing: BTreeMap<&str, usize> = BTreeMap::new();
    for left in &report.left {
        match left.code {
            Some(_) => out.push_str(&refused(left)),
            None => *nothing.entry(&left.message).or_default() += 1,
        }
    }
    for (message, count) in nothing {
        let _ = writeln!(out, "  {count} left: {message}");
    }
    if report.operations.is_empty() {
        out.push_str("  nothing to put back\n");
    }
    out
}

fn refused(left: &crate::report::LeftReport) -> String {
    let property = left
        .property
        .as_ref()
        .map(|name| format!(" `{name}`"))
        .unwrap_or_default();
    let mut out = format!(
        "  ! {} {}{property}: left, {}",
        left.entity,
        inline(left.key.as_deref().unwrap_or("?")),
        left.message
    );
    if let Some(code) = left.code {
        let _ = write!(out, " [{code}]");
    }
    out.push('\n');
    out
}
