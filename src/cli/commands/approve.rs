//! `approve`: lets a plan that a guard stopped run once.

use clap::Args;

use crate::cli::context::{self, Selection};
use crate::cli::remembered::Memory;
use crate::cli::session;
use crate::cli::{Exit, Failure, Format, Global, Terminal};
use crate::report::{ApproveReport, VERSION};

/// Let a plan that a guard stopped run once, within the next hour.
#[derive(Debug, Args)]
pub struct Approve {
    /// The plan's hash, as the refusal or `plan` printed it.
    #[arg(value_name = "HASH")]
    pub hash: String,
}

impl Approve {
    /// Records the approval for each selected profile.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let is_hash = self.hash.len() >= 8 && self.hash.chars().all(|digit| digit.is_ascii_hexdigit());
        if !is_hash {
            return Err(Failure::usage(format!("`{}` is no hash of a plan", self.hash))
                .hint("`frames-sync plan` and a refused run print it"));
        }
        let project = context::open_project(global)?;
        let names = context::select(&project, global, Selection::Default)?;
        let until = context::block_on(async {
            let mut until = Vec::new();
            for name in &names {
                let memory = Memory::open(&project, name).await?;
                until.push((name, memory.approve(self.hash.clone()).await?));
            }
            Ok::<_, Failure>(until)
        })??;
        let reports: Vec<ApproveReport> = until
            .into_iter()
            .map(|(name, at)| ApproveReport {
                version: VERSION,
                profile: name.clone(),
                hash: self.hash.clone(),
                expires_at: session::iso(at),
            })
            .collect();
        if terminal.format() == Format::Json {
            terminal.json_of_each(&reports);
        } else {
            for ApproveReport {
                profile, expires_at, ..
            } in &reports
            {
                terminal.text(format_args!(
                    "{profile}: exactly this plan may run once until {expires_at}; run `frames-sync sync`\n"
                ));
            }
        }
        Ok(Exit::Done)
    }
}
