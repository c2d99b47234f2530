//! A range of seeds, shared by threads, with one result whatever their number.
//!
//! Blocks of seeds go round the threads, and are merged in the order of the seeds: thread 0 plays blocks 0, n, 2n, …
//! Each thread is at most a few blocks ahead of what is merged, so memory does not grow with the range.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::Verdict;
use super::campaign::{Campaign, twice};
use super::coverage::{self, Met};
use super::mutants::Mutant;
use super::shrink::kind;
use super::tape::{Millis, Tape};

/// Seeds in a block.
const BLOCK: u64 = 64;

/// Blocks that a thread may be ahead.
const AHEAD: usize = 8;

/// Between two lines about how far it is.
const BETWEEN_LINES: Duration = Duration::from_secs(20);

/// Failing seeds of each invariant that are told in full.
const TOLD: usize = 5;

/// What came of some seeds.
#[derive(Default)]
struct Played {
    schedules: u64,
    effects: u64,
    window: Millis,
    met: Met,
    failed: Vec<(u64, Vec<String>)>,
}

impl Played {
    fn add(&mut self, seed: u64, verdict: Verdict) {
        self.schedules += 1;
        self.effects += verdict.effects;
        self.window = self.window.max(verdict.longest_window);
        for (what, count) in verdict.coverage {
            *self.met.entry(what).or_insert(0) += count;
        }
        if !verdict.violations.is_empty() {
            self.failed.push((seed, verdict.violations));
        }
    }

    fn merge(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.effects += other.effects;
        self.window = self.window.max(other.window);
        for (what, count) in other.met {
            *self.met.entry(what).or_insert(0) += count;
        }
    }
}

/// Plays a seed; a panic, wherever it comes from, is a violation like any other.
fn judged(seed: u64, mutant: Option<Mutant>) -> Verdict {
    catch_unwind(AssertUnwindSafe(|| twice(&Tape::of(seed), mutant))).unwrap_or_else(|_| Verdict {
        violations: vec!["panic: the schedule ended in a panic".to_owned()],
        ..Verdict::default()
    })
}

fn block(seeds: &Range<u64>, number: u64) -> Range<u64> {
    let from = seeds.start + number * BLOCK;
    from..(from + BLOCK).min(seeds.end)
}

fn work(
    seeds: &Range<u64>,
    blocks: impl Iterator<Item = u64>,
    mutant: Option<Mutant>,
    done: &SyncSender<Played>,
) {
    for number in blocks {
        let mut played = Played::default();
        for seed in block(seeds, number) {
            played.add(seed, judged(seed, mutant));
        }
        if done.send(played).is_err() {
            return;
        }
    }
}

/// Plays every seed of a range and prints what came of it; answers whether nothing was violated and everything met.
pub(crate) fn play(
    campaign: &Campaign,
    seeds: Range<u64>,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> io::Result<bool> {
    let began = Instant::now();
    let blocks = seeds.end.saturating_sub(seeds.start).div_ceil(BLOCK);
    let mut all = Played::default();
    let mut failed: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    std::thread::scope(|scope| -> io::Result<()> {
        let threads: Vec<Receiver<Played>> = (0..campaign.threads)
            .map(|thread| {
                let (done, results) = sync_channel(AHEAD);
                let (seeds, mutant) = (seeds.clone(), campaign.mutant);
                let own = (thread as u64..blocks).step_by(campaign.threads);
                scope.spawn(move || work(&seeds, own, mutant, &done));
                results
            })
            .collect();
        let mut told = began;
        for results in threads
            .iter()
            .cycle()
            .take(usize::try_from(blocks).unwrap_or(usize::MAX))
        {
            let Ok(mut played) = results.recv() else {
                return Err(io::Error::other("a thread ended before its seeds"));
            };
            for (seed, violations) in std::mem::take(&mut played.failed) {
                tell_failure(seed, &violations, &mut failed, out)?;
            }
            all.merge(played);
            if told.elapsed() >= BETWEEN_LINES {
                told = Instant::now();
                let seconds = began.elapsed().as_secs_f64();
                let pace = all.schedules as f64 / seconds;
                let left = (seeds.end - seeds.start - all.schedules) as f64 / pace;
                let violated: usize = failed.values().map(Vec::len).sum();
                writeln!(
                    talk,
                    "{} seeds in {seconds:.0} s, {violated} violations, {left:.0} s left",
                    all.schedules
                )?;
            }
        }
        Ok(())
    })?;
    let unmet = coverage::tables(&all.met, out)?;
    writeln!(
        out,
        "\n{} effects; at most {} ms from a read to the write made from it",
        all.effects, all.window
    )?;
    let seconds = began.elapsed().as_secs_f64();
    let threads = campaign.threads;
    writeln!(
        out,
        "in {seconds:.1} s on {threads} threads: {:.0} schedules a second and thread",
        all.schedules as f64 * 2.0 / seconds / threads as f64
    )?;
    writeln!(
        out,
        "seeds {}..{}: {} schedules, each run twice",
        seeds.start, seeds.end, all.schedules
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
    Ok(failed.is_empty() && (unmet == 0 || campaign.partial))
}

/// The first seeds that violate an invariant are told; of the others the number is kept.
fn tell_failure(
    seed: u64,
    violations: &[String],
    failed: &mut BTreeMap<String, Vec<u64>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut kinds: Vec<&str> = violations.iter().map(|violation| kind(violation)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let is_news = kinds
        .iter()
        .any(|kind| failed.get(*kind).is_none_or(|seeds| seeds.len() < TOLD));
    if is_news {
        writeln!(out, "seed {seed}: {}", violations.join("\n  "))?;
        out.flush()?;
    }
    for kind in kinds {
        failed.entry(kind.to_owned()).or_default().push(seed);
    }
    Ok(())
}
