//! Works on one record: looks at it afresh, asks what to do, and does it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use time::OffsetDateTime;

use super::observe::{PageSeen, RowSeen, Seen, Setting, observation};
use super::recover::shows_all;
use super::run::Work;
use super::{EngineError, Entity};
use crate::journal::{IntentKind, IntentStatus, Outcome};
use crate::plan::OperationKind;
use crate::ports::{Link, Page, PageParent, Priority, Progress, Retry, StoreError};
use crate::reconcile::{Decision, Label, Observation, Phase, PresenceAction, Side, decide};
use crate::report::ErrorCode;
use crate::value::{PageId, RecordKey, Value};

/// A record that something nominated.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) entity: Arc<Entity>,
    /// The row's key, when a row or a link named it.
    pub(super) key: Option<RecordKey>,
    /// The page, when a page or a link named it.
    pub(super) page: Option<PageId>,
    /// The first of what would be done, as far as that could be told.
    pub(super) planned: Option<OperationKind>,
    /// A direct read made while capturing, and when: good for the first look while it is fresh. Boxed: few of many
    /// candidates have one.
    pub(super) read: Option<(OffsetDateTime, Box<Page>)>,
    /// Whether the guards saw that it may lose a row or page.
    pub(super) may_delete: bool,
    /// Whether this run's listing showed the page.
    pub(super) was_listed: bool,
}

impl Candidate {
    /// Where it stands in the order of the run.
    pub(super) fn kind(&self) -> OperationKind {
        self.planned.unwrap_or(OperationKind::UpdateRow)
    }
}

/// How one attempt at a record ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// For this run.
    Done(Outcome),
    /// The world moved: look again.
    Again,
}

/// Attempts at one record before it is left for the next run.
///
/// Source: sync semantics, 5.1: re-read and re-plan at most 5 times, then defer.
const ATTEMPTS: usize = 5;

/// How long a read made while capturing may stand in for the one before a write: others may be captured in between.
///
/// Source: sync semantics, 5.1: what is read just before a write is what it is made from.
const READ_GOOD_FOR: Duration = Duration::from_secs(5);

/// The waits before a record is tried again that Postgres could not serve: locks, deadlocks, lost connections.
const BACK_OFF: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1600),
];

/// Records in a row that Postgres could not serve, before the run ends.
///
/// Source: sync semantics, section 8: the circuit breaker.
const BREAKER: u32 = 5;

