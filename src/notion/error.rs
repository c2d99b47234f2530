//! What can go wrong between us and Notion.

use std::fmt;
use std::time::Duration;

use super::operation::Operation;
use super::wire::ErrorBody;

/// A failure of a Notion call.
///
/// No variant holds the token, and none prints a value: Notion's own sentences are shown only where their
/// shape is known to name things, not to quote what was sent.
#[derive(Debug, thiserror::Error)]
pub enum NotionError {
    /// Reading an id from what a person typed.
    #[error(
        "there is no Notion id in this text; paste the page's address from the browser, or its 32 digits"
    )]
    ReadId,
    /// Setting up the connection.
    #[error("could not set up the connection to Notion: {0}")]
    Connect(String),
    /// Sending: the request surely did not arrive, or it was a read.
    #[error("could not {operation}: {problem}")]
    Send {
        /// What was being done.
        operation: Operation,
        /// What stopped it.
        problem: TransportError,
    },
    /// Sending a write whose outcome nobody knows; read before writing again.
    #[error("could not {operation}: its outcome is unknown ({reason})")]
    UnknownOutcome {
        /// What was being done.
        operation: Operation,
        /// What happened instead of an answer.
        reason: String,
        /// Notion's id of the request, when an answer came.
        request_id: Option<String>,
    },
    /// Reading an answer that is not what the API answers.
    #[error("could not {operation}: {problem}{}", id_suffix(request_id.as_deref()))]
    ReadAnswer {
        /// What was being done.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// What is wrong with the answer.
        problem: AnswerProblem,
        /// Notion's id of the request.
        request_id: Option<String>,
    },
    /// Notion refused the request.
    #[error("could not {operation}: {refusal}")]
    Refused {
        /// What was being done.
        operation: Operation,
        /// What Notion said.
        refusal: Box<Refusal>,
    },
    /// Using a connection that Notion has stopped: its token is invalid or blocked.
    #[error("could not {operation}: this connection was stopped after Notion refused it ({reason})")]
    Stopped {
        /// What was being done.
        operation: Operation,
        /// Notion's code for the refusal that stopped it.
        reason: String,
    },
    /// Waiting for Notion to recover from failures in a row.
    #[error("could not {operation}: Notion failed repeatedly, next attempt in {} s", wait.as_secs())]
    Resting {
        /// What was being done.
        operation: Operation,
        /// How long until a request may be tried.
        wait: Duration,
    },
}

impl NotionError {
    /// Notion's error code, when it refused.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { refusal, .. } => Some(&refusal.body.code),
            _ => None,
        }
    }

    /// The HTTP status, when an answer came.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal.status),
            Self::ReadAnswer { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Notion's id of the request.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused { refusal, .. } => refusal.body.request_id.as_deref(),
            Self::ReadAnswer { request_id, .. } | Self::UnknownOutcome { request_id, .. } => {
                request_id.as_deref()
            }
            _ => None,
        }
    }

    /// Whether the write may have been applied: read before writing again.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::UnknownOutcome { .. })
    }

    /// Whether the object does not exist or is not shared with the connection; Notion does not tell which.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some("object_not_found")
    }

    /// Whether a concurrent change got in the way and nothing was saved.
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// Whether nothing of this token can work: it is invalid, blocked, or was stopped before.
    pub fn stops_the_connection(&self) -> bool {
        match self {
            Self::Stopped { .. } => true,
            Self::Refused { refusal, .. } => refusal.status == 401 || refusal.is_blocked(),
            _ => false,
        }
    }

    /// What the user can do about it, where that is known.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Refused { refusal, .. } => refusal.help(),
            Self::ReadAnswer { problem, .. } => problem.help(),
            Self::Send {
                problem: TransportError::NotSent(_),
                ..
            } => Some("check the network, and that a proxy or firewall lets https://api.notion.com through"),
            Self::UnknownOutcome { .. } => {
                Some("nothing needs doing: the next run reads the object again before it writes")
            }
            _ => None,
        }
    }
}

fn id_suffix(request_id: Option<&str>) -> String {
    request_id
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default()
}

/// What Notion said when it refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: ErrorBody,
}

impl Refusal {
    /// Whether Notion asks this connection to stop for good.
    pub fn is_blocked(&self) -> bool {
        self.body
            .additional_data
            .get("rate_limit_reason")
            .and_then(|reason| reason.as_str())
            == Some("public_api_request_blocked")
    }

    fn help(&self) -> Option<&'static str> {
        match (self.status, self.body.code.as_str()) {
            (401, _) => Some(
                "the token is wrong, revoked or of another workspace: copy the current one from \
                 notion.so/profile/integrations (the connection, then Configuration)",
            ),
            (403, _) if self.body.additional_data.contains_key("block_limit") => Some(
                "the workspace has reached the block limit of its free plan; Notion refuses new pages until it is upgraded",
            ),
            (403, _) => Some(
                "the connection lacks a capability: tick read, update and insert content (and user information) \
                 under notion.so/profile/integrations, the connection, Capabilities",
            ),
            (404, _) => Some(
                "it does not exist, or it is not shared with the connection: open the page in Notion, then \
                 ••• (top right), Connections, and add the connection",
            ),
            (409, _) => {
                Some("somebody changed the same object at the same time; the next run reads it again")
            }
            _ if self.is_blocked() => {
                Some("Notion has blocked this connection; write to its support before trying again")
            }
            _ => None,
        }
    }
}

