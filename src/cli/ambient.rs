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
}

impl DatabaseClock {
    /// Measures the database's clock; the error is at most half the round trip.
    pub(crate) async fn measure(pool: &PgPool) -> Result<Self, PostgresError> {
        let asked = Instant::now();
        let at_start = database_time(pool).await?;
        Ok(Self {
            at_start,
            started: asked + asked.elapsed() / 2,
        })
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
        None
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
