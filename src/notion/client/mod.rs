//! The client: every endpoint as a function, paced, retried and read into types.

mod answer;
mod content;
mod databases;
mod pages;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::Instant;

use self::answer::{Answer, Examined, committed_without_id, decode, decode_written, reason, unexpected};
use super::error::NotionError;
use super::pace::DEFAULT_REQUESTS_PER_MINUTE;
use super::request::{self, Request};
use super::retry::{self, Outcome, Retry};
use super::transport::{HttpTransport, NOTION_URL, RawAnswer, Transport};
use super::turnstile::{Closed, Turnstile};
use super::wire::{List, User};
use crate::ports::Priority;

pub(super) use self::answer::next;

/// How to reach Notion.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The connection's token.
    pub token: SecretString,
    /// [`NOTION_URL`], or a loopback address.
    pub base_url: String,
    /// The budget; 429 answers are obeyed whatever it says.
    pub requests_per_minute: u32,
    /// How long one exchange may take.
    pub request_timeout: Duration,
}

impl Settings {
    /// Notion itself, at the rate that every plan allows.
    pub fn new(token: SecretString) -> Self {
        Self {
            token,
            base_url: NOTION_URL.to_owned(),
            requests_per_minute: DEFAULT_REQUESTS_PER_MINUTE,
            request_timeout: Duration::from_secs(60),
        }
    }
}

/// What a client asked of Notion so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Requests sent, repetitions included.
    pub requests: u64,
    /// The same by endpoint, such as `POST /v1/pages`.
    pub by_endpoint: BTreeMap<&'static str, u64>,
    /// Answers that told us to slow down.
    pub throttled: u64,
    /// How long requests waited for their turn, added up.
    pub waited: Duration,
    /// What Notion's clock showed at the latest answer, in whole seconds (its `Date` header).
    pub answered_at: Option<OffsetDateTime>,
}

/// A connection to one workspace.
///
/// Clones share transport, budget and counters; [`Client::at`] gives one that queues with another priority.
/// Any number of calls may run at once: as many are sent together as the budget and a bound of 32 allow.
///
/// # Guarantees
///
/// A write is sent once, unless Notion said that it did not take effect (429, 529) or it never left. Where
/// that cannot be known the call fails with [`NotionError::UnknownOutcome`]. Dropping a call's future before
/// it is sent sends nothing; later, it is as unknown as a timeout.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    turnstile: Arc<Turnstile>,
    usage: Arc<Mutex<Usage>>,
    told: Arc<Mutex<Usage>>,
    priority: Priority,
}

impl Client {
    /// A client over HTTP, which shares its budget with every other client of the same token.
    ///
    /// # Errors
    ///
    /// [`NotionError::Connect`] for an address that is neither Notion's nor this machine's, or a malformed
    /// token. Nothing is sent.
    pub fn new(settings: &Settings) -> Result<Self, NotionError> {
        let token = settings.token.clone();
        let transport = HttpTransport::new(&settings.base_url, token, settings.request_timeout)?;
        let turnstile = Turnstile::shared(
            &settings.base_url,
            settings.token.expose_secret(),
            settings.requests_per_minute,
        );
        Ok(Self::over(Arc::new(transport), turnstile))
    }

    /// A client over any transport.
    pub fn over(transport: Arc<dyn Transport>, turnstile: Arc<Turnstile>) -> Self {
        Self {
            transport,
            turnstile,
            usage: Arc::default(),
            told: Arc::default(),
            priority: Priority::Pull,
        }
    }

    /// The same client, queueing with another priority.
    pub fn at(&self, priority: Priority) -> Self {
        Self {
            priority,
            ..self.clone()
        }
    }

    /// The same connection with counters of its own, from zero.
    pub fn counted_apart(&self) -> Self {
        Self {
            usage: Arc::default(),
            told: Arc::default(),
            ..self.clone()
        }
    }

