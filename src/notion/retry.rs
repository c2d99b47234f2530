//! Decides, in one place, what follows on the outcome of a request.

use std::time::Duration;

use super::operation::Class;
use super::wire::ErrorBody;

/// How often a read is tried before its failure is reported.
const READ_ATTEMPTS: u32 = 5;

/// How often a request that certainly did not take effect is tried again after a refusal to connect, or
/// after an edge proxy turned it away.
const UNSENT_ATTEMPTS: u32 = 3;

/// How often a request is sent again after 429 or 529; each wait is the one that Notion asked for.
const THROTTLED_ATTEMPTS: u32 = 20;

/// The longest of our own waits; one that Notion names is obeyed whatever it is.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// What became of a request, as far as its retry depends on it.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// An answer with a JSON error body, or one that is no 2xx and has no such body (`body: None`).
    Answered {
        /// The HTTP status.
        status: u16,
        /// The wait that `Retry-After` names.
        retry_after: Option<Duration>,
        /// The error body.
        body: Option<ErrorBody>,
    },
    /// A 2xx answer that could not be read: cut short, or not JSON.
    Unreadable,
    /// An answer that is larger than we read.
    TooLarge,
    /// The request did not leave.
    NotSent,
    /// No answer came in time.
    TimedOut,
    /// The connection broke after the request may have left.
    Broken,
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Retry {
    /// Send the same request again after this wait; `throttled` waits hold for the whole connection.
    After {
        /// How long.
        wait: Duration,
        /// Whether every request of the token has to wait.
        throttled: bool,
    },
    /// The write may or may not have been applied: read before writing again.
    Unknown,
    /// The write was applied, and these are the ids of what it made; none for a change.
    Committed(Vec<String>),
    /// The answer will stay the same.
    Never,
    /// No request of this token may be sent any more.
    StopConnection,
}

/// Decides what follows on an outcome.
///
/// `attempt` counts from 1; `jitter` is a random number in `0..1`, which spreads our own waits between half
/// and one and a half times `1 s · 2^(attempt-1)`, as Notion's SDK does.
///
/// | outcome | reads | writes and creates |
/// | --- | --- | --- |
/// | 429, 529 | after `Retry-After`, exactly | the same |
/// | `public_api_request_blocked`, 401 | stop | stop |
/// | 500, 502, 503, 504 | backoff | unknown, or committed where the body says so |
/// | timeout, reset, unreadable 2xx | backoff | unknown |
/// | not sent | backoff | backoff |
/// | 403 without a code (edge proxy) | backoff | backoff |
/// | 409 | backoff | a create: backoff, for nothing was saved; a write: never, the caller reads again first |
/// | other 4xx, redirects | never | never |
///
/// Source: Notion API 2026-03-11, status codes and request limits; fact sheet section 6.
pub fn decide(class: Class, outcome: &Outcome, attempt: u32, jitter: f64) -> Retry {
    let own = |attempts: u32| {
        if attempt < attempts {
            Retry::After {
                wait: backoff(attempt, jitter),
                throttled: false,
            }
        } else {
            Retry::Never
        }
    };
    let unclear = || match class {
        Class::Read => own(READ_ATTEMPTS),
        Class::Write | Class::Create => Retry::Unknown,
    };
    match outcome {
        Outcome::Answered {
            status,
            retry_after,
            body,
        } => match (*status, body) {
            (429 | 529, body) => {
                let reason = body
                    .as_ref()
                    .and_then(|body| body.additional_data.get("rate_limit_reason"))
                    .and_then(|reason| reason.as_str());
                if reason == Some("public_api_request_blocked") {
                    Retry::StopConnection
                } else if attempt < THROTTLED_ATTEMPTS {
                    let wait = retry_after.unwrap_or_else(|| backoff(attempt, jitter));
                    Retry::After {
                        wait,
                        throttled: true,
                    }
                } else {
                    Retry::Never
                }
            }
            (401, _) => Retry::StopConnection,
            (403, None) => own(UNSENT_ATTEMPTS),
            (409, _) if class != Class::Write => own(READ_ATTEMPTS),
            (500.., body) => {
                let committed = body.as_ref().filter(|body| {
                    class != Class::Read
                        && (body.additional_data.contains_key("committed_resource_id")
                            || body.additional_data.contains_key("committed_child_ids"))
                });
                committed.map_or_else(unclear, |body| Retry::Committed(body.committed_ids()))
            }
            _ => Retry::Never,
        },
        Outcome::Unreadable | Outcome::TimedOut | Outcome::Broken => unclear(),
        Outcome::TooLarge if class == Class::Read => Retry::Never,
        Outcome::TooLarge => Retry::Unknown,
        Outcome::NotSent => own(UNSENT_ATTEMPTS),
    }
}

