//! Takes one half of a record away, or brings it back: write protocol 5.5 of the sync semantics.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::apply::Step;
use super::observe::{Seen, encode};
use super::pull::rejected;
use super::push::{choice, status};
use super::run::Work;
use super::trouble::trouble;
use super::{EngineError, Entity};
use crate::journal::{Act, Intent, IntentKind, IntentStatus, Kept, Outcome};
use crate::mapping::Direction;
use crate::ports::{
    Commit, CommitOutcome, Link, Page, PageWrite, Priority, PropertyRead, Record, Row, RowChange, RowOutcome,
    RowWrite,
};
use crate::reconcile::merge::{FieldAction, FieldDecision};
use crate::reconcile::{Bases, Decision, Phase, Reason, Side};
use crate::report::ErrorCode;
use crate::value::{PropertyId, RecordKey, Value};

/// Second pages of our own that one run trashes.
///
/// Source: sync semantics, 5.3.
const MOST_STRAYS: usize = 20;

impl Work<'_> {
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
        link.look_again_at = None;
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
                if let Some(value) = page.whole(&field) {
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

    /// 5.3: trashes a second page that a lost request of ours made, with the whole of it kept.
    pub(super) async fn trash_stray(&self, entity: &Entity, seen: &Seen) -> Result<Step, EngineError> {
        let Some(page) = seen.page.page() else {
            return Ok(Step::Done(Outcome::Deferred));
        };
        if self.strays.fetch_add(1, Ordering::Relaxed) >= MOST_STRAYS {
            self.page_error(entity, seen, ErrorCode::DuplicatePage, Reason::PageIsStray);
            return Ok(Step::Done(Outcome::Deferred));
        }
        let mut entry = self.page_audit(entity, &page.id);
        entry.act = Act::Deleted;
        entry.cause = Reason::PageIsStray;
        entry.old = Some(Kept::Record(snapshot(page)));
        self.keep_lease().await?;
        self.commit(vec![Record::Audit(entry)]).await?;
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
            Ok(_) => {
                self.tally.count(&entity.name, |report| report.pages_trashed += 1);
                Ok(Step::Done(Outcome::Applied))
            }
            Err(error) if error.stops_profile() => Err(error.into()),
            // The next listing shows whether it is still there.
            Err(_) => Ok(Step::Done(Outcome::Deferred)),
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
        link.page_written_at = Some(intent.sent_at);
        link.troubles.clear();
        intent.status = IntentStatus::Settled;
        self.commit(vec![Record::Intent(intent), Record::Link(Box::new(link))])
            .await?;
        self.tally.count(&entity.name, |report| report.pages_trashed += 1);
        Ok(())
    }

    /// E7 and E9: takes the page out of the trash and writes the row over it, in one request.
    pub(super) async fn restore_page(
        &self,
        entity: &Entity,
        seen: &Seen,
        decision: &Decision,
    ) -> Result<Step, EngineError> {
        let (Some(link), Some(page), Some(columns)) = (&seen.link, seen.page.page(), seen.columns()) else {
            return Ok(Step::Done(Outcome::Deferred));
        };
        let reason = decision.presence.reason;
        let now = self.engine.clock.now();
        // It stays what it is until the page is known to be back: a page that is still in the trash, with a link that says it
        // is there, looks trashed by a person.
        let mut link = link.clone();
        link.troubles.clear();
        // What only goes to Postgres waits until the page is back; neither side tells of it again.
        let waits = |field: &FieldDecision| {
            let direction = entity.field(&field.property).map(|field| field.direction);
            direction == Some(Direction::ToPostgres) && field.action != FieldAction::Keep
        };
        link.look_again_at = decision.fields.iter().any(waits).then_some(now);
        let mut decisions = Vec::new();
        for field in entity
            .fields
            .iter()
            .filter(|field| field.direction != Direction::ToPostgres)
        {
            let held = page.whole(&field.property);
            let row = field.codec.row_value(columns);
            let sent = row.and_then(|row| {
                let sent = encode(field, &row, columns, held, &seen.references)?;
                Ok((row, sent))
            });
            let Ok((row, sent)) = sent else {
                // It waits for a reference, or cannot be sent: a look at the page that is back says so, and when to try again.
                link.look_again_at = Some(now);
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
                doubtful: false,
            });
        }
        let pushes: Vec<&FieldDecision> = decisions.iter().collect();
        let asserted = vec![
            (entity.postgres_id.clone(), Value::rich(link.key.to_string())),
            (entity.sync_status.clone(), choice(status::SYNCED)),
        ];
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

    /// Deletes a row whose page a person trashed, with the whole row kept.
    pub(super) async fn delete_row(
        &self,
        entity: &Entity,
        seen: &Seen,
        reason: Reason,
    ) -> Result<Step, EngineError> {
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
    pub(super) async fn soft_delete_row(
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
            CommitOutcome::RowRefused(refused @ (RowOutcome::Rejected(_) | RowOutcome::LeavesScope)) => {
                let (code, message) = match &refused {
                    RowOutcome::Rejected(rejection) => rejected(rejection),
                    _ => (
                        ErrorCode::LeavesScope,
                        "the write would move the row out of the profile's scope".to_owned(),
                    ),
                };
                if let Some(before) = &seen.link {
                    let now = self.engine.clock.now();
                    let mut link = before.clone();
                    let refused = trouble(code, None, &message, now);
                    link.look_again_at = refused.retry_at;
                    link.troubles = vec![refused];
                    self.tally.troubles(entity, &link);
                    self.remember(seen, link, Vec::new()).await?;
                }
                Ok(Step::Done(Outcome::Failed))
            }
            CommitOutcome::RowRefused(_) => Ok(Step::Again),
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
                page.whole(&field.property)
                    .is_some_and(|now| base.map_or(!now.is_empty(), |base| *now != base.page))
            })
            .map(|field| field.property.clone())
            .collect()
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
