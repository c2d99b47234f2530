//! Finds the records to look at: hints from both sides, complete looks from time to time, and what was put off.
//!
//! Nothing here is believed for a write. Rows are read in batches and compared with the baselines; pages of a
//! query are compared the same way; only what differs is nominated. What a complete look did not show is read
//! by key or by id before it may count as gone.

mod forgotten;
mod nominate;
mod pages;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use time::OffsetDateTime;

use super::apply::Candidate;
use super::observe::{PageSeen, RowSeen};
use super::run::Work;
use super::{EngineError, Entity};
use crate::mapping::Capture;
use crate::plan::Operation;
use crate::plan::guard::Circumstances;
use crate::ports::{Marks, Priority};
use crate::reconcile::{Phase, Side};
use crate::value::{PageId, RecordKey};

/// Rows and links read at a time.
const BATCH: usize = 500;

/// Notes of the change log read at a time.
pub(super) const NOTES: usize = 10_000;

/// How far a query of edited pages reaches back before the newest edit seen: the index lags.
///
/// Source: sync semantics, section 7.
const OVERLAP: time::Duration = time::Duration::minutes(2);

/// What was found in one entity.
pub(super) struct Captured {
    pub(super) entity: Arc<Entity>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) operations: Vec<Operation>,
    /// Whether any of the operations is about a page that is there.
    pub(super) concerns_pages: bool,
    pub(super) circumstances: Circumstances,
    pub(super) marks: Marks,
    pub(super) notes: Vec<i64>,
    /// Pages with a value that our own connection wrote and that the state knows nothing of.
    pub(super) forgotten: usize,
}

/// A record by what named it: its key, its page, or both.
type RecordAt = (Option<RecordKey>, Option<PageId>);

/// The nominations of one entity while they are collected.
struct Nominations {
    candidates: BTreeMap<RecordAt, Candidate>,
    operations: Vec<Operation>,
    /// The pages that were nominated as a listing shows them.
    pages: BTreeSet<PageId>,
    /// Every page that the listing showed.
    listed: BTreeSet<PageId>,
    adoptable: BTreeSet<RecordKey>,
    waiting_since: Option<OffsetDateTime>,
    forgotten: usize,
    rows_seen: Option<u64>,
    pages_seen: Option<u64>,
}

impl Work<'_> {
    /// Finds what to look at in one entity, and what would probably be done.
    pub(super) async fn capture(&self, entity: &Arc<Entity>) -> Result<Captured, EngineError> {
        let started = self.engine.clock.now();
        let mut marks = self.marks_of(&entity.name);
        let totals = self.engine.store.totals(&entity.name).await?;
        let linked = totals.linked();
        let mut found = Nominations {
            candidates: BTreeMap::new(),
            operations: Vec::new(),
            pages: BTreeSet::new(),
            listed: BTreeSet::new(),
            adoptable: BTreeSet::new(),
            waiting_since: None,
            forgotten: 0,
            rows_seen: None,
            pages_seen: None,
        };
        let mut notes = Vec::new();
        if !self.request.is_narrow() {
            if self.request.command != crate::report::Command::Push || self.request.full {
                self.capture_pages(entity, &mut marks, &totals, started, &mut found)
                    .await?;
            }
            self.capture_due(entity, started, &mut found).await?;
            notes = self
                .capture_rows(entity, &mut marks, linked, started, &mut found)
                .await?;
        } else {
            if !self.request.keys.is_empty() {
                self.capture_keys(entity, &mut found).await?;
            }
            if !self.request.pages.is_empty() {
                self.capture_named_pages(entity, &mut found).await?;
            }
            if self.request.noted && entity.capture == Capture::Triggers {
                notes = self.capture_noted(entity, &mut found).await?;
            }
        }
        let day = started - time::Duration::DAY;
        let circumstances = Circumstances {
            entity: entity.name.clone(),
            guards: entity.guards,
            linked,
            initialised: marks.initialised,
            scope_changed: self.scope_changed(entity),
            rows_seen: found.rows_seen,
            pages_seen: found.pages_seen,
            pages_trashed_today: self.deleted_since(&found, entity, Side::Notion, day).await?,
            rows_deleted_today: self.deleted_since(&found, entity, Side::Postgres, day).await?,
        };
        Ok(Captured {
            entity: Arc::clone(entity),
            candidates: found.candidates.into_values().collect(),
            concerns_pages: found.operations.iter().any(|operation| operation.page.is_some()),
            operations: found.operations,
            circumstances,
            marks,
            notes,
            forgotten: found.forgotten,
        })
    }

    /// How many records lost that side of them since; counts only where the plan takes more away, for nobody else asks.
    async fn deleted_since(
        &self,
        found: &Nominations,
        entity: &Entity,
        side: Side,
        since: OffsetDateTime,
    ) -> Result<u64, EngineError> {
        let deletes = |operation: &Operation| operation.kind.deletes() == Some(side);
        if !found.operations.iter().any(deletes) {
            return Ok(0);
        }
        Ok(self.engine.store.deleted_since(&entity.name, side, since).await?)
    }

    /// What was put off: retries, open choices that were made, the second phase of relations.
    async fn capture_due(
        &self,
        entity: &Arc<Entity>,
        started: OffsetDateTime,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let due = self.engine.store.links_due(&entity.name, started, BATCH).await?;
        for link in self.followed(due) {
            let row = self.read_row(entity, &link.key).await?;
            let page = match &link.page {
                // E14: nothing can be presumed of a page that came back after the record had ended.
                Some(page) if link.phase == Phase::Tombstone => {
                    self.engine.read_page(entity, page, Priority::Pull).await?
                }
                Some(_) => PageSeen::Presumed,
                None => PageSeen::None,
            };
            self.nominate_always(entity, link, row, page, found).await?;
        }
        Ok(())
    }

    async fn capture_keys(&self, entity: &Arc<Entity>, found: &mut Nominations) -> Result<(), EngineError> {
        // What is a key of another entity is none here.
        let asked = self.request.keys.iter();
        let keys: Vec<RecordKey> = asked.filter_map(|key| entity.own_key(key)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let rows = self.engine.rows.read(&entity.name, &keys).await?;
        let links = self.links_of(entity, &keys).await?;
        for key in keys {
            let row = rows.iter().find(|row| row.key == key).cloned();
            let link = links.iter().find(|link| link.key == key).cloned();
            let row = row.map_or(RowSeen::Absent, RowSeen::Seen);
            match link {
                Some(link) => {
                    let page = match &link.page {
                        Some(page) => self.engine.read_page(entity, page, Priority::Pull).await?,
                        None => PageSeen::None,
                    };
                    self.nominate_always(entity, link, row, page, found).await?;
                }
                None => self.nominate(entity, None, row, PageSeen::None, found).await?,
            }
        }
        Ok(())
    }
}
