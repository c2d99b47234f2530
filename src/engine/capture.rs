//! Finds the records to look at: hints from both sides, complete looks from time to time, and what was put off.
//!
//! Nothing here is believed for a write. Rows are read in batches and compared with the baselines; pages of a
//! query are compared the same way; only what differs is nominated. What a complete look did not show is read
//! by key or by id before it may count as gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use time::OffsetDateTime;

use super::apply::{Candidate, label_text};
use super::observe::{PageSeen, RowSeen, Seen, missed_for_a_day, page_value};
use super::presence::shows_state;
use super::push::status;
use super::reference::References;
use super::run::Work;
use super::trouble::{columns_digest, is_frozen, is_known_trouble};
use super::{EngineError, Entity};
use crate::journal::{IntentStatus, Kept};
use crate::mapping::{Capture, OnInaccessible, OnPageCreate};
use crate::plan::guard::Circumstances;
use crate::plan::{Operation, operations};
use crate::ports::{
    AuditFilter, Link, LinkTotals, Marks, Page, PageParent, PageQuery, Priority, PropertyRead, Row,
};
use crate::reconcile::accept::shows;
use crate::reconcile::{Phase, PresenceAction, Side};
use crate::report::ErrorCode;
use crate::value::{PageId, PropertyId, RecordKey, Value};

/// Rows and links read at a time.
const BATCH: usize = 500;

/// Notes of the change log read at a time.
pub(super) const NOTES: usize = 10_000;

/// Pages that one answer to a query holds.
const PAGES_IN_AN_ANSWER: u64 = 100;

/// How far a query of edited pages reaches back before the newest edit seen: the index lags.
///
/// Source: sync semantics, section 7.
const OVERLAP: time::Duration = time::Duration::minutes(2);

