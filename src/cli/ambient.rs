//! The real clock and real chance.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ports::{BoxFuture, Clock, Rng};
use crate::postgres::{PostgresError, database_time};

/// The database's clock: measured once, carried on by this machine's monotonic one.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseClock {
    at_start: OffsetDateTime,
    started: Instant,
    notion_offset: Option<(time::Duration, Duration)>,
}

impl DatabaseClock {
    /// Measures the database's clock; the error is at most half the round trip.
    pub(crate) async fn measure(pool: &PgPool) -> Result<Self, PostgresError> {
        let asked = Instant::now();
        let at_start = database_time(pool).await?;
        Ok(Self {
            at_start,
            started: asked + asked.elapsed() / 2,
            notion_offset: None,
        })
    }

    /// The same clock, which knows how far Notion's is ahead: an answer dated `date` came between two instants.
    ///
    /// The date has whole seconds, so the error is half a second and half the time that passed between the two.
    pub(crate) fn with_notion(self, date: OffsetDateTime, asked: Instant, answered: Instant) -> Self {
        let at_least = date - self.at(answered);
        let at_most = date + time::Duration::SECOND - self.at(asked);
        let error: time::Duration = (at_most - at_least) / 2;
        Self {
            notion_offset: Some((at_least + error, error.unsigned_abs())),
            ..self
        }
    }

    fn at(&self, instant: Instant) -> OffsetDateTime {
        match instant.checked_duration_since(self.started) {
            Some(since) => self.at_start + since,
            None => self.at_start - (self.started - instant),
        }
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> OffsetDateTime {
        self.at_start + self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn notion_offset(&self) -> Option<(time::Duration, Duration)> {
        self.notion_offset
    }
}

/// The operating system's randomness.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemRng;

impl Rng for SystemRng {
    fn next_u64(&self) -> u64 {
        // A version 4 UUID has 122 random bits; folding its halves leaves no fixed bit of the version or variant.
        let (high, low) = Uuid::new_v4().as_u64_pair();
        high ^ low.rotate_left(17)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn notions_clock_is_placed_within_half_a_second_and_half_the_wait() {
        let started = Instant::now();
        let clock = DatabaseClock {
            at_start: datetime!(2026-09-04 12:00:00 UTC),
            started,
            notion_offset: None,
        };
        assert_eq!(clock.notion_offset(), None);
        // Asked 400 ms before the database's clock was read, answered 200 ms before; Notion is some 90 s ahead.
        let asked = started - Duration::from_millis(400);
        let clock = clock.with_notion(
            datetime!(2026-09-04 12:01:29 UTC),
            asked,
            started - Duration::from_millis(200),
        );
        let (offset, error) = clock.notion_offset().expect("an offset");
        assert_eq!(error, Duration::from_millis(600));
        assert_eq!(offset, time::Duration::milliseconds(89_800));
        // Whatever the truth was in that time, it is within the error.
        for (passed, fraction) in [(0, 0), (0, 999), (200, 0), (200, 999)] {
            let notion = datetime!(2026-09-04 12:01:29 UTC) + Duration::from_millis(fraction);
            let here = clock.at(asked + Duration::from_millis(passed));
            assert!(((notion - here) - offset).unsigned_abs() <= error);
        }
    }
}