/// Prints status, code and as much of Notion's sentence as quotes no value.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notion refused with {} `{}`", self.status, self.body.code)?;
        if let Some(message) = without_values(&self.body) {
            write!(f, ": {message}")?;
        }
        f.write_str(&id_suffix(self.body.request_id.as_deref()))
    }
}

/// The part of Notion's sentence that names things and quotes no value.
///
/// Validation messages quote what was sent (``instead was `…` ``), so only shapes known to be free of values
/// pass; of the quoting shape, the quotation is cut.
fn without_values(body: &ErrorBody) -> Option<String> {
    let message = body
        .message
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    if body.code != "validation_error" {
        return (!message.is_empty()).then(|| message.to_owned());
    }
    if message.contains(" failed validation") {
        let until = message.find(", instead was").unwrap_or(message.len());
        return Some(message[..until].to_owned());
    }
    const NAMING: [&str; 7] = [
        "Could not find property with name or id: ",
        "Could not find sort property with name or id: ",
        "The property type in the database does not match",
        "Can't edit block that is archived",
        "The start_cursor provided is invalid",
        "Unarchiving workspace level pages",
        "Could not find ",
    ];
    if NAMING.iter().any(|start| message.starts_with(start))
        || message.ends_with("is not a property that exists")
        || PROPERTY_MISMATCH.iter().any(|part| message.contains(part))
    {
        return Some(message.to_owned());
    }
    if message.starts_with("Invalid select option, commas not allowed") {
        return Some("a select option has a comma in its name".to_owned());
    }
    None
}

const PROPERTY_MISMATCH: [&str; 1] = [" is expected to be "];

/// What stopped a request on its way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection was made; the request did not leave.
    #[error("no connection to Notion ({0})")]
    NotSent(String),
    /// No answer came in time.
    #[error("no answer within the time limit")]
    TimedOut,
    /// The connection broke before the whole answer was read.
    #[error("the connection broke ({0})")]
    Broken(String),
    /// The answer is larger than [`super::transport::MAX_ANSWER`].
    #[error("the answer is larger than 32 MiB")]
    TooLarge,
}

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerProblem {
    /// A page meant for a browser: something between us and Notion answered.
    #[error("the answer is an HTML page (status {0}), not Notion's JSON")]
    Html(u16),
    /// JSON that ends too early, or none at all.
    #[error("the answer is cut short or no JSON")]
    Malformed,
    /// JSON of another shape than the API documents.
    #[error("the answer has an unexpected shape: {0}")]
    Shape(String),
    /// Larger than we read.
    #[error("the answer is larger than 32 MiB")]
    TooLarge,
    /// Somewhere else was named; it is not followed, for the token must not travel there.
    #[error("the answer is a redirect, which is not followed")]
    Redirect,
    /// An answer about another object than the one asked for.
    #[error("the answer is about another object than the one asked for")]
    WrongObject,
}

impl AnswerProblem {
    fn help(&self) -> Option<&'static str> {
        match self {
            Self::Html(_) => Some(
                "a proxy, a firewall or Notion's edge answered in Notion's place; try again, then ask who runs the network",
            ),
            Self::Redirect => {
                Some("check `notion.base_url`, and whether a proxy intercepts https://api.notion.com")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: &str, message: &str) -> String {
        let body = ErrorBody {
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: Some("r1".to_owned()),
            ..ErrorBody::default()
        };
        NotionError::Refused {
            operation: Operation::UpdatePage,
            refusal: Box::new(Refusal { status: 400, body }),
        }
        .to_string()
    }

    #[test]
    fn values_in_notions_sentences_are_not_shown() {
        for message in [
            "body failed validation: body.properties.Name.title[0].text.content.length should be ≤ `2000`, instead was `SENTINEL`.",
            "Invalid select option, commas not allowed: SENTINEL, x",
            "Invalid status option. Status option \"SENTINEL\" does not exist.",
            "first line says nothing new\nbody.SENTINEL",
        ] {
            assert!(
                !shown("validation_error", message).contains("SENTINEL"),
                "{message}"
            );
        }
        assert_eq!(
            shown("validation_error", "Grade is not a property that exists."),
            "could not change a page: Notion refused with 400 `validation_error`: Grade is not a property that exists (request r1)"
        );
    }

    #[test]
    fn an_unshared_page_is_explained_with_the_step_in_notions_menu() {
        let body = ErrorBody {
            code: "object_not_found".to_owned(),
            ..ErrorBody::default()
        };
        let error = NotionError::Refused {
            operation: Operation::RetrievePage,
            refusal: Box::new(Refusal { status: 404, body }),
        };
        assert!(error.is_not_found());
        assert!(error.help().unwrap().contains("Connections"));
    }
}
