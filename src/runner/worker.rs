//! One profile kept in step: waits for its time or a wake, runs a cycle, and rests where the world failed.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::pending::Pending;
use super::rest::{Failures, jittered};
use super::stop::Stopping;
use super::{Handle, Hint, Stopped};
use crate::engine::{Engine, EngineError, Request, Run};
use crate::ports::BoxFuture;
use crate::project::Schedule;
use crate::report::{Command, ErrorCode, Failure, Outcome, ProfileReport};

/// How long wakes are gathered before they are worked on: one transaction notes many rows.
const GATHER: Duration = Duration::from_millis(4);

/// The longest rest while another instance works on the profile.
const BUSY: Duration = Duration::from_millis(500);

/// The shortest time until what was left for later is looked at again.
const SOONEST: Duration = Duration::from_secs(3);

/// Records taken up again at once.
const AT_ONCE: usize = 100;

/// Operations of a plan that a guard stopped which are kept, to be shown to whoever may approve it.
const SHOWN: usize = 50;

/// The longest that a schedule is slept on before the clocks are compared again.
const DOZE: Duration = Duration::from_hours(1);

/// Reaches both sides of a profile; what knows adapters implements it.
pub trait Opener: Send + Sync {
    /// Connects, and binds the profile's mappings to both real schemas.
    fn open<'a>(&'a self, profile: &'a str) -> BoxFuture<'a, Result<Box<dyn Opened>, Unopened>>;
}

/// A profile with both sides reached.
pub trait Opened: Send + Sync {
    /// The engine over both sides.
    fn engine(&self) -> &Engine;

    /// When a whole cycle is due.
    fn schedule(&self) -> &Schedule;

    /// Measures the clocks and reads both schemas again. After a failure it is to be closed.
    fn refresh(&mut self) -> BoxFuture<'_, Result<(), Unopened>>;

    /// Resolves with an entity when the change log has notes about rows of it. May be dropped at any point.
    fn noted(&mut self) -> BoxFuture<'_, String>;

    /// Gives the connections back.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// Why a profile cannot be worked on.
#[derive(Clone, Debug)]
pub struct Unopened {
    /// What stands in the way.
    pub failure: Failure,
    /// Whether the world failed or a person is needed.
    pub outcome: Outcome,
    /// Whether only other settings cure it: a token that is refused, or another workspace's.
    pub refused: bool,
}

/// Keeps one profile in step until it is told to stop.
pub struct Worker {
    profile: String,
    inbox: mpsc::Receiver<Hint>,
    handle: Handle,
    openers: watch::Receiver<Arc<dyn Opener>>,
    stopping: Stopping,
    on_cycle: Arc<dyn Fn(&ProfileReport) + Send + Sync>,
    opened: Option<Box<dyn Opened>>,
    pending: Pending,
    failures: Failures,
    /// When the last whole cycle of this instance began and ended, if it ended well.
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    /// Whether schemas and clocks were read since the last whole cycle.
    is_fresh: bool,
    due: Timestamp,
    rests_until: Instant,
    /// When records that a cycle left for later are looked at again, and how often in a row that has been so.
    again: Option<Timestamp>,
    waits: Failures,
    /// Whether another instance was at work when this one last tried.
    was_busy: bool,
    /// Whether new settings were not reached yet.
    reloads: bool,
}

/// What a worker turns to.
enum Next {
    Whole,
    Woken,
    Reload,
    Stop,
}

impl Worker {
    /// A worker for a profile. `openers` changes when the settings do, and `on_cycle` sees every cycle's report.
    pub fn new(
        profile: String,
        inbox: mpsc::Receiver<Hint>,
        handle: Handle,
        openers: watch::Receiver<Arc<dyn Opener>>,
        stopping: Stopping,
        on_cycle: Arc<dyn Fn(&ProfileReport) + Send + Sync>,
    ) -> Self {
        Self {
            profile,
            inbox,
            handle,
            openers,
            stopping,
            on_cycle,
            opened: None,
            pending: Pending::default(),
            failures: Failures::default(),
            started: None,
            ended: None,
            is_fresh: false,
            due: Timestamp::MIN,
            rests_until: Instant::now(),
            again: None,
            waits: Failures::default(),
            was_busy: false,
            reloads: false,
        }
    }

