//! `plan`: what `setup` and `sync` would do.

use std::path::PathBuf;

use clap::Args;

use super::run_once::{Narrowing, plan, show_plans};
use crate::cli::context::{self, Selection};
use crate::cli::{Exit, Failure, Global, Terminal};
use crate::report::Command;

/// Say what `setup` and `sync` would do, with the reason for each change; write nothing.
#[derive(Debug, Args)]
pub struct Plan {
    /// What the plan is narrowed to.
    #[command(flatten)]
    pub narrowing: Narrowing,
    /// Save the plan, for `sync --plan FILE` to apply exactly; one profile's.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl Plan {
    /// Plans each profile and prints the plans.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let project = context::open_project(global)?;
        self.narrowing.check(&project)?;
        let names = context::select(&project, global, Selection::Default)?;
        if self.output.is_some() && names.len() > 1 {
            return Err(Failure::usage("a saved plan is one profile's").hint("name it with `--profile NAME`"));
        }
        let planned = context::block_on(async {
            let mut planned = Vec::new();
            for name in &names {
                planned.push(plan(&project, name, Command::Sync, &self.narrowing).await?);
            }
            Ok::<_, Failure>(planned)
        })??;
        if let (Some(path), [only]) = (&self.output, planned.as_slice()) {
            std::fs::write(path, only.saved.to_text()).map_err(|error| {
                Failure::usage(format!("`{}` could not be written: {error}", path.display()))
            })?;
            terminal.say(format_args!("saved the plan to {}", path.display()));
        }
        let reports: Vec<_> = planned.into_iter().map(|planned| planned.report).collect();
        show_plans(&reports, terminal);
        let is_refused = reports.iter().any(|plan| !plan.refusals.is_empty());
        Ok(if is_refused { Exit::NeedsUser } else { Exit::Done })
    }
}