fn backoff(attempt: u32, jitter: f64) -> Duration {
    let doubled = 2f64.powi(attempt.saturating_sub(1).min(16) as i32);
    Duration::from_secs_f64(doubled * (0.5 + jitter)).min(LONGEST_BACKOFF)
}

/// The wait that a `Retry-After` header names: seconds, or a date, which is measured from the answer's own
/// `Date` so that no clock of ours matters.
pub fn parse_retry_after(header: &str, date: Option<&str>) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let parse =
        |text: &str| time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc2822).ok();
    let wait = parse(header)? - parse(date?.trim())?;
    Some(wait.try_into().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(status: u16, additional: serde_json::Value) -> Outcome {
        let body = serde_json::from_value(json!({"code": "x", "additional_data": additional})).unwrap();
        Outcome::Answered {
            status,
            retry_after: Some(Duration::from_secs(300)),
            body: Some(body),
        }
    }

    #[test]
    fn a_named_wait_is_obeyed_to_the_letter_for_every_class() {
        for class in [Class::Read, Class::Write, Class::Create] {
            for status in [429, 529] {
                for attempt in 1..10 {
                    assert_eq!(
                        decide(class, &answered(status, json!({})), attempt, 0.9),
                        Retry::After {
                            wait: Duration::from_secs(300),
                            throttled: true
                        }
                    );
                }
            }
        }
    }

    #[test]
    fn a_blocked_connection_and_an_invalid_token_stop() {
        let blocked = answered(429, json!({"rate_limit_reason": "public_api_request_blocked"}));
        assert_eq!(decide(Class::Read, &blocked, 1, 0.0), Retry::StopConnection);
        assert_eq!(
            decide(Class::Write, &answered(401, json!({})), 1, 0.0),
            Retry::StopConnection
        );
    }

    #[test]
    fn a_write_without_an_answer_is_unknown_and_never_repeated() {
        for class in [Class::Write, Class::Create] {
            for outcome in [
                answered(500, json!({})),
                answered(502, json!({})),
                answered(503, json!({})),
                answered(504, json!({})),
                Outcome::Answered {
                    status: 502,
                    retry_after: None,
                    body: None,
                },
                Outcome::TimedOut,
                Outcome::Broken,
                Outcome::Unreadable,
                Outcome::TooLarge,
            ] {
                for attempt in 1..4 {
                    assert_eq!(
                        decide(class, &outcome, attempt, 0.5),
                        Retry::Unknown,
                        "{outcome:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_committed_write_is_a_success() {
        let outcome = answered(503, json!({"committed_resource_id": "p1"}));
        assert_eq!(
            decide(Class::Create, &outcome, 1, 0.0),
            Retry::Committed(vec!["p1".to_owned()])
        );
    }

    #[test]
    fn reads_back_off_and_give_up() {
        let waits: Vec<Retry> = (1..=5)
            .map(|attempt| decide(Class::Read, &Outcome::TimedOut, attempt, 0.5))
            .collect();
        let after = |seconds| Retry::After {
            wait: Duration::from_secs(seconds),
            throttled: false,
        };
        assert_eq!(waits, [after(1), after(2), after(4), after(8), Retry::Never]);
    }

    #[test]
    fn a_conflict_of_a_write_is_the_callers_to_settle_and_a_create_is_repeated() {
        let conflict = answered(409, json!({}));
        assert_eq!(decide(Class::Write, &conflict, 1, 0.0), Retry::Never);
        assert!(matches!(
            decide(Class::Create, &conflict, 1, 0.0),
            Retry::After { throttled: false, .. }
        ));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(parse_retry_after("61", None), Some(Duration::from_secs(61)));
        assert_eq!(
            parse_retry_after(
                "Wed, 21 Oct 2026 07:29:30 GMT",
                Some("Wed, 21 Oct 2026 07:28:00 GMT")
            ),
            Some(Duration::from_secs(90))
        );
        assert_eq!(
            parse_retry_after(
                "Wed, 21 Oct 2026 07:27:00 GMT",
                Some("Wed, 21 Oct 2026 07:28:00 GMT")
            ),
            Some(Duration::ZERO)
        );
        assert_eq!(parse_retry_after("soon", None), None);
    }
}
