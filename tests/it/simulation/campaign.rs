//! Many seeds: what was violated, what was met, how fast; and which planted bugs are found.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use frames_sync::cluster::{Cluster, Engine};

use super::crash::{kill_everywhere, scripts};
use super::mutants::Mutant;
use super::range;
use super::real::{Server, compare};
use super::shrink::{kind, shrink};
use super::tape::Tape;
use super::{For, Verdict, simulate};

/// What a campaign is asked for on the command line.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// Every seed of a range.
    Seeds(Range<u64>),
    /// One seed, told in full and shrunk.
    Seed(u64),
    /// One tape from a file, told in full.
    Tape(String),
    /// Every seed of a range, on simulated and on real Postgres.
    Real(Range<u64>),
    /// Every planted bug, with at most so many seeds each.
    Mutants(u64),
    /// Every script killed at every effect.
    Crashes,
    /// The first scripts killed at every pair of effects.
    CrashPairs(u64),
}

/// A tape of the corpus, and the bug that it once found.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Found {
    pub(crate) what: String,
    pub(crate) tape: Tape,
}

/// What was asked for, and with which rule taken out.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    pub(crate) asked: Asked,
    pub(crate) mutant: Option<Mutant>,
    /// How many threads share the seeds.
    pub(crate) threads: usize,
    /// Cells that were never met are told, and no failure.
    pub(crate) partial: bool,
}

impl Campaign {
    /// Reads the command line's arguments.
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut campaign = Self {
            asked: Asked::Seeds(0..1_000),
            mutant: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            partial: false,
        };
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("`{name}` wants a value"));
            match name.as_str() {
                "--seeds" => campaign.asked = Asked::Seeds(range(&value()?)?),
                "--seed" => campaign.asked = Asked::Seed(number(&value()?)?),
                "--tape" => campaign.asked = Asked::Tape(value()?),
                "--real" => campaign.asked = Asked::Real(range(&value()?)?),
                "--mutants" => campaign.asked = Asked::Mutants(number(&value()?)?),
                "--crashes" => campaign.asked = Asked::Crashes,
                "--crash-pairs" => campaign.asked = Asked::CrashPairs(number(&value()?)?),
                "--threads" => {
                    let count = usize::try_from(number(&value()?)?).unwrap_or(usize::MAX);
                    campaign.threads = count.clamp(1, 1024);
                }
                "--partial" => campaign.partial = true,
                "--mutant" => campaign.mutant = Some(mutant(&value()?)?),
                other => {
                    return Err(format!(
                        "`{other}` is none of --seeds A..B, --threads N, --partial, --seed N, --tape FILE, --real A..B, \
                         --mutants SEEDS, --mutant NAME, --crashes, --crash-pairs SCRIPTS"
                    ));
                }
            }
        }
        Ok(campaign)
    }

    /// Does it; answers whether all went as it must. How far it is goes to `talk`.
    pub(crate) fn run(&self, out: &mut dyn Write, talk: &mut dyn Write) -> io::Result<bool> {
        match &self.asked {
            Asked::Seeds(seeds) => range::play(self, seeds.clone(), out, talk),
            Asked::Seed(seed) => one(&Tape::of(*seed), self.mutant, true, out),
            Asked::Tape(file) => {
                let text = std::fs::read_to_string(file)?;
                let found: Found = serde_json::from_str(&text)?;
                writeln!(out, "{}", found.what)?;
                one(&found.tape, self.mutant, false, out)
            }
            Asked::Real(seeds) => real(seeds.clone(), out),
            Asked::Mutants(seeds) => hunt(*seeds, out),
            Asked::Crashes => crash(u64::MAX, false, self.mutant, out),
            Asked::CrashPairs(scripts) => crash(*scripts, true, self.mutant, out),
        }
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.replace('_', "")
        .parse()
        .map_err(|_| format!("`{text}` is no number"))
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or(format!("`{text}` is no range"))?;
    Ok(number(from)?..number(to)?)
}

