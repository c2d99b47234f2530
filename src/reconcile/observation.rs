//! One record as it was seen: link, row, page, and what is remembered of each field.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Value;
use super::last_write::{Clocks, Interval};
use crate::mapping::{ConflictPolicy, Direction, Initial, LastWritePolicy, PresencePolicies};
use crate::value::PropertyId;

/// One of the two.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The row.
    Postgres,
    /// The page.
    Notion,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Postgres => Self::Notion,
            Self::Notion => Self::Postgres,
        }
    }
}

/// Two things of a kind, one per side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides<T> {
    /// The row's.
    pub postgres: T,
    /// The page's.
    pub notion: T,
}

impl<T> Sides<T> {
    /// That side's.
    pub fn get(&self, side: Side) -> &T {
        match side {
            Side::Postgres => &self.postgres,
            Side::Notion => &self.notion,
        }
    }
}

/// Where a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A request to create its page was journaled and is not settled.
    CreatingPage,
    /// Row and page belong together.
    Linked,
    /// A request to trash its page was journaled and is not settled.
    TrashingPage,
    /// The page is in the trash or out of reach, by no doing of ours; nothing is done until a person acts.
    Held,
    /// The row left the scope and we trashed its page; it is restored when the row comes back.
    LeftScope,
    /// The page was moved out of the data source; it is not written.
    Detached,
    /// Row and page are gone.
    Tombstone,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Phase; 7] = [
        Self::CreatingPage,
        Self::Linked,
        Self::TrashingPage,
        Self::Held,
        Self::LeftScope,
        Self::Detached,
        Self::Tombstone,
    ];
}

/// What both sides held when they last agreed: each as observed on, or answered by, that side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bases {
    /// The column's value.
    pub row: Value,
    /// The property's value.
    pub page: Value,
}

/// What is remembered of one field between runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldState {
    /// The baselines; `None` for a field never agreed on.
    pub bases: Option<Bases>,
    /// Our own late write stands on the page: the row's value must be pushed again unless a person edits first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force_push: bool,
    /// How often in a row the engine pulled a value from a page that only the engine itself had written since.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub echoes: u8,
    /// Values the page held before, as long as a stale answer could still show them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<PastValue>,
    /// A value that a person had put back on the page: it counts as their edit, though we sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_back: Option<Value>,
    /// When a change on each side was first seen that is not settled yet.
    #[serde(default)]
    pub changed_at: Sides<Option<OffsetDateTime>>,
    /// Whether a look since then was put off: it says nothing about what the sides held.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub put_off: bool,
}

impl FieldState {
    /// Nothing that was seen to change is open any more.
    pub fn settled(&mut self) {
        self.changed_at = Sides::default();
        self.put_off = false;
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// A value that a page held until an instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastValue {
    /// The canonical value.
    pub value: Value,
    /// When it was known to be replaced, on the database's clock.
    pub until: OffsetDateTime,
    /// Whether what replaced it may itself have been the past: then the page may hold this one still.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doubted: bool,
}

/// Why a field cannot be compared or written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// What is wrong with it.
    pub fault: Fault,
    /// One sentence without any value.
    pub message: String,
}

/// What can be wrong with one field's value; reports have a code for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It is no option of the property.
    UnknownOption,
    /// The other side cannot hold it without loss.
    OutOfRange,
    /// It cannot be understood as the other side's type.
    Invalid,
    /// Only a part of it was answered.
    Truncated,
    /// The property is gone or of another type.
    PropertyDrift,
    /// The column is gone or of another type.
    ColumnDrift,
    /// The other side keeps changing what is written.
    Unstable,
    /// It refers to a record that is not on the other side yet.
    WaitingForReference,
    /// It refers to a record outside the profile.
    ForeignReference,
    /// The other side refused it, and neither value changed since.
    Refused,
}

/// What a row was seen to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// In scope: `P`.
    Present,
    /// There, but outside the profile's scope: `Q`.
    OutOfScope,
    /// Proved absent by a read by key: `X`.
    Absent,
    /// Not read, or the read failed: `U`.
    Unknown,
}

/// What a page was seen to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageState {
    /// Live in the data source: `N`.
    Live,
    /// In the trash: `T`.
    Trashed,
    /// Live somewhere else: `M`.
    Moved,
    /// 403 or 404: `I`.
    Inaccessible,
    /// Not in a listing, not read directly: `U`.
    Unknown,
    /// There is none, as far as the link says.
    None,
}

