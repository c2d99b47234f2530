//! The short form of the campaign.

use super::campaign::twice;
use super::mutants::Mutant;
use super::simulate;
use super::tape::Tape;

#[test]
fn a_hundred_schedules_hold_every_invariant_and_repeat_to_the_byte() {
    for seed in 0..100 {
        let verdict = twice(&Tape::of(seed), None);
        assert_eq!(verdict.violations, Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn the_canary_always_fails() {
    for seed in 0..5 {
        let verdict = simulate(&Tape::of(seed), Some(Mutant::Canary), false);
        assert!(!verdict.violations.is_empty(), "seed {seed}");
    }
}
