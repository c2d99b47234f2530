//! The simulator's clock: the machine's, or one that a test moves.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::workspace::Moment;

/// Where the simulator's time comes from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's clock, this many milliseconds ahead (or behind, below zero).
    Machine {
        /// How far ahead, in milliseconds.
        offset: i64,
    },
    /// A clock that stands still until it is moved.
    Moved(Moment),
}

impl Default for Clock {
    /// The machine's clock as it is.
    fn default() -> Self {
        Self::Machine { offset: 0 }
    }
}

impl Clock {
    /// The present time.
    pub fn now(&self) -> Moment {
        match self {
            Self::Machine { offset } => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Moment(
                    i64::try_from(since.as_millis())
                        .unwrap_or(i64::MAX)
                        .saturating_add(*offset),
                )
            }
            Self::Moved(moment) => *moment,
        }
    }

    /// Moves time forward; the machine's clock gains an offset.
    pub fn advance(&mut self, length: Duration) {
        match self {
            Self::Machine { offset } => {
                *offset = offset.saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
            }
            Self::Moved(moment) => *moment = moment.after(length),
        }
    }
}
