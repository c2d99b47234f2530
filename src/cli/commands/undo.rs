//! `undo`: puts back what an entry of the audit log, or a whole run, overwrote or deleted.

use clap::Args;
use uuid::Uuid;

use crate::cli::context::{self, Selection};
use crate::cli::error::with_causes;
use crate::cli::progress;
use crate::cli::remembered::{self, Memory};
use crate::cli::session::Session;
use crate::cli::{Exit, Failure, Format, Global, Terminal, view};
use crate::engine::{Engine, Left, UndoPlan};
use crate::journal::AuditEntry;
use crate::ports::{AuditFilter, Store as _};
use crate::project::Project;
use crate::report::{ErrorCode, LeftReport, Outcome, UndoReport};
use crate::value::PropertyId;

/// Put back what an entry of the audit log, or a whole run, overwrote or deleted.
///
/// A value goes back on the side it was on, and from there to the other side as the edit it is. A deleted row comes back
/// under its key, and a trashed page out of the trash. What moved since is left and told. Shows what it would do and
/// asks; where nobody can be asked, it needs `--yes`. An undo is in the audit log itself, and can be undone.
#[derive(Debug, Args)]
pub struct Undo {
    /// An entry or a run, as `history` names it.
    #[arg(value_name = "ENTRY|RUN")]
    pub target: Uuid,
    /// Say what would be put back, and write nothing.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
}

/// Entries of one run that are undone at most.
///
/// A run beyond it is undone in part, newest first, and again for the rest.
const MOST_ENTRIES: u32 = 100_000;

impl Undo {
    /// Finds the profile that the entry or run belongs to, plans, asks, and puts back.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let project = context::open_project(global)?;
        let names = context::select(&project, global, Selection::Default)?;
        context::block_on(async {
            for name in &names {
                let entries = self.entries(&project, name).await?;
                if !entries.is_empty() {
                    return self.undo(&project, name, &entries, terminal).await;
                }
            }
            Err(Failure::needs_user(format!(
                "the audit log of {} has no entry and no run `{}`",
                names.join(", "),
                self.target
            ))
            .code(ErrorCode::NotFound)
            .hint("`frames-sync history` names both"))
        })?
    }

    /// The entries, newest first.
    async fn entries(&self, project: &Project, name: &str) -> Result<Vec<AuditEntry>, Failure> {
        let memory = Memory::open(project, name).await?;
        let failed = |error: crate::ports::StoreError| remembered::store(&error);
        let one = AuditFilter {
            entry: Some(self.target),
            limit: 1,
            ..AuditFilter::default()
        };
        let mut entries = memory.store.audit(&one).await.map_err(failed)?;
        if entries.is_empty() {
            let run = AuditFilter {
                run: Some(self.target),
                limit: MOST_ENTRIES,
                ..AuditFilter::default()
            };
            entries = memory.store.audit(&run).await.map_err(failed)?;
        }
        memory.store.pool().close().await;
        Ok(entries)
    }

    async fn undo(
        &self,
        project: &Project,
        name: &str,
        entries: &[AuditEntry],
        terminal: &Terminal,
    ) -> Result<Exit, Failure> {
        let session = if self.dry_run {
            Session::look(project, name).await?
        } else {
            Session::open(project, name).await?
        };
        let known = session.known().await?;
        let schemas = session.schemas(&known, &[], false).await?;
        let engine = session.engine(&known, &schemas)?;
        let ended = self.plan_and_apply(&engine, entries, terminal).await;
        session.close().await;
        let (report, failure) = ended?;
        match terminal.format() {
            Format::Json => terminal.json(&report),
            _ if report.run.is_some() => terminal.text(view::undo(&report)),
            // The plan was shown.
            _ => {}
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        Ok(match report.outcome.exit_code() {
            0 => Exit::Done,
            1 => Exit::NeedsUser,
            _ => Exit::World,
        })
    }

    async fn plan_and_apply(
        &self,
        engine: &Engine,
        entries: &[AuditEntry],
        terminal: &Terminal,
    ) -> Result<(UndoReport, Option<Failure>), Failure> {
        let plan = engine
            .plan_undo(entries)
            .await
            .map_err(|error| Failure::world(with_causes(&error)).code(ErrorCode::NotionFailed))?;
        let mut report = self.report(engine, &plan);
        if terminal.format() != Format::Json {
            terminal.text(view::undo(&report));
        }
        if self.dry_run || plan.is_empty() {
            return Ok((report, None));
        }
        let count = report.operations.len();
        let question = format!("put {count} back?", count = super::records(count));
        match self.yes.then_some(true).or_else(|| terminal.ask(question)) {
            Some(true) => {}
            Some(false) => {
                report.outcome = Outcome::Refused;
                return Ok((report, Some(Failure::needs_user("nothing was put back"))));
            }
            None => {
                report.outcome = Outcome::Refused;
                let failure = Failure::needs_user("nothing was put back: there is nobody to ask")
                    .hint("look at what it would do with `--dry-run`, then add `--yes`");
                return Ok((report, Some(failure)));
            }
        }
        let watcher = progress::watch(terminal, &engine.profile);
        let (run, left) = engine.undo(&plan, &*watcher).await;
        drop(watcher);
        report.outcome = report.outcome.max(run.outcome);
        if left.iter().any(|left| left.code.is_some()) {
            report.outcome = report.outcome.max(Outcome::Refused);
        }
        report.left.extend(left.iter().map(|left| told(engine, left)));
        report.run = Some(run);
        Ok((report, None))
    }

    fn report(&self, engine: &Engine, plan: &UndoPlan) -> UndoReport {
        let operations = crate::plan::Plan {
            operations: plan.operations.clone(),
        };
        UndoReport {
            version: crate::report::VERSION,
            profile: engine.profile.clone(),
            undo: self.target.to_string(),
            outcome: if plan.refuses() {
                Outcome::Refused
            } else {
                Outcome::Ok
            },
            operations: operations
                .report(&engine.profile, 1, Vec::new(), Vec::new())
                .operations,
            left: plan.left.iter().map(|left| told(engine, left)).collect(),
            run: None,
        }
    }
}

fn told(engine: &Engine, left: &Left) -> LeftReport {
    let entity = engine
        .entities
        .iter()
        .find(|entity| entity.name == left.entry.entity);
    let name = |property: &PropertyId| {
        entity.map_or_else(|| property.to_string(), |entity| entity.property_name(property))
    };
    LeftReport {
        entry: left.entry.id.to_string(),
        entity: left.entry.entity.clone(),
        key: left.entry.key.as_ref().map(ToString::to_string),
        property: left.entry.property.as_ref().map(name),
        code: left.code,
        message: left.message.clone(),
    }
}
