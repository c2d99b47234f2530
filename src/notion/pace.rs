//! When a request of a connection may be sent: the budget, who comes first, and pauses.
//!
//! Pure: every function is told what time it is. [`super::turnstile`] is the half that waits.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::ports::Priority;

/// The requests a minute that every plan of Notion allows.
pub const DEFAULT_REQUESTS_PER_MINUTE: u32 = 180;

/// The length of Notion's rate window.
///
/// Source: Notion API, request limits (Sept 2026): a fixed window of 60 seconds.
pub const WINDOW: Duration = Duration::from_secs(60);

/// How many requests may be on their way at once.
///
/// At 600 requests a minute and a full second of latency, 10 are; the rest is room for slow answers.
pub const MAX_IN_FLIGHT: usize = 32;

/// Every how many requests the one that has waited longest goes first, whatever its priority, so that a
/// stream of important work cannot starve the rest.
const FAIR_TURN: u64 = 8;

/// For how long after an outcome became unknown a part of the budget is kept for settling it.
///
/// A create is looked for until `W_create` (480 s by default) after it was sent; a rate window is room for the last look.
const DOUBT: Duration = Duration::from_secs(540);

/// The budget of one connection and the queue for it.
///
/// A slot comes back one window after its *answer*, not after its sending. The server counted the request
/// some time before the answer, and meets the slot's next request some time after the slot came back: so no
/// window of the server ever sees more than the limit, whatever its phase and however slow the network.
/// The whole limit may be spent at once.
#[derive(Debug)]
pub struct Pacer {
    limit: usize,
    in_flight: usize,
    /// When used slots come back, earliest first.
    returning: VecDeque<Instant>,
    paused_until: Option<Instant>,
    in_doubt_until: Option<Instant>,
    waiting: BTreeMap<(Priority, u64), ()>,
    next_ticket: u64,
    granted: u64,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    priority: Priority,
    number: u64,
}

/// The answer to a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Send now; the ticket is used up.
    Now,
    /// Ask again at that time, or earlier when something changed.
    At(Instant),
    /// Ask again when something changed.
    Later,
}

impl Pacer {
    /// A pacer with its whole budget unspent; at least one request a minute.
    pub fn new(requests_per_minute: u32) -> Self {
        Self {
            limit: requests_per_minute.max(1) as usize,
            in_flight: 0,
            returning: VecDeque::new(),
            paused_until: None,
            in_doubt_until: None,
            waiting: BTreeMap::new(),
            next_ticket: 0,
            granted: 0,
        }
    }

    /// Lowers the limit, for a second user of the same connection that was told less.
    pub fn lower_limit(&mut self, requests_per_minute: u32) {
        self.limit = self.limit.min(requests_per_minute.max(1) as usize);
    }

    /// Takes a place in the queue.
    pub fn enqueue(&mut self, priority: Priority) -> Ticket {
        let ticket = Ticket {
            priority,
            number: self.next_ticket,
        };
        self.next_ticket += 1;
        self.waiting.insert((priority, ticket.number), ());
        ticket
    }

    /// Gives a place back without having sent anything.
    pub fn leave(&mut self, ticket: Ticket) {
        self.waiting.remove(&(ticket.priority, ticket.number));
    }

    /// Asks whether it is this ticket's turn.
    pub fn ask(&mut self, ticket: Ticket, now: Instant) -> Turn {
        while self.returning.front().is_some_and(|back| *back <= now) {
            self.returning.pop_front();
        }
        if let Some(until) = self.paused_until {
            if now < until {
                return Turn::At(until);
            }
            self.paused_until = None;
        }
        if self.first() != Some(ticket) || self.in_flight >= MAX_IN_FLIGHT {
            return Turn::Later;
        }
        let used = self.in_flight + self.returning.len();
        let free = self.limit.saturating_sub(used);
        let reserve = self.reserve(ticket.priority, now);
        if free > reserve {
            self.leave(ticket);
            self.in_flight += 1;
            self.granted += 1;
            return Turn::Now;
        }
        // As many slots as are missing must come back first; those in flight come back later than all others.
        match self.returning.get(reserve - free) {
            Some(back) => Turn::At(*back),
            None => Turn::Later,
        }
    }

