//! Whether what a page was read to hold is news, the past, or our own doing.
//!
//! Rules R2 and R3 of the sync semantics, 5.0, in that order: a read may be behind our own writes, and our own
//! writes may land late. Without the first a stale value would be pulled over a new one; without the second
//! our own value would look like a person's edit. (R1, one read for all fields, is how the engine observes;
//! R4, settling a pending request, is [`settles`].)

use super::{Bases, FieldFacts, Observation, Sent, Value};

/// A field after acceptance: what counts as its baselines, and which side changed since.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// The baselines to compare with, moved by our own late write where there was one.
    pub bases: Option<Bases>,
    /// Whether the row changed, or has to be pushed again.
    pub row_changed: bool,
    /// Whether the page changed.
    pub page_changed: bool,
    /// The read may show the past: this field waits.
    pub stale: bool,
    /// Our own request was seen to have landed late.
    pub late_write: bool,
    /// The row's value must be pushed though it did not change.
    pub force_push: bool,
}

/// Accepts, or not, what one field was read to hold.
pub fn accept(field: &FieldFacts, observation: &Observation) -> Accepted {
    let Some(mut bases) = field.state.bases.clone() else {
        return Accepted {
            bases: None,
            row_changed: false,
            page_changed: false,
            stale: false,
            late_write: false,
            force_push: false,
        };
    };
    let mut force_push = field.state.force_push;
    let mut late_write = false;
    let mut page_changed = false;
    let mut stale = false;
    if let Ok(page) = &field.page {
        page_changed = *page != bases.page;
        // What a person had put back was sent by us, and the page held it before; it is an edit all the same.
        let is_put_back = field
            .state
            .put_back
            .as_ref()
            .is_some_and(|sent| shows(page, sent));
        stale = page_changed && !is_put_back && may_be_stale(page, field, observation);
        if page_changed && !stale && !is_put_back && is_own_late_write(page, field, observation) {
            bases.page = page.clone();
            page_changed = false;
            late_write = true;
            force_push = true;
        }
    }
    if page_changed && !stale {
        force_push = false;
    }
    let row_changed = field.row.as_ref().is_ok_and(|row| *row != bases.row) || force_push;
    Accepted {
        bases: Some(bases),
        row_changed,
        page_changed,
        stale,
        late_write,
        force_push,
    }
}

/// R2: a page older than our own last write is the past; in the minute of it, and for as long as an answer may
/// be behind, so is every value that the page is known to have held before.
fn may_be_stale(page: &Value, field: &FieldFacts, observation: &Observation) -> bool {
    let (Some(facts), Some(link)) = (&observation.page_facts, &observation.link) else {
        return false;
    };
    // Where Notion is trusted there is no past to be shown.
    let is_trusted = observation.read_lag.is_zero();
    if !is_trusted && link.page_mark.is_some_and(|mark| facts.edited_at < mark) {
        return true;
    }
    field
        .state
        .past
        .iter()
        .any(|past| past.value == *page && observation.now - past.until < observation.read_lag)
}

/// R3: a value that we sent, that is not the baseline, and that nobody but us can have put there now.
fn is_own_late_write(page: &Value, field: &FieldFacts, observation: &Observation) -> bool {
    let by_us = observation.page_facts.is_some_and(|facts| facts.edited_by_us);
    field
        .sent
        .iter()
        .any(|sent| sent.value == *page && !sent.pending && (sent.abandoned || by_us))
}

/// R4: whether a read shows that a pending request was applied: every field it sent holds what was sent.
pub fn settles<'a>(mut sent: impl Iterator<Item = (&'a Sent, Option<&'a Value>)>) -> bool {
    sent.all(|(sent, read)| read.is_some_and(|read| shows(read, &sent.value)))
}

/// Whether a page that was sent `sent` would read as `read`: the same value, with the ids that Notion gave.
pub fn shows(read: &Value, sent: &Value) -> bool {
    match (read, sent) {
        (Value::Choice(read), Value::Choice(sent)) => read.name == sent.name,
        (Value::Choices(read), Value::Choices(sent)) => read
            .iter()
            .map(|choice| &choice.name)
            .eq(sent.iter().map(|choice| &choice.name)),
        (Value::People(read), Value::People(sent)) => read
            .iter()
            .map(|person| &person.id)
            .eq(sent.iter().map(|person| &person.id)),
        _ => read == sent,
    }
}
