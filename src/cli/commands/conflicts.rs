//! `conflicts`: what waits for a person.

use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use crate::cli::context::{self, Selection};
use crate::cli::remembered::Memory;
use crate::cli::{Exit, Failure, Format, Global, Terminal, view};
use crate::project::Project;
use crate::reconcile::Side;
use crate::report::{ConflictsReport, ErrorCode};
use crate::server::Choice;

/// List, show and settle what waits for a person.
#[derive(Debug, Args)]
pub struct Conflicts {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with conflicts.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List the open conflicts.
    List,
    /// Show one conflict with both values.
    Show {
        /// The conflict, as `list` names it.
        #[arg(value_name = "ID")]
        id: Uuid,
    },
    /// Choose the side whose value is kept; the next sync applies it.
    Resolve {
        /// The conflict, as `list` names it.
        #[arg(value_name = "ID")]
        id: Uuid,
        /// The side whose value is kept.
        #[arg(long, value_name = "SIDE")]
        take: Take,
    },
}

/// The side whose value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Take {
    /// The row's value is written to the page.
    Postgres,
    /// The page's value is written to the row.
    Notion,
}

impl From<Take> for Side {
    fn from(take: Take) -> Self {
        match take {
            Take::Postgres => Side::Postgres,
            Take::Notion => Side::Notion,
        }
    }
}

impl Conflicts {
    /// Carries out the action on each selected profile.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let project = context::open_project(global)?;
        let names = context::select(&project, global, Selection::Default)?;
        let reports = context::block_on(async {
            let mut reports = Vec::new();
            for name in &names {
                reports.extend(self.action.carry_out(&project, name).await?);
            }
            Ok::<_, Failure>(reports)
        })??;
        if let (true, Action::Show { id } | Action::Resolve { id, .. }) = (reports.is_empty(), &self.action) {
            return Err(
                Failure::needs_user(format!("there is no conflict `{id}` in {}", names.join(", ")))
                    .code(ErrorCode::NotFound)
                    .hint("`frames-sync conflicts list` names the open ones"),
            );
        }
        match (terminal.format(), reports.as_slice()) {
            (Format::Json, several) => terminal.json_of_each(several),
            (_, reports) => {
                for report in reports {
                    terminal.text(view::conflicts(report));
                }
            }
        }
        Ok(Exit::Done)
    }
}

impl Action {
    /// What to print of a profile; `None` where it has no such conflict.
    async fn carry_out(&self, project: &Project, name: &str) -> Result<Option<ConflictsReport>, Failure> {
        let memory = Memory::open(project, name).await?;
        let report = match self {
            Self::List => Some(memory.conflicts().await?),
            Self::Show { id } => {
                let found = memory.conflict(*id).await?;
                found.map(|conflict| memory.report(vec![conflict]))
            }
            Self::Resolve { id, take } => match memory.choose(*id, None, Side::from(*take)).await? {
                Choice::Chosen { conflict, .. } => Some(memory.report(vec![*conflict])),
                Choice::Unknown => None,
                Choice::Moved => {
                    return Err(Failure::needs_user(format!(
                        "conflict `{id}` is no longer open, or its values moved"
                    ))
                    .code(ErrorCode::ValueMoved)
                    .hint("look at it again with `frames-sync conflicts show`"));
                }
            },
        };
        memory.store.pool().close().await;
        Ok(report)
    }
}
