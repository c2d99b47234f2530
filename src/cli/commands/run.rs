//! `run`: keeps profiles in step for as long as it lives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::commands::run_once::{Narrowing, Sync};
use crate::cli::context::{self, Selection};
use crate::cli::kept::{Keeping, OnCycle};
use crate::cli::{Exit, Failure, Format, Global, Terminal, logging};
use crate::demo::story::summary;
use crate::report::{Command, Outcome, ProfileReport, RunReport};

/// Keep both sides in step: on schedule, and as rows and pages change.
#[derive(Debug, Args)]
pub struct Run {
    /// Run one cycle for each profile and exit as `sync` does, for cron.
    #[arg(long)]
    pub once: bool,
}

impl Run {
    /// Runs until a signal ends it.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        if self.once {
            let sync = Sync {
                narrowing: Narrowing::default(),
                dry_run: false,
                plan: None,
            };
            return sync.run(global, terminal);
        }
        logging::start(global);
        let on_cycle = on_cycle(terminal);
        context::block_on(async {
            // First of all: a signal that comes while the project is read must not end the process in its own way.
            let mut signals = Signals::new()?;
            let project = context::open_project(global)?;
            let names = context::select(&project, global, Selection::Default)?;
            let keeping = Keeping::start(project, &names, &on_cycle)?;
            while signals.next().await == Wish::Reload {
                tracing::info!("reading the project again");
                keeping.reload(context::open_project(global));
            }
            Ok(keeping.end(signals.hurry()).await)
        })?
    }
}

/// What to do with the report of each cycle: a line of JSON on standard output where that is asked for, and a line
/// of log where something happened.
pub(crate) fn on_cycle(terminal: &Terminal) -> OnCycle {
    let terminal = terminal.clone();
    let told: Mutex<BTreeMap<String, String>> = Mutex::default();
    Arc::new(move |report: &ProfileReport| {
        if terminal.format() == Format::Json {
            let line = RunReport::of(Command::Sync, vec![report.clone()]);
            terminal.json_line(&line);
        }
        let milliseconds = (report.duration_seconds * 1000.0).round();
        let (profile, requests) = (&report.profile, report.notion.requests);
        let did = summary(report);
        // What stays as it was, such as a guard's no or an error of a record, is told once.
        let again = told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(profile.clone(), did.clone())
            .is_some_and(|before| before == did && report.outcome != Outcome::Ok);
        match report.outcome {
            // A failure is told where it is met, with how long the worker rests.
            Outcome::Failed => {}
            _ if again || did == "nothing to do" => {
                tracing::debug!(profile, requests, milliseconds, "{did}");
            }
            Outcome::Ok => tracing::info!(profile, requests, milliseconds, "{did}"),
            Outcome::Partial | Outcome::Refused => {
                tracing::warn!(profile, requests, milliseconds, "{did}");
            }
        }
    })
}

/// What somebody outside wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The signals that a running command answers to.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Failure> {
        let on = |kind| {
            signal(kind).map_err(|error| Failure::world(format!("signals cannot be received: {error}")))
        };
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// Resolves at the next one.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    /// Resolves when somebody asks to stop once more.
    pub(crate) async fn hurry(mut self) {
        while self.next().await != Wish::Stop {}
    }
}
