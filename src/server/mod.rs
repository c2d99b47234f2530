//! HTTP around a runner: webhooks, an API, metrics, and pages for people.
//!
//! Nothing here syncs. A request wakes the runner through its [`Handle`], or reads and writes a profile's state through
//! the [`Memory`] that its caller supplies. TLS is expected in front of anything but loopback.
//!
//! Who may do what is decided in one place, [`auth`], before any route is looked up: what is not named there needs a
//! session.

mod api;
mod auth;
mod error;
mod health;
mod memory;
mod metrics;
mod site;
mod ui;
mod webhook;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post};
use http::header::{self, HeaderName};
use http::{HeaderValue, Method};
use tokio::net::TcpListener;

pub use auth::{Access, AccessError, SHORTEST_TOKEN};
pub use error::Problem;
pub use memory::{Choice, Memory, MemoryError, Subscription};

use crate::report::{ErrorCode, Outcome, ProfileReport};
use crate::runner::Handle;

/// Where what is meant for the operator goes: one line, without secrets and values of rows.
pub type Log = Arc<dyn Fn(Notice, &str) + Send + Sync>;

/// What a line for the operator is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something that was asked for is done.
    Done,
    /// Something went wrong.
    Wrong,
}

/// The same complaint is not made again before this has passed: strangers must not fill the log.
const COMPLAINT: Duration = Duration::from_secs(10);

/// The largest body of any request that is no webhook: a form or a few words of JSON.
const MAX_BODY: usize = 64 * 1024;

/// How long requests in flight may take to end once the server stops.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// What a server serves.
#[derive(Clone)]
pub struct Served {
    /// Wakes profiles and knows what became of them.
    pub handle: Handle,
    /// The memory of each profile that is served.
    pub memories: BTreeMap<String, Arc<dyn Memory>>,
    /// Who may use it.
    pub access: Access,
    /// Where what went wrong is said.
    pub log: Log,
}

/// What all handlers share.
struct App {
    handle: Handle,
    memories: BTreeMap<String, Arc<dyn Memory>>,
    access: Access,
    log: Log,
    counters: metrics::Counters,
    gates: BTreeMap<String, webhook::Gate>,
    database: health::Pulse,
    complained: Mutex<Option<(Instant, String)>>,
}

type Shared = Arc<App>;

impl App {
    /// The memory of a profile.
    fn memory(&self, profile: &str) -> Result<&Arc<dyn Memory>, Problem> {
        self.memories.get(profile).ok_or_else(Problem::unknown_profile)
    }

    /// Tells the operator what went wrong, unless that has just been told.
    fn complain(&self, line: String) {
        let mut last = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = last
            .as_ref()
            .is_none_or(|(at, told)| *told != line || at.elapsed() >= COMPLAINT);
        if is_new {
            (self.log)(Notice::Wrong, &line);
            *last = Some((Instant::now(), line));
        }
    }
}

/// Whether a cycle failed; that another instance does a profile's work is no failure.
fn has_failed(report: &ProfileReport) -> bool {
    let code = report.failure.as_ref().map(|failure| failure.code);
    report.outcome == Outcome::Failed && code != Some(ErrorCode::ProfileBusy)
}

/// The routes, with everything that guards them.
pub fn router(served: Served) -> Router {
    let gates = served
        .memories
        .keys()
        .map(|name| (name.clone(), webhook::Gate::default()))
        .collect();
    let app: Shared = Arc::new(App {
        handle: served.handle,
        memories: served.memories,
        access: served.access,
        log: served.log,
        counters: metrics::Counters::default(),
        gates,
        database: health::Pulse::default(),
        complained: Mutex::new(None),
    });
    Router::new()
        .route("/webhooks/notion/{profile}", post(webhook::receive))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::show))
        .nest("/api/v1", api::routes())
        .merge(ui::routes())
        .fallback(ui::not_found)
        .method_not_allowed_fallback(ui::wrong_method)
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&app),
            auth::guard,
        ))
        // A webhook has a limit of its own, which is larger.
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), finish))
        .with_state(app)
}

/// Answers on a socket until `stop` resolves; requests in flight are given a few seconds to end.
///
/// # Errors
///
/// When the socket fails for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        stop.await;
        // Nobody waits where the server has ended by itself.
        let _ = stopping.send(true);
    });
    tokio::select! {
        ended = async { server.await } => ended,
        () = async {
            // The sender is dropped only with the server, which then has ended.
            let _ = stopped.wait_for(|stopped| *stopped).await;
            tokio::time::sleep(LAST_REQUESTS).await;
        } => Ok(()),
    }
}

/// Counts and logs an answer, and adds what every answer carries.
async fn finish(State(app): State<Shared>, request: Request, next: Next) -> Response {
    const FIXED: [(HeaderName, &str); 6] = [
        // Styles and pictures of our own, forms to ourselves, no script at all.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Nothing to anybody else. With `no-referrer` browsers hide the origin from ourselves too, and every form of ours
        // comes with `Origin: null` (Fetch standard, "append a request `Origin` header"), which nobody may send.
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    // No label comes from outside: what matched no route is one of them.
    let route = match request.extensions().get::<axum::extract::MatchedPath>() {
        Some(path) => path.as_str().to_owned(),
        None => "none".to_owned(),
    };
    let method = match *request.method() {
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        _ => "other",
    };
    let mut response = next.run(request).await;
    if let Some(error::Logged(line)) = response.extensions().get() {
        app.complain(format!("{method} {route}: {line}"));
    }
    app.counters
        .answered(format!("{method} {route}"), response.status().as_u16());
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
