//! Reads 100,000 pages through the client and prints the memory in use on the way.
//!
//! ```text
//! cargo run --release --no-default-features --example notion-memory
//! ```
//!
//! The pages are made up as they are asked for, 30 properties each, and the answers are capped at 10,000 results like
//! Notion's, so that what grows would be the client.

use std::io::Write;
use std::sync::Arc;

use frames_sync::notion::error::TransportError;
use frames_sync::notion::request::{Body, Request};
use frames_sync::notion::transport::{RawAnswer, Transport};
use frames_sync::notion::turnstile::Turnstile;
use frames_sync::notion::{Client, Completeness};
use frames_sync::value::DataSourceId;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

const PAGES: usize = 100_000;
const CAP: usize = 10_000;
const PER_MINUTE: usize = 50;

/// A data source that is computed, not kept.
struct MadeUp;

impl MadeUp {
    fn page(number: usize) -> Value {
        let minute = number / PER_MINUTE;
        let stamp = format!(
            "2026-{:02}-{:02}T{:02}:{:02}:00.000Z",
            9,
            1 + minute / 1440,
            minute / 60 % 24,
            minute % 60
        );
        let mut properties = Map::new();
        properties.insert(
            "Name".to_owned(),
            json!({"id": "title", "type": "title", "title": [{"type": "text", "plain_text": format!("Row {number}")}]}),
        );
        for index in 1..30 {
            let id = format!("p{index}");
            let text =
                json!([{"type": "text", "plain_text": format!("value {number} of {index}"), "href": null}]);
            properties.insert(
                format!("Property {index}"),
                json!({"id": id, "type": "rich_text", "rich_text": text}),
            );
        }
        json!({
            "object": "page", "id": format!("59b8c3c2-0000-4000-8000-{number:012}"),
            "created_time": stamp, "last_edited_time": stamp, "in_trash": false,
            "parent": {"type": "data_source_id", "data_source_id": "d"}, "properties": properties,
        })
    }

    fn answer(request: &Request) -> Value {
        let Body::Json(body) = &request.body else {
            return Value::Null;
        };
        // A cursor says where the query began and how far it is; a filter names the minute it begins in.
        let (began, at) = match body["start_cursor"]
            .as_str()
            .and_then(|cursor| cursor.split_once('-'))
        {
            Some((began, at)) => (began.parse().unwrap_or(0), at.parse().unwrap_or(0)),
            None => {
                let from = body["filter"]["created_time"]["on_or_after"]
                    .as_str()
                    .unwrap_or_default();
                let number = |range| {
                    from.get(range)
                        .and_then(|text: &str| text.parse::<usize>().ok())
                        .unwrap_or(0)
                };
                let minute = (number(8..10).saturating_sub(1) * 24 + number(11..13)) * 60 + number(14..16);
                (minute * PER_MINUTE, minute * PER_MINUTE)
            }
        };
        let end = (at + 100).min(PAGES).min(began + CAP);
        let capped = end == began + CAP && end < PAGES;
        let more = end < PAGES && !capped;
        let status = if capped {
            json!({"type": "incomplete", "incomplete_reason": "query_result_limit_reached"})
        } else {
            json!({"type": "complete"})
        };
        json!({
            "results": (at..end).map(Self::page).collect::<Vec<_>>(), "has_more": more,
            "next_cursor": more.then(|| format!("{began}-{end}")), "request_status": status,
        })
    }
}

impl Transport for MadeUp {
    fn send<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<RawAnswer, TransportError>> {
        let body = Self::answer(request).to_string().into_bytes();
        Box::pin(async {
            Ok(RawAnswer {
                status: 200,
                body,
                ..RawAnswer::default()
            })
        })
    }
}

/// Resident memory in MiB, as the kernel of Linux tells it.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<usize>()
        .ok()
        .map(|kib| kib / 1024)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::over(Arc::new(MadeUp), Turnstile::new(u32::MAX));
    let mut listing = client.query_all(&DataSourceId::from("d"), None);
    let mut out = std::io::stdout();
    let (mut pages, mut reported) = (0, 0);
    while let Some(batch) = listing.next_batch().await? {
        pages += batch.len();
        if pages >= reported {
            writeln!(out, "{pages} pages, {} MiB", resident().unwrap_or_default())?;
            reported += PAGES / 10;
        }
    }
    writeln!(
        out,
        "{pages} pages, {} MiB, {:?}",
        resident().unwrap_or_default(),
        listing.completeness()
    )?;
    if pages != PAGES || listing.completeness() != &Completeness::Complete {
        return Err("the listing is not what was made up".into());
    }
    Ok(())
}
