//! `demo`: the main job with nothing installed, told as a story.

use std::time::Instant;

use clap::{Args, ValueEnum};
use secrecy::SecretString;

use crate::cli::context::block_on;
use crate::cli::error::with_causes;
use crate::cli::{Exit, Failure, Terminal};
use crate::cluster::{self, Cluster};
use crate::demo::claims::Narrator;
use crate::demo::folder::{Access, Folder};
use crate::demo::sides::Sides;
use crate::demo::{sample, serve, story};
use crate::postgres::{ConnectOptions, connect};
use crate::simulator::{Options, Simulator};

/// See it work on sample data: set-up, edits on both sides, conflicts, guards. Needs no account and no set-up.
///
/// A throwaway PostgreSQL and a simulated Notion are started on this machine; the commands of the story are run on them,
/// and every claim is looked up on both sides. It ends with 0 only if all of them hold, and leaves nothing behind.
#[derive(Debug, Args)]
pub struct Demo {
    /// Keep both sides running afterwards, open to your edits, and sync on every change.
    #[arg(long)]
    pub serve: bool,
    /// Which throwaway PostgreSQL to start.
    #[arg(long, value_name = "WHICH", default_value = "auto")]
    pub db: Database,
    /// Use this database instead, which has to be empty; the sample stays in it. `DATABASE_URL` is never used.
    #[arg(long, value_name = "URL", conflicts_with = "db")]
    pub database_url: Option<String>,
}

/// Which throwaway PostgreSQL to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Database {
    /// The machine's own binaries where there are any, else the embedded one.
    Auto,
    /// The machine's own binaries.
    Native,
    /// The one inside this program.
    Embedded,
}

impl Database {
    fn start(self) -> Result<Cluster, Failure> {
        let engine = match self {
            Self::Auto => cluster::Engine::Any,
            Self::Native => cluster::Engine::Native,
            Self::Embedded => cluster::Engine::Embedded,
        };
        Cluster::start(engine).map_err(|error| {
            Failure::world(with_causes(&error)).hint("or name an empty database with `--database-url`")
        })
    }
}

impl Demo {
    /// Tells the story, and serves if that is asked for.
    pub fn run(self, terminal: &Terminal) -> Result<Exit, Failure> {
        let started = Instant::now();
        // Dropped last, when nobody is connected any more.
        let (cluster, url, what) = match self.database_url {
            Some(url) => (None, url, "your database"),
            None => {
                let cluster = self.db.start()?;
                let url = cluster.url("postgres");
                let what = match cluster.engine() {
                    cluster::Engine::Embedded => "embedded",
                    _ => "from this machine's binaries",
                };
                (Some(cluster), url, what)
            }
        };
        let ended = block_on(async {
            tokio::select! {
                ended = play(&url, what, self.serve, started, terminal) => ended,
                _ = tokio::signal::ctrl_c() => Ok(if self.serve { Exit::Done } else { Exit::NeedsUser }),
            }
        });
        drop(cluster);
        ended?
    }
}

async fn play(
    url: &str,
    what: &str,
    is_served: bool,
    started: Instant,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::world(with_causes(error));
    let pool = connect(&SecretString::from(url), &ConnectOptions::default())
        .await
        .map_err(|error| failed(&error))?;
    sample::load(&pool)
        .await
        .map_err(|error| failed(&error).hint("the database has to be empty"))?;
    let version: String = sqlx::query_scalar("show server_version")
        .fetch_one(&pool)
        .await
        .map_err(|error| failed(&error))?;

    let options = Options {
        tokens: crate::demo::folder::PROFILES
            .iter()
            .map(|name| format!("ntn_demo_{}", name.replace('-', "_")))
            .collect(),
        ..Options::default()
    };
    let simulator = Simulator::start(options).map_err(|error| failed(&error))?;
    let page = |number: usize, title: &str| {
        let page = simulator.workspace(|workspace| workspace.add_text_page(workspace.root_page_id(), title));
        (
            simulator.tokens.get(number).cloned().unwrap_or_default(),
            page.to_string(),
        )
    };
    let access = Access {
        database_url: url.to_owned(),
        base_url: simulator.base_url.clone(),
        workspaces: [
            page(0, "Cal Poly Pomona"),
            page(1, "Texas State"),
            page(2, "PROVES"),
        ],
    };
    let folder = Folder::write(&access).map_err(|error| failed(&error))?;

    let mut told = Narrator::new(terminal);
    told.line(&format!(
        "FRAMES sample data in PostgreSQL {} ({what}), and a Notion simulator at {}",
        version.split_whitespace().next().unwrap_or_default(),
        simulator.base_url
    ));
    let mut sides = Sides::new(pool, simulator, folder);
    let outcome = story::tell(&mut sides, &mut told).await;
    let holds = told.end(outcome.is_ok(), started.elapsed());
    if outcome.is_ok() && is_served {
        return Err(serve::keep_in_step(&sides, &told, url).await);
    }
    sides.pool.close().await;
    outcome?;
    Ok(if holds { Exit::Done } else { Exit::NeedsUser })
}
