//! One profile opened for work: both sides reached, everything bound, the engine ready.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Failure;
use super::ambient::{DatabaseClock, SystemRng};
use super::context;
use super::error::with_causes;
use super::remembered::{Remembered, has_state};
use crate::engine::{Binding, Engine, Request, Tuning, bind, row_columns};
use crate::mapping::{Capture, Mapping};
use crate::notion::setup::{self, SetUp, SetupError, Surveyed};
use crate::notion::{Client, EntityPages, NotionError, NotionPages, Settings, introspect, parse_page_id};
use crate::plan::option_names;
use crate::plan::schema_change::{DesiredProperty, Known, SchemaChange, SchemaPlan, desired, diff};
use crate::plan::{Operation, OperationKind};
use crate::ports::{Clock, Commit, Pin, Record, Rows, Store};
use crate::postgres::{ConnectOptions, NoteListener, PostgresError, connect, introspect_all};
use crate::postgres::{EntityTable, ProfileDatabase, migrate_state};
use crate::project::{Profile, Project, Secrets};
use crate::reconcile::Reason;
pub(crate) use crate::report::iso;
use crate::report::{Command, ErrorCode};
use crate::schema::data_source::{PropertyConfig, PropertySchema};
use crate::schema::{DataSourceSchema, PropertyType, TableName, TableSchema};
use crate::value::{PageId, PropertyId, UserId};

/// A profile with both sides reached.
pub(crate) struct Session {
    /// The profile.
    pub(crate) profile: Profile,
    /// Its mappings.
    pub(crate) mappings: Vec<Mapping>,
    /// The connection to Notion.
    pub(crate) client: Client,
    /// The page under which the databases stand.
    pub(crate) parent: PageId,
    /// The profile's rows and state.
    pub(crate) database: Arc<ProfileDatabase>,
    bot: UserId,
    workspace: Option<String>,
    pool: PgPool,
    tables: BTreeMap<TableName, TableSchema>,
    clock: Arc<DatabaseClock>,
    holder: String,
    has_state: bool,
}

/// Who the token belongs to, and when Notion said so.
struct Met {
    bot: UserId,
    workspace: Option<String>,
    date: Option<OffsetDateTime>,
    asked: Instant,
    answered: Instant,
}

impl Met {
    async fn ask(client: &Client) -> Result<Self, Failure> {
        let asked = Instant::now();
        let me = client.me().await.map_err(|error| notion(&error))?;
        Ok(Self {
            bot: me.id,
            workspace: me.bot.and_then(|bot| bot.workspace_id),
            date: client.usage().answered_at,
            asked,
            answered: Instant::now(),
        })
    }

    /// The database's clock, which knows how far Notion's is ahead.
    async fn clock(&self, pool: &PgPool) -> Result<Arc<DatabaseClock>, Failure> {
        let clock = DatabaseClock::measure(pool)
            .await
            .map_err(|error| postgres(&error))?;
        Ok(Arc::new(match self.date {
            Some(date) => clock.with_notion(date, self.asked, self.answered),
            None => clock,
        }))
    }
}

/// A profile's settings and mappings, with every finding that keeps them from being used turned into a failure.
pub(crate) fn prepare(project: &Project, name: &str) -> Result<(Profile, Vec<Mapping>), Failure> {
    let broken: Vec<_> = project
        .files
        .iter()
        .flat_map(|file| file.findings.clone())
        .collect();
    let rendered = project.profile(name, Secrets::Needed);
    if let Some(failure) = context::refuse(&rendered.findings) {
        return Err(failure);
    }
    let profile = rendered
        .value
        .ok_or_else(|| Failure::usage(format!("there is no profile `{name}`")))?;
    let checked = project.mappings(&profile);
    let of_profile = |finding: &crate::diagnostic::Diagnostic| {
        project
            .files
            .iter()
            .filter(|file| profile.has_entity(&file.stem))
            .any(|file| {
                finding
                    .primary
                    .file
                    .path
                    .ends_with(&*file.path.file_name().unwrap_or_default().to_string_lossy())
            })
    };
    let mut findings: Vec<_> = broken.into_iter().filter(of_profile).collect();
    findings.extend(checked.findings);
    if let Some(mut failure) = context::refuse(&findings) {
        failure.exit = super::Exit::NeedsUser;
        return Err(failure);
    }
    Ok((profile, checked.value.unwrap_or_default()))
}

