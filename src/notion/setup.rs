//! Finds or creates the databases of a profile and brings them to what its mappings want.
//!
//! [`survey`] only reads, and its answer is the schema part of a plan; [`apply`] makes the changes in stages, so that a
//! relation meets its target and a rollup its relation. Both may be repeated at any time: what an interrupted run
//! left is found again, by its remembered id, by the id in the mapping, or by its title under the parent page.
//!
//! # Requests
//!
//! The seven FRAMES databases of `mappings/`, three of which have relations and three a view besides the first:
//!
//! | requests | why |
//! | --- | --- |
//! | 2 | the blocks of the parent page and a search, once for all seven |
//! | 7 | each database with its plain properties, in one `POST` |
//! | 3 | the relations of three, each in one `PATCH`, which answers the schema |
//! | 4 | the schema of the four without a `PATCH`: creating a database does not answer it |
//! | 7 | the views that Notion made with each |
//! | 7 | the columns of that first view |
//! | 3 | the further views |
//!
//! That is 33, of which [`SchemaPlan::requests`] foretells all but the first two. Formulas and rollups
//! would cost one more for each database that has any. With nothing to do, each database costs
//! one request for its schema, one for the list of its views, and one for each view that the list only names. Where
//! any is found by its title, one more tells whether an earlier run made it and may have left its views unfinished.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::client::Client;
use super::error::NotionError;
use super::id::{parse_data_source_id, same_id};
use super::introspect;
use super::request::Found;
use super::schema::{self, SchemaError};
use super::wire::{DataSource, DataSourceReference, Database, User, plain_text};
use crate::mapping::Mapping;
use crate::plan::schema_change::{
    DesiredDatabase, Known, SchemaChange, SchemaPlan, Stage, desired, diff, diff_unfinished,
};
use crate::schema::DataSourceSchema;
use crate::schema::data_source::ViewSchema;
use crate::value::{DataSourceId, DatabaseId, PageId};

/// A failure of set-up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Finding the parent page.
    #[error("cannot use the parent page: {source}")]
    ParentPage {
        /// Notion's answer.
        source: NotionError,
    },
    /// Using a database as the parent page.
    #[error("the parent page is a database; give the page that contains it, or an empty page")]
    ParentIsDatabase,
    /// Finding the data source of an entity.
    #[error("cannot use the data source of `{entity}`: {source}")]
    DataSource {
        /// The entity.
        entity: String,
        /// Notion's answer.
        source: NotionError,
    },
    /// Choosing between databases or data sources.
    #[error("{found} for `{entity}`; name one as `notion.data_source_id` in its mapping")]
    Ambiguous {
        /// The entity.
        entity: String,
        /// What there is more than one of.
        found: String,
    },
    /// Using a database from the trash.
    #[error("the database of `{entity}` is in Notion's trash; restore it there, or forget it here")]
    InTrash {
        /// The entity.
        entity: String,
    },
    /// Building a request.
    #[error("cannot set up `{entity}`: {source}")]
    Schema {
        /// The entity.
        entity: String,
        /// What is missing.
        source: SchemaError,
    },
    /// Changing a database.
    #[error("cannot set up `{entity}`: {source}")]
    Apply {
        /// The entity.
        entity: String,
        /// Notion's answer.
        source: NotionError,
    },
}

impl SetupError {
    /// What the user can do about it, where that is known.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::ParentPage { source } | Self::DataSource { source, .. } | Self::Apply { source, .. } => {
                if source.is_unknown() {
                    Some("run `setup` again: it finds what was made by its title under the parent page")
                } else {
                    source.help()
                }
            }
            _ => None,
        }
    }

    /// Notion's part in it, if it had one.
    pub fn notion(&self) -> Option<&NotionError> {
        match self {
            Self::ParentPage { source } | Self::DataSource { source, .. } | Self::Apply { source, .. } => {
                Some(source)
            }
            _ => None,
        }
    }
}

/// How an existing database was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// By the id that an earlier run remembered.
    Memory,
    /// By `notion.data_source_id` in its mapping.
    Mapping,
    /// By its title under the parent page: made by a person, or by a run that was interrupted.
    Title,
}

/// An entity's database as it is, and what it lacks.
#[derive(Clone, Debug, PartialEq)]
pub struct Surveyed {
    /// The entity.
    pub entity: String,
    /// The database as its mapping wants it.
    pub desired: DesiredDatabase,
    /// The database as it is; `None` where it is still to be made.
    pub existing: Option<Existing>,
    /// What it lacks.
    pub plan: SchemaPlan,
}

/// A database that exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Existing {
    /// How it was found.
    pub found_by: FoundBy,
    /// Whether an earlier run made it and did not come to remember it, so that it may be unfinished.
    pub unfinished: bool,
    /// Its data source.
    pub schema: DataSourceSchema,
    /// Its views.
    pub views: Vec<ViewSchema>,
}

