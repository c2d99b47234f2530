//! One record, as a person reads it.

use std::fmt::Write as _;

use super::{brief, history::one_line};
use crate::diagnostic::inline;
use crate::report::{ExplainReport, ExplainedField, ExplainedSide};

/// An explained record.
pub(crate) fn explain(report: &ExplainReport) -> String {
    let mut out = format!("{} {}", report.entity, inline(&report.key));
    match &report.page_id {
        Some(page) => {
            let _ = writeln!(out, ", page {page} (profile {})", report.profile);
        }
        None => {
            let _ = writeln!(out, ", without a page (profile {})", report.profile);
        }
    }
    let _ = writeln!(
        out,
        "  {}: {} [{}]",
        report.action.replace('_', " "),
        report.reason,
        report.case
    );
    let _ = writeln!(
        out,
        "  the row is {}, the page is {}",
        report.row.replace('_', " "),
        report.page
    );
    if let Some(editor) = &report.last_editor {
        let who = match editor.who.as_str() {
            "person" => "a person",
            _ => "frames-sync",
        };
        let _ = writeln!(
            out,
            "  the page was last edited by {who}, in the minute of {}",
            editor.at
        );
    }
    if report.unsettled > 0 {
        let _ = writeln!(
            out,
            "  the outcome of {} writes to Notion is not known yet",
            report.unsettled
        );
    }
    if let Some(at) = &report.look_again_at {
        let _ = writeln!(out, "  it is looked at again at {at}");
    }
    for trouble in &report.troubles {
        let property = trouble
            .property
            .as_ref()
            .map(|name| format!("`{name}`: "))
            .unwrap_or_default();
        let _ = writeln!(out, "  {property}{} [{}]", trouble.message, trouble.code);
        let _ = writeln!(out, "    next: {}", trouble.next_step);
    }
    for field in &report.fields {
        out.push('\n');
        out.push_str(&one_field(field));
    }
    if !report.history.is_empty() {
        out.push_str("\n  the record as a whole\n");
        for entry in &report.history {
            let _ = writeln!(out, "      {}", one_line(entry));
        }
    }
    out
}

fn one_field(field: &ExplainedField) -> String {
    let arrow = match field.direction.as_str() {
        "to_notion" => "->",
        "to_postgres" => "<-",
        _ => "<->",
    };
    let column = field.column.as_deref().unwrap_or("text computed from the row");
    let mut out = format!(
        "  {column} {arrow} {} ({})\n",
        inline(&field.property),
        field.policy
    );
    out.push_str(&one_side("postgres", &field.postgres));
    out.push_str(&one_side("notion", &field.notion));
    if let (Some(action), Some(reason)) = (&field.action, &field.reason) {
        let what = match action.as_str() {
            "push" => format!("the page is set to {}", brief(&field.writes)),
            "pull" => format!("the row is set to {}", brief(&field.writes)),
            "conflict" => "neither side is written".to_owned(),
            "freeze" => "the field is left alone on both sides".to_owned(),
            "defer" => "it is looked at again soon".to_owned(),
            "rebase" => "nothing is written".to_owned(),
            _ => "nothing to do".to_owned(),
        };
        let _ = writeln!(out, "    decision  {what}: {reason}");
    }
    if let Some(id) = &field.conflict_id {
        let _ = writeln!(
            out,
            "    conflict  frames-sync conflicts resolve {id} --take postgres|notion"
        );
    }
    for entry in &field.history {
        let _ = writeln!(out, "      {}", one_line(entry));
    }
    out
}

fn one_side(name: &str, side: &ExplainedSide) -> String {
    let now = match &side.error {
        Some(error) => error.clone(),
        None => brief(&side.now),
    };
    let before = match (side.has_base, side.changed) {
        (false, _) => "never agreed on".to_owned(),
        (true, false) => "unchanged".to_owned(),
        (true, true) => {
            let mut when = format!("was {}", brief(&side.base));
            if let Some(after) = &side.changed_after {
                let _ = write!(when, ", changed after {after}");
            }
            if let Some(until) = &side.changed_until {
                let _ = write!(when, ", by {until}");
            }
            when
        }
    };
    format!("    {name:<8}  {now}  ({before})\n")
}
