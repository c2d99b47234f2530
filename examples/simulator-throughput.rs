//! Fills the simulator with 100,000 rows over HTTP, or as many as are asked for, and prints how fast it creates and
//! queries, and its memory.
//!
//! ```text
//! cargo run --release --no-default-features --example simulator-throughput [ROWS]
//! ```
//!
//! Eight connections at once; a row has ten properties. The numbers are of the simulator and its client together, for
//! both run in this process; so is the memory.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use frames_sync::simulator::{Options, Simulator};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROWS: usize = 100_000;
const STEPS: usize = 10;
const CONNECTIONS: usize = 8;
const SAMPLES: usize = 50;

struct Notion {
    http: reqwest::Client,
    base_url: String,
    token: String,
}

impl Notion {
    async fn post(&self, path: &str, body: &Value) -> Outcome<Value> {
        let request = self.http.post(format!("{}{path}", self.base_url)).json(body);
        let request = request
            .header("notion-version", "2026-03-11")
            .bearer_auth(&self.token);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// Creates the rows of a range, in order on each connection.
    async fn fill(&self, home: &Value, rows: std::ops::Range<usize>) -> Outcome<()> {
        let lanes = (0..CONNECTIONS).map(|lane| {
            let rows = rows.clone().skip(lane).step_by(CONNECTIONS);
            async move {
                for row in rows {
                    self.post("/v1/pages", &page(home, row)).await?;
                }
                Ok::<(), Box<dyn Error>>(())
            }
        });
        try_join_all(lanes).await?;
        Ok(())
    }

    /// The median time of a query, the first of which is told apart.
    async fn query(
        &self,
        home: &Value,
        body: impl Fn(usize) -> Value,
    ) -> Outcome<(Duration, Duration, usize)> {
        let path = format!("/v1/data_sources/{}/query", home.as_str().unwrap_or_default());
        let mut times = Vec::new();
        let mut rows = 0;
        for sample in 0..=SAMPLES {
            let began = Instant::now();
            let answer = self.post(&path, &body(sample)).await?;
            times.push(began.elapsed());
            rows = answer["results"].as_array().map_or(0, Vec::len);
        }
        let first = times.remove(0);
        times.sort();
        Ok((first, times[SAMPLES / 2], rows))
    }

    /// The median time of a batch while a listing is read on, with a row created before each or not.
    async fn read_on(
        &self,
        home: &Value,
        mut body: Value,
        create: Option<usize>,
    ) -> Outcome<(Duration, Duration)> {
        let path = format!("/v1/data_sources/{}/query", home.as_str().unwrap_or_default());
        let mut times = Vec::new();
        for sample in 0..=SAMPLES {
            if let Some(row) = create {
                self.fill(home, row + sample..row + sample + 1).await?;
            }
            let began = Instant::now();
            let answer = self.post(&path, &body).await?;
            times.push(began.elapsed());
            body["start_cursor"] = answer["next_cursor"].clone();
        }
        let first = times.remove(0);
        times.sort();
        Ok((first, times[SAMPLES / 2]))
    }
}

fn text(content: String) -> Value {
    json!([{"type": "text", "text": {"content": content}}])
}

fn page(home: &Value, row: usize) -> Value {
    json!({
        "parent": {"type": "data_source_id", "data_source_id": home},
        "properties": {
            "Name": {"title": text(format!("Student {row}"))},
            "postgres_id": {"rich_text": text(format!("student_{row}"))},
            "Notes": {"rich_text": text(format!("Row {} of them", row.wrapping_mul(2_654_435_761) % 1_000_003))},
            "Email": {"email": format!("student{row}@example.edu")},
            "Credits": {"number": row % 180},
            "State": {"select": {"name": (["active", "left", "on leave"][row % 3])}},
            "Skills": {"multi_select": [{"name": "welding"}, {"name": "CAD"}]},
            "Joined": {"date": {"start": format!("2026-{:02}-{:02}", 1 + row % 12, 1 + row % 28)}},
            "Lead": {"checkbox": row.is_multiple_of(10)},
            "Site": {"url": format!("https://example.edu/~student{row}")},
        },
    })
}

fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
    kib.unwrap_or_default() / 1024
}

#[tokio::main]
async fn main() -> Outcome<()> {
    // Only so that a client can be made; nothing here speaks TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let simulator = Simulator::start(Options::default())?;
    let notion = Notion {
        http: reqwest::Client::new(),
        base_url: simulator.base_url.clone(),
        token: simulator.tokens[0].clone(),
    };
    let mut out = std::io::stdout();
    let options = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect::<Value>();
    let database = json!({
        "parent": {"type": "page_id", "page_id": simulator.root_page_id},
        "title": text("Students".to_owned()),
        "initial_data_source": {"properties": {
            "Name": {"title": {}}, "postgres_id": {"rich_text": {}}, "Notes": {"rich_text": {}},
            "Email": {"email": {}}, "Credits": {"number": {}}, "Joined": {"date": {}}, "Lead": {"checkbox": {}},
            "Site": {"url": {}},
            "State": {"select": {"options": options(&["active", "left", "on leave"])}},
            "Skills": {"multi_select": {"options": options(&["welding", "CAD"])}},
        }},
    });
    let total: usize = match std::env::args().nth(1) {
        Some(rows) => rows.parse()?,
        None => ROWS,
    };
    let step = (total / STEPS).max(1);
    let database = notion.post("/v1/databases", &database).await?;
    let home = &database["data_sources"][0]["id"];
    for begin in (0..total).step_by(step) {
        let began = Instant::now();
        notion.fill(home, begin..begin + step).await?;
        let rate = step as f64 / began.elapsed().as_secs_f64();
        let rows = begin + step;
        writeln!(
            out,
            "{rows:>7} rows: {rate:.0} creates a second, {} MiB",
            resident_mib()
        )?;
    }
    let (first, median, rows) = notion.query(home, |_| json!({})).await?;
    writeln!(out, "batch of {rows} rows: {median:.1?} (first {first:.1?})")?;
    for property in ["Notes", "Credits"] {
        let sorts = json!({"sorts": [{"property": property, "direction": "ascending"}]});
        let (first, median) = notion.read_on(home, sorts.clone(), None).await?;
        writeln!(
            out,
            "batch sorted by {property}: {median:.1?} (first {first:.1?})"
        )?;
        let (_, median) = notion.read_on(home, sorts, Some(2 * total)).await?;
        writeln!(
            out,
            "batch sorted by {property}, a row created before each: {median:.1?}"
        )?;
    }
    let equals = |sample: usize| {
        let wanted = format!("student_{}", sample * total / 51);
        json!({"filter": {"property": "postgres_id", "rich_text": {"equals": wanted}}})
    };
    let (first, median, rows) = notion.query(home, equals).await?;
    writeln!(
        out,
        "text equals, {rows} found: {median:.1?} (first, with the index: {first:.1?})"
    )?;
    // One create more, with the index kept up to date, and what all of it took.
    let began = Instant::now();
    notion.fill(home, total..total + step).await?;
    let rate = step as f64 / began.elapsed().as_secs_f64();
    writeln!(
        out,
        "on {total} rows: {rate:.0} creates a second, {} MiB",
        resident_mib()
    )?;
    Ok(())
}
