//! What the mapping, or a person, says about a conflict.

use serde::Serialize;

use super::last_write::{Certainty, Interval, Judgement, judge};
use super::{FieldFacts, Reason, Side, Sides};
use crate::mapping::{ConflictPolicy, LastWritePolicy, MinCertainty, TieBreak};

/// How a conflict is settled.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// The side whose value is taken; `None` leaves both alone until a person chooses.
    pub take: Option<Side>,
    /// Why.
    pub reason: Reason,
    /// What the times said, where they were asked.
    pub evidence: Option<Evidence>,
}

/// The times behind a settlement, kept with the conflict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// When each side changed.
    pub changed: Sides<Interval>,
    /// How sure the order is.
    pub certainty: Certainty,
}

/// Settles a field that both sides changed.
pub fn settle(field: &FieldFacts, last_write: LastWritePolicy) -> Settlement {
    if let Some(side) = field.chosen {
        let reason = match side {
            Side::Postgres => Reason::PersonChosePostgres,
            Side::Notion => Reason::PersonChoseNotion,
        };
        return Settlement {
            take: Some(side),
            reason,
            evidence: None,
        };
    }
    match field.policy {
        ConflictPolicy::PostgresWins => Settlement {
            take: Some(Side::Postgres),
            reason: Reason::PolicySaysPostgres,
            evidence: None,
        },
        ConflictPolicy::NotionWins => Settlement {
            take: Some(Side::Notion),
            reason: Reason::PolicySaysNotion,
            evidence: None,
        },
        ConflictPolicy::Manual => Settlement {
            take: None,
            reason: Reason::PersonMustChoose,
            evidence: None,
        },
        ConflictPolicy::LastWriteWins => {
            let judgement = judge(&field.changed, field.clocks);
            let (take, reason) = by_time(judgement, last_write);
            let evidence = Evidence {
                changed: field.changed,
                certainty: judgement.certainty,
            };
            Settlement {
                take,
                reason,
                evidence: Some(evidence),
            }
        }
    }
}

fn by_time(judgement: Judgement, last_write: LastWritePolicy) -> (Option<Side>, Reason) {
    let enough = match last_write.min_certainty {
        MinCertainty::Proven => Certainty::Proven,
        MinCertainty::Probable => Certainty::Probable,
    };
    match (judgement.later, judgement.certainty) {
        (Some(Side::Postgres), Certainty::Proven) => (Some(Side::Postgres), Reason::PostgresWasLater),
        (Some(Side::Notion), Certainty::Proven) => (Some(Side::Notion), Reason::NotionWasLater),
        (Some(Side::Postgres), certainty) if certainty >= enough => {
            (Some(Side::Postgres), Reason::PostgresWasProbablyLater)
        }
        (Some(Side::Notion), certainty) if certainty >= enough => {
            (Some(Side::Notion), Reason::NotionWasProbablyLater)
        }
        _ => match last_write.tie_break {
            TieBreak::Postgres => (Some(Side::Postgres), Reason::TieGoesToPostgres),
            TieBreak::Notion => (Some(Side::Notion), Reason::TieGoesToNotion),
            TieBreak::Manual => (None, Reason::PersonMustChoose),
        },
    }
}