impl Session {
    /// Reaches both sides of a profile, and brings the state schema to this program's version.
    pub(crate) async fn open(project: &Project, name: &str) -> Result<Self, Failure> {
        let session = Self::reach(project, name, true).await?;
        session.check_connection().await?;
        Ok(session)
    }

    /// As [`Session::open`], where the profile may have got another connection of its workspace.
    pub(crate) async fn open_to_set_up(project: &Project, name: &str) -> Result<Self, Failure> {
        Self::reach(project, name, true).await
    }

    /// Reaches both sides of a profile to look only: nothing is made, and state that is not there counts as empty.
    pub(crate) async fn look(project: &Project, name: &str) -> Result<Self, Failure> {
        let session = Self::reach(project, name, false).await?;
        session.check_connection().await?;
        Ok(session)
    }

    async fn reach(project: &Project, name: &str, may_write: bool) -> Result<Self, Failure> {
        let (profile, mappings) = prepare(project, name)?;
        let client = client(&profile)?;
        let parent = parent_page(&profile)?;
        let url = required(&profile.database_url, &profile, "database_url")?;
        let pool = connect(url, &ConnectOptions::default())
            .await
            .map_err(|error| postgres(&error))?;
        // The token is tried before anything is made in the database.
        let met = Met::ask(&client).await?;
        let has_state = if may_write {
            migrate_state(&pool, &profile.state_schema)
                .await
                .map_err(|error| postgres(&error))?;
            true
        } else {
            has_state(&pool, &profile).await?
        };
        let tables = tables(&pool, &profile, &mappings).await?;
        let database = Arc::new(profile_database(&pool, &profile, &mappings, &tables)?);
        let clock = met.clock(&pool).await?;
        let session = Self {
            holder: format!("{}-{}", std::process::id(), Uuid::new_v4()),
            bot: met.bot,
            workspace: met.workspace,
            profile,
            mappings,
            client,
            parent,
            database,
            pool,
            tables,
            clock,
            has_state,
        };
        session.check_pins(session.workspace.as_deref()).await?;
        Ok(session)
    }

    /// Looks again at what may have changed since the session was opened: whose token it is, the tables, the clocks.
    pub(crate) async fn refresh(&mut self) -> Result<(), Failure> {
        let met = Met::ask(&self.client).await?;
        self.tables = tables(&self.pool, &self.profile, &self.mappings).await?;
        let database = profile_database(&self.pool, &self.profile, &self.mappings, &self.tables)?;
        self.database = Arc::new(database);
        self.clock = met.clock(&self.pool).await?;
        self.bot = met.bot;
        self.workspace = met.workspace;
        self.check_pins(self.workspace.as_deref()).await
    }

    /// The engine over both sides as they are now; properties that mappings have gained are added first.
    pub(crate) async fn bound(&self) -> Result<Engine, Failure> {
        let known = self.known().await?;
        let schemas = self.schemas(&known, &[], true).await?;
        let known = self.known().await?;
        self.engine(&known, &schemas)
    }

    /// Listens for notes about rows, where a mapping asks for them.
    pub(crate) fn listener(&self) -> Result<Option<NoteListener>, Failure> {
        let by_triggers = self
            .mappings
            .iter()
            .filter(|mapping| mapping.capture == Capture::Triggers);
        let entities: Vec<String> = by_triggers.map(|mapping| mapping.entity.clone()).collect();
        let Some(url) = self
            .profile
            .database_url
            .as_ref()
            .filter(|_| !entities.is_empty())
        else {
            return Ok(None);
        };
        let Profile {
            name, state_schema, ..
        } = &self.profile;
        NoteListener::start(url, self.pool.clone(), state_schema, name, entities)
            .map(Some)
            .map_err(|error| postgres(&error))
    }

    /// Closes the connections to the database.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// What was remembered of the databases in Notion.
    pub(crate) async fn known(&self) -> Result<Known, Failure> {
        Ok(Remembered::of(&self.pins().await?).known)
    }

    async fn pins(&self) -> Result<Vec<Pin>, Failure> {
        if !self.has_state {
            return Ok(Vec::new());
        }
        self.database
            .pins()
            .await
            .map_err(|error| Failure::world(with_causes(&error)))
    }

