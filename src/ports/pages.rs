//! The port to a profile's pages in Notion.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use time::OffsetDateTime;

use super::{BoxFuture, Retry, Value};
use crate::value::{PageId, PropertyId, Shared, UserId};

/// A page as one answer showed it: one snapshot, never two answers mixed.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Its id.
    pub id: PageId,
    /// Where it is.
    pub parent: PageParent,
    /// Whether it is in the trash.
    pub in_trash: bool,
    /// When it was created: floored to the minute.
    pub created_time: OffsetDateTime,
    /// When it was last edited: floored to the minute, on Notion's clock.
    pub last_edited_time: OffsetDateTime,
    /// Who created it.
    pub created_by: UserId,
    /// Who edited it last.
    pub last_edited_by: UserId,
    /// The bound properties by id, the engine's own included.
    ///
    /// A property that the answer did not carry is not in here, and never reads as empty.
    pub properties: Shared<BTreeMap<PropertyId, PropertyRead>>,
}

impl Page {
    /// A property's value, where the answer carried all of it and it can be understood.
    pub fn whole(&self, property: &PropertyId) -> Option<&Value> {
        match self.properties.get(property) {
            Some(PropertyRead::Whole(value)) => Some(value),
            _ => None,
        }
    }
}

/// Where a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageParent {
    /// In the entity's own data source.
    Entity,
    /// Somewhere else.
    Elsewhere,
}

/// One property as an answer showed it.
#[derive(Clone, Debug, PartialEq)]
pub enum PropertyRead {
    /// The whole value, canonical.
    Whole(Value),
    /// A list cut short (more than 25 references): read the rest with [`Pages::whole_property`] before comparing.
    Truncated,
    /// A value that cannot be understood, with the reason.
    Unreadable(String),
}

/// Which pages a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageQuery {
    /// All, by creation time ascending, split where Notion's cap of 10,000 results would cut them.
    All,
    /// Those whose `last_edited_time` is at or after this instant, on Notion's clock.
    EditedSince(OffsetDateTime),
    /// Those whose `postgres_id` is this text.
    WithPostgresId(String),
}

/// One step of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct PageBatch {
    /// At most 100 pages; a page may come twice in a query.
    pub pages: Vec<Page>,
    /// Where the next step starts; `None` ends the query.
    pub next: Option<String>,
    /// Whether the query can still count as a complete listing. Once false, the whole query is incomplete and
    /// proves no absence.
    pub complete: bool,
}

/// What a create or an update sends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PageWrite {
    /// The properties to set, in mapping order; others are not sent.
    pub properties: Vec<(PropertyId, Value)>,
    /// Puts the page in the trash or takes it out; `None` leaves it.
    pub in_trash: Option<bool>,
}

/// What a request is for; the pace gives way in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Settling a write whose outcome is unknown: a tenth of the budget is kept for it.
    Settle,
    /// Reading for a pull.
    Pull,
    /// Reading and writing for a push.
    Push,
    /// Creating pages.
    Create,
    /// Listing pages.
    Scan,
    /// Writing only a page's status.
    Status,
}

/// Reads and writes pages of the profile's data sources, within the profile's request budget.
///
/// **Guarantees.** An implementer waits for the budget and obeys `Retry-After` inside the call. It repeats
/// reads by itself, and writes only where Notion certainly did not apply them (429, 529). Every answer is
/// checked to be about the page and the data source that were asked for.
pub trait Pages: Send + Sync {
    /// One step of a query; `after` is the previous step's [`PageBatch::next`].
    ///
    /// The index behind it lags: an answer nominates pages to read, and absence from it proves nothing.
    fn query<'a>(
        &'a self,
        entity: &'a str,
        query: &'a PageQuery,
        after: Option<&'a str>,
        priority: Priority,
    ) -> BoxFuture<'a, Result<PageBatch, PagesError>>;

    /// Reads one page directly, in the trash or not. One request when nothing is truncated.
    fn read<'a>(
        &'a self,
        entity: &'a str,
        page: &'a PageId,
        priority: Priority,
    ) -> BoxFuture<'a, Result<Page, PagesError>>;

    /// Reads the whole value of a property that came truncated.
    fn whole_property<'a>(
        &'a self,
        entity: &'a str,
        page: &'a PageId,
        property: &'a PropertyId,
        priority: Priority,
    ) -> BoxFuture<'a, Result<Value, PagesError>>;

    /// Creates a page in the entity's data source. Not idempotent: an unknown outcome is looked for, not repeated.
    fn create<'a>(
        &'a self,
        entity: &'a str,
        write: &'a PageWrite,
        priority: Priority,
    ) -> BoxFuture<'a, Result<Page, PagesError>>;

    /// Sets properties of a page, and trashes or restores it, in one request; answers the page as it then is.
    fn update<'a>(
        &'a self,
        entity: &'a str,
        page: &'a PageId,
        write: &'a PageWrite,
        priority: Priority,
    ) -> BoxFuture<'a, Result<Page, PagesError>>;

    /// The user that this profile's writes are made by; known since the profile was opened.
    fn bot(&self) -> UserId;

    /// Requests sent so far and the time spent waiting for the budget, for reports.
    fn usage(&self) -> crate::report::NotionUsage;

    /// How much of [`usage`](Self::usage) earlier runs have reported: what was sent between two runs, to bind both
    /// sides, belongs to the report of the second.
    fn told(&self) -> crate::report::NotionUsage {
        self.usage()
    }

    /// Takes all usage up to now for reported.
    fn tell(&self) {}
}

/// Why a request to Notion failed.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    /// 403 or 404: trashed for good, moved out of sight, or not shared. It does not say which.
    #[error("the page cannot be read with this connection")]
    Inaccessible,
    /// 409: somebody else was writing; not applied.
    #[error("Notion reports a conflicting write")]
    Conflict,
    /// 400: the request is refused as it stands; not applied.
    #[error("Notion refuses the request: {message}")]
    Refused {
        /// Notion's code, such as `validation_error`.
        code: String,
        /// Notion's message, with no value of a row in it.
        message: String,
    },
    /// A write whose outcome nobody knows: a timeout, a reset, or a 5xx after it was sent.
    #[error("Notion may or may not have applied the write")]
    Unknown {
        /// What the transport met.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Certainly not applied, or a read that failed after its retries.
    #[error("Notion cannot be reached")]
    Unavailable {
        /// How long Notion asked to be left alone.
        after: Option<Duration>,
        /// What the transport met.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// 401, a blocked connection, another workspace: nothing of this profile can go on.
    #[error("Notion refuses this connection: {message}")]
    Unauthorized {
        /// What Notion says, without the token.
        message: String,
    },
    /// An answer that is not what the API documents.
    #[error("Notion's answer cannot be understood: {message}")]
    Unreadable {
        /// What was expected.
        message: String,
        /// Whether the request was a write that may have been applied.
        wrote: bool,
    },
}

impl PagesError {
    /// When the request may be sent again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Conflict => Retry::WithBackOff,
            Self::Unavailable {
                after: Some(after), ..
            } => Retry::After(*after),
            Self::Unavailable { after: None, .. } => Retry::WithBackOff,
            Self::Unknown { .. } | Self::Unreadable { wrote: true, .. } => Retry::Unknown,
            Self::Inaccessible
            | Self::Refused { .. }
            | Self::Unauthorized { .. }
            | Self::Unreadable { .. } => Retry::Never,
        }
    }

    /// Whether the whole profile has to stop.
    pub fn stops_profile(&self) -> bool {
        matches!(self, Self::Unauthorized { .. })
    }
}
