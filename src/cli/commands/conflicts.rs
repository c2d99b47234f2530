//! `conflicts`: what waits for a person.

use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use crate::cli::context::{self, Selection};
use crate::cli::session::{self, Memory};
use crate::cli::{Exit, Failure, Format, Global, Terminal, view};
use crate::journal::{Conflict, ConflictStatus};
use crate::ports::Store as _;
use crate::project::Project;
use crate::reconcile::Side;
use crate::report::{ConflictReport, ConflictsReport};
use crate::value::Value;

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
                    .hint("`frames-sync conflicts list` names the open ones"),
            );
        }
        match (terminal.format(), reports.as_slice()) {
            (Format::Json, [only]) => terminal.json(only),
            (Format::Json, several) => terminal.json(&several),
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
        let failed = |error: crate::ports::StoreError| session::store(&error);
        let find = async |id: Uuid| memory.store.conflict(id).await.map_err(failed);
        let conflicts = match self {
            Self::List => memory.store.open_conflicts(None).await.map_err(failed)?,
            Self::Show { id } => match find(*id).await? {
                Some(conflict) => vec![conflict],
                None => return Ok(None),
            },
            Self::Resolve { id, take } => {
                let Some(conflict) = find(*id).await? else {
                    return Ok(None);
                };
                let side = Side::from(*take);
                if !memory
                    .store
                    .choose(*id, conflict.rev, side)
                    .await
                    .map_err(failed)?
                {
                    return Err(Failure::needs_user(format!(
                        "conflict `{id}` is no longer open, or its values moved"
                    ))
                    .hint("look at it again with `frames-sync conflicts show`"));
                }
                find(*id).await?.into_iter().collect()
            }
        };
        let report = ConflictsReport {
            version: 1,
            profile: memory.profile.name.clone(),
            conflicts: conflicts.iter().map(|conflict| told(&memory, conflict)).collect(),
        };
        memory.store.pool().close().await;
        Ok(Some(report))
    }
}

fn told(memory: &Memory, conflict: &Conflict) -> ConflictReport {
    let value = |value: &Option<Value>| value.as_ref().map_or(serde_json::Value::Null, Value::to_json);
    let property = conflict
        .property
        .as_ref()
        .map(|id| memory.property_name(&conflict.entity, id));
    let status = match conflict.status {
        ConflictStatus::Open => "open",
        ConflictStatus::AutoResolved => "auto_resolved",
        ConflictStatus::Chosen(_) => "chosen",
        ConflictStatus::Resolved(_) => "resolved",
        ConflictStatus::Superseded => "superseded",
    };
    ConflictReport {
        id: conflict.id.to_string(),
        entity: conflict.entity.clone(),
        key: conflict.key.to_string(),
        page_id: conflict.page.as_ref().map(ToString::to_string),
        property,
        base: value(&conflict.base_row),
        postgres: value(&conflict.row),
        notion: value(&conflict.page_value),
        status: status.to_owned(),
        reason: conflict.reason.text().to_owned(),
        evidence: conflict.evidence.clone(),
        opened_at: session::iso(conflict.opened_at),
    }
}
