//! Puts what was read of one record together as an observation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use time::OffsetDateTime;

use super::reference::References;
use super::{Engine, EngineError, Entity, EntityField, Request, Tuning};
use crate::journal::{Conflict, ConflictStatus, Intent, IntentKind, IntentStatus};
use crate::mapping::{Capture, Direction};
use crate::ports::{Change, Link, Marks, Page, PageParent, PagesError, Priority, PropertyRead, Row};
use crate::reconcile::accept::shows;
use crate::reconcile::last_write::{Clocks, Interval};
use crate::reconcile::{
    Fault, FieldError, FieldFacts, FieldState, Label, LinkFacts, Observation, PageFacts, PageState, Phase,
    RowState, Sent, Side, Sides,
};
use crate::value::{PageId, PropertyId, Value};

/// Looks at a page and what it referred to, before it is left open whether a target was taken out: targets come and go.
const MOST_LOOKS: usize = 4;

/// What was seen of a row.
#[derive(Clone, Debug)]
pub(super) enum RowSeen {
    /// A read by key found none.
    Absent,
    /// A read found it, in or out of scope.
    Seen(Row),
}

impl RowSeen {
    /// What that makes of the row.
    pub(super) fn state(&self) -> RowState {
        match self {
            Self::Absent => RowState::Absent,
            Self::Seen(row) if row.in_scope => RowState::Present,
            Self::Seen(_) => RowState::OutOfScope,
        }
    }
}

/// What was seen of a page.
#[derive(Clone, Debug)]
pub(super) enum PageSeen {
    /// The link names none.
    None,
    /// Nothing said that it changed: it is taken to hold what it held. Good for a plan, never for a write.
    Presumed,
    /// 403 or 404.
    Inaccessible,
    /// One answer showed it.
    Seen(Page),
}

impl PageSeen {
    /// The answer, where there was one.
    pub(super) fn page(&self) -> Option<&Page> {
        match self {
            Self::Seen(page) => Some(page),
            _ => None,
        }
    }
}

/// Everything read about one record.
pub(super) struct Seen {
    /// When the first of it was asked for: what changed later may be missing in it.
    pub(super) at: OffsetDateTime,
    pub(super) link: Option<Link>,
    pub(super) row: RowSeen,
    pub(super) page: PageSeen,
    pub(super) intents: Vec<Intent>,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) references: References,
    pub(super) label: Label,
    pub(super) ripe: bool,
    /// Whether this run's listing showed the page.
    pub(super) was_listed: bool,
}

impl Seen {
    /// The row's columns, in scope.
    pub(super) fn columns(&self) -> Option<&BTreeMap<String, Value>> {
        match &self.row {
            RowSeen::Seen(row) if row.in_scope => Some(&row.columns),
            _ => None,
        }
    }

    fn page_state(&self) -> PageState {
        match &self.page {
            PageSeen::None => PageState::None,
            // A listing and a direct read that contradict each other: neither tells for certain.
            PageSeen::Inaccessible if self.was_listed => PageState::Unknown,
            PageSeen::Inaccessible => PageState::Inaccessible,
            PageSeen::Presumed => match self.link.as_ref().map(|link| link.phase) {
                Some(Phase::Held | Phase::LeftScope) => PageState::Trashed,
                Some(Phase::Detached) => PageState::Moved,
                Some(Phase::Tombstone) => PageState::None,
                _ => PageState::Live,
            },
            PageSeen::Seen(page) if page.in_trash => PageState::Trashed,
            PageSeen::Seen(page) if page.parent == PageParent::Elsewhere => PageState::Moved,
            PageSeen::Seen(_) => PageState::Live,
        }
    }
}

