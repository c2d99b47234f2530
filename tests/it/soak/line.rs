//! The line to Notion: a university's requests, at a price in time, and an eye on every byte that leaves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use frames_sync::notion::error::TransportError;
use frames_sync::notion::request::{API_VERSION, Body, Request};
use frames_sync::notion::transport::{RawAnswer, Transport};
use frames_sync::ports::BoxFuture;
use frames_sync::simulator::workspace::Seed;
use frames_sync::simulator::{Manner, Simulator};

use super::clock::VirtualClock;

/// How long one exchange may take, as the real transport has it.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long after it was given up on a request may still be applied.
pub(crate) const LATEST: Duration = Duration::from_secs(300);

/// A stretch of time in which an edit of a property could be overwritten unseen: from our direct read of the page until
/// our write arrived, or for a request without an answer until it may have arrived. Source: sync semantics, 5.1.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) page: String,
    pub(crate) property: String,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// What was seen on the line.
#[derive(Default)]
pub(crate) struct Seen {
    reads: BTreeMap<String, Duration>,
    /// When a person last edited a property of a page.
    edits: BTreeMap<(String, String), Duration>,
    pub(crate) windows: Vec<Window>,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// What left though it is another tenant's.
    pub(crate) leaks: Vec<String>,
}

pub(crate) struct Line {
    pub(crate) simulator: Arc<Simulator>,
    clock: Arc<VirtualClock>,
    latency: Mutex<Seed>,
    seen: Mutex<Seen>,
    /// What begins everything that anybody of another university ever wrote.
    strangers: Vec<String>,
}

impl Line {
    pub(crate) fn new(
        simulator: Arc<Simulator>,
        clock: Arc<VirtualClock>,
        seed: u64,
        strangers: Vec<String>,
    ) -> Self {
        Self {
            simulator,
            clock,
            latency: Mutex::new(Seed::new(seed)),
            seen: Mutex::default(),
            strangers,
        }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn way(&self) -> Duration {
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_millis(30 + latency.below(120))
    }

    async fn exchange(&self, request: &Request) -> Result<RawAnswer, TransportError> {
        tokio::time::sleep(self.way()).await;
        let body = match &request.body {
            Body::Empty => None,
            Body::Json(body) => Some(body.to_string()),
            Body::File { .. } => return Err(TransportError::NotSent("no files here".to_owned())),
        };
        let method = request.operation.method();
        self.watch(body.as_deref().unwrap_or_default());
        self.simulator.set_clock(self.clock.of_notion());
        let token = &self.simulator.tokens[0];
        let bytes = body.clone().map(String::into_bytes);
        let reply = self
            .simulator
            .arrive(method, &request.target(), API_VERSION, token, bytes);
        let is_settled = reply.manner == Manner::Whole && reply.status < 500;
        self.note(method, &request.path, body.as_deref(), is_settled);
        tokio::time::sleep(reply.delay + self.way()).await;
        match reply.manner {
            Manner::Dropped => return Err(TransportError::Broken("cut".to_owned())),
            Manner::Truncated => return Err(TransportError::Broken("cut in the middle".to_owned())),
            Manner::Whole => {}
        }
        let header = |name: &str| {
            let found = reply.headers.iter().find(|(found, _)| found == name);
            found.map(|(_, value)| value.clone())
        };
        Ok(RawAnswer {
            status: reply.status,
            request_id: header("x-notion-request-id"),
            retry_after: header("retry-after"),
            date: header("date"),
            content_type: header("content-type"),
            body: reply.body,
        })
    }

    /// I7: nothing that another university, or the tenant beside it, wrote ever leaves on this line.
    fn watch(&self, body: &str) {
        let mut seen = self.seen();
        for stranger in &self.strangers {
            if body.contains(stranger.as_str()) {
                seen.leaks.push(format!("a request holds `{stranger}`"));
            }
        }
    }

    fn note(&self, method: &str, path: &str, body: Option<&str>, is_settled: bool) {
        let now = self.clock.passed();
        let mut seen = self.seen();
        seen.requests += 1;
        seen.failed += u64::from(!is_settled);
        let Some(page) = path.strip_prefix("/v1/pages/").filter(|rest| !rest.contains('/')) else {
            return;
        };
        if method == "GET" {
            if is_settled {
                seen.reads.insert(page.to_owned(), now);
            }
            return;
        }
        let from = seen.reads.get(page).copied().unwrap_or(now);
        let sent: serde_json::Value = body
            .and_then(|body| serde_json::from_str(body).ok())
            .unwrap_or_default();
        for property in sent["properties"]
            .as_object()
            .into_iter()
            .flat_map(|sent| sent.keys())
        {
            let edited = seen.edits.get(&(page.to_owned(), property.clone()));
            // Only what an edit fell into, or may still fall into, is of interest.
            if is_settled && edited.is_none_or(|at| *at < from) {
                continue;
            }
            seen.windows.push(Window {
                page: page.to_owned(),
                property: property.clone(),
                from,
                until: if is_settled { now } else { now + LATEST },
            });
        }
    }

    /// A person has just edited a property.
    pub(crate) fn edited(&self, page: String, property: String) {
        let now = self.clock.passed();
        self.seen().edits.insert((page, property), now);
    }
}

impl Transport for Line {
    fn send<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<RawAnswer, TransportError>> {
        Box::pin(async move {
            tokio::time::timeout(TIMEOUT, self.exchange(request))
                .await
                .unwrap_or(Err(TransportError::TimedOut))
        })
    }
}
