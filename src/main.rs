//! The `frames-sync` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    frames_sync::cli::main()
}
