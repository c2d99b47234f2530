//! A private cluster from the PostgreSQL binaries of this machine.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::ClusterError;
use super::scratch::{RunAs, Scratch, fastest_place};

/// How long a server may take to come up; a loaded machine has needed 4 s.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How often the server is looked at while it comes up, in 40 to 100 ms.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What makes a throwaway server fast, and able to be captured from.
const SETTINGS: [&str; 10] = [
    "listen_addresses=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "jit=off",
    "shared_buffers=32MB",
    "max_wal_size=256MB",
    "max_connections=200",
    "wal_level=logical",
];

/// A running server under its watchdog.
#[derive(Debug)]
pub(super) struct NativeCluster {
    scratch: Scratch,
}

impl NativeCluster {
    /// Makes a cluster, from the cached one where there is one, and starts it.
    pub(super) fn start(binaries: PathBuf) -> Result<Self, ClusterError> {
        let user = RunAs::for_server();
        let mut scratch = Scratch::create(user).map_err(|source| ClusterError::Prepare {
            path: fastest_place(),
            source,
        })?;
        let data = scratch.path().join("data");
        make_data_directory(&binaries, &data, user)?;

        let program = binaries.join("postgres");
        let directory = scratch.path().to_owned();
        let (program, data_argument, directory) = (
            program.to_string_lossy(),
            data.to_string_lossy(),
            directory.to_string_lossy(),
        );
        let mut server = vec![&*program, "-D", &*data_argument, "-k", &*directory];
        for setting in SETTINGS {
            server.extend(["-c", setting]);
        }
        scratch
            .watch(user, &server)
            .map_err(|source| ClusterError::Prepare {
                path: data.clone(),
                source,
            })?;
        wait_until_ready(&scratch, &data)?;
        Ok(Self { scratch })
    }

    /// Where its socket is.
    pub(super) fn socket_directory(&self) -> &Path {
        self.scratch.path()
    }
}

/// The folder with `initdb` and `postgres`: `FRAMES_PG_BIN`, `PATH`, Debian's folders, Homebrew's.
///
/// The newest version wins where a place has several.
pub(super) fn find_binaries() -> Result<PathBuf, ClusterError> {
    let named = std::env::var_os("FRAMES_PG_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versioned = [
        "/usr/lib/postgresql",
        "/opt/homebrew/opt",
        "/usr/local/opt",
        "/usr/pgsql",
    ]
    .into_iter()
    .flat_map(|place| {
        let mut folders: Vec<(u32, PathBuf)> = fs::read_dir(place)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                Some((
                    version_of_folder(&entry.file_name().to_string_lossy())?,
                    entry.path(),
                ))
            })
            .collect();
        folders.sort();
        folders.into_iter().rev().map(|(_, folder)| folder.join("bin"))
    });
    named
        .into_iter()
        .chain(std::env::split_paths(&path))
        .chain(versioned)
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .ok_or(ClusterError::NoBinaries)
}

/// The major version in `15`, `postgresql` or `postgresql@17`.
fn version_of_folder(name: &str) -> Option<u32> {
    match name.strip_prefix("postgresql") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix('@')?.parse().ok(),
        None => name.parse().ok(),
    }
}

/// Copies the cached result of `initdb`, or runs it and leaves a copy for the next time.
///
/// The cache is `frames-sync-initdb-<version>-<uid>` beside the scratch directories, 28 MB. It appears by one
/// rename, so starters at the same time see all of it or nothing, and need no lock.
fn make_data_directory(binaries: &Path, data: &Path, user: Option<RunAs>) -> Result<(), ClusterError> {
    let uid = user.map_or_else(|| rustix::process::geteuid().as_raw(), |user| user.uid);
    let version = run(Command::new(binaries.join("postgres")).arg("--version"), None)?;
    // `postgres (PostgreSQL) 15.13 (Debian …)`
    let version = version.split_whitespace().nth(2).unwrap_or("unknown");
    let cache = fastest_place().join(format!("frames-sync-initdb-{version}-{uid}"));

    if is_private_directory(&cache, uid) {
        return copy(&cache, data, user);
    }
    run(
        Command::new(binaries.join("initdb"))
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8"])
            .args(["--no-sync", "--no-locale", "--wal-segsize=1", "-D"])
            .arg(data),
        user,
    )?;
    let draft = data.with_file_name("draft");
    copy(data, &draft, user)?;
    // Losing the race for the name, or a file system that will not have it, costs the next start a second.
    if fs::rename(&draft, &cache).is_err() {
        let _ = fs::remove_dir_all(&draft);
    }
    Ok(())
}

/// Whether only the owner can have put anything in there: the place is open to all, and its name known.
fn is_private_directory(path: &Path, uid: u32) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_dir() && found.uid() == uid && found.mode() & 0o077 == 0)
}

fn copy(from: &Path, to: &Path, user: Option<RunAs>) -> Result<(), ClusterError> {
    run(Command::new("cp").arg("-a").arg(from).arg(to), user).map(drop)
}

/// Runs a program to its end and answers what it printed.
fn run(command: &mut Command, user: Option<RunAs>) -> Result<String, ClusterError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = RunAs::apply(user, command)
        .output()
        .map_err(|source| ClusterError::Prepare {
            path: PathBuf::from(&program),
            source,
        })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(ClusterError::Program {
            program,
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

/// Waits for the line `ready` in `postmaster.pid`, as `pg_ctl` does.
///
/// Source: PostgreSQL, `src/include/utils/pidfile.h`: line 8 holds the postmaster's status.
fn wait_until_ready(scratch: &Scratch, data: &Path) -> Result<(), ClusterError> {
    let started = Instant::now();
    loop {
        let status = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        if status.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
            return Ok(());
        }
        let log = match fs::read_to_string(scratch.path().join("log")) {
            Ok(log) => log,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => error.to_string(),
        };
        if log.contains("FATAL") || started.elapsed() > START_LIMIT {
            let tail: Vec<&str> = log.lines().rev().take(5).collect();
            return Err(ClusterError::Start {
                waited: started.elapsed(),
                log: tail.into_iter().rev().collect::<Vec<_>>().join("; "),
            });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Creates a database by copying files, the faster of the two ways by half for small databases.
pub(super) async fn create_database(
    url: &str,
    name: &str,
    template: Option<&str>,
) -> Result<(), ClusterError> {
    let template = template.unwrap_or("template0");
    // `strategy` came with PostgreSQL 15; before it, copying files was the only way.
    let strategy = async |connection: &mut PgConnection| -> Result<&'static str, sqlx::Error> {
        let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::int")
            .fetch_one(connection)
            .await?;
        Ok(if version >= 150_000 {
            "strategy file_copy"
        } else {
            ""
        })
    };
    let work = async {
        let mut connection = PgConnection::connect(url).await?;
        let strategy = strategy(&mut connection).await?;
        connection
            .execute(AssertSqlSafe(format!(
                r#"create database "{name}" template "{template}" {strategy}"#
            )))
            .await?;
        connection.close().await
    };
    work.await.map_err(ClusterError::Database)
}

/// Drops a database with its connections.
pub(super) async fn drop_database(url: &str, name: &str) -> Result<(), ClusterError> {
    let work = async {
        let mut connection = PgConnection::connect(url).await?;
        connection
            .execute(AssertSqlSafe(format!(
                r#"drop database if exists "{name}" with (force)"#
            )))
            .await?;
        connection.close().await
    };
    work.await.map_err(ClusterError::Database)
}
