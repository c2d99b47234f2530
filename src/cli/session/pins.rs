//! What a profile is tied to and what is remembered of its databases.

use std::collections::BTreeMap;

use super::super::Failure;
use super::super::error::with_causes;
use super::super::remembered::Remembered;
use super::{Session, postgres};
use crate::mapping::Mapping;
use crate::notion::setup::SetUp;
use crate::plan::option_names;
use crate::plan::schema_change::Known;
use crate::ports::{Commit, Pin, Record, Store as _};
use crate::report::ErrorCode;
use crate::schema::DataSourceSchema;
use crate::value::DataSourceId;

impl Session {
    /// What was remembered of the databases in Notion.
    pub(crate) async fn known(&self) -> Result<Known, Failure> {
        let mut known = Remembered::of(&self.pins().await?).known;
        if self.has_state {
            let others = self.database.data_sources_of_others().await;
            let others = others.map_err(|error| postgres(&error))?;
            known.others = others.into_iter().map(DataSourceId).collect();
        }
        Ok(known)
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
    pub(super) async fn check_connection(&self) -> Result<(), Failure> {
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
    pub(super) async fn check_pins(&self, workspace: Option<&str>) -> Result<(), Failure> {
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
    pub(super) async fn remember(&self, made: &[SetUp]) -> Result<(), Failure> {
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

    /// Remembers the names of options that are new, or that a person accepted.
    pub(super) async fn remember_options(
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

    pub(super) async fn pin_connection(&self) -> Result<(), Failure> {
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
}

/// The names of an entity's options to go on with (6.7).
pub(super) fn option_names_of(
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
