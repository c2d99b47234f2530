//! From entries of the audit log to what would be put back where.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::super::apply::Candidate;
use super::super::observe::{PageSeen, RowSeen, Seen, decode};
use super::super::reference::key_value;
use super::super::run::Work;
use super::super::{EngineError, Entity, EntityField};
use super::{Left, PutBack, Step, UndoPlan, What, place};
use crate::journal::{Act, AuditEntry, IntentStatus, Kept};
use crate::mapping::Direction;
use crate::ports::{AuditFilter, Link, PageParent, Priority};
use crate::reconcile::accept::shows;
use crate::reconcile::{Phase, Reason, Side};
use crate::report::ErrorCode;
use crate::value::{PropertyId, Value};

/// The entries of one record, newest first.
struct OfRecord<'a> {
    entity: Arc<Entity>,
    entries: Vec<&'a AuditEntry>,
}

/// Entries of one run that are looked through for what belongs to one of them.
const MOST_ENTRIES: u32 = 10_000;

impl Work<'_> {
    /// What undoing these entries, newest first, would do now.
    pub(super) async fn plan_undo(&self, entries: &[AuditEntry]) -> Result<UndoPlan, EngineError> {
        let mut plan = UndoPlan {
            entries: entries.to_vec(),
            ..UndoPlan::default()
        };
        let asked = self.what_was_written(entries).await?;
        let mut records: Vec<(Uuid, OfRecord<'_>)> = Vec::new();
        for entry in &asked {
            let Some(entity) = self.engine.entity(&entry.entity) else {
                let message = "its entity is no longer mapped";
                plan.left
                    .push(Left::refused(entry, ErrorCode::NotUndoable, message));
                continue;
            };
            let Some(link) = entry.link else {
                plan.left
                    .push(Left::nothing(entry, "it only marked a page that is no record"));
                continue;
            };
            match records.iter_mut().find(|(known, _)| *known == link) {
                Some((_, record)) => record.entries.push(entry),
                None => {
                    let record = OfRecord {
                        entity: Arc::clone(entity),
                        entries: vec![entry],
                    };
                    records.push((link, record));
                }
            }
        }
        for (link, record) in &records {
            self.plan_record(*link, record, &mut plan).await?;
        }
        if let [only] = entries
            && plan.steps.is_empty()
            && let Some(left) = plan.left.first_mut()
            && left.entry.id == only.id
            && left.code.is_none()
            && left.message != ALREADY
        {
            // One entry that was asked for by name, and cannot be undone.
            left.code = Some(ErrorCode::NotUndoable);
        }
        let order = self.order();
        plan.steps.sort_by_key(|step| {
            let rank = order.rank(&step.entity.name);
            let rank = if step.what.rank() >= What::TrashPage.rank() {
                usize::MAX - rank
            } else {
                rank
            };
            // Rows keep the reverse order in which they went: one may refer to another of its own table.
            let key = match step.what {
                What::InsertRow(_) | What::DeleteRow => None,
                _ => Some(step.link.key.clone()),
            };
            (step.what.rank(), rank, key)
        });
        plan.operations = plan.steps.iter().map(Step::operation).collect();
        Ok(plan)
    }

    /// An entry about a loser stands for the write that overwrote it, which its run has an entry of its own for.
    async fn what_was_written(&self, entries: &[AuditEntry]) -> Result<Vec<AuditEntry>, EngineError> {
        let mut written = Vec::new();
        for entry in entries {
            if !matches!(entry.act, Act::Overruled | Act::Rejected) {
                written.push(entry.clone());
                continue;
            }
            let is_its_write = |other: &AuditEntry| {
                other.act == Act::Updated
                    && other.link == entry.link
                    && other.property == entry.property
                    && other.side == entry.side
            };
            if entries
                .iter()
                .any(|other| other.run == entry.run && is_its_write(other))
            {
                continue;
            }
            let filter = AuditFilter {
                run: Some(entry.run),
                entity: Some(entry.entity.clone()),
                key: entry.key.clone(),
                limit: MOST_ENTRIES,
                ..AuditFilter::default()
            };
            let of_run = self.engine.store.audit(&filter).await?;
            written.push(
                of_run
                    .into_iter()
                    .find(is_its_write)
                    .unwrap_or_else(|| entry.clone()),
            );
        }
        Ok(written)
    }

    async fn plan_record(
        &self,
        id: Uuid,
        record: &OfRecord<'_>,
        plan: &mut UndoPlan,
    ) -> Result<(), EngineError> {
        let entity = &record.entity;
        let mut refuse_all = |code, message: &str| {
            let left = record
                .entries
                .iter()
                .map(|entry| Left::refused(entry, code, message));
            plan.left.extend(left);
        };
        let Some(link) = self.link_of_entries(id, record).await? else {
            refuse_all(ErrorCode::ValueMoved, "the record has begun another life since");
            return Ok(());
        };
        let row = self.read_row(entity, &link.key).await?;
        // Values of the row alone say nothing of the page, unless a box on it is ticked.
        let needs_page = entity.opt_out.is_some()
            || record
                .entries
                .iter()
                .any(|entry| entry.side == Side::Notion || entry.property.is_none());
        let page = match &link.page {
            Some(page) if needs_page => self.engine.read_page(entity, page, Priority::Push).await?,
            Some(_) => PageSeen::Presumed,
            None => PageSeen::None,
        };
        let seen = self.engine.seen(entity, Some(link.clone()), row, page).await?;
        if self.observed(entity, &seen).opted_out {
            refuse_all(
                ErrorCode::NotUndoable,
                "the record is opted out, and left alone both ways",
            );
            return Ok(());
        }
        let mut found = Found {
            entity,
            link: &link,
            seen: &seen,
            is_under_lease: self.fence.epoch >= 0,
            steps: Vec::new(),
            left: Vec::new(),
        };
        let ends = found.existence(record);
        if !ends {
            for side in [Side::Postgres, Side::Notion] {
                found.values(record, side);
            }
        }
        if found.left.iter().any(|left| left.message == ALREADY) && found.steps.is_empty() {
            plan.under_way.push(Candidate {
                entity: Arc::clone(entity),
                key: Some(link.key.clone()),
                page: link.page.clone(),
                planned: None,
                read: None,
                may_delete: false,
                was_listed: false,
            });
        }
        plan.steps.extend(found.steps);
        plan.left.extend(found.left);
        Ok(())
    }

    async fn link_of_entries(&self, id: Uuid, record: &OfRecord<'_>) -> Result<Option<Link>, EngineError> {
        let entity = &record.entity.name;
        let keys: Vec<_> = record
            .entries
            .iter()
            .filter_map(|entry| entry.key.clone())
            .collect();
        let store = &self.engine.store;
        let by_key = store.links_by_key(entity, &keys).await?;
        if let Some(link) = by_key.into_iter().find(|link| link.id == id) {
            return Ok(Some(link));
        }
        let pages: Vec<_> = record
            .entries
            .iter()
            .filter_map(|entry| entry.page.clone())
            .collect();
        let by_page = store.links_by_page(entity, &pages).await?;
        Ok(by_page.into_iter().find(|link| link.id == id))
    }
}