/// What a field holds on a page; an empty relation keeps what is only out of sight.
pub(super) fn page_value(
    field: &EntityField,
    page: &Page,
    state: Option<&FieldState>,
    references: &References,
) -> Result<Value, FieldError> {
    let value = match page.properties.get(&field.property) {
        Some(PropertyRead::Whole(value)) => value.clone(),
        Some(PropertyRead::Truncated) => {
            return Err(FieldError {
                fault: Fault::Truncated,
                message: "only a part of the value was answered".to_owned(),
            });
        }
        Some(PropertyRead::Unreadable(message)) => {
            return Err(FieldError {
                fault: Fault::Invalid,
                message: message.clone(),
            });
        }
        None => {
            return Err(FieldError {
                fault: Fault::PropertyDrift,
                message: "the property is not on the page".to_owned(),
            });
        }
    };
    match (value, state.and_then(|state| state.bases.as_ref())) {
        (Value::Pages(mut now), Some(bases)) => {
            if let Value::Pages(before) = &bases.page {
                now.extend(
                    before
                        .iter()
                        .filter(|page| references.away.contains(page))
                        .cloned(),
                );
            }
            Ok(Value::Pages(now))
        }
        (value, _) => Ok(value),
    }
}

/// What a page once held or was sent, as it would be read now beside `page`: of a target that is away, nothing tells whether
/// it is there.
fn beside(value: &Value, page: &Value, references: &References) -> Value {
    match (value, page) {
        (Value::Pages(value), Value::Pages(page)) if !references.away.is_empty() => {
            let seen = value - &references.away;
            Value::Pages(&seen | &(page & &references.away))
        }
        _ => value.clone(),
    }
}

/// The row's value as the property would hold it.
pub(super) fn encode(
    field: &EntityField,
    row: &Value,
    columns: &BTreeMap<String, Value>,
    page: Option<&Value>,
    references: &References,
) -> Result<Value, FieldError> {
    if field.reference.is_some() {
        references.encode(field, row)
    } else {
        field.codec.encode(row, columns, page)
    }
}

/// The page's value as the column would hold it.
pub(super) fn decode(
    field: &EntityField,
    page: &Value,
    columns: &BTreeMap<String, Value>,
    row: Option<&Value>,
    references: &References,
) -> Result<Value, FieldError> {
    if field.reference.is_some() {
        references.decode(field, page)
    } else {
        field.codec.decode(page, columns, row)
    }
}

/// What a run knows beside the record: for times, and for what was asked.
pub(super) struct Setting<'a> {
    pub(super) now: OffsetDateTime,
    pub(super) tuning: &'a Tuning,
    pub(super) request: &'a Request,
    pub(super) marks: &'a Marks,
    pub(super) capture: &'a Capture,
    /// Unacknowledged notes of the change log about the record.
    pub(super) notes: &'a [Change],
    pub(super) offset: Option<(time::Duration, Duration)>,
    pub(super) clocks_stepped_until: Option<OffsetDateTime>,
    pub(super) bot: &'a crate::value::UserId,
}

impl Setting<'_> {
    /// How far Notion's clock is ahead, as far as is known.
    fn offset(&self) -> time::Duration {
        self.offset.map_or(time::Duration::ZERO, |(offset, _)| offset)
    }
}