    /// Tells that an answer came, or that none will: the slot comes back a window later.
    pub fn answered(&mut self, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.returning.push_back(now + WINDOW);
    }

    /// Tells that the request never left: the slot comes back at once.
    pub fn not_sent(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Holds every request of the connection until then; a longer pause stays.
    pub fn pause_until(&mut self, until: Instant) {
        self.paused_until = Some(self.paused_until.map_or(until, |present| present.max(until)));
    }

    /// Tells that a write's outcome is unknown, and will have to be settled.
    pub fn in_doubt(&mut self, now: Instant) {
        self.in_doubt_until = Some(now + DOUBT);
    }

    /// A tenth of the budget is kept for settling: work that is unclear must not wait behind new work.
    ///
    /// It is kept while something is to be settled. Settling begins a settle window after the doubt at the earliest,
    /// which is two rate windows: the reserve is whole by then, and in quiet times the whole budget can be spent.
    fn reserve(&self, priority: Priority, now: Instant) -> usize {
        let is_in_doubt = self.in_doubt_until.is_some_and(|until| now < until);
        if is_in_doubt && priority != Priority::Settle {
            self.limit / 10
        } else {
            0
        }
    }

    fn first(&self) -> Option<Ticket> {
        let by_priority = self.waiting.keys().next();
        let oldest = self.waiting.keys().min_by_key(|(_, number)| *number);
        let chosen = if self.granted % FAIR_TURN == FAIR_TURN - 1 {
            oldest
        } else {
            by_priority
        };
        chosen.map(|(priority, number)| Ticket {
            priority: *priority,
            number: *number,
        })
    }
}

/// What a request that the [`Breaker`] admitted is to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// One of many, while nothing is wrong.
    Ordinary,
    /// The one that finds out whether the side has recovered.
    Probe,
}

/// Stops asking a side that keeps failing.
///
/// Opens after 5 failures in a row, or when 30 % of the last 50 requests failed; stays open for 60 seconds,
/// then lets one request try, and doubles the rest up to 15 minutes for as long as that one fails.
/// Source: sync semantics, section 8.
#[derive(Debug, Default)]
pub struct Breaker {
    in_a_row: u32,
    recent: VecDeque<bool>,
    open_until: Option<Instant>,
    rest: Option<Duration>,
    probing: bool,
}

impl Breaker {
    const IN_A_ROW: u32 = 5;
    const RECENT: usize = 50;
    const RECENT_FAILURES: usize = 15;
    const FIRST_REST: Duration = Duration::from_secs(60);
    const LONGEST_REST: Duration = Duration::from_secs(15 * 60);

    /// Whether a request may try; otherwise how long until one may.
    ///
    /// # Errors
    ///
    /// The time until the next try.
    pub fn admit(&mut self, now: Instant) -> Result<Trial, Duration> {
        match self.open_until {
            None => Ok(Trial::Ordinary),
            Some(until) if now < until => Err(until - now),
            Some(_) if self.probing => Err(Duration::from_secs(1)),
            Some(_) => {
                self.probing = true;
                Ok(Trial::Probe)
            }
        }
    }

    /// Tells how an admitted request ended: whether Notion answered, if only with a refusal.
    pub fn record(&mut self, trial: Trial, answered: bool, now: Instant) {
        if self.open_until.is_some() {
            // Stragglers from before it opened say nothing; the probe decides.
            if trial == Trial::Probe {
                if answered {
                    *self = Self::default();
                } else {
                    self.probing = false;
                    self.open(now);
                }
            }
            return;
        }
        self.in_a_row = if answered { 0 } else { self.in_a_row + 1 };
        self.recent.push_back(answered);
        if self.recent.len() > Self::RECENT {
            self.recent.pop_front();
        }
        let failures = self.recent.iter().filter(|answered| !**answered).count();
        let too_many = self.recent.len() == Self::RECENT && failures >= Self::RECENT_FAILURES;
        if self.in_a_row >= Self::IN_A_ROW || too_many {
            self.open(now);
        }
    }

