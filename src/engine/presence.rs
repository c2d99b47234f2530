//! Carries out the decisions about a record's existence; what makes and what removes is in [`super::create`] and
//! [`super::remove`].

use super::apply::Step;
use super::fields::seen_at;
use super::observe::Seen;
use super::push::{choice, status};
use super::run::Work;
use super::trouble::trouble;
use super::{EngineError, Entity};
use crate::journal::{Act, AuditEntry, Conflict, ConflictStatus, IntentStatus, Kept, Outcome};
use crate::ports::{Link, Page, PageWrite, Priority, Record};
use crate::reconcile::{Decision, Phase, PresenceAction, Reason, Side};
use crate::report::ErrorCode;
use crate::value::{PageId, PropertyId, RecordKey, Shared, Value};

impl Work<'_> {
    /// Carries out what was decided about a record's existence.
    pub(super) async fn apply_presence(
        &self,
        entity: &Entity,
        seen: &Seen,
        decision: &Decision,
    ) -> Result<Step, EngineError> {
        let reason = decision.presence.reason;
        match decision.presence.action {
            PresenceAction::MergeFields => Ok(Step::Done(Outcome::Deferred)),
            PresenceAction::Nothing => self.nothing(seen, reason).await,
            PresenceAction::Wait => self.wait(seen).await,
            PresenceAction::CreatePage => self.create_page(entity, seen, None).await,
            PresenceAction::RecreatePage | PresenceAction::Reincarnate => self.reincarnate(seen).await,
            PresenceAction::InsertRow | PresenceAction::ReinsertRow => {
                self.insert_row(entity, seen, reason).await
            }
            PresenceAction::TrashPage => self.trash_page(entity, seen, reason, Phase::Tombstone).await,
            PresenceAction::TrashPageOutOfScope => {
                self.trash_page(entity, seen, reason, Phase::LeftScope).await
            }
            PresenceAction::RestorePage => self.restore_page(entity, seen, decision).await,
            PresenceAction::MarkPage => {
                self.set_aside(entity, seen, Phase::Held, "row_gone", None)
                    .await?;
                self.mark(entity, seen, status::HELD, None).await
            }
            PresenceAction::Hold => {
                let (note, code) = match reason {
                    Reason::PageIsInaccessible => ("page_inaccessible", ErrorCode::PageInaccessible),
                    _ => ("page_trashed", ErrorCode::PageTrashed),
                };
                self.set_aside(entity, seen, Phase::Held, note, Some((code, reason)))
                    .await
            }
            PresenceAction::Detach => {
                let trouble = Some((ErrorCode::PageMoved, reason));
                self.set_aside(entity, seen, Phase::Detached, "page_moved", trouble)
                    .await
            }
            PresenceAction::Bury => {
                let note = if reason == Reason::PageWasLeftBehind {
                    "page_left_behind"
                } else {
                    "both_gone"
                };
                self.set_aside(entity, seen, Phase::Tombstone, note, None).await
            }
            PresenceAction::SoftDeleteRow => self.soft_delete_row(entity, seen, reason).await,
            PresenceAction::DeleteRow => self.delete_row(entity, seen, reason).await,
            PresenceAction::OpenConflict => self.open_conflict(entity, seen, reason).await,
            PresenceAction::Adopt => self.adopt(entity, seen).await,
            PresenceAction::FlagDuplicate => {
                self.page_error(entity, seen, ErrorCode::DuplicatePage, reason);
                self.mark(entity, seen, status::DUPLICATE, None).await
            }
            PresenceAction::TrashStray => self.trash_stray(entity, seen).await,
            PresenceAction::ClearLabel => {
                let clear = Some((entity.postgres_id.clone(), Value::rich("")));
                self.mark(entity, seen, status::PENDING, clear).await
            }
            PresenceAction::FlagUnknownId => {
                self.page_error(entity, seen, ErrorCode::UnknownId, reason);
                self.mark(entity, seen, status::ERROR, None).await
            }
        }
    }

    pub(super) fn page_error(&self, entity: &Entity, seen: &Seen, code: ErrorCode, reason: Reason) {
        let page = seen.page.page().map(|page| &page.id);
        self.tally
            .error(&entity.name, None, page, None, code, reason.text().to_owned());
    }

    /// E11: a page that this run's listing showed is missing from now on at the earliest, though a direct read was denied.
    async fn wait(&self, seen: &Seen) -> Result<Step, EngineError> {
        if let Some(before) = &seen.link
            && seen.was_listed
            && before.missed.is_some()
        {
            let mut link = before.clone();
            link.missed = Some((1, self.engine.clock.now()));
            self.commit(vec![Record::Link(Box::new(link))]).await?;
        }
        Ok(Step::Done(Outcome::Deferred))
    }

    async fn nothing(&self, seen: &Seen, reason: Reason) -> Result<Step, EngineError> {
        if let Some(before) = &seen.link {
            let mut link = before.clone();
            put_off(&mut link, self.engine.clock.now());
            link.look_again_at = None;
            if reason == Reason::OptedOut {
                link.note = Some("opted_out".to_owned());
            }
            self.remember(seen, link, Vec::new()).await?;
        }
        Ok(Step::Done(Outcome::Applied))
    }

    pub(super) async fn set_aside(
        &self,
        entity: &Entity,
        seen: &Seen,
        phase: Phase,
        note: &str,
        why: Option<(ErrorCode, Reason)>,
    ) -> Result<Step, EngineError> {
        let Some(before) = &seen.link else {
            return Ok(Step::Done(Outcome::Applied));
        };
        let now = self.engine.clock.now();
        let mut link = before.clone();
        put_off(&mut link, now);
        link.phase = phase;
        link.note = Some(note.to_owned());
        link.look_again_at = None;
        link.troubles.clear();
        // E11: the first miss; what a complete listing shows a day later decides.
        let first_miss = before.missed.unwrap_or((1, now));
        let is_missing = why.is_some_and(|(code, _)| code == ErrorCode::PageInaccessible);
        link.missed = is_missing.then_some(first_miss);
        if let Some((code, reason)) = why {
            let mut held = trouble(code, None, reason.text(), now);
            held.retry_at = None;
            link.troubles.push(held);
        }
        let mut records = Vec::new();
        if phase == Phase::Tombstone {
            records.extend(self.closed(seen, Reason::BothAreGone, now));
            for intent in seen
                .intents
                .iter()
                .filter(|intent| intent.status == IntentStatus::Pending)
            {
                records.extend(self.abandoned(entity, before, intent.clone(), now));
            }
        }
        self.remember(seen, link, records).await?;
        Ok(Step::Done(Outcome::Applied))
    }

    /// Closes what is open about a record whose existence was settled.
    pub(super) fn closed(&self, seen: &Seen, reason: Reason, now: time::OffsetDateTime) -> Vec<Record> {
        seen.conflicts
            .iter()
            .map(|conflict| {
                let status = match conflict.status {
                    ConflictStatus::Chosen(side) => ConflictStatus::Resolved(side),
                    _ => ConflictStatus::Superseded,
                };
                self.tally
                    .count(&conflict.entity, |report| report.conflicts_resolved += 1);
                Record::Conflict(Conflict {
                    status,
                    reason,
                    closed_at: Some(now),
                    ..conflict.clone()
                })
            })
            .collect()
    }

    /// A conflict about the record's existence, and the page marked with it.
    async fn open_conflict(&self, entity: &Entity, seen: &Seen, reason: Reason) -> Result<Step, EngineError> {
        let Some(before) = &seen.link else {
            return Ok(Step::Done(Outcome::Deferred));
        };
        let now = self.engine.clock.now();
        let code = match reason {
            Reason::PageWasResurrected => ErrorCode::ResurrectedPage,
            _ => ErrorCode::DeletedAndEdited,
        };
        let mut link = before.clone();
        put_off(&mut link, now);
        let mut open = trouble(code, None, reason.text(), now);
        open.retry_at = None;
        link.troubles = vec![open];
        link.look_again_at = None;
        let mut records = Vec::new();
        if !seen.conflicts.iter().any(|conflict| conflict.property.is_none()) {
            records.push(Record::Conflict(Conflict {
                id: self.engine.new_id(),
                link: link.id,
                entity: entity.name.clone(),
                key: link.key.clone(),
                page: link.page.clone(),
                property: None,
                base_row: None,
                base_page: None,
                row: None,
                page_value: None,
                reason,
                evidence: serde_json::Value::Null,
                status: ConflictStatus::Open,
                rev: 1,
                opened_at: now,
                closed_at: None,
            }));
            self.tally
                .count(&entity.name, |report| report.conflicts_opened += 1);
        }
        self.remember(seen, link, records).await?;
        if self.request.writes_notion() {
            self.mark(entity, seen, status::CONFLICT, None).await?;
        }
        Ok(Step::Done(Outcome::Conflicted))
    }

    /// E19: links a page to the row it names; the fields decide next.
    async fn adopt(&self, entity: &Entity, seen: &Seen) -> Result<Step, EngineError> {
        let (Some(page), super::observe::RowSeen::Seen(row)) = (seen.page.page(), &seen.row) else {
            return Ok(Step::Done(Outcome::Deferred));
        };
        let now = self.engine.clock.now();
        let link = new_link(
            self.engine.new_id(),
            entity,
            row.key.clone(),
            Some(page.id.clone()),
        );
        let entry = self.audit(
            entity,
            &link,
            Side::Notion,
            Act::Linked,
            Reason::PageNamesRow,
            now,
        );
        self.commit(vec![Record::Link(Box::new(link)), Record::Audit(entry)])
            .await?;
        Ok(Step::Again)
    }

    /// Writes the status of a page whose fields are not written, unless it shows it already.
    pub(super) async fn mark(
        &self,
        entity: &Entity,
        seen: &Seen,
        state: &str,
        more: Option<(PropertyId, Value)>,
    ) -> Result<Step, EngineError> {
        let Some(page) = seen.page.page() else {
            return Ok(Step::Done(Outcome::Failed));
        };
        if (shows_state(entity, page, state) && more.is_none()) || !self.request.writes_notion() {
            return Ok(Step::Done(Outcome::Failed));
        }
        let mut write = PageWrite::default();
        write.properties.push((entity.sync_status.clone(), choice(state)));
        write.properties.extend(more);
        self.keep_lease().await?;
        match self
            .engine
            .pages
            .update(&entity.name, &page.id, &write, Priority::Status)
            .await
        {
            Ok(_) => {
                let mut entry = AuditEntry {
                    link: seen.link.as_ref().map(|link| link.id),
                    ..self.page_audit(entity, &page.id)
                };
                entry.property = Some(entity.sync_status.clone());
                entry.new = Some(Kept::Value(choice(state)));
                self.commit(vec![Record::Audit(entry)]).await?;
                Ok(Step::Done(Outcome::Failed))
            }
            // A status is asserted again by the next look, so an unknown outcome needs no journal.
            Err(error) if error.stops_profile() => Err(error.into()),
            Err(_) => Ok(Step::Done(Outcome::Deferred)),
        }
    }

    pub(super) fn page_audit(&self, entity: &Entity, page: &PageId) -> AuditEntry {
        AuditEntry {
            id: self.engine.new_id(),
            run: self.run,
            link: None,
            entity: entity.name.clone(),
            key: None,
            page: Some(page.clone()),
            property: None,
            side: Side::Notion,
            act: Act::Updated,
            old: None,
            new: None,
            cause: Reason::StatusChanged,
            at: self.engine.clock.now(),
        }
    }
}

/// The record as a whole is put off: what changed of its fields by now stays as it is, and did so before this look.
fn put_off(link: &mut Link, now: time::OffsetDateTime) {
    for state in link.fields.values_mut() {
        seen_at(state, now);
    }
}

/// Whether a page's status is that one.
pub(super) fn shows_state(entity: &Entity, page: &Page, state: &str) -> bool {
    matches!(
        page.whole(&entity.sync_status),
        Some(Value::Choice(choice)) if choice.name == state
    )
}

/// A link that was never stored.
pub(super) fn new_link(id: uuid::Uuid, entity: &Entity, key: RecordKey, page: Option<PageId>) -> Link {
    Link {
        id,
        entity: entity.name.clone(),
        key,
        page,
        phase: Phase::Linked,
        incarnation: 0,
        rev: 0,
        fields: Shared::default(),
        page_edited_at: None,
        page_mark: None,
        page_written_at: None,
        settled_at: None,
        status: None,
        look_again_at: None,
        missed: None,
        troubles: Vec::new(),
        note: None,
    }
}
