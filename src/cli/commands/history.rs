//! `history`: the audit log.

use clap::Args;
use uuid::Uuid;

use super::run_once::parse_key;
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
        let filter = AuditFilter {
            entity: self.entity.clone(),
            key: self.key.as_deref().map(parse_key),
            run: self.run,
            entry: None,
            limit: self.limit,
        };
        let report = memory.history(&filter).await?;
        memory.store.pool().close().await;
        Ok(report)
    }
}
