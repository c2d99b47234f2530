//! How long a worker rests after a failure. Pure: chance is handed in.

use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);

/// The longest rest. Source: sync semantics, section 8.
const LONGEST: Duration = Duration::from_mins(5);

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures(u32);

impl Failures {
    /// Begins anew after a success.
    pub(super) fn forget(&mut self) {
        self.0 = 0;
    }

    /// Counts a failure; answers how long to rest: doubling up to five minutes, and `chance` takes up to half away,
    /// so that instances that failed together do not come back together.
    pub(super) fn rest(&mut self, chance: u64) -> Duration {
        let most = FIRST
            .saturating_mul(2_u32.saturating_pow(self.0.min(16)))
            .min(LONGEST);
        self.0 = self.0.saturating_add(1);
        jittered(most, chance)
    }
}

/// Between half of `most` and all of it.
pub(super) fn jittered(most: Duration, chance: u64) -> Duration {
    let half = most / 2;
    let steps = 1 + u64::try_from(half.as_micros()).unwrap_or(u64::MAX - 1);
    half + Duration::from_micros(chance % steps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rests_grow_and_are_capped_and_never_none(chances in prop::collection::vec(any::<u64>(), 1..40)) {
            let mut failures = Failures::default();
            for (failed, chance) in (0_u32..).zip(chances) {
                let most = LONGEST.min(FIRST * 2_u32.pow(failed.min(16)));
                let rest = failures.rest(chance);
                prop_assert!(rest >= most / 2 && rest <= most, "{rest:?} after {failed} of {most:?}");
            }
            failures.forget();
            prop_assert!(failures.rest(0) <= FIRST);
        }
    }
}
