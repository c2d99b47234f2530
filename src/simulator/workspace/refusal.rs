//! Notion's refusals: the error bodies, word for word where the fact sheet has them (section 6).

use serde_json::{Map, Value, json};

/// Why a request was not done, as Notion says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The machine-readable code, such as `validation_error`.
    pub code: &'static str,
    /// The sentence for people.
    pub message: String,
    /// The `additional_data` of the body, if any.
    pub additional: Option<Map<String, Value>>,
}

/// What a part of the simulator answers: a value, or Notion's refusal.
pub(crate) type Answered<T> = Result<T, Refusal>;

impl Refusal {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            additional: None,
        }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "validation_error", message)
    }

    pub(crate) fn invalid_url() -> Self {
        Self::new(400, "invalid_request_url", "Invalid request URL.")
    }

    pub(crate) fn invalid_json() -> Self {
        Self::new(400, "invalid_json", "Error parsing JSON body.")
    }

    pub(crate) fn missing_version() -> Self {
        Self::new(
            400,
            "missing_version",
            "Notion-Version header failed validation: Notion-Version header should be defined, instead was `undefined`.",
        )
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "unauthorized", "API token is invalid.")
    }

    pub(crate) fn restricted() -> Self {
        Self::new(
            403,
            "restricted_resource",
            "Insufficient permissions for this endpoint.",
        )
    }

    /// Missing and unshared look the same (fact sheet, section 6).
    pub(crate) fn not_found(kind: &str, id: impl std::fmt::Display, connection: &str) -> Self {
        Self::new(
            404,
            "object_not_found",
            format!(
                "Could not find {kind} with ID: {id}. Make sure the relevant pages and databases are shared with your \
                 integration \"{connection}\"."
            ),
        )
    }

    pub(crate) fn archived() -> Self {
        Self::validation("Can't edit block that is archived. You must unarchive the block before editing.")
    }

    /// The error body.
    pub fn body(&self, request_id: &str) -> Value {
        let mut body = json!({
            "object": "error", "status": self.status, "code": self.code, "message": self.message,
            "request_id": request_id,
        });
        if let (Some(additional), Some(object)) = (&self.additional, body.as_object_mut()) {
            object.insert("additional_data".to_owned(), Value::Object(additional.clone()));
        }
        body
    }
}
