//! One university: its Postgres, its Notion, and the profile between them as `run` would keep it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use frames_sync::diagnostic::SourceFile;
use frames_sync::engine::{Binding, Engine, Tuning, bind};
use frames_sync::mapping::{Mapping, Scene, parse, validate};
use frames_sync::notion::turnstile::Turnstile;
use frames_sync::notion::{Client, EntityPages, NotionPages, introspect, setup};
use frames_sync::plan::option_names;
use frames_sync::plan::schema_change::Known;
use frames_sync::ports::{BoxFuture, Rng};
use frames_sync::project::Schedule;
use frames_sync::report::{ErrorCode, Failure, Outcome};
use frames_sync::runner::{Opened, Opener, Unopened};
use frames_sync::schema::{DataSourceSchema, TableSchema};
use frames_sync::simulator::{Options, RateLimits, Recording, Simulator};
use frames_sync::store::MemoryStore;
use frames_sync::value::{DataSourceId, PageId, PropertyId};
use frames_sync::yaml;
use serde_json::{Map, Value as Json};
use tokio::sync::broadcast;
use uuid::Uuid;

use super::clock::VirtualClock;
use super::line::Line;
use super::postgres::{FOREIGN, PROJECTS, Postgres, TEAMS, described};

/// How often everything is looked at: the default of `every`.
const EVERY: Duration = Duration::from_secs(300);

/// How long audit entries are kept here: short, so that a day shows that they go.
const RETENTION: Duration = Duration::from_hours(2);

