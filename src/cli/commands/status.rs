//! `status`: how each entity stands.

use clap::Args;

use crate::cli::context::{self, Selection};
use crate::cli::session::{self, Memory};
use crate::cli::{Exit, Failure, Format, Global, Terminal, view};
use crate::ports::Store as _;
use crate::project::Project;
use crate::reconcile::Phase;
use crate::report::{EntityStatus, LeaseReport, StatusReport};

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
            (Format::Json, [only]) => terminal.json(only),
            (Format::Json, several) => terminal.json(&several),
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
    let store = &memory.store;
    let failed = |error: crate::ports::StoreError| session::store(&error);
    let runs = store.runs(1).await.map_err(failed)?;
    let last = runs.first();
    let working = store.lease().await.map_err(failed)?;
    let mut entities = Vec::new();
    for mapping in &memory.mappings {
        let entity = &mapping.entity;
        let totals = store.totals(entity).await.map_err(failed)?;
        let marks = store.marks(entity).await.map_err(failed)?;
        let looked = marks
            .rows_captured_at
            .into_iter()
            .chain(marks.pages_queried_at)
            .min();
        // A run that finds nothing to do leaves no record, but it has looked.
        let seen = marks.rows_captured_at.into_iter().chain(marks.pages_queried_at);
        let last_run = seen.chain(last.map(|run| run.started_at)).max();
        let unsettled = store.links_with_intents(entity).await.map_err(failed)?.len();
        entities.push(EntityStatus {
            entity: entity.clone(),
            data_source_id: memory
                .remembered
                .known
                .data_sources
                .get(entity)
                .map(ToString::to_string),
            linked: totals.linked(),
            pending: totals.pending,
            held: totals.by_phase.get(&Phase::Held).copied().unwrap_or(0),
            conflicts: totals.conflicts,
            errors: totals.troubled,
            unsettled: unsettled as u64,
            last_run: last_run.map(session::iso),
            lag_seconds: looked.map(|at| (memory.now - at).as_seconds_f64().max(0.0)),
        });
    }
    memory.store.pool().close().await;
    Ok(StatusReport {
        version: 1,
        profile: memory.profile.name,
        entities,
        last_run: last.map(super::history::summary),
        working: working.map(|(holder, until)| LeaseReport {
            holder,
            until: session::iso(until),
        }),
    })
}
