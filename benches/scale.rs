//! The built program on a large table, and against a rate limit.
//!
//! ```text
//! cargo bench --no-default-features --bench scale -- rows 100000
//! cargo bench --no-default-features --bench scale -- rate
//! ```
//!
//! `rows` prints the time, the requests and the most memory of a first push, of cycles with nothing to do (by scan and by
//! triggers, with the rows that Postgres read for them) and of cycles with some changes on either side. `rate` prints
//! which part of the allowed requests a first push used, at 180 and 600 a minute, with answers at once and after 200 ms;
//! it takes ten minutes. Needs native PostgreSQL programs. The numbers are in `docs/performance.md`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use frames_sync::cluster::{Cluster, Engine};
use frames_sync::postgres::{ConnectOptions, connect};
use frames_sync::simulator::{Effect, Fault, Options, RateLimits, Recording, Simulator, Trigger};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::PgPool;
use tempfile::TempDir;

const PROJECT: &str = "version: 1
defaults:
  database_url: \"{{ env.DATABASE_URL }}\"
  notion: { token: \"{{ env.NOTION_TOKEN }}\", parent_page: \"{{ env.NOTION_PAGE }}\", requests_per_minute: RATE }
  tuning: { settle: 0s, settle_create: 0s, read_lag: 0s, quiet_page: 0s, create_grace: 0s, full_scan_every: 1h }
profiles: { demo: { vars: { university_id: CalPolyPomona } } }
";

const MAPPING: &str = "version: 1
entity: students
table: public.students
key: id
scope: { university_id: \"{{ vars.university_id }}\" }
capture: CAPTURE
notion: { title: Students }
properties:
  Name: { type: title, column: name }
  university_id: { type: rich_text, column: university_id, direction: to_notion }
  email: { type: email, column: email }
  status: { type: select, column: status, options: [incoming, established, outgoing, alumni] }
  terms_remaining: { type: number, column: terms_remaining }
  notes: { type: rich_text, column: notes }
  active: { type: checkbox, column: active }
  since: { type: date, column: since }
";

const TABLE: &str =
    "create table students (id text primary key, university_id text not null, name text not null,
  email text, status text, terms_remaining int, notes text, active bool not null default true, since date)";

/// A database, a simulator and a project folder.
struct Bed {
    _cluster: Cluster,
    url: String,
    simulator: Simulator,
    folder: TempDir,
    rate: u32,
}

/// What a run of the program took.
struct Took {
    seconds: f64,
    most_memory_mib: f64,
    report: Value,
}

impl Bed {
    fn new(rows: u32, rate: RateLimits, latency: Duration, capture: &str) -> Self {
        let cluster = Cluster::start(Engine::Native).expect("native PostgreSQL programs");
        let runtime = runtime();
        let url = runtime.block_on(async {
            cluster.create_database("scale", None).await.expect("a database");
            let url = cluster.url("scale");
            let pool = pool(&url).await;
            execute(&pool, TABLE).await;
            execute(
                &pool,
                &format!(
                    "insert into students select 'student_' || n, 'CalPolyPomona', 'Student ' || n,
                     'student' || n || '@example.edu', (array['incoming', 'established', 'outgoing', 'alumni'])[1 + n % 4],
                     n % 12, 'notes of student ' || n, n % 2 = 0, date '2020-01-01' + n % 2000
                     from generate_series(1, {rows}) n"
                ),
            )
            .await;
            execute(&pool, "analyze students").await;
            url
        });
        let simulator = Simulator::start(Options {
            rate,
            recording: Recording::Nothing,
            ..Options::default()
        })
        .expect("the simulator answers on loopback");
        if !latency.is_zero() {
            let milliseconds = u64::try_from(latency.as_millis()).expect("a short time");
            simulator.fault(Fault {
                when: Trigger::default(),
                effect: Effect::Slow { milliseconds },
                times: None,
            });
        }
        let bed = Self {
            _cluster: cluster,
            url,
            simulator,
            folder: tempfile::tempdir().expect("a folder"),
            rate: rate.per_connection.unwrap_or(60_000),
        };
        std::fs::create_dir(bed.folder.path().join("mappings")).expect("a folder");
        bed.write(
            "frames-sync.yaml",
            &PROJECT.replace("RATE", &bed.rate.to_string()),
        );
        bed.capture(capture);
        bed
    }

    fn write(&self, path: impl AsRef<Path>, text: &str) {
        std::fs::write(self.folder.path().join(path), text).expect("a file");
    }

    fn capture(&self, capture: &str) {
        self.write("mappings/students.yaml", &MAPPING.replace("CAPTURE", capture));
    }

    fn run(&self, arguments: &[&str]) -> Took {
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_frames-sync"))
            .args(arguments)
            .args(["--format", "json", "-q"])
            .current_dir(self.folder.path())
            .env_clear()
            .env("DATABASE_URL", &self.url)
            .env("NOTION_TOKEN", &self.simulator.tokens[0])
            .env("NOTION_PAGE", self.simulator.root_page_id.to_string())
            .env("FRAMES_SYNC_NOTION_BASE_URL", &self.simulator.base_url)
            .stdout(std::fs::File::create(self.folder.path().join("report.json")).expect("a file"))
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the built program");
        let most_memory_mib = watch(&mut child);
        let seconds = started.elapsed().as_secs_f64();
        let report = std::fs::read_to_string(self.folder.path().join("report.json")).expect("a report");
        let report: Value = serde_json::from_str(&report).unwrap_or(Value::Null);
        let failed = report["outcome"] != "ok";
        assert!(!failed, "{arguments:?}: {:.1000}", report.to_string());
        Took {
            seconds,
            most_memory_mib,
            report: report["profiles"][0].clone(),
        }
    }

    /// Rows that Postgres has read of the table so far: by whole scans, and by index.
    fn rows_read(&self) -> (i64, i64) {
        runtime().block_on(async {
            // The statistics of a backend that has ended are there at once in PostgreSQL 15.
            let pool = pool(&self.url).await;
            sqlx::query_as(
                "select coalesce(seq_tup_read, 0), coalesce(idx_tup_fetch, 0) from pg_stat_user_tables
                 where relname = 'students'",
            )
            .fetch_one(&pool)
            .await
            .expect("the statistics")
        })
    }

    fn sql(&self, statement: &str) {
        runtime().block_on(async { execute(&pool(&self.url).await, statement).await });
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

async fn pool(url: &str) -> PgPool {
    connect(&SecretString::from(url.to_owned()), &ConnectOptions::default())
        .await
        .expect("a connection")
}

async fn execute(pool: &PgPool, statement: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(pool)
        .await
        .expect("the benchmark's own SQL");
}

/// Waits for the end of a process; the most memory that it had resident, in MiB.
fn watch(child: &mut Child) -> f64 {
    let status = format!("/proc/{}/status", child.id());
    let mut most: f64 = 0.0;
    loop {
        let now = std::fs::read_to_string(&status).unwrap_or_default();
        let kib = now
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
        most = most.max(kib.unwrap_or(0.0) / 1024.0);
        if child.try_wait().expect("a child of this process").is_some() {
            return most;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn line(what: &str, took: &Took, note: &str) {
    let requests = &took.report["notion"]["requests"];
    let mut out = std::io::stdout();
    let _ = writeln!(
        out,
        "{what:44} {:8.2} s   {requests:>7} requests   {:6.1} MiB   {note}",
        took.seconds, took.most_memory_mib
    );
}

fn rows(count: u32) {
    let bed = Bed::new(count, RateLimits::default(), Duration::ZERO, "scan");
    let push = bed.run(&["setup"]);
    let per_second = format!("{:.0} pages a second", f64::from(count) / push.seconds);
    line(&format!("first push of {count} rows"), &push, &per_second);
    line("nothing to do, by scan", &bed.run(&["sync"]), "");
    line("nothing to do, by scan, again", &bed.run(&["sync"]), "");
    line(
        "nothing to do, everything looked at",
        &bed.run(&["sync", "--full"]),
        "",
    );
    bed.sql("update students set notes = notes || '!' where id in (select 'student_' || n from generate_series(1, 100) n)");
    line("100 changed rows, by scan", &bed.run(&["sync"]), "");
    bed.capture("triggers");
    line("set-up of triggers", &bed.run(&["setup"]), "");
    line("the first cycle with triggers", &bed.run(&["sync"]), "");
    for what in ["nothing to do, by triggers", "nothing to do, by triggers, again"] {
        let before = bed.rows_read();
        let took = bed.run(&["sync"]);
        let after = bed.rows_read();
        let note = format!(
            "rows read: {} by scan, {} by index",
            after.0 - before.0,
            after.1 - before.1
        );
        line(what, &took, &note);
    }
    for changed in [1, 100, 1000] {
        bed.sql(&format!(
            "update students set notes = notes || '?' where id in (select 'student_' || n from generate_series(1, {changed}) n)"
        ));
        line(
            &format!("{changed} changed rows, by triggers"),
            &bed.run(&["sync"]),
            "",
        );
    }
}

fn rate() {
    for (limit, rows) in [(180_u32, 530_u32), (600, 1790)] {
        for milliseconds in [0, 200] {
            let limits = RateLimits {
                per_connection: Some(limit),
                per_workspace: None,
            };
            let bed = Bed::new(rows, limits, Duration::from_millis(milliseconds), "scan");
            let took = bed.run(&["setup"]);
            let requests = took.report["notion"]["requests"].as_f64().expect("a number");
            // The windows that opened while it ran: the first with its first request.
            let windows = (took.seconds / 60.0).floor() + 1.0;
            let allowed = windows * f64::from(limit);
            let note = format!(
                "{:.1} % of {allowed} in {windows} windows, {} throttled",
                100.0 * requests / allowed,
                took.report["notion"]["throttled"]
            );
            line(
                &format!("{rows} rows, {limit} a minute, {milliseconds} ms"),
                &took,
                &note,
            );
        }
    }
    for milliseconds in [0, 200] {
        let bed = Bed::new(
            2000,
            RateLimits::default(),
            Duration::from_millis(milliseconds),
            "scan",
        );
        let took = bed.run(&["setup"]);
        let note = format!("{:.0} pages a second", 2000.0 / took.seconds);
        line(
            &format!("2000 rows, without limit, {milliseconds} ms"),
            &took,
            &note,
        );
    }
}

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["rows"] | [] => rows(100_000),
        ["rows", count] => rows(count.parse().expect("a number of rows")),
        ["rate"] => rate(),
        _ => usage(),
    }
}

fn usage() {
    let _ = writeln!(std::io::stderr(), "usage: scale [rows [COUNT] | rate]");
}
