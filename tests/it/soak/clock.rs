//! The one clock of a soak: the runtime's, which stands still while anybody works and jumps while all wait.

use std::time::Duration;

use frames_sync::ports::{BoxFuture, Clock};
use frames_sync::simulator;
use frames_sync::simulator::workspace::Moment;
use time::OffsetDateTime;
use tokio::time::Instant;

/// When a soak begins.
const START: OffsetDateTime = time::macros::datetime!(2026-09-04 06:00:10 UTC);

/// Virtual time. Notion's clock is ahead of it by a known offset.
pub(crate) struct VirtualClock {
    origin: Instant,
    notion_ahead: time::Duration,
}

impl VirtualClock {
    pub(crate) fn new(notion_ahead: time::Duration) -> Self {
        Self {
            origin: Instant::now(),
            notion_ahead,
        }
    }

    /// What Notion's clock shows.
    pub(crate) fn of_notion(&self) -> simulator::Clock {
        simulator::Clock::Moved(Moment::of(self.now() + self.notion_ahead))
    }

    /// How much time has passed.
    pub(crate) fn passed(&self) -> Duration {
        self.origin.elapsed()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> OffsetDateTime {
        START + self.origin.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn notion_offset(&self) -> Option<(time::Duration, Duration)> {
        // The date of an answer has whole seconds.
        Some((self.notion_ahead, Duration::from_secs(1)))
    }
}
