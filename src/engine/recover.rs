//! Settles what a crash or a lost answer left open, by looking and never by sending again.
//!
//! Sync semantics, section 5: the tables of crash points. An intent is settled when Notion shows what was sent
//! (R4); until the time in which it may still land has passed, its record waits; after that the intent is
//! abandoned, and kept, so that a late landing is recognised as ours (R3).

use std::collections::BTreeSet;
use std::time::Duration;

use time::OffsetDateTime;

use super::observe::{PageSeen, RowSeen};
use super::push::settle_restored;
use super::run::Work;
use super::{EngineError, Entity};
use crate::journal::{Act, Intent, IntentKind, IntentStatus, Kept, SentField};
use crate::ports::{Link, Page, PageBatch, PageQuery, Priority, PropertyRead, Record};
use crate::reconcile::accept::shows;
use crate::reconcile::{Phase, Reason, Side};
use crate::value::PageId;

/// Between two looks that both found no page, before a create is given up.
///
/// Source: sync semantics, 5.3.
const BETWEEN_LOOKS: Duration = Duration::from_secs(30);

/// A page that is older than the request by more than this, whatever the clocks say, is of the record's former life: only
/// what was out of reach for a day is made anew.
const FORMER_LIFE: Duration = Duration::from_secs(3600);

