//! What the server asks of a profile's state; the command line supplies it.

use std::collections::BTreeSet;

use secrecy::SecretString;
use uuid::Uuid;

use crate::ports::{BoxFuture, ConflictTally, Enrolment, RunRecord};
use crate::reconcile::Side;
use crate::report::{ConflictReport, ConflictsReport, HistoryReport, StatusReport};
use crate::value::{DataSourceId, RecordKey};

/// The state of one profile, as the commands `status`, `conflicts` and `history` tell it, and its webhooks.
///
/// Every method reads what is there now, needs no lease, and may be called concurrently.
pub trait Memory: Send + Sync {
    /// How many columns the key of an entity has; `None` where the profile does not sync it.
    fn key_columns(&self, entity: &str) -> Option<usize>;

    /// Whether the database answers.
    fn ping(&self) -> BoxFuture<'_, Result<(), MemoryError>>;

    /// How each entity stands.
    fn status(&self) -> BoxFuture<'_, Result<StatusReport, MemoryError>>;

    /// What waits for a person, oldest first.
    fn conflicts(&self) -> BoxFuture<'_, Result<ConflictsReport, MemoryError>>;

    /// One conflict, in any status.
    fn conflict(&self, id: Uuid) -> BoxFuture<'_, Result<Option<ConflictReport>, MemoryError>>;

    /// Records a person's choice, made on the values of that `rev`; without one, on those of now.
    fn choose(&self, id: Uuid, rev: Option<i64>, side: Side) -> BoxFuture<'_, Result<Choice, MemoryError>>;

    /// Lets a plan that a guard stopped run once, within the next hour.
    fn approve(&self, hash: String) -> BoxFuture<'_, Result<(), MemoryError>>;

    /// The latest runs, newest first.
    fn runs(&self, limit: u32) -> BoxFuture<'_, Result<Vec<RunRecord>, MemoryError>>;

    /// The latest entries of the audit log, newest first.
    fn history(&self, limit: u32) -> BoxFuture<'_, Result<HistoryReport, MemoryError>>;

    /// The conflicts opened in the last day, counted by what is known of them.
    fn conflicts_of_a_day(&self) -> BoxFuture<'_, Result<Vec<ConflictTally>, MemoryError>>;

    /// What deliveries are held against.
    fn subscription(&self) -> BoxFuture<'_, Result<Subscription, MemoryError>>;

    /// Takes a handshake's token if an operator lets one in; answers whether it was taken.
    fn enrol(&self, token: SecretString) -> BoxFuture<'_, Result<bool, MemoryError>>;

    /// Remembers the connection that deliveries come from; answers whether it is the one remembered.
    fn pin_integration(&self, integration: String) -> BoxFuture<'_, Result<bool, MemoryError>>;
}

/// What became of a person's choice.
#[derive(Clone, Debug)]
pub enum Choice {
    /// It is recorded; the next look at the record applies it.
    Chosen {
        /// The conflict as it now is.
        conflict: Box<ConflictReport>,
        /// The record to look at.
        key: RecordKey,
    },
    /// The values moved since, or the conflict is no longer open.
    Moved,
    /// There is no such conflict.
    Unknown,
}

/// What a profile's deliveries are held against.
#[derive(Clone, Debug, Default)]
pub struct Subscription {
    /// The subscription as it is enrolled.
    pub enrolment: Enrolment,
    /// The workspace that the profile was set up with.
    pub workspace: Option<String>,
    /// The profile's data sources.
    pub data_sources: BTreeSet<DataSourceId>,
}

/// Why a profile's state could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// There is none yet.
    #[error("the profile was never set up")]
    NotSetUp,
    /// The database failed, or the project cannot be read; for the operator.
    #[error("{0}")]
    Failed(String),
}
