//! Carries out the decisions about a record's fields: rows first, then the page, then what is to be remembered.
//!
//! Write protocols 5.1 and 5.2 of the sync semantics. A pull is one transaction. A push is journaled before its
//! request and settled from its answer; when no answer comes, the intent stays and [`super::recover`] looks.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::Entity;
use super::observe::{Seen, encode};
use super::run::Work;
use super::tally::is_error;
use super::{EngineError, apply::Step};
use crate::journal::{
    Act, AuditEntry, Conflict, ConflictStatus, Intent, IntentKind, IntentStatus, Kept, Outcome, SentField,
    Trouble,
};
use crate::mapping::Direction;
use crate::ports::{
    Commit, CommitOutcome, Link, Page, PageWrite, PagesError, Priority, PropertyRead, Record, Row, RowChange,
    RowOutcome, RowWrite,
};
use crate::reconcile::accept::shows;
use crate::reconcile::merge::{FieldAction, FieldDecision};
use crate::reconcile::{Bases, Decision, Fault, FieldError, PastValue, Phase, Reason, Side, Sides};
use crate::report::ErrorCode;
use crate::value::{Choice, PropertyId, Value};

/// The states of a record as its page shows them, in the order of the select's options.
pub(super) mod status {
    pub(in super::super) const SYNCED: &str = "synced";
    pub(in super::super) const PENDING: &str = "pending";
    pub(in super::super) const CONFLICT: &str = "conflict";
    pub(in super::super) const ERROR: &str = "error";
    pub(in super::super) const HELD: &str = "held";
    pub(in super::super) const DUPLICATE: &str = "duplicate";
}

/// A select's value of that name.
pub(super) fn choice(name: &str) -> Value {
    Value::Choice(Choice {
        name: name.to_owned(),
        id: None,
    })
}

/// An instant as a date property's value.
pub(super) fn instant(at: OffsetDateTime) -> Value {
    jiff::Timestamp::from_second(at.unix_timestamp()).map_or(Value::Null, Value::Instant)
}

