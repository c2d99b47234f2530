//! `history`: the audit log.

use clap::Args;
use uuid::Uuid;

use super::run_once::parse_key;
use crate::cli::context::{self, Selection};
use crate::cli::session::{self, Memory};
use crate::cli::{Exit, Failure, Format, Global, Terminal, view};
use crate::ports::{AuditFilter, RunRecord, Store as _};
use crate::project::Project;
use crate::report::{HistoryEntry, HistoryReport, RunSummary};

/// Show the audit log: what was written where, when and why, newest first. Asks Notion nothing.
#[derive(Debug, Args)]
pub struct History {
    /// Only this entity.
    #[arg(long, value_name = "ENTITY")]
    pub entity: Option<String>,
    /// Only the record with this key. Columns of a composite key are joined by commas.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Only this run, with its report.
    #[arg(long, value_name = "RUN")]
    pub run: Option<Uuid>,
    /// At most this many entries.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: u32,
}

impl History {
    /// Prints the log of each selected profile.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let project = context::open_project(global)?;
        if let Some(entity) = &self.entity {
            context::known_entity(&project, entity)?;
        }
        let names = context::select(&project, global, Selection::Default)?;
        let reports = context::block_on(async {
            let mut reports = Vec::new();
            for name in &names {
                reports.push(self.report(&project, name).await?);
            }
            Ok::<_, Failure>(reports)
        })??;
        match (terminal.format(), reports.as_slice()) {
            (Format::Json, [only]) => terminal.json(only),
            (Format::Json, several) => terminal.json(&several),
            (_, reports) => {
                for report in reports {
                    terminal.text(view::history(report));
                }
            }
        }
        Ok(Exit::Done)
    }

    async fn report(&self, project: &Project, name: &str) -> Result<HistoryReport, Failure> {
        let memory = Memory::open(project, name).await?;
        let failed = |error: crate::ports::StoreError| session::store(&error);
        let filter = AuditFilter {
            entity: self.entity.clone(),
            key: self.key.as_deref().map(parse_key),
            run: self.run,
            entry: None,
            limit: self.limit,
        };
        let entries = memory.store.audit(&filter).await.map_err(failed)?;
        let run = match self.run {
            Some(id) => memory.store.run(id).await.map_err(failed)?,
            None => None,
        };
        let report = HistoryReport {
            version: crate::report::VERSION,
            profile: name.to_owned(),
            entries: entries
                .iter()
                .map(|entry| HistoryEntry::of(entry, |id| memory.property_name(&entry.entity, id)))
                .collect(),
            run: run.as_ref().map(summary),
        };
        memory.store.pool().close().await;
        Ok(report)
    }
}

/// A run as reports tell of it.
pub(super) fn summary(run: &RunRecord) -> RunSummary {
    RunSummary {
        run_id: run.id.to_string(),
        command: run.command.clone(),
        started_at: session::iso(run.started_at),
        finished_at: run.finished_at.map(session::iso),
        // A report of a later version may not be readable, and its run is told all the same.
        report: run
            .report
            .clone()
            .and_then(|report| serde_json::from_value(report).ok()),
    }
}