/// An entity's database after set-up.
#[derive(Clone, Debug, PartialEq)]
pub struct SetUp {
    /// The entity.
    pub entity: String,
    /// Its data source as it now is; the ids in it are what to remember.
    pub schema: DataSourceSchema,
    /// Whether this run made the database.
    pub created: bool,
    /// What was changed, a line each.
    pub changes: Vec<String>,
    /// What is left: conflicts, differences, and the ids of the properties by their names in the mapping.
    pub plan: SchemaPlan,
}

/// Finds the databases of these mappings and says what each lacks. Writes nothing.
///
/// `all` are the profile's mappings, for the other ends of relations; `wanted` those to look at.
///
/// # Errors
///
/// [`SetupError`] for the first entity that cannot be told; an absent database is no error.
pub async fn survey(
    client: &Client,
    parent: &PageId,
    wanted: &[&Mapping],
    all: &[&Mapping],
    known: &Known,
) -> Result<Vec<Surveyed>, SetupError> {
    let titles: Vec<&str> = wanted
        .iter()
        .filter(|mapping| !known.data_sources.contains_key(&mapping.entity))
        .filter(|mapping| mapping.notion.data_source_id.is_none())
        .map(|mapping| mapping.notion.title.as_str())
        .collect();
    let children = if titles.is_empty() {
        Vec::new()
    } else {
        databases_under(client, parent, &titles).await?
    };
    let me = OnceCell::new();
    let looked = wanted
        .iter()
        .map(|mapping| find(client, mapping, known, &children, &me));
    let existing: Vec<Option<Existing>> = try_join_all(looked).await?;
    // Relations are compared with the data sources just found, not only with those of earlier runs.
    let mut known = known.clone();
    for (mapping, found) in wanted.iter().zip(&existing) {
        if let Some(found) = found {
            known
                .data_sources
                .insert(mapping.entity.clone(), found.schema.id.clone());
        }
    }
    let surveyed = wanted.iter().zip(existing).map(|(mapping, existing)| {
        let desired = desired(mapping, all, &known);
        let plan = match &existing {
            Some(existing) if existing.unfinished => {
                diff_unfinished(&desired, &existing.schema, &existing.views)
            }
            Some(existing) => diff(&desired, Some(&existing.schema), &existing.views),
            None => diff(&desired, None, &[]),
        };
        Surveyed {
            entity: mapping.entity.clone(),
            desired,
            existing,
            plan,
        }
    });
    Ok(surveyed.collect())
}

/// A database under the parent page.
#[derive(Clone, Debug)]
struct Child {
    title: String,
    database: DatabaseId,
}

/// The databases under a page, as far as these titles need them.
///
/// The page's blocks say what stands on it now. Databases can also stand deeper, inside columns or toggles, which only
/// the search finds; it lags behind, and is asked only for titles that no block has.
async fn databases_under(
    client: &Client,
    parent: &PageId,
    titles: &[&str],
) -> Result<Vec<Child>, SetupError> {
    let blocks = match client.list_blocks(parent).await {
        Ok(blocks) => blocks,
        Err(source) if source.is_not_found() => {
            // A database's id is easily copied in place of its page's; it gets an answer of its own.
            return Err(
                match client.retrieve_database(&DatabaseId(parent.0.clone())).await {
                    Ok(_) => SetupError::ParentIsDatabase,
                    Err(_) => SetupError::ParentPage { source },
                },
            );
        }
        Err(source) => return Err(SetupError::ParentPage { source }),
    };
    let mut children: Vec<Child> = blocks
        .into_iter()
        .filter(|block| block.kind == "child_database")
        .filter(|block| block.rest.get("in_trash").and_then(Value::as_bool) != Some(true))
        .filter_map(|block| {
            let title = block.rest.get("child_database")?["title"].as_str()?.to_owned();
            Some(Child {
                title,
                database: DatabaseId(block.id),
            })
        })
        .collect();
    if titles
        .iter()
        .any(|title| !children.iter().any(|child| child.title == *title))
    {
        let found = client.search("", Found::DataSources).await;
        for result in found.map_err(|source| SetupError::ParentPage { source })? {
            children.extend(child(result, parent));
        }
        children.sort_by(|one, other| one.database.cmp(&other.database));
        children.dedup_by(|one, other| one.database == other.database);
    }
    Ok(children)
}