    /// Tells that an admitted request ended without saying anything about the side.
    pub fn release(&mut self, trial: Trial) {
        if trial == Trial::Probe {
            self.probing = false;
        }
    }

    fn open(&mut self, now: Instant) {
        let rest = self
            .rest
            .map_or(Self::FIRST_REST, |rest| (rest * 2).min(Self::LONGEST_REST));
        self.rest = Some(rest);
        self.open_until = Some(now + rest);
        self.in_a_row = 0;
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn send(pacer: &mut Pacer, priority: Priority, now: Instant) -> Turn {
        let ticket = pacer.enqueue(priority);
        let turn = pacer.ask(ticket, now);
        match turn {
            Turn::Now => pacer.answered(now),
            Turn::At(_) | Turn::Later => pacer.leave(ticket),
        }
        turn
    }

    #[test]
    fn no_window_of_any_phase_sees_more_than_the_limit() {
        let start = Instant::now();
        let mut pacer = Pacer::new(180);
        let mut sent = Vec::new();
        for tick in 0..3000u64 {
            let now = start + Duration::from_millis(tick * 100);
            while send(&mut pacer, Priority::Push, now) == Turn::Now {
                sent.push(tick);
            }
        }
        for from in 0..3000u64 {
            let in_window = sent
                .iter()
                .filter(|tick| (from..from + 600).contains(*tick))
                .count();
            assert!(in_window <= 180, "{in_window} from {from}");
        }
        // All of the budget is spent: five windows of 180.
        assert_eq!(sent.len(), 5 * 180);
    }

    #[test]
    fn the_reserve_is_for_settling() {
        let start = Instant::now();
        let mut pacer = Pacer::new(20);
        pacer.in_doubt(start);
        let sent = (0..30)
            .filter(|_| send(&mut pacer, Priority::Pull, start) == Turn::Now)
            .count();
        assert_eq!(sent, 18);
        let settled = (0..30)
            .filter(|_| send(&mut pacer, Priority::Settle, start) == Turn::Now)
            .count();
        assert_eq!(settled, 2);
        // Ordinary work waits until the reserve is whole again; everything comes back a window later.
        assert_eq!(
            send(&mut pacer, Priority::Pull, start),
            Turn::At(start + seconds(60))
        );
        assert_eq!(send(&mut pacer, Priority::Pull, start + seconds(60)), Turn::Now);
    }

    #[test]
    fn nothing_is_kept_back_once_nothing_is_in_doubt() {
        let start = Instant::now();
        let later = start + DOUBT;
        let mut pacer = Pacer::new(20);
        pacer.in_doubt(start);
        let mut sent = |now| {
            (0..30)
                .filter(|_| send(&mut pacer, Priority::Push, now) == Turn::Now)
                .count()
        };
        assert_eq!((sent(start), sent(later)), (18, 20));
    }

    #[test]
    fn a_slot_comes_back_a_window_after_its_answer() {
        let start = Instant::now();
        let mut pacer = Pacer::new(1);
        let first = pacer.enqueue(Priority::Pull);
        assert_eq!(pacer.ask(first, start), Turn::Now);
        let second = pacer.enqueue(Priority::Pull);
        assert_eq!(pacer.ask(second, start + seconds(70)), Turn::Later);
        pacer.answered(start + seconds(75));
        assert_eq!(
            pacer.ask(second, start + seconds(76)),
            Turn::At(start + seconds(135))
        );
        assert_eq!(pacer.ask(second, start + seconds(135)), Turn::Now);
    }

    #[test]
    fn urgent_work_goes_first_and_nobody_starves() {
        let now = Instant::now();
        let mut pacer = Pacer::new(1000);
        let status = pacer.enqueue(Priority::Status);
        let pushes: Vec<Ticket> = (0..10).map(|_| pacer.enqueue(Priority::Push)).collect();
        assert_eq!(pacer.ask(status, now), Turn::Later);
        for push in &pushes[..7] {
            assert_eq!(pacer.ask(*push, now), Turn::Now);
        }
        assert_eq!(pacer.ask(pushes[7], now), Turn::Later);
        assert_eq!(pacer.ask(status, now), Turn::Now);
        assert_eq!(pacer.ask(pushes[7], now), Turn::Now);
    }

    #[test]
    fn a_pause_holds_everybody_and_the_longest_wins() {
        let now = Instant::now();
        let mut pacer = Pacer::new(180);
        pacer.pause_until(now + seconds(120));
        pacer.pause_until(now + seconds(30));
        assert_eq!(
            send(&mut pacer, Priority::Settle, now + seconds(119)),
            Turn::At(now + seconds(120))
        );
        assert_eq!(send(&mut pacer, Priority::Settle, now + seconds(120)), Turn::Now);
    }

    #[test]
    fn no_more_than_the_bound_are_on_their_way() {
        let now = Instant::now();
        let mut pacer = Pacer::new(1000);
        for _ in 0..MAX_IN_FLIGHT {
            let ticket = pacer.enqueue(Priority::Pull);
            assert_eq!(pacer.ask(ticket, now), Turn::Now);
        }
        let ticket = pacer.enqueue(Priority::Pull);
        assert_eq!(pacer.ask(ticket, now), Turn::Later);
        pacer.not_sent();
        assert_eq!(pacer.ask(ticket, now), Turn::Now);
    }

    #[test]
    fn five_failures_in_a_row_open_the_breaker_and_the_rest_doubles() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..5 {
            let trial = breaker.admit(start).unwrap();
            breaker.record(trial, false, start);
        }
        assert_eq!(breaker.admit(start), Err(seconds(60)));
        let mut now = start;
        for rest in [60, 120, 240, 480, 900, 900] {
            assert_eq!(breaker.admit(now), Err(seconds(rest)));
            now += seconds(rest);
            assert_eq!(breaker.admit(now), Ok(Trial::Probe), "after {rest}");
            assert!(breaker.admit(now).is_err(), "one probe at a time");
            breaker.record(Trial::Probe, false, now);
        }
        now += seconds(900);
        assert_eq!(breaker.admit(now), Ok(Trial::Probe));
        breaker.record(Trial::Probe, true, now);
        assert_eq!(breaker.admit(now), Ok(Trial::Ordinary));
        // Recovered, it begins with a minute again.
        for _ in 0..5 {
            breaker.record(Trial::Ordinary, false, now);
        }
        assert_eq!(breaker.admit(now), Err(seconds(60)));
    }

