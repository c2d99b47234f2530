//! The built binary between a real Postgres and the simulator over HTTP.

use frames_sync::ports::{Link, Marks};
use frames_sync::simulator::{Exchange, Options, RateLimits, Recording, Simulator};
use serde_json::{Value as Json, json};
use sqlx::PgPool;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::support::openapi::assert_exchanges_conform;
use crate::support::{Ran, TestDatabase, TestProject};

/// Timings with which everything is looked at and nothing waits.
const TUNING: &str = "  tuning: { settle: 0s, settle_create: 0s, read_lag: 0s, quiet_page: 0s, create_grace: 0s, \
                      request_timeout: 5s, lease: 180s }\n";

/// A profile of the test's project: its name, its university, and the token's place.
pub(crate) const ONE: &[(&str, &str)] = &[("cal", "cal")];

/// A project, its database, and its Notion.
pub(crate) struct World {
    pub(crate) project: TestProject,
    pub(crate) simulator: Simulator,
    pub(crate) pool: PgPool,
    database: TestDatabase,
}

/// What one run said.
pub(crate) struct Report {
    pub(crate) code: i32,
    pub(crate) json: Json,
    pub(crate) stderr: String,
}

impl World {
    /// One profile over tables of the test's own.
    pub(crate) async fn with(sql: &'static str, mappings: &[(&str, &str)]) -> Self {
        Self::of(sql, mappings, ONE).await
    }

    /// Profiles over tables of the test's own, each with its token.
    pub(crate) async fn of(sql: &'static str, mappings: &[(&str, &str)], profiles: &[(&str, &str)]) -> Self {
        let (database, pool) = TestDatabase::with(sql).await;
        let mut yaml = format!(
            "version: 1\nmappings: mappings\ndefault_profile: {}\ndefaults:\n  database_url: \"{{{{ env.DATABASE_URL }}}}\"\n{TUNING}\
             \x20 notion: {{ parent_page: \"{{{{ env.NOTION_PARENT_PAGE }}}}\", requests_per_minute: 60000 }}\nprofiles:\n",
            profiles[0].0
        );
        for (index, (name, org)) in profiles.iter().enumerate() {
            yaml.push_str(&format!(
                "  {name}:\n    vars: {{ org: {org} }}\n    notion: {{ token: \"{{{{ env.NOTION_TOKEN_{index} }}}}\" }}\n"
            ));
        }
        Self::open(database, pool, &yaml, mappings, profiles.len())
    }

    /// The project of this repository over the sample FRAMES database, with a Notion connection for each profile.
    pub(crate) async fn frames() -> Self {
        let database = TestDatabase::frames().await;
        let pool = database.connect().await;
        let yaml = include_str!("../../../frames-sync.yaml")
            .replace("\ndefaults:\n", &format!("\ndefaults:\n{TUNING}"))
            .replace("requests_per_minute: 180", "requests_per_minute: 60000");
        let mappings: Vec<(&str, &str)> = frames_mappings();
        let mut world = Self::open(database, pool, &yaml, &mappings, 3);
        for (index, name) in ["CALPOLY", "TEXAS_STATE", "PROVES"].into_iter().enumerate() {
            world.project = world
                .project
                .env(
                    &format!("NOTION_TOKEN_{name}"),
                    world.simulator.tokens[index].clone(),
                )
                .env(
                    &format!("NOTION_PAGE_{name}"),
                    world.simulator.root_page_id.to_string(),
                );
        }
        world
    }

    fn open(
        database: TestDatabase,
        pool: PgPool,
        yaml: &str,
        mappings: &[(&str, &str)],
        tokens: usize,
    ) -> Self {
        let simulator = Simulator::start(Options {
            tokens: (0..tokens).map(|index| format!("ntn_{index:032}")).collect(),
            rate: RateLimits {
                per_connection: None,
                per_workspace: None,
            },
            recording: Recording::Everything,
            ..Options::default()
        })
        .expect("a simulator");
        let mut project = TestProject::new()
            .project(yaml)
            .env("DATABASE_URL", database.url())
            .env("FRAMES_SYNC_NOTION_BASE_URL", simulator.base_url.clone())
            .env("NOTION_API_KEY", simulator.tokens[0].clone())
            .env("NOTION_PARENT_PAGE", simulator.root_page_id.to_string());
        for (index, token) in simulator.tokens.iter().enumerate() {
            project = project.env(&format!("NOTION_TOKEN_{index}"), token.clone());
        }
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

    /// Runs a command; its exchanges with Notion are checked against Notion's own document.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Report {
        let mut all: Vec<&str> = arguments.to_vec();
        all.extend(["--format", "json"]);
        let Ran { stdout, stderr, code } = self.project.run(&all);
        assert_exchanges_conform(&self.simulator.exchanges());
        let json = serde_json::from_str(&stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{stdout}\n{stderr}"));
        Report {
            code: code.expect("an exit code"),
            json,
            stderr,
        }
    }

    /// Runs a command that must end well.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> Report {
        let report = self.run(arguments);
        assert_eq!(
            report.code, 0,
            "{arguments:?}: {:#}\n{}",
            report.json, report.stderr
        );
        report
    }

