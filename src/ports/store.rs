//! The port to the engine's memory: links, baselines, journal, conflicts, lease.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{BoxFuture, Retry, Row, RowOutcome, RowWrite};
use crate::journal::{AuditEntry, Conflict, Intent, Trouble};
use crate::reconcile::{FieldState, Phase, Side};
use crate::value::{PageId, PropertyId, RecordKey, Shared};

/// The tie between a key and a page: a record's identity.
///
/// In a profile, one entity and key have one link that is not a tombstone, and one page has one link: these
/// two unique constraints are the promise of no duplicates, and a [`Commit`] that breaks one fails with
/// [`StoreError::Taken`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Its own id.
    pub id: Uuid,
    /// The entity.
    pub entity: String,
    /// The row's key.
    pub key: RecordKey,
    /// The page; `None` until it exists.
    pub page: Option<PageId>,
    /// Where the record stands.
    pub phase: Phase,
    /// How often the key came back after its row had gone; 0 at first.
    pub incarnation: u32,
    /// Counts writes. Upserted only over the number before it; 0 for a new link.
    pub rev: i64,
    /// What was last seen of each field, by property.
    pub fields: Shared<BTreeMap<PropertyId, FieldState>>,
    /// `last_edited_time` of the newest accepted read.
    pub page_edited_at: Option<OffsetDateTime>,
    /// `last_edited_time` in the answer of our own last settled write.
    pub page_mark: Option<OffsetDateTime>,
    /// When that write was sent, on the database's clock: its `last_edited_time` is no older.
    pub page_written_at: Option<OffsetDateTime>,
    /// When the link was last written with both sides looked at.
    pub settled_at: Option<OffsetDateTime>,
    /// The `sync_status` last written to the page.
    pub status: Option<String>,
    /// When to look again though nothing seems to have changed: open conflicts, deferrals, retries.
    pub look_again_at: Option<OffsetDateTime>,
    /// Complete listings in a row that did not show the page, with the instant of the first.
    pub missed: Option<(u32, OffsetDateTime)>,
    /// What keeps the record, or fields of it, out of step.
    pub troubles: Vec<Trouble>,
    /// A note for people, such as `page_left_behind`.
    pub note: Option<String>,
}

/// Per-entity memory of how far the observation went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Marks {
    /// The newest `last_edited_time` seen in a query, on Notion's clock.
    pub pages_edited_until: Option<OffsetDateTime>,
    /// When the last complete listing of pages began, on the database's clock.
    pub pages_listed_at: Option<OffsetDateTime>,
    /// When pages were last queried at all, on the database's clock.
    pub pages_queried_at: Option<OffsetDateTime>,
    /// When the last complete scan of rows began.
    pub rows_scanned_at: Option<OffsetDateTime>,
    /// When rows were last looked at by the mapping's change capture.
    pub rows_captured_at: Option<OffsetDateTime>,
    /// Whether the first push was finished, after which the guards on creations hold.
    pub initialised: bool,
}

/// What a profile was pinned to when it was set up; a difference stops it before it writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    /// What is pinned: `workspace`, `bot`, `data_source:teams`, `config:teams`, `postgres_system`, …
    pub name: String,
    /// The pinned value: an id or a digest.
    pub value: String,
}

/// The right to write for a profile, until it expires or a later epoch takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseGrant {
    /// Grows with every change of holder; fences all commits.
    pub epoch: i64,
    /// When it ends, on the database's clock.
    pub expires_at: OffsetDateTime,
}

/// What a commit must still hold to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The epoch of the lease the run started with.
    pub epoch: i64,
}

/// How many links an entity has, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkTotals {
    /// Links in each phase.
    pub by_phase: BTreeMap<Phase, u64>,
    /// Links with at least one trouble.
    pub troubled: u64,
    /// Open conflicts.
    pub conflicts: u64,
    /// Links that ask to be looked at again.
    pub pending: u64,
}

impl LinkTotals {
    /// Links whose row and page are both there, as far as is known.
    pub fn linked(&self) -> u64 {
        self.by_phase.get(&Phase::Linked).copied().unwrap_or(0)
    }
}

/// One run, for reports and history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its id.
    pub id: Uuid,
    /// The command: `sync`, `push`, `pull`, `setup`.
    pub command: String,
    /// When it began.
    pub started_at: OffsetDateTime,
    /// When it ended; `None` while it runs, or after a crash.
    pub finished_at: Option<OffsetDateTime>,
    /// Its report as JSON, once finished.
    pub report: Option<serde_json::Value>,
}

