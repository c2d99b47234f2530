//! One profile opened for work: both sides reached, everything bound, the engine ready.

mod databases;
mod pins;
mod reach;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Failure;
use super::ambient::{DatabaseClock, SystemRng};
use super::context;
use super::error::with_causes;
use super::remembered::has_state;
use crate::engine::{BindError, Binding, Engine, Tuning, bind, fits};
use crate::mapping::{Capture, Mapping};
use crate::notion::{Client, EntityPages, NotionError, NotionPages};
use crate::plan::option_names::OptionNames;
use crate::plan::schema_change::Known;
use crate::ports::Clock as _;
use crate::postgres::{ConnectOptions, NoteListener, PostgresError, connect};
use crate::postgres::{ProfileDatabase, migrate_state};
use crate::project::{Profile, Project, Secrets};
use crate::report::ErrorCode;
pub(crate) use crate::report::iso;
use crate::schema::{DataSourceSchema, PropertyType, TableName, TableSchema};
use crate::value::{PageId, PropertyId, UserId};
use databases::PENDING;
pub(crate) use databases::pending_property;
use pins::option_names_of;
pub(crate) use reach::{client, parent_page, profile_database, required};
use reach::{no_table, tables};

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

    fn binding<'a>(
        &'a self,
        mapping: &'a Mapping,
        table: &'a TableSchema,
        data_source: &'a DataSourceSchema,
        remembered: &'a BTreeMap<String, PropertyId>,
        options: &'a OptionNames,
    ) -> Binding<'a> {
        Binding {
            mapping,
            table,
            data_source,
            remembered,
            options,
            profile: (&self.profile.name, &self.profile.vars),
            create_grace: self.profile.tuning.create_grace,
            clock: self.clock.clone(),
            rng: Arc::new(SystemRng),
        }
    }

    /// Refuses mappings whose columns do not fit their properties, before anything is made in Notion.
    fn fit(&self) -> Result<(), Failure> {
        let nowhere = DataSourceSchema {
            id: "".into(),
            database_id: "".into(),
            title: String::new(),
            in_trash: false,
            properties: Vec::new(),
        };
        let (nothing, no_options) = (BTreeMap::new(), OptionNames::new());
        for mapping in &self.mappings {
            let table = self
                .tables
                .get(&mapping.table)
                .ok_or_else(|| no_table(&mapping.table))?;
            fits(&self.binding(mapping, table, &nowhere, &nothing, &no_options))
                .map_err(|error| unfit(&error))?;
        }
        Ok(())
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
            let options = option_names_of(known, mapping, schema, false);
            let remembered = known.properties.get(&mapping.entity).unwrap_or(&nothing);
            let entity = bind(&self.binding(mapping, table, schema, remembered, &options))
                .map_err(|error| unfit(&error))?;
            let named = entity.fields.iter().map(|field| {
                let name = field.column.as_ref().unwrap_or(&field.name);
                (field.property.to_string(), name.clone())
            });
            self.database.name_fields(&mapping.entity, named.collect());
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
                audit_retention: self.profile.audit_retention,
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

fn unfit(error: &BindError) -> Failure {
    Failure::needs_user(error.to_string()).hint("`frames-sync validate` shows the place")
}