    /// Refuses a token of another connection than the one that the profile was set up with, in the same workspace.
    ///
    /// Our own writes are recognised by the connection's bot, and what it may see is not what the other one may.
    async fn check_connection(&self) -> Result<(), Failure> {
        match Remembered::of(&self.pins().await?).bot {
            Some(bot) if bot != self.bot.as_str() => Err(Failure::needs_user(format!(
                "the token of profile `{}` belongs to another connection than the one it was set up with",
                self.profile.name
            ))
            .code(ErrorCode::PinMismatch)
            .hint("check that the profile has its own token, and not another profile's")
            .hint("if the connection was replaced on purpose, run `frames-sync setup`")),
            _ => Ok(()),
        }
    }

    /// Refuses a token of another workspace than the one that the profile was set up with.
    async fn check_pins(&self, workspace: Option<&str>) -> Result<(), Failure> {
        let remembered = Remembered::of(&self.pins().await?);
        if remembered.is_another(workspace) {
            return Err(Failure::needs_user(format!(
                "the token of profile `{}` belongs to another workspace than the one it was set up with",
                self.profile.name
            ))
            .code(ErrorCode::PinMismatch)
            .hint("check that the profile has its own token, and not another profile's"));
        }
        Ok(())
    }

    /// Remembers what set-up made or found.
    async fn remember(&self, made: &[SetUp]) -> Result<(), Failure> {
        let known = self.known().await?;
        let mut pins = Vec::new();
        let mut pin = |name: String, value: &str| {
            pins.push(Pin {
                name,
                value: value.to_owned(),
            })
        };
        for set_up in made {
            let entity = &set_up.entity;
            if known.data_sources.get(entity) != Some(&set_up.schema.id) {
                pin(format!("data_source:{entity}"), set_up.schema.id.as_str());
            }
            for (name, id) in &set_up.plan.matched {
                if known.properties.get(entity).and_then(|ids| ids.get(name)) != Some(id) {
                    pin(format!("property:{entity}:{name}"), id.as_str());
                }
            }
        }
        self.write_pins(pins).await
    }

    async fn write_pins(&self, pins: Vec<Pin>) -> Result<(), Failure> {
        if pins.is_empty() {
            return Ok(());
        }
        let failed = |error: crate::ports::StoreError| Failure::world(with_causes(&error));
        let lease = self
            .database
            .acquire(&self.holder, self.profile.tuning.lease)
            .await
            .map_err(failed)?
            .ok_or_else(|| {
                Failure::needs_user(format!("another run holds profile `{}`", self.profile.name))
                    .code(ErrorCode::ProfileBusy)
                    .hint("wait until it ends, or until its lease has run out")
            })?;
        let fence = crate::ports::Fence { epoch: lease.epoch };
        let records = pins.into_iter().map(Record::Pin).collect();
        let written = self
            .database
            .commit(fence, Commit::of(records))
            .await
            .map_err(failed);
        self.database.release(fence).await.map_err(failed)?;
        written.map(|_| ())
    }

    /// Finds the databases and says what each lacks. Writes nothing.
    pub(crate) async fn survey(&self, known: &Known, wanted: &[String]) -> Result<Vec<Surveyed>, Failure> {
        let all: Vec<&Mapping> = self.mappings.iter().collect();
        let wanted = self.wanted(wanted);
        let mut surveyed = setup::survey(&self.client, &self.parent, &wanted, &all, known)
            .await
            .map_err(|error| set_up_failed(&error))?;
        for found in &mut surveyed {
            let mapping = self
                .mappings
                .iter()
                .find(|mapping| mapping.entity == found.entity);
            if let (Some(existing), Some(mapping)) = (&found.existing, mapping) {
                option_names::hold(
                    &mut found.plan,
                    &option_names_of(known, mapping, &existing.schema, false),
                );
            }
        }
        Ok(surveyed)
    }

    /// Remembers the names of options that are new, or that a person accepted.
    async fn remember_options(
        &self,
        known: &Known,
        schemas: &BTreeMap<String, DataSourceSchema>,
        accept: bool,
    ) -> Result<(), Failure> {
        let nothing = BTreeMap::new();
        let mut pins = Vec::new();
        for mapping in &self.mappings {
            let Some(schema) = schemas.get(&mapping.entity) else {
                continue;
            };
            let before = known.options.get(&mapping.entity).unwrap_or(&nothing);
            for (property, names) in option_names_of(known, mapping, schema, accept) {
                if before.get(&property) != Some(&names) {
                    pins.push(Pin {
                        name: format!("options:{}:{property}", mapping.entity),
                        // Texts by text always have a JSON form.
                        value: serde_json::to_string(&names).unwrap_or_default(),
                    });
                }
            }
        }
        self.write_pins(pins).await
    }