/// Puts an observation together; pure.
pub(super) fn observation(entity: &Entity, seen: &Seen, setting: &Setting<'_>) -> Observation {
    let no_columns = BTreeMap::new();
    let columns = seen.columns().unwrap_or(&no_columns);
    let page = seen.page.page();
    let opted_out = entity
        .opt_out
        .as_ref()
        .is_some_and(|property| page.is_some_and(|page| page.whole(property) == Some(&Value::Bool(true))));
    let fields = entity
        .fields
        .iter()
        .filter(|field| {
            setting.request.properties.is_empty() || setting.request.properties.contains(&field.name)
        })
        .map(|field| field_facts(field, seen, columns, setting))
        .collect();
    // What Notion's clock told before it was put back is later than what it tells now.
    let is_since = |at: OffsetDateTime| setting.clocks_stepped_until.is_none_or(|until| at > until);
    let link = seen.link.as_ref().map(|link| LinkFacts {
        phase: link.phase,
        page_mark: link
            .page_mark
            .filter(|_| link.page_written_at.is_none_or(is_since)),
        // An answer that is behind by no more than that shows everything of what was read before.
        page_edited_at: link.page_edited_at.filter(|_| {
            let read_at = link.settled_at;
            read_at.is_some_and(|at| is_since(at) && setting.now - at < setting.tuning.read_lag)
        }),
        was_trashed: link.note.as_deref() == Some("page_trashed"),
        missed_for_a_day: missed_for_a_day(link, setting.marks),
        chosen: seen
            .conflicts
            .iter()
            .filter(|conflict| conflict.property.is_none())
            .find_map(choice),
    });
    // A later look at the table does not make the row's end any later: what counts is when it was last seen there.
    let was_there_at = seen
        .conflicts
        .iter()
        .all(|conflict| conflict.property.is_some())
        .then(|| seen.link.as_ref().and_then(|link| link.settled_at))
        .flatten();
    let deletion = page.map(|_| Sides {
        postgres: Interval {
            after: was_there_at,
            until: Some(setting.now),
            estimate: None,
        },
        notion: page_interval(seen, &FieldState::default(), None, setting),
    });
    Observation {
        now: setting.now,
        read_lag: setting.tuning.read_lag,
        policy: entity.policy,
        link,
        row: seen.row.state(),
        page: seen.page_state(),
        page_facts: page.map(|page| PageFacts {
            edited_at: page.last_edited_time,
            edited_after: page.last_edited_time - setting.offset(),
            edited_by_us: &page.last_edited_by == setting.bot,
        }),
        label: seen.label,
        page_is_ripe: seen.ripe,
        opted_out,
        deletion,
        fields,
    }
}

/// E11: whether a complete listing a day after the first miss did not show the page either.
pub(super) fn missed_for_a_day(link: &Link, marks: &Marks) -> bool {
    link.missed
        .zip(marks.pages_listed_at)
        .is_some_and(|((_, first), listed)| listed - first >= time::Duration::DAY)
}

fn choice(conflict: &Conflict) -> Option<Side> {
    match conflict.status {
        ConflictStatus::Chosen(side) => Some(side),
        _ => None,
    }
}