/// A person's leave for one plan that a guard stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The plan's hash.
    pub hash: String,
    /// When the leave ends.
    pub expires_at: OffsetDateTime,
}

/// Which audit entries are asked for; all conditions together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this entity.
    pub entity: Option<String>,
    /// Of this record.
    pub key: Option<RecordKey>,
    /// Of this run.
    pub run: Option<Uuid>,
    /// This one entry.
    pub entry: Option<Uuid>,
    /// At most this many, newest first.
    pub limit: u32,
}

/// How much was erased of what the memory held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Entries of the audit log.
    pub entries: u64,
    /// Settled conflicts.
    pub conflicts: u64,
    /// Links of records that are gone, whose last agreed values were still kept.
    pub baselines: u64,
}

/// One change of the memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Inserts a link with `rev` 0, or replaces the one whose stored `rev` is this one's; stores `rev + 1`.
    Link(Box<Link>),
    /// Forgets a link that never had a page.
    LinkGone(Uuid),
    /// Writes an intent, or replaces it by its id.
    Intent(Intent),
    /// Removes an intent whose request was certainly not applied.
    IntentGone(Uuid),
    /// Opens a conflict, or replaces it by its id.
    Conflict(Conflict),
    /// Appends to the audit log.
    Audit(AuditEntry),
    /// Replaces an entity's marks.
    Marks(String, Marks),
    /// Removes notes from an entity's change log: entity and numbers.
    Acknowledged(String, Vec<i64>),
    /// Inserts or replaces a run.
    Run(RunRecord),
    /// Inserts or replaces a pin.
    Pin(Pin),
    /// Gives leave for a plan.
    Approval(Approval),
    /// Removes what is from before that instant and of use to nobody: audit entries, runs, conflicts that are closed;
    /// and approvals that have ended. Perhaps not all at once.
    Forgotten(OffsetDateTime),
}

/// The records that go with a row write, made from the row as Postgres returned it.
///
/// Called inside the transaction, after the write and before the commit; must be quick, and is not called at
/// all when the row was not written. May be called again if the transaction is retried.
pub type Settle<'a> = Box<dyn Fn(&Row) -> Vec<Record> + Send + Sync + 'a>;

/// One transaction: everything in it happens, or nothing.
pub struct Commit<'a> {
    /// The row to write, and what to record of the row as it then is.
    pub row: Option<(RowWrite, Settle<'a>)>,
    /// What else to record, in this order, before the row is written.
    pub records: Vec<Record>,
}

impl Commit<'_> {
    /// A transaction that writes no row.
    pub fn of(records: Vec<Record>) -> Self {
        Self { row: None, records }
    }
}

/// How a commit ended.
#[derive(Clone, Debug, PartialEq)]
pub enum CommitOutcome {
    /// Everything is stored. With the row's outcome where one was written.
    Committed(Option<Row>),
    /// The row write did not happen (see [`RowOutcome`]), and so nothing else did.
    RowRefused(RowOutcome),
}

