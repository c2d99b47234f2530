//! The built binary left running between a real Postgres and the simulator.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use frames_sync::simulator::{Exchange, Options, RateLimits, Recording, Simulator};
use serde_json::{Value as Json, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::openapi::assert_exchanges_conform;
use crate::support::{TestDatabase, TestProject};

/// How long anything may take that is waited for; a failing test waits this long, a passing one never does.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const GET: &str = "GET /v1/pages/{page_id}";
pub(super) const PATCH: &str = "PATCH /v1/pages/{page_id}";
pub(super) const QUERY: &str = "POST /v1/data_sources/{data_source_id}/query";

/// Three rows, one of them another organisation's.
pub(super) const THINGS: &str = "
create table things (id text primary key, name text not null, org text, note text);
insert into things values ('t1', 'One', 'cal', null), ('t2', 'Two', 'cal', null), ('x1', 'Foreign', 'tex', null);
";

/// A mapping with that line for `capture`.
pub(super) fn things(capture: &str) -> String {
    format!(
        "version: 1\nentity: things\ntable: public.things\nkey: id\nscope: {{ org: \"{{{{ vars.org }}}}\" }}\n\
         notion: {{ title: Things }}\ncapture: {capture}\nproperties:\n  \
         Name: {{ type: title, column: name }}\n  Note: {{ type: rich_text, column: note }}\n"
    )
}

/// A project, its database, and its Notion.
pub(super) struct World {
    pub(super) project: TestProject,
    pub(super) simulator: Simulator,
    pub(super) pool: PgPool,
    _database: TestDatabase,
}

/// What a profile of the test differs in: its name and organisation are the same.
pub(super) struct Setting<'a> {
    pub(super) profiles: &'a [&'a str],
    pub(super) schedule: &'a str,
    pub(super) lease: &'a str,
    pub(super) capture: &'a str,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self {
            profiles: &["cal"],
            schedule: "every: 1h",
            lease: "180s",
            capture: "triggers",
        }
    }
}

