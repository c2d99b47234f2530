//! Makes a failing tape small: takes out work, faults and cycles as long as it still fails. Everything keeps its instant,
//! so what stays meets what it met before.

use super::mutants::Mutant;
use super::tape::Tape;
use super::{For, simulate};

/// The invariant that a violation is about.
pub(crate) fn kind(violation: &str) -> &str {
    violation.split(':').next().unwrap_or(violation)
}

fn fails(tape: &Tape, mutant: Option<Mutant>, like: &str) -> bool {
    let verdict = simulate(tape, mutant, For::Judgement);
    verdict.violations.iter().any(|violation| kind(violation) == like)
}

/// The smallest tape found that violates the same invariant.
pub(crate) fn shrink(tape: &Tape, mutant: Option<Mutant>, like: &str) -> Tape {
    let mut smallest = tape.clone();
    loop {
        let before = size(&smallest);
        thin(&mut smallest, mutant, like, |tape| &mut tape.ops);
        thin(&mut smallest, mutant, like, |tape| &mut tape.faults);
        thin(&mut smallest, mutant, like, |tape| &mut tape.cycles);
        if size(&smallest) == before {
            return smallest;
        }
    }
}

fn size(tape: &Tape) -> usize {
    tape.ops.len() + tape.faults.len() + tape.cycles.len()
}

fn thin<T: Clone>(tape: &mut Tape, mutant: Option<Mutant>, like: &str, part: fn(&mut Tape) -> &mut Vec<T>) {
    let mut chunk = part(tape).len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        while at < part(tape).len() {
            let mut fewer = tape.clone();
            let items = part(&mut fewer);
            let end = (at + chunk).min(items.len());
            items.drain(at..end);
            if fails(&fewer, mutant, like) {
                *tape = fewer;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
}