/// What is told where nothing has to be done any more.
const ALREADY: &str = "it is there already";

/// One record while it is planned.
struct Found<'a> {
    entity: &'a Arc<Entity>,
    link: &'a Link,
    seen: &'a Seen,
    /// Whether what could be settled was settled before; else it is settled before anything is put back.
    is_under_lease: bool,
    steps: Vec<Step>,
    left: Vec<Left>,
}

impl Found<'_> {
    fn step(&mut self, what: What, entries: &[&AuditEntry]) {
        self.steps.push(Step {
            entity: Arc::clone(self.entity),
            link: self.link.clone(),
            what,
            entries: entries.iter().map(|entry| (*entry).clone()).collect(),
        });
    }

    fn nothing(&mut self, entries: &[&AuditEntry], message: &str) {
        self.left
            .extend(entries.iter().map(|entry| Left::nothing(entry, message)));
    }

    fn refuse(&mut self, entries: &[&AuditEntry], code: ErrorCode, message: &str) {
        self.left
            .extend(entries.iter().map(|entry| Left::refused(entry, code, message)));
    }

    /// Entries about the record as a whole; answers whether they leave no values to put back one by one.
    fn existence(&mut self, record: &OfRecord<'_>) -> bool {
        let acts = |act: Act| -> Vec<&AuditEntry> {
            let of_act = |entry: &&&AuditEntry| entry.act == act && entry.property.is_none();
            record.entries.iter().filter(of_act).copied().collect()
        };
        let (deleted, restored) = (acts(Act::Deleted), acts(Act::Restored));
        self.nothing(
            &acts(Act::Created),
            "it made something new, and overwrote nothing",
        );
        self.nothing(&acts(Act::Linked), "it only linked a row and a page");
        self.nothing(
            &acts(Act::Updated),
            "it only put the engine's own properties right",
        );
        let lost = |entry: &&&AuditEntry| matches!(entry.act, Act::Overruled | Act::Rejected);
        let lost: Vec<&AuditEntry> = record.entries.iter().filter(lost).copied().collect();
        self.refuse(
            &lost,
            ErrorCode::NotUndoable,
            "nothing was written over the edit: it is on its own side still, or in the log alone",
        );
        match (deleted.is_empty(), restored.is_empty()) {
            (true, true) => false,
            (false, false) => {
                let both: Vec<&AuditEntry> = deleted.into_iter().chain(restored).collect();
                self.nothing(&both, "it was deleted and put back in the same run");
                true
            }
            (false, true) => {
                let old_page = deleted.iter().find(|entry| entry.side == Side::Notion);
                if let Some(page) = old_page
                    && page.cause == Reason::RowLeftScope
                {
                    let message =
                        "the row left the profile's scope: bring it back, and its page comes with it";
                    self.refuse(&deleted, ErrorCode::NotUndoable, message);
                } else {
                    self.put_row_back(&deleted, record);
                }
                true
            }
            (true, false) => {
                self.take_away_again(&restored);
                true
            }
        }
    }

    /// The record is gone: its row comes back, and its page follows.
    fn put_row_back(&mut self, deleted: &[&AuditEntry], record: &OfRecord<'_>) {
        let of_row = deleted.iter().find(|entry| entry.side == Side::Postgres);
        match &self.seen.row {
            RowSeen::Seen(row) if row.in_scope => match of_row {
                Some(entry) if self.link.phase == Phase::Held => self.undelete(entry, deleted),
                _ => self.nothing(deleted, ALREADY),
            },
            RowSeen::Seen(_) => {
                let message = "its key is not free in this profile";
                self.refuse(deleted, ErrorCode::NotUndoable, message);
            }
            RowSeen::Absent => {
                let columns = match of_row.and_then(|entry| entry.old.as_ref()) {
                    Some(Kept::Record(columns)) => Some(columns.clone()),
                    _ => self.last_agreed(deleted),
                };
                let Some(mut columns) = columns else {
                    let message = "the log does not hold what stood in the row";
                    return self.refuse(deleted, ErrorCode::NotUndoable, message);
                };
                for ((column, column_type), text) in self.entity.key.iter().zip(&self.link.key.0) {
                    columns.insert(column.clone(), key_value(column_type, text));
                }
                // Values that the same run had overwritten before it deleted the row.
                let mut entries = deleted.to_vec();
                for entry in updates(record, Side::Postgres) {
                    let column = entry
                        .property
                        .as_ref()
                        .and_then(|property| self.entity.field(property)?.column.clone());
                    if let (Some(column), Some(Kept::Value(old))) = (column, &entry.old) {
                        columns.insert(column, old.clone());
                        entries.push(entry);
                    }
                }
                let columns = columns
                    .into_iter()
                    .filter(|(_, value)| *value != Value::Null)
                    .collect();
                self.step(What::InsertRow(columns), &entries);
            }
        }
    }

    /// What the row held when both sides last agreed, with what people had typed into the page since.
    fn last_agreed(&self, deleted: &[&AuditEntry]) -> Option<BTreeMap<String, Value>> {
        let snapshot = match deleted.iter().find_map(|entry| entry.old.as_ref()) {
            Some(Kept::Record(snapshot)) => snapshot,
            _ => return None,
        };
        let mut columns = BTreeMap::new();
        for field in &self.entity.fields {
            let bases = self
                .link
                .fields
                .get(&field.property)
                .and_then(|state| state.bases.as_ref());
            let (Some(column), Some(bases)) = (&field.column, bases) else {
                continue;
            };
            let typed = snapshot
                .get(field.property.as_str())
                .filter(|typed| field.direction != Direction::ToNotion && **typed != bases.page)
                .and_then(|typed| {
                    decode(field, typed, &columns, Some(&bases.row), &self.seen.references).ok()
                });
            columns.insert(column.clone(), typed.unwrap_or_else(|| bases.row.clone()));
        }
        (!columns.is_empty()).then_some(columns)
    }

    /// The columns of a soft deletion get their old values.
    fn undelete(&mut self, entry: &AuditEntry, entries: &[&AuditEntry]) {
        let columns: Vec<&String> = self.entity.soft_delete.iter().map(|(column, _)| column).collect();
        self.set_row(entry, entries, &columns, true);
    }

    /// Sets columns of a whole row back from what an entry wrote to what stood there.
    fn set_row(
        &mut self,
        entry: &AuditEntry,
        entries: &[&AuditEntry],
        columns: &[&String],
        comes_back: bool,
    ) {
        let (Some(Kept::Record(old)), Some(Kept::Record(new)), Some(now)) =
            (&entry.old, &entry.new, self.seen.columns())
        else {
            let message = "the log does not hold what stood in the row";
            return self.refuse(entries, ErrorCode::NotUndoable, message);
        };
        let mut set = Vec::new();
        for column in columns {
            let (Some(old), Some(now)) = (old.get(*column), now.get(*column)) else {
                let message = format!("the log does not hold what stood in `{column}`");
                return self.refuse(entries, ErrorCode::NotUndoable, &message);
            };
            if old == now {
                continue;
            }
            if new.get(*column) != Some(now) {
                let message = format!("`{column}` was changed since");
                return self.refuse(entries, ErrorCode::ValueMoved, &message);
            }
            set.push(PutBack {
                property: None,
                column: Some((*column).clone()),
                from: now.clone(),
                to: old.clone(),
            });
        }
        if set.is_empty() {
            self.nothing(entries, ALREADY);
        } else {
            self.step(What::SetRow { set, comes_back }, entries);
        }
    }

    /// What an undo, or a run, had put back is taken away again.
    fn take_away_again(&mut self, restored: &[&AuditEntry]) {
        let of_row = restored.iter().find(|entry| entry.side == Side::Postgres);
        match (of_row, self.seen.columns()) {
            (Some(_), None) => self.nothing(restored, "the row is gone already"),
            (Some(entry), Some(now)) => match (&entry.old, &entry.new) {
                (Some(Kept::Record(old)), Some(Kept::Record(new))) => {
                    let columns: Vec<&String> = old
                        .iter()
                        .filter(|(column, value)| new.get(*column) != Some(value))
                        .map(|(column, _)| column)
                        .collect();
                    self.set_row(entry, restored, &columns, false);
                }
                (_, Some(Kept::Record(new))) => {
                    let moved = new.iter().find(|(column, value)| now.get(*column) != Some(value));
                    match moved {
                        Some((column, _)) => {
                            let message = format!("`{column}` was changed since the row came back");
                            self.refuse(restored, ErrorCode::ValueMoved, &message);
                        }
                        None => self.step(What::DeleteRow, restored),
                    }
                }
                _ => {
                    let message = "the log does not hold what was put back";
                    self.refuse(restored, ErrorCode::NotUndoable, message);
                }
            },
            (None, _) => self.trash_again(restored),
        }
    }

    fn trash_again(&mut self, restored: &[&AuditEntry]) {
        let Some(page) = self.seen.page.page() else {
            return self.refuse(restored, ErrorCode::NotUndoable, "the page cannot be read");
        };
        if page.in_trash {
            return self.nothing(restored, "the page is in the trash already");
        }
        let edited = self.entity.fields.iter().find(|field| {
            let base = self
                .link
                .fields
                .get(&field.property)
                .and_then(|state| state.bases.as_ref());
            let now = page.whole(&field.property);
            now.zip(base).is_some_and(|(now, base)| *now != base.page)
        });
        match edited {
            Some(field) => {
                let message = format!("`{}` was edited since the page came back", field.name);
                self.refuse(restored, ErrorCode::ValueMoved, &message);
            }
            None => self.step(What::TrashPage, restored),
        }
    }

    /// Single values of one side, each back to what stood there before the first of its entries.
    fn values(&mut self, record: &OfRecord<'_>, side: Side) {
        let mut by_property: Vec<(&PropertyId, Vec<&AuditEntry>)> = Vec::new();
        for entry in updates(record, side) {
            let Some(property) = &entry.property else { continue };
            match by_property.iter_mut().find(|(known, _)| *known == property) {
                Some((_, entries)) => entries.push(entry),
                None => by_property.push((property, vec![entry])),
            }
        }
        let is_new = record
            .entries
            .iter()
            .any(|entry| entry.side == side && entry.act == Act::Created);
        let (mut puts, mut undone) = (Vec::new(), Vec::new());
        for (property, entries) in by_property {
            let Some(field) = self.entity.field(property) else {
                if *property == self.entity.sync_status {
                    self.nothing(&entries, "it only put the engine's own properties right");
                } else {
                    self.refuse(
                        &entries,
                        ErrorCode::NotUndoable,
                        "the property is no longer mapped",
                    );
                }
                continue;
            };
            if is_new {
                self.nothing(&entries, "it only completed what the same run had made");
                continue;
            }
            match self.value(field, side, &entries) {
                Ok(Some(put)) => {
                    puts.push(put);
                    undone.extend(entries);
                }
                Ok(None) => self.nothing(&entries, ALREADY),
                Err((code, message)) => self.refuse(&entries, code, &message),
            }
        }
        if !puts.is_empty() {
            let what = match side {
                Side::Postgres => What::SetColumns(puts),
                Side::Notion => What::SetProperties(puts),
            };
            self.step(what, &undone);
        }
    }

    /// One value: what is put back, or `None` where it is there already.
    fn value(
        &self,
        field: &EntityField,
        side: Side,
        entries: &[&AuditEntry],
    ) -> Result<Option<PutBack>, (ErrorCode, String)> {
        let refused = |code: ErrorCode, message: String| Err((code, message));
        let (Some(newest), Some(oldest)) = (entries.first(), entries.last()) else {
            return Ok(None);
        };
        let (Some(Kept::Value(to)), Some(Kept::Value(new))) = (&oldest.old, &newest.new) else {
            return refused(
                ErrorCode::NotUndoable,
                "the log does not hold what stood there".to_owned(),
            );
        };
        let back = match (side, field.direction) {
            (Side::Notion, Direction::ToNotion) => Some("Notion only: correct the row"),
            (Side::Postgres, Direction::ToPostgres) => Some("Postgres only: correct the page"),
            _ => None,
        };
        if let Some(way) = back {
            return refused(ErrorCode::NotUndoable, format!("the field goes to {way} instead"));
        }
        let is_open = self
            .seen
            .intents
            .iter()
            .any(|intent| intent.status == IntentStatus::Pending);
        if side == Side::Notion && is_open && self.is_under_lease {
            let message = "the outcome of an earlier write to the page is not known yet";
            return refused(ErrorCode::OutcomeUnknown, message.to_owned());
        }
        let now = match side {
            Side::Postgres => match self.seen.columns() {
                None => return refused(ErrorCode::NotUndoable, "the row is not there".to_owned()),
                Some(columns) => field
                    .codec
                    .row_value(columns)
                    .map_err(|error| (ErrorCode::from(error.fault), error.message))?,
            },
            Side::Notion => match &self.seen.page {
                PageSeen::Seen(page) if !page.in_trash && page.parent == PageParent::Entity => {
                    let Some(now) = page.whole(&field.property) else {
                        let message = "the property cannot be read".to_owned();
                        return refused(ErrorCode::PropertyDrift, message);
                    };
                    now.clone()
                }
                _ => return refused(ErrorCode::NotUndoable, "the page is not there".to_owned()),
            },
        };
        if shows(&now, to) {
            return Ok(None);
        }
        // Over an empty value nothing is lost.
        if !shows(&now, new) && !now.is_empty() {
            let message = format!("`{}` of {} was changed since", field.name, place(side));
            return refused(ErrorCode::ValueMoved, message);
        }
        Ok(Some(PutBack {
            property: Some(field.property.clone()),
            column: field.column.clone(),
            from: now,
            to: to.clone(),
        }))
    }
}

/// The entries about single values of a side, newest first.
fn updates<'a>(record: &OfRecord<'a>, side: Side) -> impl Iterator<Item = &'a AuditEntry> {
    record
        .entries
        .iter()
        .filter(move |entry| entry.act == Act::Updated && entry.side == side && entry.property.is_some())
        .copied()
        .collect::<Vec<_>>()
        .into_iter()
}
