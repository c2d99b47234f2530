//! `history`: the audit log.

use clap::Args;
use uuid::Uuid;

use super::run_once::Narrowing;
use crate::cli::context::{self, Selection};
use crate::cli::remembered::Memory;
use crate::cli::{Exit, Failure, Format, Global, Terminal, view};
use crate::ports::AuditFilter;
use crate::project::Project;
use crate::report::HistoryReport;

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
            (Format::Json, several) => terminal.json_of_each(several),
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
        let narrowing = Narrowing {
            entities: self.entity.iter().cloned().collect(),
            keys: self.key.iter().cloned().collect(),
            ..Narrowing::default()
        };
        let mut filter = AuditFilter {
            entity: self.entity.clone(),
            key: None,
            run: self.run,
            entry: None,
            limit: self.limit,
        };
        let mut keys = narrowing.keys(&memory.mappings)?.into_iter();
        filter.key = keys.next();
        let mut report = memory.history(&filter).await?;
        // One text may be keys of several entities, whose keys have different numbers of columns.
        for key in keys {
            filter.key = Some(key);
            report.entries.extend(memory.history(&filter).await?.entries);
        }
        report.entries.sort_by(|one, other| other.at.cmp(&one.at));
        report.entries.truncate(self.limit as usize);
        memory.store.pool().close().await;
        Ok(report)
    }
}
