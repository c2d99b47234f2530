//! Carries out the decisions about a record's existence: write protocols 5.3 to 5.5 of the sync semantics.

use std::collections::BTreeMap;

use super::apply::Step;
use super::fields::{choice, instant, rejected, status, trouble};
use super::observe::{Seen, decode, encode};
use super::reference::key_value;
use super::run::Work;
use super::tally::is_error;
use super::{EngineError, Entity};
use crate::journal::{
    Act, AuditEntry, Conflict, ConflictStatus, Intent, IntentKind, IntentStatus, Kept, Outcome, SentField,
};
use crate::mapping::Direction;
use crate::ports::{
    Commit, CommitOutcome, Link, Page, PageWrite, PagesError, Priority, PropertyRead, Record, Row, RowChange,
    RowOutcome, RowWrite,
};
use crate::reconcile::merge::{FieldAction, FieldDecision};
use crate::reconcile::{Bases, Decision, FieldState, Phase, PresenceAction, Reason, Side};
use crate::report::ErrorCode;
use crate::value::{PageId, PropertyId, RecordKey, Value};

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
            PresenceAction::Wait => Ok(Step::Done(Outcome::Deferred)),
            PresenceAction::CreatePage => self.create_page(entity, seen, None).await,
            PresenceAction::RecreatePage | PresenceAction::Reincarnate => self.reincarnate(seen).await,
            PresenceAction::InsertRow | PresenceAction::ReinsertRow => {
                self.insert_row(entity, seen, reason).await
            }
            PresenceAction::TrashPage => self.trash_page(entity, seen, reason, Phase::Tombstone).await,
            PresenceAction::TrashPageOutOfScope => {
                self.trash_page(entity, seen, reason, Phase::LeftScope).await
            }
            PresenceAction::RestorePage => self.restore_page(entity, seen, reason).await,
            PresenceAction::MarkPage => {
                self.set_aside(seen, Phase::Held, "row_gone", None).await?;
                self.mark(entity, seen, status::HELD, None).await
            }
            PresenceAction::Hold => {
                let (note, code) = match reason {
                    Reason::PageIsInaccessible => ("page_inaccessible", ErrorCode::PageInaccessible),
                    _ => ("page_trashed", ErrorCode::PageTrashed),
                };
                self.set_aside(seen, Phase::Held, note, Some((code, reason)))
                    .await
            }
            PresenceAction::Detach => {
                let trouble = Some((ErrorCode::PageMoved, reason));
                self.set_aside(seen, Phase::Detached, "page_moved", trouble).await
            }
            PresenceAction::Bury => {
                let note = if reason == Reason::PageWasLeftBehind {
                    "page_left_behind"
                } else {
                    "both_gone"
                };
                self.set_aside(seen, Phase::Tombstone, note, None).await
            }
            PresenceAction::SoftDeleteRow => self.soft_delete_row(entity, seen, reason).await,
            PresenceAction::DeleteRow => self.delete_row(entity, seen, reason).await,
            PresenceAction::OpenConflict => self.open_conflict(entity, seen, reason).await,
            PresenceAction::Adopt => self.adopt(entity, seen).await,
            PresenceAction::FlagDuplicate => {
                self.page_error(entity, seen, ErrorCode::DuplicatePage, reason);
                self.mark(entity, seen, status::DUPLICATE, None).await
            }
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

    fn page_error(&self, entity: &Entity, seen: &Seen, code: ErrorCode, reason: Reason) {
        let page = seen.page.page().map(|page| &page.id);
        self.tally
            .error(&entity.name, None, page, None, code, reason.text().to_owned());
    }

    async fn nothing(&self, seen: &Seen, reason: Reason) -> Result<Step, EngineError> {
        if let Some(before) = &seen.link {
            let mut link = before.clone();
            link.look_again_at = None;
            if reason == Reason::OptedOut {
                link.note = Some("opted_out".to_owned());
            }
            self.remember(before, link, Vec::new()).await?;
        }
        Ok(Step::Done(Outcome::Applied))
    }

    /// 5.3: claims the row, creates its page, and links both. `again` is a link whose earlier request came to nothing.
    pub(super) async fn create_page(
        &self,
        entity: &Entity,
        seen: &Seen,
        again: Option<Link>,
    ) -> Result<Step, EngineError> {
        let super::observe::RowSeen::Seen(row) = &seen.row else {
            return Ok(Step::Done(Outcome::Deferred));
        };
        if !row.in_scope || !self.request.writes_notion() {
            return Ok(Step::Done(Outcome::Deferred));
        }
        let now = self.engine.clock.now();
        let attempt = seen
            .intents
            .iter()
            .map(|intent| intent.attempt)
            .max()
            .unwrap_or(0)
            + 1;
        let mut link = again.unwrap_or_else(|| new_link(self.engine.new_id(), entity, row.key.clone(), None));
        link.phase = Phase::CreatingPage;
        link.troubles.clear();
        link.look_again_at = Some(now + self.engine.tuning.settle_create);
        let mut write = PageWrite::default();
        let mut fields = Vec::new();
        let mut waits = false;
        for field in entity
            .fields
            .iter()
            .filter(|field| field.direction != Direction::ToPostgres)
        {
            let value = field.codec.row_value(&row.columns).and_then(|value| {
                encode(field, &value, &row.columns, None, &seen.references).map(|sent| (value, sent))
            });
            match value {
                // What is empty on a new page already needs no sending; its baseline comes with the answer.
                Ok((value, sent)) => {
                    if !sent.is_empty() {
                        write.properties.push((field.property.clone(), sent.clone()));
                    }
                    fields.push(SentField {
                        property: field.property.clone(),
                        sent: field.codec.canonical_page(sent),
                        from_row: Some(value),
                        replaces: None,
                    });
                }
                Err(error) if super::fields::waits(error.fault) => waits = true,
                Err(error) => {
                    let mut frozen = trouble(
                        error.fault.into(),
                        Some(field.property.clone()),
                        &error.message,
                        now,
                    );
                    frozen.retry_at = None;
                    frozen.met_with.postgres = field
                        .codec
                        .row_value(&row.columns)
                        .ok()
                        .map(|value| super::fields::value_digest(&value));
                    link.troubles.push(frozen);
                }
            }
        }
        let state = if link.troubles.iter().any(|trouble| is_error(trouble.code)) {
            status::ERROR
        } else if waits {
            status::PENDING
        } else {
            status::SYNCED
        };
        write
            .properties
            .push((entity.postgres_id.clone(), Value::rich(link.key.to_string())));
        write.properties.push((entity.sync_status.clone(), choice(state)));
        write.properties.push((entity.last_synced.clone(), instant(now)));
        let mut intent = Intent {
            id: self.engine.new_id(),
            link: link.id,
            entity: entity.name.clone(),
            kind: IntentKind::CreatePage,
            fields,
            attempt,
            sent_at: now,
            settle_after: now + self.engine.tuning.settle_create,
            status: IntentStatus::Pending,
        };
        self.keep_lease().await?;
        self.commit(vec![
            Record::Link(Box::new(link.clone())),
            Record::Intent(intent.clone()),
        ])
        .await?;
        link.rev += 1;
        let answer = match self
            .engine
            .pages
            .create(&entity.name, &write, Priority::Create)
            .await
        {
            Ok(answer) => entity.canonical(answer),
            Err(PagesError::Refused { code, message }) => {
                // Certainly no page: the claim stays, with the reason, and is tried again when the row changes.
                let now = self.engine.clock.now();
                let message = format!("Notion refuses the page ({code}): {message}");
                let mut refused = trouble(ErrorCode::PageRefused, None, &message, now);
                refused.met_with.postgres = Some(super::fields::columns_digest(entity, &row.columns));
                link.look_again_at = refused.retry_at;
                link.troubles.push(refused);
                self.tally.troubles(entity, &link);
                self.commit(vec![Record::IntentGone(intent.id), Record::Link(Box::new(link))])
                    .await?;
                return Ok(Step::Done(Outcome::Failed));
            }
            Err(error) => {
                return match error.retry() {
                    crate::ports::Retry::Unknown => Ok(Step::Done(Outcome::Deferred)),
                    _ => {
                        self.commit(vec![Record::IntentGone(intent.id)]).await?;
                        Err(error.into())
                    }
                };
            }
        };
        self.settle_created(entity, link, &mut intent, &answer, &row.columns, waits)
            .await?;
        Ok(Step::Done(Outcome::Applied))
    }

    /// C3: the page exists; links it with the baselines that the answer shows.
    pub(super) async fn settle_created(
        &self,
        entity: &Entity,
        mut link: Link,
        intent: &mut Intent,
        answer: &Page,
        columns: &BTreeMap<String, Value>,
        waits: bool,
    ) -> Result<(), EngineError> {
        let now = self.engine.clock.now();
        link.phase = Phase::Linked;
        link.page = Some(answer.id.clone());
        let mut records = Vec::new();
        self.settle_answer(entity, &mut link, intent, answer, now);
        // A field that only comes from Notion starts from what both sides hold: nobody edited it yet.
        for field in entity
            .fields
            .iter()
            .filter(|field| field.direction == Direction::ToPostgres)
        {
            let read = answer.properties.get(&field.property);
            if let (Some(PropertyRead::Whole(page)), Ok(row)) = (read, field.codec.row_value(columns)) {
                let bases = Some(Bases {
                    row,
                    page: page.clone(),
                });
                link.fields.insert(
                    field.property.clone(),
                    FieldState {
                        bases,
                        ..FieldState::default()
                    },
                );
            }
        }
        link.look_again_at = waits.then_some(now);
        let mut entry = self.audit(entity, &link, Side::Notion, Act::Created, Reason::RowIsNew, now);
        entry.new = Some(Kept::Record(
            intent
                .fields
                .iter()
                .map(|sent| (sent.property.to_string(), sent.sent.clone()))
                .collect(),
        ));
        records.push(Record::Audit(entry));
        intent.status = IntentStatus::Settled;
        records.push(Record::Intent(intent.clone()));
        if waits {
            self.second_phase(&entity.name, &link.key);
        }
        self.tally.troubles(entity, &link);
        records.push(Record::Link(Box::new(link)));
        self.commit(records).await?;
        self.tally.count(&entity.name, |report| report.pages_created += 1);
        Ok(())
    }

    /// E13 and E11: a new life for the key; the page is taken back from the trash where it still can be.
    async fn reincarnate(&self, seen: &Seen) -> Result<Step, EngineError> {
        let Some(before) = &seen.link else {
            return Ok(Step::Done(Outcome::Deferred));
        };
        let mut link = before.clone();
        link.incarnation += 1;
        link.fields.clear();
        link.troubles.clear();
        link.note = None;
        let restorable = seen
            .page
            .page()
            .is_some_and(|page| page.parent == crate::ports::PageParent::Entity);
        if restorable {
            link.phase = Phase::LeftScope;
        } else {
            link.page = None;
            link.phase = Phase::CreatingPage;
        }
        self.commit(vec![Record::Link(Box::new(link))]).await?;
        Ok(Step::Again)
    }

    /// 5.4: inserts a row for a page and links both, in one transaction. The label follows as a push.
    async fn insert_row(&self, entity: &Entity, seen: &Seen, reason: Reason) -> Result<Step, EngineError> {
        let Some(page) = seen.page.page() else {
            return Ok(Step::Done(Outcome::Deferred));
        };
        let now = self.engine.clock.now();
        let mut columns: BTreeMap<String, Value> = BTreeMap::new();
        for field in entity
            .fields
            .iter()
            .filter(|field| field.direction != Direction::ToNotion)
        {
            let Some(column) = &field.column else { continue };
            let Some(PropertyRead::Whole(value)) = page.properties.get(&field.property) else {
                continue;
            };
            match decode(field, value, &BTreeMap::new(), None, &seen.references) {
                Ok(value) => {
                    columns.insert(column.clone(), value);
                }
                Err(error) => {
                    let name = Some(field.name.clone());
                    let code = error.fault.into();
                    self.tally
                        .error(&entity.name, None, Some(&page.id), name, code, error.message);
                    return self.mark(entity, seen, status::ERROR, None).await;
                }
            }
        }
        if let Some(link) = &seen.link {
            // E4, E14: the row comes back under its old key.
            for ((column, column_type), text) in entity.key.iter().zip(&link.key.0) {
                columns.insert(column.clone(), key_value(column_type, text));
            }
        } else {
            match entity.new_row.columns(&columns) {
                Ok(added) => columns.extend(added),
                Err(error) => {
                    let code = error.fault.into();
                    self.tally
                        .error(&entity.name, None, Some(&page.id), None, code, error.message);
                    return self.mark(entity, seen, status::ERROR, None).await;
                }
            }
        }
        // A column that may be left out takes its default rather than an explicit NULL.
        let set: Vec<RowChange> = columns
            .into_iter()
            .filter(|(_, value)| *value != Value::Null)
            .map(|(column, value)| RowChange { column, value })
            .collect();
        let blank = seen
            .link
            .clone()
            .unwrap_or_else(|| new_link(self.engine.new_id(), entity, RecordKey(Vec::new()), None));
        let audit = self.audit(entity, &blank, Side::Postgres, Act::Created, reason, now);
        let settle = |row: &Row| {
            let mut link = blank.clone();
            link.key = row.key.clone();
            link.page = Some(page.id.clone());
            link.phase = Phase::Linked;
            link.fields.clear();
            link.troubles.clear();
            link.note = None;
            link.look_again_at = Some(now);
            link.page_edited_at = Some(page.last_edited_time);
            link.settled_at = Some(now);
            for field in &entity.fields {
                let read = page.properties.get(&field.property);
                let pulled = field.direction != Direction::ToNotion && field.column.is_some();
                if let (true, Some(PropertyRead::Whole(value)), Ok(row)) =
                    (pulled, read, field.codec.row_value(&row.columns))
                {
                    let agrees = encode(field, &row, &BTreeMap::new(), Some(value), &seen.references)
                        .is_ok_and(|sent| {
                            crate::reconcile::accept::shows(value, &field.codec.canonical_page(sent))
                        });
                    let bases = Some(Bases {
                        row,
                        page: value.clone(),
                    });
                    let state = FieldState {
                        bases,
                        force_push: !agrees,
                        ..FieldState::default()
                    };
                    link.fields.insert(field.property.clone(), state);
                }
            }
            let entry = AuditEntry {
                key: Some(row.key.clone()),
                page: Some(page.id.clone()),
                new: Some(Kept::Record(row.columns.clone())),
                ..audit.clone()
            };
            vec![Record::Link(Box::new(link)), Record::Audit(entry)]
        };
        let write = RowWrite::Insert {
            entity: entity.name.clone(),
            set,
        };
        let commit = Commit {
            row: Some((write, Box::new(settle))),
            records: Vec::new(),
        };
        match self.engine.store.commit(self.fence, commit).await? {
            CommitOutcome::Committed(_) => {
                self.tally.count(&entity.name, |report| report.rows_inserted += 1);
                Ok(Step::Again)
            }
            CommitOutcome::RowRefused(RowOutcome::Rejected(rejection)) => {
                let (code, message) = rejected(&rejection);
                let key = seen.link.as_ref().map(|link| &link.key);
                self.tally
                    .error(&entity.name, key, Some(&page.id), None, code, message);
                self.mark(entity, seen, status::ERROR, None).await
            }
            CommitOutcome::RowRefused(_) => {
                let message = "the row would be outside the profile's scope".to_owned();
                self.tally.error(
                    &entity.name,
                    None,
                    Some(&page.id),
                    None,
                    ErrorCode::LeavesScope,
                    message,
                );
                self.mark(entity, seen, status::ERROR, None).await
            }
        }
    }

    /// 5.5: keeps the whole page in the audit log, trashes it, and ends the link or sets it aside.
    pub(super) async fn trash_page(
        &self,
        entity: &Entity,
        seen: &Seen,
        reason: Reason,
        then: Phase,
    ) -> Result<Step, EngineError> {
        let (Some(before), Some(page)) = (&seen.link, seen.page.page()) else {
            return Ok(Step::Done(Outcome::Deferred));
        };
        let now = self.engine.clock.now();
        let mut link = before.clone();
        link.phase = Phase::TrashingPage;
        let note = match then {
            Phase::LeftScope => "left_scope",
            Phase::Held => "page_trashed",
            _ => "row_deleted",
        };
        link.note = Some(note.to_owned());
        let mut entry = self.audit(entity, &link, Side::Notion, Act::Deleted, reason, now);
        entry.old = Some(Kept::Record(snapshot(page)));
        let mut records = vec![Record::Audit(entry)];
        if then == Phase::LeftScope {
            for field in self.decide_fields_of(entity, seen) {
                if let Some(PropertyRead::Whole(value)) = page.properties.get(&field) {
                    let mut entry = self.audit(entity, &link, Side::Postgres, Act::Rejected, reason, now);
                    entry.property = Some(field.clone());
                    entry.old = Some(Kept::Value(value.clone()));
                    records.push(Record::Audit(entry));
                }
            }
        }
        let intent = Intent {
            id: self.engine.new_id(),
            link: link.id,
            entity: entity.name.clone(),
            kind: IntentKind::TrashPage,
            fields: Vec::new(),
            attempt: 1,
            sent_at: now,
            settle_after: now + self.engine.tuning.settle,
            status: IntentStatus::Pending,
        };
        self.keep_lease().await?;
        records.extend([
            Record::Link(Box::new(link.clone())),
            Record::Intent(intent.clone()),
        ]);
        records.extend(self.closed(seen, reason, now));
        self.commit(records).await?;
        link.rev += 1;
        let write = PageWrite {
            properties: Vec::new(),
            in_trash: Some(true),
        };
        match self
            .engine
            .pages
            .update(&entity.name, &page.id, &write, Priority::Push)
            .await
        {
            Ok(answer) => {
                self.settle_trashed(entity, link, intent, &answer).await?;
                Ok(Step::Done(Outcome::Applied))
            }
            Err(error) => self.push_failed(entity, link, intent, error).await,
        }
    }

    /// T3: the page is in the trash.
    pub(super) async fn settle_trashed(
        &self,
        entity: &Entity,
        mut link: Link,
        mut intent: Intent,
        answer: &Page,
    ) -> Result<(), EngineError> {
        link.phase = match link.note.as_deref() {
            Some("left_scope") => Phase::LeftScope,
            Some("page_trashed") => Phase::Held,
            _ => Phase::Tombstone,
        };
        link.page_mark = Some(answer.last_edited_time);
        link.page_written_at = Some(self.engine.clock.now());
        link.look_again_at = None;
        link.troubles.clear();
        intent.status = IntentStatus::Settled;
        self.commit(vec![Record::Intent(intent), Record::Link(Box::new(link))])
            .await?;
        self.tally.count(&entity.name, |report| report.pages_trashed += 1);
        Ok(())
    }

    /// E7 and E9: takes the page out of the trash and writes the row over it, in one request.
    async fn restore_page(&self, entity: &Entity, seen: &Seen, reason: Reason) -> Result<Step, EngineError> {
        let (Some(link), Some(page), Some(columns)) = (&seen.link, seen.page.page(), seen.columns()) else {
            return Ok(Step::Done(Outcome::Deferred));
        };
        let mut link = link.clone();
        link.phase = Phase::Linked;
        link.note = None;
        link.troubles.clear();
        let mut decisions = Vec::new();
        for field in entity
            .fields
            .iter()
            .filter(|field| field.direction != Direction::ToPostgres)
        {
            let Ok(row) = field.codec.row_value(columns) else {
                continue;
            };
            let held = match page.properties.get(&field.property) {
                Some(PropertyRead::Whole(held)) => Some(held),
                _ => None,
            };
            let Ok(sent) = encode(field, &row, columns, held, &seen.references) else {
                continue;
            };
            if held.is_some_and(|held| {
                crate::reconcile::accept::shows(held, &field.codec.canonical_page(sent.clone()))
            }) {
                if let Some(held) = held {
                    let state = link.fields.entry(field.property.clone()).or_default();
                    state.bases = Some(Bases {
                        row,
                        page: held.clone(),
                    });
                }
                continue;
            }
            decisions.push(FieldDecision {
                property: field.property.clone(),
                action: FieldAction::Push(sent),
                reason,
                overruled: None,
                evidence: None,
                bases: None,
                force_push: false,
            });
        }
        let pushes: Vec<&FieldDecision> = decisions.iter().collect();
        let asserted = vec![
            (entity.postgres_id.clone(), Value::rich(link.key.to_string())),
            (entity.sync_status.clone(), choice(status::SYNCED)),
        ];
        let now = self.engine.clock.now();
        let entry = self.audit(entity, &link, Side::Notion, Act::Restored, reason, now);
        let records = vec![Record::Audit(entry)];
        self.push(
            entity,
            seen,
            page,
            link,
            &pushes,
            asserted,
            records,
            IntentKind::RestorePage,
        )
        .await
    }

    async fn set_aside(
        &self,
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
        link.phase = phase;
        link.note = Some(note.to_owned());
        link.look_again_at = None;
        link.troubles.clear();
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
                records.push(Record::IntentGone(intent.id));
            }
        }
        self.remember(before, link, records).await?;
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

    /// Deletes a row whose page a person trashed, with the whole row kept.
    async fn delete_row(&self, entity: &Entity, seen: &Seen, reason: Reason) -> Result<Step, EngineError> {
        self.end_row(entity, seen, reason, Phase::Tombstone, |key, expect| {
            RowWrite::Delete {
                entity: entity.name.clone(),
                key,
                expect,
            }
        })
        .await
    }

    /// Sets the columns of soft deletion in a row whose page a person trashed, with the whole row kept.
    async fn soft_delete_row(
        &self,
        entity: &Entity,
        seen: &Seen,
        reason: Reason,
    ) -> Result<Step, EngineError> {
        let set = entity
            .soft_delete
            .iter()
            .map(|(column, value)| RowChange {
                column: column.clone(),
                value: value.clone(),
            })
            .collect();
        self.end_row(entity, seen, reason, Phase::Held, |key, expect| {
            RowWrite::Update {
                entity: entity.name.clone(),
                key,
                set,
                expect,
            }
        })
        .await
    }

    /// Writes the end of a row, leaves its link in that phase, and keeps the whole row in the audit log.
    async fn end_row(
        &self,
        entity: &Entity,
        seen: &Seen,
        reason: Reason,
        phase: Phase,
        write: impl FnOnce(RecordKey, Vec<RowChange>) -> RowWrite,
    ) -> Result<Step, EngineError> {
        let (Some(before), Some(columns)) = (&seen.link, seen.columns()) else {
            return Ok(Step::Done(Outcome::Deferred));
        };
        let now = self.engine.clock.now();
        let mut entry = self.audit(entity, before, Side::Postgres, Act::Deleted, reason, now);
        entry.old = Some(Kept::Record(columns.clone()));
        let mut link = before.clone();
        link.phase = phase;
        link.note = Some("page_trashed".to_owned());
        link.look_again_at = None;
        let settle = |row: &Row| {
            let mut entry = entry.clone();
            // A row that is only marked as gone is still there: what it was left with tells whether it moved since.
            entry.new = (phase == Phase::Held).then(|| Kept::Record(row.columns.clone()));
            vec![Record::Link(Box::new(link.clone())), Record::Audit(entry)]
        };
        let write = write(before.key.clone(), mapped(entity, columns));
        let commit = Commit {
            row: Some((write, Box::new(settle))),
            records: self.closed(seen, reason, now),
        };
        self.row_written(entity, seen, commit, |report| report.rows_deleted += 1)
            .await
    }

    async fn row_written(
        &self,
        entity: &Entity,
        seen: &Seen,
        commit: Commit<'_>,
        count: impl FnOnce(&mut crate::report::EntityReport),
    ) -> Result<Step, EngineError> {
        match self.engine.store.commit(self.fence, commit).await? {
            CommitOutcome::Committed(_) => {
                self.tally.count(&entity.name, count);
                Ok(Step::Done(Outcome::Applied))
            }
            CommitOutcome::RowRefused(RowOutcome::Rejected(rejection)) => {
                let (code, message) = rejected(&rejection);
                if let Some(before) = &seen.link {
                    let now = self.engine.clock.now();
                    let mut link = before.clone();
                    let refused = trouble(code, None, &message, now);
                    link.look_again_at = refused.retry_at;
                    link.troubles = vec![refused];
                    self.tally.troubles(entity, &link);
                    self.remember(before, link, Vec::new()).await?;
                }
                Ok(Step::Done(Outcome::Failed))
            }
            CommitOutcome::RowRefused(_) => Ok(Step::Again),
        }
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
        self.remember(before, link, records).await?;
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
    async fn mark(
        &self,
        entity: &Entity,
        seen: &Seen,
        state: &str,
        more: Option<(PropertyId, Value)>,
    ) -> Result<Step, EngineError> {
        let Some(page) = seen.page.page() else {
            return Ok(Step::Done(Outcome::Failed));
        };
        let shows = matches!(
            page.properties.get(&entity.sync_status),
            Some(PropertyRead::Whole(Value::Choice(choice))) if choice.name == state
        );
        if (shows && more.is_none()) || !self.request.writes_notion() {
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

    fn page_audit(&self, entity: &Entity, page: &PageId) -> AuditEntry {
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

    /// The properties that a person edited since both sides agreed.
    fn decide_fields_of(&self, entity: &Entity, seen: &Seen) -> Vec<PropertyId> {
        let (Some(link), Some(page)) = (&seen.link, seen.page.page()) else {
            return Vec::new();
        };
        entity
            .fields
            .iter()
            .filter(|field| {
                let base = link
                    .fields
                    .get(&field.property)
                    .and_then(|state| state.bases.as_ref());
                match (page.properties.get(&field.property), base) {
                    (Some(PropertyRead::Whole(now)), Some(base)) => *now != base.page,
                    _ => false,
                }
            })
            .map(|field| field.property.clone())
            .collect()
    }
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
        fields: BTreeMap::new(),
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

fn snapshot(page: &Page) -> BTreeMap<String, Value> {
    page.properties
        .iter()
        .filter_map(|(property, read)| match read {
            PropertyRead::Whole(value) => Some((property.to_string(), value.clone())),
            _ => None,
        })
        .collect()
}

fn mapped(entity: &Entity, columns: &BTreeMap<String, Value>) -> Vec<RowChange> {
    entity
        .fields
        .iter()
        .filter_map(|field| field.column.as_ref())
        .filter_map(|column| {
            columns.get(column).map(|value| RowChange {
                column: column.clone(),
                value: value.clone(),
            })
        })
        .collect()
}
