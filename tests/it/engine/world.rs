//! The harness: teams that belong to projects, on both sides in memory, and a clock that only the test moves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use frames_sync::engine::{Engine, Entity, EntityField, FieldCodec, NewRow, Reference, Request, Tuning};
use frames_sync::mapping::{
    Capture, ConflictPolicy, Direction, Guards, LastWritePolicy, MinCertainty, OnDuplicate, OnInaccessible,
    OnPageCreate, OnPageTrash, OnRowDelete, PresencePolicies, TieBreak,
};
use frames_sync::ports::{BoxFuture, Clock, Pages, Rng, RowTables, Rows, Store};
use frames_sync::reconcile::{EntityPolicy, Fault, FieldError};
use frames_sync::report::{Command, EntityReport, ProfileReport};
use frames_sync::schema::PgType;
use frames_sync::simulator::table::{Columns, Table, Tables};
use frames_sync::store::MemoryStore;
use frames_sync::value::{Choice, Number, PageId, PropertyId, RecordKey, Value, plain_text};
use time::OffsetDateTime;

use super::pages::MemoryPages;

pub(crate) struct TestClock {
    now: Mutex<OffsetDateTime>,
}

impl TestClock {
    pub(crate) fn advance(&self, seconds: i64) {
        *self.now.lock().unwrap() += time::Duration::seconds(seconds);
    }
}

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        *self.now.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        *self.now.lock().unwrap() += duration;
        Box::pin(async {})
    }

    fn notion_offset(&self) -> Option<(time::Duration, Duration)> {
        Some((time::Duration::ZERO, Duration::from_secs(1)))
    }
}

struct Counter(AtomicU64);

impl Rng for Counter {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// How a test's field is converted.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Select,
    Number,
    Relation,
}

struct TestCodec {
    column: &'static str,
    kind: Kind,
}

const OPTIONS: [&str; 3] = ["active", "completed", "on_hold"];

impl FieldCodec for TestCodec {
    fn row_value(&self, columns: &BTreeMap<String, Value>) -> Result<Value, FieldError> {
        columns.get(self.column).cloned().ok_or_else(|| FieldError {
            fault: Fault::ColumnDrift,
            message: format!("there is no column `{}`", self.column),
        })
    }

    fn encode(
        &self,
        row: &Value,
        _columns: &BTreeMap<String, Value>,
        page: Option<&Value>,
    ) -> Result<Value, FieldError> {
        Ok(match (self.kind, row) {
            (Kind::Text, Value::Text(text)) => match page {
                Some(Value::RichText(runs)) if plain_text(runs) == *text => Value::RichText(runs.clone()),
                _ => Value::rich(text.as_str()),
            },
            (Kind::Text, _) => Value::rich(""),
            (Kind::Select, Value::Text(name)) if OPTIONS.contains(&name.as_str()) => Value::Choice(Choice {
                name: name.clone(),
                id: None,
            }),
            (Kind::Select, Value::Text(_)) => {
                return Err(FieldError {
                    fault: Fault::UnknownOption,
                    message: "the row's value is no option".to_owned(),
                });
            }
            (_, other) => other.clone(),
        })
    }

    fn decode(
        &self,
        page: &Value,
        _columns: &BTreeMap<String, Value>,
        _row: Option<&Value>,
    ) -> Result<Value, FieldError> {
        Ok(match page {
            Value::RichText(runs) => Value::text(plain_text(runs)),
            Value::Choice(choice) => Value::text(choice.name.as_str()),
            other => other.clone(),
        })
    }
}

struct GeneratedKey(AtomicU64);

impl NewRow for GeneratedKey {
    fn columns(&self, _columns: &BTreeMap<String, Value>) -> Result<Vec<(String, Value)>, FieldError> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Ok(vec![("id".to_owned(), Value::text(format!("team_new_{number}")))])
    }
}

pub(crate) struct World {
    pub(crate) tables: Arc<Tables>,
    pub(crate) pages: Arc<MemoryPages>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) engine: Engine,
}

pub(crate) struct Options {
    pub(crate) conflict: ConflictPolicy,
    pub(crate) name_direction: Direction,
    pub(crate) presence: PresencePolicies,
    pub(crate) table: Table,
    pub(crate) capture: Capture,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            conflict: ConflictPolicy::LastWriteWins,
            name_direction: Direction::Both,
            presence: PresencePolicies {
                on_row_delete: OnRowDelete::TrashPage,
                on_page_create: OnPageCreate::Ignore,
                on_page_trash: OnPageTrash::Hold,
                on_inaccessible: OnInaccessible::Hold,
                on_duplicate: OnDuplicate::Flag,
            },
            table: Table::new(&["id"]),
            capture: Capture::Scan,
        }
    }
}

fn field(
    name: &'static str,
    kind: Kind,
    direction: Direction,
    conflict: ConflictPolicy,
    reference: Option<Reference>,
) -> EntityField {
    EntityField {
        property: PropertyId::from(name),
        name: name.to_owned(),
        column: Some(name.to_owned()),
        direction,
        conflict,
        reference,
        codec: Arc::new(TestCodec { column: name, kind }),
    }
}