    /// The same, with the exchanges of this command alone.
    #[track_caller]
    pub(crate) fn watched(&self, arguments: &[&str]) -> (Report, Vec<Exchange>) {
        self.simulator.clear_exchanges();
        let report = self.ok(arguments);
        (report, self.simulator.exchanges())
    }

    /// Writes a mapping anew.
    pub(crate) fn rewrite(&self, entity: &str, yaml: &str) {
        let path = self.project.path().join(format!("mappings/{entity}.yaml"));
        std::fs::write(path, yaml).expect("a mapping");
    }

    /// The data source with a title.
    pub(crate) fn source(&self, title: &str) -> Uuid {
        self.simulator
            .workspace(|workspace| workspace.data_source_titled(title))
            .unwrap_or_else(|| panic!("no data source titled `{title}`"))
    }

    /// The live pages of a data source.
    pub(crate) fn pages(&self, title: &str) -> Vec<Uuid> {
        let source = self.source(title);
        self.simulator.workspace(|workspace| workspace.rows(source))
    }

    /// The pages of a data source that are in the trash.
    pub(crate) fn trashed(&self, title: &str) -> Vec<Uuid> {
        let source = self.source(title);
        self.simulator
            .workspace(|workspace| workspace.trashed_rows(source))
    }

    /// The live pages of a data source whose label is that key.
    pub(crate) fn pages_of(&self, title: &str, key: &str) -> Vec<Uuid> {
        let pages = self.pages(title);
        pages
            .into_iter()
            .filter(|page| self.text(*page, "postgres_id") == key)
            .collect()
    }

    /// The one live page with that key.
    #[track_caller]
    pub(crate) fn page(&self, title: &str, key: &str) -> Uuid {
        let pages = self.pages_of(title, key);
        assert_eq!(pages.len(), 1, "pages of {title} {key}");
        pages[0]
    }

    /// The raw value of a property.
    pub(crate) fn value(&self, page: Uuid, property: &str) -> Json {
        self.simulator
            .workspace(|workspace| workspace.value(page, property))
            .unwrap_or(Json::Null)
    }

    /// A property's plain text, option name, number or date, as text.
    pub(crate) fn text(&self, page: Uuid, property: &str) -> String {
        plain(&self.value(page, property))
    }

    /// Types into a property.
    #[track_caller]
    pub(crate) fn edit(&self, page: Uuid, property: &str, value: Json) {
        self.simulator
            .workspace(|workspace| workspace.edit(page, property, value))
            .unwrap_or_else(|refusal| panic!("{property}: {}", refusal.message));
    }

    /// Runs SQL.
    pub(crate) async fn sql(&self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// A query's only value, as text; `None` for NULL or no row.
    pub(crate) async fn scalar(&self, sql: &str) -> Option<String> {
        let row: Option<PgRow> = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()))
            .fetch_optional(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        row.and_then(|row| {
            sqlx::Row::try_get::<Option<String>, _>(&row, 0).unwrap_or_else(|error| panic!("{sql}: {error}"))
        })
    }

    /// A table's rows as JSON text, in order, each value as Postgres prints it.
    pub(crate) async fn rows(&self, table: &str) -> Vec<String> {
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "select t::text from {table} t order by 1"
        )))
        .fetch_all(&self.pool)
        .await
        .unwrap_or_else(|error| panic!("{table}: {error}"))
    }

    /// Whether all connections share one backend, on which none can wait for another's lock.
    pub(crate) fn has_one_backend(&self) -> bool {
        self.database.engine() == frames_sync::cluster::Engine::Embedded
    }

    /// Lets that many hours pass for what the engine remembers: its instants on the database's clock move back.
    ///
    /// The database's clock itself cannot be moved. What was read on Notion's clock stays.
    pub(super) async fn let_pass(&self, hours: i64) {
        let back = |at: &mut OffsetDateTime| *at -= time::Duration::hours(hours);
        for body in self.bodies("link").await {
            let mut link: Link = serde_json::from_str(&body).expect("a link");
            let id = link.id;
            link.look_again_at.iter_mut().for_each(back);
            link.settled_at.iter_mut().for_each(back);
            link.page_written_at.iter_mut().for_each(back);
            link.missed.iter_mut().for_each(|(_, at)| back(at));
            for trouble in &mut link.troubles {
                trouble.retry_at.iter_mut().for_each(back);
            }
            sqlx::query(
                "update frames_sync.link set body = $2::text::json, look_again_at = $3 where id = $1",
            )
            .bind(id)
            .bind(serde_json::to_string(&link).expect("a link"))
            .bind(link.look_again_at)
            .execute(&self.pool)
            .await
            .expect("the link");
        }
        for body in self.bodies("mark").await {
            let mut marks: Marks = serde_json::from_str(&body).expect("marks");
            marks.pages_listed_at.iter_mut().for_each(back);
            marks.pages_queried_at.iter_mut().for_each(back);
            marks.rows_scanned_at.iter_mut().for_each(back);
            marks.rows_captured_at.iter_mut().for_each(back);
            sqlx::query("update frames_sync.mark set body = $2::text::json where body::text = $1")
                .bind(body)
                .bind(serde_json::to_string(&marks).expect("marks"))
                .execute(&self.pool)
                .await
                .expect("the marks");
        }
    }

    async fn bodies(&self, table: &str) -> Vec<String> {
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "select body::text from frames_sync.{table}"
        )))
        .fetch_all(&self.pool)
        .await
        .unwrap_or_else(|error| panic!("{table}: {error}"))
    }

    /// Where the link of a record stands.
    pub(super) async fn phase(&self, entity: &str, key: &str) -> String {
        self.scalar(&format!(
            "select phase from frames_sync.link where entity = '{entity}' and key = '[\"{key}\"]' order by phase = 'tombstone'"
        ))
        .await
        .unwrap_or_default()
    }

    /// How many entries the audit log has.
    pub(crate) async fn audits(&self) -> i64 {
        sqlx::query_scalar("select count(*) from frames_sync.audit")
            .fetch_one(&self.pool)
            .await
            .expect("the audit log")
    }
}

