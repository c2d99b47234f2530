//! Notion's webhooks: signed deliveries that say where to look.
//!
//! Nothing of a delivery is believed but the page's id, and nothing is parsed before its signature is known to be right.
//! A delivery that is late, doubled, replayed or made up by whoever holds the token costs at most a few reads; one that
//! never comes costs latency only. Source: sync semantics, sections 7 and 11 (S10 to S12).

mod seen;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use self::seen::{Seen, Verdict};
use super::{App, Memory, MemoryError, Notice, Problem, Shared, Subscription};
use crate::notion::webhook::{Delivery, Event, MAX_DELIVERY, SIGNATURE_HEADER, handshake, verify};
use crate::runner::{Hint, WakeError};
use crate::value::{DataSourceId, PageId};

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a subscription is believed to be as it was read: strangers' deliveries must not become queries.
const HOLDS: Duration = Duration::from_secs(1);

/// A handshake is one short line; whatever is longer and unsigned is no handshake.
const MAX_HANDSHAKE: usize = 4 * 1024;

/// The longest token that is kept, in characters; Notion's have about 50.
const MAX_TOKEN: usize = 256;

/// What stands between the world and a profile's runner.
#[derive(Default)]
pub(super) struct Gate {
    read: tokio::sync::Mutex<Option<(Instant, Read)>>,
    seen: Mutex<Seen>,
}

type Read = Result<Arc<Subscription>, MemoryError>;

impl Gate {
    /// The profile's subscription as it was within the last second; a failure holds as long.
    async fn subscription(&self, memory: &dyn Memory) -> Read {
        let mut read = self.read.lock().await;
        if let Some((at, subscription)) = &*read
            && at.elapsed() < HOLDS
        {
            return subscription.clone();
        }
        let subscription = memory.subscription().await.map(Arc::new);
        *read = Some((Instant::now(), subscription.clone()));
        subscription
    }

    async fn forget_subscription(&self) {
        *self.read.lock().await = None;
    }

    fn seen<T>(&self, act: impl FnOnce(&mut Seen) -> T) -> T {
        act(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What became of a delivery; each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The runner will look at the page.
    Woken,
    /// The page had its share for now; the runner looks once more when its minute is over.
    Merged,
    /// The event was taken before.
    Replayed,
    /// The event is about nothing that is synced.
    Ignored,
    /// So many pages have events that this one is left to the schedule.
    Flooded,
    /// A handshake's token was stored.
    Enrolled,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Woken => "woken",
            Self::Merged => "merged",
            Self::Replayed => "replayed",
            Self::Ignored => "ignored",
            Self::Flooded => "flooded",
            Self::Enrolled => "enrolled",
        }
    }
}

