//! `serve`: keeps profiles in sync, and answers HTTP.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::run_once;
use crate::cli::context::{self, Selection};
use crate::cli::memory::ProfileMemory;
use crate::cli::{Exit, Failure, Global, Terminal};
use crate::project::{Profile, Project, Schedule};
use crate::report::{Command, Outcome, ProfileReport};
use crate::runner::{Handle, Hint};
use crate::server::{self, Access, AccessError, Notice, SHORTEST_TOKEN, Served};

/// The variable that holds the server's token.
const TOKEN_VARIABLE: &str = "FRAMES_SYNC_API_TOKEN";

/// Keep profiles in sync, and serve webhooks, an API, metrics and a dashboard.
///
/// `run` plus HTTP. On loopback everyone on this machine may use it, unless FRAMES_SYNC_API_TOKEN is set, in the environment
/// or in `.env`; then programs show it as `Authorization: Bearer`, and people log in with it. Anything but loopback needs the
/// token, and TLS in front.
#[derive(Debug, Args)]
pub struct Serve {
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7878")]
    pub listen: SocketAddr,
    /// A host name under which this server is known, beside its address and loopback's; may be repeated.
    #[arg(long = "allow-host", value_name = "NAME")]
    pub hosts: Vec<String>,
}

impl Serve {
    /// Serves until it is told to stop.
    pub fn run(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let project = context::open_project(global)?;
        let names = context::select(&project, global, Selection::Default)?;
        let access = access(&project, self.listen.ip(), &self.hosts)?;
        context::block_on(self.serve(project, &names, access, global, terminal))?
    }

    async fn serve(
        self,
        project: Project,
        names: &[String],
        access: Access,
        global: &Global,
        terminal: &Terminal,
    ) -> Result<Exit, Failure> {
        let mut memories = BTreeMap::new();
        for name in names {
            memories.insert(name.clone(), Arc::new(ProfileMemory::new(&project, name)?));
        }
        let listener = TcpListener::bind(self.listen)
            .await
            .map_err(|error| Failure::world(format!("cannot listen on {}: {error}", self.listen)))?;
        let address = listener.local_addr().unwrap_or(self.listen);
        let (handle, inboxes) = Handle::new(names);
        let log = {
            let terminal = terminal.clone();
            Arc::new(move |notice: Notice, line: &str| match notice {
                Notice::Done => terminal.say(line),
                Notice::Wrong => terminal.failure(&Failure::world(line)),
            })
        };
        let router = server::router(Served {
            handle: handle.clone(),
            memories: memories
                .iter()
                .map(|(name, memory)| (name.clone(), Arc::clone(memory) as Arc<dyn server::Memory>))
                .collect(),
            access,
            log,
        });
        let (stopping, stop) = watch::channel(false);
        let stopped = |mut stop: watch::Receiver<bool>| async move {
            // A sender that is gone has nothing more to wait for either.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        terminal.say(format_args!("serving {} on http://{address}", names.join(", ")));
        let web = server::serve(listener, router, stopped(stop.clone()));
        let signals = async {
            until_told(&memories, global, terminal).await;
            terminal.say("stopping");
            // Whoever is left to hear it listens until the end of this function.
            let _ = stopping.send(true);
        };
        let kept = keep(Arc::new(project), names, &handle, inboxes, stop.clone(), terminal);
        let (web, kept, ()) = tokio::join!(
            async {
                let ended = web.await;
                let _ = stopping.send(true);
                ended
            },
            async {
                let ended = kept.await;
                let _ = stopping.send(true);
                ended
            },
            async {
                tokio::select! {
                    () = signals => {}
                    () = stopped(stop.clone()) => {}
                }
            },
        );
        web.map_err(|error| Failure::world(format!("the server failed: {error}")))?;
        kept
    }
}

/// Who may use the server, by the token of the environment or `.env`.
fn access(project: &Project, listen: IpAddr, hosts: &[String]) -> Result<Access, Failure> {
    let token = project
        .environment
        .get(TOKEN_VARIABLE)
        .filter(|token| !token.is_empty());
    Access::new(listen, hosts, token.map(SecretString::from)).map_err(|error| {
        let failure = Failure::usage(error.to_string());
        match error {
            AccessError::NeedsToken => failure
                .hint(format!(
                    "set {TOKEN_VARIABLE}, for example to what `openssl rand -hex 32` prints"
                ))
                .hint("and put a proxy with TLS in front, for the token crosses the network"),
            AccessError::ShortToken => failure.hint(format!(
                "{TOKEN_VARIABLE} needs {SHORTEST_TOKEN} characters or more; `openssl rand -hex 32` prints 64"
            )),
            AccessError::Host(_) => {
                failure.hint("`--allow-host` takes a name alone, such as `sync.example.org`")
            }
        }
    })
}

/// Resolves when the process is told to end; reads the project anew when it is told to.
async fn until_told(memories: &BTreeMap<String, Arc<ProfileMemory>>, global: &Global, terminal: &Terminal) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminate), Ok(mut hang_up)) =
            (signal(SignalKind::terminate()), signal(SignalKind::hangup()))
        {
            loop {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => return,
                    _ = terminate.recv() => return,
                    _ = hang_up.recv() => reload(memories, global, terminal),
                }
            }
        }
    }
    // Without signals the process can only be killed.
    let _ = tokio::signal::ctrl_c().await;
}

