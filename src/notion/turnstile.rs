//! The half of the pacing that waits: one turnstile for everything that uses a token.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::pace::{Breaker, Pacer, Ticket, Trial, Turn};
use crate::ports::Priority;

/// What every client of one token passes through before it sends.
#[derive(Debug)]
pub struct Turnstile {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    pacer: Pacer,
    breaker: Breaker,
    stopped: Option<String>,
}

/// Why a request may not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Notion refused the token for good, with this code.
    Stopped(String),
    /// Notion keeps failing; a request may try again after this long.
    Resting(Duration),
}

static TURNSTILES: Mutex<BTreeMap<[u8; 32], Weak<Turnstile>>> = Mutex::new(BTreeMap::new());

impl Turnstile {
    /// A turnstile of its own, with its whole budget unspent.
    pub fn new(requests_per_minute: u32) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                pacer: Pacer::new(requests_per_minute),
                breaker: Breaker::default(),
                stopped: None,
            }),
            changed: Notify::new(),
        })
    }

    /// The turnstile of a token at an address, shared by everything in the process that uses both.
    ///
    /// Of two different budgets the smaller one holds. The token is kept as a hash.
    pub fn shared(base_url: &str, token: &str, requests_per_minute: u32) -> Arc<Self> {
        let mut hash = Sha256::new();
        hash.update(base_url.as_bytes());
        hash.update([0]);
        hash.update(token.as_bytes());
        let key: [u8; 32] = hash.finalize().into();
        let mut turnstiles = TURNSTILES.lock().unwrap_or_else(PoisonError::into_inner);
        turnstiles.retain(|_, turnstile| turnstile.strong_count() > 0);
        if let Some(present) = turnstiles.get(&key).and_then(Weak::upgrade) {
            present.state().pacer.lower_limit(requests_per_minute);
            return present;
        }
        let turnstile = Self::new(requests_per_minute);
        turnstiles.insert(key, Arc::downgrade(&turnstile));
        turnstile
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn.
    ///
    /// Dropping the future gives the place in the queue back.
    ///
    /// # Errors
    ///
    /// [`Closed`] when nothing of this token may be sent at present.
    pub async fn pass(self: &Arc<Self>, priority: Priority) -> Result<Pass, Closed> {
        let place = Place {
            turnstile: self,
            ticket: self.state().pacer.enqueue(priority),
        };
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let turn = {
                let mut state = self.state();
                if let Some(reason) = &state.stopped {
                    return Err(Closed::Stopped(reason.clone()));
                }
                let now = Instant::now().into_std();
                match state.pacer.ask(place.ticket, now) {
                    Turn::Now => match state.breaker.admit(now) {
                        Ok(trial) => {
                            drop(state);
                            self.changed.notify_waiters();
                            return Ok(Pass {
                                turnstile: Arc::clone(self),
                                trial,
                                used: false,
                            });
                        }
                        Err(wait) => {
                            state.pacer.not_sent();
                            return Err(Closed::Resting(wait));
                        }
                    },
                    turn => turn,
                }
            };
            match turn {
                Turn::At(time) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(time.into()) => {}
                        () = changed => {}
                    }
                }
                Turn::Now | Turn::Later => changed.await,
            }
        }
    }

    /// Holds every request of the token for that long.
    pub fn pause(&self, wait: Duration) {
        self.state().pacer.pause_until((Instant::now() + wait).into_std());
        self.changed.notify_waiters();
    }

    /// Keeps a part of the budget for settling a write whose outcome is unknown.
    pub fn in_doubt(&self) {
        self.state().pacer.in_doubt(Instant::now().into_std());
    }

    /// Refuses every further request of the token.
    pub fn stop(&self, reason: &str) {
        self.state().stopped = Some(reason.to_owned());
        self.changed.notify_waiters();
    }
}

struct Place<'a> {
    turnstile: &'a Turnstile,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.turnstile.state().pacer.leave(self.ticket);
        self.turnstile.changed.notify_waiters();
    }
}

/// The right to send one request.
///
/// Dropped without a word, as when its future is cancelled, it counts as sent.
#[derive(Debug)]
pub struct Pass {
    turnstile: Arc<Turnstile>,
    trial: Trial,
    used: bool,
}

impl Pass {
    /// Tells that Notion answered, well or badly.
    pub fn answered(self) {
        self.finish(Some(true));
    }

    /// Tells that Notion failed to answer, or failed inside.
    pub fn failed(self) {
        self.finish(Some(false));
    }

    /// Tells that the request never left, which also counts as a failure of the side.
    pub fn not_sent(mut self) {
        self.used = true;
        let mut state = self.turnstile.state();
        state.pacer.not_sent();
        state.breaker.record(self.trial, false, Instant::now().into_std());
        drop(state);
        self.turnstile.changed.notify_waiters();
    }

    fn finish(mut self, answered: Option<bool>) {
        self.used = true;
        let now = Instant::now().into_std();
        let mut state = self.turnstile.state();
        state.pacer.answered(now);
        match answered {
            Some(answered) => state.breaker.record(self.trial, answered, now),
            None => state.breaker.release(self.trial),
        }
        drop(state);
        self.turnstile.changed.notify_waiters();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.used {
            let abandoned = Pass {
                turnstile: Arc::clone(&self.turnstile),
                trial: self.trial,
                used: true,
            };
            abandoned.finish(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_has_one_turnstile_and_the_smaller_budget_holds() {
        let first = Turnstile::shared("http://127.0.0.1:1", "a", 180);
        let again = Turnstile::shared("http://127.0.0.1:1", "a", 10);
        let other = Turnstile::shared("http://127.0.0.1:1", "b", 180);
        assert!(Arc::ptr_eq(&first, &again));
        assert!(!Arc::ptr_eq(&first, &other));
    }

    #[tokio::test(start_paused = true)]
    async fn everyone_waits_for_the_pause_to_end() {
        let turnstile = Turnstile::new(180);
        turnstile.pause(Duration::from_secs(90));
        let start = Instant::now();
        let passes = (0..10).map(|_| {
            let turnstile = Arc::clone(&turnstile);
            async move { turnstile.pass(Priority::Push).await.map(Pass::answered) }
        });
        for result in futures_util::future::join_all(passes).await {
            result.unwrap();
        }
        assert_eq!(start.elapsed(), Duration::from_secs(90));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_leaves_the_queue() {
        let turnstile = Turnstile::new(10);
        turnstile.in_doubt();
        for _ in 0..9 {
            turnstile.pass(Priority::Pull).await.unwrap().answered();
        }
        let waiting = turnstile.pass(Priority::Pull);
        assert!(
            tokio::time::timeout(Duration::from_secs(1), waiting)
                .await
                .is_err()
        );
        tokio::time::timeout(Duration::from_secs(1), turnstile.pass(Priority::Settle))
            .await
            .unwrap()
            .unwrap()
            .answered();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_token_sends_nothing_more() {
        let turnstile = Turnstile::new(10);
        turnstile.stop("unauthorized");
        let closed = turnstile.pass(Priority::Pull).await.unwrap_err();
        assert_eq!(closed, Closed::Stopped("unauthorized".to_owned()));
    }
}
