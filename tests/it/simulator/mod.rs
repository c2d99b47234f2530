//! The simulator over HTTP, each exchange held against Notion's OpenAPI document.

#![expect(clippy::unwrap_used, reason = "a test that unwraps in vain fails")]

mod api;
mod bounds;
mod faults;
mod people;
mod webhooks;

use frames_sync::simulator::{Clock, Moment, Options, Recording, Simulator};
use serde_json::{Value as Json, json};

use crate::support::openapi::assert_exchanges_conform;

/// A simulator with a clock of its own, and a client that speaks to it.
struct Fixture {
    simulator: Simulator,
    http: reqwest::Client,
}

/// An answer as a test looks at it.
struct Answered {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Json,
}

impl Fixture {
    fn new() -> Self {
        let clock = Clock::Moved(Moment::parse("2026-09-04T14:30:15.250Z").unwrap());
        Self::with(Options {
            clock,
            recording: Recording::Everything,
            ..Options::default()
        })
    }

    fn with(options: Options) -> Self {
        // Another test may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            simulator: Simulator::start(options).unwrap(),
            http: reqwest::Client::new(),
        }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Json>) -> Answered {
        self.call_with(method, path, body, &self.simulator.tokens[0], "2026-03-11")
            .await
            .unwrap()
    }

    async fn call_with(
        &self,
        method: &str,
        path: &str,
        body: Option<Json>,
        token: &str,
        version: &str,
    ) -> Result<Answered, reqwest::Error> {
        let url = format!("{}{path}", self.simulator.base_url);
        let mut request = self.http.request(method.parse().unwrap(), url).bearer_auth(token);
        request = request.header("notion-version", version);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await?;
        Ok(Answered {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or(Json::String(text)),
        })
    }

    async fn get(&self, path: &str) -> Json {
        self.expect(200, "GET", path, None).await
    }

    async fn post(&self, path: &str, body: Json) -> Json {
        self.expect(200, "POST", path, Some(body)).await
    }

    async fn patch(&self, path: &str, body: Json) -> Json {
        self.expect(200, "PATCH", path, Some(body)).await
    }

    async fn expect(&self, status: u16, method: &str, path: &str, body: Option<Json>) -> Json {
        let answer = self.call(method, path, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        answer.body
    }

    /// A refusal's code and message.
    async fn refused(&self, method: &str, path: &str, body: Json) -> (u64, String, String) {
        let answer = self.call(method, path, Some(body)).await;
        let text = |key: &str| answer.body[key].as_str().unwrap_or_default().to_owned();
        (
            answer.body["status"].as_u64().unwrap_or_default(),
            text("code"),
            text("message"),
        )
    }

    /// A database with this schema; answers the data source's id.
    async fn database(&self, title: &str, properties: Json) -> String {
        let database = self
            .post("/v1/databases", json!({
                "parent": {"type": "page_id", "page_id": self.simulator.root_page_id}, "title": text(title),
                "initial_data_source": {"properties": properties},
            }))
            .await;
        database["data_sources"][0]["id"].as_str().unwrap().to_owned()
    }

    async fn row(&self, data_source: &str, properties: Json) -> Json {
        let body = json!({"parent": {"type": "data_source_id", "data_source_id": data_source}, "properties": properties});
        self.post("/v1/pages", body).await
    }

    async fn query(&self, data_source: &str, body: Json) -> Json {
        self.post(&format!("/v1/data_sources/{data_source}/query"), body)
            .await
    }

    fn conforms(&self) {
        assert_exchanges_conform(&self.simulator.exchanges());
    }
}

fn text(content: &str) -> Json {
    json!([{"type": "text", "text": {"content": content}}])
}

fn id(object: &Json) -> String {
    object["id"].as_str().unwrap().to_owned()
}
