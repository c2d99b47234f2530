//! Whether one of the two clocks was put on or back since the last run: then no time from before it is held against one
//! from after it. Source: sync semantics, section 3.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::EngineError;
use super::run::{Work, locked};
use crate::ports::{Pin, Record};
use crate::reconcile::last_write::UNSEEN_STEP;

/// The pin that remembers the clocks.
pub(super) const CLOCKS_PIN: &str = "clocks";

/// Less than this is how far the measurement may be off, and not worth a write, in milliseconds.
const NOISE: i64 = 5_000;

/// What is remembered of the clocks between runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownClocks {
    /// How far Notion's is ahead of the database's, in milliseconds.
    ahead: i64,
    /// The last instant before which a time may be from before a step: in milliseconds, on the database's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stepped_until: Option<i64>,
}

impl KnownClocks {
    /// The clocks as measured at an instant, given what was remembered of them.
    fn measured(before: Option<Self>, ahead: time::Duration, now: OffsetDateTime) -> Self {
        let milliseconds = |of: i128| i64::try_from(of).unwrap_or(i64::MAX);
        let ahead = milliseconds(ahead.whole_milliseconds());
        let Some(before) = before else {
            return Self {
                ahead,
                stepped_until: None,
            };
        };
        let moved = ahead - before.ahead;
        if time::Duration::milliseconds(moved).unsigned_abs() > UNSEEN_STEP {
            // A clock that was put back tells once more what it has told before, and Notion's old times look as late as that.
            let until = milliseconds(now.unix_timestamp_nanos() / 1_000_000) + moved.abs();
            Self {
                ahead,
                stepped_until: before.stepped_until.max(Some(until)),
            }
        } else if moved.abs() > NOISE {
            Self { ahead, ..before }
        } else {
            before
        }
    }
}

impl Work<'_> {
    /// What the pin says.
    pub(super) fn pinned_clocks(&self) -> Option<KnownClocks> {
        serde_json::from_str(&self.pinned(CLOCKS_PIN)?).ok()
    }

    /// The clocks as they were remembered, and as they are.
    fn clocks(&self) -> (Option<KnownClocks>, Option<KnownClocks>) {
        let before = *locked(&self.clocks_before);
        let clock = &self.engine.clock;
        let measured = clock
            .notion_offset()
            .map(|(ahead, _)| KnownClocks::measured(before, ahead, clock.now()));
        (before, measured.or(before))
    }

    /// Until when a time may be from before a clock was put on or back.
    pub(super) fn clocks_stepped_until(&self) -> Option<OffsetDateTime> {
        let (_, now) = self.clocks();
        let until = now.and_then(|clocks| clocks.stepped_until)?;
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(until) * 1_000_000).ok()
    }

    /// Whether this is the first run since a clock was put on or back: what is marked by time is looked at whole.
    pub(super) fn clocks_stepped(&self) -> bool {
        let (before, now) = self.clocks();
        before.is_some_and(|before| now.and_then(|now| now.stepped_until) > before.stepped_until)
    }

    /// Remembers the clocks before the first record has a time of theirs: a run that ends early leaves such times, and a
    /// step that follows is to be seen.
    pub(super) async fn pin_clocks(&self) -> Result<(), EngineError> {
        match self.clocks_unpinned() {
            Some(pin) if locked(&self.clocks_before).is_none() => self.commit(vec![Record::Pin(pin)]).await,
            _ => Ok(()),
        }
    }

    /// The pin of the clocks, where it is not what it should be.
    pub(super) fn clocks_unpinned(&self) -> Option<Pin> {
        let (before, now) = self.clocks();
        let now = now.filter(|_| now != before)?;
        let value = serde_json::to_string(&now).ok()?;
        Some(Pin {
            name: CLOCKS_PIN.to_owned(),
            value,
        })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-09-04 12:00:00 UTC);

    fn seconds(clocks: KnownClocks) -> (i64, Option<i64>) {
        let since = |until: i64| until / 1000 - NOW.unix_timestamp();
        (clocks.ahead / 1000, clocks.stepped_until.map(since))
    }

    #[test]
    fn only_a_step_that_can_be_seen_leaves_times_in_doubt() {
        let ahead = time::Duration::seconds;
        let at = |seconds: i64| NOW + ahead(seconds);
        let first = KnownClocks::measured(None, ahead(20), at(0));
        assert_eq!(seconds(first), (20, None));
        // How exact a `Date` header is, and what clocks drift.
        assert_eq!(KnownClocks::measured(Some(first), ahead(24), at(60)), first);
        let drifted = KnownClocks::measured(Some(first), ahead(30), at(60));
        assert_eq!(seconds(drifted), (30, None));
        // The database's clock was put on: what it told before is earlier than now.
        let on = KnownClocks::measured(Some(first), ahead(-11), at(60));
        assert_eq!(seconds(on), (-11, Some(91)));
        // Put back by 40 seconds, it tells those once more.
        let back = KnownClocks::measured(Some(on), ahead(29), at(120));
        assert_eq!(seconds(back), (29, Some(160)));
        // Seen once, it is remembered and not seen again.
        assert_eq!(KnownClocks::measured(Some(back), ahead(29), at(180)), back);
    }
}