    /// The entities that work on some of them needs: those, and every other that was set up, for relations may lead there.
    pub(crate) fn with_relations(&self, known: &Known, entities: &[String]) -> Vec<String> {
        if entities.is_empty() {
            return Vec::new();
        }
        let names = self.mappings.iter().map(|mapping| &mapping.entity);
        names
            .filter(|name| entities.contains(name) || known.data_sources.contains_key(*name))
            .cloned()
            .collect()
    }

    fn wanted(&self, entities: &[String]) -> Vec<&Mapping> {
        self.mappings
            .iter()
            .filter(|mapping| entities.is_empty() || entities.contains(&mapping.entity))
            .collect()
    }

    /// Makes and adopts the databases, remembers them, and installs change capture where mappings ask for it.
    pub(crate) async fn set_up(&self) -> Result<Vec<SetUp>, Failure> {
        let known = self.known().await?;
        let surveyed = self.survey(&known, &[]).await?;
        self.adopting_is_clear(&surveyed)?;
        refuse_conflicts(surveyed.iter().map(|surveyed| &surveyed.plan))?;
        self.pin_connection().await?;
        let made = setup::apply(&self.client, &self.parent, surveyed)
            .await
            .map_err(|error| set_up_failed(&error))?;
        self.remember(&made).await?;
        let schemas = made
            .iter()
            .map(|made| (made.entity.clone(), made.schema.clone()))
            .collect();
        self.remember_options(&self.known().await?, &schemas, true)
            .await?;
        for mapping in self
            .mappings
            .iter()
            .filter(|mapping| mapping.capture == Capture::Triggers)
        {
            let Some(table) = self.tables.get(&mapping.table) else {
                continue;
            };
            crate::postgres::capture::install(
                &self.pool,
                &self.profile.state_schema,
                &self.profile.name,
                &mapping.entity,
                table,
                &mapping.key,
            )
            .await
            .map_err(|error| postgres(&error))?;
        }
        Ok(made)
    }

    /// An adopted database with pages in it needs to know who wins.
    fn adopting_is_clear(&self, surveyed: &[Surveyed]) -> Result<(), Failure> {
        for found in surveyed {
            let by_person = found
                .existing
                .as_ref()
                .is_some_and(|existing| existing.found_by == setup::FoundBy::Title);
            let lacks_own = found.existing.as_ref().is_some_and(|existing| {
                found.desired.properties.iter().any(|property| {
                    matches!(property.name.as_str(), "postgres_id")
                        && existing.schema.property_named(&property.name).is_none()
                })
            });
            let mapping = self
                .mappings
                .iter()
                .find(|mapping| mapping.entity == found.entity);
            let says = mapping.is_some_and(|mapping| mapping.notion.initial.is_some());
            if by_person && lacks_own && !says {
                return Err(Failure::needs_user(format!(
                    "a database titled like `{}` is there already, and nothing says who wins where values differ",
                    found.entity
                ))
                .hint("add `initial: postgres`, `notion` or `manual` under `notion` in its mapping")
                .hint("or rename the database in Notion to have a new one made"));
            }
        }
        Ok(())
    }