    /// Works until it is told to stop. Failures of the world make it rest and never end it.
    pub async fn work(mut self) {
        loop {
            let next = self.next().await;
            match next {
                Next::Stop => break,
                Next::Reload => self.reload().await,
                Next::Whole => self.whole_cycle().await,
                Next::Woken => self.narrow_cycles().await,
            }
        }
        if let Some(opened) = self.opened.take() {
            opened.close().await;
        }
        tracing::debug!(profile = self.profile, "stopped");
    }

    /// Waits for something to do.
    async fn next(&mut self) -> Next {
        loop {
            if self.stopping.is_stopping() {
                return Next::Stop;
            }
            if self.openers.has_changed().unwrap_or(false) {
                return Next::Reload;
            }
            let rests = Instant::now() < self.rests_until;
            if !rests && self.opened.is_none() {
                self.open().await;
                continue;
            }
            let left = self.left();
            if !rests && (left.is_zero() || self.pending.is_anywhere()) {
                return Next::Whole;
            }
            if !rests {
                self.take_up_again().await;
            }
            if !rests && !self.pending.is_empty() {
                return Next::Woken;
            }
            let left = self.again.map_or(left, |again| left.min(self.until(again)));
            let until = (Instant::now() + left.min(DOZE)).max(self.rests_until);
            let until = if rests { self.rests_until } else { until };
            self.wait_until(until).await;
        }
    }

    /// How long until the next whole cycle is due.
    fn left(&self) -> Duration {
        self.until(self.due)
    }

    fn until(&self, instant: Timestamp) -> Duration {
        let Some(opened) = &self.opened else {
            return Duration::ZERO;
        };
        let left = instant.duration_since(now(opened.engine()));
        Duration::try_from(left).unwrap_or(Duration::ZERO)
    }

    /// Names the records that a cycle left for later, once their time has come.
    async fn take_up_again(&mut self) {
        let (Some(opened), Some(again)) = (&self.opened, self.again) else {
            return;
        };
        if !self.until(again).is_zero() {
            return;
        }
        self.again = None;
        let engine = opened.engine();
        for entity in &engine.entities {
            // What cannot be read now is seen to by the next whole cycle.
            let due = engine
                .store
                .links_due(&entity.name, engine.clock.now(), AT_ONCE)
                .await;
            for link in due.unwrap_or_default() {
                self.pending.add(Hint::Row {
                    entity: entity.name.clone(),
                    key: link.key,
                });
            }
        }
    }

    /// Notes when to look again at what a cycle left for later.
    async fn look_again(&mut self, report: &ProfileReport) {
        let left: Vec<&str> = report
            .entities
            .iter()
            .filter(|entity| entity.deferred > 0)
            .map(|entity| entity.entity.as_str())
            .collect();
        let Some(opened) = self.opened.as_ref().filter(|_| !left.is_empty()) else {
            self.waits.forget();
            return;
        };
        let engine = opened.engine();
        let now = now(engine);
        let mut earliest: Option<OffsetDateTime> = None;
        for entity in left {
            let horizon = engine.clock.now() + time::Duration::HOUR;
            let due = engine
                .store
                .links_due(entity, horizon, 1)
                .await
                .unwrap_or_default();
            let at = due.first().and_then(|link| link.look_again_at);
            earliest = earliest.into_iter().chain(at).min();
        }
        let rest = SignedDuration::try_from(self.waits.rest(chance()).max(SOONEST)).unwrap_or_default();
        let soonest = now.checked_add(rest).unwrap_or(now);
        let again = earliest.map(|at| timestamp(at).max(soonest));
        self.again = self.again.into_iter().chain(again).min();
    }