/// Takes the mappings as they are now, for pages and API; a project with errors changes nothing.
fn reload(memories: &BTreeMap<String, Arc<ProfileMemory>>, global: &Global, terminal: &Terminal) {
    let reloaded = context::open_project(global)
        .and_then(|project| memories.values().try_for_each(|memory| memory.reload(&project)));
    if let Err(failure) = reloaded {
        terminal.failure(&failure);
    }
}

/// Keeps profiles in sync until `stop` is true: a cycle on schedule, and one when a hint comes.
///
/// The seam to `run`: it is given the project, the profiles' names, the handle whose states it keeps, the inboxes that the
/// handle's hints arrive in, and what tells it to stop. It resolves when everything in flight is done or journaled.
async fn keep(
    project: Arc<Project>,
    names: &[String],
    handle: &Handle,
    mut inboxes: BTreeMap<String, mpsc::Receiver<Hint>>,
    stop: watch::Receiver<bool>,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let mut workers = JoinSet::new();
    for name in names {
        let Some(inbox) = inboxes.remove(name) else {
            continue;
        };
        let profile = crate::cli::session::prepare(&project, name)?.0;
        let worker = Worker {
            project: Arc::clone(&project),
            profile,
            handle: handle.clone(),
            terminal: terminal.clone(),
        };
        workers.spawn(worker.work(inbox, stop.clone()));
    }
    while workers.join_next().await.is_some() {}
    Ok(Exit::Done)
}

/// One profile's cycles.
struct Worker {
    project: Arc<Project>,
    profile: Profile,
    handle: Handle,
    terminal: Terminal,
}

impl Worker {
    async fn work(self, mut inbox: mpsc::Receiver<Hint>, mut stop: watch::Receiver<bool>) {
        let every = match self.profile.schedule {
            Schedule::Every(every) => every,
            // The seam's stand-in knows no calendar.
            Schedule::Cron(_) => Duration::from_secs(300),
        };
        while !*stop.borrow() {
            self.cycle().await;
            let next = tokio::time::sleep(every.max(Duration::from_secs(1)));
            tokio::select! {
                () = next => {}
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
        let name = &self.profile.name;
        let report = match run_once::whole_profile(&self.project, name, Command::Sync).await {
            Ok(report) => report,
            Err(failure) => {
                self.terminal.failure(&failure);
                ProfileReport {
                    profile: name.clone(),
                    outcome: if failure.exit == Exit::World {
                        Outcome::Failed
                    } else {
                        Outcome::Refused
                    },
                    failure: failure.code.map(|code| crate::report::Failure {
                        code,
                        message: failure.message.clone(),
                    }),
                    ..ProfileReport::default()
                }
            }
        };
        self.handle.update(name, |state| {
            state.holds_lease = true;
            state.last_run_at = Some(time::OffsetDateTime::now_utc());
            state.runs += 1;
            state.failures += u64::from(report.outcome == Outcome::Failed);
            for error in report.entities.iter().flat_map(|entity| &entity.errors) {
                *state.errors.entry(error.code.code().to_owned()).or_default() += 1;
            }
            state.last_report = Some(report);
        });
    }
}
