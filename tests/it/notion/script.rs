//! A transport that answers from a script and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use frames_sync::notion::Client;
use frames_sync::notion::error::TransportError;
use frames_sync::notion::request::Request;
use frames_sync::notion::transport::{RawAnswer, Transport};
use frames_sync::notion::turnstile::Turnstile;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

type Reply = Result<RawAnswer, TransportError>;

/// Answers in order; a request beyond the script fails the test.
pub(super) struct Script {
    replies: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<(Instant, Request)>>,
    latency: Duration,
}

impl Script {
    pub(super) fn new(replies: impl IntoIterator<Item = Reply>) -> Arc<Self> {
        Self::with_latency(replies, Duration::ZERO)
    }

    pub(super) fn with_latency(replies: impl IntoIterator<Item = Reply>, latency: Duration) -> Arc<Self> {
        Arc::new(Self {
            replies: Mutex::new(replies.into_iter().collect()),
            asked: Mutex::default(),
            latency,
        })
    }

    /// A client of this script with a budget of its own.
    pub(super) fn client(self: &Arc<Self>, requests_per_minute: u32) -> Client {
        Client::over(
            Arc::clone(self) as Arc<dyn Transport>,
            Turnstile::new(requests_per_minute),
        )
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|(_, request)| request.clone())
            .collect()
    }

    pub(super) fn times(&self) -> Vec<Instant> {
        self.asked.lock().unwrap().iter().map(|(time, _)| *time).collect()
    }
}

impl Transport for Script {
    fn send<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reply> {
        self.asked.lock().unwrap().push((Instant::now(), request.clone()));
        let reply = self.replies.lock().unwrap().pop_front();
        Box::pin(async move {
            tokio::time::sleep(self.latency).await;
            reply.expect("a request beyond the script")
        })
    }
}

pub(super) fn ok(body: Value) -> Reply {
    status(200, body)
}

pub(super) fn status(status: u16, body: Value) -> Reply {
    Ok(RawAnswer {
        status,
        request_id: Some("req-1".to_owned()),
        content_type: Some("application/json".to_owned()),
        body: body.to_string().into_bytes(),
        ..RawAnswer::default()
    })
}

pub(super) fn refusal(code: u16, name: &str, additional: Value) -> Reply {
    status(
        code,
        json!({"object": "error", "status": code, "code": name, "message": "…", "additional_data": additional}),
    )
}

pub(super) fn throttled(code: u16, seconds: u64) -> Reply {
    let mut answer = refusal(code, "rate_limited", json!({})).unwrap();
    answer.retry_after = Some(seconds.to_string());
    Ok(answer)
}

pub(super) fn page_id(number: u32) -> String {
    format!("59b8c3c2-0000-4000-8000-{number:012}")
}

/// A page created in that minute of an hour.
pub(super) fn page(number: u32, minute: u32) -> Value {
    json!({
        "object": "page", "id": page_id(number),
        "created_time": format!("2026-09-04T14:{minute:02}:00.000Z"),
        "last_edited_time": format!("2026-09-04T14:{minute:02}:00.000Z"),
        "created_by": {"object": "user", "id": "u"}, "last_edited_by": {"object": "user", "id": "u"},
        "in_trash": false, "is_archived": false,
        "parent": {"type": "data_source_id", "data_source_id": "d", "database_id": "b"},
        "url": "https://app.notion.com/p/x",
        "properties": {"Name": {"id": "title", "type": "title", "title": []}},
    })
}

pub(super) fn batch(pages: Vec<Value>, next: Option<&str>, status: Value) -> Reply {
    let mut body = json!({
        "object": "list", "type": "page_or_data_source", "page_or_data_source": {},
        "results": pages, "has_more": next.is_some(), "next_cursor": next,
    });
    if !status.is_null() {
        body["request_status"] = status;
    }
    ok(body)
}
