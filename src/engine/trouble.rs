//! What keeps a record out of step, and what tells whether looking again is worth while.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::Entity;
use crate::journal::Trouble;
use crate::ports::Link;
use crate::reconcile::{Fault, FieldError, Side, Sides};
use crate::report::ErrorCode;
use crate::value::{PropertyId, Value};

/// A trouble met for the first time, tried again in an hour.
pub(super) fn trouble(
    code: ErrorCode,
    property: Option<PropertyId>,
    message: &str,
    now: OffsetDateTime,
) -> Trouble {
    Trouble {
        code,
        property,
        message: message.to_owned(),
        attempts: 1,
        retry_at: Some(now + time::Duration::HOUR),
        met_with: Sides::default(),
    }
}

/// What tells whether a value is still the one that a trouble was met with.
pub(super) fn value_digest(value: &Value) -> String {
    // A value always has a JSON form.
    crate::plan::hex(&Sha256::digest(serde_json::to_vec(value).unwrap_or_default())[..8])
}

/// The same, over a row's mapped columns.
pub(super) fn columns_digest(entity: &Entity, columns: &BTreeMap<String, Value>) -> String {
    let mut hasher = Sha256::new();
    for field in &entity.fields {
        let value: Result<Value, FieldError> = field.codec.row_value(columns);
        hasher.update(serde_json::to_vec(&value.map_err(|error| error.fault)).unwrap_or_default());
        hasher.update([0]);
    }
    crate::plan::hex(&hasher.finalize()[..8])
}

/// Whether a side's value of a field is known trouble: nothing new to look at.
pub(super) fn is_known_trouble(link: &Link, property: &PropertyId, side: Side, value: &Value) -> bool {
    link.troubles.iter().any(|trouble| {
        trouble.property.as_ref() == Some(property)
            && trouble.met_with.get(side).as_ref() == Some(&value_digest(value))
    })
}

/// Whether the loop breaker holds the whole record; it comes up by itself once the hour is over.
pub(super) fn is_frozen(link: &Link) -> bool {
    link.look_again_at.is_some()
        && link
            .troubles
            .iter()
            .any(|trouble| trouble.code == ErrorCode::LoopSuspected)
}

/// Whether a field is left out of a request only until the record it refers to is there.
pub(super) fn waits(fault: Fault) -> bool {
    fault == Fault::WaitingForReference
}