    /// Gathers wakes until that instant, or shortly after the first one.
    async fn wait_until(&mut self, until: Instant) {
        let rests = self.rests_until;
        let mut until = until;
        loop {
            let noted = async {
                match &mut self.opened {
                    Some(opened) => opened.noted().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.stopping.stopping() => return,
                changed = self.openers.changed(), if !self.openers.has_changed().unwrap_or(true) => {
                    if changed.is_ok() {
                        self.openers.mark_changed();
                    }
                    return;
                }
                () = tokio::time::sleep_until(until) => return,
                Some(hint) = self.inbox.recv() => self.pending.add(hint),
                entity = noted => self.pending.note(entity),
            }
            until = until.min((Instant::now() + GATHER).max(rests));
        }
    }

    async fn open(&mut self) {
        let opener = Arc::clone(&self.openers.borrow_and_update());
        let ended = tokio::select! {
            ended = opener.open(&self.profile) => ended,
            () = self.stopping.stopping() => return,
        };
        match ended {
            Ok(opened) => self.begin(opened),
            Err(unopened) => self.unopened(unopened).await,
        }
    }

    fn begin(&mut self, opened: Box<dyn Opened>) {
        self.due = opened.schedule().due(self.started, now(opened.engine()));
        tracing::info!(profile = self.profile, next = %self.due, "open");
        self.is_fresh = true;
        self.opened = Some(opened);
        self.tell_due();
    }

    /// Takes new settings on once they are known to work; else the old ones stay.
    async fn reload(&mut self) {
        let opener = Arc::clone(&self.openers.borrow_and_update());
        self.reloads = false;
        self.rests_until = Instant::now();
        self.failures.forget();
        if self.opened.is_none() {
            return;
        }
        let ended = tokio::select! {
            ended = opener.open(&self.profile) => ended,
            () = self.stopping.stopping() => return,
        };
        match ended {
            Ok(opened) => {
                if let Some(old) = self.opened.take() {
                    old.close().await;
                }
                self.started = None;
                self.ended = None;
                self.begin(opened);
                tracing::info!(profile = self.profile, "the new settings are in use");
            }
            Err(unopened) => {
                self.reloads = unopened.outcome == Outcome::Failed && !unopened.refused;
                tracing::error!(
                    profile = self.profile,
                    code = unopened.failure.code.code(),
                    "the new settings cannot be used, the old ones stay: {}",
                    unopened.failure.message
                );
            }
        }
    }

    /// Everything: schemas and clocks are read again first.
    async fn whole_cycle(&mut self) {
        if self.reloads {
            self.reload().await;
        }
        if self.is_done_by_another().await {
            return;
        }
        if !self.is_fresh {
            let Some(opened) = &mut self.opened else { return };
            let refreshed = tokio::select! {
                refreshed = opened.refresh() => refreshed,
                () = self.stopping.given_up() => return,
            };
            if let Err(unopened) = refreshed {
                return self.unopened(unopened).await;
            }
            self.is_fresh = true;
        }
        let Some(opened) = &self.opened else { return };
        let began = now(opened.engine());
        let taken = self.pending.taken_by_whole_cycle();
        let request = Request::all(Command::Sync);
        let run = opened.engine().run_attended(&request, &self.stopping).await;
        if self.ended(run, true).await {
            self.is_fresh = false;
            self.started = Some(began);
            if let Some(opened) = &self.opened {
                let now = now(opened.engine());
                self.ended = Some(now);
                self.due = opened.schedule().due(self.started, now);
                self.tell_due();
            }
        } else {
            self.pending.put_back(taken);
        }
    }

    /// Whether another instance did what is due; then it is due again a period later.
    async fn is_done_by_another(&mut self) -> bool {
        // The first cycle is always this one's own: its settings may be new.
        let (Some(opened), Some(ended), false) = (&self.opened, self.ended, self.pending.is_anywhere())
        else {
            return false;
        };
        // What cannot be read now fails in the cycle, and is told there.
        let Ok(Some(newest)) = newest_cycle(opened.engine()).await else {
            return false;
        };
        if newest < ended || !opened.schedule().is_done_by(newest, self.due) {
            return false;
        }
        self.due = opened.schedule().due(Some(newest), now(opened.engine()));
        tracing::debug!(profile = self.profile, next = %self.due, "another instance has done what was due");
        self.tell_due();
        self.handle
            .update(&self.profile, |state| state.holds_lease = false);
        true
    }

    /// Only what the wakes name.
    async fn narrow_cycles(&mut self) {
        let taken = std::mem::take(&mut self.pending);
        let Some(opened) = &self.opened else { return };
        let engine = opened.engine();
        let entities: Vec<String> = engine.entities.iter().map(|entity| entity.name.clone()).collect();
        let pages = taken.pages();
        let owners = match engine.owners(&pages).await {
            Ok(owners) => owners,
            Err(error) => {
                self.pending.put_back(taken);
                return self.unopened(unreadable(&error)).await;
            }
        };
        let mut requests = taken.requests(&entities, &owners);
        if self.was_busy {
            // Who was at work has most likely seen to the notes.
            let mut open = Vec::new();
            for request in requests {
                let only_notes = request.keys.is_empty() && request.pages.is_empty();
                let changes = engine.rows.changes(&request.entities[0], 1).await;
                if !(only_notes && changes.is_ok_and(|changes| changes.is_empty())) {
                    open.push(request);
                }
            }
            requests = open;
            self.was_busy = false;
        }
        for request in requests {
            let Some(opened) = &self.opened else { return };
            let run = opened.engine().run_attended(&request, &self.stopping).await;
            if !self.ended(run, false).await {
                // All of it again: what was done needs a comparison and nothing else.
                self.pending.put_back(taken);
                return;
            }
        }
    }

    /// Notes how a cycle ended; answers whether its work is done.
    async fn ended(&mut self, run: Run, is_whole: bool) -> bool {
        let code = run.report.failure.as_ref().map(|failure| failure.code);
        match code {
            Some(ErrorCode::Interrupted) => return false,
            Some(ErrorCode::ProfileBusy) => {
                let message = run.report.failure.map(|failure| failure.message);
                tracing::debug!(profile = self.profile, "{}", message.unwrap_or_default());
                self.was_busy = true;
                self.handle
                    .update(&self.profile, |state| state.holds_lease = false);
                let lease = self
                    .opened
                    .as_ref()
                    .map_or(BUSY, |opened| opened.engine().tuning.lease);
                self.rest(jittered(BUSY.min(lease / 8), chance()));
                return false;
            }
            _ => {}
        }
        self.was_busy = false;
        if run.report.outcome == Outcome::Failed {
            let failure = run.report.failure.clone();
            self.failed(failure, run.refused).await;
            self.tell(run.report, true);
            return false;
        }
        self.failures.forget();
        self.look_again(&run.report).await;
        self.stopped(&run, is_whole);
        self.tell(run.report, true);
        true
    }

    /// Notes what a guard stopped; only a look at everything shows that nothing is stopped any more.
    fn stopped(&self, run: &Run, is_whole: bool) {
        let entities = || {
            run.report
                .entities
                .iter()
                .filter(|entity| !entity.refusals.is_empty())
        };
        let names: Vec<&str> = entities().map(|entity| entity.entity.as_str()).collect();
        let stopped = (!names.is_empty()).then(|| Stopped {
            plan: run.plan.shortened(&names, SHOWN),
            refusals: entities().flat_map(|entity| entity.refusals.clone()).collect(),
        });
        if is_whole || stopped.is_some() {
            self.handle.update(&self.profile, |state| state.stopped = stopped);
        }
    }

    async fn unopened(&mut self, unopened: Unopened) {
        let busy = unopened.failure.code == ErrorCode::ProfileBusy;
        if busy {
            self.rest(jittered(BUSY, chance()));
            return;
        }
        let report = ProfileReport {
            profile: self.profile.clone(),
            outcome: unopened.outcome,
            failure: Some(unopened.failure.clone()),
            ..ProfileReport::default()
        };
        self.failed(Some(unopened.failure), unopened.refused).await;
        self.tell(report, false);
    }

    /// Rests, and opens everything again afterwards. A refused profile rests until its settings change.
    async fn failed(&mut self, failure: Option<Failure>, refused: bool) {
        if let Some(opened) = self.opened.take() {
            opened.close().await;
        }
        self.started = None;
        self.ended = None;
        self.again = None;
        let rest = self.failures.rest(chance());
        self.handle
            .update(&self.profile, |state| state.next_run_at = None);
        let (code, message) = failure.map_or(("", String::new()), |failure| {
            (failure.code.code(), failure.message)
        });
        if refused {
            tracing::error!(
                profile = self.profile,
                code,
                "this profile stops until its settings are read again: {message}"
            );
            // Nothing wakes it but new settings.
            self.rests_until = Instant::now() + Duration::from_hours(24 * 365);
        } else {
            let seconds = rest.as_secs_f64();
            tracing::warn!(
                profile = self.profile,
                code,
                rests_seconds = seconds,
                "the cycle failed: {message}"
            );
            self.rest(rest);
        }
    }

    fn rest(&mut self, rest: Duration) {
        self.rests_until = Instant::now() + rest;
    }

    fn tell_due(&self) {
        let due = OffsetDateTime::from_unix_timestamp_nanos(self.due.as_nanosecond()).ok();
        self.handle.update(&self.profile, |state| state.next_run_at = due);
    }

    /// Tells a report to whoever listens, and adds it to what is known.
    fn tell(&self, report: ProfileReport, held: bool) {
        (self.on_cycle)(&report);
        let at = self.opened.as_ref().map(|opened| opened.engine().clock.now());
        self.handle.update(&self.profile, |state| {
            state.holds_lease = held && report.outcome != Outcome::Failed;
            state.last_run_at = at.or_else(|| Some(OffsetDateTime::now_utc()));
            state.runs += 1;
            state.failures += u64::from(report.outcome == Outcome::Failed);
            if let Some(failure) = &report.failure {
                *state.errors.entry(failure.code.code().to_owned()).or_default() += 1;
            }
            for error in report.entities.iter().flat_map(|entity| &entity.errors) {
                *state.errors.entry(error.code.code().to_owned()).or_default() += 1;
            }
            state.totals.add(&report);
            state.last_report = Some(report);
        });
    }
}

/// When the last cycle over all entities began, whoever ran it.
async fn newest_cycle(engine: &Engine) -> Result<Option<Timestamp>, EngineError> {
    let mut newest: Option<OffsetDateTime> = None;
    for entity in &engine.entities {
        let marks = engine.store.marks(&entity.name).await?;
        let (Some(pages), Some(rows)) = (marks.pages_queried_at, marks.rows_captured_at) else {
            return Ok(None);
        };
        let began = pages.min(rows);
        newest = Some(newest.map_or(began, |newest| newest.min(began)));
    }
    Ok(newest.map(timestamp))
}

fn unreadable(error: &EngineError) -> Unopened {
    Unopened {
        failure: Failure {
            code: ErrorCode::PostgresFailed,
            message: error.to_string(),
        },
        outcome: Outcome::Failed,
        refused: false,
    }
}

fn now(engine: &Engine) -> Timestamp {
    timestamp(engine.clock.now())
}

/// An instant of the database, far from the limits of either type.
fn timestamp(at: OffsetDateTime) -> Timestamp {
    let since = SignedDuration::from_nanos_i128(at.unix_timestamp_nanos());
    Timestamp::from_duration(since).unwrap_or(Timestamp::MAX)
}

fn chance() -> u64 {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    high ^ low.rotate_left(17)
}
