//! The real program between a real Postgres, PgBouncer and the simulator, killed and cut off again and again while people work;
//! then everything is quiet, and both sides are held against what people wrote.
//!
//! ```text
//! cargo run --no-default-features --example chaos -- --kills 200 --seed 1
//! ```
//!
//! Needs PostgreSQL's programs and PgBouncer (`apt-get install -y postgresql pgbouncer`), or `--no-pooler`. The harness is that
//! of the tests, `tests/it/chaos/`; what it proves and what not is in `docs/reliability.md`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

#[path = "../tests/it/chaos/mod.rs"]
mod chaos;

use chaos::Chaos;

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    let ended = binary().and_then(|binary| {
        let chaos = Chaos::read(binary, std::env::args().skip(1))?;
        chaos.run(&mut out).map_err(|error| error.to_string())
    });
    let ended = match ended {
        Ok(held) => Ok(held),
        Err(message) => writeln!(out, "{message}").map(|()| false),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// The program beside this one, built anew: an older one would prove something about itself.
fn binary() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = own.parent().and_then(Path::parent).ok_or("no target folder")?;
    let cargo = std::env::var_os("CARGO").ok_or("this is run by `cargo run --example chaos`")?;
    let mut build = Command::new(cargo);
    build.args([
        "build",
        "--quiet",
        "--no-default-features",
        "--bin",
        "frames-sync",
    ]);
    if target.ends_with("release") {
        build.arg("--release");
    }
    let built = build.status().map_err(|error| error.to_string())?;
    if built.success() {
        Ok(target.join("frames-sync"))
    } else {
        Err("`frames-sync` cannot be built".to_owned())
    }
}
