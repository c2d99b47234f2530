//! L3: the whole engine between a simulated Postgres and a simulated Notion, in virtual time.
//!
//! A [`Tape`](tape::Tape) says what happens when; the same tape gives the same schedule, to the byte of its trace. After
//! the tape comes a quiet phase, and then [`oracle`] holds both sides against what people wrote, by the invariants of the
//! sync semantics, section 9. The oracle knows the policies and shares no code with the planner.

pub(crate) mod campaign;
mod coverage;
mod crash;
mod database;
mod executor;
mod focus;
mod mutants;
mod notion;
mod oracle;
mod people;
mod postgres;
mod profile;
mod range;
pub(crate) mod real;
mod schema;
mod shrink;
mod steps;
mod tape;
#[cfg(test)]
mod tests;
mod world;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use frames_sync::engine::{Engine, Entity, Request, Run};
use frames_sync::ports::Approval;
use frames_sync::report::{Command, ErrorCode};

use coverage::Counting;
use executor::{Event, Timeline};
use mutants::Mutant;
use postgres::{Postgres, Simulated};
use profile::VirtualClock;
use tape::{Millis, Tape};
use world::{NEIGHBOUR, World};

/// Cycles of the quiet phase in which everything must come to rest.
///
/// Source: sync semantics, section 9.
const QUIET_CYCLES: usize = 4;

/// How often a person approves in one of them.
const MOST_APPROVALS: usize = 3;

/// Events in one schedule, beyond which it is not going to end.
const MOST_EVENTS: u64 = 2_000_000;

/// What came of one schedule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// What does not hold, each beginning with its invariant.
    pub(crate) violations: Vec<String>,
    /// The hash of everything that happened, in order.
    pub(crate) trace: u64,
    /// What was met, and how often.
    pub(crate) coverage: coverage::Met,
    /// Port calls of the engine that had an effect or went to Notion.
    pub(crate) effects: u64,
    /// The longest time between a direct read of a page and the write made from it.
    pub(crate) longest_window: Millis,
    /// What happened in words, when it was asked for.
    pub(crate) log: Vec<String>,
}

type Running = Pin<Box<dyn Future<Output = Run> + Send>>;

/// What a schedule is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// The judgement.
    Judgement,
    /// The judgement, and what happened in words.
    Telling,
    /// The trace alone, to hold against that of the first run.
    Repetition,
}

/// One schedule while it runs.
pub(crate) struct Schedule {
    purpose: For,
    world: Arc<World>,
    clock: Arc<VirtualClock>,
    entities: Vec<Arc<Entity>>,
    /// The entities of the other tenant's profile.
    neighbours: Vec<Arc<Entity>>,
    lives: [u64; RUNNERS],
    engines: [Engine; RUNNERS],
    running: [Option<Running>; RUNNERS],
    ready: [bool; RUNNERS],
    /// The last run of each profile.
    last: [Option<Run>; 2],
}

/// Two processes of our profile, and one of the other tenant's.
const RUNNERS: usize = 3;

impl Schedule {
    fn new(tape: &Tape, mutant: Option<Mutant>, purpose: For) -> Self {
        Self::over(tape, mutant, purpose, |clock| {
            let tables = database::tables(&tape.setting, Arc::clone(&clock) as _);
            Arc::new(Simulated::new(tables, clock, tape.setting.table_acts))
        })
    }

    /// The schedule over the database that is made with that clock.
    fn over(
        tape: &Tape,
        mutant: Option<Mutant>,
        purpose: For,
        postgres: impl FnOnce(Arc<VirtualClock>) -> Arc<dyn Postgres>,
    ) -> Self {
        let verbose = purpose == For::Telling;
        let timeline = Arc::new(Timeline::default());
        let clock = Arc::new(VirtualClock::new(Arc::clone(&timeline), &tape.setting, mutant));
        let postgres = postgres(Arc::clone(&clock));
        let world = Arc::new(World::new(tape.clone(), mutant, timeline, postgres, verbose));
        let entities = profile::entities(&tape.setting, mutant);
        let neighbours = profile::neighbours(&tape.setting, mutant);
        let engine = |runner| profile::engine(&world, &clock, &entities, runner, 0);
        let other = profile::engine(&world, &clock, &neighbours, NEIGHBOUR, 0);
        let engines = [engine(0), engine(1), other];
        Self {
            purpose,
            engines,
            world,
            clock,
            entities,
            neighbours,
            lives: [0; RUNNERS],
            running: [None, None, None],
            ready: [false; RUNNERS],
            last: [None, None],
        }
    }

