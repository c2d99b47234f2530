//! The simulator without a socket, for what runs in virtual time: whoever waits for a socket there waits for ever.

use std::time::Duration;

use super::http::{Options, Simulator, lock, query_of};
use super::record::Exchange;
use super::service::{Delivery, Manner};
use super::webhook::Parcel;
use super::workspace::{Content, JSON_TYPE, Payload, Request, written};

/// What comes back of a request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case, `content-type` and `date` among them.
    pub headers: Vec<(String, String)>,
    /// The whole body, whatever becomes of it on the way.
    pub body: Vec<u8>,
    /// How long it is kept back.
    pub delay: Duration,
    /// How it reaches the client.
    pub manner: Manner,
}

impl Simulator {
    /// A simulator that is asked by [`Self::arrive`], and whose events are fetched by [`Self::take_webhooks`]. It has no
    /// address.
    pub fn detached(options: Options) -> Self {
        Self::apart(options, "http://detached.invalid".to_owned())
    }

    /// Takes a request in at the present time. `target` is the path with the query, `body` is JSON.
    pub fn arrive(
        &self,
        method: &str,
        target: &str,
        version: &str,
        token: &str,
        body: Option<Vec<u8>>,
    ) -> Reply {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request_bytes = body.as_ref().map_or(0, Vec::len);
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query_of(query),
            version: Some(version.to_owned()),
            token: Some(token.to_owned()),
            payload: body.map_or(Payload::Nothing, Payload::Json),
        };
        let exchange = Exchange {
            number: 0,
            connection: None,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            endpoint: None,
            headers: Vec::new(),
            request_body: String::new(),
            request_bytes,
            status: None,
            content_type: String::new(),
            response_body: String::new(),
            at: String::new(),
        };
        let mut service = lock(&self.service);
        let Delivery {
            answer,
            delay,
            manner,
        } = service.arrive(request, exchange);
        let (content_type, body) = match answer.content {
            Content::Json(body) => (JSON_TYPE.to_owned(), written(&body).into_bytes()),
            Content::Html(page) => ("text/html; charset=utf-8".to_owned(), page.into_bytes()),
            Content::File { content_type, bytes } => (content_type, bytes),
        };
        let mut headers = answer.headers;
        headers.push(("content-type".to_owned(), content_type));
        headers.push(("date".to_owned(), service.clock.now().http_date()));
        Reply {
            status: answer.status,
            headers,
            body,
            delay,
            manner,
        }
    }

    /// Takes the webhook deliveries that are due.
    pub fn take_webhooks(&self) -> Vec<Parcel> {
        let mut service = lock(&self.service);
        service.catch_up();
        let service = &mut *service;
        service.webhooks.due(&service.workspace, service.workspace.now())
    }

    /// Gives a delivery back that was not taken, to be tried again later.
    pub fn return_webhook(&self, parcel: Parcel) {
        let mut service = lock(&self.service);
        let now = service.workspace.now();
        service.webhooks.failed(parcel, now);
    }
}
