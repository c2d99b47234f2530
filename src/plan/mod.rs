//! What would be done, as a value: the same decisions give the same bytes.
//!
//! A plan is made of [`Operation`]s in the order they are applied ([`order`]), judged by the guards ([`guard`])
//! before the first of them, and known by its [`Plan::hash`]. It nominates records; whoever applies it looks at
//! each record again, so a plan never carries a stale value into the world. A saved plan ([`mod@file`]) is stricter:
//! it is applied exactly, or refused.

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
