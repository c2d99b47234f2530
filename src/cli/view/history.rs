//! The audit log, as a person reads it.

use std::fmt::Write as _;

use super::brief;
use crate::diagnostic::inline;
use crate::report::{HistoryEntry, HistoryReport};

/// Entries of the audit log, by run.
pub(crate) fn history(report: &HistoryReport) -> String {
    let mut out = format!("profile {}: {} entries\n", report.profile, report.entries.len());
    let mut run = None;
    for entry in &report.entries {
        if run != Some(&entry.run_id) {
            let _ = writeln!(out, "run {}", entry.run_id);
            run = Some(&entry.run_id);
        }
        let record = inline(entry.key.as_deref().or(entry.page_id.as_deref()).unwrap_or("?"));
        let _ = writeln!(out, "  {} {record} {}", entry.entity, one_line(entry));
    }
    if let Some(run) = &report.run {
        let ended = run.finished_at.as_deref().unwrap_or("it was killed");
        let _ = writeln!(out, "{} from {} to {ended}", run.command, run.started_at);
        if let Some(profile) = &run.report {
            out.push_str(&super::one_run(profile));
        }
    }
    if !report.entries.is_empty() {
        out.push_str("`frames-sync undo ENTRY` or `undo RUN` puts back what was overwritten or deleted\n");
    }
    out
}

/// One entry, without its record and run.
pub(super) fn one_line(entry: &HistoryEntry) -> String {
    let place = match &entry.property {
        Some(property) => format!("`{}` in {}", inline(property), entry.side),
        None if entry.side == "postgres" => "the row".to_owned(),
        None => "the page".to_owned(),
    };
    let change = match (entry.act.as_str(), &entry.property) {
        ("overruled", _) => format!(", {} gave way to {}", brief(&entry.from), brief(&entry.to)),
        (_, Some(_)) => format!(", {} -> {}", brief(&entry.from), brief(&entry.to)),
        (_, None) => String::new(),
    };
    format!(
        "{} {} {place}{change} ({}) [{}]",
        entry.at, entry.act, entry.reason, entry.id
    )
}