fn field_facts(
    field: &EntityField,
    seen: &Seen,
    columns: &BTreeMap<String, Value>,
    setting: &Setting<'_>,
) -> FieldFacts {
    let mut state = seen
        .link
        .as_ref()
        .and_then(|link| link.fields.get(&field.property))
        .cloned()
        .unwrap_or_default();
    let unread = |fault| FieldError {
        fault,
        message: "the value was not read".to_owned(),
    };
    let row = match &seen.row {
        RowSeen::Seen(row) if row.in_scope => field.codec.row_value(columns),
        // No row: nothing of it changed as far as the page is concerned.
        _ => state
            .bases
            .as_ref()
            .map(|bases| bases.row.clone())
            .ok_or_else(|| unread(Fault::ColumnDrift)),
    };
    let page = match &seen.page {
        PageSeen::Seen(page) => page_value(field, page, Some(&state), &seen.references),
        _ => state
            .bases
            .as_ref()
            .map(|bases| bases.page.clone())
            .ok_or_else(|| unread(Fault::Truncated)),
    };
    let as_read = |value: &Value| match &page {
        Ok(page) => beside(value, page, &seen.references),
        Err(_) => value.clone(),
    };
    let known = state.past.iter_mut().map(|past| &mut past.value);
    for value in known.chain(&mut state.put_back) {
        *value = as_read(value);
    }
    let to_push = row
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|row| encode(field, row, columns, page.as_ref().ok(), &seen.references));
    let to_pull = page
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|page| decode(field, page, columns, row.as_ref().ok(), &seen.references));
    let agree = match (&to_push, &page) {
        // What Notion computes cannot be encoded: there the column is compared.
        _ if field.direction == Direction::ToPostgres => to_pull.is_ok() && to_pull == row,
        (Ok(to_push), Ok(page)) => shows(page, &field.codec.canonical_page(to_push.clone())),
        _ => false,
    };
    let sent = seen
        .intents
        .iter()
        .flat_map(|intent| intent.fields.iter().map(move |sent| (intent, sent)))
        .filter(|(_, sent)| sent.property == field.property)
        .map(|(intent, sent)| Sent {
            value: as_read(&sent.sent),
            from_row: sent.from_row.clone(),
            // A create makes a page and lands on none, however late.
            abandoned: intent.status == IntentStatus::Abandoned && intent.kind != IntentKind::CreatePage,
            answered: intent.status == IntentStatus::Answered || intent.kind == IntentKind::CreatePage,
            pending: intent.status == IntentStatus::Pending,
        })
        .collect();
    let chosen = seen
        .conflicts
        .iter()
        .filter(|conflict| {
            // A choice holds for the values it was made on.
            conflict.property.as_ref() == Some(&field.property)
                && conflict.row.as_ref() == row.as_ref().ok()
                && conflict.page_value.as_ref() == page.as_ref().ok()
        })
        .find_map(choice);
    let open = seen
        .conflicts
        .iter()
        .find(|conflict| conflict.property.as_ref() == Some(&field.property));
    let unchanged = Sides {
        postgres: open.map(|open| open.row.as_ref() == row.as_ref().ok()),
        notion: open.map(|open| open.page_value.as_ref() == page.as_ref().ok()),
    };
    let page_in_conflict = open.and_then(|open| open.page_value.as_ref()).map(as_read);
    let settled_at = seen.link.as_ref().and_then(|link| link.settled_at);
    // A record that was put off may have differed already when the table was last looked at.
    let captured_at = match &seen.link {
        Some(link) if link.look_again_at.is_some() => None,
        _ => setting.marks.rows_captured_at,
    };
    let settled_at = settled_at.max(captured_at);
    let (after, until) = bounds(
        &state,
        unchanged.postgres,
        state.changed_at.postgres,
        settled_at,
        setting.now,
    );
    let noted = noted_at(field, setting);
    let changed = Sides {
        // Section 3, best evidence first: the trigger's own time, then the row's, then what was seen when.
        postgres: Interval {
            after: noted.or(after),
            until: Some(until),
            estimate: noted.or_else(|| updated_at(setting, columns)),
        },
        notion: page_interval(seen, &state, unchanged.notion, setting),
    };
    FieldFacts {
        property: field.property.clone(),
        direction: field.direction,
        policy: field.conflict,
        group: None,
        row_is_empty: row.as_ref().is_ok_and(Value::is_empty),
        // An unticked box is what every page starts with, so it says nothing.
        page_is_empty: page
            .as_ref()
            .is_ok_and(|page| page.is_empty() || *page == Value::Bool(false)),
        state,
        row,
        page,
        agree,
        to_push,
        to_pull,
        sent,
        changed,
        clocks: setting.offset.map(|(_, error)| Clocks {
            error,
            stepped_until: setting.clocks_stepped_until,
        }),
        chosen,
        page_in_conflict,
    }
}

/// When a statement last changed the field's column, as the change log has it.
fn noted_at(field: &EntityField, setting: &Setting<'_>) -> Option<OffsetDateTime> {
    let column = field.column.as_ref()?;
    setting
        .notes
        .iter()
        .filter(|note| !note.deleted)
        .filter(|note| {
            note.columns
                .as_ref()
                .is_none_or(|columns| columns.contains(column))
        })
        .map(|note| note.at.min(setting.now))
        .max()
}

