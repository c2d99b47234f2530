//! `status`: how each entity stands.

use clap::Args;

use crate::cli::context::{self, Selection};
use crate::cli::remembered::Memory;
use crate::cli::{Exit, Failure, Format, Global, Terminal, view};
use crate::project::Project;
use crate::report::StatusReport;

/// Say how each entity stands: linked, pending, conflicts, errors, last run, lag. Asks Notion nothing.
#[derive(Debug, Args)]
pub struct Status {}

impl Status {
    /// Prints the status of each selected profile.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let project = context::open_project(global)?;
        let names = context::select(&project, global, Selection::Default)?;
        let reports = context::block_on(async {
            let mut reports = Vec::new();
            for name in &names {
                reports.push(status(&project, name).await?);
            }
            Ok::<_, Failure>(reports)
        })??;
        match (terminal.format(), reports.as_slice()) {
            (Format::Json, several) => terminal.json_of_each(several),
            (_, reports) => {
                for report in reports {
                    terminal.text(view::status(report));
                }
            }
        }
        Ok(Exit::Done)
    }
}

async fn status(project: &Project, name: &str) -> Result<StatusReport, Failure> {
    let memory = Memory::open(project, name).await?;
    let report = memory.status().await?;
    memory.store.pool().close().await;
    Ok(report)
}