    async fn pin_connection(&self) -> Result<(), Failure> {
        let pinned = self.pins().await?;
        let pins = [
            ("workspace", self.workspace.clone()),
            ("bot", Some(self.bot.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| {
            Some(Pin {
                name: name.to_owned(),
                value: value?,
            })
        })
        .filter(|pin| !pinned.contains(pin))
        .collect();
        self.write_pins(pins).await
    }

    /// The schemas of the profile's data sources as they are now: one request for each.
    ///
    /// Properties that a mapping has gained since are added first, where `may_write` says so.
    pub(crate) async fn schemas(
        &self,
        known: &Known,
        wanted: &[String],
        may_write: bool,
    ) -> Result<BTreeMap<String, DataSourceSchema>, Failure> {
        let missing: Vec<&str> = self
            .wanted(wanted)
            .into_iter()
            .filter(|mapping| !known.data_sources.contains_key(&mapping.entity))
            .map(|mapping| mapping.entity.as_str())
            .collect();
        if !missing.is_empty() {
            return Err(Failure::needs_user(format!(
                "{} {} no database in Notion yet",
                crate::diagnostic::list(missing.iter().copied()),
                if missing.len() == 1 { "has" } else { "have" }
            ))
            .code(ErrorCode::NotSetUp)
            .hint("run `frames-sync setup`"));
        }
        let all: Vec<&Mapping> = self.mappings.iter().collect();
        let reads = self.wanted(wanted).into_iter().map(|mapping| async {
            let id = &known.data_sources[&mapping.entity];
            let answer = self
                .client
                .retrieve_data_source(id)
                .await
                .map_err(|error| notion(&error))?;
            let schema = introspect::schema(&answer);
            // Views are `setup`'s business; here they count as present.
            let mut wanted = desired(mapping, &all, known);
            wanted.views.clear();
            let mut plan = diff(&wanted, Some(&schema), &[]);
            keep_frozen(&mut plan, mapping, known);
            option_names::hold(&mut plan, &option_names_of(known, mapping, &schema, false));
            Ok::<_, Failure>((mapping.entity.clone(), schema, plan))
        });
        let read = futures_util::future::try_join_all(reads).await?;
        let lacks = read.iter().any(|(_, _, plan)| !plan.changes.is_empty());
        if lacks && may_write {
            let mut surveyed = self.survey(known, wanted).await?;
            for found in &mut surveyed {
                if let Some(mapping) = self
                    .mappings
                    .iter()
                    .find(|mapping| mapping.entity == found.entity)
                {
                    keep_frozen(&mut found.plan, mapping, known);
                }
            }
            let made = setup::apply(&self.client, &self.parent, surveyed)
                .await
                .map_err(|error| set_up_failed(&error))?;
            self.remember(&made).await?;
            let schemas = made.into_iter().map(|made| (made.entity, made.schema)).collect();
            self.remember_options(&self.known().await?, &schemas, false)
                .await?;
            return Ok(schemas);
        }
        let schemas = read
            .into_iter()
            .map(|(entity, schema, _)| (entity, schema))
            .collect();
        if may_write {
            self.remember_options(known, &schemas, false).await?;
        }
        Ok(schemas)
    }

    /// A page for each row of entities that have no database yet; the operations of a first push.
    pub(crate) async fn first_push(
        &self,
        entities: &[String],
        request: &Request,
    ) -> Result<Vec<Operation>, Failure> {
        const BATCH: usize = 1000;
        let mut operations = Vec::new();
        if !matches!(request.command, Command::Setup | Command::Sync | Command::Push) {
            return Ok(operations);
        }
        for entity in entities {
            let mut after = None;
            loop {
                let rows = self
                    .database
                    .scan(entity, after.as_ref(), BATCH)
                    .await
                    .map_err(|error| Failure::world(with_causes(&error)))?;
                let Some(last) = rows.last() else { break };
                after = Some(last.key.clone());
                let wanted = rows
                    .into_iter()
                    .filter(|row| request.keys.is_empty() || request.keys.contains(&row.key));
                operations.extend(wanted.map(|row| Operation {
                    entity: entity.clone(),
                    key: Some(row.key),
                    page: None,
                    kind: OperationKind::CreatePage,
                    reason: Reason::RowIsNew,
                    fields: Vec::new(),
                }));
            }
        }
        Ok(operations)
    }

    /// The engine over both sides.
    pub(crate) fn engine(
        &self,
        known: &Known,
        schemas: &BTreeMap<String, DataSourceSchema>,
    ) -> Result<Engine, Failure> {
        let nothing = BTreeMap::new();
        let mut entities = Vec::new();
        let mut pages = BTreeMap::new();
        for mapping in &self.mappings {
            let Some(schema) = schemas.get(&mapping.entity) else {
                continue;
            };
            let table = self
                .tables
                .get(&mapping.table)
                .ok_or_else(|| no_table(&mapping.table))?;
            let entity = bind(&Binding {
                mapping,
                table,
                data_source: schema,
                remembered: known.properties.get(&mapping.entity).unwrap_or(&nothing),
                options: &option_names_of(known, mapping, schema, false),
                profile: (&self.profile.name, &self.profile.vars),
                create_grace: self.profile.tuning.create_grace,
                clock: self.clock.clone(),
                rng: Arc::new(SystemRng),
            })
            .map_err(|error| {
                Failure::needs_user(error.to_string()).hint("`frames-sync validate` shows the place")
            })?;
            pages.insert(mapping.entity.clone(), entity_pages(&entity, schema));
            entities.push(Arc::new(entity));
        }
        let tuning = &self.profile.tuning;
        Ok(Engine {
            profile: self.profile.name.clone(),
            entities,
            rows: self.database.clone(),
            pages: Arc::new(NotionPages::new(self.client.clone(), self.bot.clone(), pages)),
            store: self.database.clone(),
            clock: self.clock.clone(),
            rng: Arc::new(SystemRng),
            tuning: Tuning {
                settle: tuning.settle,
                settle_create: tuning.settle_create,
                read_lag: tuning.read_lag,
                quiet_page: tuning.quiet_page,
                request_timeout: tuning.request_timeout,
                lease: tuning.lease,
                full_scan_every: tuning.full_scan_every,
                ..Tuning::default()
            },
            holder: self.holder.clone(),
        })
    }

    /// A digest of the mappings as the profile has them, which a saved plan is tied to.
    pub(crate) fn mappings_digest(&self) -> String {
        let mut hasher = Sha256::new();
        for mapping in &self.mappings {
            hasher.update(format!("{mapping:?}\n"));
        }
        hasher
            .finalize()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The present instant on the database's clock.
    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }
}

/// Leaves properties that a person deleted as they are: their fields are frozen until `setup` adds them again (6.8).
fn keep_frozen(plan: &mut SchemaPlan, mapping: &Mapping, known: &Known) {
    let was_there = |name: &str| {
        let remembered = known.properties.get(&mapping.entity);
        remembered.is_some_and(|properties| properties.contains_key(name))
            && mapping.fields.iter().any(|field| field.property == name)
    };
    plan.changes
        .retain(|change| !matches!(change, SchemaChange::AddProperty(property) if was_there(&property.name)));
}

/// The names of an entity's options to go on with (6.7).
fn option_names_of(
    known: &Known,
    mapping: &Mapping,
    schema: &DataSourceSchema,
    accept: bool,
) -> option_names::OptionNames {
    let (no_ids, no_names) = (BTreeMap::new(), BTreeMap::new());
    option_names::agreed(
        mapping,
        schema,
        known.properties.get(&mapping.entity).unwrap_or(&no_ids),
        known.options.get(&mapping.entity).unwrap_or(&no_names),
        accept,
    )
}

/// What begins the made-up id of a property that is still to be added.
const PENDING: &str = "pending:";

/// A property that is still to be added, as a plan needs it.
pub(crate) fn pending_property(property: &DesiredProperty) -> PropertySchema {
    PropertySchema {
        id: PropertyId(format!("{PENDING}{}", property.name)),
        name: property.name.clone(),
        description: property.description.clone(),
        type_name: property.kind.property_type().name().to_owned(),
        config: PropertyConfig::Plain,
    }
}

/// The properties that pages are read with: the fields' and the engine's own.
fn entity_pages(entity: &crate::engine::Entity, schema: &DataSourceSchema) -> EntityPages {
    let own = [&entity.postgres_id, &entity.last_synced, &entity.sync_status];
    let ids = entity
        .fields
        .iter()
        .map(|field| &field.property)
        .chain(own)
        .chain(entity.opt_out.as_ref());
    EntityPages {
        data_source: schema.id.clone(),
        postgres_id: entity.postgres_id.clone(),
        properties: ids
            .filter(|id| !id.as_str().starts_with(PENDING))
            .filter_map(|id| {
                let property_type: PropertyType = schema.property(id)?.property_type()?;
                Some((id.clone(), property_type))
            })
            .collect(),
    }
}

/// The client of a profile's connection; nothing is sent yet.
pub(crate) fn client(profile: &Profile) -> Result<Client, Failure> {
    let token = required(&profile.notion.token, profile, "notion.token")?;
    let mut settings = Settings::new(token.clone());
    if let Some(url) = &profile.notion.base_url {
        settings.base_url.clone_from(url);
    }
    settings.requests_per_minute = profile.notion.requests_per_minute;
    settings.request_timeout = profile.tuning.request_timeout;
    Client::new(&settings).map_err(|error| notion(&error))
}

/// The parent page's id, from the id or the address that the profile gives.
pub(crate) fn parent_page(profile: &Profile) -> Result<PageId, Failure> {
    let text =
        profile.notion.parent_page.as_deref().ok_or_else(|| {
            Failure::usage(format!("profile `{}` has no `notion.parent_page`", profile.name))
        })?;
    parse_page_id(text).map_err(|error| {
        Failure::usage(format!("the parent page of profile `{}`: {error}", profile.name))
            .hint("copy the page's link in Notion: ••• → Copy link")
    })
}

pub(crate) fn required<'a>(
    secret: &'a Option<SecretString>,
    profile: &Profile,
    setting: &str,
) -> Result<&'a SecretString, Failure> {
    secret.as_ref().ok_or_else(|| {
        Failure::usage(format!("profile `{}` has no `{setting}`", profile.name))
            .hint("set the variable that it names, in the environment or in `.env`")
    })
}