/// The database of a data source that a search found, if it stands under that page.
fn child(result: Value, parent: &PageId) -> Option<Child> {
    let data_source: DataSource = serde_json::from_value(result).ok()?;
    let page = data_source.database_parent.as_ref()?.page_id.as_ref()?;
    if data_source.is_in_trash() || !same_id(page.as_str(), parent.as_str()) {
        return None;
    }
    Some(Child {
        title: plain_text(&data_source.title),
        database: data_source.parent.database_id.clone()?,
    })
}

async fn find(
    client: &Client,
    mapping: &Mapping,
    known: &Known,
    children: &[Child],
    me: &OnceCell<User>,
) -> Result<Option<Existing>, SetupError> {
    let entity = &mapping.entity;
    let unusable = |source| SetupError::DataSource {
        entity: entity.clone(),
        source,
    };
    let (id, found_by) = if let Some(id) = known.data_sources.get(entity) {
        (id.clone(), FoundBy::Memory)
    } else if let Some(text) = &mapping.notion.data_source_id {
        (parse_data_source_id(text).map_err(unusable)?, FoundBy::Mapping)
    } else {
        let mut titled = Vec::new();
        for child in children
            .iter()
            .filter(|child| child.title == mapping.notion.title)
        {
            let database = client
                .retrieve_database(&child.database)
                .await
                .map_err(unusable)?;
            let is_taken = |source: &DataSourceReference| known.others.contains(&source.id);
            if !database.data_sources.iter().any(is_taken) {
                titled.push(database);
            }
        }
        let [database] = &titled[..] else {
            return match titled.len() {
                0 => Ok(None),
                count => Err(SetupError::Ambiguous {
                    entity: entity.clone(),
                    found: format!("{count} databases under the parent page have the title"),
                }),
            };
        };
        (only_data_source(entity, database)?, FoundBy::Title)
    };
    let data_source = match client.retrieve_data_source(&id).await {
        Ok(data_source) => data_source,
        // People copy a database's address, which holds the database's id.
        Err(source) if source.is_not_found() && found_by == FoundBy::Mapping => {
            let database = client.retrieve_database(&DatabaseId(id.0.clone())).await;
            let database = database.map_err(|_| unusable(source))?;
            let id = only_data_source(entity, &database)?;
            client.retrieve_data_source(&id).await.map_err(unusable)?
        }
        Err(source) => return Err(unusable(source)),
    };
    let schema = introspect::schema(&data_source);
    if schema.in_trash {
        return Err(SetupError::InTrash {
            entity: entity.clone(),
        });
    }
    // What is remembered was finished; what is not, and was made by this connection, perhaps not.
    let unfinished =
        found_by == FoundBy::Title && made_by_us(client, &data_source, me).await.map_err(unusable)?;
    let views = if mapping.views.is_empty() && !unfinished {
        Vec::new()
    } else {
        views(client, &schema.database_id).await.map_err(unusable)?
    };
    Ok(Some(Existing {
        found_by,
        unfinished,
        schema,
        views,
    }))
}

/// Whether this connection's own bot made a data source.
async fn made_by_us(
    client: &Client,
    data_source: &DataSource,
    me: &OnceCell<User>,
) -> Result<bool, NotionError> {
    let Some(author) = data_source
        .rest
        .get("created_by")
        .and_then(|by| by["id"].as_str())
    else {
        return Ok(false);
    };
    let me = me.get_or_try_init(|| client.me()).await?;
    Ok(same_id(me.id.as_str(), author))
}

fn only_data_source(entity: &str, database: &Database) -> Result<DataSourceId, SetupError> {
    match &database.data_sources[..] {
        [only] => Ok(only.id.clone()),
        several => Err(SetupError::Ambiguous {
            entity: entity.to_owned(),
            found: format!("the database has {} data sources", several.len()),
        }),
    }
}

/// The views of a database, each read where the list names it by id alone.
async fn views(client: &Client, database: &DatabaseId) -> Result<Vec<ViewSchema>, NotionError> {
    let listed = client.list_views(database).await?;
    let read = listed.into_iter().map(|stub| async move {
        match introspect::view(&stub) {
            Some(view) => Ok(Some(view)),
            None => client
                .retrieve_view(&stub.id)
                .await
                .map(|view| introspect::view(&view)),
        }
    });
    Ok(try_join_all(read).await?.into_iter().flatten().collect())
}

/// Makes the changes of a survey, stage by stage over all entities.
///
/// # Guarantees
///
/// Nothing is deleted, renamed or retyped. An interrupted run leaves databases that the next survey finds.
///
/// # Errors
///
/// [`SetupError`] for the first change that fails; changes of earlier stages stay.
pub async fn apply(
    client: &Client,
    parent: &PageId,
    surveyed: Vec<Surveyed>,
) -> Result<Vec<SetUp>, SetupError> {
    let mut works: Vec<Work> = surveyed.into_iter().map(Work::new).collect();
    // One after the other: databases appear on the page in the mappings' order.
    for work in &mut works {
        work.create(client, parent).await?;
    }
    let targets: BTreeMap<String, DataSourceId> = works
        .iter()
        .map(|work| (work.surveyed.entity.clone(), work.data_source.clone()))
        .collect();
    for stage in [Stage::Properties, Stage::Computed] {
        for work in &mut works {
            work.update(client, stage, &targets).await?;
        }
    }
    let finished = works.into_iter().map(|work| work.finish(client));
    try_join_all(finished).await
}

