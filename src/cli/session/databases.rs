//! The databases of a profile in Notion: what they lack, made, and as they are now.

use std::collections::BTreeMap;

use super::super::Failure;
use super::super::error::with_causes;
use super::pins::option_names_of;
use super::{Session, notion, postgres};
use crate::engine::Request;
use crate::mapping::{Capture, Mapping};
use crate::notion::introspect;
use crate::notion::request::Query;
use crate::notion::setup::{self, SetUp, SetupError, Surveyed};
use crate::plan::option_names;
use crate::plan::schema_change::{DesiredProperty, Known, SchemaChange, SchemaPlan, desired, diff};
use crate::plan::{Operation, OperationKind};
use crate::ports::Rows as _;
use crate::reconcile::Reason;
use crate::report::{Command, ErrorCode};
use crate::schema::DataSourceSchema;
use crate::schema::data_source::{PropertyConfig, PropertySchema};
use crate::value::PropertyId;

impl Session {
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

    /// Makes and adopts the databases, remembers them, and installs change capture where mappings ask for it.
    pub(crate) async fn set_up(&self) -> Result<Vec<SetUp>, Failure> {
        self.fit()?;
        let known = self.known().await?;
        let surveyed = self.survey(&known, &[]).await?;
        self.adopting_is_clear(&surveyed).await?;
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

    /// A database that another made, or that we made and know nothing of any more, needs to know who wins.
    ///
    /// One that we made and did not come to remember is empty still: pages come after that.
    async fn adopting_is_clear(&self, surveyed: &[Surveyed]) -> Result<(), Failure> {
        for found in surveyed {
            let mapping = self
                .mappings
                .iter()
                .find(|mapping| mapping.entity == found.entity);
            let says = mapping.is_some_and(|mapping| mapping.notion.initial.is_some());
            let by_title = |existing: &&setup::Existing| existing.found_by == setup::FoundBy::Title;
            let Some(existing) = found.existing.as_ref().filter(by_title).filter(|_| !says) else {
                continue;
            };
            let whose = if existing.unfinished {
                let first = self
                    .client
                    .query(&existing.schema.id, &Query::default(), None, 1)
                    .await
                    .map_err(|error| notion(&error))?;
                if first.results.is_empty() {
                    continue;
                }
                "which this connection made and the sync state knows nothing of,"
            } else {
                "which somebody else made,"
            };
            return Err(Failure::needs_user(format!(
                "a database titled like `{}`, {whose} is there already, and nothing says who wins where values differ",
                found.entity
            ))
            .hint("add `initial: postgres`, `notion` or `manual` under `notion` in its mapping")
            .hint("or rename the database in Notion to have a new one made"));
        }
        Ok(())
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

/// What begins the made-up id of a property that is still to be added.
pub(super) const PENDING: &str = "pending:";

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