/// Entries of the audit log that are searched for a write of ours.
const AUDIT_SEARCHED: u32 = 500;

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
    pages: BTreeSet<PageId>,
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

    async fn capture_pages(
        &self,
        entity: &Arc<Entity>,
        marks: &mut Marks,
        totals: &LinkTotals,
        started: OffsetDateTime,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let linked = totals.linked();
        let complete_due = self.request.full
            || marks
                .pages_listed_at
                .is_none_or(|at| started - at >= self.engine.tuning.full_scan_every);
        // A complete listing of few pages is one request as well, and shows what was trashed or moved.
        let lists_all = complete_due || linked < PAGES_IN_AN_ANSWER;
        let query = match (lists_all, marks.pages_edited_until) {
            (false, Some(until)) => PageQuery::EditedSince(until - OVERLAP),
            _ => PageQuery::All,
        };
        let mut after: Option<String> = None;
        let mut complete = query == PageQuery::All;
        let mut listed: BTreeSet<PageId> = BTreeSet::new();
        let mut linked_seen = 0;
        let mut edited_until = marks.pages_edited_until;
        loop {
            let batch = self
                .engine
                .pages
                .query(&entity.name, &query, after.as_deref(), Priority::Scan)
                .await?;
            complete &= batch.complete;
            let ids: Vec<PageId> = batch.pages.iter().map(|page| page.id.clone()).collect();
            let links = self.engine.store.links_by_page(&entity.name, &ids).await?;
            let links: BTreeMap<PageId, Link> = self
                .followed(links)
                .into_iter()
                .filter_map(|link| link.page.clone().map(|page| (page, link)))
                .collect();
            for page in batch.pages {
                let page = entity.canonical(page);
                edited_until = edited_until.max(Some(page.last_edited_time));
                if !listed.insert(page.id.clone()) {
                    continue;
                }
                match links.get(&page.id) {
                    Some(link) => {
                        linked_seen += u64::from(link.phase == Phase::Linked);
                        if self.differs(entity, link, &page) {
                            self.nominate_page(entity, Some(link.clone()), page, found)
                                .await?;
                        }
                    }
                    None if self.concerns_us(entity, &page) => {
                        self.nominate_page(entity, None, page, found).await?;
                    }
                    None => {}
                }
            }
            after = batch.next;
            if after.is_none() {
                break;
            }
        }
        // Nothing at all is a finding of the listing that is due, with its guard; in between it tells nothing.
        if complete && (complete_due || !listed.is_empty()) {
            found.pages_seen = Some(listed.len() as u64);
            let awaited = entity.policy.presence.on_inaccessible != OnInaccessible::Hold
                && totals.by_phase.contains_key(&Phase::Held);
            if linked_seen < linked || (awaited && !listed.is_empty()) {
                self.capture_missing_pages(entity, &listed, started, found)
                    .await?;
            }
            marks.pages_listed_at = Some(started);
        }
        marks.pages_queried_at = Some(started);
        marks.pages_edited_until =
            edited_until.map(|at| found.waiting_since.map_or(at, |since| at.min(since)));
        Ok(())
    }

    /// D7: a page that a complete listing did not show is classified by a direct read.
    async fn capture_missing_pages(
        &self,
        entity: &Arc<Entity>,
        listed: &BTreeSet<PageId>,
        started: OffsetDateTime,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let mut after = None;
        let marks = self.marks_of(&entity.name);
        loop {
            let links = self.engine.store.links_after(&entity.name, after, BATCH).await?;
            let Some(last) = links.last() else { return Ok(()) };
            after = Some(last.id);
            let links = self.followed(links);
            for link in links {
                let is_due = match link.phase {
                    Phase::Linked => true,
                    // E11: long out of reach, and the mapping says what then.
                    Phase::Held => {
                        entity.policy.presence.on_inaccessible != OnInaccessible::Hold
                            && missed_for_a_day(&link, &marks)
                    }
                    _ => false,
                };
                let (true, Some(page)) = (is_due, &link.page) else {
                    continue;
                };
                // A page written a moment ago may not be in the index yet.
                let fresh = link
                    .page_written_at
                    .is_some_and(|at| started - at < self.engine.tuning.settle_create);
                if listed.contains(page) || fresh {
                    continue;
                }
                let page = self.engine.read_page(entity, page, Priority::Scan).await?;
                let live = matches!(&page, PageSeen::Seen(page) if !page.in_trash && page.parent == PageParent::Entity);
                if !live {
                    let row = self.read_row(entity, &link.key).await?;
                    self.nominate(entity, Some(link), row, page, found).await?;
                }
            }
            if listed.is_empty() {
                // The guard stops this anyway; what a person approves need not be everything at once.
                return Ok(());
            }
        }
    }

    /// Whether the last look was later than the minute to which the last edit is floored: then no edit hides in it.
    pub(super) fn minute_was_over(&self, link: &Link, page: &Page) -> bool {
        let offset = self
            .engine
            .clock
            .notion_offset()
            .map_or(time::Duration::ZERO, |(offset, _)| offset);
        let over = page.last_edited_time - offset + time::Duration::MINUTE;
        link.settled_at.is_some_and(|at| at > over)
    }

    /// Whether a page shows anything else than its link remembers.
    fn differs(&self, entity: &Entity, link: &Link, page: &Page) -> bool {
        let opted_out = link.note.as_deref() == Some("opted_out");
        let fields = || {
            entity.fields.iter().any(|field| {
                let state = link.fields.get(&field.property);
                match page_value(field, page, state, &References::default()) {
                    Ok(value) => {
                        state
                            .and_then(|state| state.bases.as_ref())
                            .is_none_or(|bases| bases.page != value)
                            && !is_known_trouble(link, &field.property, Side::Notion, &value)
                    }
                    // What cannot be read here is read in full by the direct look, but only once it was edited.
                    Err(_) => {
                        link.page_edited_at != Some(page.last_edited_time)
                            || (page.last_edited_by != self.bot && !self.minute_was_over(link, page))
                    }
                }
            })
        };
        let is_ticked = entity.opt_out.as_ref().is_some_and(|property| {
            page.properties.get(property) == Some(&PropertyRead::Whole(Value::Bool(true)))
        });
        match link.phase {
            Phase::Linked if is_frozen(link) => false,
            // Left alone until it is unticked, which may be within the minute of the last edit that was seen.
            Phase::Linked if opted_out => !is_ticked,
            Phase::Linked => {
                fields()
                    || label_text(entity, page) != link.key.to_string()
                    || is_ticked
                    || link.status.as_ref().is_some_and(|status| {
                        matches!(
                            page.properties.get(&entity.sync_status),
                            Some(PropertyRead::Whole(Value::Choice(choice))) if choice.name != *status
                        )
                    })
            }
            // A person put it back.
            Phase::Held => link.note.as_deref() != Some("row_gone"),
            Phase::LeftScope | Phase::Detached => true,
            Phase::Tombstone => link.troubles.is_empty(),
            Phase::CreatingPage | Phase::TrashingPage => false,
        }
    }

    /// Whether a page without a link is any business of ours: it carries a label, or may become a row.
    fn concerns_us(&self, entity: &Entity, page: &Page) -> bool {
        let labelled = !label_text(entity, page).is_empty();
        labelled || entity.policy.presence.on_page_create == OnPageCreate::InsertRow
    }

    /// 6.10: whether our own connection wrote a page after all that the state knows of, with a value that is in no
    /// intent and no audit entry: the state was restored, or is a copy.
    async fn was_forgotten(&self, entity: &Entity, seen: &Seen) -> Result<bool, EngineError> {
        let (Some(link), Some(page)) = (&seen.link, seen.page.page()) else {
            return Ok(false);
        };
        let known = link.page_edited_at.max(link.page_mark);
        let is_newer = known.is_some_and(|known| page.last_edited_time > known);
        // A write whose outcome is not known may have moved the time, and a person's edit may stand beside it.
        let is_open = seen
            .intents
            .iter()
            .any(|intent| intent.status != IntentStatus::Settled);
        if page.last_edited_by != self.bot || !is_newer || is_open {
            return Ok(false);
        }
        let unknown: Vec<(&PropertyId, &Value)> = entity
            .fields
            .iter()
            .filter_map(|field| {
                let bases = link.fields.get(&field.property)?.bases.as_ref()?;
                match page.properties.get(&field.property)? {
                    PropertyRead::Whole(value) if *value != bases.page => Some((&field.property, value)),
                    _ => None,
                }
            })
            .filter(|(property, value)| {
                let mut sent = seen.intents.iter().flat_map(|intent| &intent.fields);
                !sent.any(|sent| sent.property == **property && shows(value, &sent.sent))
            })
            .collect();
        if unknown.is_empty() {
            return Ok(false);
        }
        let offset = self
            .engine
            .clock
            .notion_offset()
            .map_or(time::Duration::ZERO, |(offset, _)| offset);
        let since = page.last_edited_time - offset - OVERLAP;
        let searched = AuditFilter {
            limit: AUDIT_SEARCHED,
            ..AuditFilter::default()
        };
        // A write to a page is seen on others too, which it refers to. Only a state that knows of no write at all as
        // late as that has forgotten one.
        let latest = self.engine.store.audit(&searched).await?;
        if latest
            .iter()
            .any(|entry| entry.side == Side::Notion && entry.at >= since)
        {
            return Ok(false);
        }
        let searched = AuditFilter {
            entity: Some(entity.name.clone()),
            key: Some(link.key.clone()),
            ..searched
        };
        let entries = self.engine.store.audit(&searched).await?;
        Ok(unknown.iter().any(|(property, value)| {
            !entries.iter().any(|entry| match &entry.new {
                Some(Kept::Value(kept)) => entry.property.as_ref() == Some(*property) && shows(value, kept),
                Some(Kept::Record(kept)) => {
                    kept.get(property.as_str()).is_some_and(|kept| shows(value, kept))
                }
                None => false,
            })
        }))
    }

    async fn nominate_page(
        &self,
        entity: &Arc<Entity>,
        link: Option<Link>,
        page: Page,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let row = match &link {
            Some(link) => self.read_row(entity, &link.key).await?,
            None => RowSeen::Absent,
        };
        found.pages.insert(page.id.clone());
        self.nominate(entity, link, row, PageSeen::Seen(page), found)
            .await
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

    async fn capture_rows(
        &self,
        entity: &Arc<Entity>,
        marks: &mut Marks,
        linked: u64,
        started: OffsetDateTime,
        found: &mut Nominations,
    ) -> Result<Vec<i64>, EngineError> {
        let scan_due = self.request.full
            || marks
                .rows_scanned_at
                .is_none_or(|at| started - at >= time::Duration::DAY)
            || entity.capture == Capture::Scan;
        let mut notes = Vec::new();
        if scan_due {
            let (mut seen, mut matched) = (0, 0);
            let mut after: Option<RecordKey> = None;
            loop {
                let rows = self.engine.rows.scan(&entity.name, after.as_ref(), BATCH).await?;
                let Some(last) = rows.last() else { break };
                after = Some(last.key.clone());
                seen += rows.len() as u64;
                matched += self.capture_batch(entity, rows, found).await?;
            }
            found.rows_seen = Some(seen);
            marks.rows_scanned_at = Some(started);
            if matched < linked {
                self.capture_missing_rows(entity, found).await?;
            }
        } else if let Capture::UpdatedAt { .. } = entity.capture {
            let since = marks.rows_captured_at.unwrap_or(started) - OVERLAP;
            let mut after: Option<RecordKey> = None;
            loop {
                let rows = self
                    .engine
                    .rows
                    .updated_since(&entity.name, since, after.as_ref(), BATCH)
                    .await?;
                let Some(last) = rows.last() else { break };
                after = Some(last.key.clone());
                self.capture_batch(entity, rows, found).await?;
            }
        } else {
            notes = self.capture_noted(entity, found).await?;
        }
        if scan_due && entity.capture == Capture::Triggers {
            notes = self.notes_of(&entity.name).iter().map(|note| note.seq).collect();
        }
        marks.rows_captured_at = Some(started);
        Ok(notes)
    }

    /// The rows that the change log names; answers the notes' numbers.
    async fn capture_noted(
        &self,
        entity: &Arc<Entity>,
        found: &mut Nominations,
    ) -> Result<Vec<i64>, EngineError> {
        // The overlap of notes with rows seen before costs a comparison and nothing else.
        let changes = self.notes_of(&entity.name);
        let notes = changes.iter().map(|change| change.seq).collect();
        let keys: BTreeSet<RecordKey> = changes
            .into_iter()
            .flat_map(|change| std::iter::once(change.key).chain(change.old_key))
            .collect();
        let keys: Vec<RecordKey> = keys.into_iter().collect();
        for keys in keys.chunks(BATCH) {
            self.capture_rows_by_key(entity, keys, found).await?;
        }
        Ok(notes)
    }

    /// Pages that a hint named: one direct read each, which serves every rule.
    async fn capture_named_pages(
        &self,
        entity: &Arc<Entity>,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let pages = &self.request.pages;
        let links = self.engine.store.links_by_page(&entity.name, pages).await?;
        for id in pages {
            let link = links.iter().find(|link| link.page.as_ref() == Some(id)).cloned();
            // A page that no row can come of tells nothing that the next listing does not.
            if link.is_none() && entity.policy.presence.on_page_create != OnPageCreate::InsertRow {
                continue;
            }
            // Out of reach is a matter of the complete listing, which knows how long it has been so.
            let PageSeen::Seen(page) = self.engine.read_page(entity, id, Priority::Pull).await? else {
                continue;
            };
            let is_live = !page.in_trash && page.parent == PageParent::Entity;
            let row = match &link {
                Some(link) if !is_live || self.differs(entity, link, &page) => {
                    self.read_row(entity, &link.key).await?
                }
                None if is_live && self.concerns_us(entity, &page) => RowSeen::Absent,
                _ => continue,
            };
            self.nominate(entity, link, row, PageSeen::Seen(page), found)
                .await?;
        }
        Ok(())
    }

    async fn capture_keys(&self, entity: &Arc<Entity>, found: &mut Nominations) -> Result<(), EngineError> {
        let keys = self.request.keys.clone();
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

    async fn capture_rows_by_key(
        &self,
        entity: &Arc<Entity>,
        keys: &[RecordKey],
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let rows = self.engine.rows.read(&entity.name, keys).await?;
        let there: BTreeSet<RecordKey> = rows
            .iter()
            .filter(|row| row.in_scope)
            .map(|row| row.key.clone())
            .collect();
        let out: BTreeMap<RecordKey, Row> = rows
            .iter()
            .filter(|row| !row.in_scope)
            .map(|row| (row.key.clone(), row.clone()))
            .collect();
        self.capture_batch(
            entity,
            rows.into_iter().filter(|row| row.in_scope).collect(),
            found,
        )
        .await?;
        let gone: Vec<RecordKey> = keys.iter().filter(|key| !there.contains(key)).cloned().collect();
        for link in self.links_of(entity, &gone).await? {
            let row = out.get(&link.key).cloned().map_or(RowSeen::Absent, RowSeen::Seen);
            self.nominate_gone(entity, link, row, found).await?;
        }
        Ok(())
    }

    /// Compares rows with their links; answers how many belong to linked records.
    async fn capture_batch(
        &self,
        entity: &Arc<Entity>,
        rows: Vec<Row>,
        found: &mut Nominations,
    ) -> Result<u64, EngineError> {
        let keys: Vec<RecordKey> = rows.iter().map(|row| row.key.clone()).collect();
        let mut links: BTreeMap<RecordKey, Link> = self
            .links_of(entity, &keys)
            .await?
            .into_iter()
            .map(|link| (link.key.clone(), link))
            .collect();
        let mut matched = 0;
        for row in rows {
            let Some(link) = links.remove(&row.key) else {
                if !found.adoptable.contains(&row.key) {
                    self.nominate(entity, None, RowSeen::Seen(row), PageSeen::None, found)
                        .await?;
                }
                continue;
            };
            matched += u64::from(link.phase == Phase::Linked);
            if self.row_differs(entity, &link, &row) {
                let page = if link.page.is_some() {
                    PageSeen::Presumed
                } else {
                    PageSeen::None
                };
                self.nominate(entity, Some(link), RowSeen::Seen(row), page, found)
                    .await?;
            }
        }
        Ok(matched)
    }

    /// Whether a row asks for anything that its link does not remember.
    fn row_differs(&self, entity: &Entity, link: &Link, row: &Row) -> bool {
        match link.phase {
            Phase::Linked => {
                link.note.as_deref() != Some("opted_out")
                    && !is_frozen(link)
                    && entity.fields.iter().any(|field| {
                        let Ok(value) = field.codec.row_value(&row.columns) else {
                            return false;
                        };
                        let state = link.fields.get(&field.property);
                        let asks = state.is_none_or(|state| {
                            state.force_push || state.bases.as_ref().is_none_or(|bases| bases.row != value)
                        });
                        asks && !is_known_trouble(link, &field.property, Side::Postgres, &value)
                    })
            }
            Phase::Tombstone | Phase::LeftScope => true,
            Phase::CreatingPage => {
                let digest = columns_digest(entity, &row.columns);
                link.troubles
                    .iter()
                    .all(|trouble| trouble.met_with.postgres.as_ref() != Some(&digest))
            }
            // The page only says that its row is gone, and here is the row.
            Phase::Held if link.note.as_deref() == Some("row_gone") => true,
            // 4, E7: once held, later edits of the row do not revive the page.
            Phase::Held | Phase::Detached | Phase::TrashingPage => false,
        }
    }

    /// Links whose row a complete scan did not meet: each is read by key before it counts as gone.
    async fn capture_missing_rows(
        &self,
        entity: &Arc<Entity>,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let mut after = None;
        loop {
            let links = self.engine.store.links_after(&entity.name, after, BATCH).await?;
            let Some(last) = links.last() else { return Ok(()) };
            after = Some(last.id);
            let links = self.followed(links);
            let links: Vec<Link> = links
                .into_iter()
                .filter(|link| matches!(link.phase, Phase::Linked | Phase::Held | Phase::Detached))
                .collect();
            let keys: Vec<RecordKey> = links.iter().map(|link| link.key.clone()).collect();
            let rows: BTreeMap<RecordKey, Row> = self
                .engine
                .rows
                .read(&entity.name, &keys)
                .await?
                .into_iter()
                .map(|row| (row.key.clone(), row))
                .collect();
            for link in links {
                match rows.get(&link.key) {
                    Some(row) if row.in_scope => {}
                    Some(row) => {
                        self.nominate_gone(entity, link, RowSeen::Seen(row.clone()), found)
                            .await?
                    }
                    None => self.nominate_gone(entity, link, RowSeen::Absent, found).await?,
                }
            }
        }
    }

    /// A link whose row is gone, unless that is what it already stands for.
    async fn nominate_gone(
        &self,
        entity: &Arc<Entity>,
        link: Link,
        row: RowSeen,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let known = matches!(link.phase, Phase::Tombstone | Phase::LeftScope)
            || link.note.as_deref() == Some("row_gone")
            || (!link.troubles.is_empty()
                && link.look_again_at.is_none()
                && matches!(row, RowSeen::Absent)
                && link
                    .troubles
                    .iter()
                    .any(|trouble| trouble.code == ErrorCode::DeletedAndEdited));
        if known {
            return Ok(());
        }
        let page = if link.page.is_some() {
            PageSeen::Presumed
        } else {
            PageSeen::None
        };
        self.nominate(entity, Some(link), row, page, found).await
    }

    async fn nominate_always(
        &self,
        entity: &Arc<Entity>,
        link: Link,
        row: RowSeen,
        page: PageSeen,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let at = (Some(link.key.clone()), link.page.clone());
        let candidate = Candidate {
            entity: Arc::clone(entity),
            key: at.0.clone(),
            page: at.1.clone(),
            planned: None,
            read: None,
            may_delete: false,
        };
        self.nominate(entity, Some(link), row, page, found).await?;
        found.candidates.entry(at).or_insert(candidate);
        Ok(())
    }

    /// Nominates a record, with what would be done as far as can be told.
    async fn nominate(
        &self,
        entity: &Arc<Entity>,
        link: Option<Link>,
        row: RowSeen,
        page: PageSeen,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let mut key = link.as_ref().map(|link| link.key.clone());
        if let (None, RowSeen::Seen(row)) = (&key, &row) {
            key = Some(row.key.clone());
        }
        let page_id = match (&link, &page) {
            (Some(link), _) => link.page.clone(),
            (None, PageSeen::Seen(page)) => Some(page.id.clone()),
            _ => None,
        };
        let at = (key.clone(), page_id.clone());
        let known = found.candidates.get(&at);
        if known.is_some_and(|known| known.planned.is_some()) {
            return Ok(());
        }
        let mut page = page;
        let mut read = None;
        let unread = link.as_ref().is_some_and(|link| {
            link.phase == Phase::Linked
                && entity.fields.iter().any(|field| {
                    link.fields
                        .get(&field.property)
                        .is_none_or(|state| state.bases.is_none())
                })
        });
        if let (PageSeen::Presumed, true, Some(id)) = (&page, unread, &page_id) {
            // A field that was never agreed on: nothing can be presumed of it.
            page = self.engine.read_page(entity, id, Priority::Push).await?;
            read = page.page().cloned();
        } else if let (PageSeen::Seen(seen), Some(_)) = (&page, &link)
            && !found.pages.contains(&seen.id)
        {
            read = Some(seen.clone());
        }
        let mut seen = self.engine.seen(entity, link, row, page).await?;
        if seen.link.is_none() && seen.page.page().is_some() {
            self.read_label(entity, &mut seen).await?;
        }
        let decision = self.decide(entity, &seen);
        if decision.presence.action == PresenceAction::MergeFields
            && self.was_forgotten(entity, &seen).await?
        {
            found.forgotten += 1;
        }
        if decision.presence.action == PresenceAction::Adopt
            && let RowSeen::Seen(row) = &seen.row
        {
            found.adoptable.insert(row.key.clone());
        }
        if seen.link.is_none() && decision.presence.action == PresenceAction::Wait {
            // Looked at again by the next query, which must still reach back to it.
            let since = seen.page.page().map(|page| page.last_edited_time);
            found.waiting_since = found.waiting_since.into_iter().chain(since).min();
            return Ok(());
        }
        if seen.link.is_none() && decision.presence.action == PresenceAction::Nothing {
            return Ok(());
        }
        if let (None, Some(page)) = (&seen.link, seen.page.page())
            && let Some((code, state)) = flagged(decision.presence.action)
            && shows_state(entity, page, state)
        {
            // It is marked already: it stays listed, and costs no request.
            self.page_error(entity, &seen, code, decision.presence.reason);
            return Ok(());
        }
        let mut planned = operations(
            &entity.name,
            key.as_ref(),
            page_id.as_ref(),
            &decision,
            |property| entity.property_name(property),
            |property, side| held(entity, &seen, property, side),
        );
        planned.retain(|operation| match operation.kind.writes() {
            Some(Side::Postgres) => self.request.writes_postgres(),
            Some(Side::Notion) => self.request.writes_notion(),
            None => true,
        });
        let first = planned.iter().map(|operation| operation.kind).min();
        let may_delete = planned.iter().any(|operation| operation.kind.deletes().is_some());
        found.operations.extend(planned);
        let candidate = Candidate {
            entity: Arc::clone(entity),
            key,
            page: page_id,
            planned: first,
            read: read.map(Box::new),
            may_delete,
        };
        found.candidates.insert(at, candidate);
        Ok(())
    }
}

/// How a page that is nobody's is reported, and the status that says so on it.
fn flagged(action: PresenceAction) -> Option<(ErrorCode, &'static str)> {
    match action {
        PresenceAction::FlagDuplicate => Some((ErrorCode::DuplicatePage, status::DUPLICATE)),
        PresenceAction::FlagUnknownId => Some((ErrorCode::UnknownId, status::ERROR)),
        _ => None,
    }
}

fn held(entity: &Entity, seen: &Seen, property: &PropertyId, side: Side) -> Option<Value> {
    let field = entity.field(property)?;
    match side {
        Side::Postgres => field.codec.row_value(seen.columns()?).ok(),
        Side::Notion => match seen.page.page() {
            Some(page) => match page.properties.get(property) {
                Some(PropertyRead::Whole(value)) => Some(value.clone()),
                _ => None,
            },
            None => seen
                .link
                .as_ref()
                .and_then(|link| link.fields.get(property))
                .and_then(|state| state.bases.as_ref())
                .map(|bases| bases.page.clone()),
        },
    }
}
