//! Decides what to do about one record, from what was seen of it and nothing else.
//!
//! [`decide`] is pure and total: an [`Observation`] goes in, a [`Decision`] comes out. The record's existence is
//! decided first ([`presence`]), then, where both sides are there, each field ([`merge`]). Before a field's page
//! value counts at all, [`accept`] recognises our own late writes and reads that show the past; where both sides
//! changed, [`policy`] chooses, with [`last_write`] for the times. Every decision carries its [`Reason`].

pub mod accept;
pub mod last_write;
pub mod merge;
mod observation;
pub mod policy;
pub mod presence;
mod reason;

pub use observation::{
    Bases, EntityPolicy, Fault, FieldError, FieldFacts, FieldState, Label, LinkFacts, Observation, PageFacts,
    PageState, PastValue, Phase, RowState, Sent, Side, Sides,
};
pub use presence::{Case, Presence, PresenceAction};
pub use reason::Reason;

use merge::FieldDecision;

pub use crate::value::Value;

/// What to do about one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What to do about its existence; its fields count only where this says so.
    pub presence: Presence,
    /// One decision per field, in mapping order; empty where the existence decides alone.
    pub fields: Vec<FieldDecision>,
}

impl Decision {
    /// Whether nothing is written anywhere, the engine's own memory included.
    pub fn is_idle(&self) -> bool {
        match self.presence.action {
            PresenceAction::MergeFields => self
                .fields
                .iter()
                .all(|field| field.action == merge::FieldAction::Keep),
            PresenceAction::Nothing | PresenceAction::Wait => true,
            _ => false,
        }
    }
}

/// Decides one record.
///
/// The same observation always gives the same decision. A record whose page read may show the past is decided
/// field by field: what may be stale is deferred, the rest goes on.
pub fn decide(observation: &Observation) -> Decision {
    let accepted: Vec<accept::Accepted> = observation
        .fields
        .iter()
        .map(|field| accept::accept(field, observation))
        .collect();
    let edits = presence::Edits::of(observation, &accepted);
    let presence = presence::presence(observation, edits);
    let fields = match presence.action {
        PresenceAction::MergeFields | PresenceAction::RestorePage => merge::merge(observation, &accepted),
        _ => Vec::new(),
    };
    Decision { presence, fields }
}
