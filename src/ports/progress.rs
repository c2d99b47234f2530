//! The port to whoever watches a run.

use crate::reconcile::Decision;

/// What a run is doing, told while it goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress<'a> {
    /// It looks for what has changed in an entity.
    Looking {
        /// The entity.
        entity: &'a str,
    },
    /// It knows how many records it works on.
    Planned {
        /// How many.
        records: usize,
    },
    /// It has decided about one record: for its plan, or to carry it out.
    Decided {
        /// What it decided.
        decision: &'a Decision,
    },
    /// It is done with one record, for this run.
    Settled {
        /// The record's entity.
        entity: &'a str,
    },
}

/// Is told how far a run is. Telling must be quick: the run waits for it.
///
/// What is told steers nothing, and a run is the same whoever watches.
pub trait Watcher: Send + Sync {
    /// Takes one step of a run; may be called concurrently.
    fn tell(&self, progress: Progress<'_>);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Watcher for Nobody {
    fn tell(&self, _: Progress<'_>) {}
}
