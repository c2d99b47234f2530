//! The simulator on a socket: the thin half.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, Multipart, Request as HttpRequest, State};
use axum::response::Response;
use futures_util::stream;
use http::{HeaderName, HeaderValue, header};
use tokio::sync::watch;
use uuid::Uuid;

use super::clock::Clock;
use super::fault::Fault;
use super::rate::RateLimits;
use super::record::{Exchange, Recording};
use super::service::{Delivery, Manner, Service};
use super::sever::{Sever, SeverableListener};
use super::webhook::WebhookFaults;
use super::workspace::{
    Answer, Capabilities, Content, JSON_TYPE, Payload, Request, Seed, UploadedPart, Workspace, written,
};
use super::{control, page, site};

/// How to start a [`Simulator`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// A connection for each; one is made up where none is given.
    pub tokens: Vec<String>,
    /// Determines every id, colour and chance.
    pub seed: u64,
    /// Requests allowed per minute.
    pub rate: RateLimits,
    /// Where time comes from.
    pub clock: Clock,
    /// How many exchanges are kept.
    pub recording: Recording,
}

/// A running simulator; dropping it stops it and waits for its thread.
#[derive(Debug)]
pub struct Simulator {
    /// What a client uses in place of `https://api.notion.com`: requests go to `{base_url}/v1/…`.
    pub base_url: String,
    /// The page at the top of the workspace, shared with every token.
    pub root_page_id: Uuid,
    /// The tokens, in the order given.
    pub tokens: Vec<String>,
    pub(super) service: Shared,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) type Shared = Arc<Mutex<Service>>;

/// A failure of one request must not take the simulator with it.
pub(crate) fn lock(service: &Shared) -> MutexGuard<'_, Service> {
    service.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is due is looked for this often.
const WEBHOOK_TICK: Duration = Duration::from_millis(20);

/// The whole body of a request at the most: a file part of 20 MiB with its wrapping.
const MAX_REQUEST_BYTES: usize = 24 * 1024 * 1024;