fn entity(name: &str, fields: Vec<EntityField>, options: &Options) -> Arc<Entity> {
    Arc::new(Entity {
        name: name.to_owned(),
        data_source_id: format!("ds-{name}"),
        key: vec![("id".to_owned(), PgType::Text)],
        fields,
        frozen: Vec::new(),
        scope: String::new(),
        postgres_id: PropertyId::from("postgres_id"),
        last_synced: PropertyId::from("last_synced"),
        sync_status: PropertyId::from("sync_status"),
        opt_out: Some(PropertyId::from("paused")),
        policy: EntityPolicy {
            presence: options.presence,
            conflict: options.conflict,
            last_write: LastWritePolicy {
                tie_break: TieBreak::Postgres,
                min_certainty: MinCertainty::Probable,
            },
            initial: None,
        },
        guards: Guards::default(),
        capture: options.capture.clone(),
        create_grace: Duration::from_secs(120),
        new_row: Arc::new(GeneratedKey(AtomicU64::new(1))),
        soft_delete: Vec::new(),
        required: vec!["name".to_owned()],
    })
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let clock = Arc::new(TestClock {
            now: Mutex::new(time::macros::datetime!(2026-09-04 12:00:10 UTC)),
        });
        let pages = Arc::new(MemoryPages::new(clock.clone()));
        let tables = Arc::new(Tables::new());
        let reference = Reference {
            target: "projects".to_owned(),
            column_type: PgType::Text,
        };
        let conflict = options.conflict;
        let teams = entity(
            "teams",
            vec![
                field("name", Kind::Text, options.name_direction, conflict, None),
                field("status", Kind::Select, Direction::Both, conflict, None),
                field("size", Kind::Number, Direction::Both, conflict, None),
                field(
                    "project_id",
                    Kind::Relation,
                    Direction::Both,
                    conflict,
                    Some(reference),
                ),
            ],
            &options,
        );
        let projects = entity(
            "projects",
            vec![field("name", Kind::Text, Direction::Both, conflict, None)],
            &options,
        );
        tables.add(
            "teams",
            options
                .table
                .columns(&["id", "name", "status", "size", "project_id"]),
        );
        tables.add("projects", Table::new(&["id"]));
        let system = || {
            vec![
                (PropertyId::from("postgres_id"), Value::rich("")),
                (PropertyId::from("last_synced"), Value::Null),
                (PropertyId::from("sync_status"), Value::Null),
                (PropertyId::from("paused"), Value::Bool(false)),
                (PropertyId::from("name"), Value::rich("")),
            ]
        };
        let mut team_properties = system();
        team_properties.extend([
            (PropertyId::from("status"), Value::Null),
            (PropertyId::from("size"), Value::Null),
            (
                PropertyId::from("project_id"),
                Value::Pages(std::collections::BTreeSet::new()),
            ),
        ]);
        pages.data_source("teams", team_properties);
        pages.data_source("projects", system());
        let store = Arc::new(MemoryStore::new(
            tables.clone() as Arc<dyn RowTables>,
            clock.clone(),
        ));
        let engine = Engine {
            profile: "calpoly".to_owned(),
            entities: vec![teams, projects],
            rows: tables.clone() as Arc<dyn Rows>,
            pages: pages.clone() as Arc<dyn Pages>,
            store: store.clone() as Arc<dyn Store>,
            clock: clock.clone(),
            rng: Arc::new(Counter(AtomicU64::new(1))),
            tuning: Tuning::default(),
            holder: "test".to_owned(),
        };
        Self {
            tables,
            pages,
            store,
            clock,
            engine,
        }
    }

    pub(crate) fn team(&self, id: &str, name: &str) -> RecordKey {
        self.tables.put("teams", team_columns(id, name)).unwrap()
    }

    pub(crate) fn project(&self, id: &str) -> RecordKey {
        let columns = Columns::from([
            ("id".to_owned(), Value::text(id)),
            ("name".to_owned(), Value::text(format!("Project {id}"))),
        ]);
        self.tables.put("projects", columns).unwrap()
    }

    pub(crate) async fn run(&self, command: Command) -> ProfileReport {
        self.clock.advance(1);
        let report = self.engine.run(&Request::all(command)).await.report;
        assert_eq!(report.failure, None);
        report
    }

    pub(crate) async fn sync(&self) -> EntityReport {
        let report = self.run(Command::Sync).await;
        report
            .entities
            .into_iter()
            .find(|entity| entity.entity == "teams")
            .unwrap()
    }

    /// Set up, pushed for the first time, and at rest: nobody's edit is near ours.
    pub(crate) async fn settled(&self) {
        self.run(Command::Setup).await;
        self.clock.advance(400);
        self.run(Command::Sync).await;
        self.clock.advance(60);
        self.pages.take_requests();
        self.pages.take_sent();
    }

    pub(crate) fn page_of(&self, key: &RecordKey) -> PageId {
        self.store
            .links()
            .into_iter()
            .filter(|link| link.key == *key)
            .find_map(|link| link.page)
            .expect("the record has a page")
    }

    pub(crate) fn column(&self, key: &RecordKey, column: &str) -> Value {
        self.tables.row("teams", key).unwrap()[column].clone()
    }

    /// I3: another cycle makes one query per entity and nothing else.
    pub(crate) async fn assert_at_rest(&self) {
        let audit = self.store.audit_log().len();
        self.pages.take_requests();
        let before = self.store.links();
        let report = self.sync().await;
        let requests = self.pages.take_requests();
        assert!(
            requests.iter().all(|request| request.starts_with("query")),
            "{requests:?} {before:#?}"
        );
        assert!(requests.len() <= 2, "{requests:?}");
        assert_eq!(self.store.audit_log().len(), audit);
        assert_eq!(
            (report.pages_updated, report.rows_updated, report.pages_created),
            (0, 0, 0)
        );
    }
}

pub(crate) fn team_columns(id: &str, name: &str) -> Columns {
    Columns::from([
        ("id".to_owned(), Value::text(id)),
        ("name".to_owned(), Value::text(name)),
        ("status".to_owned(), Value::text("active")),
        ("size".to_owned(), Value::Number(Number::from(5))),
        ("project_id".to_owned(), Value::Null),
    ])
}
