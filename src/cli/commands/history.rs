//! `history`: the audit log, read, erased in parts, and cut at its old end.

use clap::{Args, Subcommand};
use serde_json::json;
use time::Duration;
use uuid::Uuid;

use super::run_once::{Narrowing, key_of};
use crate::cli::context::{self, Selection};
use crate::cli::remembered::{self, Memory};
use crate::cli::{Exit, Failure, Format, Global, Terminal, view};
use crate::ports::{AuditFilter, Erased, StoreError};
use crate::postgres::SqlFailure;
use crate::project::Project;
use crate::report::HistoryReport;

/// Show the audit log: what was written where, when and why, newest first. Asks Notion nothing.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct History {
    /// What to do instead of showing it.
    #[command(subcommand)]
    pub forget: Option<Forget>,
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

/// The fewest days that `prune` keeps: the guards count the deletions of the last 24 hours in the log.
const FEWEST_DAYS: u16 = 2;

/// Ways to forget. Both are for the owner of the state schema: the role that syncs may only append to the log.
#[derive(Debug, Subcommand)]
pub enum Forget {
    /// Erase every value that is kept of one record; that it was written, when and why stays on record.
    ///
    /// Values of its audit entries, of its settled conflicts and, where the record is gone, of what both sides last agreed
    /// on. They can then not be put back. The row, the page and an audit table of your own are left to you.
    Erase {
        /// The entity.
        #[arg(long, value_name = "ENTITY")]
        entity: String,
        /// The record's key. Columns of a composite key are joined by commas.
        #[arg(long, value_name = "KEY")]
        key: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Delete entries and settled conflicts that are older than some days: what they tell of can then not be put back.
    Prune {
        /// How many days are kept.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(i64::from(FEWEST_DAYS)..))]
        keep: u16,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

impl Forget {
    async fn run(&self, project: &Project, name: &str, terminal: &Terminal) -> Result<Exit, Failure> {
        let memory = Memory::open(project, name).await?;
        let ended = self.forget(&memory, terminal).await;
        memory.store.pool().close().await;
        let erased = ended?;
        match terminal.format() {
            Format::Json => terminal.json(&json!({
                "version": 1, "profile": name, "entries": erased.entries, "conflicts": erased.conflicts,
                "baselines": erased.baselines,
            })),
            _ => terminal.text(format_args!(
                "profile {name}: {} entries of the audit log, {} settled conflicts, {} last agreed values\n",
                erased.entries, erased.conflicts, erased.baselines
            )),
        }
        Ok(Exit::Done)
    }

    async fn forget(&self, memory: &Memory, terminal: &Terminal) -> Result<Erased, Failure> {
        let (question, yes) = match self {
            Self::Erase { entity, key, yes } => {
                (format!("erase every value that is kept of {entity} {key}?"), *yes)
            }
            Self::Prune { keep, yes } => (format!("delete what is older than {keep} days?"), *yes),
        };
        match yes.then_some(true).or_else(|| terminal.ask(question)) {
            Some(true) => {}
            Some(false) => return Err(Failure::needs_user("nothing was erased")),
            None => {
                return Err(
                    Failure::needs_user("nobody can be asked here; nothing was erased")
                        .hint("`--yes` erases without asking"),
                );
            }
        }
        let done = match self {
            Self::Erase { entity, key, .. } => {
                let mapping = memory.mappings.iter().find(|mapping| mapping.entity == *entity);
                let Some(mapping) = mapping else {
                    let name = &memory.profile.name;
                    return Err(Failure::needs_user(format!(
                        "profile `{name}` leaves `{entity}` out"
                    )));
                };
                memory.store.erase(entity, &key_of(key, mapping)?).await
            }
            Self::Prune { keep, .. } => {
                let before = memory.now - Duration::days(i64::from(*keep));
                memory.store.prune(before).await
            }
        };
        done.map_err(|error| refused(&error, &memory.profile.state_schema))
    }
}

/// A failure to forget; most often the runtime role tried.
fn refused(error: &StoreError, schema: &str) -> Failure {
    let failure = remembered::store(error);
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<SqlFailure>());
    if source.and_then(SqlFailure::sqlstate) == Some("42501") {
        let role = format!(
            "the role that syncs may only append: give `DATABASE_URL` of the role that owns the schema `{schema}` to this command"
        );
        return Failure::needs_user(failure.message).hint(role);
    }
    failure
}

impl History {
    /// Prints the log of each selected profile, or forgets parts of it.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let project = context::open_project(global)?;
        if let Some(forget) = &self.forget {
            if let Forget::Erase { entity, .. } = forget {
                context::known_entity(&project, entity)?;
            }
            let names = context::select(&project, global, Selection::Default)?;
            let [name] = names.as_slice() else {
                return Err(Failure::usage("one profile's log is erased at a time")
                    .hint("name the profile with `--profile NAME`"));
            };
            return context::block_on(forget.run(&project, name, terminal))?;
        }
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