impl Work<'_> {
    /// Carries out the decisions about the fields of a linked record, with its page as just read.
    pub(super) async fn apply_fields(
        &self,
        entity: &Entity,
        seen: &Seen,
        page: &Page,
        decision: &Decision,
    ) -> Result<Step, EngineError> {
        let Some(before) = &seen.link else {
            return Ok(Step::Done(Outcome::Deferred));
        };
        let now = self.engine.clock.now();
        let mut link = self.carried(entity, seen, before, page, decision, now);
        let mut records = Vec::new();
        for field in &decision.fields {
            if !matches!(field.action, FieldAction::Pull(_) | FieldAction::Push(_)) {
                records.extend(self.consequences(entity, seen, field, now));
            }
        }
        let pulls: Vec<&FieldDecision> = decision
            .fields
            .iter()
            .filter(|field| matches!(field.action, FieldAction::Pull(_)) && self.request.writes_postgres())
            .collect();
        let pushes: Vec<&FieldDecision> = decision
            .fields
            .iter()
            .filter(|field| matches!(field.action, FieldAction::Push(_)) && self.request.writes_notion())
            .collect();
        if (!pulls.is_empty() || !pushes.is_empty()) && self.loops(&link).await? {
            link.troubles = vec![trouble(
                ErrorCode::LoopSuspected,
                None,
                "written more than 20 times in an hour",
                now,
            )];
            link.look_again_at = Some(now + time::Duration::HOUR);
            self.remember(before, link, records).await?;
            return Ok(Step::Done(Outcome::Failed));
        }
        let mut again = false;
        if !pulls.is_empty() {
            match self
                .pull(
                    entity,
                    seen,
                    page,
                    link,
                    &pulls,
                    std::mem::take(&mut records),
                    now,
                )
                .await?
            {
                Some((next, write_back)) => {
                    link = next;
                    again = write_back;
                }
                None => return Ok(Step::Again),
            }
        }
        let outcome = if decision
            .fields
            .iter()
            .any(|field| field.action == FieldAction::Defer)
        {
            Outcome::Deferred
        } else if decision
            .fields
            .iter()
            .any(|field| field.action == FieldAction::Conflict)
        {
            Outcome::Conflicted
        } else if link.troubles.iter().any(|trouble| is_error(trouble.code)) {
            Outcome::Failed
        } else {
            Outcome::Applied
        };
        self.tally.troubles(entity, &link);
        let asserted = if self.request.writes_notion() {
            self.assertions(entity, &link, page, outcome)
        } else {
            Vec::new()
        };
        if pushes.is_empty() && asserted.is_empty() {
            self.remember(before, link, records).await?;
        } else if outcome != Outcome::Deferred && !pushes.is_empty() && self.is_busy(page, &link, now) {
            for field in &pushes {
                let state = link.fields.entry(field.property.clone()).or_default();
                state.changed_at.postgres.get_or_insert(now);
            }
            link.look_again_at = Some(now + self.engine.tuning.quiet_page);
            self.remember(before, link, records).await?;
            return Ok(Step::Done(Outcome::Deferred));
        } else {
            let step = self
                .push(
                    entity,
                    seen,
                    page,
                    link,
                    &pushes,
                    asserted,
                    records,
                    IntentKind::PatchPage,
                )
                .await?;
            if !matches!(step, Step::Done(Outcome::Applied)) {
                return Ok(step);
            }
        }
        if again {
            Ok(Step::Again)
        } else {
            Ok(Step::Done(outcome))
        }
    }

    /// The link with everything that the decisions change in memory alone.
    fn carried(
        &self,
        entity: &Entity,
        seen: &Seen,
        before: &Link,
        page: &Page,
        decision: &Decision,
        now: OffsetDateTime,
    ) -> Link {
        let lag = self.engine.tuning.read_lag;
        let mut link = before.clone();
        link.phase = Phase::Linked;
        link.note = None;
        link.missed = None;
        link.look_again_at = None;
        link.troubles.clear();
        link.page_edited_at = link.page_edited_at.max(Some(page.last_edited_time));
        for field in &decision.fields {
            let state = link.fields.entry(field.property.clone()).or_default();
            let held = state.bases.as_ref().map(|bases| bases.page.clone());
            state.force_push = field.force_push;
            if let Some(bases) = &field.bases {
                state.bases = Some(bases.clone());
            }
            if let FieldAction::Rebase(bases) = &field.action {
                state.bases = Some(bases.clone());
                state.force_push = field.reason == Reason::OwnLateWrite;
                state.changed_at = Sides::default();
            }
            remember_past(state, held, now, lag);
            match &field.action {
                // Seen and not settled: whatever changed did so before this look. A write that succeeds settles it.
                FieldAction::Freeze(_) | FieldAction::Defer | FieldAction::Push(_) | FieldAction::Pull(_) => {
                    seen_at(state, now);
                }
                FieldAction::Keep => state.changed_at = Sides::default(),
                _ => {}
            }
            match &field.action {
                FieldAction::Freeze(error) => link.troubles.push(Trouble {
                    code: error.fault.into(),
                    property: Some(field.property.clone()),
                    message: error.message.clone(),
                    attempts: 1,
                    retry_at: None,
                    met_with: self.digests(entity, seen, &field.property),
                }),
                FieldAction::Conflict => {
                    let open = seen
                        .conflicts
                        .iter()
                        .find(|conflict| conflict.property.as_ref() == Some(&field.property));
                    let (row, page) = self.both_values(entity, seen, &field.property);
                    let changed_at = &mut state.changed_at;
                    // The instant belongs to the value: another edit of the same side starts anew.
                    if open.is_none_or(|open| open.row != row) || changed_at.postgres.is_none() {
                        changed_at.postgres = Some(now);
                    }
                    if open.is_none_or(|open| open.page_value != page) || changed_at.notion.is_none() {
                        changed_at.notion = Some(now);
                    }
                    let mut open = trouble(
                        ErrorCode::OpenConflict,
                        Some(field.property.clone()),
                        field.reason.text(),
                        now,
                    );
                    open.met_with = self.digests(entity, seen, &field.property);
                    open.retry_at = None;
                    link.troubles.push(open);
                }
                FieldAction::Defer => {
                    let open = seen
                        .intents
                        .iter()
                        .filter(|intent| intent.status == IntentStatus::Pending);
                    let at = open.map(|intent| intent.settle_after).max().unwrap_or(now + lag);
                    link.look_again_at = link.look_again_at.max(Some(at));
                }
                _ => {}
            }
        }
        link
    }

    /// Conflicts and audit entries that come with one field's decision.
    fn consequences(
        &self,
        entity: &Entity,
        seen: &Seen,
        field: &FieldDecision,
        now: OffsetDateTime,
    ) -> Vec<Record> {
        let Some(link) = &seen.link else { return Vec::new() };
        let (row, page_value) = self.both_values(entity, seen, &field.property);
        let bases = link
            .fields
            .get(&field.property)
            .and_then(|state| state.bases.clone());
        let open = seen
            .conflicts
            .iter()
            .find(|conflict| conflict.property.as_ref() == Some(&field.property));
        let mut records = Vec::new();
        let conflict = |status, base: Option<&Conflict>| Conflict {
            id: base.map_or_else(|| self.engine.new_id(), |base| base.id),
            link: link.id,
            entity: entity.name.clone(),
            key: link.key.clone(),
            page: link.page.clone(),
            property: Some(field.property.clone()),
            base_row: bases.as_ref().map(|bases| bases.row.clone()),
            base_page: bases.as_ref().map(|bases| bases.page.clone()),
            row: row.clone(),
            page_value: page_value.clone(),
            reason: field.reason,
            evidence: serde_json::to_value(field.evidence).unwrap_or_default(),
            status,
            rev: base.map_or(1, |base| base.rev + 1),
            opened_at: base.map_or(now, |base| base.opened_at),
            closed_at: (status != ConflictStatus::Open).then_some(now),
        };
        match (&field.action, open) {
            (FieldAction::Conflict, Some(open)) if open.row == row && open.page_value == page_value => {}
            (FieldAction::Conflict, open) => {
                records.push(Record::Conflict(conflict(ConflictStatus::Open, open)));
                if open.is_none() {
                    self.tally
                        .count(&entity.name, |report| report.conflicts_opened += 1);
                }
            }
            (FieldAction::Freeze(_) | FieldAction::Defer, _) => {}
            (_, Some(open)) => {
                let status = match open.status {
                    ConflictStatus::Chosen(side) => ConflictStatus::Resolved(side),
                    _ => ConflictStatus::Superseded,
                };
                records.push(Record::Conflict(conflict(status, Some(open))));
                self.tally
                    .count(&entity.name, |report| report.conflicts_resolved += 1);
            }
            (FieldAction::Push(_) | FieldAction::Pull(_), None)
                if field.evidence.is_some() || policy_chose(field.reason) =>
            {
                records.push(Record::Conflict(conflict(ConflictStatus::AutoResolved, None)));
                self.tally
                    .count(&entity.name, |report| report.conflicts_resolved += 1);
            }
            _ => {}
        }
        if let Some(side) = field.overruled {
            let act = match field.reason {
                Reason::NotionIsReadOnly | Reason::PostgresIsReadOnly => Act::Rejected,
                _ => Act::Overruled,
            };
            let (loser, winner) = match side {
                Side::Postgres => (row, page_value),
                Side::Notion => (page_value, row),
            };
            let mut entry = self.audit(entity, link, side, act, field.reason, now);
            entry.property = Some(field.property.clone());
            entry.old = loser.map(Kept::Value);
            entry.new = winner.map(Kept::Value);
            records.push(Record::Audit(entry));
        }
        records
    }

    fn both_values(
        &self,
        entity: &Entity,
        seen: &Seen,
        property: &PropertyId,
    ) -> (Option<Value>, Option<Value>) {
        let row = entity
            .field(property)
            .zip(seen.columns())
            .and_then(|(field, columns)| field.codec.row_value(columns).ok());
        let page = seen
            .page
            .page()
            .and_then(|page| match page.properties.get(property) {
                Some(PropertyRead::Whole(value)) => Some(value.clone()),
                _ => None,
            });
        (row, page)
    }

    fn digests(&self, entity: &Entity, seen: &Seen, property: &PropertyId) -> Sides<Option<String>> {
        let (row, page) = self.both_values(entity, seen, property);
        Sides {
            postgres: row.as_ref().map(value_digest),
            notion: page.as_ref().map(value_digest),
        }
    }

    /// An audit entry about a link, still without values.
    pub(super) fn audit(
        &self,
        entity: &Entity,
        link: &Link,
        side: Side,
        act: Act,
        cause: Reason,
        at: OffsetDateTime,
    ) -> AuditEntry {
        AuditEntry {
            id: self.engine.new_id(),
            run: self.run,
            link: Some(link.id),
            entity: entity.name.clone(),
            key: Some(link.key.clone()),
            page: link.page.clone(),
            property: None,
            side,
            act,
            old: None,
            new: None,
            cause,
            at,
        }
    }

    /// 5.2: sets columns from the page; answers the link as stored and whether a push is owed. `None`: look again.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one transaction, all of which it needs"
    )]
    async fn pull(
        &self,
        entity: &Entity,
        seen: &Seen,
        page: &Page,
        link: Link,
        pulls: &[&FieldDecision],
        records: Vec<Record>,
        now: OffsetDateTime,
    ) -> Result<Option<(Link, bool)>, EngineError> {
        match self
            .pull_together(entity, seen, page, &link, pulls, records.clone(), now)
            .await?
        {
            Pulled::Stored(stored, owed) => Ok(Some((*stored, owed))),
            Pulled::Moved => Ok(None),
            // 6.6: one bad value must not keep the others out.
            Pulled::Refused(_, _) if pulls.len() > 1 => {
                let mut link = link;
                let mut records = records;
                let mut owed = false;
                let mut failed = Vec::new();
                for field in pulls {
                    let one = std::slice::from_ref(field);
                    match self
                        .pull_together(entity, seen, page, &link, one, std::mem::take(&mut records), now)
                        .await?
                    {
                        Pulled::Stored(stored, one_owed) => {
                            link = *stored;
                            owed |= one_owed;
                        }
                        Pulled::Moved => return Ok(None),
                        Pulled::Refused(code, message) => {
                            failed.push(self.refused(entity, seen, field, code, message, now));
                        }
                    }
                }
                link.troubles.extend(failed);
                self.schedule(&mut link);
                Ok(Some((link, owed)))
            }
            Pulled::Refused(code, message) => {
                let mut link = link;
                for field in pulls {
                    link.troubles
                        .push(self.refused(entity, seen, field, code, message.clone(), now));
                }
                self.schedule(&mut link);
                for record in records {
                    self.commit(vec![record]).await?;
                }
                Ok(Some((link, false)))
            }
        }
    }

    fn schedule(&self, link: &mut Link) {
        let retry = link.troubles.iter().filter_map(|trouble| trouble.retry_at).min();
        link.look_again_at = link.look_again_at.into_iter().chain(retry).min();
    }

    fn refused(
        &self,
        entity: &Entity,
        seen: &Seen,
        field: &FieldDecision,
        code: ErrorCode,
        message: String,
        now: OffsetDateTime,
    ) -> Trouble {
        let before = seen.link.as_ref().and_then(|link| {
            link.troubles
                .iter()
                .find(|known| known.code == code && known.property.as_ref() == Some(&field.property))
        });
        let attempts = before.map_or(1, |known| known.attempts + 1);
        // 6.6: after 1, 4 and 24 hours.
        let hours = match attempts {
            1 => 1,
            2 => 4,
            _ => 24,
        };
        Trouble {
            code,
            property: Some(field.property.clone()),
            message,
            attempts,
            retry_at: Some(now + time::Duration::hours(hours)),
            met_with: self.digests(entity, seen, &field.property),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one transaction, all of which it needs"
    )]
    async fn pull_together(
        &self,
        entity: &Entity,
        seen: &Seen,
        page: &Page,
        link: &Link,
        pulls: &[&FieldDecision],
        mut records: Vec<Record>,
        now: OffsetDateTime,
    ) -> Result<Pulled, EngineError> {
        let Some(columns) = seen.columns() else {
            return Ok(Pulled::Moved);
        };
        let mut set = Vec::new();
        let mut expect = Vec::new();
        for decision in pulls {
            let column = entity
                .field(&decision.property)
                .and_then(|field| field.column.clone());
            let (Some(column), FieldAction::Pull(value)) = (column, &decision.action) else {
                continue;
            };
            if let Some(held) = columns.get(&column) {
                expect.push(RowChange {
                    column: column.clone(),
                    value: held.clone(),
                });
            }
            set.push(RowChange {
                column,
                value: value.clone(),
            });
        }
        for decision in pulls {
            records.extend(self.consequences(entity, seen, decision, now));
        }
        let lag = self.engine.tuning.read_lag;
        let stored = |row: &Row| {
            let mut next = link.clone();
            let mut owed = false;
            for decision in pulls {
                let Some(field) = entity.field(&decision.property) else {
                    continue;
                };
                let Ok(page_value) = super::observe::page_value(
                    field,
                    page,
                    link.fields.get(&field.property),
                    &seen.references,
                ) else {
                    continue;
                };
                let Ok(row_value) = field.codec.row_value(&row.columns) else {
                    continue;
                };
                let state = next.fields.entry(field.property.clone()).or_default();
                let held = state.bases.as_ref().map(|bases| bases.page.clone());
                // A trigger may have stored another value: it is pushed back, once.
                let agrees = field.direction == Direction::ToPostgres
                    || encode(
                        field,
                        &row_value,
                        &row.columns,
                        Some(&page_value),
                        &seen.references,
                    )
                    .is_ok_and(|encoded| shows(&page_value, &field.codec.canonical_page(encoded)));
                state.force_push = !agrees;
                owed |= !agrees;
                state.bases = Some(Bases {
                    row: row_value,
                    page: page_value,
                });
                state.changed_at = Sides::default();
                remember_past(state, held, now, lag);
            }
            next.settled_at = Some(now);
            (next, owed)
        };
        let ids: Vec<AuditEntry> = pulls
            .iter()
            .map(|decision| {
                let mut entry = self.audit(entity, link, Side::Postgres, Act::Updated, decision.reason, now);
                entry.property = Some(decision.property.clone());
                entry.old = entity
                    .field(&decision.property)
                    .and_then(|field| field.codec.row_value(columns).ok())
                    .map(Kept::Value);
                entry
            })
            .collect();
        let settle = |row: &Row| {
            let (next, _) = stored(row);
            let mut records = vec![Record::Link(Box::new(next))];
            for entry in &ids {
                let mut entry = entry.clone();
                entry.new = entry
                    .property
                    .as_ref()
                    .and_then(|property| entity.field(property))
                    .and_then(|field| field.codec.row_value(&row.columns).ok())
                    .map(Kept::Value);
                records.push(Record::Audit(entry));
            }
            records
        };
        let write = RowWrite::Update {
            entity: entity.name.clone(),
            key: link.key.clone(),
            set,
            expect,
        };
        let commit = Commit {
            row: Some((write, Box::new(settle))),
            records,
        };
        match self.engine.store.commit(self.fence, commit).await? {
            CommitOutcome::Committed(Some(row)) => {
                self.tally.count(&entity.name, |report| report.rows_updated += 1);
                let (mut next, owed) = stored(&row);
                next.rev += 1;
                Ok(Pulled::Stored(Box::new(next), owed))
            }
            CommitOutcome::Committed(None)
            | CommitOutcome::RowRefused(RowOutcome::Moved | RowOutcome::Written(_)) => Ok(Pulled::Moved),
            CommitOutcome::RowRefused(RowOutcome::LeavesScope) => Ok(Pulled::Refused(
                ErrorCode::LeavesScope,
                "the value would move the row out of the profile's scope".to_owned(),
            )),
            CommitOutcome::RowRefused(RowOutcome::Rejected(rejection)) => {
                let (code, message) = rejected(&rejection);
                Ok(Pulled::Refused(code, message))
            }
        }
    }

    /// What the page's engine-owned properties must show and do not: its label, and the record's status.
    fn assertions(
        &self,
        entity: &Entity,
        link: &Link,
        page: &Page,
        outcome: Outcome,
    ) -> Vec<(PropertyId, Value)> {
        let status = match outcome {
            Outcome::Conflicted => status::CONFLICT,
            Outcome::Failed => status::ERROR,
            Outcome::Deferred => return Vec::new(),
            Outcome::Applied | Outcome::Replanned => {
                if link
                    .troubles
                    .iter()
                    .any(|trouble| trouble.code == ErrorCode::WaitingForReference)
                {
                    status::PENDING
                } else {
                    status::SYNCED
                }
            }
        };
        let wanted = [
            (&entity.postgres_id, Value::rich(link.key.to_string())),
            (&entity.sync_status, choice(status)),
        ];
        wanted
            .into_iter()
            .filter(|(property, value)| match page.properties.get(*property) {
                Some(PropertyRead::Whole(read)) => !shows(read, value),
                _ => false,
            })
            .map(|(property, value)| (property.clone(), value))
            .collect()
    }

    /// 5.1: journals the request, sends it, and settles from the answer.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one protocol, all of which it needs"
    )]
    pub(super) async fn push(
        &self,
        entity: &Entity,
        seen: &Seen,
        page: &Page,
        mut link: Link,
        pushes: &[&FieldDecision],
        asserted: Vec<(PropertyId, Value)>,
        mut records: Vec<Record>,
        kind: IntentKind,
    ) -> Result<Step, EngineError> {
        let now = self.engine.clock.now();
        let mut write = PageWrite {
            properties: Vec::new(),
            in_trash: (kind == IntentKind::RestorePage).then_some(false),
        };
        let mut fields = Vec::new();
        for decision in pushes {
            let FieldAction::Push(value) = &decision.action else {
                continue;
            };
            let (row, held) = self.both_values(entity, seen, &decision.property);
            fields.push(SentField {
                property: decision.property.clone(),
                sent: entity.field(&decision.property).map_or_else(
                    || value.clone(),
                    |field| field.codec.canonical_page(value.clone()),
                ),
                from_row: row,
                replaces: held,
            });
            write.properties.push((decision.property.clone(), value.clone()));
        }
        let has_data = !fields.is_empty();
        write.properties.extend(asserted);
        if has_data {
            write.properties.push((entity.last_synced.clone(), instant(now)));
        }
        let mut intent = Intent {
            id: self.engine.new_id(),
            link: link.id,
            entity: entity.name.clone(),
            kind,
            fields,
            attempt: 1,
            sent_at: now,
            settle_after: now + self.engine.tuning.settle,
            status: IntentStatus::Pending,
        };
        self.keep_lease().await?;
        // The link is stored with the intent: what was decided without a write must not wait for the answer.
        records.push(Record::Link(Box::new(link.clone())));
        records.push(Record::Intent(intent.clone()));
        self.commit(records).await?;
        link.rev += 1;
        let priority = if has_data {
            Priority::Push
        } else {
            Priority::Status
        };
        let answer = match self
            .engine
            .pages
            .update(&entity.name, &page.id, &write, priority)
            .await
        {
            Ok(answer) => entity.canonical(answer),
            Err(error) => return self.push_failed(entity, link, intent, error).await,
        };
        let now = self.engine.clock.now();
        let mut records = Vec::new();
        for decision in pushes {
            records.extend(self.consequences(entity, seen, decision, now));
        }
        self.settle_answer(entity, &mut link, &intent, &answer, now);
        for (sent, decision) in intent.fields.iter().zip(pushes) {
            let mut entry = self.audit(entity, &link, Side::Notion, Act::Updated, decision.reason, now);
            entry.property = Some(sent.property.clone());
            entry.old = sent.replaces.clone().map(Kept::Value);
            entry.new = Some(Kept::Value(sent.sent.clone()));
            records.push(Record::Audit(entry));
        }
        if !has_data && kind == IntentKind::PatchPage {
            // The engine's own properties: a status or a label was put right.
            records.push(Record::Audit(self.audit(
                entity,
                &link,
                Side::Notion,
                Act::Updated,
                Reason::StatusChanged,
                now,
            )));
        }
        intent.status = IntentStatus::Settled;
        records.push(Record::Intent(intent));
        records.push(Record::Link(Box::new(link)));
        self.commit(records).await?;
        self.tally.count(&entity.name, |report| match kind {
            IntentKind::RestorePage => report.pages_restored += 1,
            _ => report.pages_updated += 1,
        });
        Ok(Step::Done(Outcome::Applied))
    }

    /// Moves the baselines to what an answer shows of the fields that were sent.
    pub(super) fn settle_answer(
        &self,
        entity: &Entity,
        link: &mut Link,
        intent: &Intent,
        answer: &Page,
        now: OffsetDateTime,
    ) {
        let lag = self.engine.tuning.read_lag;
        for sent in &intent.fields {
            let Some(field) = entity.field(&sent.property) else {
                continue;
            };
            let read = match answer.properties.get(&sent.property) {
                Some(PropertyRead::Whole(value)) => value.clone(),
                // A long list comes back cut short; it was accepted as sent.
                _ => sent.sent.clone(),
            };
            if !sent.sent.is_empty() && !shows(&read, &sent.sent) {
                link.troubles.push(trouble(
                    ErrorCode::CodecUnstable,
                    Some(field.property.clone()),
                    "Notion stored another value than was sent",
                    now,
                ));
            }
            let state = link.fields.entry(sent.property.clone()).or_default();
            let held = state
                .bases
                .as_ref()
                .map(|bases| bases.page.clone())
                .or_else(|| sent.replaces.clone());
            if let Some(row) = &sent.from_row {
                state.bases = Some(Bases {
                    row: row.clone(),
                    page: read,
                });
            }
            state.force_push = false;
            state.changed_at = Sides::default();
            remember_past(state, held, now, lag);
            if let Some(replaced) = &sent.replaces {
                remember_past(state, Some(replaced.clone()), now, lag);
            }
        }
        for trouble in &mut link.troubles {
            let read = trouble
                .property
                .as_ref()
                .and_then(|property| answer.properties.get(property));
            if let Some(PropertyRead::Whole(value)) = read {
                trouble.met_with.notion = Some(value_digest(value));
            }
        }
        link.page_mark = Some(answer.last_edited_time);
        link.page_edited_at = link.page_edited_at.max(Some(answer.last_edited_time));
        link.page_written_at = Some(now);
        link.settled_at = Some(now);
        link.status = match answer.properties.get(&entity.sync_status) {
            Some(PropertyRead::Whole(Value::Choice(choice))) => Some(choice.name.clone()),
            _ => None,
        };
    }

    /// What a failed page write leaves behind.
    pub(super) async fn push_failed(
        &self,
        entity: &Entity,
        mut link: Link,
        intent: Intent,
        error: PagesError,
    ) -> Result<Step, EngineError> {
        let now = self.engine.clock.now();
        match error {
            PagesError::Unknown { .. } | PagesError::Unreadable { wrote: true, .. } => {
                link.look_again_at = Some(intent.settle_after);
                self.commit(vec![Record::Link(Box::new(link))]).await?;
                Ok(Step::Done(Outcome::Deferred))
            }
            PagesError::Conflict | PagesError::Inaccessible => {
                self.commit(vec![Record::IntentGone(intent.id)]).await?;
                Ok(Step::Again)
            }
            PagesError::Refused { code, message } => {
                let refused = trouble(
                    ErrorCode::PageRefused,
                    None,
                    &format!("Notion refuses it ({code}): {message}"),
                    now,
                );
                link.look_again_at = refused.retry_at;
                link.troubles.push(refused);
                self.tally.troubles(entity, &link);
                self.commit(vec![Record::IntentGone(intent.id), Record::Link(Box::new(link))])
                    .await?;
                Ok(Step::Done(Outcome::Failed))
            }
            error @ (PagesError::Unavailable { .. }
            | PagesError::Unauthorized { .. }
            | PagesError::Unreadable { .. }) => {
                self.commit(vec![Record::IntentGone(intent.id)]).await?;
                Err(error.into())
            }
        }
    }

    /// Stores a link and what comes with it, if anything changed.
    pub(super) async fn remember(
        &self,
        before: &Link,
        mut link: Link,
        mut records: Vec<Record>,
    ) -> Result<(), EngineError> {
        if link.rev == before.rev {
            // An accepted read alone is worth a write only where it saw a later minute than any before: values that
            // queries cut short are compared by that time alone.
            let minute = link.page_edited_at.map(|at| at + time::Duration::MINUTE);
            let now = self.engine.clock.now();
            let saw_more =
                minute.is_some_and(|over| now > over && before.settled_at.is_none_or(|at| at <= over));
            if link == *before && records.is_empty() && !saw_more {
                return Ok(());
            }
            link.settled_at = Some(self.engine.clock.now());
        } else if link.troubles == before.troubles
            && link.look_again_at == before.look_again_at
            && records.is_empty()
        {
            return Ok(());
        }
        records.push(Record::Link(Box::new(link)));
        self.commit(records).await
    }

    /// Whether a person is at work on the page, and the row's change has not waited long for it yet.
    fn is_busy(&self, page: &Page, link: &Link, now: OffsetDateTime) -> bool {
        let quiet = self.engine.tuning.quiet_page;
        let offset = self
            .engine
            .clock
            .notion_offset()
            .map_or(time::Duration::ZERO, |(offset, _)| offset);
        let waited = link
            .fields
            .values()
            .filter_map(|state| state.changed_at.postgres)
            .min();
        page.last_edited_by != self.bot
            && now - (page.last_edited_time - offset) < quiet
            && waited.is_none_or(|since| now - since < time::Duration::minutes(3))
    }

    /// Section 8's loop breaker.
    async fn loops(&self, link: &Link) -> Result<bool, EngineError> {
        let since = self.engine.clock.now() - time::Duration::HOUR;
        let writes = self.engine.store.writes_since(&[link.id], since).await?;
        Ok(writes.get(&link.id).is_some_and(|count| *count > 20))
    }
}

