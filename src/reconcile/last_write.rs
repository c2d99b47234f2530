//! Who wrote last, as far as that can be known.
//!
//! Two clocks and a minute-floored time do not give an order of events; intervals on the database's clock do,
//! or say that they cannot. Source: sync semantics, section 3.

use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use super::{Side, Sides};

/// When something happened: after one instant, not after another; on the database's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Interval {
    /// It had not happened yet; `None` when nothing is known.
    pub after: Option<OffsetDateTime>,
    /// It had happened; `None` when nothing is known.
    pub until: Option<OffsetDateTime>,
    /// The best single guess; `None` where there is no ground for one.
    pub estimate: Option<OffsetDateTime>,
}

/// How far two clocks can be held against each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clocks {
    /// How far Notion's, already corrected, may be off.
    pub error: Duration,
    /// Up to this instant a time may be from before one of them was put on or back.
    pub stepped_until: Option<OffsetDateTime>,
}

impl Interval {
    /// What it tells without the times from before a clock was put on or back.
    fn since(self, step: Option<OffsetDateTime>) -> Self {
        let counts = |at: &OffsetDateTime| step.is_none_or(|step| *at > step);
        Self {
            after: self.after.filter(counts),
            until: self.until.filter(counts),
            estimate: self.estimate.filter(counts),
        }
    }

    /// The interval with its estimate kept inside, widened by `error` on both ends.
    fn widened(self, error: Duration) -> Self {
        Self {
            after: self.after.map(|at| at - error),
            until: self.until.map(|at| at + error),
            ..self
        }
    }
}

/// How sure the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// It cannot be told.
    Tie,
    /// The best guesses are more than a minute apart.
    Probable,
    /// The intervals do not overlap.
    Proven,
}

/// Who was later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The later side; `None` exactly for a tie.
    pub later: Option<Side>,
    /// How sure that is.
    pub certainty: Certainty,
}

/// An error of the clock offset beyond this leaves no ground for an order.
///
/// Source: sync semantics, section 3.
const MAX_OFFSET_ERROR: Duration = Duration::from_secs(5);

/// By how much a clock may be put on or back without anybody seeing it, for two measurements may be off by as much.
pub const UNSEEN_STEP: Duration = Duration::from_secs(10);

/// Estimates closer than this, plus the offset's error, are no order: Notion's times are floored to the minute.
const MIN_DISTANCE: Duration = Duration::from_secs(60);

/// Judges which side changed later. Swapping the sides swaps the answer.
///
/// `clocks` is `None` when it is not known how far they are apart, which forces a tie. So does an order that only times
/// from before and after a step of one of them would tell.
pub fn judge(changed: &Sides<Interval>, clocks: Option<Clocks>) -> Judgement {
    let tie = Judgement {
        later: None,
        certainty: Certainty::Tie,
    };
    let Some(clocks) = clocks.filter(|clocks| clocks.error <= MAX_OFFSET_ERROR) else {
        return tie;
    };
    let error = clocks.error + UNSEEN_STEP;
    let row = changed.postgres.since(clocks.stepped_until).widened(error);
    let page = changed.notion.since(clocks.stepped_until).widened(error);
    if ends_before(&row, &page) {
        return Judgement {
            later: Some(Side::Notion),
            certainty: Certainty::Proven,
        };
    }
    if ends_before(&page, &row) {
        return Judgement {
            later: Some(Side::Postgres),
            certainty: Certainty::Proven,
        };
    }
    let (Some(row), Some(page)) = (row.estimate, page.estimate) else {
        return tie;
    };
    let distance = MIN_DISTANCE + error;
    if row - page > distance {
        Judgement {
            later: Some(Side::Postgres),
            certainty: Certainty::Probable,
        }
    } else if page - row > distance {
        Judgement {
            later: Some(Side::Notion),
            certainty: Certainty::Probable,
        }
    } else {
        tie
    }
}

fn ends_before(earlier: &Interval, later: &Interval) -> bool {
    matches!((earlier.until, later.after), (Some(until), Some(after)) if until <= after)
}