impl World {
    /// The first profile set up, and pushed for the first time.
    pub(super) async fn with(setting: Setting<'_>) -> Self {
        let (database, pool) = TestDatabase::with(THINGS).await;
        let simulator = Simulator::start(Options {
            tokens: (0..setting.profiles.len())
                .map(|index| format!("ntn_{index:032}"))
                .collect(),
            rate: RateLimits {
                per_connection: None,
                per_workspace: None,
            },
            recording: Recording::Everything,
            ..Options::default()
        })
        .expect("a simulator");
        let mut yaml = format!(
            "version: 1\nmappings: mappings\ndefault_profile: {}\ndefaults:\n  database_url: \"{{{{ env.DATABASE_URL }}}}\"\n  \
             {}\n  tuning: {{ settle: 0s, settle_create: 0s, read_lag: 0s, quiet_page: 0s, create_grace: 0s, \
             request_timeout: 3s, lease: {} }}\n  notion: {{ parent_page: \"{{{{ env.NOTION_PARENT_PAGE }}}}\", \
             requests_per_minute: 60000 }}\nprofiles:\n",
            setting.profiles[0], setting.schedule, setting.lease
        );
        let mut project = TestProject::new()
            .mapping("things", &things(setting.capture))
            .env("DATABASE_URL", database.url())
            .env("FRAMES_SYNC_NOTION_BASE_URL", simulator.base_url.clone())
            .env("NOTION_PARENT_PAGE", simulator.root_page_id.to_string());
        for (index, name) in setting.profiles.iter().enumerate() {
            yaml.push_str(&format!(
                "  {name}:\n    vars: {{ org: {name} }}\n    notion: {{ token: \"{{{{ env.TOKEN_{index} }}}}\" }}\n"
            ));
            project = project.env(&format!("TOKEN_{index}"), simulator.tokens[index].clone());
        }
        let world = Self {
            project: project.project(&yaml),
            simulator,
            pool,
            _database: database,
        };
        let ran = world.project.run(&["setup"]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        world.simulator.clear_exchanges();
        world
    }

    /// Leaves the binary running.
    pub(super) fn run(&self, arguments: &[&str]) -> Running {
        let mut all = vec!["run", "--format", "json", "-v"];
        all.extend(arguments);
        Running::of(self.project.command(&all))
    }

    /// A file of the project, written anew.
    pub(super) fn rewrite(&self, path: &str, text: &str) {
        std::fs::write(self.project.path().join(path), text).expect("a file");
    }

    pub(super) async fn sql(&self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(super) async fn note_in_postgres(&self, key: &str) -> Option<String> {
        sqlx::query_scalar("select note from things where id = $1")
            .bind(key)
            .fetch_one(&self.pool)
            .await
            .expect("a row")
    }

    /// The live pages.
    pub(super) fn pages(&self) -> Vec<Uuid> {
        self.simulator.workspace(|workspace| {
            let source = workspace.data_source_titled("Things").expect("a database");
            workspace.rows(source)
        })
    }

    /// The one live page with that key.
    pub(super) fn page(&self, key: &str) -> Uuid {
        let label = |page: Uuid| {
            self.simulator
                .workspace(|workspace| workspace.value(page, "postgres_id"))
        };
        let pages = self.pages().into_iter();
        let found: Vec<Uuid> = pages
            .filter(|page| plain(&label(*page).unwrap_or_default()) == key)
            .collect();
        assert_eq!(found.len(), 1, "pages of {key}");
        found[0]
    }

    pub(super) fn note_in_notion(&self, page: Uuid) -> String {
        plain(
            &self
                .simulator
                .workspace(|workspace| workspace.value(page, "Note"))
                .unwrap_or_default(),
        )
    }

    pub(super) fn type_note(&self, page: Uuid, text: &str) {
        let value = json!({ "rich_text": [{ "text": { "content": text } }] });
        self.simulator
            .workspace(|workspace| workspace.edit(page, "Note", value))
            .unwrap_or_else(|refusal| panic!("{}", refusal.message));
    }

    /// The requests so far that an endpoint had, checked against Notion's own document.
    pub(super) fn count(&self, endpoint: &str) -> usize {
        let exchanges = self.simulator.exchanges();
        assert_exchanges_conform(&exchanges);
        let of_endpoint = |exchange: &&Exchange| exchange.endpoint.as_deref() == Some(endpoint);
        exchanges.iter().filter(of_endpoint).count()
    }

    /// What was written to a page's note, in order.
    pub(super) fn written_notes(&self) -> Vec<String> {
        let exchanges = self.simulator.exchanges();
        let patches = exchanges
            .iter()
            .filter(|exchange| exchange.endpoint.as_deref() == Some(PATCH));
        patches
            .filter_map(|exchange| {
                let body = exchange.request_json();
                let properties = body["properties"].as_object()?;
                properties
                    .values()
                    .filter_map(|value| value["rich_text"].as_array())
                    .map(|runs| runs.iter().map(plain).collect::<String>())
                    .find(|text| text.starts_with("edit"))
            })
            .collect()
    }
}

/// A text's plain form, as sent or as answered.
fn plain(value: &Json) -> String {
    match value {
        Json::Array(items) => items.iter().map(plain).collect(),
        Json::Object(object) => match object.get("plain_text").and_then(Json::as_str) {
            Some(text) => text.to_owned(),
            None => object["text"]["content"].as_str().unwrap_or_default().to_owned(),
        },
        Json::String(text) => text.clone(),
        _ => String::new(),
    }
}

/// A binary that was left running; killed when dropped.
pub(super) struct Running {
    pub(super) child: Child,
    stdout: Arc<Mutex<Vec<Json>>>,
    stderr: Arc<Mutex<String>>,
}

impl Running {
    pub(super) fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the built binary runs");
        let stdout = Arc::new(Mutex::new(Vec::new()));
        let stderr = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        let into = Arc::clone(&stdout);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("a line of JSON for each cycle");
                into.lock().expect("no test panics with it").push(line);
            }
        });
        let mut talk = BufReader::new(child.stderr.take().expect("piped"));
        let into = Arc::clone(&stderr);
        std::thread::spawn(move || {
            let mut line = String::new();
            let mut byte = [0; 1024];
            while let Ok(read @ 1..) = talk.read(&mut byte) {
                line.clear();
                line.push_str(&String::from_utf8_lossy(&byte[..read]));
                into.lock().expect("no test panics with it").push_str(&line);
            }
        });
        Self {
            child,
            stdout,
            stderr,
        }
    }

    pub(super) fn cycles(&self) -> Vec<Json> {
        self.stdout.lock().expect("no test panics with it").clone()
    }

    pub(super) fn log(&self) -> String {
        self.stderr.lock().expect("no test panics with it").clone()
    }

    /// Waits until so many cycles have ended.
    pub(super) async fn has_run(&self, cycles: usize) {
        until(|| self.cycles().len() >= cycles, || self.log()).await;
    }

    /// Waits until the log holds that text.
    pub(super) async fn has_said(&self, text: &str) {
        until(|| self.log().contains(text), || self.log()).await;
    }

    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("a process"), signal).expect("a signal");
    }

    /// Waits for its end; answers the exit code.
    pub(super) async fn ended(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something to become so.
pub(super) async fn until(mut holds: impl FnMut() -> bool, or_tell: impl Fn() -> String) {
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < PATIENCE,
            "it did not come about:\n{}",
            or_tell()
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The same about what a query answers.
pub(super) async fn until_note(world: &World, key: &str, note: &str, running: &Running) {
    let begun = Instant::now();
    while world.note_in_postgres(key).await.as_deref() != Some(note) {
        assert!(
            begun.elapsed() < PATIENCE,
            "no `{note}` in {key}:\n{}",
            running.log()
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
