//! `completions`: a script that completes commands in a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::{Cli, Exit, Failure, Terminal};

/// Print a script that completes commands in a shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    pub shell: Shell,
}

impl Completions {
    /// Prints the script on standard output.
    pub fn run(self, terminal: &Terminal) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "frames-sync", &mut script);
        terminal.exact(String::from_utf8_lossy(&script));
        Ok(Exit::Done)
    }
}
