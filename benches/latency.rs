//! How long an edit takes from one side to the other under `serve`: `cargo bench --no-default-features --bench latency`.
//!
//! From a commit in Postgres until Notion has the PATCH, by triggers and NOTIFY; and from a signed webhook on its way to
//! `serve` until the row is committed. The built binary, Postgres and simulator share one machine, Notion answers at once,
//! and a thousand records are linked, so that a look at all of them would be seen. Rows and pages are looked at every half
//! millisecond, which is part of the times.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use frames_sync::cluster::{Cluster, Engine};
use frames_sync::postgres::{ConnectOptions, connect};
use frames_sync::project::PROJECT_FILE;
use frames_sync::simulator::{Options, RateLimits, Recording, Simulator, signature};
use secrecy::SecretString;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

const RECORDS: usize = 1000;
const EDITS: usize = 300;
const LOOK: Duration = Duration::from_micros(500);

const PROJECT: &str = "version: 1
mappings: mappings
defaults:
  database_url: \"{{ env.DATABASE_URL }}\"
  every: 1h
  notion: { token: \"{{ env.TOKEN }}\", parent_page: \"{{ env.PAGE }}\", requests_per_minute: 60000 }
  tuning: { read_lag: 0s, quiet_page: 0s }
profiles:
  cal: {}
";

const MAPPING: &str = "version: 1
entity: things
table: public.things
key: id
notion: { title: Things }
capture: triggers
properties:
  Name: { type: title, column: name }
  Note: { type: rich_text, column: note }
";

/// What the deliveries of this benchmark are signed with.
const KEY: &str = "secret_of_the_benchmark";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let cluster = Cluster::start(Engine::Any).expect("a PostgreSQL");
    cluster
        .create_database("latency", None)
        .await
        .expect("a database");
    let url = cluster.url("latency");
    let pool = connect(&SecretString::from(url.clone()), &ConnectOptions::default())
        .await
        .expect("a connection");
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "create table things (id int primary key, name text not null, note text);
         insert into things select n, 'Thing ' || n, null from generate_series(1, {RECORDS}) n"
    )))
    .execute(&pool)
    .await
    .expect("rows");
    let simulator = Simulator::start(Options {
        rate: RateLimits {
            per_connection: None,
            per_workspace: None,
        },
        recording: Recording::Nothing,
        ..Options::default()
    })
    .expect("a simulator");
    let folder = tempfile::TempDir::new().expect("a folder");
    std::fs::create_dir(folder.path().join("mappings")).expect("a folder");
    std::fs::write(folder.path().join(PROJECT_FILE), PROJECT).expect("a file");
    std::fs::write(folder.path().join("mappings/things.yaml"), MAPPING).expect("a file");
    let page = simulator.root_page_id.to_string();
    let environment = [
        ("DATABASE_URL", url.as_str()),
        ("TOKEN", simulator.tokens[0].as_str()),
        ("PAGE", page.as_str()),
        ("FRAMES_SYNC_NOTION_BASE_URL", simulator.base_url.as_str()),
    ];
    let ended = Command::new(env!("CARGO_BIN_EXE_frames-sync"))
        .args(["setup", "--quiet"])
        .current_dir(folder.path())
        .env_clear()
        .envs(environment)
        .status()
        .expect("the built binary runs");
    assert!(ended.success(), "set-up");

    sqlx::query("insert into frames_sync.webhook (profile, token, enrolled_at) values ('cal', $1, now())")
        .bind(KEY)
        .execute(&pool)
        .await
        .expect("an enrolment");
    let mut serving = Command::new(env!("CARGO_BIN_EXE_frames-sync"));
    serving
        .args(["serve", "--listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .env_clear()
        .envs(environment);
    let serving = Serving::start(serving).await;
    let mut pages = simulator.workspace(|workspace| {
        let source = workspace.data_source_titled("Things").expect("a database");
        let labelled = workspace.rows(source).into_iter().map(|page| {
            let label = workspace.value(page, "postgres_id").unwrap_or_default();
            let key: usize = label[0]["plain_text"]
                .as_str()
                .and_then(|key| key.parse().ok())
                .expect("a key");
            (key, page)
        });
        labelled.collect::<Vec<_>>()
    });
    pages.sort_unstable();
    let pages: Vec<_> = pages.into_iter().map(|(_, page)| page).collect();

    let mut sent = Vec::new();
    for edit in 0..EDITS {
        let row = i32::try_from(edit % RECORDS + 1).expect("a small number");
        let note = format!("from postgres {edit}");
        sqlx::query("update things set note = $2 where id = $1")
            .bind(row)
            .bind(&note)
            .execute(&pool)
            .await
            .expect("an edit");
        let committed = Instant::now();
        let page = pages[edit % RECORDS];
        while !simulator.workspace(|workspace| holds(workspace.value(page, "Note"), &note)) {
            assert!(
                committed.elapsed() < Duration::from_secs(30),
                "edit {edit} never arrives"
            );
            tokio::time::sleep(LOOK).await;
        }
        sent.push(committed.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tell("commit -> PATCH received", &mut sent);

    let pin =
        async |name: &str| value(&pool, "select value from frames_sync.pin where name = $1", name).await;
    let (workspace, source) = (pin("workspace").await, pin("data_source:things").await);
    let mut stored = Vec::new();
    for edit in 0..EDITS {
        let page = pages[edit % RECORDS];
        let note = format!("from notion {edit}");
        let value = json!({ "rich_text": [{ "text": { "content": note } }] });
        simulator
            .workspace(|workspace| workspace.edit(page, "Note", value))
            .unwrap_or_else(|refusal| panic!("{}", refusal.message));
        let event = json!({
            "id": format!("event {edit}"), "timestamp": "2026-09-04T14:31:07.123Z", "workspace_id": workspace,
            "workspace_name": "Uni", "subscription_id": Uuid::nil(), "integration_id": "connection-1",
            "type": "page.properties_updated", "authors": [], "attempt_number": 1, "api_version": "2026-03-11",
            "entity": { "id": page, "type": "page" },
            "data": { "parent": { "id": Uuid::nil(), "type": "database", "data_source_id": source } },
        });
        let body = event.to_string();
        let signed = signature(KEY, body.as_bytes());
        let hinted = Instant::now();
        let answer = serving
            .client
            .post(format!("{}/webhooks/notion/cal", serving.base))
            .header("X-Notion-Signature", signed)
            .body(body)
            .send()
            .await
            .expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
        let found = "select count(*) from things where note = $1";
        while sqlx::query_scalar::<_, i64>(found)
            .bind(&note)
            .fetch_one(&pool)
            .await
            .expect("a count")
            == 0
        {
            assert!(
                hinted.elapsed() < Duration::from_secs(30),
                "edit {edit} never arrives"
            );
            tokio::time::sleep(LOOK).await;
        }
        stored.push(hinted.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tell("webhook sent -> row committed", &mut stored);
}

/// The built binary while it serves.
struct Serving {
    child: Child,
    base: String,
    client: reqwest::Client,
}

impl Serving {
    /// Starts it, and waits until it has looked at everything and listens for notes.
    async fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the built binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let base = loop {
            let line = lines.next().expect("it says where it serves").expect("a line");
            if let Some((_, base)) = line.split_once(" on ") {
                break base.to_owned();
            }
        };
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        // The binary's own client is another process's.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let cycled = "frames_sync_cycles_total{profile=\"cal\",outcome=\"done\"}";
        loop {
            let metrics = client
                .get(format!("{base}/metrics"))
                .send()
                .await
                .expect("metrics");
            if metrics.text().await.expect("text").contains(cycled) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The listener proves itself in the meantime.
        tokio::time::sleep(Duration::from_secs(3)).await;
        Self { child, base, client }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn value(pool: &PgPool, sql: &'static str, parameter: &str) -> String {
    sqlx::query_scalar(sql)
        .bind(parameter)
        .fetch_one(pool)
        .await
        .expect("a value")
}

fn holds(value: Option<serde_json::Value>, note: &str) -> bool {
    value.is_some_and(|value| value[0]["plain_text"] == *note)
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its numbers")]
fn tell(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1000.0;
    println!(
        "{what}: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, most {:.1} ms, of {}",
        at(50),
        at(95),
        at(99),
        at(100),
        times.len()
    );
}
