//! Profiles kept in step for as long as the process lives: a cycle on schedule, and one when a hint comes.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::commands::run_once;
use super::session::prepare;
use super::{Exit, Failure};
use crate::project::{Project, Schedule};
use crate::report::{self, Command, ErrorCode, Outcome, ProfileReport};
use crate::runner::{Handle, Hint};

/// How often a profile syncs whose schedule is a calendar's: these workers know none.
const WITHOUT_CALENDAR: Duration = Duration::from_secs(300);

/// Sees the report of every cycle that ended.
pub(crate) type OnCycle = Arc<dyn Fn(&ProfileReport) + Send + Sync>;

/// Workers that keep profiles in step.
pub(crate) struct Keeping {
    /// Wakes the workers and knows what they did.
    pub(crate) handle: Handle,
    project: watch::Sender<Arc<Project>>,
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
}

impl Keeping {
    /// Starts a worker for each of these profiles, once the mappings of all are known to be sound.
    ///
    /// # Errors
    ///
    /// When a profile is not one of the project's, or its settings or mappings are broken.
    pub(crate) fn start(project: Project, names: &[String], on_cycle: &OnCycle) -> Result<Self, Failure> {
        let mut schedules = Vec::new();
        for name in names {
            schedules.push(prepare(&project, name)?.0.schedule);
        }
        let (handle, mut inboxes) = Handle::new(names);
        let (stop, stopping) = watch::channel(false);
        let (project, current) = watch::channel(Arc::new(project));
        let mut workers = JoinSet::new();
        for (name, schedule) in names.iter().zip(schedules) {
            let Some(inbox) = inboxes.remove(name) else {
                continue;
            };
            let worker = Worker {
                name: name.clone(),
                project: current.clone(),
                every: match schedule {
                    Schedule::Every(every) => every.max(Duration::from_secs(1)),
                    Schedule::Cron(_) => WITHOUT_CALENDAR,
                },
                handle: handle.clone(),
                on_cycle: Arc::clone(on_cycle),
            };
            workers.spawn(worker.work(inbox, stopping.clone()));
        }
        Ok(Self {
            handle,
            project,
            stop,
            workers,
        })
    }

    /// Hands new settings to the workers; broken ones change nothing.
    pub(crate) fn reload(&self, project: Result<Project, Failure>) {
        if let Ok(project) = project {
            self.project.send_replace(Arc::new(project));
        }
    }

    /// Ends the workers once their cycles have ended, or when nobody wants to wait for that: `hurry` resolves then.
    pub(crate) async fn end(mut self, hurry: impl Future<Output = ()>) -> Exit {
        self.stop.send_replace(true);
        let ended = async { while self.workers.join_next().await.is_some() {} };
        tokio::select! {
            () = ended => {}
            () = hurry => {}
        }
        Exit::Done
    }
}

/// One profile's cycles.
struct Worker {
    name: String,
    project: watch::Receiver<Arc<Project>>,
    every: Duration,
    handle: Handle,
    on_cycle: OnCycle,
}

impl Worker {
    async fn work(self, mut inbox: mpsc::Receiver<Hint>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            self.cycle().await;
            tokio::select! {
                () = tokio::time::sleep(self.every) => {}
                hint = inbox.recv() => {
                    if hint.is_none() {
                        return;
                    }
                    // One cycle looks at everything that changed, whatever else is waiting.
                    while inbox.try_recv().is_ok() {}
                }
                _ = stop.changed() => {}
            }
        }
    }

    async fn cycle(&self) {
        let project = Arc::clone(&self.project.borrow());
        let report = run_once::whole_profile(&project, &self.name, Command::Sync)
            .await
            .unwrap_or_else(|failure| failed(&self.name, &failure));
        (self.on_cycle)(&report);
        self.handle.update(&self.name, |state| {
            state.holds_lease = true;
            state.last_run_at = Some(OffsetDateTime::now_utc());
            state.runs += 1;
            state.failures += u64::from(report.outcome == Outcome::Failed);
            for error in report.entities.iter().flat_map(|entity| &entity.errors) {
                *state.errors.entry(error.code.code().to_owned()).or_default() += 1;
            }
            state.last_report = Some(report);
        });
    }
}

fn failed(name: &str, failure: &Failure) -> ProfileReport {
    let (outcome, code) = match failure.exit {
        Exit::World => (Outcome::Failed, ErrorCode::PostgresFailed),
        Exit::Done | Exit::NeedsUser | Exit::Usage => (Outcome::Refused, ErrorCode::NotSetUp),
    };
    ProfileReport {
        profile: name.to_owned(),
        outcome,
        failure: Some(report::Failure {
            code: failure.code.unwrap_or(code),
            message: failure.message.clone(),
        }),
        ..ProfileReport::default()
    }
}
