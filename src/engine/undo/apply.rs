//! Carries out one step of an undo: one transaction, or one journaled request.

use std::collections::BTreeMap;

use super::super::EngineError;
use super::super::apply::Step as Ended;
use super::super::observe::{PageSeen, Seen};
use super::super::pull::rejected;
use super::super::run::Work;
use super::{PutBack, Step, What};
use crate::journal::{Act, AuditEntry, Intent, IntentKind, IntentStatus, Kept, Outcome, SentField};
use crate::ports::{
    Commit, CommitOutcome, Link, PageWrite, Priority, Record, Row, RowChange, RowOutcome, RowWrite,
};
use crate::reconcile::{Phase, Reason, Side};
use crate::report::{EntityReport, ErrorCode};
use crate::value::Value;

/// Why a step was not carried out; `None` where it was.
type Refused = Option<(ErrorCode, String)>;

fn moved() -> Refused {
    Some((ErrorCode::ValueMoved, "it moved at the last moment".to_owned()))
}

impl Work<'_> {
    /// Carries out one step, over what both sides hold just now.
    pub(super) async fn carry_out_step(&self, step: &Step) -> Result<Refused, EngineError> {
        let entity = &step.entity;
        self.read_marks(entity).await?;
        let row = self.read_row(entity, &step.link.key).await?;
        let needs_page = matches!(
            step.what,
            What::SetRow { .. } | What::SetProperties(_) | What::TrashPage
        );
        let page = match &step.link.page {
            Some(page) if needs_page => self.engine.read_page(entity, page, Priority::Push).await?,
            Some(_) => PageSeen::Presumed,
            None => PageSeen::None,
        };
        let link = self.link_now(step).await?;
        let Some(link) = link else { return Ok(moved()) };
        let seen = self.engine.seen(entity, Some(link.clone()), row, page).await?;
        match &step.what {
            What::InsertRow(columns) => self.insert_again(step, &seen, link, columns).await,
            What::SetRow { set, comes_back } => self.set_row(step, &seen, link, set, *comes_back).await,
            What::SetColumns(puts) => self.set_columns(step, &seen, link, puts).await,
            What::SetProperties(puts) => self.set_properties(step, &seen, link, puts).await,
            What::TrashPage => {
                let ended = self
                    .trash_page(entity, &seen, Reason::Undone, Phase::Held)
                    .await?;
                Ok(told(&ended))
            }
            What::DeleteRow => self.delete_again(step, &seen, link).await,
        }
    }

    async fn link_now(&self, step: &Step) -> Result<Option<Link>, EngineError> {
        let keys = std::slice::from_ref(&step.link.key);
        let links = self.engine.store.links_by_key(&step.entity.name, keys).await?;
        Ok(links.into_iter().find(|link| link.id == step.link.id))
    }

    /// The row comes back under its key; the page follows when the record is looked at next, by this run or another.
    async fn insert_again(
        &self,
        step: &Step,
        seen: &Seen,
        link: Link,
        columns: &[(String, Value)],
    ) -> Result<Refused, EngineError> {
        let now = self.engine.clock.now();
        let next = back_in_life(link, now);
        let entry = self.undone(step, &next, Side::Postgres, Act::Restored);
        let settle = |row: &Row| {
            let entry = AuditEntry {
                new: Some(Kept::Record(row.columns.clone())),
                ..entry.clone()
            };
            vec![Record::Link(Box::new(next.clone())), Record::Audit(entry)]
        };
        let write = RowWrite::Insert {
            entity: step.entity.name.clone(),
            set: columns
                .iter()
                .map(|(column, value)| RowChange {
                    column: column.clone(),
                    value: value.clone(),
                })
                .collect(),
        };
        let commit = Commit {
            row: Some((write, Box::new(settle))),
            records: self.closed(seen, Reason::Undone, now),
        };
        self.committed(step, commit, |report| report.rows_inserted += 1)
            .await
    }

    async fn set_row(
        &self,
        step: &Step,
        seen: &Seen,
        link: Link,
        set: &[PutBack],
        comes_back: bool,
    ) -> Result<Refused, EngineError> {
        let now = self.engine.clock.now();
        let (next, act) = if comes_back {
            (back_in_life(link, now), Act::Restored)
        } else {
            let mut next = link;
            next.phase = Phase::Held;
            next.note = Some("page_trashed".to_owned());
            (next, Act::Deleted)
        };
        let mut entry = self.undone(step, &next, Side::Postgres, act);
        entry.old = seen.columns().cloned().map(Kept::Record);
        let settle = |row: &Row| {
            let entry = AuditEntry {
                new: Some(Kept::Record(row.columns.clone())),
                ..entry.clone()
            };
            vec![Record::Link(Box::new(next.clone())), Record::Audit(entry)]
        };
        let write = seen.columns().and_then(|before| update(step, set, before));
        let Some(write) = write else { return Ok(moved()) };
        let commit = Commit {
            row: Some((write, Box::new(settle))),
            records: Vec::new(),
        };
        let refused = self
            .committed(step, commit, |report| report.rows_updated += 1)
            .await?;
        if refused.is_none() {
            let is_live = seen.page.page().is_some_and(|page| !page.in_trash);
            if !comes_back && is_live {
                let Some(link) = self.link_now(step).await? else {
                    return Ok(moved());
                };
                let (row, page) = (seen.row.clone(), seen.page.clone());
                let seen = self.engine.seen(&step.entity, Some(link), row, page).await?;
                let ended = self
                    .trash_page(&step.entity, &seen, Reason::Undone, Phase::Held)
                    .await?;
                return Ok(told(&ended));
            }
        }
        Ok(refused)
    }

    /// Columns get their old values. The baselines stay: the row was edited, and the edit travels.
    async fn set_columns(
        &self,
        step: &Step,
        seen: &Seen,
        link: Link,
        puts: &[PutBack],
    ) -> Result<Refused, EngineError> {
        let Some(before) = seen.columns() else {
            return Ok(moved());
        };
        let now = self.engine.clock.now();
        let mut next = link;
        next.look_again_at = Some(now);
        let entries: Vec<AuditEntry> = puts
            .iter()
            .map(|put| {
                let mut entry = self.undone(step, &next, Side::Postgres, Act::Updated);
                entry.property.clone_from(&put.property);
                entry.old = Some(Kept::Value(put.from.clone()));
                entry
            })
            .collect();
        let settle = |row: &Row| {
            let mut records = vec![Record::Link(Box::new(next.clone()))];
            for entry in &entries {
                let stored = entry
                    .property
                    .as_ref()
                    .and_then(|property| step.entity.field(property))
                    .and_then(|field| field.codec.row_value(&row.columns).ok());
                let entry = AuditEntry {
                    new: stored.map(Kept::Value),
                    ..entry.clone()
                };
                records.push(Record::Audit(entry));
            }
            records
        };
        let Some(write) = update(step, puts, before) else {
            return Ok(moved());
        };
        let commit = Commit {
            row: Some((write, Box::new(settle))),
            records: Vec::new(),
        };
        self.committed(step, commit, |report| report.rows_updated += 1)
            .await
    }

    /// 5.1 for values that stand for nothing in the row: journaled, sent, settled from the answer. The baselines stay,
    /// and the field remembers that what it shows next is a person's wish, though we sent it.
    async fn set_properties(
        &self,
        step: &Step,
        seen: &Seen,
        mut link: Link,
        puts: &[PutBack],
    ) -> Result<Refused, EngineError> {
        let entity = &step.entity;
        let Some(page) = seen.page.page() else {
            return Ok(moved());
        };
        let now = self.engine.clock.now();
        let mut write = PageWrite::default();
        let mut fields = Vec::new();
        for put in puts {
            let Some(property) = &put.property else { continue };
            if page.whole(property) != Some(&put.from) {
                return Ok(moved());
            }
            write.properties.push((property.clone(), put.to.clone()));
            fields.push(SentField {
                property: property.clone(),
                sent: put.to.clone(),
                from_row: None,
                replaces: Some(put.from.clone()),
            });
            let state = link.fields.entry(property.clone()).or_default();
            state.put_back = Some(put.to.clone());
        }
        let mut intent = Intent {
            id: self.engine.new_id(),
            link: link.id,
            entity: entity.name.clone(),
            kind: IntentKind::PatchPage,
            fields,
            attempt: 1,
            sent_at: now,
            settle_after: now + self.engine.tuning.settle,
            status: IntentStatus::Pending,
        };
        link.look_again_at = Some(now);
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
            .update(&entity.name, &page.id, &write, Priority::Push)
            .await
        {
            Ok(answer) => entity.canonical(answer),
            Err(error) => {
                let ended = self.push_failed(entity, link, intent, error).await?;
                return Ok(told(&ended));
            }
        };
        let now = self.engine.clock.now();
        self.settle_answer(entity, &mut link, &intent, &answer, now);
        let mut records: Vec<Record> = intent
            .fields
            .iter()
            .map(|sent| {
                let mut entry = self.undone(step, &link, Side::Notion, Act::Updated);
                entry.property = Some(sent.property.clone());
                entry.old = sent.replaces.clone().map(Kept::Value);
                entry.new = Some(Kept::Value(sent.sent.clone()));
                Record::Audit(entry)
            })
            .collect();
        intent.status = IntentStatus::Answered;
        records.extend([Record::Intent(intent), Record::Link(Box::new(link))]);
        self.commit(records).await?;
        self.tally.count(&entity.name, |report| report.pages_updated += 1);
        Ok(None)
    }

    /// The row that an undo had put back goes again; its page follows as after any deletion of a row.
    async fn delete_again(&self, step: &Step, seen: &Seen, link: Link) -> Result<Refused, EngineError> {
        let Some(columns) = seen.columns() else {
            return Ok(moved());
        };
        let mut next = link;
        next.look_again_at = Some(self.engine.clock.now());
        let mut entry = self.undone(step, &next, Side::Postgres, Act::Deleted);
        entry.old = Some(Kept::Record(columns.clone()));
        let settle = |_: &Row| vec![Record::Link(Box::new(next.clone())), Record::Audit(entry.clone())];
        let write = RowWrite::Delete {
            entity: step.entity.name.clone(),
            key: step.link.key.clone(),
            expect: columns
                .iter()
                .map(|(column, value)| RowChange {
                    column: column.clone(),
                    value: value.clone(),
                })
                .collect(),
        };
        let commit = Commit {
            row: Some((write, Box::new(settle))),
            records: Vec::new(),
        };
        self.committed(step, commit, |report| report.rows_deleted += 1)
            .await
    }

    fn undone(&self, step: &Step, link: &Link, side: Side, act: Act) -> AuditEntry {
        let now = self.engine.clock.now();
        self.audit(&step.entity, link, side, act, Reason::Undone, now)
    }

    /// Commits the write of a row, and counts it where it was written.
    async fn committed(
        &self,
        step: &Step,
        commit: Commit<'_>,
        count: impl FnOnce(&mut EntityReport),
    ) -> Result<Refused, EngineError> {
        Ok(match self.engine.store.commit(self.fence, commit).await? {
            CommitOutcome::Committed(_) => {
                self.tally.count(&step.entity.name, count);
                None
            }
            CommitOutcome::RowRefused(RowOutcome::Rejected(rejection)) => Some(rejected(&rejection)),
            CommitOutcome::RowRefused(RowOutcome::LeavesScope) => Some((
                ErrorCode::LeavesScope,
                "the row would be outside the profile's scope".to_owned(),
            )),
            CommitOutcome::RowRefused(RowOutcome::Moved | RowOutcome::Written(_)) => moved(),
        })
    }
}

