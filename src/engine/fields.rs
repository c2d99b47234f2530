//! Carries out the decisions about a record's fields: rows first, then the page, then what is to be remembered.
//!
//! The two writes are protocols of their own, in [`super::pull`] and [`super::push`].

use time::OffsetDateTime;

use super::Entity;
use super::observe::{Seen, page_value};
use super::run::Work;
use super::tally::is_error;
use super::trouble::{trouble, value_digest};
use super::{EngineError, apply::Step};
use crate::journal::{
    Act, AuditEntry, Conflict, ConflictStatus, IntentKind, IntentStatus, Kept, Outcome, Trouble,
};
use crate::ports::{Link, Page, Record};
use crate::reconcile::merge::{FieldAction, FieldDecision};
use crate::reconcile::{Decision, FieldState, PastValue, Phase, Reason, Side, Sides};
use crate::report::ErrorCode;
use crate::value::{PropertyId, Value};

/// Pulls of a field in a row that no edit outside explains.
///
/// Source: sync semantics, section 2.
const MOST_ECHOES: u8 = 3;

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
        // Section 2: the ping-pong breaker.
        let (unstable, pulls): (Vec<_>, Vec<_>) = pulls.into_iter().partition(|field| {
            let echoes = link.fields.get(&field.property).map_or(0, |state| state.echoes);
            page.last_edited_by == self.bot && echoes >= MOST_ECHOES
        });
        for field in unstable {
            let mut frozen = trouble(
                ErrorCode::CodecUnstable,
                Some(field.property.clone()),
                "the page keeps showing another value than was written, and no person edited it",
                now,
            );
            frozen.met_with = self.digests(entity, seen, &field.property);
            frozen.retry_at = None;
            link.troubles.push(frozen);
        }
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
            self.remember(seen, link, records).await?;
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
            self.remember(seen, link, records).await?;
        } else if outcome != Outcome::Deferred && !pushes.is_empty() && self.is_busy(page, &link, now) {
            for field in &pushes {
                let state = link.fields.entry(field.property.clone()).or_default();
                state.changed_at.postgres.get_or_insert(now);
            }
            link.look_again_at = Some(now + self.engine.tuning.quiet_page);
            self.remember(seen, link, records).await?;
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
        let since_step = self.clocks_stepped_until().zip(before.settled_at);
        if since_step.is_some_and(|(until, at)| at <= until) {
            link.page_edited_at = None;
        }
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
                state.put_back = None;
                state.settled();
            }
            if !field.doubtful && !matches!(field.action, FieldAction::Freeze(_) | FieldAction::Defer) {
                out_of_doubt(state, now);
            }
            remember_past(state, held, now, lag, field.doubtful);
            // What was taken in doubt is looked at again as soon as no answer can be behind it.
            let doubted = state
                .past
                .iter()
                .filter(|past| past.doubted)
                .map(|past| past.until);
            let taken = (field.doubtful && matches!(field.action, FieldAction::Pull(_))).then_some(now);
            if let Some(at) = doubted.chain(taken).max() {
                link.look_again_at = link.look_again_at.max(Some(at + lag));
            }
            match &field.action {
                // Seen and not settled: whatever changed did so before this look. A write that succeeds settles it.
                FieldAction::Freeze(_) | FieldAction::Defer | FieldAction::Push(_) | FieldAction::Pull(_) => {
                    seen_at(state, now);
                }
                FieldAction::Keep => state.settled(),
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
                    if let Some(open) = open.filter(|open| open.page_value != page) {
                        // What the page was seen to move on from is the past, as what both sides agreed on is.
                        remember_past(state, open.page_value.clone(), now, lag, false);
                    }
                    state.put_off = false;
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
    pub(super) fn consequences(
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

    /// What a field holds on either side, with the targets that only are out of sight.
    pub(super) fn both_values(
        &self,
        entity: &Entity,
        seen: &Seen,
        property: &PropertyId,
    ) -> (Option<Value>, Option<Value>) {
        let row = row_value(entity, seen, property);
        let state = seen.link.as_ref().and_then(|link| link.fields.get(property));
        let page = entity
            .field(property)
            .zip(seen.page.page())
            .and_then(|(field, page)| page_value(field, page, state, &seen.references).ok());
        (row, page)
    }

    pub(super) fn digests(
        &self,
        entity: &Entity,
        seen: &Seen,
        property: &PropertyId,
    ) -> Sides<Option<String>> {
        let row = row_value(entity, seen, property);
        // As a listing shows it, which looks for no target.
        let page = seen.page.page().and_then(|page| page.whole(property));
        Sides {
            postgres: row.as_ref().map(value_digest),
            notion: page.map(value_digest),
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

    /// Stores a link and what comes with it, if anything changed.
    pub(super) async fn remember(
        &self,
        seen: &Seen,
        mut link: Link,
        mut records: Vec<Record>,
    ) -> Result<(), EngineError> {
        let Some(before) = &seen.link else { return Ok(()) };
        if link.rev == before.rev {
            // An accepted read alone is worth a write only where it saw a later minute than any before: values that
            // queries cut short are compared by that time alone.
            let minute = link.page_edited_at.map(|at| at + time::Duration::MINUTE);
            let now = self.engine.clock.now();
            // Of a row that is gone it says when it was last there, which its deletion is judged by.
            let counts = seen.columns().is_some() || link.page_edited_at != before.page_edited_at;
            // So is the first look after a step of a clock: it is what the minutes since can be held against.
            let mut over = minute.into_iter().chain(self.clocks_stepped_until());
            let saw_more = over.any(|over| now > over && before.settled_at.is_none_or(|at| at <= over));
            if link == *before && records.is_empty() && !(saw_more && counts) {
                return Ok(());
            }
            if counts {
                link.settled_at = Some(seen.at);
            }
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
    pub(super) fn is_busy(&self, page: &Page, link: &Link, now: OffsetDateTime) -> bool {
        let quiet = self.engine.tuning.quiet_page;
        let offset = self.engine.clock.notion_ahead();
        let waited = link
            .fields
            .values()
            .filter_map(|state| state.changed_at.postgres)
            .min();
        page.last_edited_by != self.bot
            // A clock that is ahead makes no page busy where no rest is asked for.
            && (now - (page.last_edited_time - offset)).max(time::Duration::ZERO) < quiet
            && waited.is_none_or(|since| now - since < time::Duration::minutes(3))
    }

    /// Section 8's loop breaker.
    pub(super) async fn loops(&self, link: &Link) -> Result<bool, EngineError> {
        let since = self.engine.clock.now() - time::Duration::HOUR;
        let writes = self.engine.store.writes_since(&[link.id], since).await?;
        Ok(writes.get(&link.id).is_some_and(|count| *count > 20))
    }
}

/// What the row holds of a field, where it can be told.
fn row_value(entity: &Entity, seen: &Seen, property: &PropertyId) -> Option<Value> {
    entity.field(property)?.codec.row_value(seen.columns()?).ok()
}

fn policy_chose(reason: Reason) -> bool {
    matches!(reason, Reason::PolicySaysPostgres | Reason::PolicySaysNotion)
}

/// Notes that both sides were looked at and not settled.
pub(super) fn seen_at(state: &mut FieldState, now: OffsetDateTime) {
    state.changed_at.postgres.get_or_insert(now);
    state.changed_at.notion.get_or_insert(now);
    state.put_off = true;
}

/// Remembers what a page held, for as long as a stale answer could still show it, or what it holds now is in doubt.
pub(super) fn remember_past(
    state: &mut FieldState,
    held: Option<Value>,
    now: OffsetDateTime,
    lag: std::time::Duration,
    doubted: bool,
) {
    state.past.retain(|past| past.doubted || now - past.until < lag);
    let Some(held) = held else { return };
    let moved = state.bases.as_ref().is_none_or(|bases| bases.page != held);
    if moved && !lag.is_zero() {
        state.past.retain(|past| past.value != held);
        state.past.push(PastValue {
            value: held,
            until: now,
            doubted,
        });
    }
}

/// What the page holds is known for certain: whatever it may have held until now is past.
pub(super) fn out_of_doubt(state: &mut FieldState, now: OffsetDateTime) {
    for past in state.past.iter_mut().filter(|past| past.doubted) {
        past.doubted = false;
        past.until = now;
    }
}
