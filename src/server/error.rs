//! Why a request was not done: what its sender is told, apart from what the operator is.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::MemoryError;
use crate::runner::WakeError;

/// Why a request was not done.
///
/// As JSON: `{"error": {"code": "…", "message": "…"}}`.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// A stable code for programs.
    pub code: &'static str,
    /// What the sender is told: nothing of how things are inside.
    pub message: Cow<'static, str>,
    /// What the operator is told besides.
    pub logged: Option<String>,
    header: Option<(HeaderName, &'static str)>,
}

/// A line for the operator, on its way out with the answer.
#[derive(Clone, Debug)]
pub(super) struct Logged(pub(super) String);

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            logged: None,
            header: None,
        }
    }

    pub(super) fn unknown_profile() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_profile",
            "no such profile is served here",
        )
    }

    pub(super) fn unknown_conflict() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_conflict",
            "there is no such conflict in this profile",
        )
    }

    pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "the request body is too large",
        )
    }

    pub(super) fn unauthorised() -> Self {
        Self {
            header: Some((header::WWW_AUTHENTICATE, "Bearer")),
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                "unauthorised",
                "the request needs the header `Authorization: Bearer` with this server's token",
            )
        }
    }

    pub(super) fn forbidden(code: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// Adds what the operator is told.
    pub(super) fn logged(self, line: impl Into<String>) -> Self {
        Self {
            logged: Some(line.into()),
            ..self
        }
    }

    /// The answer's parts that do not depend on its form.
    pub(super) fn dress(&self, mut response: Response) -> Response {
        *response.status_mut() = self.status;
        if let Some((name, value)) = &self.header {
            response
                .headers_mut()
                .insert(name.clone(), HeaderValue::from_static(value));
        }
        if let Some(line) = &self.logged {
            response.extensions_mut().insert(Logged(line.clone()));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        self.dress(axum::Json(body).into_response())
    }
}

impl From<MemoryError> for Problem {
    fn from(error: MemoryError) -> Self {
        match error {
            MemoryError::NotSetUp => Self::new(
                StatusCode::CONFLICT,
                "not_set_up",
                "the profile was never set up; run `frames-sync setup`",
            ),
            MemoryError::Failed(line) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "state_unavailable",
                "the sync state cannot be reached; the server's log says why",
            )
            .logged(line),
        }
    }
}

impl From<WakeError> for Problem {
    fn from(error: WakeError) -> Self {
        let busy = |code, message| Self {
            header: Some((header::RETRY_AFTER, "10")),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
        };
        match error {
            WakeError::UnknownProfile => Self::unknown_profile(),
            WakeError::Full => busy(
                "busy",
                "too much is waiting already; the next scheduled cycle looks at everything",
            ),
            WakeError::Stopping => busy("stopping", "this instance is stopping"),
        }
    }
}
