//! How far runs are: a bar for each profile on a terminal, lines elsewhere, nothing where quiet is wanted.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::Terminal;
use crate::diagnostic::{inline, printable};
use crate::plan::Plan;
use crate::ports::{Progress, Watcher};

/// Between two lines about one run, where there is no terminal to draw on.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Where the profiles of one command show how far they are.
pub(crate) struct Board {
    terminal: Terminal,
    bars: Option<MultiProgress>,
}

impl Board {
    /// A board on standard error.
    pub(crate) fn new(terminal: &Terminal) -> Self {
        Self {
            terminal: terminal.clone(),
            bars: terminal.is_interactive().then(MultiProgress::new),
        }
    }

    /// Says something beside the bars.
    pub(crate) fn say(&self, line: std::fmt::Arguments<'_>) {
        match &self.bars {
            // A terminal that went away hears nothing.
            Some(bars) => drop(bars.println(printable(&line.to_string()))),
            None => self.terminal.say(line),
        }
    }

    /// Says what was decided about each record, to those who asked for more. Values are not shown.
    pub(crate) fn decided(&self, profile: &str, plan: &Plan) {
        for operation in plan.operations.iter().filter(|_| self.terminal.is_verbose()) {
            self.say(format_args!(
                "{profile}: {} {}: {} ({})",
                operation.entity,
                inline(&operation.name()),
                operation.kind.name().replace('_', " "),
                operation.reason
            ));
        }
    }

    /// Watches one profile's run.
    pub(crate) fn watch(&self, profile: &str) -> Box<dyn Watcher> {
        match &self.bars {
            Some(bars) => {
                let bar = bars.add(ProgressBar::new_spinner());
                bar.set_style(looking());
                bar.set_prefix(profile.to_owned());
                bar.enable_steady_tick(Duration::from_millis(120));
                Box::new(Bar(bar))
            }
            None => Box::new(Lines {
                terminal: self.terminal.clone(),
                profile: profile.to_owned(),
                counted: Mutex::new(Counted::default()),
            }),
        }
    }
}

/// Watches the run of a command over one profile.
pub(crate) fn watch(terminal: &Terminal, profile: &str) -> Box<dyn Watcher> {
    Board::new(terminal).watch(profile)
}

fn looking() -> ProgressStyle {
    style("{prefix} {spinner} {msg}", ProgressStyle::default_spinner())
}

fn working() -> ProgressStyle {
    let template = "{prefix} [{bar:24}] {pos}/{len} records, {per_sec}, {eta} left, {msg}";
    style(template, ProgressStyle::default_bar()).progress_chars("=> ")
}

fn style(template: &str, otherwise: ProgressStyle) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or(otherwise)
}

struct Bar(ProgressBar);

impl Watcher for Bar {
    fn tell(&self, progress: Progress<'_>) {
        match progress {
            Progress::Looking { entity } => self.0.set_message(format!("looking at {entity}")),
            Progress::Planned { records } => {
                self.0.set_style(working());
                self.0.set_length(records as u64);
                self.0.set_position(0);
                self.0.reset_eta();
            }
            Progress::Settled { entity } => {
                self.0.set_message(entity.to_owned());
                // Relations that had to wait are looked at twice.
                if self.0.length().is_none_or(|all| self.0.position() < all) {
                    self.0.inc(1);
                }
            }
            Progress::Decided { .. } => {}
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        // What was done is reported next, in its place.
        self.0.finish_and_clear();
    }
}

struct Lines {
    terminal: Terminal,
    profile: String,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    done: usize,
    all: usize,
    since: Option<Instant>,
    told: Option<Instant>,
}

impl Watcher for Lines {
    fn tell(&self, progress: Progress<'_>) {
        // A panic elsewhere leaves plain counters behind.
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match progress {
            Progress::Looking { .. } | Progress::Decided { .. } | Progress::Planned { records: 0 } => {}
            Progress::Planned { records } => {
                *counted = Counted {
                    done: 0,
                    all: records,
                    since: Some(now),
                    told: Some(now),
                };
                let line = format!(
                    "{}: {} to look at",
                    self.profile,
                    super::commands::records(records)
                );
                let numbers = json!({ "profile": self.profile, "done": 0, "all": records });
                self.terminal.say_how_far(line, &numbers);
            }
            Progress::Settled { .. } => {
                counted.done = (counted.done + 1).min(counted.all);
                let is_due = counted.told.is_some_and(|at| now - at >= BETWEEN_LINES);
                let (Some(since), true) = (counted.since, is_due) else {
                    return;
                };
                counted.told = Some(now);
                let (rate, left) = pace(counted.done, counted.all, now - since);
                let line = format!(
                    "{}: {} of {} records, {rate:.1}/s, {left:.0} s left",
                    self.profile, counted.done, counted.all
                );
                let numbers = json!({
                    "profile": self.profile, "done": counted.done, "all": counted.all,
                    "per_second": rate, "seconds_left": left,
                });
                self.terminal.say_how_far(line, &numbers);
            }
        }
    }
}

/// Records a second so far, and the seconds that the rest takes at that.
#[expect(clippy::cast_precision_loss, reason = "counts of records are far below 2^52")]
fn pace(done: usize, all: usize, spent: Duration) -> (f64, f64) {
    let rate = done as f64 / spent.as_secs_f64().max(0.001);
    let left = (all - done) as f64 / rate.max(0.001);
    (rate, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_what_was_done() {
        let (rate, left) = pace(30, 120, Duration::from_secs(10));
        assert!((rate - 3.0).abs() < 1e-9, "{rate}");
        assert!((left - 30.0).abs() < 1e-9, "{left}");
    }

    #[test]
    fn nothing_done_and_nothing_left_are_no_division_by_zero() {
        assert!(pace(0, 10, Duration::ZERO).1.is_finite());
        assert!(pace(10, 10, Duration::ZERO).1.abs() < 1e-9);
    }
}