async fn tables(
    pool: &PgPool,
    profile: &Profile,
    mappings: &[Mapping],
) -> Result<BTreeMap<TableName, TableSchema>, Failure> {
    let mut names: Vec<TableName> = mappings.iter().map(|mapping| mapping.table.clone()).collect();
    names.extend(profile.audit_table.clone());
    let tables = introspect_all(pool, &names)
        .await
        .map_err(|error| postgres(&error))?;
    match names.iter().find(|name| !tables.contains_key(*name)) {
        Some(missing) => Err(no_table(missing)),
        None => Ok(tables),
    }
}

fn no_table(name: &TableName) -> Failure {
    Failure::needs_user(format!("there is no table `{name}`, or the role may not see it"))
        .hint("`frames-sync validate` shows the place")
}

pub(crate) fn profile_database(
    pool: &PgPool,
    profile: &Profile,
    mappings: &[Mapping],
    tables: &BTreeMap<TableName, TableSchema>,
) -> Result<ProfileDatabase, Failure> {
    let entities = mappings
        .iter()
        .filter_map(|mapping| {
            let table = tables.get(&mapping.table)?;
            let entity = EntityTable {
                table: table.clone(),
                key: mapping.key.clone(),
                columns: row_columns(mapping, table),
                scope: mapping.scope.clone(),
                updated_at: match &mapping.capture {
                    Capture::UpdatedAt { column } => Some(column.clone()),
                    Capture::Scan | Capture::Triggers => None,
                },
            };
            Some((mapping.entity.clone(), entity))
        })
        .collect();
    let audit = profile
        .audit_table
        .as_ref()
        .and_then(|name| tables.get(name))
        .cloned();
    ProfileDatabase::new(
        pool.clone(),
        &profile.state_schema,
        &profile.name,
        entities,
        audit,
    )
    .map_err(|error| Failure::needs_user(with_causes(&error)).hint("`frames-sync validate` shows the place"))
}

