//! What earlier runs left of a profile: its state, and what is remembered of its workspace.

use std::collections::BTreeMap;

use sqlx::PgPool;
use time::OffsetDateTime;

use super::Failure;
use super::ambient::DatabaseClock;
use super::error::with_causes;
use super::session::{postgres, prepare, required};
use crate::mapping::Mapping;
use crate::notion::wire::User;
use crate::plan::schema_change::Known;
use crate::ports::{Clock as _, Pin, Store as _};
use crate::postgres::{ConnectOptions, PostgresError, ProfileDatabase, connect, state_version};
use crate::project::{Profile, Project};
use crate::report::ErrorCode;
use crate::store::migrations::SchemaVersion;
use crate::value::{DataSourceId, PropertyId};

/// What earlier runs remembered of a profile's workspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remembered {
    /// The databases and their properties.
    pub(crate) known: Known,
    /// The workspace that the profile was set up with.
    pub(crate) workspace: Option<String>,
    /// The bot of the connection that it was set up with.
    pub(super) bot: Option<String>,
}

impl Remembered {
    pub(super) fn of(pins: &[Pin]) -> Self {
        let mut remembered = Self::default();
        let known = &mut remembered.known;
        for pin in pins {
            match pin.name.split(':').collect::<Vec<_>>().as_slice() {
                ["workspace"] => remembered.workspace = Some(pin.value.clone()),
                ["bot"] => remembered.bot = Some(pin.value.clone()),
                ["data_source", entity] => {
                    known
                        .data_sources
                        .insert((*entity).to_owned(), DataSourceId(pin.value.clone()));
                }
                ["options", entity, property @ ..] => {
                    // What cannot be read was never agreed on.
                    let names = serde_json::from_str(&pin.value).unwrap_or_default();
                    known
                        .options
                        .entry((*entity).to_owned())
                        .or_default()
                        .insert(PropertyId(property.join(":")), names);
                }
                ["property", entity, name @ ..] => {
                    known
                        .properties
                        .entry((*entity).to_owned())
                        .or_default()
                        .insert(name.join(":"), PropertyId(pin.value.clone()));
                }
                _ => {}
            }
        }
        remembered
    }

    /// Whether a token's user belongs to another workspace than the one remembered.
    pub(crate) fn is_other_workspace(&self, me: &User) -> bool {
        self.is_another(me.bot.as_ref().and_then(|bot| bot.workspace_id.as_deref()))
    }

    pub(super) fn is_another(&self, workspace: Option<&str>) -> bool {
        match (self.workspace.as_deref(), workspace) {
            (Some(remembered), Some(now)) => remembered != now,
            _ => false,
        }
    }
}

/// What earlier runs remembered of a profile; nothing where there is no state of this version.
pub(crate) async fn remembered(pool: &PgPool, profile: &Profile) -> Result<Remembered, Failure> {
    let version = state_version(pool, &profile.state_schema)
        .await
        .map_err(|error| postgres(&error))?;
    if version != SchemaVersion::Current {
        return Ok(Remembered::default());
    }
    let database = ProfileDatabase::new(
        pool.clone(),
        &profile.state_schema,
        &profile.name,
        BTreeMap::new(),
        None,
    )
    .map_err(|error| postgres(&error))?;
    let pins = database
        .pins()
        .await
        .map_err(|error| Failure::world(with_causes(&error)))?;
    Ok(Remembered::of(&pins))
}

/// Whether there is state of a profile; that of another version is refused, for it must not count as none.
pub(super) async fn has_state(pool: &PgPool, profile: &Profile) -> Result<bool, Failure> {
    let version = state_version(pool, &profile.state_schema)
        .await
        .map_err(|error| postgres(&error))?;
    let other = |age: &str| {
        Failure::needs_user(format!(
            "the sync state of profile `{}` was left by {age} version",
            profile.name
        ))
    };
    match version {
        SchemaVersion::Missing => Ok(false),
        SchemaVersion::Current => Ok(true),
        SchemaVersion::Older(_) => {
            Err(other("an earlier").hint("`frames-sync sync` brings it to this version; then ask again"))
        }
        SchemaVersion::Newer(_) => Err(other("a later").hint("install that version")),
    }
}

/// A profile's memory alone, for commands that need neither Notion nor the tables.
pub(crate) struct Memory {
    /// The profile.
    pub(crate) profile: Profile,
    /// Its mappings.
    pub(crate) mappings: Vec<Mapping>,
    /// Its state.
    pub(crate) store: ProfileDatabase,
    /// What is remembered of its workspace.
    pub(crate) remembered: Remembered,
    /// The present instant on the database's clock.
    pub(crate) now: OffsetDateTime,
}

impl Memory {
    /// A property's name, as it was when the profile was last set up.
    pub(crate) fn property_name(&self, entity: &str, id: &PropertyId) -> String {
        let known = self.remembered.known.properties.get(entity);
        known
            .and_then(|known| known.iter().find(|(_, known)| *known == id))
            .map_or_else(|| id.to_string(), |(name, _)| name.clone())
    }

    /// Opens what earlier runs left; refuses where none has.
    pub(crate) async fn open(project: &Project, name: &str) -> Result<Self, Failure> {
        let (profile, mappings) = prepare(project, name)?;
        let url = required(&profile.database_url, &profile, "database_url")?;
        let pool = connect(url, &ConnectOptions::default())
            .await
            .map_err(|error| postgres(&error))?;
        Self::over(pool, profile, mappings).await
    }

    /// The same over connections that are open already.
    pub(crate) async fn over(
        pool: PgPool,
        profile: Profile,
        mappings: Vec<Mapping>,
    ) -> Result<Self, Failure> {
        let failed = |error: PostgresError| postgres(&error);
        if !has_state(&pool, &profile).await? {
            return Err(
                Failure::needs_user(format!("profile `{}` was never set up", profile.name))
                    .code(ErrorCode::NotSetUp)
                    .hint("run `frames-sync setup`"),
            );
        }
        let now = DatabaseClock::measure(&pool).await.map_err(failed)?.now();
        let remembered = remembered(&pool, &profile).await?;
        let store = ProfileDatabase::new(pool, &profile.state_schema, &profile.name, BTreeMap::new(), None)
            .map_err(failed)?;
        Ok(Self {
            profile,
            mappings,
            store,
            remembered,
            now,
        })
    }
}

/// A failure of a profile's memory.
pub(crate) fn store(error: &crate::ports::StoreError) -> Failure {
    Failure::world(with_causes(error)).code(ErrorCode::PostgresFailed)
}