    fn start(&mut self, runner: usize, full: bool) {
        if self.running[runner].is_some() {
            return;
        }
        if self.world.tape.setting.typed && self.world.lock().schema.is_unbound {
            self.reload();
        }
        let engine = Engine {
            clock: Arc::new(self.clock.measured()),
            ..self.engines[runner].clone()
        };
        let request = Request {
            full,
            ..Request::all(Command::Sync)
        };
        self.world.trace(|| format!("runner {runner} begins"), 10);
        self.world.lock().runners[runner].mapped_at = self.world.now();
        self.running[runner] = Some(if self.purpose == For::Repetition {
            Box::pin(async move { engine.run(&request).await })
        } else {
            let world = Arc::clone(&self.world);
            Box::pin(async move { engine.run_watched(&request, &Counting(&world)).await })
        });
        self.ready[runner] = true;
    }

    /// Pages with a write whose outcome nobody wrote down: an edit made now may meet it as a conflict.
    fn leave_open(&self) {
        for (profile, entity) in [world::TEAMS, world::NEIGHBOURS].into_iter().enumerate() {
            let Some(store) = self.world.store_of(profile) else {
                continue;
            };
            let mut open = store.links_with_intents(entity);
            if let Poll::Ready(Ok(links)) = executor::poll_once(open.as_mut()) {
                let pages = links.into_iter().filter_map(|link| link.page);
                self.world.lock().ambiguous.extend(pages);
            }
        }
    }

    /// The process of a runner ends in the middle; another one takes its place.
    fn bury(&mut self, runner: usize) {
        self.running[runner] = None;
        self.leave_open();
        self.revive(runner);
        let mut state = self.world.lock();
        let me = &mut state.runners[runner];
        me.killed = false;
        me.kill = None;
        me.read_at.clear();
        state.met("killed");
    }

    /// A new process of a runner.
    fn revive(&mut self, runner: usize) {
        self.lives[runner] += 1;
        let life = self.lives[runner];
        let entities = if runner == NEIGHBOUR {
            &self.neighbours
        } else {
            &self.entities
        };
        self.engines[runner] = profile::engine(&self.world, &self.clock, entities, runner, life);
    }

    fn poll(&mut self) {
        for runner in 0..RUNNERS {
            if !self.ready[runner] || self.world.lock().runners[runner].paused_until > self.world.now() {
                continue;
            }
            self.ready[runner] = false;
            let Some(running) = &mut self.running[runner] else {
                continue;
            };
            if let Poll::Ready(run) = executor::poll_once(running.as_mut()) {
                self.running[runner] = None;
                self.ended(runner, run);
            } else if self.world.lock().runners[runner].killed {
                self.bury(runner);
            }
        }
    }

    fn ended(&mut self, runner: usize, run: Run) {
        self.leave_open();
        self.world.trace(
            || {
                let failure = run.report.failure.as_ref().map(|failure| failure.message.clone());
                format!(
                    "runner {runner} ends: {:?} {}",
                    run.report.outcome,
                    failure.unwrap_or_default()
                )
            },
            11,
        );
        let mut state = self.world.lock();
        let errors = || run.report.entities.iter().flat_map(|entity| &entity.errors);
        for error in errors() {
            match error.code {
                ErrorCode::LoopSuspected => state.met("breaker: loop_suspected"),
                ErrorCode::CodecUnstable => state.met("breaker: codec_unstable"),
                _ => {}
            }
        }
        let unserved = errors()
            .filter(|error| error.code == ErrorCode::PostgresFailed)
            .count();
        if run.report.failure.is_some() && unserved >= 4 {
            state.met("breaker: five records in a row that Postgres cannot serve");
        }
        let mut count = |what: String| state.met(&what);
        count(format!("outcome {:?}", run.report.outcome));
        for refusal in run.report.entities.iter().flat_map(|entity| &entity.refusals) {
            count(format!("guard {}", refusal.code));
        }
        for operation in &run.plan.operations {
            count(format!("operation {}", operation.kind.name()));
        }
        drop(state);
        if self.world.is(Mutant::StatusAlways) {
            self.stamp();
        }
        self.check_seen(runner, &run);
        self.check_isolation(runner, &run);
        self.last[world::profile(runner)] = Some(run);
    }

