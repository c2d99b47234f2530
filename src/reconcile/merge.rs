//! One field, two baselines, two values: agree, take one side, or conflict.
//!
//! The field table F1–F9 of the sync semantics, section 2. A side is only ever compared with its own baseline;
//! whether the two sides say the same is a third fact, made by the codec. For a field that travels both ways,
//! swapping the sides swaps the answer, except where a policy names a side.

use super::accept::Accepted;
use super::policy::{self, Evidence};
use super::{Bases, Fault, FieldError, FieldFacts, Observation, Reason, Side, Value};
use crate::mapping::{Direction, Initial};
use crate::value::PropertyId;

/// What to do about one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDecision {
    /// The property.
    pub property: PropertyId,
    /// What to do.
    pub action: FieldAction,
    /// Why.
    pub reason: Reason,
    /// The side whose edit is overwritten, and so kept in the audit log.
    pub overruled: Option<Side>,
    /// The times behind it, where they were asked.
    pub evidence: Option<Evidence>,
    /// The baselines as acceptance left them: with our own late write recognised.
    pub bases: Option<Bases>,
    /// Whether a push is still owed after this decision was carried out as far as it goes.
    pub force_push: bool,
    /// Whether the page may hold something newer than the value that was decided on.
    pub doubtful: bool,
}

/// What to do about one field's values.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldAction {
    /// Nothing, on either side and in memory.
    Keep,
    /// Nothing is written, but these are the baselines now.
    Rebase(Bases),
    /// The property is set to this canonical value.
    Push(Value),
    /// The column is set to this canonical value.
    Pull(Value),
    /// Neither side is written until a person chooses.
    Conflict,
    /// The field is left alone on both sides, with the reason shown.
    Freeze(FieldError),
    /// The field is looked at again soon.
    Defer,
}

/// Decides every field of a record whose row and page are both there.
pub fn merge(observation: &Observation, accepted: &[Accepted]) -> Vec<FieldDecision> {
    let initial = observation.policy.initial;
    let last_write = observation.policy.last_write;
    observation
        .fields
        .iter()
        .zip(accepted)
        .map(|(field, own)| {
            let group_conflicts = field.group.is_some() && group_conflicts(field, observation, accepted);
            let mut decision = decide(field, own, initial, last_write, group_conflicts);
            decision.bases.clone_from(&own.bases);
            decision.force_push = own.force_push && !matches!(decision.action, FieldAction::Rebase(_));
            decision.doubtful = own.doubtful;
            decision
        })
        .collect()
}

/// Whether any member of the field's group changed on each side while the group does not agree.
fn group_conflicts(field: &FieldFacts, observation: &Observation, accepted: &[Accepted]) -> bool {
    let members = || {
        observation
            .fields
            .iter()
            .zip(accepted)
            .filter(|(member, _)| member.group == field.group)
    };
    members().any(|(_, own)| own.row_changed)
        && members().any(|(_, own)| own.page_changed)
        && !members().all(|(member, _)| member.agree)
}

fn decide(
    field: &FieldFacts,
    own: &Accepted,
    initial: Option<Initial>,
    last_write: crate::mapping::LastWritePolicy,
    group_conflicts: bool,
) -> FieldDecision {
    let (row, page) = match (&field.row, &field.page) {
        (Ok(row), Ok(page)) => (row, page),
        // F8: a side that cannot be read is not empty; nothing moves, the baselines included.
        (Err(error), _) | (_, Err(error)) => {
            return field.decision(FieldAction::Freeze(error.clone()), Reason::ValueIsUnreadable);
        }
    };
    if own.stale {
        return field.decision(FieldAction::Defer, Reason::ReadMayBeStale);
    }
    if field.sent.iter().any(|sent| sent.pending) {
        return field.decision(FieldAction::Defer, Reason::OutcomeIsOpen);
    }
    let now = Bases {
        row: row.clone(),
        page: page.clone(),
    };
    if own.bases.is_none() {
        return first_look(field, now, initial);
    }
    let (a, b) = (own.row_changed, own.page_changed);
    let seen = (row, page);
    let pushes = if own.force_push {
        Reason::OwnLateWrite
    } else {
        Reason::OnlyPostgresChanged
    };
    match (a, b, field.agree) {
        // F1: our own late write is remembered even where nothing else is to be done.
        (false, false, _) if own.late_write => field.decision(FieldAction::Rebase(now), Reason::OwnLateWrite),
        (false, false, _) => field.decision(FieldAction::Keep, Reason::NothingChanged),
        // F2
        (true, false, true) => field.decision(FieldAction::Rebase(now), Reason::NotionCannotShowIt),
        // F4
        (false, true, true) => field.decision(FieldAction::Rebase(now), Reason::PostgresCannotHoldIt),
        // F6
        (true, true, true) => field.decision(FieldAction::Rebase(now), Reason::SameEditOnBothSides),
        // F3
        (true, false, false) => match field.direction {
            Direction::Both | Direction::ToNotion => field.push(pushes),
            Direction::ToPostgres => field.pull(Reason::PostgresIsReadOnly).overruling(Side::Postgres),
        },
        // F5
        (false, true, false) if !group_conflicts => match field.direction {
            Direction::Both | Direction::ToPostgres => field.pull(Reason::OnlyNotionChanged),
            Direction::ToNotion => field.push(Reason::NotionIsReadOnly).overruling(Side::Notion),
        },
        // F7
        (_, true, false) => match field.direction {
            Direction::ToNotion => field.push(Reason::NotionIsReadOnly).overruling(Side::Notion),
            Direction::ToPostgres => field.pull(Reason::PostgresIsReadOnly).overruling(Side::Postgres),
            // An edit of the row gives way to no value that may be of the past.
            Direction::Both if own.doubtful && field.chosen.is_none() => {
                field.decision(FieldAction::Defer, Reason::ReadMayBeStale)
            }
            Direction::Both => conflict(field, last_write),
        },
    }
    .regrouped(field, last_write, group_conflicts && a && !b)
    .not_hiding(field, b, seen)
}

