//! Reports as people read them.

mod explain;
mod history;
mod undo;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::diagnostic::inline;
use crate::notion::setup::Surveyed;
use crate::plan::schema_change::SchemaChange;
use crate::report::{
    ConflictsReport, OperationReport, Outcome, PlanReport, ProfileReport, RecordError, RunReport,
    SchemaChangeReport, SchemaDifference, StatusReport, Troubled,
};

pub(crate) use explain::explain;
pub(crate) use history::history;
pub(crate) use undo::undo;

/// What surveyed databases lack, as reports carry it.
pub(crate) fn schema_changes(surveyed: &[Surveyed]) -> Vec<SchemaChangeReport> {
    surveyed
        .iter()
        .flat_map(|surveyed| {
            surveyed.plan.changes.iter().map(|change| SchemaChangeReport {
                entity: surveyed.entity.clone(),
                kind: kind(change).to_owned(),
                name: name(change, surveyed),
                message: change.to_string(),
            })
        })
        .collect()
}

/// What differs in surveyed databases and is left alone, a sentence each.
pub(crate) fn schema_differences(surveyed: &[Surveyed]) -> Vec<SchemaDifference> {
    surveyed
        .iter()
        .flat_map(|surveyed| {
            surveyed.plan.differences.iter().map(|message| SchemaDifference {
                entity: surveyed.entity.clone(),
                message: message.clone(),
            })
        })
        .collect()
}

fn kind(change: &SchemaChange) -> &'static str {
    match change {
        SchemaChange::CreateDatabase { .. } => "create_database",
        SchemaChange::AddProperty(_) => "add_property",
        SchemaChange::SetOptions { .. } => "set_options",
        SchemaChange::SetNumberFormat { .. } => "set_number_format",
        SchemaChange::SetRollup { .. } => "set_rollup",
        SchemaChange::SetPrefix { .. } => "set_prefix",
        SchemaChange::Describe { .. } => "describe_property",
        SchemaChange::ArrangeFirstView { .. } => "arrange_first_view",
        SchemaChange::AddView { .. } => "add_view",
    }
}

fn name(change: &SchemaChange, surveyed: &Surveyed) -> String {
    match change {
        SchemaChange::AddProperty(property) => property.name.clone(),
        SchemaChange::SetOptions { name, .. }
        | SchemaChange::SetNumberFormat { name, .. }
        | SchemaChange::SetRollup { name, .. }
        | SchemaChange::SetPrefix { name, .. }
        | SchemaChange::Describe { name, .. } => name.clone(),
        SchemaChange::AddView { view, .. } => view.name.clone(),
        SchemaChange::CreateDatabase { .. } | SchemaChange::ArrangeFirstView { .. } => {
            surveyed.desired.title.clone()
        }
    }
}

/// How a profile's entities stand, a line each.
pub(crate) fn status(report: &StatusReport) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        "entity",
        "linked",
        "pending",
        "held",
        "conflicts",
        "errors",
        "last run",
        "lag",
    ]);
    for entity in &report.entities {
        table.add_row([
            entity.entity.clone(),
            entity.linked.to_string(),
            entity.pending.to_string(),
            entity.held.to_string(),
            entity.conflicts.to_string(),
            entity.errors.to_string(),
            entity.last_run.clone().unwrap_or_else(|| "never".to_owned()),
            entity
                .lag_seconds
                .map_or_else(|| "never looked".to_owned(), |lag| format!("{lag:.0} s")),
        ]);
    }
    let mut out = format!("profile {}\n", report.profile);
    for line in table.to_string().lines() {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    match &report.last_run {
        Some(run) => {
            let ended = match &run.report {
                Some(report) => outcome(report.outcome),
                None => "killed, or still going on",
            };
            let _ = writeln!(out, "  last work: {} at {}, {ended}", run.command, run.started_at);
            let failure = run.report.as_ref().and_then(|report| report.failure.as_ref());
            if let Some(failure) = failure {
                let _ = writeln!(out, "  stopped: {} [{}]", failure.message, failure.code);
                let _ = writeln!(out, "    next: {}", failure.code.next_step());
            }
        }
        None => out.push_str("  no run had anything to do yet\n"),
    }
    out.push_str(&troubles(report));
    if let Some(lease) = &report.working {
        let _ = writeln!(
            out,
            "  `{}` works on it, until {} unless it renews",
            lease.holder, lease.until
        );
    }
    out
}

