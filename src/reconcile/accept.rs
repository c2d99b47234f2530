//! Whether what a page was read to hold is news, the past, or our own doing.
//!
//! Rules R2 and R3 of the sync semantics, 5.0, in that order: a read may be behind our own writes, and our own
//! writes may land late. Without the first a stale value would be pulled over a new one; without the second
//! our own value would look like a person's edit. (R1, one read for all fields, is how the engine observes;
//! R4, settling a pending request, is [`settles`].)

use time::OffsetDateTime;

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
    /// The read may be behind what is known, though it shows nothing that is known to be past.
    pub doubtful: bool,
}

/// Accepts, or not, what one field was read to hold.
pub fn accept(field: &FieldFacts, observation: &Observation) -> Accepted {
    let is_older = is_older(observation);
    let bases = field
        .state
        .bases
        .clone()
        .or_else(|| sent_unseen(field, observation));
    let Some(mut bases) = bases else {
        return Accepted {
            bases: None,
            row_changed: false,
            page_changed: false,
            stale: is_older,
            late_write: false,
            force_push: false,
            doubtful: false,
        };
    };
    let mut force_push = field.state.force_push;
    let mut late_write = false;
    let mut page_changed = false;
    let mut stale = false;
    let mut doubtful = may_be_behind(field, observation);
    if let Ok(page) = &field.page {
        page_changed = *page != bases.page;
        // What a person had put back was sent by us, and the page held it before; it is an edit all the same.
        let is_put_back = field
            .state
            .put_back
            .as_ref()
            .is_some_and(|sent| shows(page, sent));
        stale = is_older || (!is_put_back && may_be_stale(page, page_changed, field, observation));
        let is_late = page_changed && !is_put_back && own_late_write(page, field, observation).is_some();
        if page_changed && !stale && was_there_all_along(page, is_late, field, observation) {
            // The past was taken for an edit. The row follows the page, unless it was edited since: nothing else was.
            doubtful = false;
            if field.row.as_ref().is_ok_and(|row| *row != bases.row) {
                bases.page = page.clone();
                page_changed = false;
            }
        } else if page_changed && !stale && is_late {
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
        doubtful,
    }
}

/// R2: a page older than our own last write, or than an earlier read, is the past, whatever it shows.
fn is_older(observation: &Observation) -> bool {
    let (Some(facts), Some(link)) = (&observation.page_facts, &observation.link) else {
        return false;
    };
    // Where Notion is trusted there is no past to be shown.
    let is_trusted = observation.read_lag.is_zero();
    let known = link.page_mark.max(link.page_edited_at);
    !is_trusted && known.is_some_and(|known| facts.edited_at < known)
}

/// R2: a read of the newest minute known may be behind what is known of it, for as long as an answer may be: then it may
/// show a value of the past that no earlier read had shown.
fn may_be_behind(field: &FieldFacts, observation: &Observation) -> bool {
    let (Some(facts), Some(link)) = (&observation.page_facts, &observation.link) else {
        return false;
    };
    let known = link
        .page_edited_at
        .map(|at| link.page_mark.map_or(at, |mark| at.max(mark)));
    // A read is held against the instant that its field was put off, or taken in doubt: later looks prolong no doubt.
    let doubted = field.state.past.iter().filter(|past| past.doubted);
    let since = field
        .state
        .changed_at
        .notion
        .or_else(|| doubted.map(|past| past.until).max());
    // Minutes from before a step of a clock are no minutes of the one after it.
    let is_newest = known == Some(facts.edited_at)
        || stepped_until(field).is_some_and(|until| lags(until, field, observation));
    is_newest && since.is_none_or(|at| lags(at, field, observation))
}

/// The instant up to which a time may be from before a clock was put on or back.
fn stepped_until(field: &FieldFacts) -> Option<OffsetDateTime> {
    field.clocks.and_then(|clocks| clocks.stepped_until)
}

/// Whether an answer may still be behind that instant. One from before a step of a clock may be as late as the step.
fn lags(since: OffsetDateTime, field: &FieldFacts, observation: &Observation) -> bool {
    let since = stepped_until(field).map_or(since, |until| since.max(until));
    observation.now - since < observation.read_lag
}

/// R2: in the minute of the last write, and for as long as an answer may be behind, so is every value that the page is
/// known to have held before: also the agreed one, where the page was seen in conflict with it since.
fn may_be_stale(page: &Value, page_changed: bool, field: &FieldFacts, observation: &Observation) -> bool {
    let lags = |since| lags(since, field, observation);
    if !page_changed {
        let seen_at = field.state.changed_at.notion;
        let moved_on = field.page_in_conflict.as_ref().is_some_and(|seen| seen != page);
        return moved_on && seen_at.is_some_and(lags);
    }
    field
        .state
        .past
        .iter()
        .any(|past| past.value == *page && lags(past.until))
}

/// Whether the page holds what was taken for the past, and was there all along: the read that showed something else may have
/// been the old one. What a person edited since that read, or a late request of ours, holds what it does by that; another
/// edit of ours says nothing, and hides any before it.
fn was_there_all_along(page: &Value, is_late: bool, field: &FieldFacts, observation: &Observation) -> bool {
    let was_edited_after = |at: OffsetDateTime| {
        let known = observation.page_facts.zip(field.clocks);
        known.is_some_and(|(facts, clocks)| {
            (is_late || !facts.edited_by_us)
                && clocks.stepped_until.is_none_or(|until| at > until)
                && facts.edited_after > at + clocks.error
        })
    };
    let mut past = field.state.past.iter();
    past.any(|past| past.doubted && past.value == *page && !was_edited_after(past.until))
}

/// R3: a value that we sent, that is not the baseline, and that nobody but us can have put there now.
///
/// An abandoned request may land at any time. One that was seen to apply may land once more; then the page's last edit
/// is ours. One that was answered does not land again.
fn own_late_write<'a>(page: &Value, field: &'a FieldFacts, observation: &Observation) -> Option<&'a Sent> {
    let by_us = observation.page_facts.is_some_and(|facts| facts.edited_by_us);
    let may_be_ours = |sent: &Sent| sent.abandoned || (by_us && !sent.answered);
    field
        .sent
        .iter()
        .find(|sent| sent.value == *page && !sent.pending && may_be_ours(sent))
}

/// R3, of a field never agreed on: what we sent stands on the page, and the answer was lost. It was agreed on then.
fn sent_unseen(field: &FieldFacts, observation: &Observation) -> Option<Bases> {
    let page = field.page.as_ref().ok().filter(|_| !field.agree)?;
    let sent = own_late_write(page, field, observation)?;
    Some(Bases {
        row: sent.from_row.clone()?,
        page: page.clone(),
    })
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