/// F7: the policy chooses, or a person must.
fn conflict(field: &FieldFacts, last_write: crate::mapping::LastWritePolicy) -> FieldDecision {
    let settlement = policy::settle(field, last_write);
    let mut decision = match settlement.take {
        Some(Side::Postgres) => field.push(settlement.reason).overruling(Side::Notion),
        Some(Side::Notion) => field.pull(settlement.reason).overruling(Side::Postgres),
        None => field.decision(FieldAction::Conflict, settlement.reason),
    };
    decision.evidence = settlement.evidence;
    decision
}

/// F9: a field never agreed on. An empty side is filled and never wins, so that linking deletes nothing.
fn first_look(field: &FieldFacts, now: Bases, initial: Option<Initial>) -> FieldDecision {
    if field.agree {
        return field.decision(FieldAction::Rebase(now), Reason::FirstLookAgrees);
    }
    match field.direction {
        Direction::ToNotion if field.page_is_empty => return field.push(Reason::FirstLookFillsNotion),
        Direction::ToNotion => return field.push(Reason::NotionIsReadOnly).overruling(Side::Notion),
        Direction::ToPostgres if field.row_is_empty => return field.pull(Reason::FirstLookFillsPostgres),
        Direction::ToPostgres => {
            return field.pull(Reason::PostgresIsReadOnly).overruling(Side::Postgres);
        }
        Direction::Both => {}
    }
    match (field.row_is_empty, field.page_is_empty, initial) {
        (false, true, _) => field.push(Reason::FirstLookFillsNotion),
        (true, false, _) => field.pull(Reason::FirstLookFillsPostgres),
        (_, _, Some(Initial::Postgres)) => field.push(Reason::InitialSaysPostgres).overruling(Side::Notion),
        (_, _, Some(Initial::Notion)) => field.pull(Reason::InitialSaysNotion).overruling(Side::Postgres),
        (_, _, Some(Initial::Manual) | None) => match field.chosen {
            Some(Side::Postgres) => field.push(Reason::PersonChosePostgres).overruling(Side::Notion),
            Some(Side::Notion) => field.pull(Reason::PersonChoseNotion).overruling(Side::Postgres),
            None => field.decision(FieldAction::Conflict, Reason::InitialNeedsPerson),
        },
    }
}

impl FieldFacts {
    fn decision(&self, action: FieldAction, reason: Reason) -> FieldDecision {
        FieldDecision {
            property: self.property.clone(),
            action,
            reason,
            overruled: None,
            evidence: None,
            bases: None,
            force_push: false,
            doubtful: false,
        }
    }

    fn push(&self, reason: Reason) -> FieldDecision {
        match &self.to_push {
            Ok(value) => self.decision(FieldAction::Push(value.clone()), reason),
            Err(error) => self.decision(FieldAction::Freeze(error.clone()), Reason::ValueIsUnreadable),
        }
    }

    fn pull(&self, reason: Reason) -> FieldDecision {
        match &self.to_pull {
            Ok(value) => self.decision(FieldAction::Pull(value.clone()), reason),
            Err(error) => self.decision(FieldAction::Freeze(error.clone()), Reason::ValueIsUnreadable),
        }
    }
}

impl FieldDecision {
    /// The same, overwriting an edit of that side; nothing is overwritten by a frozen field.
    fn overruling(mut self, side: Side) -> Self {
        if matches!(self.action, FieldAction::Push(_) | FieldAction::Pull(_)) {
            self.overruled = Some(side);
        }
        self
    }

    /// The same, or a conflict where the page was edited while the row leads out of the profile: what a person typed
    /// there can be put right by nobody else, and must not be passed over (6.5).
    fn not_hiding(self, field: &FieldFacts, page_changed: bool, (row, page): (&Value, &Value)) -> Self {
        let leads_out =
            matches!(&self.action, FieldAction::Freeze(error) if error.fault == Fault::ForeignReference);
        if !leads_out || !page_changed || field.direction != Direction::Both {
            return self;
        }
        match field.chosen {
            Some(Side::Postgres) => {
                let seen = Bases {
                    row: row.clone(),
                    page: page.clone(),
                };
                field.decision(FieldAction::Rebase(seen), Reason::PersonChosePostgres)
            }
            _ => field.decision(FieldAction::Conflict, Reason::PersonMustChoose),
        }
    }

    /// The same, or a conflict where only the group as a whole changed on both sides.
    fn regrouped(
        self,
        field: &FieldFacts,
        last_write: crate::mapping::LastWritePolicy,
        group_conflicts: bool,
    ) -> Self {
        if group_conflicts && field.direction == Direction::Both {
            conflict(field, last_write)
        } else {
            self
        }
    }
}
