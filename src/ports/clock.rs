//! Time and chance, the two inputs that would make a run unrepeatable.

use std::time::Duration;

use time::OffsetDateTime;

use super::BoxFuture;

/// The one clock of a run: the database's, so that leases, marks and intervals share it.
///
/// **Guarantees.** [`Clock::now`] is UTC and costs no round trip: an implementer measures its distance from the
/// database's `clock_timestamp()` at the start of a run and adds it to a monotonic clock.
pub trait Clock: Send + Sync {
    /// The present instant on the database's clock, UTC.
    fn now(&self) -> OffsetDateTime;

    /// Resolves after `duration`; at once under a clock that a test moves by itself.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;

    /// How far Notion's clock is ahead of [`Clock::now`], and the most that this may be wrong by.
    ///
    /// Estimated from `Date` headers; `None` before the first answer.
    fn notion_offset(&self) -> Option<(time::Duration, Duration)>;

    /// The same without its error; zero before the first answer.
    fn notion_ahead(&self) -> time::Duration {
        self.notion_offset()
            .map_or(time::Duration::ZERO, |(ahead, _)| ahead)
    }
}

/// A source of random numbers; seeded in tests.
pub trait Rng: Send + Sync {
    /// The next 64 bits.
    fn next_u64(&self) -> u64;
}
