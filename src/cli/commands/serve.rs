//! `serve`: keeps profiles in sync, and answers HTTP.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use clap::Args;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::run::{Signals, Wish, on_cycle};
use crate::cli::context::{self, Selection};
use crate::cli::kept::Keeping;
use crate::cli::memory::ProfileMemory;
use crate::cli::{Exit, Failure, Global, Terminal, logging};
use crate::project::Project;
use crate::server::{self, Access, AccessError, Notice, SHORTEST_TOKEN, Served};

/// The variable that holds the server's token.
const TOKEN_VARIABLE: &str = "FRAMES_SYNC_API_TOKEN";

/// The variable that holds the token of those who may look and nothing else.
const VIEWER_VARIABLE: &str = "FRAMES_SYNC_VIEWER_TOKEN";

/// Keep profiles in sync, and serve webhooks, an API, metrics and a dashboard.
///
/// `run` plus HTTP. On loopback everyone on this machine may use it, unless FRAMES_SYNC_API_TOKEN is set, in the environment
/// or in `.env`; then programs show it as `Authorization: Bearer`, and people log in with it. Anything but loopback needs the
/// token, and TLS in front. Whoever has FRAMES_SYNC_VIEWER_TOKEN instead may look at everything and change nothing.
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
        logging::start(global);
        context::block_on(self.serve(global, terminal))?
    }

    async fn serve(self, global: &Global, terminal: &Terminal) -> Result<Exit, Failure> {
        let mut signals = Signals::new()?;
        let project = context::open_project(global)?;
        let names = context::select(&project, global, Selection::Default)?;
        let access = access(&project, self.listen.ip(), &self.hosts)?;
        let mut memories = BTreeMap::new();
        for name in &names {
            memories.insert(name.clone(), Arc::new(ProfileMemory::new(&project, name)?));
        }
        let listener = TcpListener::bind(self.listen)
            .await
            .map_err(|error| Failure::world(format!("cannot listen on {}: {error}", self.listen)))?;
        let address = listener.local_addr().unwrap_or(self.listen);
        let keeping = Keeping::start(project, &names, &on_cycle(terminal))?;
        let router = server::router(Served {
            handle: keeping.handle.clone(),
            memories: memories
                .iter()
                .map(|(name, memory)| (name.clone(), Arc::clone(memory) as Arc<dyn server::Memory>))
                .collect(),
            access,
            log: log(terminal),
        });
        let stop = Arc::new(Notify::new());
        let stopped = {
            let stop = Arc::clone(&stop);
            async move { stop.notified().await }
        };
        terminal.say(format_args!("serving {} on http://{address}", names.join(", ")));
        let mut web = tokio::spawn(server::serve(listener, router, stopped));
        let ended = loop {
            tokio::select! {
                ended = &mut web => break Some(ended),
                wish = signals.next() => match wish {
                    Wish::Stop => break None,
                    Wish::Reload => {
                        let project = context::open_project(global);
                        reload(&memories, &project, terminal);
                        keeping.reload(project);
                    }
                },
            }
        };
        terminal.say("stopping");
        stop.notify_one();
        // What is under way in a profile may take longer than what is asked over HTTP.
        let exit = keeping.end(signals.hurry()).await;
        let ended = match ended {
            Some(ended) => ended,
            None => web.await,
        };
        match ended {
            Ok(Ok(())) => Ok(exit),
            Ok(Err(error)) => Err(Failure::world(format!("the server failed: {error}"))),
            Err(error) => Err(Failure::world(format!("the server failed: {error}"))),
        }
    }
}

/// Takes the mappings as they are now, for pages and API; a project with errors changes nothing.
fn reload(
    memories: &BTreeMap<String, Arc<ProfileMemory>>,
    project: &Result<Project, Failure>,
    terminal: &Terminal,
) {
    match project {
        Ok(project) => {
            for failure in memories
                .values()
                .filter_map(|memory| memory.reload(project).err())
            {
                terminal.failure(&failure);
            }
        }
        Err(failure) => terminal.failure(failure),
    }
}

/// Where the server's own lines go.
fn log(terminal: &Terminal) -> server::Log {
    let terminal = terminal.clone();
    Arc::new(move |notice: Notice, line: &str| match notice {
        Notice::Done => terminal.say(line),
        Notice::Wrong => terminal.failure(&Failure::world(line)),
    })
}

/// Who may use the server, by the token of the environment or `.env`.
fn access(project: &Project, listen: IpAddr, hosts: &[String]) -> Result<Access, Failure> {
    let variable = |name: &str| {
        let value = project.environment.get(name).filter(|value| !value.is_empty());
        value.map(SecretString::from)
    };
    let access = Access::new(listen, hosts, variable(TOKEN_VARIABLE));
    let access = access.and_then(|access| match variable(VIEWER_VARIABLE) {
        Some(viewer) => access.with_viewer(viewer),
        None => Ok(access),
    });
    access.map_err(|error| {
        let failure = Failure::usage(error.to_string());
        match error {
            AccessError::NeedsToken => failure
                .hint(format!(
                    "set {TOKEN_VARIABLE}, for example to what `openssl rand -hex 32` prints"
                ))
                .hint("and put a proxy with TLS in front, for the token crosses the network"),
            AccessError::ShortToken => failure.hint(format!(
                "{TOKEN_VARIABLE} and {VIEWER_VARIABLE} need {SHORTEST_TOKEN} characters or more; \
                 `openssl rand -hex 32` prints 64"
            )),
            AccessError::OnlyViewer => failure.hint(format!("set {TOKEN_VARIABLE} beside {VIEWER_VARIABLE}")),
            AccessError::SameToken => failure.hint(format!(
                "give {VIEWER_VARIABLE} another value than {TOKEN_VARIABLE}"
            )),
            AccessError::Host(_) => {
                failure.hint("`--allow-host` takes a name alone, such as `sync.example.org`")
            }
        }
    })
}
