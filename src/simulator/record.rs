//! What was asked and answered, kept for tests to look at.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::Value as Json;

/// One request and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// Counted from 1 since the start.
    pub number: u64,
    /// The connection whose token came with it, counted from 0; `None` for no token or an unknown one.
    pub connection: Option<usize>,
    /// The method in capitals.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// The query string as sent.
    pub query: String,
    /// Method and path template, such as `POST /v1/pages`; `None` where the API has no such path.
    pub endpoint: Option<String>,
    /// The headers, names in lower case, without the value of `authorization`.
    pub headers: Vec<(String, String)>,
    /// The body as sent; a multipart body is left out.
    pub request_body: String,
    /// Bytes of the body as sent.
    pub request_bytes: usize,
    /// The status; `None` where the connection was cut without an answer.
    pub status: Option<u16>,
    /// The content type of the answer.
    pub content_type: String,
    /// The body of the answer, for JSON and HTML.
    pub response_body: String,
    /// When it arrived, in the simulator's time (ISO 8601).
    pub at: String,
}

impl Exchange {
    /// The body sent, as JSON; `null` where it is none.
    pub fn request_json(&self) -> Json {
        serde_json::from_str(&self.request_body).unwrap_or_default()
    }

    /// The body answered, as JSON; `null` where it is none.
    pub fn response_json(&self) -> Json {
        serde_json::from_str(&self.response_body).unwrap_or_default()
    }
}

/// How many exchanges are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Only counts.
    Nothing,
    /// The last ones, and no more than 32 MiB of them.
    Last(usize),
    /// All, whatever memory they take.
    Everything,
}

impl Default for Recording {
    /// The last 1000.
    fn default() -> Self {
        Self::Last(1000)
    }
}

/// Bytes kept by [`Recording::Last`]; a thousand batches of a hundred pages would be several times as much.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// The bytes that an exchange takes, but for a few of fixed size.
fn size(exchange: &Exchange) -> usize {
    let headers = exchange
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len());
    exchange.request_body.len()
        + exchange.response_body.len()
        + exchange.path.len()
        + exchange.query.len()
        + headers.sum::<usize>()
}

/// The exchanges kept, and counts of all.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    recording: Recording,
    exchanges: VecDeque<Exchange>,
    counts: BTreeMap<String, u64>,
    total: u64,
    bytes: usize,
}

impl Recorder {
    pub(crate) fn new(recording: Recording) -> Self {
        Self {
            recording,
            ..Self::default()
        }
    }

    /// Whether bodies are wanted at all.
    pub(crate) fn keeps_bodies(&self) -> bool {
        self.recording != Recording::Nothing
    }

    pub(crate) fn record(&mut self, mut exchange: Exchange) {
        self.total += 1;
        exchange.number = self.total;
        let name = exchange.endpoint.clone().unwrap_or_else(|| "unknown".to_owned());
        *self.counts.entry(name).or_default() += 1;
        match self.recording {
            Recording::Nothing => return,
            Recording::Last(most) => {
                self.bytes += size(&exchange);
                while self.exchanges.len() >= most || self.bytes > MOST_BYTES {
                    let Some(oldest) = self.exchanges.pop_front() else {
                        break;
                    };
                    self.bytes -= size(&oldest);
                }
            }
            Recording::Everything => {}
        }
        self.exchanges.push_back(exchange);
    }

    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.iter().cloned().collect()
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.clone()
    }

    pub(crate) fn clear(&mut self) {
        self.exchanges.clear();
        self.bytes = 0;
        self.counts.clear();
    }
}
