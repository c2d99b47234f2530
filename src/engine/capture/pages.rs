//! What Notion shows: listings, and what they did not show, by direct reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use time::OffsetDateTime;

use super::super::apply::label_text;
use super::super::observe::{PageSeen, RowSeen, missed_for_a_day, page_value};
use super::super::reference::References;
use super::super::run::Work;
use super::super::trouble::{is_frozen, is_known_trouble};
use super::super::{EngineError, Entity};
use super::{BATCH, Nominations, OVERLAP};
use crate::mapping::{OnInaccessible, OnPageCreate};
use crate::ports::{Link, LinkTotals, Marks, Page, PageParent, PageQuery, Priority};
use crate::reconcile::{Phase, Side};
use crate::value::{PageId, Value};

impl Work<'_> {
    pub(super) async fn capture_pages(
        &self,
        entity: &Arc<Entity>,
        marks: &mut Marks,
        totals: &LinkTotals,
        started: OffsetDateTime,
        found: &mut Nominations,
    ) -> Result<(), EngineError> {
        let linked = totals.linked();
        let complete_due = self.request.full
            || self.clocks_stepped()
            || marks
                .pages_listed_at
                .is_none_or(|at| started - at >= self.engine.tuning.full_scan_every);
        let lists_all = complete_due || linked < self.engine.tuning.listed_whole;
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
        found.listed = listed;
        marks.pages_queried_at = Some(started);
        // What Notion's clock told before it was put back hides none of the edits that come.
        let present = self
            .engine
            .clock
            .notion_offset()
            .map(|(ahead, _)| started + ahead);
        marks.pages_edited_until =
            edited_until.map(|at| present.into_iter().chain(found.waiting_since).fold(at, Ord::min));
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

    /// Pages that a hint named: one direct read each, which serves every rule.
    pub(super) async fn capture_named_pages(
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

    /// Whether the last look was later than the minute to which the last edit is floored: then no edit hides in it.
    pub(in crate::engine) fn minute_was_over(&self, link: &Link, page: &Page) -> bool {
        let offset = self.engine.clock.notion_ahead();
        let over = page.last_edited_time - offset + time::Duration::MINUTE;
        // A look from before a step of a clock is none that the minute can be held against.
        let stepped_until = self.clocks_stepped_until();
        link.settled_at
            .is_some_and(|at| at > over && stepped_until.is_none_or(|until| at > until))
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
                            // By whoever: a request of ours that was given up on may land within the minute.
                            || !self.minute_was_over(link, page)
                    }
                }
            })
        };
        let is_ticked = entity
            .opt_out
            .as_ref()
            .is_some_and(|property| page.whole(property) == Some(&Value::Bool(true)));
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
                            page.whole(&entity.sync_status),
                            Some(Value::Choice(choice)) if choice.name != *status
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
}
