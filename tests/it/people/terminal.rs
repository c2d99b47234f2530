//! The built binary on a terminal of its own.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::TestProject;

/// What a person saw, and how the command ended.
pub(super) struct Seen {
    pub(super) screen: String,
    pub(super) code: Option<i32>,
}

/// Runs a command on a terminal; types the answer, and enter, when it is asked something.
pub(super) fn run(project: &TestProject, arguments: &[&str], answer: &str) -> Seen {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&controller).expect("its other end");
    unlockpt(&controller).expect("its other end");
    let size = Winsize {
        ws_row: 40,
        ws_col: 160,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&controller, size).expect("a size");
    let name = ptsname(&controller, Vec::new()).expect("its name");
    let end = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_str().expect("a path"))
            .expect("the terminal")
    };
    let mut command = project.command(arguments);
    command
        .env("TERM", "xterm-256color")
        .stdin(end())
        .stdout(end())
        .stderr(end());
    let mut child = command.spawn().expect("the built binary runs");
    // Only the child holds the other end now, so that reading ends with it.
    drop(command);
    let screen = read(controller, answer);
    let code = child.wait().expect("its end").code();
    Seen { screen, code }
}

fn read(controller: OwnedFd, answer: &str) -> String {
    let mut terminal = File::from(controller);
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let mut answered = false;
    // A terminal without anybody at its other end fails to read.
    while let Ok(count @ 1..) = terminal.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
        if !answered && bytes.ends_with(b"[y/N] ") {
            answered = true;
            terminal.write_all(answer.as_bytes()).expect("typing");
            terminal.write_all(b"\n").expect("enter");
        }
    }
    String::from_utf8(bytes).expect("UTF-8 on the terminal")
}
