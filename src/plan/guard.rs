//! Refuses plans that look like an accident: mass deletes, an empty side, one field changed nearly everywhere.
//!
//! A refusal stops the whole entity before its first write. Only a person's approval of exactly that plan lets
//! it pass, once. Source: sync semantics, section 8.

use std::collections::{BTreeMap, BTreeSet};

use super::{Operation, OperationKind, Plan};
use crate::mapping::Guards;
use crate::reconcile::Side;
use crate::report::{ErrorCode, Refusal};

/// What is known about an entity when its plan is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Circumstances {
    /// The entity.
    pub entity: String,
    /// The guards of its mapping.
    pub guards: Guards,
    /// Records linked before the plan.
    pub linked: u64,
    /// Whether its first push was finished.
    pub initialised: bool,
    /// Whether the mapping chooses other rows than when it was last applied: another table, key or scope.
    pub scope_changed: bool,
    /// Rows seen in a complete look at the table; `None` when there was none.
    pub rows_seen: Option<u64>,
    /// Pages seen in a complete listing; `None` when there was none.
    pub pages_seen: Option<u64>,
    /// Pages that the engine trashed in the last 24 hours.
    pub pages_trashed_today: u64,
    /// Rows that the engine deleted in the last 24 hours.
    pub rows_deleted_today: u64,
}

/// A field changed in fewer rows than this is never a mass change.
const MASS_CHANGE_FROM: u64 = 20;

/// Fewer new records than this are never a mass create.
const MASS_CREATE_FROM: u64 = 100;

/// How many records may be deleted on one side: `min(500, max(3, share of linked))`.
pub fn delete_cap(linked: u64, guards: &Guards) -> u64 {
    share(linked, guards.delete_cap).clamp(3, 500)
}

/// The guards that say no to the plan for one entity; none when it may run.
pub fn refusals(plan: &Plan, circumstances: &Circumstances) -> Vec<Refusal> {
    let operations: Vec<&Operation> = plan
        .operations
        .iter()
        .filter(|operation| operation.entity == circumstances.entity)
        .collect();
    let refusal = |code: ErrorCode, message: String| Refusal {
        entity: circumstances.entity.clone(),
        code,
        message,
        // Only a refused plan is hashed: nearly none is.
        approve: plan.hash(),
    };
    let mut refusals = Vec::new();
    if circumstances.linked > 0 {
        for (seen, what) in [
            (circumstances.rows_seen, "Postgres lists no row"),
            (circumstances.pages_seen, "Notion lists no page"),
        ] {
            if seen == Some(0) {
                let message = format!("{what}, but {} records are linked", circumstances.linked);
                refusals.push(refusal(ErrorCode::EmptySide, message));
            }
        }
    }
    if circumstances.scope_changed && circumstances.linked > 0 && !operations.is_empty() {
        let message =
            "the mapping's table, key or scope has changed; rows that the new scope leaves out look deleted";
        refusals.push(refusal(ErrorCode::ScopeChanged, message.to_owned()));
    }
    let cap = delete_cap(circumstances.linked, &circumstances.guards);
    for (side, today, what) in [
        (Side::Notion, circumstances.pages_trashed_today, "pages"),
        (Side::Postgres, circumstances.rows_deleted_today, "rows"),
    ] {
        let planned = count(
            operations
                .iter()
                .filter(|operation| operation.kind.deletes() == Some(side)),
        );
        if planned > 0 && planned + today > cap {
            let message = format!(
                "the plan deletes {planned} {what} ({today} in the last 24 hours); {cap} may be deleted of {} linked",
                circumstances.linked
            );
            refusals.push(refusal(ErrorCode::DeleteCap, message));
        }
    }
    for ((name, side), changed) in changes_by_field(&operations) {
        let limit = share(circumstances.linked, circumstances.guards.mass_change);
        if circumstances.initialised && changed >= MASS_CHANGE_FROM && changed > limit {
            let on = match side {
                Side::Postgres => "rows",
                Side::Notion => "pages",
            };
            let message = format!(
                "`{name}` would change in {changed} {on} of {} linked",
                circumstances.linked
            );
            refusals.push(refusal(ErrorCode::MassChange, message));
        }
    }
    for (kind, what) in [
        (OperationKind::CreatePage, "pages"),
        (OperationKind::InsertRow, "rows"),
    ] {
        let created = count(operations.iter().filter(|operation| operation.kind == kind));
        if circumstances.initialised && created > MASS_CREATE_FROM.max(share(circumstances.linked, 0.2)) {
            let message = format!(
                "the plan creates {created} {what} where {} records are linked",
                circumstances.linked
            );
            refusals.push(refusal(ErrorCode::MassCreate, message));
        }
    }
    refusals
}

/// The refusals of a whole profile whose state may not belong to its database or connection any more (6.10).
///
/// `doubts` are what speaks for that. A plan that writes nothing is harmless and passes, but for the entities `to_look_at`
/// with records of which only a direct look tells what there is to write.
pub fn quarantined(plan: &Plan, to_look_at: &[&str], doubts: &[String]) -> Vec<Refusal> {
    if doubts.is_empty() {
        return Vec::new();
    }
    let entities: BTreeSet<&str> = plan
        .operations
        .iter()
        .map(|operation| operation.entity.as_str())
        .chain(to_look_at.iter().copied())
        .collect();
    let hash = plan.hash();
    entities
        .into_iter()
        .map(|entity| Refusal {
            entity: entity.to_owned(),
            code: ErrorCode::Quarantined,
            message: doubts.join("; "),
            approve: hash.clone(),
        })
        .collect()
}

fn changes_by_field<'a>(operations: &[&'a Operation]) -> BTreeMap<(&'a str, Side), u64> {
    let mut changes = BTreeMap::new();
    for operation in operations {
        let side = match operation.kind {
            OperationKind::UpdatePage => Side::Notion,
            OperationKind::UpdateRow => Side::Postgres,
            _ => continue,
        };
        for field in &operation.fields {
            // A property still empty is being filled after the mapping grew: additive, and wished.
            if field.reason != crate::reconcile::Reason::FirstLookFillsNotion {
                *changes.entry((field.name.as_str(), side)).or_insert(0) += 1;
            }
        }
    }
    changes
}

fn count<T>(items: impl Iterator<Item = T>) -> u64 {
    items.map(|_| 1).sum()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share between 0 and 1 of a count of records far below 2^52"
)]
fn share(of: u64, share: f64) -> u64 {
    (of as f64 * share).floor() as u64
}