const MAPPINGS: [(&str, &str); 2] = [
    (
        "projects",
        "version: 1
entity: projects
table: public.projects
key: id
scope: { org: \"{{ vars.org }}\" }
notion: { title: Projects }
properties:
  Name: { type: title, column: name }
  Note: { type: rich_text, column: note }
",
    ),
    (
        "teams",
        "version: 1
entity: teams
table: public.teams
key: id
scope: { org: \"{{ vars.org }}\" }
notion: { title: Teams }
capture: triggers
on_page_create: insert_row
new_row: { id: \"{{ vars.org }}-made-{{ uuid() }}\" }
properties:
  Name: { type: title, column: name }
  Note: { type: rich_text, column: note }
  Size: { type: number, column: size }
  Status: { type: select, column: status, options: [active, paused, done] }
  Open: { type: checkbox, column: is_open }
  Project: { type: relation, column: project_id, target: projects }
",
    ),
];

pub(crate) struct University {
    pub(crate) name: String,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) postgres: Arc<Postgres>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) line: Arc<Line>,
    client: Client,
    mappings: Vec<Mapping>,
    tables: BTreeMap<String, TableSchema>,
    known: Mutex<Known>,
}

/// Ids of nobody's choosing.
struct Chance;

impl Rng for Chance {
    fn next_u64(&self) -> u64 {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        high ^ low.rotate_left(17)
    }
}

fn vars(org: &str) -> Map<String, Json> {
    Map::from_iter([("org".to_owned(), Json::from(org))])
}

impl University {
    /// A university whose databases are not set up yet. `ahead` is how far Notion's clock is.
    pub(crate) fn new(number: u64, all: &[String], seed: u64) -> Self {
        let name = all[usize::try_from(number).unwrap_or_default()].clone();
        let ahead = i64::try_from(number).unwrap_or_default() * 11 - 30;
        let clock = Arc::new(VirtualClock::new(time::Duration::seconds(ahead)));
        let postgres = Arc::new(Postgres::new(&name, Arc::clone(&clock)));
        let store = Arc::new(MemoryStore::new(
            Arc::clone(&postgres) as _,
            Arc::clone(&clock) as _,
        ));
        let simulator = Arc::new(Simulator::detached(Options {
            seed: seed ^ number,
            clock: clock.of_notion(),
            rate: RateLimits {
                per_connection: Some(180),
                per_workspace: None,
            },
            recording: Recording::Nothing,
            ..Options::default()
        }));
        let strangers = all.iter().filter(|other| **other != name);
        let strangers = strangers.map(|other| format!("{other}-"));
        let line = Arc::new(Line::new(
            Arc::clone(&simulator),
            Arc::clone(&clock),
            seed ^ (number << 8),
            strangers.chain([format!("{FOREIGN}-")]).collect(),
        ));
        let client = Client::over(Arc::clone(&line) as _, Turnstile::new(180));
        let scene = |entity: &str| Scene {
            file_stem: Some(entity.to_owned()),
            profile: Some((name.clone(), vars(&name))),
        };
        let mappings = MAPPINGS.iter().map(|(entity, text)| {
            let document = yaml::read(Arc::new(SourceFile::new(*entity, *text)))
                .value
                .expect("YAML");
            let parsed = parse(document).value.expect("a mapping file");
            let checked = validate(&parsed, &scene(entity));
            assert!(checked.findings.is_empty(), "{:?}", checked.findings);
            checked.value.expect("a mapping")
        });
        Self {
            mappings: mappings.collect(),
            tables: BTreeMap::from([
                ("projects".to_owned(), described("projects", &PROJECTS)),
                ("teams".to_owned(), described("teams", &TEAMS)),
            ]),
            known: Mutex::default(),
            name,
            clock,
            postgres,
            store,
            simulator,
            line,
            client,
        }
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The entity's data source.
    pub(crate) fn data_source(&self, entity: &str) -> DataSourceId {
        self.known().data_sources[entity].clone()
    }

    /// The id of an entity's property, where it has one of that name.
    pub(crate) fn property_id(&self, entity: &str, name: &str) -> Option<PropertyId> {
        self.known().properties.get(entity)?.get(name).cloned()
    }

    /// Makes the databases in Notion, as `setup` does.
    pub(crate) async fn set_up(&self) {
        let parent = PageId(self.simulator.root_page_id.to_string());
        let all: Vec<&Mapping> = self.mappings.iter().collect();
        let known = self.known();
        let surveyed = setup::survey(&self.client, &parent, &all, &all, &known)
            .await
            .expect("a survey");
        let made = setup::apply(&self.client, &parent, surveyed)
            .await
            .expect("databases");
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for set_up in made {
            let id = set_up.schema.id.clone();
            known.data_sources.insert(set_up.entity.clone(), id);
            let ids = set_up.plan.matched.into_iter().collect();
            known.properties.insert(set_up.entity, ids);
        }
    }

    /// The engine over both sides as they are now.
    async fn bound(&self, holder: &str) -> Result<Engine, Unopened> {
        let me = self.client.me().await.map_err(|error| unopened(&error))?;
        let known = self.known();
        let nothing = BTreeMap::new();
        let (mut entities, mut pages) = (Vec::new(), BTreeMap::new());
        for mapping in &self.mappings {
            let id = &known.data_sources[&mapping.entity];
            let answer = self.client.retrieve_data_source(id).await;
            let schema = introspect::schema(&answer.map_err(|error| unopened(&error))?);
            let remembered = known.properties.get(&mapping.entity).unwrap_or(&nothing);
            let options = option_names::agreed(mapping, &schema, remembered, &BTreeMap::new(), false);
            let entity = bind(&Binding {
                mapping,
                table: &self.tables[&mapping.entity],
                data_source: &schema,
                remembered,
                options: &options,
                profile: (&self.name, &vars(&self.name)),
                create_grace: Duration::from_secs(120),
                clock: Arc::clone(&self.clock) as _,
                rng: Arc::new(Chance),
            })
            .expect("a mapping that fits both sides");
            pages.insert(mapping.entity.clone(), read_with(&entity, &schema));
            entities.push(Arc::new(entity));
        }
        Ok(Engine {
            profile: self.name.clone(),
            entities,
            rows: Arc::clone(&self.postgres) as _,
            pages: Arc::new(NotionPages::new(self.client.clone(), me.id, pages)),
            store: Arc::clone(&self.store) as _,
            clock: Arc::clone(&self.clock) as _,
            rng: Arc::new(Chance),
            tuning: Tuning {
                quiet_page: Duration::from_secs(180),
                audit_retention: RETENTION,
                ..Tuning::default()
            },
            holder: holder.to_owned(),
        })
    }
}

/// The properties that pages are read with: the fields' and the engine's own.
fn read_with(entity: &frames_sync::engine::Entity, schema: &DataSourceSchema) -> EntityPages {
    let own = [&entity.postgres_id, &entity.last_synced, &entity.sync_status];
    let ids = entity.fields.iter().map(|field| &field.property).chain(own);
    EntityPages {
        data_source: schema.id.clone(),
        postgres_id: entity.postgres_id.clone(),
        properties: ids
            .filter_map(|id| Some((id.clone(), schema.property(id)?.property_type()?)))
            .collect(),
    }
}

fn unopened(error: &frames_sync::notion::NotionError) -> Unopened {
    Unopened {
        failure: Failure {
            code: ErrorCode::NotionFailed,
            message: error.to_string(),
        },
        outcome: Outcome::Failed,
        refused: error.stops_the_connection(),
    }
}

/// All universities, as one instance of the program reaches them.
pub(crate) struct Campus {
    pub(crate) universities: Arc<BTreeMap<String, Arc<University>>>,
    pub(crate) instance: String,
}

impl Opener for Campus {
    fn open<'a>(&'a self, profile: &'a str) -> BoxFuture<'a, Result<Box<dyn Opened>, Unopened>> {
        Box::pin(async move {
            let university = Arc::clone(&self.universities[profile]);
            let engine = university.bound(&self.instance).await?;
            let notes = university.postgres.notes.subscribe();
            Ok(Box::new(Kept {
                university,
                engine,
                notes,
                schedule: Schedule::Every(EVERY),
                instance: self.instance.clone(),
            }) as Box<dyn Opened>)
        })
    }
}

struct Kept {
    university: Arc<University>,
    engine: Engine,
    notes: broadcast::Receiver<String>,
    schedule: Schedule,
    instance: String,
}

impl Opened for Kept {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn refresh(&mut self) -> BoxFuture<'_, Result<(), Unopened>> {
        Box::pin(async {
            self.engine = self.university.bound(&self.instance).await?;
            Ok(())
        })
    }

    fn noted(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async {
            match self.notes.recv().await {
                Ok(entity) => entity,
                // Notes that were missed are in the change log.
                Err(broadcast::error::RecvError::Lagged(_)) => "teams".to_owned(),
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}