    /// A planted bug: every cycle stamps every page.
    fn stamp(&self) {
        let write = frames_sync::ports::PageWrite {
            properties: vec![("last_synced".into(), frames_sync::value::Value::Null)],
            in_trash: None,
        };
        let mut state = self.world.lock();
        for page in self
            .world
            .postgres
            .links()
            .into_iter()
            .filter_map(|link| link.page)
        {
            state.notion_writes += 1;
            let now = self.world.now();
            self.world.apply(&mut state, &page, &write, now, now);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake(runner, waker) => {
                waker.wake();
                self.ready[runner] = true;
            }
            Event::Resume(runner) => self.ready[runner] = true,
            Event::Op(place) => self.act(self.world.tape.ops[place].1),
            Event::LateWrite(number) => self.world.late(number),
            Event::Cycle(place) => {
                let cycle = self.world.tape.cycles[place];
                self.start(usize::from(cycle.runner).min(NEIGHBOUR), cycle.full);
            }
        }
    }

    /// Lets everything happen that is still to come, or until `until`.
    fn run_on(&mut self) -> bool {
        let mut events = 0;
        self.poll();
        while let Some(event) = self.world.timeline.next() {
            self.happen(event);
            self.poll();
            events += 1;
            if events > MOST_EVENTS {
                self.violated("I12: the schedule does not end".to_owned());
                return false;
            }
        }
        true
    }

    fn violated(&self, what: String) {
        self.world.lock().violations.push(what);
    }

    fn settle_down(&mut self, at: Millis) {
        self.world.timeline.advance_to(at);
        let mut state = self.world.lock();
        state.quiet = true;
        state.runners.iter_mut().for_each(|runner| runner.kill = None);
    }

    /// A person lets the refused plan run, as often as that is asked.
    fn approve(&self) {
        for profile in 0..2 {
            let (Some(run), Some(store)) = (&self.last[profile], self.world.store_of(profile)) else {
                continue;
            };
            for refusal in run.report.entities.iter().flat_map(|entity| &entity.refusals) {
                let mut state = self.world.lock();
                state.met("approved");
                state.quarantined[profile] = false;
                drop(state);
                let approval = Approval {
                    hash: refusal.approve.clone(),
                    expires_at: self.world.database_time() + time::Duration::HOUR,
                };
                let mut approved = store.approve(&approval);
                let _ = executor::poll_once(approved.as_mut());
            }
        }
    }

    fn is_refused(&self) -> bool {
        let runs = self.last.iter().flatten();
        runs.flat_map(|run| &run.report.entities)
            .any(|entity| !entity.refusals.is_empty())
    }

    /// One cycle of each profile.
    fn cycle(&mut self, full: bool) -> bool {
        self.start(0, full);
        if self.world.tape.setting.neighbour {
            self.start(NEIGHBOUR, full);
        }
        self.run_on()
    }

    fn play(&mut self) -> Verdict {
        self.settle_in();
        for (place, (at, _)) in self.world.tape.ops.iter().enumerate() {
            self.world.timeline.at(*at, Event::Op(place));
        }
        for (place, cycle) in self.world.tape.cycles.iter().enumerate() {
            self.world.timeline.at(cycle.at, Event::Cycle(place));
        }
        if self.run_on() {
            // Whatever is under way lands, every lease, window and back-off of an hour ends.
            self.settle_down(self.world.now() + 4_000_000);
            let mut alive = true;
            for quiet in 0..QUIET_CYCLES {
                // A column that says when tells nothing of rows that are gone: those the daily scan finds.
                let full = quiet == 0 && self.world.tape.setting.is_stamped();
                alive = alive && self.cycle(full);
                // A refusal is an answer, not a failure: a person approves, and it counts as no cycle. What the guards let
                // pass of another entity changes the plan: then they ask once more.
                for _ in 0..MOST_APPROVALS {
                    if !alive || !self.is_refused() {
                        break;
                    }
                    self.approve();
                    self.world.timeline.advance_to(self.world.now() + 10_000);
                    alive = self.cycle(full);
                }
                self.world.timeline.advance_to(self.world.now() + 700_000);
            }
            if alive && self.purpose == For::Repetition {
                self.rest();
            } else if alive {
                self.judge();
            }
        }
        let mut state = self.world.lock();
        Verdict {
            violations: std::mem::take(&mut state.violations),
            trace: state.trace,
            coverage: std::mem::take(&mut state.coverage),
            effects: state.runners.iter().map(|runner| runner.effects).sum(),
            longest_window: state.longest_window,
            log: state.log.take().unwrap_or_default(),
        }
    }
}

/// Runs one tape to its end, and judges it where that is asked for.
pub(crate) fn simulate(tape: &Tape, mutant: Option<Mutant>, purpose: For) -> Verdict {
    Schedule::new(tape, mutant, purpose).play()
}
