//! A day of eight universities in virtual time: `cargo bench --no-default-features --bench soak`.
//!
//! `-- --hours 72 --universities 8 --seed 1` takes another length, number or seed. What happens in it is told in
//! `tests/it/soak/`; it fails where the two sides do not agree at the end, and where the process holds more memory at the
//! end than after the first hour and the allowance below.

use std::process::ExitCode;
use std::time::Instant;

#[path = "../tests/it/soak/mod.rs"]
mod soak;

use soak::{Setting, soak};

/// What may be added between the first hour and the last, in KiB: Postgres and Notion live in the process too, and what
/// they keep of a day (intents of 24 hours, values of the people) takes a few MiB.
const ALLOWANCE: u64 = 10 * 1024;

fn main() -> ExitCode {
    let mut setting = Setting {
        universities: 8,
        hours: 24,
        seed: 1,
        canary: false,
    };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.windows(2) {
        let Ok(number) = pair[1].parse() else { continue };
        match pair[0].as_str() {
            "--hours" => setting.hours = number,
            "--universities" => setting.universities = number,
            "--seed" => setting.seed = number,
            _ => {}
        }
    }
    let began = Instant::now();
    let outcome = soak(setting);
    tell(&format!("{setting:?} in {:.1} s", began.elapsed().as_secs_f64()));
    for hour in &outcome.hours {
        let resident = hour.resident.unwrap_or_default() / 1024;
        tell(&format!(
            "hour {:>3}: {resident} MiB, {} requests, {} audit entries, {} runs and {} notes kept",
            hour.hour, hour.requests, hour.audit, hour.runs, hour.notes
        ));
    }
    for (what, count) in &outcome.done {
        tell(&format!("people: {what}: {count}"));
    }
    for (what, count) in &outcome.counts {
        tell(&format!("frames-sync: {what}: {count}"));
    }
    tell(&format!(
        "{} values followed, {} fields compared, {} edits overwritten in the declared window",
        outcome.followed, outcome.compared, outcome.raced
    ));
    let mut holds = outcome.wrong.is_empty();
    for wrong in &outcome.wrong {
        tell(&format!("WRONG: {wrong}"));
    }
    let memory = |hour: Option<&soak::Hour>| hour.and_then(|hour| hour.resident).unwrap_or_default();
    let (first, last) = (memory(outcome.hours.first()), memory(outcome.hours.last()));
    if last > first + ALLOWANCE {
        tell(&format!(
            "WRONG: {first} KiB after the first hour, {last} KiB at the end"
        ));
        holds = false;
    }
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]
fn tell(line: &str) {
    println!("{line}");
}
