//! Virtual time: one thread, a queue of events, and futures that are polled only when their instant has come.
//!
//! Nothing here knows a real clock. The same tape gives the same order of events, always.

use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::tape::Millis;

/// What happens at an instant.
pub(crate) enum Event {
    /// A call of a runner goes on.
    Wake(usize, Waker),
    /// A person or the application acts: the place on the tape.
    Op(usize),
    /// A request that was given up on is applied after all: its number.
    LateWrite(usize),
    /// A cycle starts: the place on the tape.
    Cycle(usize),
    /// A sleeping runner wakes.
    Resume(usize),
}

struct Entry {
    at: Millis,
    order: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The heap gives the greatest first; the earliest is wanted.
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

#[derive(Default)]
struct Queue {
    order: u64,
    entries: BinaryHeap<Entry>,
}

/// The present instant and what is still to come.
#[derive(Default)]
pub(crate) struct Timeline {
    now: AtomicI64,
    stepped: [AtomicI64; 2],
    queue: Mutex<Queue>,
}

impl Timeline {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Millis {
        // One thread plays a schedule: nothing else is ordered by it.
        self.now.load(Ordering::Relaxed)
    }

    /// By how much the database's clock, and Notion's, were put on or back since the schedule began.
    pub(crate) fn stepped(&self) -> [Millis; 2] {
        [0, 1].map(|clock: usize| self.stepped[clock].load(Ordering::Relaxed))
    }

    /// Puts the database's clock, or Notion's, on or back.
    pub(crate) fn step(&self, clock: usize, by: Millis) {
        self.stepped[clock].fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn at(&self, at: Millis, event: Event) {
        let mut queue = self.lock();
        let at = at.max(self.now());
        queue.order += 1;
        let order = queue.order;
        queue.entries.push(Entry { at, order, event });
    }

    /// Moves to the next event.
    pub(crate) fn next(&self) -> Option<Event> {
        let entry = self.lock().entries.pop()?;
        self.now.store(entry.at, Ordering::Relaxed);
        Some(entry.event)
    }

    /// Moves to an instant at which nothing happens.
    pub(crate) fn advance_to(&self, at: Millis) {
        self.now.fetch_max(at, Ordering::Relaxed);
    }
}

/// Lets time pass for one runner.
pub(crate) struct Delay<'a> {
    timeline: &'a Timeline,
    runner: usize,
    until: Millis,
    asked: bool,
}

impl<'a> Delay<'a> {
    pub(crate) fn new(timeline: &'a Timeline, runner: usize, by: Millis) -> Self {
        Self {
            timeline,
            runner,
            until: timeline.now() + by,
            asked: false,
        }
    }
}

impl Future for Delay<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.asked && self.timeline.now() >= self.until {
            return Poll::Ready(());
        }
        if !self.asked {
            self.asked = true;
            self.timeline
                .at(self.until, Event::Wake(self.runner, context.waker().clone()));
        }
        Poll::Pending
    }
}

/// Polls a future once; its runner is polled again after its events, whoever was woken.
pub(crate) fn poll_once<T>(future: Pin<&mut (dyn Future<Output = T> + Send + '_)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