enum Pulled {
    Stored(Box<Link>, bool),
    Moved,
    Refused(ErrorCode, String),
}

fn policy_chose(reason: Reason) -> bool {
    matches!(reason, Reason::PolicySaysPostgres | Reason::PolicySaysNotion)
}

/// A refusal of Postgres, in words that hold no value.
pub(super) fn rejected(rejection: &crate::ports::ColumnRejection) -> (ErrorCode, String) {
    let code = match rejection.sqlstate.get(..2) {
        Some("23") => ErrorCode::ConstraintViolation,
        Some("22") => ErrorCode::InvalidValue,
        _ if rejection.sqlstate == "42501" => ErrorCode::PermissionDenied,
        _ => ErrorCode::RowRefused,
    };
    let mut message = format!("Postgres refuses the value (SQLSTATE {})", rejection.sqlstate);
    if let Some(constraint) = &rejection.constraint {
        message.push_str(&format!(" by constraint `{constraint}`"));
    }
    if let Some(column) = &rejection.column {
        message.push_str(&format!(" in column `{column}`"));
    }
    (code, message)
}

/// A trouble met for the first time, tried again in an hour.
pub(super) fn trouble(
    code: ErrorCode,
    property: Option<PropertyId>,
    message: &str,
    now: OffsetDateTime,
) -> Trouble {
    Trouble {
        code,
        property,
        message: message.to_owned(),
        attempts: 1,
        retry_at: Some(now + time::Duration::HOUR),
        met_with: Sides::default(),
    }
}

