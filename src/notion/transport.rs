//! The wire itself: one request out, one answer back, no opinion about either.

use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret, SecretString};

use super::error::{NotionError, TransportError};
use super::request::{API_VERSION, Body, Request};

/// The address of Notion's API.
pub const NOTION_URL: &str = "https://api.notion.com";

/// The largest answer that is read, after decompression, in bytes.
pub const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an unused connection is kept: short, since a write on one that the server is just closing has an
/// unknown outcome.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// An answer as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawAnswer {
    /// The HTTP status.
    pub status: u16,
    /// `x-notion-request-id`.
    pub request_id: Option<String>,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// `Date`.
    pub date: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// The body, decompressed.
    pub body: Vec<u8>,
}

/// What carries requests to Notion and answers back.
///
/// Each call sends its request at most once, and never to anywhere but the place it was made for.
pub trait Transport: Send + Sync {
    /// Sends a request and reads its answer.
    ///
    /// # Errors
    ///
    /// [`TransportError`], which tells requests that surely did not leave from those that may have.
    fn send<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<RawAnswer, TransportError>>;
}

/// The transport over HTTPS, or over plain HTTP to this machine.
pub struct HttpTransport {
    http: reqwest::Client,
    base_url: String,
    token: SecretString,
    timeout: Duration,
}

impl HttpTransport {
    /// A transport to `base_url`, which is [`NOTION_URL`] or a loopback address.
    ///
    /// `timeout` bounds a whole exchange; Notion itself cuts requests at about 60 seconds.
    ///
    /// # Errors
    ///
    /// [`NotionError::Connect`] for any other address, and for a token that cannot stand in a header.
    pub fn new(base_url: &str, token: SecretString, timeout: Duration) -> Result<Self, NotionError> {
        let base_url = base_url.trim_end_matches('/').to_owned();
        let loopback = check_base_url(&base_url)?;
        let in_header = |byte: u8| byte.is_ascii_graphic();
        if token.expose_secret().is_empty() || !token.expose_secret().bytes().all(in_header) {
            let problem = "the token is empty or holds characters that no token has; copy it again";
            return Err(NotionError::Connect(problem.to_owned()));
        }
        // Another part of the process may have installed a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("frames-sync/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT);
        builder = if loopback {
            builder.no_proxy()
        } else {
            builder.https_only(true)
        };
        let http = builder
            .build()
            .map_err(|error| NotionError::Connect(describe(&error)))?;
        Ok(Self {
            http,
            base_url,
            token,
            timeout,
        })
    }

    async fn exchange(&self, request: &Request) -> Result<RawAnswer, TransportError> {
        let method = match request.operation.method() {
            "GET" => reqwest::Method::GET,
            "PATCH" => reqwest::Method::PATCH,
            _ => reqwest::Method::POST,
        };
        let mut outgoing = self
            .http
            .request(method, format!("{}{}", self.base_url, request.target()))
            .bearer_auth(self.token.expose_secret())
            .header("Notion-Version", API_VERSION);
        outgoing = match &request.body {
            Body::Empty => outgoing,
            Body::Json(body) => outgoing.json(body),
            Body::File {
                filename,
                content_type,
                part,
                bytes,
            } => {
                let file = reqwest::multipart::Part::bytes(bytes.clone())
                    .file_name(filename.clone())
                    .mime_str(content_type)
                    .map_err(|_| TransportError::NotSent("the content type is malformed".to_owned()))?;
                let mut form = reqwest::multipart::Form::new();
                if let Some(part) = part {
                    form = form.text("part_number", part.to_string());
                }
                outgoing.multipart(form.part("file", file))
            }
        };
        let mut incoming = outgoing.send().await.map_err(classify)?;
        let header = |headers: &HeaderMap, name: &'static str| {
            headers
                .get(HeaderName::from_static(name))
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let mut answer = RawAnswer {
            status: incoming.status().as_u16(),
            request_id: header(incoming.headers(), "x-notion-request-id"),
            retry_after: header(incoming.headers(), "retry-after"),
            date: header(incoming.headers(), "date"),
            content_type: header(incoming.headers(), "content-type"),
            body: Vec::new(),
        };
        while let Some(chunk) = incoming.chunk().await.map_err(classify)? {
            if answer.body.len() + chunk.len() > MAX_ANSWER {
                return Err(TransportError::TooLarge);
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

impl Transport for HttpTransport {
    fn send<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<RawAnswer, TransportError>> {
        Box::pin(async move {
            match tokio::time::timeout(self.timeout, self.exchange(request)).await {
                Ok(result) => result,
                Err(_) => Err(TransportError::TimedOut),
            }
        })
    }
}

/// Whether the address is of this machine.
///
/// # Errors
///
/// [`NotionError::Connect`] when it is neither that nor Notion's.
fn check_base_url(base_url: &str) -> Result<bool, NotionError> {
    if base_url == NOTION_URL {
        return Ok(false);
    }
    let refused = || {
        NotionError::Connect(format!(
            "the address must be {NOTION_URL}, or a loopback one such as http://127.0.0.1:8080"
        ))
    };
    let url = reqwest::Url::parse(base_url).map_err(|_| refused())?;
    let loopback = match url.host() {
        Some(url_host) => {
            let host = url_host.to_string();
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            host == "localhost"
                || bare
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        None => false,
    };
    let plain = url.username().is_empty()
        && url.password().is_none()
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none();
    if loopback && plain && matches!(url.scheme(), "http" | "https") {
        Ok(true)
    } else {
        Err(refused())
    }
}

fn classify(error: reqwest::Error) -> TransportError {
    if error.is_connect() || error.is_builder() {
        TransportError::NotSent(describe(&error))
    } else if error.is_timeout() {
        TransportError::TimedOut
    } else {
        TransportError::Broken(describe(&error))
    }
}

/// The deepest cause: what happened, without the address that the outer layers repeat.
fn describe(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_notion_and_this_machine_are_spoken_to() {
        for accepted in [
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080/",
            "http://[::1]:1",
            "http://localhost:9",
        ] {
            assert!(check_base_url(accepted).unwrap(), "{accepted}");
        }
        assert!(!check_base_url(NOTION_URL).unwrap());
        for refused in [
            "http://api.notion.com",
            "https://api.notion.com.evil.example",
            "https://evil.example",
            "http://169.254.169.254",
            "http://0.0.0.0:80",
            "http://user:pass@127.0.0.1:80",
            "http://127.0.0.1@evil.example",
            "http://localhost.evil.example",
            "http://127.0.0.1:80/path",
            "file:///etc/passwd",
            "ftp://127.0.0.1",
            "",
        ] {
            assert!(check_base_url(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_refused() {
        for token in ["", "ntn_a b", "ntn_a\nX-Other: 1", "ntn_ü"] {
            let made = HttpTransport::new(NOTION_URL, token.to_owned().into(), Duration::from_secs(1));
            let Err(error) = made else { panic!("accepted") };
            assert!(!error.to_string().contains("ntn_"));
        }
    }
}
