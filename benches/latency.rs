//! How long an edit takes from one side to the other under `run`: `cargo bench --no-default-features --bench latency`.
//!
//! From a commit in Postgres until Notion has the PATCH, by triggers and NOTIFY; and from the hint that a webhook is
//! until the row is committed. Client, Postgres and simulator share one machine, Notion answers at once, and a
//! thousand records are linked, so that a look at all of them would be seen. Rows and pages are looked at every
//! half millisecond, which is part of the times.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use frames_sync::cli::kept::{Keeping, OnCycle};
use frames_sync::cluster::{Cluster, Engine};
use frames_sync::postgres::{ConnectOptions, connect};
use frames_sync::project::{Environment, PROJECT_FILE, Project};
use frames_sync::report::ProfileReport;
use frames_sync::runner::Hint;
use frames_sync::simulator::{Options, RateLimits, Recording, Simulator};
use frames_sync::value::PageId;
use secrecy::SecretString;
use serde_json::json;

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

    let cycles = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&cycles);
    let on_cycle: OnCycle = Arc::new(move |report: &ProfileReport| {
        assert!(report.failure.is_none(), "{report:?}");
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let path: &Path = folder.path();
    let project = Project::load(&path.join(PROJECT_FILE), path, Environment::of(environment));
    let keeping = Keeping::start(project.value.expect("a project"), &["cal".to_owned()], &on_cycle)
        .unwrap_or_else(|failure| panic!("{}", failure.message));
    while cycles.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(LOOK).await;
    }
    // The listener proves itself in the meantime.
    tokio::time::sleep(Duration::from_secs(3)).await;
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

    let mut stored = Vec::new();
    for edit in 0..EDITS {
        let page = pages[edit % RECORDS];
        let note = format!("from notion {edit}");
        let value = json!({ "rich_text": [{ "text": { "content": note } }] });
        simulator
            .workspace(|workspace| workspace.edit(page, "Note", value))
            .unwrap_or_else(|refusal| panic!("{}", refusal.message));
        let hinted = Instant::now();
        keeping
            .handle
            .wake("cal", Hint::Page(PageId(page.to_string())))
            .expect("taken");
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
    tell("webhook hint -> row committed", &mut stored);
    keeping.end(std::future::pending()).await;
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