/// The link of a row that is back: its page is taken out of the trash, or made again, as for a row that came back
/// into scope.
fn back_in_life(mut link: Link, now: time::OffsetDateTime) -> Link {
    link.phase = if link.page.is_some() {
        Phase::LeftScope
    } else {
        Phase::CreatingPage
    };
    link.troubles.clear();
    link.note = None;
    link.look_again_at = Some(now);
    link
}

/// The write that puts columns back, relying on what the row holds; `None` where that is not what was planned for.
fn update(step: &Step, puts: &[PutBack], before: &BTreeMap<String, Value>) -> Option<RowWrite> {
    let (mut set, mut expect) = (Vec::new(), Vec::new());
    for put in puts {
        let column = put.column.clone()?;
        let held = before.get(&column)?;
        let field = put
            .property
            .as_ref()
            .and_then(|property| step.entity.field(property));
        let value = match field {
            Some(field) => field.codec.row_value(before).ok()?,
            None => held.clone(),
        };
        if value != put.from {
            return None;
        }
        expect.push(RowChange {
            column: column.clone(),
            value: held.clone(),
        });
        set.push(RowChange {
            column,
            value: put.to.clone(),
        });
    }
    Some(RowWrite::Update {
        entity: step.entity.name.clone(),
        key: step.link.key.clone(),
        set,
        expect,
    })
}

/// What the end of a page's write means for the step.
fn told(ended: &Ended) -> Refused {
    match ended {
        Ended::Done(Outcome::Applied | Outcome::Replanned | Outcome::Conflicted) => None,
        Ended::Done(Outcome::Deferred) => Some((
            ErrorCode::OutcomeUnknown,
            "the answer was lost; the next sync sees whether it was written".to_owned(),
        )),
        Ended::Done(Outcome::Failed) => Some((
            ErrorCode::PageRefused,
            "Notion refuses the page as it would be".to_owned(),
        )),
        Ended::Again => moved(),
    }
}
