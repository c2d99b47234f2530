//! Profiles kept in step by a runner: their sessions stay open between cycles, and settings may be exchanged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::session::{Session, prepare};
use super::{Exit, Failure};
use crate::engine::Engine;
use crate::ports::BoxFuture;
use crate::postgres::NoteListener;
use crate::project::{Project, Schedule};
use crate::report::{ErrorCode, ProfileReport};
use crate::runner::{Handle, Opened, Opener, Stop, Unopened, Worker};

/// How long what is under way may take to finish once a stop is asked for.
const FINISH: Duration = Duration::from_secs(20);

/// How long workers may take after that to give their leases and connections back.
const LEAVE: Duration = Duration::from_secs(8);

/// Sees the report of every cycle that ended.
pub type OnCycle = Arc<dyn Fn(&ProfileReport) + Send + Sync>;

/// A profile's session with its engine.
struct Kept {
    session: Session,
    engine: Engine,
    listener: Option<NoteListener>,
}

impl Opener for Project {
    fn open<'a>(&'a self, profile: &'a str) -> BoxFuture<'a, Result<Box<dyn Opened>, Unopened>> {
        Box::pin(async move {
            let session = Session::open(self, profile).await.map_err(unopened)?;
            let bound = async { Ok((session.bound().await?, session.listener()?)) };
            match bound.await {
                Ok((engine, listener)) => Ok(Box::new(Kept {
                    session,
                    engine,
                    listener,
                }) as Box<dyn Opened>),
                Err(failure) => {
                    session.close().await;
                    Err(unopened(failure))
                }
            }
        })
    }
}

impl Opened for Kept {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn schedule(&self) -> &Schedule {
        &self.session.profile.schedule
    }

    fn refresh(&mut self) -> BoxFuture<'_, Result<(), Unopened>> {
        Box::pin(async {
            self.session.refresh().await.map_err(unopened)?;
            self.engine = self.session.bound().await.map_err(unopened)?;
            Ok(())
        })
    }

    fn noted(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async {
            match &mut self.listener {
                Some(listener) => listener.noted().await,
                None => std::future::pending().await,
            }
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            drop(self.listener);
            self.session.close().await;
        })
    }
}

fn unopened(failure: Failure) -> Unopened {
    let (outcome, mut report) = failure.as_report();
    for hint in &failure.hints {
        report.message.push_str(&format!("; {hint}"));
    }
    Unopened {
        refused: failure.refused || report.code == ErrorCode::PinMismatch,
        failure: report,
        outcome,
    }
}

/// Workers that keep profiles in step.
pub struct Keeping {
    /// Wakes the workers and knows what they did.
    pub handle: Handle,
    stop: Stop,
    openers: BTreeMap<String, watch::Sender<Arc<dyn Opener>>>,
    workers: JoinSet<()>,
}

impl Keeping {
    /// Starts a worker for each of these profiles, once the mappings of all are known to be sound.
    ///
    /// # Errors
    ///
    /// When a profile is not one of the project's, or its settings or mappings are broken.
    pub fn start(project: Project, names: &[String], on_cycle: &OnCycle) -> Result<Self, Failure> {
        for name in names {
            prepare(&project, name)?;
        }
        let (handle, inboxes) = Handle::new(names);
        let (stop, stopping) = Stop::new();
        let project: Arc<dyn Opener> = Arc::new(project);
        let mut openers = BTreeMap::new();
        let mut workers = JoinSet::new();
        for (name, inbox) in inboxes {
            let (sender, receiver) = watch::channel(Arc::clone(&project));
            openers.insert(name.clone(), sender);
            let worker = Worker::new(
                name,
                inbox,
                handle.clone(),
                receiver,
                stopping.clone(),
                Arc::clone(on_cycle),
            );
            workers.spawn(worker.work());
        }
        Ok(Self {
            handle,
            stop,
            openers,
            workers,
        })
    }

    /// Hands new settings to the workers whose profile is sound in them; the others go on with the old ones.
    pub fn reload(&self, project: Result<Project, Failure>) {
        let project = match project {
            Ok(project) => Arc::new(project),
            Err(failure) => {
                tracing::error!(
                    "the new settings are broken, the old ones stay: {}",
                    failure.message
                );
                return;
            }
        };
        for (name, opener) in &self.openers {
            match prepare(&project, name) {
                Ok(_) => {
                    opener.send_replace(Arc::clone(&project) as Arc<dyn Opener>);
                }
                Err(failure) => tracing::error!(
                    profile = name,
                    "the new settings are broken, the old ones stay: {}",
                    failure.message
                ),
            }
        }
        let news: Vec<&str> = project
            .profile_names()
            .filter(|name| !self.openers.contains_key(*name))
            .collect();
        if !news.is_empty() {
            tracing::debug!("profiles that are not kept here: {}", news.join(", "));
        }
    }

    /// Ends the workers: what is under way is finished or left in the journal, and leases are given back.
    ///
    /// `hurry` resolves when nobody wants to wait for what is under way.
    pub async fn end(mut self, hurry: impl Future<Output = ()>) -> Exit {
        tracing::info!("stopping");
        self.stop.stop();
        tokio::select! {
            () = join(&mut self.workers) => return Exit::Done,
            () = tokio::time::sleep(FINISH) => {}
            () = hurry => {}
        }
        tracing::warn!("what is still under way is left to the journal");
        self.stop.give_up();
        if tokio::time::timeout(LEAVE, join(&mut self.workers))
            .await
            .is_err()
        {
            tracing::warn!("leases that could not be given back run out by themselves");
        }
        Exit::Done
    }
}

async fn join(workers: &mut JoinSet<()>) {
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            tracing::error!("a worker failed: {error}");
        }
    }
}
