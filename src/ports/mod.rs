//! What the engine asks of the world: rows, pages, its own memory, the time, and chance.
//!
//! Five traits, each with two implementers, one real and one in memory, and a sixth that only listens ([`Watcher`]). They speak of entities by name, of
//! columns by name and of properties by id; an implementer is built for one profile, with its bound mappings,
//! so nothing here carries a table, a scope or a token. Scope is not an argument: an implementer that cannot
//! hold every read and write to it is wrong.
//!
//! Every method takes `&self`, may be called concurrently, and its future may be dropped at any await: a
//! dropped write is an ambiguous write. Futures are boxed so that the engine holds `dyn` ports and compiles
//! once; a box costs nothing beside a round trip and still allows thousands of simulated schedules a second.

mod clock;
mod pages;
mod progress;
mod rows;
mod serving;
mod store;

pub use clock::{Clock, Rng};
pub use pages::{
    Page, PageBatch, PageParent, PageQuery, PageWrite, Pages, PagesError, Priority, PropertyRead,
};
pub use progress::{Nobody, Progress, Watcher};
pub use rows::{Change, ColumnRejection, Row, RowChange, RowOutcome, RowTables, RowWrite, Rows, RowsError};
pub use serving::{ConflictTally, Enrolment};
pub use store::{
    Approval, AuditFilter, Commit, CommitOutcome, Erased, Fence, LeaseGrant, Link, LinkTotals, Marks, Pin,
    Record, RunRecord, Settle, Store, StoreError,
};

use std::time::Duration;

pub use futures_util::future::BoxFuture;

pub use crate::value::Value;

/// When an operation that failed may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Certainly not applied; may be sent again after the engine's own back-off.
    WithBackOff,
    /// Certainly not applied; may be sent again once this has passed, as the other side asked.
    After(Duration),
    /// Perhaps applied: must be settled by looking, never by sending again.
    Unknown,
    /// Trying again would end the same way.
    Never,
}
