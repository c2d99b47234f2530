//! Moves values along the arrows: capture, observe, decide, plan, apply; and recover, which settles what a crash
//! left open.
//!
//! The engine decides nothing by itself: it hands an [`Observation`](crate::reconcile::Observation) to
//! [`reconcile`](crate::reconcile) and carries out the answer by the write protocols of the sync semantics,
//! section 5. It holds no row and no page longer than one batch; what it holds of a whole entity are keys.
//!
//! A plan nominates records. Applying looks at each again, with one direct read of its page that serves every
//! rule (R1), so that a lost, doubled or late nomination costs a read and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::mapping::OnPageCreate;
use crate::ports::{Clock, Pages, PagesError, Rng, Rows, RowsError, Store, StoreError};
use crate::report::Command;
use crate::value::{PageId, RecordKey};

mod apply;
mod attend;
mod begin;
mod bind;
mod capture;
mod clocks;
mod codec;
mod create;
mod entity;
mod explain;
mod fields;
mod observe;
mod presence;
mod pull;
mod push;
mod recover;
mod reference;
mod remove;
mod rename;
mod run;
mod tally;
mod trouble;
mod undo;

pub use attend::Attendant;
pub use begin::Run;
pub use bind::{BindError, Binding, bind, fits, row_columns};
pub use codec::BoundCodec;
pub use entity::{Entity, EntityField, FieldCodec, NewRow, Reference};
pub use undo::{Left, UndoPlan};

/// The timings of the semantics page; zero means that Notion is trusted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// How long after it was sent a write may still be applied unseen: `W`.
    pub settle: Duration,
    /// The same for a create, which is looked for through the lagging index: `W_create`.
    pub settle_create: Duration,
    /// How far an answer may be behind: rule R2.
    pub read_lag: Duration,
    /// How long a page is left after a person's edit, at most.
    pub quiet_page: Duration,
    /// The longest a request takes.
    pub request_timeout: Duration,
    /// How long the lease is taken for.
    pub lease: Duration,
    /// The longest time between two complete listings of pages.
    pub full_scan_every: Duration,
    /// How long audit entries, runs and closed conflicts are kept.
    pub audit_retention: Duration,
    /// Records worked on at once.
    pub concurrency: usize,
    /// Data sources with fewer records than this are listed whole in every cycle: that is one request as well, and shows
    /// what was trashed or moved.
    pub listed_whole: u64,
}

/// Pages that one answer to a query holds.
const PAGES_IN_AN_ANSWER: u64 = 100;

impl Default for Tuning {
    /// The defaults of the contract, section 1.
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(120),
            settle_create: Duration::from_secs(480),
            read_lag: Duration::from_secs(150),
            quiet_page: Duration::ZERO,
            request_timeout: Duration::from_secs(60),
            lease: Duration::from_secs(180),
            full_scan_every: Duration::from_mins(15),
            audit_retention: Duration::from_hours(30 * 24),
            concurrency: 16,
            listed_whole: PAGES_IN_AN_ANSWER,
        }
    }
}

/// What one run is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which command: it says which sides may be written.
    pub command: Command,
    /// Only these entities; empty for all.
    pub entities: Vec<String>,
    /// Only these records; empty for all.
    pub keys: Vec<RecordKey>,
    /// Only these pages, each read directly; with other narrowings, those records too. Empty for all.
    pub pages: Vec<PageId>,
    /// Only rows that the change log names; with other narrowings, those records too.
    pub noted: bool,
    /// Only these properties, by name; empty for all.
    pub properties: Vec<String>,
    /// Look at every page and every row, whatever the capture says.
    pub full: bool,
}

impl Request {
    /// Everything, by that command.
    pub fn all(command: Command) -> Self {
        Self {
            command,
            entities: Vec::new(),
            keys: Vec::new(),
            pages: Vec::new(),
            noted: false,
            properties: Vec::new(),
            full: false,
        }
    }

    /// Whether only records are looked at that something named. Nothing is listed or scanned then, no mark moves,
    /// and what is not named proves nothing.
    pub fn is_narrow(&self) -> bool {
        !self.keys.is_empty() || self.is_hinted()
    }

    /// Whether it was a hint that named them: what earlier runs left open waits for a run that looks at all.
    pub(crate) fn is_hinted(&self) -> bool {
        !self.pages.is_empty() || self.noted
    }

    fn writes_postgres(&self) -> bool {
        matches!(self.command, Command::Sync | Command::Pull)
    }

    fn writes_notion(&self) -> bool {
        matches!(self.command, Command::Sync | Command::Push | Command::Setup)
    }
}

/// One profile's engine: its entities and its ports.
#[derive(Clone)]
pub struct Engine {
    /// The profile's name.
    pub profile: String,
    /// The entities, in the order of the project.
    pub entities: Vec<Arc<Entity>>,
    /// The rows.
    pub rows: Arc<dyn Rows>,
    /// The pages.
    pub pages: Arc<dyn Pages>,
    /// The memory.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance: ids only.
    pub rng: Arc<dyn Rng>,
    /// The timings.
    pub tuning: Tuning,
    /// Who holds the lease: unique to this process.
    pub holder: String,
}

impl Engine {
    /// Which pages concern which entity: those that it links, and where a page may become a row, those that no
    /// entity links. A page that concerns no entity is left out.
    ///
    /// # Errors
    /// When the memory cannot be read.
    pub async fn owners(&self, pages: &[PageId]) -> Result<BTreeMap<String, Vec<PageId>>, EngineError> {
        let mut owners: BTreeMap<String, Vec<PageId>> = BTreeMap::new();
        let mut strange: BTreeSet<&PageId> = pages.iter().collect();
        for entity in &self.entities {
            for link in self.store.links_by_page(&entity.name, pages).await? {
                if let Some(page) = link.page {
                    strange.remove(&page);
                    owners.entry(entity.name.clone()).or_default().push(page);
                }
            }
        }
        for entity in &self.entities {
            if !strange.is_empty() && entity.policy.presence.on_page_create == OnPageCreate::InsertRow {
                let pages = strange.iter().map(|page| (*page).clone());
                owners.entry(entity.name.clone()).or_default().extend(pages);
            }
        }
        Ok(owners)
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u64_pair(self.rng.next_u64(), self.rng.next_u64())
    }

    fn entity(&self, name: &str) -> Option<&Arc<Entity>> {
        self.entities.iter().find(|entity| entity.name == name)
    }
}

/// What stops a whole profile.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Rows cannot be read.
    #[error("reading rows failed")]
    Rows(#[from] RowsError),
    /// Notion cannot be used.
    #[error("using Notion failed")]
    Pages(#[from] PagesError),
    /// The memory cannot be used.
    #[error("keeping the sync state failed")]
    Store(#[from] StoreError),
    /// Somebody else is working on the profile.
    #[error("another run holds the lease of profile `{profile}`")]
    Busy {
        /// The profile.
        profile: String,
    },
    /// Whoever runs it wants it to end.
    #[error("the run was asked to end early")]
    Interrupted,
    /// A saved plan no longer fits.
    #[error(transparent)]
    SavedPlan(#[from] crate::plan::file::SavedPlanError),
}
