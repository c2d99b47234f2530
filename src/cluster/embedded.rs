//! PostgreSQL compiled to WebAssembly, inside this process.
//!
//! One instance holds one database and has one backend, so a cluster is a map of instances, each on a thread
//! of its own behind its own [`multiplexer`]. The crate under it is the only thing this file knows of:
//! changing to its successor is a change of this file.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use pglite_oxide::{DataDirArchiveFormat, ExecProtocolOptions, Pglite};

use super::ClusterError;
use super::multiplexer::{self, Backend};
use super::scratch::{Scratch, fastest_place};

/// What the interpreter needs on its stack; the default 2 MB of a thread overflows in debug builds.
const STACK_BYTES: usize = 64 << 20;

/// Instances by database name.
#[derive(Debug)]
pub(super) struct EmbeddedCluster {
    // Dropped in this order: the instances let go of their files before the directory is removed.
    databases: Mutex<BTreeMap<String, Instance>>,
    scratch: Scratch,
}

/// One running instance; dropping it waits for its thread.
#[derive(Debug)]
struct Instance {
    requests: mpsc::Sender<multiplexer::Request>,
    thread: Option<thread::JoinHandle<()>>,
}

impl EmbeddedCluster {
    /// Starts with one empty database, `postgres`.
    pub(super) fn start() -> Result<Self, ClusterError> {
        let prepare = |source| ClusterError::Prepare {
            path: fastest_place(),
            source,
        };
        let mut scratch = Scratch::create(None).map_err(prepare)?;
        scratch.watch(None, &[]).map_err(prepare)?;
        let cluster = Self {
            databases: Mutex::default(),
            scratch,
        };
        cluster.create_database("postgres", None)?;
        Ok(cluster)
    }

    /// Where the socket of a database is.
    pub(super) fn socket_directory(&self, database: &str) -> PathBuf {
        self.scratch.path().join(database)
    }

    /// Starts another instance, empty or from the files of `template`.
    pub(super) fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), ClusterError> {
        if self.databases().contains_key(name) {
            return Err(embedded("create a database", format!("`{name}` exists")));
        }
        let archive = match template {
            None => None,
            Some(template) => {
                let (answer, archive) = mpsc::channel();
                self.databases()
                    .get(template)
                    .ok_or_else(|| embedded("copy a database", format!("`{template}` does not exist")))?
                    .requests
                    .send(multiplexer::Request::Archive(answer))
                    .map_err(|_| embedded("copy a database", "it has ended"))?;
                let archive = archive
                    .recv()
                    .map_err(|_| embedded("copy a database", "it has ended"))?;
                Some(archive.map_err(|reason| embedded("copy a database", reason))?)
            }
        };
        let instance = Instance::start(self.socket_directory(name), archive)?;
        self.databases().insert(name.to_owned(), instance);
        Ok(())
    }

    /// Ends an instance and removes its files.
    pub(super) fn drop_database(&self, name: &str) {
        let instance = self.databases().remove(name);
        drop(instance);
        // Whatever is left goes with the scratch directory.
        let _ = fs::remove_dir_all(self.socket_directory(name));
    }

    fn databases(&self) -> MutexGuard<'_, BTreeMap<String, Instance>> {
        // The map is whole between any two statements that hold the lock.
        self.databases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    /// Opens an instance under `directory` on its own thread, and listens there.
    fn start(directory: PathBuf, archive: Option<Vec<u8>>) -> Result<Self, ClusterError> {
        fs::create_dir(&directory).map_err(|source| ClusterError::Prepare {
            path: directory.clone(),
            source,
        })?;
        let (requests, incoming) = mpsc::channel();
        let (opened, outcome) = mpsc::channel();
        let root = directory.join("root");
        let thread = thread::Builder::new()
            .name("embedded-postgres".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let builder = Pglite::builder().path(root);
                let builder = match archive {
                    Some(archive) => builder.load_data_dir_archive(archive),
                    None => builder,
                };
                match builder.open() {
                    Ok(database) => {
                        let mut backend = EmbeddedBackend { database };
                        // The starter has given up when nobody listens.
                        let _ = opened.send(multiplexer::server_version(&mut backend));
                        multiplexer::run(backend, &incoming);
                    }
                    Err(error) => {
                        let _ = opened.send(Err(format!("{error:#}")));
                    }
                }
            })
            .map_err(|source| ClusterError::Prepare {
                path: directory.clone(),
                source,
            })?;
        let instance = Self {
            requests,
            thread: Some(thread),
        };
        let version = outcome
            .recv()
            .map_err(|_| embedded("start", "its thread ended"))?
            .map_err(|reason| embedded("start", reason))?;
        multiplexer::listen(&directory, version, instance.requests.clone()).map_err(|source| {
            ClusterError::Prepare {
                path: directory,
                source,
            }
        })?;
        Ok(instance)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.requests.send(multiplexer::Request::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The instance as the multiplexer drives it.
struct EmbeddedBackend {
    database: Pglite,
}

impl Backend for EmbeddedBackend {
    fn exchange(&mut self, messages: &[u8]) -> Result<Vec<u8>, String> {
        self.database
            .exec_protocol_raw(messages, ExecProtocolOptions::default())
            .map_err(|error| format!("{error:#}"))
    }

    fn archive(&mut self) -> Result<Vec<u8>, String> {
        self.database
            .dump_data_dir_with_format(DataDirArchiveFormat::Tar)
            .map_err(|error| format!("{error:#}"))
    }
}

fn embedded(doing: &'static str, reason: impl Into<String>) -> ClusterError {
    ClusterError::Embedded {
        doing,
        reason: reason.into(),
    }
}
