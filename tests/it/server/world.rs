//! The built binary serving, between a real Postgres and the simulator, and a client that sends what it is told.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use frames_sync::simulator::{Options, RateLimits, Simulator};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value as Json, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, PgPool};
use uuid::Uuid;

use crate::support::{TestDatabase, TestProject};

/// The server's token in these tests.
pub(super) const TOKEN: &str = "canary-0123456789abcdef0123456789";

/// The variable of the operators' token.
const OPERATORS: &str = "FRAMES_SYNC_API_TOKEN";

/// The token of those who may look and nothing else.
pub(super) const VIEWER: &str = "canary-viewer-0123456789abcdef";

const PROJECT: &str = "version: 1
default_profile: cal
defaults:
  database_url: \"{{ env.DATABASE_URL }}\"
  every: 1h
  tuning: { settle: 0s, settle_create: 0s, read_lag: 0s, quiet_page: 0s, create_grace: 0s, request_timeout: 5s }
  notion: { parent_page: \"{{ env.NOTION_PARENT_PAGE }}\", requests_per_minute: 60000 }
profiles:
  cal:
    vars: { org: cal }
    notion: { token: \"{{ env.NOTION_API_KEY }}\" }
";

/// A project that is set up, its database, and its Notion.
pub(super) struct World {
    pub(super) project: TestProject,
    pub(super) simulator: Simulator,
    pub(super) pool: PgPool,
    database: TestDatabase,
}

impl World {
    /// A project over tables of the test's own, set up.
    pub(super) async fn with(sql: &'static str, mappings: &[(&str, &str)]) -> Self {
        let world = Self::open(sql, mappings).await;
        world.run(&["setup"], 0);
        world
    }

    /// The same, not set up.
    pub(super) async fn open(sql: &'static str, mappings: &[(&str, &str)]) -> Self {
        let (database, pool) = TestDatabase::with(sql).await;
        let simulator = Simulator::start(Options {
            rate: RateLimits {
                per_connection: None,
                per_workspace: None,
            },
            ..Options::default()
        })
        .expect("a simulator");
        let mut project = TestProject::new()
            .project(PROJECT)
            .env("DATABASE_URL", database.url())
            .env("FRAMES_SYNC_NOTION_BASE_URL", simulator.base_url.clone())
            .env("NOTION_API_KEY", simulator.tokens[0].clone())
            .env("NOTION_PARENT_PAGE", simulator.root_page_id.to_string());
        for (entity, yaml) in mappings {
            project = project.mapping(entity, yaml);
        }
        Self {
            project,
            simulator,
            pool,
            database,
        }
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(super) fn run(&self, arguments: &[&str], code: i32) -> String {
        let ran = self.project.run(arguments);
        assert_eq!(
            ran.code,
            Some(code),
            "{arguments:?}: {}\n{}",
            ran.stdout,
            ran.stderr
        );
        ran.stdout
    }

    /// The same, as JSON.
    #[track_caller]
    pub(super) fn json(&self, arguments: &[&str], code: i32) -> Json {
        let mut all = arguments.to_vec();
        all.extend(["--format", "json"]);
        serde_json::from_str(&self.run(&all, code)).expect("JSON")
    }

    /// Runs SQL.
    pub(super) async fn sql(&self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// A query's only value, as text.
    pub(super) async fn scalar(&self, sql: &str) -> String {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
            .fetch_one(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Ends every connection to the database, and lets none in.
    pub(super) async fn cut_off(&self) {
        self.beside("alter database {} allow_connections false").await;
        self.beside("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}'")
            .await;
    }

    /// Lets connections in again.
    pub(super) async fn let_in(&self) {
        self.beside("alter database {} allow_connections true").await;
    }

    /// Runs a statement about the database beside it.
    async fn beside(&self, sql: &str) {
        let options: PgConnectOptions = self.database.url().parse().expect("a URL");
        let sql = sql.replace("{}", options.get_database().expect("a database"));
        let options = options.database("postgres");
        let mut connection = PgConnection::connect_with(&options).await.expect("a connection");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .expect("the statement");
    }

    /// The page of a data source whose property reads so.
    #[track_caller]
    pub(super) fn page(&self, title: &str, property: &str, text: &str) -> Uuid {
        self.simulator.workspace(|workspace| {
            let source = workspace.data_source_titled(title).expect("a data source");
            let found = workspace.rows(source).into_iter().find(|page| {
                let value = workspace.value(*page, property).unwrap_or_default();
                value
                    .to_string()
                    .contains(&serde_json::to_string(text).expect("a text"))
            });
            found.unwrap_or_else(|| panic!("no page with `{property}` {text}"))
        })
    }

    /// Types a text into a page.
    #[track_caller]
    pub(super) fn write(&self, page: Uuid, property: &str, text: &str) {
        let text = json!({ "rich_text": [{ "text": { "content": text } }] });
        self.edit(page, property, text);
    }

    /// Sets a property as a person would.
    #[track_caller]
    pub(super) fn edit(&self, page: Uuid, property: &str, value: Json) {
        self.simulator
            .workspace(|workspace| workspace.edit(page, property, value))
            .unwrap_or_else(|refusal| panic!("{property}: {}", refusal.message));
    }

    /// Makes a conflict over the note of `t1`.
    pub(super) async fn disagree(&self) {
        self.sql("update teams set note = 'of Postgres' where id = 't1'")
            .await;
        self.write(self.page("Teams", "Name", "One"), "Note", "of Notion");
        self.run(&["sync"], 1);
    }

    /// Serves, with a token or without; answers once the first cycle has ended.
    pub(super) async fn serve(&self, token: Option<&str>, arguments: &[&str]) -> Served {
        let tokens: Vec<(&str, &str)> = token.map(|token| (OPERATORS, token)).into_iter().collect();
        self.serve_as(&tokens, arguments).await
    }

    /// The same for operators and viewers, each with their token.
    pub(super) async fn serve_both(&self) -> Served {
        self.serve_as(&[(OPERATORS, TOKEN), ("FRAMES_SYNC_VIEWER_TOKEN", VIEWER)], &[])
            .await
    }

    async fn serve_as(&self, tokens: &[(&str, &str)], arguments: &[&str]) -> Served {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        let mut command = self.project.command(&all);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.envs(tokens.iter().copied());
        let token = tokens.iter().find(|(name, _)| *name == OPERATORS);
        let mut child = command.spawn().expect("the built binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let base = loop {
            let line = lines.next().expect("it says where it serves").expect("a line");
            if let Some((_, base)) = line.split_once(" on ") {
                break base.to_owned();
            }
        };
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = kept.lock().expect("the log");
                log.push_str(&line);
                log.push('\n');
            }
        });
        // The client of the product may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let served = Served {
            child,
            base,
            log,
            token: token.map(|(_, token)| (*token).to_owned()),
            client: Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("a client"),
        };
        served
            .until("the first cycle has ended", async || {
                served
                    .metric("frames_sync_cycles_total{profile=\"cal\",outcome=\"done\"}")
                    .await
                    >= 1.0
            })
            .await;
        served
    }
}

/// A server that runs; killed when dropped.
pub(super) struct Served {
    child: Child,
    pub(super) base: String,
    log: Arc<Mutex<String>>,
    token: Option<String>,
    client: Client,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    #[track_caller]
    pub(super) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The code of an error.
    #[track_caller]
    pub(super) fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }
}

impl Served {
    /// A request without anything.
    pub(super) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A request that a program makes, with the token.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.bare(method, path);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(super) async fn post(&self, path: &str, body: &Json) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// A delivery, signed or not.
    pub(super) async fn deliver(&self, profile: &str, signature: Option<&str>, body: Vec<u8>) -> Answer {
        let mut request = self
            .bare(Method::POST, &format!("/webhooks/notion/{profile}"))
            .body(body);
        if let Some(signature) = signature {
            request = request.header("X-Notion-Signature", signature);
        }
        send(request).await
    }

    /// A form, as a browser sends it.
    pub(super) async fn form(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self
            .bare(Method::POST, path)
            .header("cookie", cookie)
            .header("origin", &self.base)
            .header("sec-fetch-site", "same-origin");
        send(form(request, fields)).await
    }

    /// A page, as a browser asks for it.
    pub(super) async fn page(&self, path: &str, cookie: &str) -> Answer {
        send(self.bare(Method::GET, path).header("cookie", cookie)).await
    }

    /// Logs in, and answers with the cookie.
    pub(super) async fn log_in(&self) -> String {
        self.log_in_with(TOKEN).await
    }

    /// Logs in with that token.
    pub(super) async fn log_in_with(&self, token: &str) -> String {
        let answer = self.form("/login", "", &[("token", token)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        let cookie = answer.header("set-cookie");
        cookie.split(';').next().expect("a cookie").to_owned()
    }

    /// A sample of `/metrics`; 0 where there is none.
    pub(super) async fn metric(&self, sample: &str) -> f64 {
        let metrics = self.get("/metrics").await;
        assert_eq!(metrics.status, StatusCode::OK, "{}", metrics.body);
        let line = metrics.body.lines().find_map(|line| line.strip_prefix(sample));
        line.map_or(0.0, |value| value.trim().parse().expect("a number"))
    }

    /// Waits for something that the server does behind an answer.
    pub(super) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !holds().await {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{what}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the server has said so far.
    pub(super) fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Sends the server a signal.
    pub(super) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let told = std::process::Command::new("kill").args([name, &id]).status();
        assert!(told.expect("kill").success());
    }

    /// Tells the server to stop, and waits for it: its exit code, and the time it took.
    pub(super) fn stop(mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        self.signal("-TERM");
        let status = self.child.wait().expect("its end");
        (status.code(), began.elapsed())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Adds a form.
pub(super) fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", percent(value)))
        .collect();
    request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(pairs.join("&"))
}

/// A text with everything but letters and digits encoded.
pub(super) fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

pub(super) async fn send(request: RequestBuilder) -> Answer {
    let answer = request.send().await.expect("an answer");
    Answer {
        status: answer.status(),
        headers: answer.headers().clone(),
        body: answer.text().await.expect("a body"),
    }
}
