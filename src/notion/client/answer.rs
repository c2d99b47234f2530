//! What an answer says: read once for the log, the retry and the caller, and held against what was asked.

use serde::de::DeserializeOwned;
use serde_json::json;

use crate::notion::error::{AnswerProblem, NotionError, Refusal, TransportError};
use crate::notion::id::same_id;
use crate::notion::operation::{Class, Operation};
use crate::notion::retry::{self, Outcome};
use crate::notion::transport::RawAnswer;
use crate::notion::wire::{DataSource, Database, ErrorBody, FileUpload, Page, View};

/// What a request led to.
pub(super) enum Answer {
    Body(Vec<u8>),
    Committed(Vec<String>),
}

/// An answer looked at once, for the log, the retry and the caller.
pub(super) struct Examined {
    pub(super) status: Option<u16>,
    pub(super) request_id: Option<String>,
    pub(super) result: Result<Vec<u8>, Box<(Outcome, NotionError)>>,
}

impl Examined {
    pub(super) fn new(operation: Operation, result: Result<RawAnswer, TransportError>) -> Self {
        match result {
            Ok(answer) => Self {
                status: Some(answer.status),
                request_id: answer.request_id.clone(),
                result: examine(operation, answer),
            },
            Err(problem) => {
                let outcome = match &problem {
                    TransportError::NotSent(_) => Outcome::NotSent,
                    TransportError::TimedOut => Outcome::TimedOut,
                    TransportError::Broken(_) => Outcome::Broken,
                    TransportError::TooLarge => Outcome::TooLarge,
                };
                let error = NotionError::Send { operation, problem };
                Self {
                    status: None,
                    request_id: None,
                    result: Err(Box::new((outcome, error))),
                }
            }
        }
    }
}

fn examine(operation: Operation, answer: RawAnswer) -> Result<Vec<u8>, Box<(Outcome, NotionError)>> {
    let RawAnswer {
        status,
        request_id,
        retry_after,
        date,
        content_type,
        body,
    } = answer;
    let unreadable = |problem, request_id| NotionError::ReadAnswer {
        operation,
        status,
        problem,
        request_id,
    };
    let is_html = content_type.as_deref().is_some_and(|kind| kind.contains("html"))
        || body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
    if (200..300).contains(&status) {
        return if is_html {
            Err(Box::new((
                Outcome::Unreadable,
                unreadable(AnswerProblem::Html(status), request_id),
            )))
        } else if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
            Err(Box::new((
                Outcome::Unreadable,
                unreadable(AnswerProblem::Malformed, request_id),
            )))
        } else {
            Ok(body)
        };
    }
    let retry_after = retry_after.and_then(|header| retry::parse_retry_after(&header, date.as_deref()));
    let parsed: Option<ErrorBody> = serde_json::from_slice(&body).ok();
    let error = match &parsed {
        Some(error) => {
            let mut error = error.clone();
            error.request_id = error.request_id.or(request_id);
            NotionError::Refused {
                operation,
                refusal: Box::new(Refusal { status, body: error }),
            }
        }
        None if (300..400).contains(&status) => unreadable(AnswerProblem::Redirect, request_id),
        None if is_html => unreadable(AnswerProblem::Html(status), request_id),
        None => unreadable(AnswerProblem::Malformed, request_id),
    };
    Err(Box::new((
        Outcome::Answered {
            status,
            retry_after,
            body: parsed,
        },
        error,
    )))
}

pub(super) fn decode<T: DeserializeOwned>(operation: Operation, body: &[u8]) -> Result<T, NotionError> {
    serde_json::from_slice(body).map_err(|error| unexpected(operation, &shape(&error)))
}

/// Where an answer stops fitting, without the words of serde that quote values.
fn shape(error: &serde_json::Error) -> String {
    format!(
        "{:?} error at line {}, column {}",
        error.classify(),
        error.line(),
        error.column()
    )
}