/// What is wrong with which records: those with the same trouble on one line, with what helps.
fn troubles(report: &StatusReport) -> String {
    let mut alike: Vec<(&Troubled, usize)> = Vec::new();
    for record in &report.troubled {
        let is_alike = |other: &&mut (&Troubled, usize)| {
            let (other, error) = (other.0, &record.error);
            (&other.entity, &other.error.property) == (&record.entity, &error.property)
                && (other.error.code, &other.error.message) == (error.code, &error.message)
        };
        match alike.iter_mut().find(is_alike) {
            Some((_, others)) => *others += 1,
            None => alike.push((record, 0)),
        }
    }
    let mut out = String::new();
    for (record, others) in alike {
        let others = match others {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        out.push_str(&record_error(&record.entity, &record.error, &others));
    }
    for entity in &report.entities {
        let told = report
            .troubled
            .iter()
            .filter(|record| record.entity == entity.entity);
        let told: BTreeSet<_> = told.map(|record| &record.error.key).collect();
        let left = entity.errors.saturating_sub(told.len() as u64);
        if left > 0 {
            let _ = writeln!(out, "  {}: {left} records more with errors", entity.entity);
        }
    }
    out
}

/// An error in a line, and what helps in another. `others` goes after the record's name.
fn record_error(entity: &str, error: &RecordError, others: &str) -> String {
    let record = inline(error.key.as_deref().or(error.page_id.as_deref()).unwrap_or("?"));
    let property = error
        .property
        .as_deref()
        .map(|name| format!(" `{}`", inline(name)))
        .unwrap_or_default();
    format!(
        "  {entity} {record}{others}{property}: {} [{}]\n    next: {}\n",
        error.message,
        error.code.code(),
        error.code.next_step()
    )
}

/// Conflicts with both values.
pub(crate) fn conflicts(report: &ConflictsReport) -> String {
    let mut out = format!(
        "profile {}: {} conflicts\n",
        report.profile,
        report.conflicts.len()
    );
    for conflict in &report.conflicts {
        let place = inline(conflict.property.as_deref().unwrap_or("the record itself"));
        let _ = writeln!(
            out,
            "{}  {} {} {place} ({})\n  when both agreed: {}\n  postgres: {}\n  notion:   {}\n  {}",
            conflict.id,
            conflict.entity,
            inline(&conflict.key),
            conflict.status,
            conflict.base,
            conflict.postgres,
            conflict.notion,
            conflict.reason,
        );
    }
    out
}

/// A run over all profiles.
pub(crate) fn run(report: &RunReport) -> String {
    let mut out = String::new();
    for profile in &report.profiles {
        out.push_str(&one_run(profile));
    }
    out
}

fn one_run(report: &ProfileReport) -> String {
    let mut out = String::new();
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        "entity",
        "linked",
        "created",
        "updated",
        "trashed",
        "rows new",
        "rows set",
        "unchanged",
        "conflicts",
        "deferred",
        "errors",
    ]);
    for entity in &report.entities {
        table.add_row([
            entity.entity.clone(),
            entity.linked.to_string(),
            entity.pages_created.to_string(),
            entity.pages_updated.to_string(),
            entity.pages_trashed.to_string(),
            entity.rows_inserted.to_string(),
            entity.rows_updated.to_string(),
            entity.unchanged.to_string(),
            entity.conflicts_opened.to_string(),
            entity.deferred.to_string(),
            entity.errors.len().to_string(),
        ]);
    }
    let _ = writeln!(out, "profile {}: {}", report.profile, outcome(report.outcome));
    if !report.entities.is_empty() {
        for line in table.to_string().lines() {
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    if let Some(failure) = &report.failure {
        let _ = writeln!(out, "  stopped: {} [{}]", failure.message, failure.code.code());
        let _ = writeln!(out, "    next: {}", failure.code.next_step());
    }
    for entity in &report.entities {
        for error in &entity.errors {
            out.push_str(&record_error(&entity.entity, error, ""));
        }
        if entity.conflicts_opened > 0 {
            let opened = match entity.conflicts_opened {
                1 => "a conflict waits for a person".to_owned(),
                many => format!("{many} conflicts wait for a person"),
            };
            let _ = writeln!(out, "  {}: {opened}", entity.entity);
            let _ = writeln!(out, "    next: frames-sync conflicts list");
        }
        for refusal in &entity.refusals {
            let _ = writeln!(
                out,
                "  {}: {} [{}]",
                entity.entity,
                refusal.message,
                refusal.code.code()
            );
            if !refusal.approve.is_empty() {
                let _ = writeln!(out, "    if it is meant: frames-sync approve {}", refusal.approve);
            }
        }
    }
    let notion = &report.notion;
    let _ = writeln!(
        out,
        "  {} requests to Notion in {:.1} s{}",
        notion.requests,
        report.duration_seconds,
        match notion.throttled {
            0 => String::new(),
            times => format!(", told to slow down {times} times"),
        }
    );
    out
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "in step",
        Outcome::Partial => "in step but for what follows",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
    }
}

