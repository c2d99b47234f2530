//! Sets properties of a page from its row: write protocol 5.1 of the sync semantics.
//!
//! A push is journaled before its request and settled from its answer; when no answer comes, the intent stays and
//! [`super::recover`] looks.

use time::OffsetDateTime;

use super::Entity;
use super::fields::{out_of_doubt, remember_past};
use super::observe::Seen;
use super::run::Work;
use super::trouble::{trouble, value_digest};
use super::{EngineError, apply::Step};
use crate::journal::{Act, Intent, IntentKind, IntentStatus, Kept, Outcome, SentField};
use crate::ports::{Link, Page, PageWrite, PagesError, Priority, PropertyRead, Record};
use crate::reconcile::accept::shows;
use crate::reconcile::merge::{FieldAction, FieldDecision};
use crate::reconcile::{Bases, Phase, Reason, Side};
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
    /// What the page's engine-owned properties must show and do not: its label, and the record's status.
    pub(super) fn assertions(
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
            .filter(|(property, value)| page.whole(property).is_some_and(|read| !shows(read, value)))
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
        // A page that a person made gets its stamp with its label.
        let is_unstamped = page.whole(&entity.last_synced).is_some_and(Value::is_empty);
        write.properties.extend(asserted);
        if has_data || is_unstamped {
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
        link.settled_at = Some(seen.at);
        settle_restored(&mut link, &intent);
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
        intent.status = IntentStatus::Answered;
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
            // A long list comes back cut short; it was accepted as sent.
            let read = answer.whole(&sent.property).unwrap_or(&sent.sent);
            // A target in the trash vanishes from the answer, and comes back with it: the page has it all the same.
            let read = match (read, &sent.sent) {
                (Value::Pages(shown), Value::Pages(sent)) => Value::Pages(shown | sent),
                (read, _) => read.clone(),
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
                state.put_back = None;
                state.bases = Some(Bases {
                    row: row.clone(),
                    page: read,
                });
            }
            if !state.force_push {
                // The row itself changed: somebody outside is at work.
                state.echoes = 0;
            }
            state.force_push = false;
            state.settled();
            out_of_doubt(state, now);
            remember_past(state, held, now, lag, false);
            if let Some(replaced) = &sent.replaces {
                remember_past(state, Some(replaced.clone()), now, lag, false);
            }
        }
        for trouble in &mut link.troubles {
            let read = trouble
                .property
                .as_ref()
                .and_then(|property| answer.whole(property));
            if let Some(value) = read {
                trouble.met_with.notion = Some(value_digest(value));
            }
        }
        // What came cut short and was not sent is not known to be what was read before: somebody may have changed it
        // meanwhile, and the page's last edit is ours.
        let is_unseen = |property: &PropertyId| {
            answer.properties.get(property) == Some(&PropertyRead::Truncated)
                && intent.fields.iter().all(|sent| sent.property != *property)
        };
        if entity.fields.iter().any(|field| is_unseen(&field.property)) {
            link.look_again_at = Some(now);
        }
        link.page_mark = Some(answer.last_edited_time);
        link.page_edited_at = link.page_edited_at.max(Some(answer.last_edited_time));
        link.page_written_at = Some(intent.sent_at);
        link.status = match answer.whole(&entity.sync_status) {
            Some(Value::Choice(choice)) => Some(choice.name.clone()),
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
        let mut undone = vec![Record::IntentGone(intent.id)];
        match error {
            PagesError::Unknown { .. } | PagesError::Unreadable { wrote: true, .. } => {
                link.look_again_at = Some(intent.settle_after);
                self.commit(vec![Record::Link(Box::new(link))]).await?;
                Ok(Step::Done(Outcome::Deferred))
            }
            PagesError::Conflict | PagesError::Inaccessible => {
                undone.extend(not_trashed(link, now));
                self.commit(undone).await?;
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
                undone.push(Record::Link(Box::new(link)));
                self.commit(undone).await?;
                Ok(Step::Done(Outcome::Failed))
            }
            error @ (PagesError::Unavailable { .. }
            | PagesError::Unauthorized { .. }
            | PagesError::Unreadable { .. }) => {
                undone.extend(not_trashed(link, now));
                self.commit(undone).await?;
                Err(error.into())
            }
        }
    }
}

/// A record whose page was not trashed, and which waits for nothing: neither side tells of it again.
fn not_trashed(mut link: Link, now: OffsetDateTime) -> Option<Record> {
    (link.phase == Phase::TrashingPage).then(|| {
        link.phase = Phase::Linked;
        link.look_again_at = Some(now);
        Record::Link(Box::new(link))
    })
}

/// A page that an answer or a direct read shows out of the trash: from here on its record is as any other.
pub(super) fn settle_restored(link: &mut Link, intent: &Intent) {
    if intent.kind == IntentKind::RestorePage {
        link.phase = Phase::Linked;
        link.note = None;
    }
}