/// The mappings of this repository.
fn frames_mappings() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "universities",
            include_str!("../../../mappings/universities.yaml"),
        ),
        ("projects", include_str!("../../../mappings/projects.yaml")),
        ("teams", include_str!("../../../mappings/teams.yaml")),
        ("faculty", include_str!("../../../mappings/faculty.yaml")),
        ("students", include_str!("../../../mappings/students.yaml")),
        ("interfaces", include_str!("../../../mappings/interfaces.yaml")),
        ("modules", include_str!("../../../mappings/modules.yaml")),
    ]
}

impl Report {
    /// An entity's share of a report with one profile.
    #[track_caller]
    pub(crate) fn entity(&self, name: &str) -> &Json {
        self.json["profiles"][0]["entities"]
            .as_array()
            .and_then(|entities| entities.iter().find(|entity| entity["entity"] == name))
            .unwrap_or_else(|| panic!("no entity `{name}` in {:#}\n{}", self.json, self.stderr))
    }

    /// A count summed over all entities.
    pub(crate) fn total(&self, count: &str) -> u64 {
        let entities = self.json["profiles"][0]["entities"].as_array();
        entities
            .into_iter()
            .flatten()
            .filter_map(|entity| entity[count].as_u64())
            .sum()
    }

    /// The codes of an entity's errors, sorted: pages are told in the order of their ids, which are random.
    pub(crate) fn codes(&self, entity: &str) -> Vec<String> {
        let errors = self.entity(entity)["errors"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let mut codes: Vec<String> = errors
            .iter()
            .map(|error| error["code"].as_str().unwrap_or_default().to_owned())
            .collect();
        codes.sort();
        codes
    }
}

/// Whether an exchange writes.
pub(crate) fn is_write(exchange: &Exchange) -> bool {
    exchange.method != "GET" && !exchange.path.ends_with("/query") && !exchange.path.ends_with("/search")
}

/// The writes among exchanges.
pub(crate) fn writes(exchanges: &[Exchange]) -> Vec<&Exchange> {
    exchanges.iter().filter(|exchange| is_write(exchange)).collect()
}

/// How many exchanges an endpoint has.
pub(crate) fn count(exchanges: &[Exchange], endpoint: &str) -> usize {
    exchanges
        .iter()
        .filter(|exchange| exchange.endpoint.as_deref() == Some(endpoint))
        .count()
}

/// The properties that a write names, sorted.
pub(crate) fn written(exchange: &Exchange) -> Vec<String> {
    let body = exchange.request_json();
    let mut names: Vec<String> = body["properties"]
        .as_object()
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default();
    names.sort();
    names
}

/// A property's plain text.
pub(crate) fn plain(value: &Json) -> String {
    match value {
        Json::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(""),
        Json::Object(object) => ["plain_text", "name", "start", "id"]
            .iter()
            .find_map(|key| object.get(*key).and_then(Json::as_str))
            .unwrap_or_default()
            .to_owned(),
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

/// A title's value.
pub(crate) fn title(text: &str) -> Json {
    json!({ "title": [{ "text": { "content": text } }] })
}

/// A text's value.
pub(crate) fn text(text: &str) -> Json {
    json!({ "rich_text": [{ "text": { "content": text } }] })
}

/// A select's value.
pub(crate) fn select(name: &str) -> Json {
    json!({ "select": { "name": name } })
}
