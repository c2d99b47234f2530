//! PgBouncer in transaction mode.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A PgBouncer that ends with the test.
pub(crate) struct Pooler {
    process: Child,
    port: u16,
    settings: PathBuf,
    server: PathBuf,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// In front of the server whose socket is in that directory.
    pub(crate) fn start(server: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|port| port.local_addr())
            .expect("a port")
            .port();
        let folder = tempfile::TempDir::new().expect("a folder");
        let settings = folder.path().join("pgbouncer.ini");
        fs::write(
            &settings,
            format!(
                "[databases]\n* = host={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n\
                 server_login_retry = 0.2\n",
                server.display()
            ),
        )
        .expect("settings");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("readable by that user");
        let process = spawn(&settings, server);
        let pooler = Self {
            process,
            port,
            settings,
            server: server.to_owned(),
            _folder: folder,
        };
        pooler.wait();
        pooler
    }

    /// Until it listens, which is after its process has begun.
    fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "PgBouncer does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where it listens, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, with everything that is under way through it, and starts it again.
    pub(crate) fn restart(&mut self) {
        self.end();
        self.process = spawn(&self.settings, &self.server);
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(settings: &Path, server: &Path) -> Child {
    // Like the server, it refuses to be root; it runs as whom the server runs as.
    let owner = fs::metadata(server).expect("the server's directory");
    Command::new("/usr/sbin/pgbouncer")
        .arg("-q")
        .arg(settings)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .uid(owner.uid())
        .gid(owner.gid())
        .spawn()
        .expect("`apt-get install -y pgbouncer` installs what this needs")
}
