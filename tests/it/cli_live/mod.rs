//! The commands that look at both live sides: `validate` and `doctor`, over a real Postgres and the simulator.

mod doctor;
mod generated;
mod least_privilege;
mod tables;
mod workspace;

use frames_sync::simulator::{Options, Simulator};
use serde_json::Value as Json;

use crate::golden;
use crate::support::openapi::assert_exchanges_conform;
use crate::support::{Ran, TestDatabase, TestProject};

/// Must never be printed.
const TOKEN: &str = "ntn_SENTINEL0token";
/// Must never be printed.
const PASSWORD: &str = "SENTINEL0password";

/// A project in a folder, with both of its sides.
struct World {
    database: TestDatabase,
    simulator: Simulator,
    project: TestProject,
}

const PROJECT: &str = r#"version: 1
default_profile: calpoly
defaults:
  database_url: "{{ env.DATABASE_URL }}"
  notion:
    token: "{{ env.NOTION_API_KEY }}"
    requests_per_minute: 60000
  audit_table: null
  tuning: { settle: 0s, settle_create: 0s, read_lag: 0s, quiet_page: 0s, create_grace: 0s }
profiles:
  calpoly:
    vars: { university_id: CalPolyPomona }
    notion:
      parent_page: "{{ env.NOTION_PARENT_PAGE }}"
"#;

impl World {
    /// The FRAMES database, and these mappings.
    async fn new(mappings: &[(&str, &str)]) -> Self {
        Self::over(TestDatabase::frames().await, PROJECT, mappings)
    }

    /// The FRAMES database, and the seven mappings of this package.
    async fn frames() -> Self {
        let files: Vec<(String, String)> = golden::entries("mappings", "yaml")
            .iter()
            .map(|path| {
                (
                    golden::stem(path),
                    std::fs::read_to_string(path).expect("a mapping"),
                )
            })
            .collect();
        let mappings: Vec<(&str, &str)> = files
            .iter()
            .map(|(entity, text)| (entity.as_str(), text.as_str()))
            .collect();
        let project = PROJECT.replace("audit_table: null", "audit_table: audit_logs");
        Self::over(TestDatabase::frames().await, &project, &mappings)
    }

    fn over(database: TestDatabase, project: &str, mappings: &[(&str, &str)]) -> Self {
        let simulator = Simulator::start(Options {
            tokens: vec![TOKEN.to_owned()],
            ..Options::default()
        })
        .expect("a simulator");
        let folder = mappings
            .iter()
            .fold(TestProject::new().project(project), |folder, (entity, text)| {
                folder.mapping(entity, text)
            })
            .env("DATABASE_URL", with_password(&database.url()))
            .env("NOTION_API_KEY", TOKEN)
            .env("NOTION_PARENT_PAGE", simulator.root_page_id.to_string())
            .env("FRAMES_SYNC_NOTION_BASE_URL", simulator.base_url.clone());
        Self {
            database,
            simulator,
            project: folder,
        }
    }

    /// Sets a variable for the binary in place of what it was.
    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.project = self.project.env(name, value);
        self
    }

    /// Runs the binary; what it prints holds no secret, and what it asked of Notion is as the document says.
    fn run(&self, arguments: &[&str]) -> Ran {
        let ran = self.project.run(arguments);
        for secret in [TOKEN, PASSWORD] {
            assert!(
                !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
                "{arguments:?}: a secret"
            );
        }
        assert_exchanges_conform(&self.simulator.exchanges());
        ran
    }

    /// Makes the databases, without pages in them.
    fn set_up(&self) {
        let ran = self.run(&["setup", "--skip-initial-sync"]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    }

    /// The findings of `validate` as `code file pointer`, and its exit code.
    fn validate(&self) -> (Vec<String>, Option<i32>) {
        let ran = self.run(&["validate", "--format", "json"]);
        let report: Json = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
        let text = |finding: &Json, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let mut findings: Vec<String> = report["findings"]
            .as_array()
            .expect("findings")
            .iter()
            .map(|finding| {
                assert!(finding["line"].as_u64() > Some(0), "{finding}");
                assert!(!text(finding, "help").is_empty(), "no help: {finding}");
                format!(
                    "{} {} {}",
                    text(finding, "code"),
                    text(finding, "file"),
                    text(finding, "pointer")
                )
            })
            .collect();
        findings.sort_unstable();
        (findings, ran.code)
    }

    /// The checks of `doctor` by name: status, message and help.
    fn doctor(&self) -> (Vec<Check>, Option<i32>) {
        let ran = self.run(&["doctor", "--format", "json"]);
        let report: Json = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
        assert_eq!(report["version"], 1);
        assert_eq!(report["profiles"][0]["profile"], "calpoly");
        let text = |check: &Json, key: &str| check[key].as_str().unwrap_or_default().to_owned();
        let checks = report["profiles"][0]["checks"]
            .as_array()
            .expect("checks")
            .iter()
            .map(|check| Check {
                name: text(check, "name"),
                status: text(check, "status"),
                message: text(check, "message"),
                help: text(check, "help"),
            })
            .collect();
        (checks, ran.code)
    }

    /// Asserts that the simulator was only read.
    fn assert_only_read(&self) {
        for (endpoint, count) in self.simulator.request_counts() {
            let reads = endpoint.starts_with("GET ") || endpoint == "POST /v1/search";
            assert!(reads, "{endpoint}: {count}");
        }
    }
}

#[derive(Debug)]
struct Check {
    name: String,
    status: String,
    message: String,
    help: String,
}

fn check<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks
        .iter()
        .find(|check| check.name == name)
        .unwrap_or_else(|| panic!("no check `{name}` among {checks:#?}"))
}

/// The names of the checks with a status.
fn named<'a>(checks: &'a [Check], status: &str) -> Vec<&'a str> {
    checks
        .iter()
        .filter(|check| check.status == status)
        .map(|check| check.name.as_str())
        .collect()
}

/// Trusted connections ignore it, and so it can be looked for in what is printed.
fn with_password(url: &str) -> String {
    url.replacen('@', &format!(":{PASSWORD}@"), 1)
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    format!("127.0.0.1:{port}")
}