/// `POST /webhooks/notion/{profile}`.
pub(super) async fn receive(
    State(app): State<Shared>,
    Path(profile): Path<String>,
    request: Request,
) -> Response {
    let outcome = judge(&app, &profile, request).await;
    let name = match &outcome {
        Ok(outcome) => outcome.name(),
        Err(problem) => problem.code,
    };
    // A name that nobody gave a profile is no label.
    let counted = if app.memories.contains_key(&profile) {
        profile.as_str()
    } else {
        ""
    };
    app.counters.webhook(counted, name);
    match outcome {
        Ok(outcome) => {
            let response = axum::Json(json!({ "outcome": outcome.name() })).into_response();
            (StatusCode::OK, response).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

async fn judge(app: &Shared, profile: &str, request: Request) -> Result<Outcome, Problem> {
    let signature = request
        .headers()
        .get_all(SIGNATURE_HEADER)
        .iter()
        .collect::<Vec<_>>();
    let signature = match signature.as_slice() {
        [] => None,
        [one] => Some(one.to_str().map_err(|_| unsigned())?.to_owned()),
        _ => return Err(unsigned()),
    };
    let body = tokio::time::timeout(PATIENCE, to_bytes(request.into_body(), MAX_DELIVERY))
        .await
        .map_err(|_| {
            Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "too_slow",
                "the delivery did not arrive in time",
            )
        })?
        .map_err(|_| Problem::too_large())?;
    // Whoever guesses profiles learns nothing from the answer.
    let (Some(memory), Some(gate)) = (app.memories.get(profile), app.gates.get(profile)) else {
        return Err(unsigned());
    };
    let subscription = match gate.subscription(memory.as_ref()).await {
        Ok(subscription) => subscription,
        Err(MemoryError::NotSetUp) => return Err(unsigned()),
        Err(error) => return Err(error.into()),
    };
    let verified = match (&subscription.enrolment.token, &signature) {
        (Some(token), Some(_)) => verify(token, signature.as_deref(), &body).ok(),
        _ => None,
    };
    match verified {
        Some(event) => take(app, profile, memory.as_ref(), gate, &subscription, &event).await,
        None => enrol(app, profile, memory.as_ref(), gate, &body).await,
    }
}

/// Takes a handshake while an operator lets one in; anything else that is not signed is refused.
///
/// A handshake proves nothing: its signature, where it has one, is made with the token that it carries.
async fn enrol(
    app: &App,
    profile: &str,
    memory: &dyn Memory,
    gate: &Gate,
    body: &[u8],
) -> Result<Outcome, Problem> {
    if body.len() > MAX_HANDSHAKE {
        return Err(unsigned());
    }
    let Ok(Delivery::Handshake(token)) = handshake(body) else {
        return Err(unsigned());
    };
    let closed = || {
        Problem::forbidden(
            "not_enrolling",
            "no handshake is expected; `frames-sync webhook enroll` lets one in for ten minutes",
        )
    };
    let length = secrecy::ExposeSecret::expose_secret(&token).chars().count();
    if !(1..=MAX_TOKEN).contains(&length) {
        return Err(unsigned());
    }
    if !gate.subscription(memory).await?.enrolment.is_open {
        return Err(closed());
    }
    // The database decides: the window may have closed, and of two handshakes one is taken.
    let is_taken = memory.enrol(token).await?;
    gate.forget_subscription().await;
    if !is_taken {
        return Err(closed());
    }
    let line = format!(
        "profile {profile}: a webhook subscription is enrolled; paste its token in Notion to verify it"
    );
    (app.log)(Notice::Done, &line);
    Ok(Outcome::Enrolled)
}

/// Takes an event whose signature is right.
async fn take(
    app: &Shared,
    profile: &str,
    memory: &dyn Memory,
    gate: &Gate,
    subscription: &Subscription,
    event: &Event,
) -> Result<Outcome, Problem> {
    if subscription.workspace.as_ref() != Some(&event.workspace_id) {
        return Err(Problem::forbidden(
            "foreign_workspace",
            "the event is of another workspace than the profile's",
        ));
    }
    let integration = event.integration_id.as_deref();
    let is_ours = match (&subscription.enrolment.integration, integration) {
        (_, None) => false,
        (Some(pinned), Some(named)) => pinned == named,
        (None, Some(named)) => {
            let is_pinned = memory.pin_integration(named.to_owned()).await?;
            gate.forget_subscription().await;
            is_pinned
        }
    };
    if !is_ours {
        return Err(Problem::forbidden(
            "foreign_connection",
            "the event is for another connection than the profile's",
        ));
    }
    let Some(page) = page_of(event, subscription) else {
        return Ok(Outcome::Ignored);
    };
    Ok(
        match gate.seen(|seen| seen.judge(&event.id, &page, Instant::now().into_std())) {
            Verdict::Pass => wake(app, profile, page)?,
            Verdict::Merged => Outcome::Merged,
            Verdict::Later(wait) => {
                later(Arc::clone(app), profile.to_owned(), page, wait);
                Outcome::Merged
            }
            Verdict::Replayed => Outcome::Replayed,
            Verdict::Crowded => Outcome::Flooded,
        },
    )
}

/// The page that an event is about, where it may be one of the profile's.
fn page_of(event: &Event, subscription: &Subscription) -> Option<PageId> {
    if event.entity.kind != "page" {
        return None;
    }
    // A page that was moved names the place it has left for.
    let is_synced = event.kind == "page.moved"
        || event
            .data_source_id()
            .is_some_and(|id| subscription.data_sources.contains(&DataSourceId(id.to_owned())));
    is_synced.then(|| PageId(event.entity.id.to_ascii_lowercase()))
}

fn wake(app: &App, profile: &str, page: PageId) -> Result<Outcome, Problem> {
    match app.handle.wake(profile, Hint::Page(page)) {
        Ok(()) => Ok(Outcome::Woken),
        // What is waiting, or the schedule, looks at it anyway; another delivery would not help.
        Err(WakeError::Full) => Ok(Outcome::Flooded),
        // Notion tries again, and finds another instance or this one started anew.
        Err(error) => Err(error.into()),
    }
}

/// Looks at a page once more when its minute is over, so that the last of many edits is seen too.
fn later(app: Shared, profile: String, page: PageId, wait: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep(wait).await;
        if let Some(gate) = app.gates.get(&profile) {
            gate.seen(|seen| seen.paid(&page, Instant::now().into_std()));
        }
        // A hint that is lost costs latency only.
        let _ = wake(&app, &profile, page);
    });
}

/// One answer for a missing, short, misspelt or wrong signature, an unknown profile and a body that is nothing: they
/// differ in what the sender knows, and not in what is done.
fn unsigned() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unsigned",
        "the delivery is not signed with the profile's token",
    )
}
