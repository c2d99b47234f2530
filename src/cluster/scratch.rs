//! Private directories, and servers in them, that go when this process goes.
//!
//! A tiny shell holds the reading end of a pipe from us. When the pipe closes, because we let go of it or
//! because we were killed, the shell stops the server and removes the directory. Nothing else survives
//! `kill -9` without unsafe code: `PR_SET_PDEATHSIG` needs a `pre_exec`, and follows a thread besides.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Ends the server named by its arguments, if any, and then the directory, when standard input ends.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
directory=$1
shift
if [ "$#" -gt 0 ]; then
  "$@" >"$directory/log" 2>&1 &
  server=$!
fi
while read -r _; do :; done
if [ -n "$server" ]; then
  kill -QUIT "$server"
  wait "$server"
fi
rm -rf "$directory"
"#;

/// Free space that shared memory must have to be preferred over the disk: some fifty small databases.
const SHARED_MEMORY_NEEDED: u64 = 256 << 20;

/// A user that the server runs as: `nobody` when we are root, whom PostgreSQL refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunAs {
    /// Its id.
    pub(super) uid: u32,
    /// Its group's id.
    pub(super) gid: u32,
}

impl RunAs {
    /// `nobody` for root; `None` for anybody else, who runs servers as themselves.
    pub(super) fn for_server() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let nobody = known.lines().find_map(|line| {
            let mut parts = line.split(':');
            let (name, _, uid, gid) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
            (name == "nobody").then_some(())?;
            Some(Self {
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
            })
        });
        Some(nobody.unwrap_or(Self {
            uid: 65534,
            gid: 65534,
        }))
    }

    /// Lets a command run as this user.
    pub(super) fn apply(user: Option<Self>, command: &mut Command) -> &mut Command {
        if let Some(RunAs { uid, gid }) = user {
            command.uid(uid).gid(gid);
        }
        command.current_dir("/").stdin(Stdio::null())
    }
}

/// A private directory with a watchdog.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    watchdog: Option<Child>,
}

impl Scratch {
    /// Makes a directory that only its owner can enter, in [`fastest_place`].
    pub(super) fn create(owner: Option<RunAs>) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let place = fastest_place();
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = place.join(format!("frames-sync-{}-{number}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    // From here on, dropping removes the directory.
                    let scratch = Self { path, watchdog: None };
                    if let Some(RunAs { uid, gid }) = owner {
                        chown(&scratch.path, Some(uid), Some(gid))?;
                    }
                    return Ok(scratch);
                }
                // Left by a process of the same id that was killed before it had a watchdog.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts the watchdog, and under it the server when `server` is a program and its arguments.
    ///
    /// The server's output goes to `log` in the directory. It has a process group of its own, so that Ctrl-C
    /// in a terminal reaches us first and the server ends after us.
    pub(super) fn watch(&mut self, user: Option<RunAs>, server: &[&str]) -> io::Result<()> {
        let mut shell = Command::new("/bin/sh");
        RunAs::apply(user, &mut shell)
            .args(["-c", WATCHDOG, "sh"])
            .arg(&self.path)
            .args(server)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        self.watchdog = Some(shell.spawn()?);
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            drop(watchdog.stdin.take());
            // Whatever it answers, it is gone; the directory is seen to below.
            let _ = watchdog.wait();
        }
        if self.path.exists() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Shared memory where there is enough of it, else the folder for temporary files.
///
/// Measured with `initdb` and forty databases: a copy of a database takes 19 ms in `/dev/shm`, and up to
/// 0.4 s on a busy disk.
pub(super) fn fastest_place() -> PathBuf {
    let shared_memory = Path::new("/dev/shm");
    let roomy = rustix::fs::statvfs(shared_memory)
        .is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) >= SHARED_MEMORY_NEEDED);
    if roomy {
        shared_memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}
