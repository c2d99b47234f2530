//! Runs the engine through many simulated schedules, with faults at every step, and checks that nothing was lost.
//!
//! ```text
//! cargo run --release --no-default-features --example campaign -- --seeds 0..1000000
//! cargo run --release --no-default-features --example campaign -- --seed 4711
//! cargo run --release --no-default-features --example campaign -- --mutants 100000
//! ```
//!
//! The harness is that of the tests, `tests/it/simulation/`; what it proves and what not is in `docs/reliability.md`.

use std::io::Write;
use std::process::ExitCode;

#[path = "../tests/it/simulation/mod.rs"]
mod simulation;

use simulation::campaign::Campaign;

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    let ended = match Campaign::read(std::env::args().skip(1)) {
        Ok(campaign) => campaign.run(&mut out, &mut std::io::stderr().lock()),
        Err(message) => writeln!(out, "{message}").map(|()| false),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}
