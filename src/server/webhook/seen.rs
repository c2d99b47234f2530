//! Which events were taken already, and how often each page was looked at: pure, with the time handed in.
//!
//! Kept in memory: what a restart forgets costs a read, and what another instance does not know costs another.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::value::PageId;

/// How long an event is remembered; Notion's last attempt comes after about 24 hours.
///
/// Source: sync semantics, S12.
const REMEMBERED: Duration = Duration::from_secs(48 * 60 * 60);

/// Events remembered at the most, the oldest forgotten first: 16 bytes each, twice.
const MOST_EVENTS: usize = 200_000;

/// Over which time a page's looks are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Looks at one page within a window that are not made to wait: a person who sets four properties one by one.
const AT_ONCE: u32 = 4;

/// Pages counted at the most at one time.
const MOST_PAGES: usize = 10_000;

/// How often pages that rest are looked for at the most: a flood must not make each event cost a walk over all of them.
const SWEEP: Duration = Duration::from_secs(1);

/// What to do with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look at its page now.
    Pass,
    /// Look at its page once this has passed, and call [`Seen::paid`] then.
    Later(Duration),
    /// A later look is coming already.
    Merged,
    /// It was taken before.
    Replayed,
    /// Too many pages are counted; leave this one to the schedule.
    Crowded,
}

/// The events and pages of one profile.
#[derive(Debug, Default)]
pub(super) struct Seen {
    events: HashSet<u128>,
    in_order: VecDeque<(Instant, u128)>,
    pages: HashMap<PageId, Looks>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Looks {
    since: Instant,
    count: u32,
    is_owed: bool,
}

impl Seen {
    /// Takes an event, or says why it is not looked at now.
    pub(super) fn judge(&mut self, event: &str, page: &PageId, now: Instant) -> Verdict {
        self.forget(now);
        let event = digest(event);
        if self.events.contains(&event) {
            return Verdict::Replayed;
        }
        let verdict = self.look(page, now);
        self.events.insert(event);
        self.in_order.push_back((now, event));
        verdict
    }

    fn look(&mut self, page: &PageId, now: Instant) -> Verdict {
        if let Some(looks) = self.pages.get_mut(page) {
            let passed = now.saturating_duration_since(looks.since);
            if passed >= WINDOW && !looks.is_owed {
                looks.since = now;
                looks.count = 0;
            }
            if looks.is_owed {
                return Verdict::Merged;
            }
            if looks.count < AT_ONCE {
                looks.count += 1;
                return Verdict::Pass;
            }
            looks.is_owed = true;
            return Verdict::Later(WINDOW.saturating_sub(passed));
        }
        let may_sweep = self
            .swept
            .is_none_or(|at| now.saturating_duration_since(at) >= SWEEP);
        if self.pages.len() >= MOST_PAGES && may_sweep {
            self.swept = Some(now);
            self.pages
                .retain(|_, looks| looks.is_owed || now.saturating_duration_since(looks.since) < WINDOW);
        }
        if self.pages.len() >= MOST_PAGES {
            return Verdict::Crowded;
        }
        let looks = Looks {
            since: now,
            count: 1,
            is_owed: false,
        };
        self.pages.insert(page.clone(), looks);
        Verdict::Pass
    }

    /// Counts the look that [`Verdict::Later`] asked for.
    pub(super) fn paid(&mut self, page: &PageId, now: Instant) {
        if let Some(looks) = self.pages.get_mut(page) {
            *looks = Looks {
                since: now,
                count: 1,
                is_owed: false,
            };
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, event)) = self.in_order.front().copied() {
            let is_old = now.saturating_duration_since(at) >= REMEMBERED;
            if !is_old && self.in_order.len() < MOST_EVENTS {
                break;
            }
            self.events.remove(&event);
            self.in_order.pop_front();
        }
    }
}

/// Ids are texts of any length; half of their digest is as good as unique.
fn digest(event: &str) -> u128 {
    let digest = Sha256::digest(event.as_bytes());
    digest
        .iter()
        .take(16)
        .fold(0, |number, byte| number << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: usize) -> PageId {
        PageId(format!("page-{name}"))
    }

    #[test]
    fn a_replay_is_known_for_two_days() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        assert_eq!(seen.judge("e", &page(1), start), Verdict::Pass);
        for hours in [0, 1, 24, 47] {
            let now = start + Duration::from_secs(hours * 3600);
            assert_eq!(seen.judge("e", &page(1), now), Verdict::Replayed);
        }
        let now = start + REMEMBERED;
        assert_eq!(seen.judge("e", &page(1), now), Verdict::Pass);
        assert_eq!(seen.in_order.len(), 1);
    }

    #[test]
    fn a_flood_over_one_page_costs_five_looks_a_minute_and_loses_none() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        let mut looks = 0;
        let mut due = None;
        // 10,000 events within ten minutes.
        for number in 0..10_000_u32 {
            let now = start + Duration::from_millis(u64::from(number) * 60);
            if let Some(at) = due
                && now >= at
            {
                looks += 1;
                due = None;
                seen.paid(&page(1), at);
            }
            match seen.judge(&number.to_string(), &page(1), now) {
                Verdict::Pass => looks += 1,
                Verdict::Later(wait) => due = Some(now + wait),
                Verdict::Merged => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(due.is_some(), "the last edit is looked at too");
        assert!(looks <= 10 * (AT_ONCE + 1), "{looks}");
        assert!(looks >= 10 * AT_ONCE, "{looks}");
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let mut crowded = 0;
        for number in 0..MOST_EVENTS + 5_000 {
            if seen.judge(&number.to_string(), &page(number), now) == Verdict::Crowded {
                crowded += 1;
            }
        }
        assert_eq!(seen.pages.len(), MOST_PAGES);
        assert_eq!(crowded, MOST_EVENTS + 5_000 - MOST_PAGES);
        assert!(seen.events.len() <= MOST_EVENTS);
        assert_eq!(seen.events.len(), seen.in_order.len());
        // A minute later there is room again.
        assert_eq!(seen.judge("x", &page(usize::MAX), now + WINDOW), Verdict::Pass);
        assert_eq!(seen.pages.len(), 1);
    }

    #[test]
    fn a_page_that_rests_is_looked_at_at_once() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        for minute in 0..5_u64 {
            let now = start + WINDOW * u32::try_from(minute).unwrap();
            assert_eq!(seen.judge(&minute.to_string(), &page(1), now), Verdict::Pass);
        }
    }
}