/// What tells whether a value is still the one that a trouble was met with.
pub(super) fn value_digest(value: &Value) -> String {
    // A value always has a JSON form.
    crate::plan::hex(&Sha256::digest(serde_json::to_vec(value).unwrap_or_default())[..8])
}

/// The same, over a row's mapped columns.
pub(super) fn columns_digest(entity: &Entity, columns: &BTreeMap<String, Value>) -> String {
    let mut hasher = Sha256::new();
    for field in &entity.fields {
        let value: Result<Value, FieldError> = field.codec.row_value(columns);
        hasher.update(serde_json::to_vec(&value.map_err(|error| error.fault)).unwrap_or_default());
        hasher.update([0]);
    }
    crate::plan::hex(&hasher.finalize()[..8])
}

/// Whether a side's value of a field is known trouble: nothing new to look at.
pub(super) fn is_known_trouble(link: &Link, property: &PropertyId, side: Side, value: &Value) -> bool {
    link.troubles.iter().any(|trouble| {
        trouble.property.as_ref() == Some(property)
            && trouble.met_with.get(side).as_ref() == Some(&value_digest(value))
    })
}

/// Notes that both sides were looked at and not settled.
fn seen_at(state: &mut crate::reconcile::FieldState, now: OffsetDateTime) {
    state.changed_at.postgres.get_or_insert(now);
    state.changed_at.notion.get_or_insert(now);
}

fn remember_past(
    state: &mut crate::reconcile::FieldState,
    held: Option<Value>,
    now: OffsetDateTime,
    lag: std::time::Duration,
) {
    state.past.retain(|past| now - past.until < lag);
    let Some(held) = held else { return };
    let moved = state.bases.as_ref().is_none_or(|bases| bases.page != held);
    if moved && !lag.is_zero() && !state.past.iter().any(|past| past.value == held) {
        state.past.push(PastValue {
            value: held,
            until: now,
        });
    }
}

/// Whether a field is left out of a request only until the record it refers to is there.
pub(super) fn waits(fault: Fault) -> bool {
    fault == Fault::WaitingForReference
}
