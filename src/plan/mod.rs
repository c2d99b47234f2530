//! What would be done, as a value: the same decisions give the same bytes.
//!
//! A plan is made of [`Operation`]s in the order they are applied ([`order`]), judged by the guards ([`guard`])
//! before the first of them, and known by its [`Plan::hash`]. It nominates records; whoever applies it looks at
//! each record again, so a plan never carries a stale value into the world. A saved plan ([`mod@file`]) is stricter:
//! it is applied exactly, or refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::report::{FieldReport, OperationReport, PlanReport, Refusal, SchemaChangeReport, VERSION};

pub mod file;
pub mod guard;
mod operation;
pub mod option_names;
pub mod order;
pub mod schema_change;

pub use operation::{FieldChange, Operation, OperationKind, operations};

/// Operations in the order they are applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The operations; see [`order`].
    pub operations: Vec<Operation>,
}

impl Plan {
    /// The plan of these operations, whatever order they come in.
    pub fn of(mut operations: Vec<Operation>, entities: &order::EntityOrder) -> Self {
        order::sort(&mut operations, entities);
        Self { operations }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The plan's identity: 16 hexadecimal digits of SHA-256 over every operation with its values.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for operation in &self.operations {
            hasher.update(operation.digest().as_bytes());
        }
        hex(&hasher.finalize()[..8])
    }

    /// Requests to Notion that applying it takes, without repeats and listings.
    pub fn requests(&self) -> u64 {
        self.operations
            .iter()
            .map(|operation| operation.kind.requests())
            .sum()
    }

    /// Minutes that [`Plan::requests`] take at that rate.
    pub fn minutes(&self, requests_per_minute: u32) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
        let requests = self.requests() as f64;
        requests / f64::from(requests_per_minute.max(1))
    }

    /// The plan as people and programs are told.
    pub fn report(
        &self,
        profile: &str,
        requests_per_minute: u32,
        schema_changes: Vec<SchemaChangeReport>,
        refusals: Vec<Refusal>,
    ) -> PlanReport {
        PlanReport {
            version: VERSION,
            profile: profile.to_owned(),
            hash: self.hash(),
            requests: self.requests(),
            minutes: self.minutes(requests_per_minute),
            schema_changes,
            schema_differences: Vec::new(),
            operations: self.operations.iter().map(report).collect(),
            refusals,
        }
    }

    /// What it would do to these entities, for people who have to decide: everything counted, a few operations in full.
    pub fn shortened(&self, entities: &[&str], most: usize) -> ShortPlan {
        let of_entities = || {
            self.operations
                .iter()
                .filter(|operation| entities.contains(&operation.entity.as_str()))
        };
        let mut counts = BTreeMap::new();
        for operation in of_entities() {
            *counts
                .entry((operation.entity.clone(), operation.kind))
                .or_default() += 1;
        }
        ShortPlan {
            hash: self.hash(),
            counts,
            first: of_entities().take(most).map(report).collect(),
        }
    }
}

/// A plan, short enough to be shown and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct ShortPlan {
    /// The whole plan's identity.
    pub hash: String,
    /// How many operations there are of each entity and kind.
    pub counts: BTreeMap<(String, OperationKind), u64>,
    /// The first operations.
    pub first: Vec<OperationReport>,
}

fn report(operation: &Operation) -> OperationReport {
    OperationReport {
        entity: operation.entity.clone(),
        key: operation.name(),
        kind: operation.kind.name().to_owned(),
        reason: operation.reason.text().to_owned(),
        fields: operation
            .fields
            .iter()
            .map(|field| FieldReport {
                property: field.name.clone(),
                from: field
                    .from
                    .as_ref()
                    .map_or(serde_json::Value::Null, crate::value::Value::to_json),
                to: field
                    .to
                    .as_ref()
                    .map_or(serde_json::Value::Null, crate::value::Value::to_json),
                reason: field.reason.text().to_owned(),
            })
            .collect(),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
