//! Faults as data: what goes wrong, and when.
//!
//! A plan is a list of [`Fault`]s, each with a [`Trigger`] and an [`Effect`]; the first that fires decides what
//! becomes of a request. Chances come from a seeded stream, so a run can be repeated.

use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::workspace::{Answer, Content, Refusal, Seed};

/// One thing that goes wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When it fires.
    #[serde(default)]
    pub when: Trigger,
    /// What happens then.
    pub effect: Effect,
    /// How often at most; without it, once for an `nth` trigger and always for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// Which requests a fault is for. Every condition given must hold; none given is every request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trigger {
    /// Method and path template, such as `POST /v1/pages` or `GET /v1/pages/{page_id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Only reads, or only writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes: Option<bool>,
    /// The connection, counted from 0 in the order of the tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<usize>,
    /// The nth request for which the conditions above hold, from 1, counted since the fault was planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// With this probability, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// Whether a failing write was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Applied {
    /// Nothing was changed.
    No,
    /// The change was made; only the answer is an error.
    Yes,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// 429 with `Retry-After`.
    RateLimited {
        /// Seconds to wait.
        retry_after: u64,
        /// The `rate_limit_reason`.
        #[serde(default = "request_limit")]
        reason: String,
    },
    /// 529 `service_overload`.
    Overloaded {
        /// Seconds to wait, if told.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// 409 `conflict_error`; nothing was saved.
    Conflict,
    /// 500, 502 (HTML), 503 or 504.
    ServerError {
        /// The status.
        status: u16,
        /// Whether the request was done.
        applied: Applied,
    },
    /// 503 after the write, naming what it made (`committed_resource_id`, `committed_child_ids`).
    Committed,
    /// The connection is cut without an answer.
    Dropped {
        /// Whether the request was done.
        applied: Applied,
    },
    /// The connection is cut at once, and the request is done later.
    AppliedLate {
        /// Seconds until it is done.
        seconds: u64,
    },
    /// The right answer, cut off in the middle.
    Truncated,
    /// The right answer, late.
    Slow {
        /// Milliseconds to wait before it.
        milliseconds: u64,
    },
    /// A query answered in an order of its own, so that its batches overlap and skip.
    Shuffled,
    /// A page of the proxy in front: 403 HTML with `cf-ray`, no code.
    Proxy,
    /// An answer that is not Notion's at all.
    Odd {
        /// The status.
        status: u16,
        /// The content type.
        content_type: String,
        /// The body, repeated.
        body: String,
        /// How many times.
        #[serde(default = "once")]
        repeat: usize,
        /// A `Location` header.
        #[serde(default)]
        location: Option<String>,
    },
}

fn request_limit() -> String {
    "public_api_request_rate_limit".to_owned()
}

fn once() -> usize {
    1
}

/// What a trigger looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) is_write: bool,
    pub(crate) connection: Option<usize>,
}

/// The faults still to come.
#[derive(Debug)]
pub(crate) struct FaultPlan {
    faults: Vec<(Fault, u64, u32)>,
    seed: Seed,
}

impl FaultPlan {
    pub(crate) fn new(seed: u64) -> Self {
        // A stream apart from the workspace's, so that faults do not change the ids.
        Self {
            faults: Vec::new(),
            seed: Seed::new(seed ^ 0x0fa0_1700),
        }
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        self.faults.push((fault, 0, 0));
    }

    pub(crate) fn clear(&mut self) {
        self.faults.clear();
    }

    /// The first fault that fires for a request; all triggers count it.
    pub(crate) fn decide(&mut self, arrival: Arrival<'_>) -> Option<Effect> {
        let mut decided = None;
        for (fault, seen, fired) in &mut self.faults {
            let when = &fault.when;
            let matches = when
                .endpoint
                .as_deref()
                .is_none_or(|endpoint| arrival.endpoint == Some(endpoint))
                && when.writes.is_none_or(|writes| writes == arrival.is_write)
                && when
                    .connection
                    .is_none_or(|connection| arrival.connection == Some(connection));
            if !matches {
                continue;
            }
            *seen += 1;
            let most = fault
                .times
                .unwrap_or(if when.nth.is_some() { 1 } else { u32::MAX });
            let due = when.nth.is_none_or(|nth| *seen >= nth) && *fired < most;
            // The stream moves for each chance taken, whether or not another fault has fired already.
            let lucky = when
                .probability
                .is_none_or(|probability| self.seed.chance(probability));
            if due && lucky && decided.is_none() {
                *fired += 1;
                decided = Some(fault.effect.clone());
            }
        }
        decided
    }
}

/// 429 as Notion answers it (fact sheet, 5.1).
pub(crate) fn rate_limited(retry_after: u64, reason: &str, request_id: Uuid) -> Answer {
    let refusal = Refusal {
        status: 429,
        code: "rate_limited",
        message: "You have been rate limited. Please try again in a few minutes.".to_owned(),
        additional: json!({"retry_after": retry_after.to_string(), "rate_limit_reason": reason})
            .as_object()
            .cloned(),
    };
    let mut answer = Answer::refusal(&refusal, request_id);
    answer
        .headers
        .push(("retry-after".to_owned(), retry_after.to_string()));
    answer
}

/// The error page or body of a server in trouble.
pub(crate) fn server_error(status: u16, request_id: Uuid) -> Answer {
    let (code, message) = match status {
        409 => (
            "conflict_error",
            "Conflict occurred while saving. Please try again.",
        ),
        503 => (
            "service_unavailable",
            "Notion is unavailable. Please try again later.",
        ),
        504 => (
            "gateway_timeout",
            "The request timed out. Please try again later.",
        ),
        529 => (
            "service_overload",
            "Notion is overloaded. Please try again later.",
        ),
        502 => {
            let page = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body><h1>502 Bad Gateway</h1></body>\n</html>\n";
            return html(502, page, &[]);
        }
        _ => ("internal_server_error", "Unexpected error occurred."),
    };
    Answer::refusal(
        &Refusal {
            status,
            code,
            message: message.to_owned(),
            additional: None,
        },
        request_id,
    )
}

/// 503 after the write, telling what was made (fact sheet, section 6).
pub(crate) fn committed(done: &Answer, request_id: Uuid) -> Answer {
    let body = done.body();
    let mut refusal = Refusal {
        status: 503,
        code: "service_unavailable",
        message: "The change was saved, but it could not be read back.".to_owned(),
        additional: json!({
            "retry_guidance": ["Read the object again before you go on.", "Do not repeat the write."],
        })
        .as_object()
        .cloned(),
    };
    if let (Some(id), Some(additional)) = (body["id"].as_str(), &mut refusal.additional) {
        additional.insert("committed_resource_id".to_owned(), json!(id));
    }
    if let (Some(children), Some(additional)) = (body["results"].as_array(), &mut refusal.additional) {
        let ids = children.iter().map(|child| child["id"].clone()).collect();
        additional.insert("committed_child_ids".to_owned(), ids);
    }
    Answer::refusal(&refusal, request_id)
}

/// A page of the proxy in front of Notion.
pub(crate) fn proxy() -> Answer {
    html(
        403,
        "<!DOCTYPE html><html><body>Sorry, you have been blocked</body></html>",
        &[("cf-ray", "8f0a1b2c3d4e5f60-FRA")],
    )
}

fn html(status: u16, page: &str, headers: &[(&str, &str)]) -> Answer {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Answer {
        status,
        headers,
        content: Content::Html(page.to_owned()),
    }
}