/// One entity on its way through the stages.
struct Work {
    surveyed: Surveyed,
    data_source: DataSourceId,
    schema: Option<DataSourceSchema>,
    created: bool,
}

impl Work {
    fn new(surveyed: Surveyed) -> Self {
        let schema = surveyed.existing.as_ref().map(|existing| existing.schema.clone());
        let data_source = schema
            .as_ref()
            .map_or_else(|| DataSourceId::from(""), |schema| schema.id.clone());
        Self {
            surveyed,
            data_source,
            schema,
            created: false,
        }
    }

    fn failed(&self, source: NotionError) -> SetupError {
        SetupError::Apply {
            entity: self.surveyed.entity.clone(),
            source,
        }
    }

    async fn create(&mut self, client: &Client, parent: &PageId) -> Result<(), SetupError> {
        for change in &self.surveyed.plan.changes {
            if let SchemaChange::CreateDatabase {
                title,
                icon,
                description,
                properties,
            } = change
            {
                let body = schema::create_database(
                    parent,
                    title,
                    icon.as_deref(),
                    description.as_deref(),
                    properties,
                );
                let database = client
                    .create_database(body)
                    .await
                    .map_err(|source| self.failed(source))?;
                self.data_source = only_data_source(&self.surveyed.entity, &database)?;
                self.created = true;
                return Ok(());
            }
        }
        Ok(())
    }

    async fn update(
        &mut self,
        client: &Client,
        stage: Stage,
        targets: &BTreeMap<String, DataSourceId>,
    ) -> Result<(), SetupError> {
        let changes = self
            .surveyed
            .plan
            .changes
            .iter()
            .filter(|change| change.stage() == stage);
        let body = schema::update_data_source(changes, targets).map_err(|source| SetupError::Schema {
            entity: self.surveyed.entity.clone(),
            source,
        })?;
        if let Some(body) = body {
            let updated = client.update_data_source(&self.data_source, body).await;
            let updated = updated.map_err(|source| self.failed(source))?;
            self.schema = Some(introspect::schema(&updated));
        }
        Ok(())
    }

    async fn finish(self, client: &Client) -> Result<SetUp, SetupError> {
        let schema = match &self.schema {
            Some(schema) => schema.clone(),
            None => {
                let read = client.retrieve_data_source(&self.data_source).await;
                introspect::schema(&read.map_err(|source| self.failed(source))?)
            }
        };
        let unbuildable = |source| SetupError::Schema {
            entity: self.surveyed.entity.clone(),
            source,
        };
        for change in &self.surveyed.plan.changes {
            match change {
                SchemaChange::ArrangeFirstView { view, columns } => {
                    let listed = client.list_views(&schema.database_id).await;
                    let listed = listed.map_err(|source| self.failed(source))?;
                    let body = schema::change_view(view.as_ref(), columns, &schema).map_err(unbuildable)?;
                    if let Some(first) = listed.first() {
                        client
                            .update_view(&first.id, body)
                            .await
                            .map_err(|source| self.failed(source))?;
                    }
                }
                SchemaChange::AddView { view, columns } => {
                    let body = schema::create_view(view, columns, &schema).map_err(unbuildable)?;
                    client
                        .create_view(body)
                        .await
                        .map_err(|source| self.failed(source))?;
                }
                _ => {}
            }
        }
        // What is left is judged on what Notion answered, the mirrors that it made by itself included.
        let left = diff(
            &self.surveyed.desired,
            Some(&schema),
            &wanted_views(&self.surveyed.desired),
        );
        Ok(SetUp {
            entity: self.surveyed.entity.clone(),
            created: self.created,
            changes: self
                .surveyed
                .plan
                .changes
                .iter()
                .map(ToString::to_string)
                .collect(),
            plan: left,
            schema,
        })
    }
}

/// The views that were just made, so that what is left speaks of properties alone.
fn wanted_views(desired: &DesiredDatabase) -> Vec<ViewSchema> {
    desired
        .views
        .iter()
        .map(|view| ViewSchema {
            id: String::new(),
            name: view.name.clone(),
            kind: crate::plan::schema_change::kind_name(view.kind).to_owned(),
            columns: Vec::new(),
        })
        .collect()
}