impl Simulator {
    /// Starts a simulator on a thread of its own, and answers when its port is open.
    ///
    /// # Errors
    ///
    /// Where the port is taken, or the thread cannot be made.
    pub fn start(options: Options) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)))?;
        listener.set_nonblocking(true)?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let mut simulator = Self::apart(options, base_url);
        let stopped = simulator.stop.subscribe();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let served = Arc::clone(&simulator.service);
        let thread = std::thread::Builder::new()
            .name("notion-simulator".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    // Registering a listener that is bound and non-blocking already has no way to fail but exhaustion.
                    if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                        serve(listener, served, stopped).await;
                    }
                });
                // Answers that are still slept on must not keep anyone waiting.
                runtime.shutdown_background();
            })?;
        simulator.thread = Some(thread);
        Ok(simulator)
    }

    /// A simulator that nobody serves.
    pub(super) fn apart(options: Options, base_url: String) -> Self {
        let mut workspace = Workspace::new(options.seed, options.clock.now());
        workspace.set_file_host(&base_url);
        let mut tokens = options.tokens;
        if tokens.is_empty() {
            tokens.push(format!(
                "ntn_simulator{}",
                Seed::new(options.seed ^ 0x70c3).uuid().simple()
            ));
        }
        for (index, token) in tokens.iter().enumerate() {
            let name = if index == 0 {
                "frames-sync".to_owned()
            } else {
                format!("Connection {}", index + 1)
            };
            workspace.connect(token, &name, Capabilities::default());
        }
        let root_page_id = workspace.root_page_id();
        let service = Service::new(
            workspace,
            options.clock,
            options.seed,
            options.rate,
            options.recording,
        );
        Self {
            base_url,
            root_page_id,
            tokens,
            service: Arc::new(Mutex::new(service)),
            stop: watch::channel(false).0,
            thread: None,
        }
    }

    /// Waits until something stops it.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic there has been told on standard error already.
            let _ = thread.join();
        }
    }

    /// Looks at the workspace, or does in it what a person would, at the present time.
    pub fn workspace<T>(&self, act: impl FnOnce(&mut Workspace) -> T) -> T {
        let mut service = lock(&self.service);
        service.catch_up();
        let result = act(&mut service.workspace);
        service.catch_up();
        result
    }

    /// Plans a fault.
    pub fn fault(&self, fault: Fault) {
        lock(&self.service).faults.add(fault);
    }

    /// Forgets all faults that have been planned.
    pub fn clear_faults(&self) {
        lock(&self.service).faults.clear();
    }

    /// The exchanges kept, oldest first.
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.service).recorder.exchanges()
    }

    /// Requests since the start or the last [`Self::clear_exchanges`], by endpoint (`POST /v1/pages`).
    pub fn request_counts(&self) -> BTreeMap<String, u64> {
        lock(&self.service).recorder.counts()
    }

    /// All requests since the start or the last [`Self::clear_exchanges`].
    pub fn request_count(&self) -> u64 {
        self.request_counts().values().sum()
    }

    /// Forgets the exchanges and counts so far.
    pub fn clear_exchanges(&self) {
        lock(&self.service).recorder.clear();
    }

    /// Sets the clock.
    pub fn set_clock(&self, clock: Clock) {
        lock(&self.service).clock = clock;
    }

    /// Moves time forward.
    pub fn advance(&self, length: Duration) {
        let mut service = lock(&self.service);
        service.clock.advance(length);
        service.catch_up();
    }

    /// Sets the requests allowed per minute.
    pub fn set_rate(&self, rate: RateLimits) {
        lock(&self.service).windows.limits = rate;
    }

    /// Subscribes a URL to the events that a connection (from 0) may see. Answers the verification token, which is
    /// posted to the URL as well, and which [`Self::verify_webhook`] wants back before events are sent.
    pub fn subscribe_webhook(&self, connection: usize, url: &str) -> String {
        let mut service = lock(&self.service);
        service.workspace.listen();
        let now = service.clock.now();
        service.webhooks.subscribe(connection, url, now)
    }

    /// Pastes a verification token back; whether it belongs to a subscription.
    pub fn verify_webhook(&self, token: &str) -> bool {
        lock(&self.service).webhooks.verify(token)
    }

    /// Events that are gathered and not on their way yet.
    pub fn webhooks_waiting(&self) -> usize {
        lock(&self.service).webhooks.waiting()
    }

    /// Sets what goes wrong on the way of events, and how long events are gathered.
    pub fn set_webhooks(&self, faults: WebhookFaults, window: Duration) {
        let mut service = lock(&self.service);
        service.webhooks.faults = faults;
        service.webhooks.window = window;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Nobody listens any more where the thread has ended already.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: tokio::net::TcpListener, service: Shared, stopped: watch::Receiver<bool>) {
    let app = Router::new()
        .merge(page::routes())
        .nest("/_simulator", control::routes())
        // The API itself asks for a token, which no other site's page has.
        .layer(axum::middleware::from_fn(site::refuse_other_sites))
        .fallback(answer)
        // Else forms end at 2 MB; the limit is `MAX_REQUEST_BYTES`.
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::clone(&service));
    let make = app.into_make_service_with_connect_info::<Sever>();
    let mut stop = stopped.clone();
    let server = async move { axum::serve(SeverableListener(listener), make).await };
    tokio::select! {
        _ = server => {}
        () = send_webhooks(service) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn send_webhooks(service: Shared) {
    // The client of other rooms may have installed a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap_or_default();
    loop {
        tokio::time::sleep(WEBHOOK_TICK).await;
        let parcels = {
            let mut service = lock(&service);
            service.catch_up();
            let service = &mut *service;
            service.webhooks.due(&service.workspace, service.workspace.now())
        };
        for parcel in parcels {
            let mut request = client
                .post(&parcel.url)
                .header("content-type", "application/json");
            if let Some(signature) = &parcel.signature {
                request = request.header("x-notion-signature", signature);
            }
            let sent = request.body(parcel.body.clone()).send().await;
            if !sent.is_ok_and(|answer| answer.status().is_success()) {
                let mut service = lock(&service);
                let now = service.workspace.now();
                service.webhooks.failed(parcel, now);
            }
        }
    }
}

async fn answer(
    State(service): State<Shared>,
    ConnectInfo(sever): ConnectInfo<Sever>,
    request: HttpRequest,
) -> Response {
    let exchange = exchange_of(&request);
    let (request, exchange) = match read(request).await {
        Ok((request, request_bytes)) => (
            request,
            Exchange {
                request_bytes,
                ..exchange
            },
        ),
        Err(status) => return plain(status, "the request body is too large or cannot be read"),
    };
    let Delivery {
        answer,
        delay,
        manner,
    } = lock(&service).arrive(request, exchange);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if manner == Manner::Dropped {
        sever.cut();
    }
    let mut response = render(answer, manner == Manner::Truncated);
    // The workspace's time when the answer leaves, not this machine's: clients measure Notion's clock by it.
    let date = lock(&service).clock.now().http_date();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

fn exchange_of(request: &HttpRequest) -> Exchange {
    let headers = request
        .headers()
        .iter()
        .filter(|(name, _)| *name != header::AUTHORIZATION);
    Exchange {
        number: 0,
        connection: None,
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        endpoint: None,
        headers: headers
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        request_body: String::new(),
        request_bytes: 0,
        status: None,
        content_type: String::new(),
        response_body: String::new(),
        at: String::new(),
    }
}

/// The request without its transport, and the bytes of its body.
async fn read(request: HttpRequest) -> Result<(Request, usize), u16> {
    let (head, body) = request.into_parts();
    let (mut read, is_form) = read_head(&head);
    let bytes = axum::body::to_bytes(body, MAX_REQUEST_BYTES)
        .await
        .map_err(|_| 413_u16)?;
    let length = bytes.len();
    read.payload = if is_form {
        Payload::Part(
            part_of(HttpRequest::from_parts(head, Body::from(bytes)))
                .await
                .map_err(|_| 400_u16)?,
        )
    } else if bytes.is_empty() {
        Payload::Nothing
    } else {
        Payload::Json(bytes.to_vec())
    };
    Ok((read, length))
}

fn read_head(head: &http::request::Parts) -> (Request, bool) {
    let text = |name: &str| {
        head.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let token = text("authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
    let read = Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: query_of(head.uri.query().unwrap_or_default()),
        version: text("notion-version"),
        token,
        payload: Payload::Nothing,
    };
    (
        read,
        text("content-type").is_some_and(|kind| kind.starts_with("multipart/form-data")),
    )
}

async fn part_of(request: HttpRequest) -> Result<UploadedPart, axum::extract::multipart::MultipartError> {
    let mut part = UploadedPart::default();
    let Ok(mut form) = Multipart::from_request(request, &()).await else {
        return Ok(part);
    };
    while let Some(field) = form.next_field().await? {
        match field.name() {
            Some("file") => {
                part.content_type = field.content_type().map(str::to_owned);
                part.filename = field.file_name().map(str::to_owned);
                part.bytes = field.bytes().await?.to_vec();
            }
            Some("part_number") => part.number = field.text().await?.parse().ok(),
            _ => {}
        }
    }
    Ok(part)
}

/// The decoded pairs of a query string, in order.
pub(crate) fn query_of(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| super::workspace::percent_decoded(&text.replace('+', " ")).unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key), decoded(value))
        })
        .collect()
}

/// An answer as HTTP; `cut` ends the connection halfway through the body.
pub(crate) fn render(answer: Answer, cut: bool) -> Response {
    let (content_type, bytes) = match answer.content {
        Content::Json(body) => (JSON_TYPE.to_owned(), Bytes::from(written(&body))),
        Content::Html(page) => ("text/html; charset=utf-8".to_owned(), Bytes::from(page)),
        Content::File { content_type, bytes } => (content_type, Bytes::from(bytes)),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() =
        http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&content_type) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    *response.body_mut() = if cut {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        let half = bytes.slice(..bytes.len() / 2);
        Body::from_stream(stream::iter([
            Ok(half),
            Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        ]))
    } else {
        Body::from(bytes)
    };
    response
}

/// A short answer in plain text, for what is not the API.
pub(crate) fn plain(status: u16, text: &str) -> Response {
    let content = Content::File {
        content_type: "text/plain; charset=utf-8".to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    render(
        Answer {
            status,
            headers: Vec::new(),
            content,
        },
        false,
    )
}