fn refuse_conflicts<'a>(plans: impl Iterator<Item = &'a SchemaPlan>) -> Result<(), Failure> {
    let conflicts: Vec<String> = plans
        .flat_map(|plan| plan.conflicts.iter().map(ToString::to_string))
        .collect();
    let Some((first, rest)) = conflicts.split_first() else {
        return Ok(());
    };
    let mut failure = Failure::needs_user(first.clone());
    for other in rest {
        failure = failure.hint(format!("also: {other}"));
    }
    Err(failure.hint("a person's property is never retyped: rename it in Notion, or change the mapping"))
}

fn set_up_failed(error: &SetupError) -> Failure {
    let failure = match error.notion() {
        Some(_) => Failure::world(error.to_string()).code(ErrorCode::NotionFailed),
        None => Failure::needs_user(error.to_string()),
    };
    match error.help() {
        Some(help) => failure.hint(help),
        None => failure,
    }
}

/// A failure of Notion's side.
pub(crate) fn notion(error: &NotionError) -> Failure {
    let mut failure = Failure::world(with_causes(error)).code(ErrorCode::NotionFailed);
    failure.refused = error.stops_the_connection();
    match error.help() {
        Some(help) => failure.hint(help),
        None => failure,
    }
}

/// A failure of the database's side.
pub(crate) fn postgres(error: &PostgresError) -> Failure {
    Failure::world(with_causes(error))
        .code(ErrorCode::PostgresFailed)
        .hint("`frames-sync doctor` checks the connection and the rights")
}
