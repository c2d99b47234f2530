//! A PostgreSQL for the demo and the tests: a private cluster of native binaries, or the embedded one.
//!
//! Neither needs a running server, rights, or a network. Both listen on a Unix socket in a private directory
//! that goes with the process, even with one that was killed. Nothing in here is durable: data that matters
//! belongs in a server of your own.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "embedded")]
mod multiplexer;
mod native;
mod scratch;
#[cfg(test)]
mod tests;

/// The one command that gives this machine native binaries, for messages.
pub const INSTALL_COMMAND: &str = "apt-get install -y postgresql";

/// Which PostgreSQL to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// `initdb` and `postgres` as found on this machine.
    Native,
    /// PostgreSQL compiled to WebAssembly, inside this process; one backend for all connections.
    Embedded,
    /// Native where there are binaries, else embedded.
    Any,
}

/// A throwaway PostgreSQL, gone when dropped and when the process ends.
///
/// **Guarantees**: nobody but the current user (and `nobody`, when running as root) can connect; no file
/// is left behind but the cached `initdb` result; dropping waits until the server has ended.
#[derive(Debug)]
pub struct Cluster {
    running: Running,
}

#[derive(Debug)]
enum Running {
    Native(native::NativeCluster),
    #[cfg(feature = "embedded")]
    Embedded(embedded::EmbeddedCluster),
}

impl Cluster {
    /// Starts a cluster; blocks until it takes connections.
    ///
    /// Native takes about 0.2 s with the cached `initdb` and 1 s more without; embedded 1 to 4 s.
    ///
    /// # Errors
    /// [`ClusterError::NoBinaries`] where there are none to start, else what failed on the way.
    pub fn start(engine: Engine) -> Result<Self, ClusterError> {
        match engine {
            Engine::Native => native::NativeCluster::start(native::find_binaries()?).map(Self::native),
            Engine::Embedded => Self::start_embedded(),
            Engine::Any => match native::find_binaries() {
                Ok(binaries) => native::NativeCluster::start(binaries).map(Self::native),
                Err(ClusterError::NoBinaries) if cfg!(feature = "embedded") => Self::start_embedded(),
                Err(error) => Err(error),
            },
        }
    }

    fn native(cluster: native::NativeCluster) -> Self {
        Self {
            running: Running::Native(cluster),
        }
    }

    #[cfg(feature = "embedded")]
    fn start_embedded() -> Result<Self, ClusterError> {
        Ok(Self {
            running: Running::Embedded(embedded::EmbeddedCluster::start()?),
        })
    }

    #[cfg(not(feature = "embedded"))]
    fn start_embedded() -> Result<Self, ClusterError> {
        Err(ClusterError::NotBuiltIn)
    }

    /// Which of the two it is; never [`Engine::Any`].
    pub fn engine(&self) -> Engine {
        match &self.running {
            Running::Native(_) => Engine::Native,
            #[cfg(feature = "embedded")]
            Running::Embedded(_) => Engine::Embedded,
        }
    }

    /// The connection URL of a database: superuser `postgres`, no password.
    ///
    /// A cluster starts with the database `postgres`. A name that was never created gives a URL that fails to
    /// connect.
    pub fn url(&self, database: &str) -> String {
        let socket_directory = match &self.running {
            Running::Native(cluster) => cluster.socket_directory().to_owned(),
            #[cfg(feature = "embedded")]
            Running::Embedded(cluster) => cluster.socket_directory(database),
        };
        format!(
            "postgresql://postgres@localhost/{database}?host={}",
            socket_directory.display()
        )
    }

    /// Creates a database, empty or as a copy of `template`, which nobody may be writing to meanwhile.
    ///
    /// Native copies in about 20 ms; embedded starts a further instance, which takes a second. The names are
    /// ours and not a user's: ASCII letters, digits and `_` only.
    ///
    /// # Errors
    /// When the name is taken or odd, the template is unknown or still has connections, or the server fails.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), ClusterError> {
        for name in [Some(name), template].into_iter().flatten() {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(ClusterError::DatabaseName(name.to_owned()));
            }
        }
        match &self.running {
            Running::Native(_) => native::create_database(&self.url("postgres"), name, template).await,
            #[cfg(feature = "embedded")]
            Running::Embedded(cluster) => cluster.create_database(name, template),
        }
    }

    /// Drops a database and whatever is connected to it.
    ///
    /// # Errors
    /// When the server fails; dropping what is not there is no error.
    pub async fn drop_database(&self, name: &str) -> Result<(), ClusterError> {
        match &self.running {
            Running::Native(_) => native::drop_database(&self.url("postgres"), name).await,
            #[cfg(feature = "embedded")]
            Running::Embedded(cluster) => {
                cluster.drop_database(name);
                Ok(())
            }
        }
    }
}

/// Why a throwaway PostgreSQL could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no `initdb` and `postgres` on this machine.
    #[error(
        "no PostgreSQL binaries in `FRAMES_PG_BIN`, `PATH` or the usual folders; `{INSTALL_COMMAND}` installs them"
    )]
    NoBinaries,
    /// The program was built without the embedded database.
    #[error("built without the feature `embedded`, so there is no embedded PostgreSQL in it")]
    NotBuiltIn,
    /// A file or process could not be made.
    #[error("cannot prepare a private PostgreSQL in `{}`", path.display())]
    Prepare {
        /// What it was about.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// `initdb` or `cp` ended badly.
    #[error("`{program}` failed: {output}")]
    Program {
        /// Which program.
        program: String,
        /// What it said on standard error.
        output: String,
    },
    /// The server did not come up.
    #[error("PostgreSQL did not start within {} s: {log}", waited.as_secs())]
    Start {
        /// How long it was waited for.
        waited: Duration,
        /// The end of its log.
        log: String,
    },
    /// The embedded server failed.
    #[error("the embedded PostgreSQL cannot {doing}: {reason}")]
    Embedded {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        reason: String,
    },
    /// A database name that is not ours.
    #[error("`{0}` is no name for a throwaway database: letters, digits and `_` only")]
    DatabaseName(String),
    /// A database could not be made or dropped.
    #[error("cannot change the databases of the private PostgreSQL")]
    Database(#[source] sqlx::Error),
}
