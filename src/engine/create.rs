//! Makes the other half of a record: a page for a row, a row for a page; write protocols 5.3 and 5.4 of the sync
//! semantics.

use std::collections::BTreeMap;

use super::apply::Step;
use super::observe::{Seen, decode, encode, page_value};
use super::presence::new_link;
use super::pull::rejected;
use super::push::{choice, instant, status};
use super::reference::key_value;
use super::run::Work;
use super::tally::is_error;
use super::trouble::trouble;
use super::{EngineError, Entity};
use crate::journal::{Act, AuditEntry, Intent, IntentKind, IntentStatus, Kept, Outcome, SentField};
use crate::mapping::Direction;
use crate::ports::{
    Commit, CommitOutcome, Link, Page, PageWrite, PagesError, Priority, Record, Row, RowChange, RowOutcome,
    RowWrite,
};
use crate::reconcile::{Bases, FieldState, Phase, Reason, Side};
use crate::report::ErrorCode;
use crate::value::{PropertyId, RecordKey, Value};

impl Work<'_> {
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
        link.settled_at = Some(seen.at);
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
                Err(error) if super::trouble::waits(error.fault) => waits = true,
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
                        .map(|value| super::trouble::value_digest(&value));
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
                refused.met_with.postgres = Some(super::trouble::columns_digest(entity, &row.columns));
                link.look_again_at = refused.retry_at;
                link.troubles.push(refused);
                self.tally.troubles(entity, &link);
                self.commit(vec![Record::IntentGone(intent.id), Record::Link(Box::new(link))])
                    .await?;
                return Ok(Step::Done(Outcome::Failed));
            }
            Err(PagesError::Conflict) => {
                // Nothing was saved, however often it was sent: the claim stays for the next run.
                link.look_again_at = Some(self.engine.clock.now());
                self.commit(vec![Record::IntentGone(intent.id), Record::Link(Box::new(link))])
                    .await?;
                return Ok(Step::Done(Outcome::Deferred));
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
        self.settle_created(
            entity,
            link,
            &mut intent,
            &answer,
            &row.columns,
            waits,
            Vec::new(),
        )
        .await?;
        Ok(Step::Done(Outcome::Applied))
    }

    /// C3: the page exists; links it with the baselines that the answer shows.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one protocol, all of which it needs"
    )]
    pub(super) async fn settle_created(
        &self,
        entity: &Entity,
        mut link: Link,
        intent: &mut Intent,
        answer: &Page,
        columns: &BTreeMap<String, Value>,
        waits: bool,
        mut records: Vec<Record>,
    ) -> Result<(), EngineError> {
        let now = self.engine.clock.now();
        link.phase = Phase::Linked;
        link.page = Some(answer.id.clone());
        self.settle_answer(entity, &mut link, intent, answer, now);
        // A field that only comes from Notion starts from what both sides hold: nobody edited it yet. What Notion
        // computes is there already, and is pulled in the second phase.
        let mut computes = false;
        for field in entity
            .fields
            .iter()
            .filter(|field| field.direction == Direction::ToPostgres)
        {
            if field.codec.is_computed() {
                computes = true;
                continue;
            }
            if let (Some(page), Ok(row)) = (answer.whole(&field.property), field.codec.row_value(columns)) {
                if answer.last_edited_by != self.bot && !page.is_empty() {
                    // A person was there before the answer was known.
                    continue;
                }
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
        let goes_on = waits || computes;
        link.look_again_at = goes_on.then_some(now);
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
        // A command that writes no rows leaves what Notion computes to the next that does.
        if waits || (computes && self.request.writes_postgres()) {
            self.second_phase(&entity.name, &link.key);
        }
        self.tally.troubles(entity, &link);
        records.push(Record::Link(Box::new(link)));
        self.commit(records).await?;
        self.tally.count(&entity.name, |report| report.pages_created += 1);
        Ok(())
    }

    /// E13 and E11: a new life for the key; the page is taken back from the trash where it still can be.
    pub(super) async fn reincarnate(&self, seen: &Seen) -> Result<Step, EngineError> {
        let Some(before) = &seen.link else {
            return Ok(Step::Done(Outcome::Deferred));
        };
        let mut link = before.clone();
        link.incarnation += 1;
        link.fields.clear();
        link.troubles.clear();
        link.note = None;
        link.missed = None;
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
    pub(super) async fn insert_row(
        &self,
        entity: &Entity,
        seen: &Seen,
        reason: Reason,
    ) -> Result<Step, EngineError> {
        let Some(page) = seen.page.page() else {
            return Ok(Step::Done(Outcome::Deferred));
        };
        let now = self.engine.clock.now();
        let mut columns: BTreeMap<String, Value> = BTreeMap::new();
        let mut held: BTreeMap<PropertyId, Value> = BTreeMap::new();
        for field in entity
            .fields
            .iter()
            .filter(|field| field.direction != Direction::ToNotion)
        {
            let Some(column) = &field.column else { continue };
            let link = seen.link.as_ref();
            let state = link.and_then(|link| link.fields.get(&field.property));
            let Ok(value) = page_value(field, page, state, &seen.references) else {
                continue;
            };
            let value = held
                .entry(field.property.clone())
                .or_insert(seen.references.reachable(field, value));
            if value.is_empty() && field.codec.takes_default() {
                // Nothing was chosen, and the column has a default for that.
                continue;
            }
            match decode(field, value, &BTreeMap::new(), None, &seen.references) {
                Ok(value) => {
                    columns.insert(column.clone(), value);
                }
                Err(error) => {
                    let name = Some(field.name.clone());
                    let retry = if super::trouble::waits(error.fault) {
                        time::Duration::ZERO
                    } else {
                        time::Duration::HOUR
                    };
                    return self
                        .not_inserted(entity, seen, name, error.fault.into(), error.message, retry)
                        .await;
                }
            }
        }
        if let Some(link) = &seen.link {
            // E4, E14: the row comes back under its old key, with what it last held of the fields that only it can set.
            for field in entity
                .fields
                .iter()
                .filter(|field| field.direction == Direction::ToNotion)
            {
                let bases = link
                    .fields
                    .get(&field.property)
                    .and_then(|state| state.bases.as_ref());
                if let (Some(column), Some(bases)) = (&field.column, bases) {
                    columns.insert(column.clone(), bases.row.clone());
                }
            }
            for ((column, column_type), text) in entity.key.iter().zip(&link.key.0) {
                columns.insert(column.clone(), key_value(column_type, text));
            }
        } else {
            match entity.new_row.columns(&columns) {
                Ok(added) => columns.extend(added),
                Err(error) => {
                    let (code, retry) = (error.fault.into(), time::Duration::HOUR);
                    return self
                        .not_inserted(entity, seen, None, code, error.message, retry)
                        .await;
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
            link.missed = None;
            link.look_again_at = Some(now);
            link.page_edited_at = Some(page.last_edited_time);
            link.settled_at = Some(now);
            for field in &entity.fields {
                if let (Some(value), Ok(row)) =
                    (held.get(&field.property), field.codec.row_value(&row.columns))
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
            records: self.closed(seen, reason, now),
        };
        match self.engine.store.commit(self.fence, commit).await? {
            CommitOutcome::Committed(_) => {
                self.tally.count(&entity.name, |report| report.rows_inserted += 1);
                Ok(Step::Again)
            }
            CommitOutcome::RowRefused(RowOutcome::Rejected(rejection)) => {
                let (code, message) = rejected(&rejection);
                self.not_inserted(entity, seen, None, code, message, time::Duration::HOUR)
                    .await
            }
            CommitOutcome::RowRefused(_) => {
                let message = "the row would be outside the profile's scope".to_owned();
                let code = ErrorCode::LeavesScope;
                self.not_inserted(entity, seen, None, code, message, time::Duration::HOUR)
                    .await
            }
        }
    }

    /// A page that no row can be made of now: it says so, and a record that has a link is looked at again, for neither
    /// side tells of it once more.
    async fn not_inserted(
        &self,
        entity: &Entity,
        seen: &Seen,
        property: Option<String>,
        code: ErrorCode,
        message: String,
        retry: time::Duration,
    ) -> Result<Step, EngineError> {
        let page = seen.page.page().map(|page| &page.id);
        let key = seen.link.as_ref().map(|link| &link.key);
        self.tally.error(&entity.name, key, page, property, code, message);
        if let Some(before) = &seen.link {
            let mut link = before.clone();
            link.look_again_at = Some(self.engine.clock.now() + retry);
            self.commit(vec![Record::Link(Box::new(link))]).await?;
        }
        self.mark(entity, seen, status::ERROR, None).await
    }
}