/// A plan, as Terraform would show it.
pub(crate) fn plan(plan: &PlanReport) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "profile {}", plan.profile);
    for change in &plan.schema_changes {
        let _ = writeln!(out, "  + {}: {}", change.entity, change.message);
    }
    for difference in &plan.schema_differences {
        let _ = writeln!(out, "  left alone: {}: {}", difference.entity, difference.message);
    }
    for planned in &plan.operations {
        out.push_str(&operation(planned));
    }
    for refusal in &plan.refusals {
        let _ = writeln!(
            out,
            "  refused: {}: {} [{}]",
            refusal.entity,
            refusal.message,
            refusal.code.code()
        );
        if !refusal.approve.is_empty() {
            let _ = writeln!(out, "    if it is meant: frames-sync approve {}", refusal.approve);
        }
    }
    if plan.schema_changes.is_empty() && plan.operations.is_empty() {
        let _ = writeln!(out, "  nothing to do");
    } else {
        let _ = writeln!(
            out,
            "  plan {}: {} changes to databases, {} to records; about {} requests, {:.1} minutes",
            plan.hash,
            plan.schema_changes.len(),
            plan.operations.len(),
            plan.requests,
            plan.minutes
        );
    }
    out
}

/// One operation of a plan, with its fields.
fn operation(operation: &OperationReport) -> String {
    let sign = match operation.kind.as_str() {
        "create_page" | "insert_row" => '+',
        "trash_page" | "trash_stray" | "delete_row" => '-',
        "open_conflict" | "set_aside" | "mark_page" => '!',
        _ => '~',
    };
    let mut out = format!(
        "  {sign} {} {}: {} ({})\n",
        operation.entity,
        inline(&operation.key),
        operation.kind.replace('_', " "),
        operation.reason
    );
    for field in &operation.fields {
        let _ = writeln!(
            out,
            "      {}: {} -> {} ({})",
            inline(&field.property),
            brief(&field.from),
            brief(&field.to),
            field.reason
        );
    }
    out
}

/// A value on one line, cut after 60 characters, with nothing in it that a terminal obeys.
fn brief(value: &Json) -> String {
    let text = match value {
        Json::Null => return "nothing".to_owned(),
        Json::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    };
    let mut shown: String = text
        .chars()
        .take(60)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().count() > 60 {
        shown.push('…');
    }
    shown
}