impl Work<'_> {
    /// Settles the entity's open intents as far as can be told now.
    pub(super) async fn recover(&self, entity: &Entity) -> Result<(), EngineError> {
        for link in self.engine.store.links_with_intents(&entity.name).await? {
            let intents = self.engine.store.intents(&[link.id]).await?;
            let mut link = link;
            for intent in intents
                .into_iter()
                .filter(|intent| intent.status == IntentStatus::Pending)
            {
                self.settle_intent(entity, &mut link, intent).await?;
            }
        }
        Ok(())
    }

    async fn settle_intent(
        &self,
        entity: &Entity,
        link: &mut Link,
        intent: Intent,
    ) -> Result<(), EngineError> {
        match (intent.kind, &link.page) {
            (IntentKind::CreatePage, _) => self.settle_create(entity, link, intent).await,
            (_, None) => self.abandon(entity, link, intent).await,
            (kind, Some(page)) => {
                let page = match self.engine.read_page(entity, page, Priority::Settle).await? {
                    PageSeen::Seen(page) => page,
                    _ => return self.abandon(entity, link, intent).await,
                };
                let applied = match kind {
                    IntentKind::TrashPage => page.in_trash,
                    IntentKind::RestorePage => !page.in_trash && shows_all(&intent, &page),
                    _ => shows_all(&intent, &page),
                };
                if !applied {
                    return if self.engine.clock.now() >= intent.settle_after {
                        self.abandon(entity, link, intent).await
                    } else {
                        self.tally.count(&entity.name, |report| report.deferred += 1);
                        Ok(())
                    };
                }
                if kind == IntentKind::TrashPage {
                    // The row may have come back while nobody knew.
                    link.look_again_at = Some(self.engine.clock.now());
                    self.settle_trashed(entity, link.clone(), intent, &page).await?;
                } else {
                    self.settle_patch(entity, link.clone(), intent, &page).await?;
                }
                link.rev += 1;
                Ok(())
            }
        }
    }

    async fn settle_patch(
        &self,
        entity: &Entity,
        mut link: Link,
        mut intent: Intent,
        page: &Page,
    ) -> Result<(), EngineError> {
        let now = self.engine.clock.now();
        let mut records = Vec::new();
        self.settle_answer(entity, &mut link, &intent, page, now);
        settle_restored(&mut link, &intent);
        // A person may have edited other fields since: they are looked at next.
        link.look_again_at = Some(now);
        for sent in &intent.fields {
            // What stands for no value of the row was put back for a person.
            let cause = match sent.from_row {
                Some(_) => Reason::OnlyPostgresChanged,
                None => Reason::Undone,
            };
            let mut entry = self.audit(entity, &link, Side::Notion, Act::Updated, cause, now);
            entry.property = Some(sent.property.clone());
            entry.old = sent.replaces.clone().map(Kept::Value);
            entry.new = Some(Kept::Value(sent.sent.clone()));
            records.push(Record::Audit(entry));
        }
        if intent.fields.is_empty() && page.last_edited_by == self.bot {
            let cause = Reason::StatusChanged;
            records.push(Record::Audit(self.audit(
                entity,
                &link,
                Side::Notion,
                Act::Updated,
                cause,
                now,
            )));
        }
        intent.status = IntentStatus::Settled;
        records.extend([Record::Intent(intent), Record::Link(Box::new(link))]);
        self.commit(records).await?;
        self.tally.count(&entity.name, |report| report.pages_updated += 1);
        Ok(())
    }

    /// 5.3: looks for the page by its label; gives up only after two clean looks past the settle window.
    async fn settle_create(
        &self,
        entity: &Entity,
        link: &mut Link,
        intent: Intent,
    ) -> Result<(), EngineError> {
        let batch = self.labelled(entity, link, Priority::Settle).await?;
        let mut earlier = self.engine.store.intents(&[link.id]).await?;
        earlier.retain(|intent| {
            intent.kind == IntentKind::CreatePage && intent.status == IntentStatus::Abandoned
        });
        let first_sent = earlier
            .iter()
            .map(|intent| intent.sent_at)
            .fold(intent.sent_at, Ord::min);
        let mut found: Vec<Page> = batch
            .pages
            .into_iter()
            .filter(|page| page.created_by == self.bot && !page.in_trash)
            .filter(|page| page.created_time + FORMER_LIFE >= first_sent)
            .collect();
        found.sort_by(|a, b| (a.created_time, &a.id).cmp(&(b.created_time, &b.id)));
        let linked = self
            .engine
            .store
            .links_by_page(
                &entity.name,
                &found.iter().map(|page| page.id.clone()).collect::<Vec<_>>(),
            )
            .await?;
        found.retain(|page| !linked.iter().any(|link| link.page.as_ref() == Some(&page.id)));
        if !found.is_empty() && link.incarnation > 0 {
            let former = self.former_pages(link).await?;
            found.retain(|page| !former.contains(&page.id));
        }
        if let Some(page) = found.into_iter().next().map(|page| entity.canonical(page)) {
            let (mut intent, given_up) = sender(earlier, intent, &page);
            let page = self.as_answered(page, &intent);
            let columns = match self.read_row(entity, &link.key).await? {
                RowSeen::Seen(row) => row.columns,
                _ => std::collections::BTreeMap::new(),
            };
            let given_up = given_up.map(Record::Intent).into_iter().collect();
            self.settle_created(entity, link.clone(), &mut intent, &page, &columns, true, given_up)
                .await?;
            link.rev += 1;
            return Ok(());
        }
        let now = self.engine.clock.now();
        let gap = BETWEEN_LOOKS.min(self.engine.tuning.settle_create);
        if now < intent.settle_after || !batch.complete {
            self.tally.count(&entity.name, |report| report.deferred += 1);
            return Ok(());
        }
        match link.missed {
            Some((_, since)) if now - since >= gap => self.abandon(entity, link, intent).await,
            None if gap.is_zero() => self.abandon(entity, link, intent).await,
            Some(_) => Ok(()),
            None => {
                link.missed = Some((1, now));
                self.commit(vec![Record::Link(Box::new(link.clone()))]).await?;
                link.rev += 1;
                Ok(())
            }
        }
    }

    /// What a query for the record's label shows.
    pub(super) async fn labelled(
        &self,
        entity: &Entity,
        link: &Link,
        priority: Priority,
    ) -> Result<PageBatch, EngineError> {
        let query = PageQuery::WithPostgresId(link.key.to_string());
        let found = self.engine.pages.query(&entity.name, &query, None, priority);
        Ok(found.await?)
    }

    /// The pages that a record of several lives has had so far, as far as the log goes back.
    async fn former_pages(&self, link: &Link) -> Result<BTreeSet<PageId>, EngineError> {
        let entries = self.entries_about(link).await?;
        let own = entries.into_iter().filter(|entry| entry.link == Some(link.id));
        Ok(own.filter_map(|entry| entry.page).collect())
    }

    /// The page as the lost answer showed it: what a person wrote over since is no part of what both sides agreed on, nor is
    /// what a request of ours did that a restored database has forgotten.
    fn as_answered(&self, mut page: Page, intent: &Intent) -> Page {
        let is_over = |sent: &&SentField| {
            let read = page.whole(&sent.property);
            read.is_some_and(|read| !shows(read, &sent.sent))
        };
        let over: Vec<&SentField> = intent.fields.iter().filter(is_over).collect();
        if over.is_empty() && page.last_edited_by == self.bot {
            return page;
        }
        page.last_edited_time = page.created_time;
        for sent in over {
            let was = PropertyRead::Whole(sent.sent.clone());
            page.properties.insert(sent.property.clone(), was);
        }
        page
    }

    /// What is written of a request that is given up. It may have been applied and edited over, or land yet: what it
    /// replaces is kept.
    pub(super) fn abandoned(
        &self,
        entity: &Entity,
        link: &Link,
        mut intent: Intent,
        now: OffsetDateTime,
    ) -> Vec<Record> {
        let mut records = Vec::new();
        for sent in intent.fields.iter().filter(|sent| sent.replaces.is_some()) {
            let mut entry = self.audit(
                entity,
                link,
                Side::Notion,
                Act::Updated,
                Reason::OutcomeIsOpen,
                now,
            );
            entry.property = Some(sent.property.clone());
            entry.old = sent.replaces.clone().map(Kept::Value);
            entry.new = Some(Kept::Value(sent.sent.clone()));
            records.push(Record::Audit(entry));
        }
        intent.status = IntentStatus::Abandoned;
        // From here on it is kept: for as long as nobody looked it was open.
        intent.settle_after = intent.settle_after.max(now);
        records.push(Record::Intent(intent));
        records
    }

    /// Gives a request up.
    async fn abandon(&self, entity: &Entity, link: &mut Link, intent: Intent) -> Result<(), EngineError> {
        let now = self.engine.clock.now();
        let mut records = self.abandoned(entity, link, intent, now);
        link.missed = None;
        link.look_again_at = Some(now);
        if link.phase == Phase::TrashingPage {
            link.phase = Phase::Linked;
        }
        records.push(Record::Link(Box::new(link.clone())));
        self.commit(records).await?;
        link.rev += 1;
        Ok(())
    }
}

/// The request that a page came of: the pending one, or an earlier attempt whose request arrived after all. Then the
/// pending one is given up, and its page will be a second one.
fn sender(earlier: Vec<Intent>, pending: Intent, page: &Page) -> (Intent, Option<Intent>) {
    if shows_all(&pending, page) {
        return (pending, None);
    }
    match earlier.into_iter().find(|intent| shows_all(intent, page)) {
        Some(earlier) => {
            let status = IntentStatus::Abandoned;
            (earlier, Some(Intent { status, ..pending }))
        }
        None => (pending, None),
    }
}

/// Whether a page shows everything that a request sent.
pub(super) fn shows_all(intent: &Intent, page: &Page) -> bool {
    intent.fields.iter().all(|sent| {
        page.whole(&sent.property)
            .is_some_and(|read| shows(read, &sent.sent))
    })
}