fn mutant(name: &str) -> Result<Mutant, String> {
    let found = Mutant::ALL.iter().copied().find(|mutant| mutant.name() == name);
    found.ok_or(format!("`{name}` is no planted bug"))
}

/// Runs a tape twice: I13, the same tape gives the same trace.
pub(crate) fn twice(tape: &Tape, mutant: Option<Mutant>) -> Verdict {
    let mut verdict = simulate(tape, mutant, For::Judgement);
    let again = simulate(tape, mutant, For::Repetition);
    if again.trace != verdict.trace {
        verdict
            .violations
            .push("I13: the same tape gave two different traces".to_owned());
    }
    verdict
}

/// L5, on a throwaway server of this machine.
fn real(seeds: Range<u64>, out: &mut dyn Write) -> io::Result<bool> {
    let cluster = Cluster::start(Engine::Any).map_err(io::Error::other)?;
    let server = Arc::new(Server::over(&cluster.url("postgres")));
    compare(&server, seeds, out)
}

fn crash(most: u64, pairs: bool, mutant: Option<Mutant>, out: &mut dyn Write) -> io::Result<bool> {
    let began = Instant::now();
    let (mut points, mut failures, mut count) = (0, 0, 0);
    for script in scripts().iter().take(usize::try_from(most).unwrap_or(usize::MAX)) {
        let killed = kill_everywhere(script, 1, pairs, mutant);
        writeln!(out, "{:>6} kills  {}", killed.points, script.name)?;
        for (kills, violations) in killed.failed.iter().take(3) {
            writeln!(out, "  killed at {kills:?}: {}", violations.join("\n    "))?;
        }
        count += 1;
        points += killed.points;
        failures += killed.failed.len();
    }
    let seconds = began.elapsed().as_secs_f64();
    writeln!(
        out,
        "{count} scripts, {points} kills, {failures} violations, in {seconds:.1} s"
    )?;
    Ok(failures == 0)
}

fn one(tape: &Tape, mutant: Option<Mutant>, shrinks: bool, out: &mut dyn Write) -> io::Result<bool> {
    let verdict = twice(tape, mutant);
    let told = match verdict.violations.first() {
        Some(violation) if shrinks => shrink(tape, mutant, kind(violation)),
        _ => tape.clone(),
    };
    let shown = simulate(&told, mutant, For::Telling);
    writeln!(out, "{:#?}", told.setting)?;
    for line in &shown.log {
        writeln!(out, "{line}")?;
    }
    let found = Found {
        what: verdict.violations.first().cloned().unwrap_or_default(),
        tape: told,
    };
    writeln!(out, "{}", serde_json::to_string(&found)?)?;
    for violation in &shown.violations {
        writeln!(out, "VIOLATED {violation}")?;
    }
    Ok(verdict.violations.is_empty())
}

/// The first seed that finds a planted bug, and by which invariant.
pub(crate) fn seeds_to_detect(mutant: Mutant, most: u64) -> Option<(u64, String)> {
    (0..most).find_map(|seed| {
        let verdict = simulate(&Tape::of(seed), Some(mutant), For::Judgement);
        verdict
            .violations
            .first()
            .map(|violation| (seed, kind(violation).to_owned()))
    })
}

/// The table of planted bugs; answers whether each was found within ten times the seeds that it once took.
fn hunt(most: u64, out: &mut dyn Write) -> io::Result<bool> {
    let mut all = true;
    writeln!(
        out,
        "| planted bug | found by | seeds | expected |\n| --- | --- | --- | --- |"
    )?;
    for mutant in Mutant::ALL {
        let expected = mutant.expected();
        let (by, seeds) = match seeds_to_detect(*mutant, most) {
            Some((seed, kind)) => (kind, seed + 1),
            None => ("**not found**".to_owned(), most),
        };
        let late = seeds > expected * 10;
        all &= !late && by != "**not found**";
        let late = if late { ": **ten times as many**" } else { "" };
        writeln!(out, "| {} | {by} | {seeds}{late} | {expected} |", mutant.text())?;
        out.flush()?;
    }
    Ok(all)
}
