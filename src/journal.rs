//! What is written down before and after the engine touches anything: intents, conflicts and the audit log.
//!
//! These are values; the store keeps them. An intent stands in the store before its request leaves, so that a
//! crash leaves a question that reading can answer. An audit entry is committed with the change it tells of.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::reconcile::{Reason, Side, Value};
use crate::report::ErrorCode;
use crate::value::{PageId, PropertyId, RecordKey};

/// A request to Notion that is about to be sent, or whose answer has not been recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Its own id.
    pub id: Uuid,
    /// The link it is about.
    pub link: Uuid,
    /// The entity of that link.
    pub entity: String,
    /// What the request does.
    pub kind: IntentKind,
    /// What it sets, field by field.
    pub fields: Vec<SentField>,
    /// How many requests were made for the same purpose, this one included.
    pub attempt: u32,
    /// When it was written down, on the database's clock: not later than the request.
    pub sent_at: OffsetDateTime,
    /// Until when Notion may still apply it unseen; of one that was given up, when that was.
    pub settle_after: OffsetDateTime,
    /// Where it stands.
    pub status: IntentStatus,
}

/// What a journaled request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentKind {
    /// Creates the record's page.
    CreatePage,
    /// Sets properties.
    PatchPage,
    /// Puts the page in the trash.
    TrashPage,
    /// Takes the page out of the trash.
    RestorePage,
}

/// One field of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentField {
    /// The property.
    pub property: PropertyId,
    /// The canonical Notion value that is sent.
    pub sent: Value,
    /// The column's value that it stands for; `None` for the engine's own properties.
    pub from_row: Option<Value>,
    /// What the page was read to hold just before; `None` on a create.
    pub replaces: Option<Value>,
}

/// Where a journaled request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentStatus {
    /// Its outcome is not recorded.
    Pending,
    /// It was seen to be applied though its answer never came, and the baselines say so; it may land once more, where what
    /// was seen had another cause.
    Settled,
    /// It was answered: applied, once and for all, and the baselines say so.
    Answered,
    /// It was not seen to apply in its time; it may still land, which its values then show.
    Abandoned,
}

/// How the application of one operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done and recorded.
    Applied,
    /// The world had moved: another look found nothing to do, or something else, which was done.
    Replanned,
    /// Left for a later run.
    Deferred,
    /// A person must choose.
    Conflicted,
    /// Refused or failed, recorded with its code.
    Failed,
}

/// Two values that only a person, or a policy, can choose between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// Its own id.
    pub id: Uuid,
    /// The link.
    pub link: Uuid,
    /// The entity.
    pub entity: String,
    /// The record.
    pub key: RecordKey,
    /// The record's page.
    pub page: Option<PageId>,
    /// The property; `None` when the conflict is about the record's existence.
    pub property: Option<PropertyId>,
    /// The column's value when both sides last agreed.
    pub base_row: Option<Value>,
    /// The property's value when both sides last agreed.
    pub base_page: Option<Value>,
    /// The column's value.
    pub row: Option<Value>,
    /// The property's value.
    pub page_value: Option<Value>,
    /// Why it is one, or how it was settled.
    pub reason: Reason,
    /// When each side changed, as far as that is known, and how sure the answer is: for people and metrics.
    pub evidence: serde_json::Value,
    /// Where it stands.
    pub status: ConflictStatus,
    /// Counts every change of the values; a person's choice names the number it was made on.
    pub rev: i64,
    /// When it was opened.
    pub opened_at: OffsetDateTime,
    /// When it was closed.
    pub closed_at: Option<OffsetDateTime>,
}

/// Where a conflict stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConflictStatus {
    /// Neither side is written until a person chooses or the values agree.
    Open,
    /// A policy chose; the loser is kept in here.
    AutoResolved,
    /// A person chose this side; the next run applies it.
    Chosen(Side),
    /// A person's choice was applied.
    Resolved(Side),
    /// The values came to agree, or the record went.
    Superseded,
}

/// One line of the audit log: append-only, and enough to put back what was overwritten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its own id.
    pub id: Uuid,
    /// The run that did it.
    pub run: Uuid,
    /// The link; `None` for a page that belongs to none.
    pub link: Option<Uuid>,
    /// The entity.
    pub entity: String,
    /// The record, when it has a key.
    pub key: Option<RecordKey>,
    /// The record's page, when it has one.
    pub page: Option<PageId>,
    /// The property; `None` for a whole page or row.
    pub property: Option<PropertyId>,
    /// The side that was written, or would have been.
    pub side: Side,
    /// What was done.
    pub act: Act,
    /// What stood there before.
    pub old: Option<Kept>,
    /// What stands there now.
    pub new: Option<Kept>,
    /// Why.
    pub cause: Reason,
    /// When, on the database's clock.
    pub at: OffsetDateTime,
}

/// What an audit entry keeps, so that it can be put back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// One value.
    Value(Value),
    /// A whole row by column, or a whole page by property id.
    Record(std::collections::BTreeMap<String, Value>),
    /// Nothing any more: it was erased because somebody asked for it. That it was written stays on record.
    Erased {
        /// When, on the database's clock.
        at: OffsetDateTime,
    },
}

/// What an audit entry tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A page or row was made.
    Created,
    /// A value was written.
    Updated,
    /// A page went to the trash, or a row was deleted.
    Deleted,
    /// A page came back from the trash, or a row was put back.
    Restored,
    /// A value lost a conflict and was not written anywhere.
    Overruled,
    /// An edit was refused, because the field does not travel that way or the record left the scope.
    Rejected,
    /// Neither side was written: two records were linked, or a link was given up.
    Linked,
}

/// Why a record or a field is not in step, and when it will be looked at again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// The stable code.
    pub code: ErrorCode,
    /// The property, when it is about one.
    pub property: Option<PropertyId>,
    /// One sentence without any value.
    pub message: String,
    /// How often it was met in a row.
    pub attempts: u32,
    /// When to try again though nothing changed.
    pub retry_at: Option<OffsetDateTime>,
    /// Digests of the row's and the page's value, or of the whole of each, that it was met with: any other value is a
    /// reason to look again at once.
    pub met_with: crate::reconcile::Sides<Option<String>>,
}
