//! Many seeds: what was violated, what was met, how fast; and which planted bugs are found.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::time::Instant;

use super::crash::{kill_everywhere, scripts};
use super::mutants::Mutant;
use super::shrink::{kind, shrink};
use super::tape::Tape;
use super::{Verdict, simulate};

/// What a campaign is asked for on the command line.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// Every seed of a range.
    Seeds(Range<u64>),
    /// One seed, told in full and shrunk.
    Seed(u64),
    /// One tape from a file, told in full.
    Tape(String),
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
}

impl Campaign {
    /// Reads the command line's arguments.
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut campaign = Self {
            asked: Asked::Seeds(0..1_000),
            mutant: None,
        };
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("`{name}` wants a value"));
            match name.as_str() {
                "--seeds" => campaign.asked = Asked::Seeds(range(&value()?)?),
                "--seed" => campaign.asked = Asked::Seed(number(&value()?)?),
                "--tape" => campaign.asked = Asked::Tape(value()?),
                "--mutants" => campaign.asked = Asked::Mutants(number(&value()?)?),
                "--crashes" => campaign.asked = Asked::Crashes,
                "--crash-pairs" => campaign.asked = Asked::CrashPairs(number(&value()?)?),
                "--mutant" => campaign.mutant = Some(mutant(&value()?)?),
                other => {
                    return Err(format!(
                        "`{other}` is none of --seeds A..B, --seed N, --tape FILE, --mutants SEEDS, --mutant NAME, \
                         --crashes, --crash-pairs SCRIPTS"
                    ));
                }
            }
        }
        Ok(campaign)
    }

    /// Does it; answers whether all went as it must.
    pub(crate) fn run(&self, out: &mut dyn Write) -> io::Result<bool> {
        match &self.asked {
            Asked::Seeds(seeds) => many(seeds.clone(), self.mutant, out),
            Asked::Seed(seed) => one(&Tape::of(*seed), self.mutant, true, out),
            Asked::Tape(file) => {
                let text = std::fs::read_to_string(file)?;
                let found: Found = serde_json::from_str(&text)?;
                writeln!(out, "{}", found.what)?;
                one(&found.tape, self.mutant, false, out)
            }
            Asked::Mutants(seeds) => hunt(*seeds, out),
            Asked::Crashes => crash(u64::MAX, false, self.mutant, out),
            Asked::CrashPairs(scripts) => crash(*scripts, true, self.mutant, out),
        }
    }
}

/// What a campaign of any size must have met, or it proves less than it says.
const SOMETIMES: &[&str] = &[
    "guard delete_cap",
    "guard empty_side",
    "race window",
    "killed",
    "reason RowIsNew",
    "reason RowWasDeleted",
    "reason RowWasDeletedAndPageEdited",
    "reason BothAreGone",
    "reason PageWasTrashed",
    "reason PageWasTrashedAndRowEdited",
    "reason RowLeftScope",
    "reason RowCameBackIntoScope",
    "reason PageWasMoved",
    "reason PageIsInaccessible",
    "reason PageWasLeftBehind",
    "reason KeyCameBack",
    "reason PageWasResurrected",
    "reason PageIsNew",
    "reason PageIsDuplicate",
    "reason IdIsUnknown",
    "field reason OnlyPostgresChanged",
    "field reason OnlyNotionChanged",
    "field reason OwnLateWrite",
    "field reason PolicySaysPostgres",
    "field reason PolicySaysNotion",
    "field reason PostgresWasLater",
    "field reason NotionWasLater",
    "field reason NotionWasProbablyLater",
    "field reason TieGoesToPostgres",
    "field reason TieGoesToNotion",
    "field reason PersonMustChoose",
    "field reason PersonChosePostgres",
    "field reason PersonChoseNotion",
    "field reason NotionIsReadOnly",
    "field reason PostgresIsReadOnly",
];

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
    let mut verdict = simulate(tape, mutant, false);
    let again = simulate(tape, mutant, false);
    if again.trace != verdict.trace {
        verdict
            .violations
            .push("I13: the same tape gave two different traces".to_owned());
    }
    verdict
}

fn many(seeds: Range<u64>, mutant: Option<Mutant>, out: &mut dyn Write) -> io::Result<bool> {
    let began = Instant::now();
    let mut coverage: BTreeMap<String, u64> = BTreeMap::new();
    let mut failed: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let (mut schedules, mut effects, mut window) = (0_u64, 0_u64, 0);
    for seed in seeds.clone() {
        let tape = Tape::of(seed);
        let verdict = twice(&tape, mutant);
        schedules += 1;
        effects += verdict.effects;
        window = verdict.longest_window.max(window);
        for (what, count) in verdict.coverage {
            *coverage.entry(what).or_insert(0) += count;
        }
        let mut kinds: Vec<&str> = verdict
            .violations
            .iter()
            .map(|violation| kind(violation))
            .collect();
        kinds.dedup();
        for kind in kinds {
            let seeds = failed.entry(kind.to_owned()).or_default();
            if seeds.len() < 5 && !seeds.contains(&seed) {
                writeln!(out, "seed {seed}: {}", verdict.violations.join("\n  "))?;
            }
            seeds.push(seed);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    writeln!(out, "\nmet, and how often:")?;
    for (what, count) in &coverage {
        writeln!(out, "  {count:>10}  {what}")?;
    }
    let unmet: Vec<&str> = SOMETIMES
        .iter()
        .copied()
        .filter(|what| !coverage.contains_key(*what))
        .collect();
    writeln!(
        out,
        "\nnever met, of what must be met sometimes: {}",
        unmet.join(", ")
    )?;
    writeln!(
        out,
        "{effects} effects; at most {window} ms from a read to the write made from it"
    )?;
    writeln!(
        out,
        "\nseeds {}..{}: {schedules} schedules, each run twice, in {seconds:.1} s ({:.0} schedules a second)",
        seeds.start,
        seeds.end,
        schedules as f64 * 2.0 / seconds
    )?;
    for (kind, seeds) in &failed {
        let first: Vec<String> = seeds.iter().take(8).map(u64::to_string).collect();
        writeln!(
            out,
            "  {kind} violated in {} schedules: seeds {} …",
            seeds.len(),
            first.join(", ")
        )?;
    }
    writeln!(out, "{} violations", failed.values().map(Vec::len).sum::<usize>())?;
    Ok(failed.is_empty())
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
    let shown = simulate(&told, mutant, true);
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
        let verdict = simulate(&Tape::of(seed), Some(mutant), false);
        verdict
            .violations
            .first()
            .map(|violation| (seed, kind(violation).to_owned()))
    })
}

fn hunt(most: u64, out: &mut dyn Write) -> io::Result<bool> {
    let mut all = true;
    writeln!(out, "| planted bug | found by | seeds |\n| --- | --- | --- |")?;
    for mutant in Mutant::ALL {
        match seeds_to_detect(*mutant, most) {
            Some((seed, kind)) => writeln!(out, "| {} | {kind} | {} |", mutant.text(), seed + 1)?,
            None => {
                all = false;
                writeln!(out, "| {} | not found | {most} |", mutant.text())?;
            }
        }
        out.flush()?;
    }
    Ok(all)
}