/// What is remembered of the record as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkFacts {
    /// Where it stands.
    pub phase: Phase,
    /// `last_edited_time` in the answer of our last settled write.
    pub page_mark: Option<OffsetDateTime>,
    /// `last_edited_time` of the newest read so far, for as long as an answer may be behind it.
    pub page_edited_at: Option<OffsetDateTime>,
    /// Whether the page was seen in the trash before.
    pub was_trashed: bool,
    /// Whether at least two complete listings, 24 hours apart, did not show the page.
    pub missed_for_a_day: bool,
    /// A person's choice on a conflict about the record's existence.
    pub chosen: Option<Side>,
}

/// What one direct read said about the page, beside its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PageFacts {
    /// `last_edited_time`, floored to the minute.
    pub edited_at: OffsetDateTime,
    /// When that minute began, on the database's clock.
    pub edited_after: OffsetDateTime,
    /// Whether our own bot edited it last.
    pub edited_by_us: bool,
}

/// What the `postgres_id` of a page without a link says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Nothing.
    Empty,
    /// A key whose record has another page.
    LinkedElsewhere,
    /// A key whose record has another page, on a page that only we wrote, with what an abandoned request of ours sent.
    OwnStray,
    /// A key of the profile whose record has no page, and this page may be taken for it.
    Adoptable,
    /// A key of the profile whose record has no page, with nothing to say that this page is meant.
    Unlinked,
    /// A key that this profile does not know or may not see.
    Foreign,
}

/// Everything about the entity that existence depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EntityPolicy {
    /// What happens to records that come and go.
    pub presence: PresencePolicies,
    /// The conflict policy of the record as a whole.
    pub conflict: ConflictPolicy,
    /// How last writes are judged.
    pub last_write: LastWritePolicy,
    /// Who wins on first linking.
    pub initial: Option<Initial>,
}

/// One record as seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// When it was looked at, on the database's clock.
    pub now: OffsetDateTime,
    /// How long an answer of Notion may be behind.
    pub read_lag: std::time::Duration,
    /// The policies.
    pub policy: EntityPolicy,
    /// What is remembered; `None` for a row or page never linked.
    pub link: Option<LinkFacts>,
    /// The row.
    pub row: RowState,
    /// The page.
    pub page: PageState,
    /// What the read said about the page; `None` when it was not read.
    pub page_facts: Option<PageFacts>,
    /// What the page's label says, for a page without a link.
    pub label: Label,
    /// Whether a page without a link has rested and has what a row needs.
    pub page_is_ripe: bool,
    /// Whether the record is opted out by its checkbox.
    pub opted_out: bool,
    /// The intervals in which the row was deleted and the page edited, where the row is gone.
    pub deletion: Option<Sides<Interval>>,
    /// The fields, in mapping order.
    pub fields: Vec<FieldFacts>,
}

/// One field as seen, with the projections already made: what each side's value would be on the other.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldFacts {
    /// The property.
    pub property: PropertyId,
    /// Which way values travel.
    pub direction: Direction,
    /// What happens when both sides changed.
    pub policy: ConflictPolicy,
    /// Fields with the same group are decided together.
    pub group: Option<String>,
    /// What is remembered.
    pub state: FieldState,
    /// The column's value.
    pub row: Result<Value, FieldError>,
    /// The property's value.
    pub page: Result<Value, FieldError>,
    /// Whether the column holds no value.
    pub row_is_empty: bool,
    /// Whether the property holds no value.
    pub page_is_empty: bool,
    /// Whether the row's value, put over the page's, would leave the page as it is.
    pub agree: bool,
    /// The row's value as the property would hold it.
    pub to_push: Result<Value, FieldError>,
    /// The page's value as the column would hold it.
    pub to_pull: Result<Value, FieldError>,
    /// What our requests of the last 24 hours sent.
    pub sent: Vec<Sent>,
    /// When each side changed, as far as is known.
    pub changed: Sides<Interval>,
    /// How far the two clocks can be held against each other; `None` when it is not known how far they are apart.
    pub clocks: Option<Clocks>,
    /// A person's choice, made on exactly these values.
    pub chosen: Option<Side>,
    /// What the page was last seen to hold in the field's open conflict.
    pub page_in_conflict: Option<Value>,
}

/// One value that a request of ours carried for the field.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// The canonical Notion value.
    pub value: Value,
    /// The row's value that it stood for.
    pub from_row: Option<Value>,
    /// Whether the request was given up as not applied.
    pub abandoned: bool,
    /// Whether the request was answered: it was applied once, and does not land again.
    pub answered: bool,
    /// Whether the outcome is still open.
    pub pending: bool,
}
