//! A PostgreSQL that can be stopped, killed in part and started again on the same data.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use frames_sync::cluster::{Cluster, ClusterError, Engine};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

/// How long a server may take to go or to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A commit that was answered must outlive the server's end, or the harness would count the server's losses as ours. What the
/// machine loses is nobody's subject here, so nothing waits for the disk.
const SETTINGS: [&str; 6] = [
    "listen_addresses=",
    "synchronous_commit=on",
    "fsync=off",
    "shared_buffers=32MB",
    "max_connections=100",
    "wal_level=logical",
];

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Transactions are rolled back, the rest is written down.
    Fast,
    /// At once, as in a crash: the next start replays the log.
    Immediate,
}

/// A running server.
pub(super) struct Server {
    program: PathBuf,
    socket: PathBuf,
    process: Child,
    /// Whose directory it is; it goes with this.
    _cluster: Cluster,
}

impl Server {
    /// A new cluster with nothing in it.
    pub(super) fn start() -> Result<Self, ClusterError> {
        let cluster = Cluster::start(Engine::Native)?;
        let url = cluster.url("postgres");
        let (_, socket) = url.split_once("?host=").expect("a socket");
        let socket = PathBuf::from(socket);
        // The throwaway server gives its directory to one that keeps what it has committed.
        let first = first_line(&socket.join("data/postmaster.pid")).expect("a server");
        let program = fs::read_link(format!("/proc/{first}/exe")).expect("its program");
        signal(first, Signal::INT);
        let begun = Instant::now();
        while socket.join("data/postmaster.pid").exists() {
            assert!(begun.elapsed() < PATIENCE, "the first server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let process = spawn(&program, &socket);
        Ok(Self {
            program,
            socket,
            process,
            _cluster: cluster,
        })
    }

    /// Its socket's directory, whose owner the server runs as.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// A connection of the harness's own, told from all others by its name.
    pub(super) async fn connect(&self, name: &str) -> PgConnection {
        let url = format!(
            "postgresql://postgres@localhost/postgres?host={}",
            self.socket.display()
        );
        let options = PgConnectOptions::from_str(&url)
            .expect("a URL")
            .application_name(name)
            .statement_cache_capacity(0);
        let begun = Instant::now();
        loop {
            match options.connect().await {
                Ok(connection) => return connection,
                Err(error) => assert!(begun.elapsed() < PATIENCE, "no connection: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops it and starts it again; whoever was connected is cut off.
    pub(super) fn restart(&mut self, stop: Stop) {
        let how = match stop {
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        };
        signal(self.process.id().cast_signed(), how);
        let _ = self.process.wait();
        self.process = spawn(&self.program, &self.socket);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        signal(self.process.id().cast_signed(), Signal::QUIT);
        let _ = self.process.wait();
    }
}

fn spawn(program: &Path, socket: &Path) -> Child {
    let owner = fs::metadata(socket).expect("the server's directory");
    let log = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(socket.join("log"))
        .expect("the server's log");
    let mut command = Command::new(program);
    command
        .arg("-D")
        .arg(socket.join("data"))
        .arg("-k")
        .arg(socket)
        .uid(owner.uid())
        .gid(owner.gid())
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command.spawn().expect("the server's program runs")
}

fn first_line(path: &Path) -> Option<i32> {
    fs::read_to_string(path).ok()?.lines().next()?.trim().parse().ok()
}

/// Sends a signal; a process that is gone already is as well.
pub(super) fn signal(process: i32, signal: Signal) {
    if let Some(process) = Pid::from_raw(process) {
        let _ = kill_process(process, signal);
    }
}