/// Reads the answer of a write: one that cannot be read leaves the outcome unknown.
pub(super) fn decode_written<T: DeserializeOwned>(
    operation: Operation,
    body: &[u8],
) -> Result<T, NotionError> {
    serde_json::from_slice(body).map_err(|error| NotionError::UnknownOutcome {
        operation,
        reason: format!("the answer has an unexpected shape: {}", shape(&error)),
        request_id: None,
    })
}

pub(super) fn unexpected(operation: Operation, shape: &str) -> NotionError {
    let problem = AnswerProblem::Shape(shape.to_owned());
    NotionError::ReadAnswer {
        operation,
        status: 200,
        problem,
        request_id: None,
    }
}

/// An object that says which one it is, and what it stands in.
pub(super) trait Named {
    /// Its id.
    fn id(&self) -> &str;

    /// The id of what it stands in, where the answer tells and anything is held against it.
    fn parent(&self) -> Option<&str> {
        None
    }
}

impl Named for Page {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn parent(&self) -> Option<&str> {
        self.parent.data_source_id.as_ref().map(|id| id.as_str())
    }
}

impl Named for DataSource {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn parent(&self) -> Option<&str> {
        self.parent.database_id.as_ref().map(|id| id.as_str())
    }
}

impl Named for Database {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn parent(&self) -> Option<&str> {
        self.parent.page_id.as_ref().map(|id| id.as_str())
    }
}

impl Named for View {
    fn id(&self) -> &str {
        &self.id
    }

    fn parent(&self) -> Option<&str> {
        self.rest.get("data_source_id")?.as_str()
    }
}

impl Named for FileUpload {
    fn id(&self) -> &str {
        &self.id
    }
}

/// The object of an answer, if it is the one that was asked for.
///
/// A proxy, a cache or a mistaken route could answer with an object of another workspace: nothing of it is used.
///
/// # Errors
///
/// [`AnswerProblem::WrongObject`] for a read; a write is unknown then.
pub(super) fn the_same<T: Named>(operation: Operation, asked: &str, object: T) -> Result<T, NotionError> {
    if same_id(object.id(), asked) {
        Ok(object)
    } else {
        Err(wrong_object(operation))
    }
}

/// The object that a create answered, if it stands where it was to stand.
///
/// # Errors
///
/// As [`the_same`].
pub(super) fn standing_in<T: Named>(operation: Operation, parent: &str, object: T) -> Result<T, NotionError> {
    match object.parent() {
        Some(told) if !same_id(told, parent) => Err(wrong_object(operation)),
        _ => Ok(object),
    }
}

fn wrong_object(operation: Operation) -> NotionError {
    if operation.class() == Class::Read {
        return NotionError::ReadAnswer {
            operation,
            status: 200,
            problem: AnswerProblem::WrongObject,
            request_id: None,
        };
    }
    NotionError::UnknownOutcome {
        operation,
        reason: AnswerProblem::WrongObject.to_string(),
        request_id: None,
    }
}

pub(super) fn committed_without_id(operation: Operation) -> NotionError {
    NotionError::UnknownOutcome {
        operation,
        reason: "Notion saved it and did not answer with it".to_owned(),
        request_id: None,
    }
}

/// The cursor of the next batch.
///
/// # Errors
///
/// A batch that promises more without saying where would end a listing early, or never.
pub(in crate::notion) fn next(
    operation: Operation,
    has_more: bool,
    cursor: Option<String>,
) -> Result<Option<String>, NotionError> {
    match (has_more, cursor) {
        (true, None) => Err(unexpected(operation, "`has_more` without `next_cursor`")),
        (true, cursor) => Ok(cursor),
        (false, _) => Ok(None),
    }
}

pub(super) fn reason(error: &NotionError) -> String {
    match error {
        NotionError::Send { problem, .. } => problem.to_string(),
        NotionError::ReadAnswer { problem, .. } => problem.to_string(),
        NotionError::Refused { refusal, .. } => {
            json!({"status": refusal.status, "code": refusal.body.code}).to_string()
        }
        other => other.to_string(),
    }
}