/// Keeps the engine's state in schema `frames_sync` of the database that holds the rows.
///
/// An implementer belongs to one profile: no answer ever holds another profile's records.
///
/// **Guarantees.** [`Store::commit`] is atomic, and checks the fence inside the transaction. A commit that
/// fails with [`StoreError::Unknown`] either happened whole or not at all; reading the link's `rev` tells.
pub trait Store: Send + Sync {
    /// Takes the profile's lease for `duration` if it is free, expired, or already `holder`'s; `None` when
    /// another holder has it. Expiry is judged by the database's clock. A change of holder raises the epoch.
    fn acquire<'a>(
        &'a self,
        holder: &'a str,
        duration: Duration,
    ) -> BoxFuture<'a, Result<Option<LeaseGrant>, StoreError>>;

    /// Prolongs the lease to `duration` from now; fails with [`StoreError::Fenced`] when it was lost.
    fn renew<'a>(&'a self, fence: Fence, duration: Duration)
    -> BoxFuture<'a, Result<LeaseGrant, StoreError>>;

    /// Gives the lease back; nothing happens when it was lost already.
    fn release<'a>(&'a self, fence: Fence) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Writes one transaction.
    fn commit<'a>(
        &'a self,
        fence: Fence,
        commit: Commit<'a>,
    ) -> BoxFuture<'a, Result<CommitOutcome, StoreError>>;

    /// The links of these keys that are not tombstones, and tombstones of keys that have no other; any order.
    fn links_by_key<'a>(
        &'a self,
        entity: &'a str,
        keys: &'a [RecordKey],
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>>;

    /// The links of these pages, in any phase; any order.
    fn links_by_page<'a>(
        &'a self,
        entity: &'a str,
        pages: &'a [PageId],
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>>;

    /// The entity's links with an id after `after`, by id, at most `limit`.
    fn links_after<'a>(
        &'a self,
        entity: &'a str,
        after: Option<Uuid>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>>;

    /// The entity's links whose `look_again_at` has come by `now`, earliest first, at most `limit`.
    fn links_due<'a>(
        &'a self,
        entity: &'a str,
        now: OffsetDateTime,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>>;

    /// Links with a trouble, by key; at most `limit`.
    fn links_troubled<'a>(
        &'a self,
        entity: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Link>, StoreError>>;

    /// How many links the entity has.
    fn totals<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<LinkTotals, StoreError>>;

    /// The intents of these links: pending ones, and the others until a run ends that began 24 hours after they were settled
    /// or given up.
    fn intents<'a>(&'a self, links: &'a [Uuid]) -> BoxFuture<'a, Result<Vec<Intent>, StoreError>>;

    /// The links of the entity that have a pending intent.
    fn links_with_intents<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<Vec<Link>, StoreError>>;

    /// The conflicts of these links that are open or chosen.
    fn conflicts<'a>(&'a self, links: &'a [Uuid]) -> BoxFuture<'a, Result<Vec<Conflict>, StoreError>>;

    /// The profile's open and chosen conflicts, oldest first; of one entity, or of all.
    fn open_conflicts<'a>(
        &'a self,
        entity: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Conflict>, StoreError>>;

    /// The conflict of that id, in any status.
    fn conflict<'a>(&'a self, id: Uuid) -> BoxFuture<'a, Result<Option<Conflict>, StoreError>>;

    /// Records a person's choice, if the conflict is still open with that `rev`; answers whether it was.
    ///
    /// Needs no lease. Makes the link due at once.
    fn choose<'a>(&'a self, id: Uuid, rev: i64, side: Side) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// The entity's marks; the default before the first run.
    fn marks<'a>(&'a self, entity: &'a str) -> BoxFuture<'a, Result<Marks, StoreError>>;

    /// How many records of the entity had their page or row deleted by the engine since `since`, on that side; pages
    /// that belonged to no record do not count.
    fn deleted_since<'a>(
        &'a self,
        entity: &'a str,
        side: Side,
        since: OffsetDateTime,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// How often the engine wrote to each of these records since `since`; records without writes are left out.
    fn writes_since<'a>(
        &'a self,
        links: &'a [Uuid],
        since: OffsetDateTime,
    ) -> BoxFuture<'a, Result<BTreeMap<Uuid, u32>, StoreError>>;

    /// What tells the database that holds the state from a restored, copied or promoted one; `None` where that
    /// cannot be told.
    fn identity(&self) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    /// All pins of the profile.
    fn pins(&self) -> BoxFuture<'_, Result<Vec<Pin>, StoreError>>;

    /// Uses up the approval of that hash; answers whether there was one that had not expired.
    fn take_approval<'a>(
        &'a self,
        hash: &'a str,
        now: OffsetDateTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Grants an approval outside any lease.
    fn approve<'a>(&'a self, approval: &'a Approval) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Audit entries, newest first.
    fn audit<'a>(&'a self, filter: &'a AuditFilter) -> BoxFuture<'a, Result<Vec<AuditEntry>, StoreError>>;

    /// The latest runs, newest first.
    fn runs<'a>(&'a self, limit: u32) -> BoxFuture<'a, Result<Vec<RunRecord>, StoreError>>;
}

/// Why the engine's memory failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another runner holds the lease now; nothing was written.
    #[error("another runner has taken over this profile")]
    Fenced,
    /// A link moved since it was read, or its key or page is linked already; nothing was written.
    #[error("a record of `{entity}` was linked or changed by somebody else meanwhile")]
    Taken {
        /// The entity.
        entity: String,
    },
    /// The connection was lost while committing: it happened whole, or not at all.
    #[error("the connection was lost while committing")]
    Unknown {
        /// What the adapter met.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Nothing was written or read.
    #[error("cannot {doing}")]
    Failed {
        /// What was being done, as the end of "cannot".
        doing: &'static str,
        /// Whether another attempt may help.
        retry: Retry,
        /// What the adapter met.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// When the call may be made again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Fenced => Retry::Never,
            Self::Taken { .. } => Retry::WithBackOff,
            Self::Unknown { .. } => Retry::Unknown,
            Self::Failed { retry, .. } => *retry,
        }
    }
}