    /// What was asked of Notion through this client and its clones.
    pub fn usage(&self) -> Usage {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much of the usage has been reported already.
    pub fn told(&self) -> Usage {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes all usage up to now for reported; the next report begins here.
    pub fn tell(&self) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = self.usage();
    }

    fn count(&self, change: impl FnOnce(&mut Usage)) {
        change(&mut self.usage.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Sends a request, as often as [`retry::decide`] says, and answers what the last attempt gave.
    async fn send(&self, request: &Request) -> Result<Answer, NotionError> {
        let operation = request.operation;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let queued = Instant::now();
            let pass = self
                .turnstile
                .pass(self.priority)
                .await
                .map_err(|closed| match closed {
                    Closed::Stopped(reason) => NotionError::Stopped { operation, reason },
                    Closed::Resting(wait) => NotionError::Resting { operation, wait },
                })?;
            let sent = Instant::now();
            self.count(|usage| {
                usage.requests += 1;
                *usage.by_endpoint.entry(operation.endpoint()).or_default() += 1;
                usage.waited += sent - queued;
            });
            let result = self.transport.send(request).await;
            if let Some(date) = result.as_ref().ok().and_then(|answer| answer.date.as_deref()) {
                let date = OffsetDateTime::parse(date, &Rfc2822).ok();
                self.count(|usage| usage.answered_at = date.or(usage.answered_at));
            }
            let examined = Examined::new(operation, result);
            tracing::debug!(
                target: "frames_sync::notion",
                method = operation.method(),
                endpoint = operation.endpoint(),
                status = examined.status,
                request_id = examined.request_id.as_deref(),
                attempt,
                milliseconds = u64::try_from(sent.elapsed().as_millis()).unwrap_or(u64::MAX),
                "notion request"
            );
            let (outcome, error) = match examined.result {
                Ok(body) => {
                    pass.answered();
                    return Ok(Answer::Body(body));
                }
                Err(failure) => *failure,
            };
            let verdict = retry::decide(request.class(), &outcome, attempt, jitter());
            if let Retry::After {
                wait,
                throttled: true,
            } = verdict
            {
                // Before the pass goes back, so that nobody slips through between the two.
                self.turnstile.pause(wait);
            }
            match outcome {
                Outcome::NotSent => pass.not_sent(),
                Outcome::Answered { status, .. } if status < 500 || status == 529 => pass.answered(),
                Outcome::TooLarge => pass.answered(),
                _ => pass.failed(),
            }
            match verdict {
                Retry::After { throttled: true, .. } => self.count(|usage| usage.throttled += 1),
                Retry::After {
                    wait,
                    throttled: false,
                } => tokio::time::sleep(wait).await,
                Retry::Committed(ids) => return Ok(Answer::Committed(ids)),
                Retry::Never => return Err(error),
                Retry::StopConnection => {
                    self.turnstile.stop(error.code().unwrap_or("unauthorized"));
                    return Err(error);
                }
                Retry::Unknown => {
                    self.turnstile.in_doubt();
                    return Err(NotionError::UnknownOutcome {
                        operation,
                        reason: reason(&error),
                        request_id: examined.request_id,
                    });
                }
            }
        }
    }

    /// Sends a request past the budget and answers whatever comes: for measuring the budget itself.
    pub(super) async fn send_unpaced(&self, request: &Request) -> Result<RawAnswer, NotionError> {
        let operation = request.operation;
        let sent = self.transport.send(request).await;
        sent.map_err(|problem| NotionError::Send { operation, problem })
    }

    pub(super) async fn read<T: DeserializeOwned>(&self, request: &Request) -> Result<T, NotionError> {
        match self.send(request).await? {
            Answer::Body(body) => decode(request.operation, &body),
            // Reads commit nothing: `decide` never says so for them.
            Answer::Committed(_) => Err(unexpected(request.operation, "no object in the answer")),
        }
    }

    /// Asks who the token belongs to.
    ///
    /// # Errors
    ///
    /// As every call: see [`NotionError`].
    pub async fn me(&self) -> Result<User, NotionError> {
        self.read(&request::me()).await
    }

    /// Lists the workspace's users.
    ///
    /// # Errors
    ///
    /// 403 without the capability to read users.
    pub async fn users(&self) -> Result<Vec<User>, NotionError> {
        self.collect(request::list_users).await
    }

    async fn finish_write<T: DeserializeOwned>(&self, request: &Request) -> Result<T, NotionError> {
        match self.send(request).await? {
            Answer::Body(body) => decode_written(request.operation, &body),
            Answer::Committed(_) => Err(committed_without_id(request.operation)),
        }
    }

    /// Sends a create, and reads what it made where the answer only names it.
    async fn create<T: DeserializeOwned>(
        &self,
        request: &Request,
        find: impl FnOnce(Client, String) -> futures_util::future::BoxFuture<'static, Result<T, NotionError>>,
    ) -> Result<T, NotionError> {
        match self.send(request).await? {
            Answer::Body(body) => decode_written(request.operation, &body),
            Answer::Committed(ids) => match ids.into_iter().next() {
                Some(id) => find(self.at(Priority::Settle), id).await,
                None => Err(committed_without_id(request.operation)),
            },
        }
    }

    /// Reads all batches of a listing that is known to be short.
    async fn collect<T: DeserializeOwned>(
        &self,
        batch: impl Fn(Option<&str>) -> Request,
    ) -> Result<Vec<T>, NotionError> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let request = batch(cursor.as_deref());
            let list: List<T> = self.read(&request).await?;
            all.extend(list.results);
            cursor = next(request.operation, list.has_more, list.next_cursor)?;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }
}

/// Says nothing but that it is a client: the token stays out of every message.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}

/// A random number in `0..1`.
fn jitter() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