impl Work<'_> {
    /// Brings one record into step as far as that goes now.
    pub(super) async fn settle_record(&self, candidate: Candidate) -> Result<Outcome, EngineError> {
        let mut candidate = candidate;
        let mut waits = BACK_OFF.into_iter();
        for _ in 0..ATTEMPTS {
            match self.attempt(&mut candidate).await {
                Ok(Step::Done(outcome)) => {
                    self.failures.store(0, Ordering::Relaxed);
                    return Ok(outcome);
                }
                // Somebody linked or changed the record meanwhile, or the connection broke while committing, which
                // happened whole or not at all: that is a reason to look again.
                Ok(Step::Again)
                | Err(EngineError::Store(StoreError::Taken { .. } | StoreError::Unknown { .. })) => {}
                Err(error @ (EngineError::Rows(_) | EngineError::Store(_)))
                    if error.retry() == Retry::WithBackOff =>
                {
                    // Once the side has failed several in a row, the others need not find that out by themselves.
                    let is_open = self.failures.load(Ordering::Relaxed) >= BREAKER;
                    match waits.next().filter(|_| !is_open) {
                        Some(wait) => self.engine.clock.sleep(wait).await,
                        None => return self.gave_up(&candidate, error).await,
                    }
                }
                Err(error) => return Err(error),
            }
            candidate.read = None;
        }
        self.keep_in_sight(&candidate).await;
        Ok(Outcome::Deferred)
    }

    /// A record that Postgres could not serve now: it alone waits, until that happens to several in a row.
    async fn gave_up(&self, candidate: &Candidate, error: EngineError) -> Result<Outcome, EngineError> {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= BREAKER {
            return Err(error);
        }
        self.tally.error(
            &candidate.entity.name,
            candidate.key.as_ref(),
            candidate.page.as_ref(),
            None,
            ErrorCode::PostgresFailed,
            super::run::with_causes(&error),
        );
        self.keep_in_sight(candidate).await;
        Ok(Outcome::Deferred)
    }

    /// A link remembers that its record is to be looked at again. A record without one is brought back only by what
    /// named it, so the run counts its entity as not done with.
    async fn keep_in_sight(&self, candidate: &Candidate) {
        if !matches!(self.link_of(candidate).await, Ok(Some(_))) {
            self.leave_marks(&candidate.entity.name);
        }
    }

    async fn attempt(&self, candidate: &mut Candidate) -> Result<Step, EngineError> {
        let entity = Arc::clone(&candidate.entity);
        let entity = &*entity;
        let began = self.engine.clock.now();
        let link = self.link_of(candidate).await?;
        let page_id = link
            .as_ref()
            .map_or_else(|| candidate.page.clone(), |link| link.page.clone());
        let key = link
            .as_ref()
            .map(|link| link.key.clone())
            .or_else(|| candidate.key.clone());
        let row = match &key {
            Some(key) => self.read_row(entity, key).await?,
            None => RowSeen::Absent,
        };
        let now = self.engine.clock.now();
        let fresh = candidate.read.take().filter(|(at, _)| now - *at < READ_GOOD_FOR);
        let page = match (fresh, &page_id) {
            (Some((_, read)), _) => PageSeen::Seen(*read),
            (None, Some(page)) => {
                let priority = if candidate.page.is_some() {
                    Priority::Pull
                } else {
                    Priority::Push
                };
                self.engine.read_page(entity, page, priority).await?
            }
            (None, None) => PageSeen::None,
        };
        let mut seen = self.engine.seen(entity, link, row, page).await?;
        seen.at = began;
        seen.was_listed = candidate.was_listed;
        if seen.link.is_none() {
            self.read_label(entity, &mut seen).await?;
        }
        if let Some(link) = &seen.link
            && link.phase == Phase::CreatingPage
            && link.page.is_none()
            && !seen
                .intents
                .iter()
                .any(|intent| intent.status == IntentStatus::Pending)
        {
            if seen.columns().is_none() {
                // The row went meanwhile: there is nothing to make a page of, and nothing to wait for.
                return self
                    .set_aside(entity, &seen, Phase::Tombstone, "both_gone", None)
                    .await;
            }
            // The earlier request is known not to have made a page: another attempt is due.
            let again = link.clone();
            return self.create_page(entity, &seen, Some(again)).await;
        }
        let mut decision = self.decide(entity, &seen);
        if let (PageSeen::Inaccessible, Some(link)) = (&seen.page, &seen.link)
            && decision.presence.action.gives_page_up()
            && self.shows_by_label(entity, link).await?
        {
            // A query and a direct read that contradict each other: neither tells for certain.
            seen.was_listed = true;
            decision = self.decide(entity, &seen);
        }
        if decision.presence.action.deletes().is_some() && !candidate.may_delete {
            // Not in the plan that the guards saw: the next run's plan has it.
            return Ok(Step::Done(Outcome::Deferred));
        }
        if decision.presence.action.takes_whole_page()
            && seen.page.page().is_some_and(|page| entity.lacks(page))
        {
            // What the answer does not carry could be neither kept nor put back.
            return Ok(Step::Again);
        }
        if decision.presence.action.deletes() == Some(Side::Notion)
            && let Some(link) = &seen.link
            && self.read_row(entity, &link.key).await?.state() != seen.row.state()
        {
            // It was read before its page: one that was deleted since, or put back, asks for something else.
            return Ok(Step::Again);
        }
        self.carry_out(entity, &seen, &decision).await
    }

    /// Whether a query for the record's label shows its page.
    async fn shows_by_label(&self, entity: &Entity, link: &Link) -> Result<bool, EngineError> {
        let found = self.labelled(entity, link, Priority::Create).await?;
        let mut pages = found.pages.iter();
        Ok(pages.any(|page| link.page.as_ref() == Some(&page.id)))
    }

    /// Asks the decision core.
    pub(super) fn decide(&self, entity: &Entity, seen: &Seen) -> Decision {
        let decision = decide(&self.observed(entity, seen));
        self.watcher.tell(Progress::Decided { decision: &decision });
        decision
    }

    /// What was seen, as the decision core takes it.
    pub(super) fn observed(&self, entity: &Entity, seen: &Seen) -> Observation {
        let marks = self.marks_of(&entity.name);
        let key = match (&seen.link, &seen.row) {
            (Some(link), _) => Some(&link.key),
            (None, RowSeen::Seen(row)) => Some(&row.key),
            (None, RowSeen::Absent) => None,
        };
        let notes = key.map_or_else(Vec::new, |key| self.notes_about(&entity.name, key));
        let setting = Setting {
            now: self.engine.clock.now(),
            tuning: &self.engine.tuning,
            request: self.request,
            marks: &marks,
            capture: &entity.capture,
            notes: &notes,
            offset: self.engine.clock.notion_offset(),
            clocks_stepped_until: self.clocks_stepped_until(),
            bot: &self.bot,
        };
        observation(entity, seen, &setting)
    }

    async fn carry_out(
        &self,
        entity: &Entity,
        seen: &Seen,
        decision: &Decision,
    ) -> Result<Step, EngineError> {
        let writes = crate::plan::operations(
            &entity.name,
            None,
            None,
            decision,
            |property| property.to_string(),
            |_, _| None,
        );
        let presence_write = writes
            .first()
            .filter(|_| decision.presence.action != PresenceAction::MergeFields)
            .and_then(|operation| operation.kind.writes());
        let allowed = match presence_write {
            Some(Side::Postgres) => self.request.writes_postgres(),
            Some(Side::Notion) => self.request.writes_notion(),
            None => true,
        };
        if !allowed {
            return Ok(Step::Done(Outcome::Deferred));
        }
        match (decision.presence.action, &seen.page) {
            (PresenceAction::MergeFields, PageSeen::Seen(page)) => {
                self.apply_fields(entity, seen, page, decision).await
            }
            (PresenceAction::MergeFields, _) => Ok(Step::Done(Outcome::Deferred)),
            _ => self.apply_presence(entity, seen, decision).await,
        }
    }

    async fn link_of(&self, candidate: &Candidate) -> Result<Option<Link>, EngineError> {
        let entity = &candidate.entity.name;
        if let Some(page) = &candidate.page {
            let links = self
                .engine
                .store
                .links_by_page(entity, std::slice::from_ref(page))
                .await?;
            if let Some(link) = links.into_iter().next() {
                return Ok(Some(link));
            }
        }
        let Some(key) = &candidate.key else {
            return Ok(None);
        };
        let links = self
            .engine
            .store
            .links_by_key(entity, std::slice::from_ref(key))
            .await?;
        Ok(links.into_iter().next())
    }

    pub(super) async fn read_row(&self, entity: &Entity, key: &RecordKey) -> Result<RowSeen, EngineError> {
        let rows = self
            .engine
            .rows
            .read(&entity.name, std::slice::from_ref(key))
            .await?;
        Ok(rows.into_iter().next().map_or(RowSeen::Absent, RowSeen::Seen))
    }

    /// What the label of a page without a link says, and whether a row may be made of the page.
    pub(super) async fn read_label(&self, entity: &Entity, seen: &mut Seen) -> Result<(), EngineError> {
        let Some(page) = seen.page.page().cloned() else {
            return Ok(());
        };
        seen.label = Label::Empty;
        let text = label_text(entity, &page);
        if text.is_empty() {
            seen.ripe = self.is_ripe(entity, &page);
            return Ok(());
        }
        let key = if entity.key.len() == 1 {
            RecordKey::single(text)
        } else {
            split_key(&text)
        };
        let links = self
            .engine
            .store
            .links_by_key(&entity.name, std::slice::from_ref(&key))
            .await?;
        let row = self.read_row(entity, &key).await?;
        let in_scope = matches!(&row, RowSeen::Seen(row) if row.in_scope);
        seen.label = match links.first() {
            Some(link) if link.phase != Phase::Tombstone && link.page.is_some() => {
                if self.is_own_stray(link, &page).await? {
                    Label::OwnStray
                } else {
                    Label::LinkedElsewhere
                }
            }
            Some(_) if in_scope => Label::Unlinked,
            None if in_scope && entity.policy.initial.is_some() => Label::Adoptable,
            None if in_scope => Label::Unlinked,
            _ => Label::Foreign,
        };
        if seen.label == Label::Adoptable || seen.label == Label::Unlinked {
            seen.row = row;
        }
        Ok(())
    }

    /// 5.3: whether nobody but us wrote a page, and it shows what an abandoned request of ours to create it sent.
    async fn is_own_stray(&self, link: &Link, page: &Page) -> Result<bool, EngineError> {
        if page.created_by != self.bot || page.last_edited_by != self.bot {
            return Ok(false);
        }
        let intents = self.engine.store.intents(&[link.id]).await?;
        Ok(intents
            .iter()
            .filter(|intent| {
                intent.kind == IntentKind::CreatePage && intent.status == IntentStatus::Abandoned
            })
            .any(|intent| shows_all(intent, page)))
    }

    /// Whether a person's page has rested, and holds what a row needs.
    fn is_ripe(&self, entity: &Entity, page: &Page) -> bool {
        let offset = self.engine.clock.notion_ahead();
        let rested = self.engine.clock.now() - (page.last_edited_time - offset) >= entity.create_grace;
        let complete = entity.fields.iter().all(|field| {
            let required = field
                .column
                .as_ref()
                .is_some_and(|column| entity.required.contains(column));
            !required || page.whole(&field.property).is_some_and(|value| !value.is_empty())
        });
        rested && complete && page.parent == PageParent::Entity
    }
}

/// The text of a page's label.
pub(super) fn label_text(entity: &Entity, page: &Page) -> String {
    match page.whole(&entity.postgres_id) {
        Some(Value::RichText(runs)) => crate::value::plain_text(runs).trim().to_owned(),
        Some(Value::Text(text)) => text.trim().to_owned(),
        _ => String::new(),
    }
}

/// Reads the text of a key of several columns back: commas between, `\` before a comma or backslash inside.
fn split_key(text: &str) -> RecordKey {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for character in text.chars() {
        match character {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            ',' if !escaped => parts.push(String::new()),
            other => {
                if let Some(part) = parts.last_mut() {
                    part.push(other);
                }
            }
        }
        escaped = false;
    }
    RecordKey(parts)
}
