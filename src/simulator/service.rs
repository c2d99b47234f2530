//! What happens to a request between the socket and the workspace: limits, faults, lateness, the record. No I/O.

use std::time::Duration;

use super::clock::Clock;
use super::fault::{self, Applied, Arrival, Effect, FaultPlan};
use super::rate::{RateLimits, Windows};
use super::record::{Exchange, Recorder, Recording};
use super::webhook::Webhooks;
use super::workspace::{
    Answer, Content, JSON_TYPE, Moment, Payload, Request, Seed, Workspace, endpoint_of, written,
};

/// Everything behind the socket.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) workspace: Workspace,
    pub(crate) clock: Clock,
    pub(crate) faults: FaultPlan,
    pub(crate) recorder: Recorder,
    pub(crate) webhooks: Webhooks,
    pub(crate) windows: Windows,
    /// Requests whose client was sent away, and when they are done.
    late: Vec<(Moment, Request)>,
    /// Ids of requests that never reach the workspace.
    ids: Seed,
}

/// How to send an answer.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) answer: Answer,
    pub(crate) delay: Duration,
    pub(crate) manner: Manner,
}

/// How an answer reaches its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Whole,
    /// Half of the body, then the end of the connection.
    Truncated,
    /// No byte at all.
    Dropped,
}

impl Service {
    pub(crate) fn new(
        workspace: Workspace,
        clock: Clock,
        seed: u64,
        limits: RateLimits,
        recording: Recording,
    ) -> Self {
        Self {
            workspace,
            clock,
            faults: FaultPlan::new(seed),
            recorder: Recorder::new(recording),
            webhooks: Webhooks::new(seed),
            windows: Windows::new(limits),
            late: Vec::new(),
            ids: Seed::new(seed ^ 0x1d5),
        }
    }

    /// Brings the workspace to the present: its time, and the late requests that are due.
    pub(crate) fn catch_up(&mut self) {
        let now = self.clock.now();
        while let Some(index) = self.late.iter().position(|(due, _)| *due <= now) {
            let (due, request) = self.late.remove(index);
            self.workspace.set_now(due);
            self.workspace.answer(&request);
        }
        self.workspace.set_now(now);
        let events = self.workspace.take_events();
        self.webhooks.gather(events);
    }

    /// Takes a request in, and says what to send back.
    pub(crate) fn arrive(&mut self, request: Request, mut exchange: Exchange) -> Delivery {
        self.catch_up();
        let endpoint = endpoint_of(&request.method, &request.path);
        let connection = request
            .token
            .as_deref()
            .and_then(|token| self.workspace.connection_of(token));
        exchange.connection = connection;
        exchange.endpoint.clone_from(&endpoint);
        exchange.at = self.workspace.now().iso();
        let arrival = Arrival {
            endpoint: endpoint.as_deref(),
            is_write: request.is_write(),
            connection,
        };
        let mut delivery = self.decide(&request, arrival);
        if self.recorder.keeps_bodies() {
            match &request.payload {
                Payload::Json(bytes) => exchange.request_body = String::from_utf8_lossy(bytes).into_owned(),
                Payload::Part(_) | Payload::Nothing => {}
            }
            let content = &mut delivery.answer.content;
            (exchange.content_type, exchange.response_body) = match content {
                Content::Json(body) => {
                    // Written once, for the record and for the socket.
                    let text = written(body);
                    let bytes = text.clone().into_bytes();
                    let content_type = JSON_TYPE.to_owned();
                    *content = Content::File { content_type, bytes };
                    ("application/json".to_owned(), text)
                }
                Content::Html(page) => ("text/html".to_owned(), page.clone()),
                Content::File { content_type, .. } => (content_type.clone(), String::new()),
            };
        }
        exchange.status = (delivery.manner != Manner::Dropped).then_some(delivery.answer.status);
        self.recorder.record(exchange);
        let events = self.workspace.take_events();
        self.webhooks.gather(events);
        delivery
    }

    fn decide(&mut self, request: &Request, arrival: Arrival<'_>) -> Delivery {
        let whole = |answer| Delivery {
            answer,
            delay: Duration::ZERO,
            manner: Manner::Whole,
        };
        if let Some(connection) = arrival.connection
            && let Err(over) = self.windows.admit(connection, self.workspace.now())
        {
            return whole(fault::rate_limited(
                over.retry_after,
                over.reason,
                self.ids.uuid(),
            ));
        }
        let Some(effect) = self.faults.decide(arrival) else {
            return whole(self.workspace.answer(request));
        };
        let id = self.ids.uuid();
        match effect {
            Effect::RateLimited { retry_after, reason } => {
                whole(fault::rate_limited(retry_after, &reason, id))
            }
            Effect::Overloaded { retry_after } => {
                let mut answer = fault::server_error(529, id);
                answer
                    .headers
                    .extend(retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string())));
                whole(answer)
            }
            Effect::Conflict => whole(fault::server_error(409, id)),
            Effect::ServerError { status, applied } => {
                if applied == Applied::Yes {
                    self.workspace.answer(request);
                }
                whole(fault::server_error(status, id))
            }
            Effect::Committed => {
                let done = self.workspace.answer(request);
                // A refused request has committed nothing.
                whole(if done.status == 200 {
                    fault::committed(&done, id)
                } else {
                    done
                })
            }
            Effect::Dropped { applied } => {
                let answer = match applied {
                    Applied::Yes => self.workspace.answer(request),
                    Applied::No => fault::server_error(504, id),
                };
                Delivery {
                    answer,
                    delay: Duration::ZERO,
                    manner: Manner::Dropped,
                }
            }
            Effect::AppliedLate { seconds } => {
                let due = self.workspace.now().after(Duration::from_secs(seconds));
                self.late.push((due, request.clone()));
                Delivery {
                    answer: fault::server_error(504, id),
                    delay: Duration::ZERO,
                    manner: Manner::Dropped,
                }
            }
            Effect::Truncated => Delivery {
                answer: self.workspace.answer(request),
                delay: Duration::ZERO,
                manner: Manner::Truncated,
            },
            Effect::Slow { milliseconds } => Delivery {
                answer: self.workspace.answer(request),
                delay: Duration::from_millis(milliseconds),
                manner: Manner::Whole,
            },
            Effect::Shuffled => {
                self.workspace.shuffle_next_query();
                whole(self.workspace.answer(request))
            }
            Effect::Proxy => whole(fault::proxy()),
            Effect::Odd {
                status,
                content_type,
                body,
                repeat,
                location,
            } => {
                let headers = location
                    .map(|location| ("location".to_owned(), location))
                    .into_iter()
                    .collect();
                let bytes = body.repeat(repeat).into_bytes();
                whole(Answer {
                    status,
                    headers,
                    content: Content::File { content_type, bytes },
                })
            }
        }
    }
}