/// When the application says that the row was last updated, in the column that `capture` names.
///
/// It writes the time itself and may forget to, so this is no bound, only a guess.
fn updated_at(setting: &Setting<'_>, columns: &BTreeMap<String, Value>) -> Option<OffsetDateTime> {
    let Capture::UpdatedAt { column } = setting.capture else {
        return None;
    };
    let instant = match columns.get(column)? {
        Value::Instant(instant) => *instant,
        // As for the capture itself, a time without a zone is UTC.
        Value::DateTime(local) => local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(),
        Value::Text(text) => text.parse().ok()?,
        _ => return None,
    };
    OffsetDateTime::from_unix_timestamp(instant.as_second())
        .ok()
        .map(|at| at.min(setting.now))
}

/// Between which instants a side came to hold its value: after `settled_at`, when it held another one, and not after
/// `changed_at`, when this one was first seen. `unchanged` says whether it is still the one of the open conflict.
fn bounds(
    state: &FieldState,
    unchanged: Option<bool>,
    changed_at: Option<OffsetDateTime>,
    settled_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> (Option<OffsetDateTime>, OffsetDateTime) {
    match (unchanged, changed_at) {
        // Seen already when the conflict was opened: the look at it proves nothing about what was before.
        (Some(true), Some(first_seen)) => (None, first_seen),
        // Seen and put off: it may have changed again since, or already been what it is now.
        (None, Some(_)) => (None, now),
        (Some(false), _) if state.put_off => (None, now),
        _ => (settled_at, now),
    }
}

/// When the page was changed: after it was last seen unchanged, not after the minute of its last edit.
fn page_interval(
    seen: &Seen,
    state: &FieldState,
    unchanged: Option<bool>,
    setting: &Setting<'_>,
) -> Interval {
    let edited = seen
        .page
        .page()
        .map(|page| page.last_edited_time - setting.offset());
    let by_us = seen
        .page
        .page()
        .is_some_and(|page| &page.last_edited_by == setting.bot);
    // What a read shows was so at an instant within the lag before it.
    let settled_at = seen.link.as_ref().and_then(|link| link.settled_at);
    let shown_at = settled_at.map(|at| at - setting.tuning.read_lag);
    let (after, first_seen) = bounds(state, unchanged, state.changed_at.notion, shown_at, setting.now);
    // The minute-floored time bounds the whole page: the field changed no later than the end of that minute.
    let until = edited.map_or(first_seen, |edited| {
        (edited + time::Duration::MINUTE).min(first_seen)
    });
    Interval {
        after,
        until: Some(until),
        estimate: edited
            .filter(|_| !by_us)
            .map(|edited| (edited + time::Duration::seconds(30)).min(setting.now)),
    }
}

/// The targets that a relation is known to have had, or was sent.
fn held_before<'a>(seen: &'a Seen, property: &'a PropertyId) -> impl Iterator<Item = &'a BTreeSet<PageId>> {
    let state = seen.link.as_ref().and_then(|link| link.fields.get(property));
    let past = state.into_iter().flat_map(|state| &state.past);
    let sent = seen.intents.iter().flat_map(|intent| &intent.fields);
    let open = seen.conflicts.iter();
    past.map(|past| &past.value)
        .chain(
            sent.filter(move |sent| sent.property == *property)
                .map(|sent| &sent.sent),
        )
        .chain(
            open.filter(move |open| open.property.as_ref() == Some(property))
                .filter_map(|open| open.page_value.as_ref()),
        )
        .filter_map(|value| match value {
            Value::Pages(targets) => Some(targets),
            _ => None,
        })
}

impl Engine {
    /// Reads one page directly, with the rest of what came truncated.
    pub(super) async fn read_page(
        &self,
        entity: &Entity,
        page: &PageId,
        priority: Priority,
    ) -> Result<PageSeen, EngineError> {
        let mut read = match self.pages.read(&entity.name, page, priority).await {
            Ok(read) => read,
            Err(PagesError::Inaccessible) => return Ok(PageSeen::Inaccessible),
            Err(error) => return Err(error.into()),
        };
        let truncated: Vec<_> = entity
            .fields
            .iter()
            .map(|field| &field.property)
            .filter(|property| read.properties.get(property) == Some(&PropertyRead::Truncated))
            .cloned()
            .collect();
        for property in truncated {
            let value = self
                .pages
                .whole_property(&entity.name, page, &property, priority)
                .await?;
            read.properties.insert(property, PropertyRead::Whole(value));
        }
        Ok(PageSeen::Seen(entity.canonical(read)))
    }

    /// Reads what the store and the relations say about a record whose sides were read.
    pub(super) async fn seen(
        &self,
        entity: &Entity,
        link: Option<Link>,
        row: RowSeen,
        page: PageSeen,
    ) -> Result<Seen, EngineError> {
        let at = self.clock.now();
        let (intents, conflicts) = match &link {
            Some(link) => {
                let ids = [link.id];
                (self.store.intents(&ids).await?, self.store.conflicts(&ids).await?)
            }
            None => (Vec::new(), Vec::new()),
        };
        let mut seen = Seen {
            at,
            link,
            row,
            page,
            intents,
            conflicts,
            references: References::default(),
            label: Label::Empty,
            ripe: false,
            was_listed: false,
        };
        if entity.fields.iter().any(|field| field.reference.is_some()) {
            // One that went to the trash, or came back, between the read of the page and its own looks taken out: it was only
            // where it was there before the page was read, and is after.
            let mut before = BTreeSet::new();
            for look in 1.. {
                let mut live = BTreeSet::new();
                seen.references = self.record_references(entity, &seen, &mut live).await?;
                let page = seen.page.page().map(|page| page.id.clone());
                let Some(page) = page.filter(|_| !live.is_subset(&before)) else {
                    break;
                };
                if look == MOST_LOOKS {
                    seen.references.away.extend(live);
                    break;
                }
                seen.page = self.read_page(entity, &page, Priority::Pull).await?;
                before = live;
            }
        }
        Ok(seen)
    }

    /// What the relations say. `live` are targets that the page lacks and that were found to be there.
    async fn record_references(
        &self,
        entity: &Entity,
        seen: &Seen,
        live: &mut BTreeSet<PageId>,
    ) -> Result<References, EngineError> {
        let rows: Vec<&BTreeMap<String, Value>> = seen.columns().into_iter().collect();
        let mut pages: Vec<&Value> = Vec::new();
        let mut away = BTreeSet::new();
        for field in entity.fields.iter().filter(|field| field.reference.is_some()) {
            let read = seen.page.page().and_then(|page| page.whole(&field.property));
            let Some(now @ Value::Pages(ids)) = read else {
                continue;
            };
            pages.push(now);
            let state = seen
                .link
                .as_ref()
                .and_then(|link| link.fields.get(&field.property));
            let Some(before) = state.and_then(|state| state.bases.as_ref()) else {
                continue;
            };
            pages.push(&before.page);
            if let (Value::Pages(before), Some(reference)) = (&before.page, &field.reference) {
                // A target in the trash vanishes from relation values: only a look at it tells a removal. Nor does the page
                // show all of what was sent to it late, or of what an old answer held.
                let mut missing: BTreeSet<&PageId> = before.difference(ids).collect();
                if before != ids {
                    let held = held_before(seen, &field.property);
                    missing.extend(
                        held.filter(|held| ids.is_subset(held))
                            .flat_map(|held| held.difference(ids)),
                    );
                }
                for target in missing {
                    let name = &reference.target;
                    if self.entity(name).is_none() {
                        continue;
                    }
                    match self.pages.read(name, target, Priority::Pull).await {
                        Ok(page) if !page.in_trash && page.parent == PageParent::Entity => {
                            live.insert(target.clone());
                        }
                        Ok(_) | Err(PagesError::Inaccessible) => {
                            away.insert(target.clone());
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        let mut references = self.references(entity, &rows, &pages).await?;
        references.away = away;
        Ok(references)
    }
}