    #[test]
    fn an_answer_between_failures_starts_the_count_again() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for answered in [false, false, false, false, true, false, false, false, false] {
            breaker.record(Trial::Ordinary, answered, now);
        }
        assert_eq!(breaker.admit(now), Ok(Trial::Ordinary));
    }

    #[test]
    fn thirty_per_cent_of_fifty_open_the_breaker() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for request in 0..49 {
            breaker.record(Trial::Ordinary, request % 3 != 0, now);
        }
        assert_eq!(breaker.admit(now), Ok(Trial::Ordinary));
        breaker.record(Trial::Ordinary, true, now);
        assert_eq!(breaker.admit(now), Err(seconds(60)));
        // Thirteen of fifty are not enough.
        let mut breaker = Breaker::default();
        for request in 0..50 {
            breaker.record(Trial::Ordinary, request % 4 != 0, now);
        }
        assert_eq!(breaker.admit(now), Ok(Trial::Ordinary));
    }

    #[test]
    fn stragglers_do_not_decide_for_the_probe() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..5 {
            breaker.record(Trial::Ordinary, false, start);
        }
        let later = start + seconds(60);
        assert_eq!(breaker.admit(later), Ok(Trial::Probe));
        breaker.record(Trial::Ordinary, true, later);
        breaker.record(Trial::Ordinary, false, later);
        breaker.release(Trial::Ordinary);
        assert_eq!(
            breaker.admit(later),
            Err(seconds(1)),
            "the probe is still on its way"
        );
        // A probe that is given up lets another one try.
        breaker.release(Trial::Probe);
        assert_eq!(breaker.admit(later), Ok(Trial::Probe));
        breaker.record(Trial::Probe, true, later);
        assert_eq!(breaker.admit(later), Ok(Trial::Ordinary));
    }
}
