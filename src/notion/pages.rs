//! The engine's port over the client: pages of bound entities, their properties as values.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use time::format_description::well_known::Rfc3339;

use super::client::{Client, Usage};
use super::codec;
use super::error::{AnswerProblem, NotionError};
use super::id::same_id;
use super::listing::{self, Next, Position};
use super::operation::{Class, Operation};
use super::wire;
use crate::codec::CodecCode;
use crate::ports::{
    BoxFuture, Page, PageBatch, PageParent, PageQuery, PageWrite, Pages, PagesError, Priority, PropertyRead,
};
use crate::report::NotionUsage;
use crate::schema::PropertyType;
use crate::value::{DataSourceId, PageId, PropertyId, UserId, Value};

/// Where an entity's pages are, and which of their properties are read.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityPages {
    /// The data source.
    pub data_source: DataSourceId,
    /// The engine's own key property.
    pub postgres_id: PropertyId,
    /// The bound properties, the engine's own included, with their types.
    pub properties: BTreeMap<PropertyId, PropertyType>,
}

/// [`Pages`] over Notion's API.
#[derive(Clone, Debug)]
pub struct NotionPages {
    client: Client,
    bot: UserId,
    entities: BTreeMap<String, EntityPages>,
}

impl NotionPages {
    /// The pages of these entities; `bot` is the user that [`Client::me`] answered.
    pub fn new(client: Client, bot: UserId, entities: BTreeMap<String, EntityPages>) -> Self {
        Self {
            client,
            bot,
            entities,
        }
    }

    fn entity(&self, name: &str) -> Result<&EntityPages, PagesError> {
        self.entities.get(name).ok_or_else(|| PagesError::Refused {
            code: "unknown_entity".to_owned(),
            message: format!("no data source is known for `{name}`"),
        })
    }

    async fn step(
        &self,
        entity: &EntityPages,
        query: &PageQuery,
        after: Option<&str>,
        priority: Priority,
    ) -> Result<PageBatch, PagesError> {
        let position = match after {
            None => Position::default(),
            Some(text) => serde_json::from_str(text).map_err(|_| unreadable("a position of ours", false))?,
        };
        let filter = filter(entity, query)?;
        let client = self.client.at(priority);
        let step = listing::step(&client, &entity.data_source, filter.as_ref(), position).await;
        let step = step.map_err(convert)?;
        let (next, complete) = match step.next {
            Next::Batch(position) => {
                let text = serde_json::to_string(&position);
                (
                    Some(text.map_err(|_| unreadable("a position of ours", false))?),
                    true,
                )
            }
            Next::Complete => (None, true),
            Next::Incomplete(_) => (None, false),
        };
        let pages = step.pages.into_iter().map(|page| entity.read(page)).collect();
        Ok(PageBatch {
            pages,
            next,
            complete,
        })
    }
}

fn filter(entity: &EntityPages, query: &PageQuery) -> Result<Option<Json>, PagesError> {
    Ok(match query {
        PageQuery::All => None,
        PageQuery::EditedSince(time) => {
            let utc = time.to_offset(time::UtcOffset::UTC);
            let text = utc.format(&Rfc3339).map_err(|_| PagesError::Refused {
                code: "validation_error".to_owned(),
                message: "the time is beyond what a filter can name".to_owned(),
            })?;
            Some(json!({"timestamp": "last_edited_time", "last_edited_time": {"on_or_after": text}}))
        }
        PageQuery::WithPostgresId(key) => {
            Some(json!({"property": entity.postgres_id, "rich_text": {"equals": key}}))
        }
    })
}

impl EntityPages {
    /// What a page object says, as far as this entity is concerned.
    fn read(&self, page: wire::Page) -> Page {
        let stands_here = page
            .parent
            .data_source_id
            .as_ref()
            .is_some_and(|id| same_id(id.as_str(), self.data_source.as_str()));
        let mut properties = BTreeMap::new();
        for value in page.properties.values() {
            let Some(id) = value["id"].as_str().map(PropertyId::from) else {
                continue;
            };
            if let Some(kind) = self.properties.get(&id) {
                properties.insert(id, read(*kind, value));
            }
        }
        let in_trash = page.is_in_trash();
        let user = |user: Option<wire::UserReference>| user.map_or_else(|| UserId::from(""), |user| user.id);
        Page {
            id: page.id,
            parent: if stands_here {
                PageParent::Entity
            } else {
                PageParent::Elsewhere
            },
            in_trash,
            created_time: page.created_time,
            last_edited_time: page.last_edited_time,
            created_by: user(page.created_by),
            last_edited_by: user(page.last_edited_by),
            properties: properties.into(),
        }
    }

    /// The property values of a write, keyed by id.
    fn write(&self, write: &PageWrite) -> Result<Map<String, Json>, PagesError> {
        let mut properties = Map::new();
        for (id, value) in &write.properties {
            let refused = |message: String| PagesError::Refused {
                code: "validation_error".to_owned(),
                message,
            };
            let kind = self
                .properties
                .get(id)
                .ok_or_else(|| refused("a property that is not bound cannot be written".to_owned()))?;
            let encoded = codec::encode(*kind, value).map_err(|error| refused(error.to_string()))?;
            properties.insert(id.0.clone(), encoded);
        }
        Ok(properties)
    }
}

fn read(kind: PropertyType, property: &Json) -> PropertyRead {
    match codec::decode(kind, property) {
        Ok(value) => PropertyRead::Whole(value.canonical()),
        Err(error) if error.code == CodecCode::Incomplete => PropertyRead::Truncated,
        Err(error) => PropertyRead::Unreadable(error.to_string()),
    }
}

impl Pages for NotionPages {
    fn query<'a>(
        &'a self,
        entity: &'a str,
        query: &'a PageQuery,
        after: Option<&'a str>,
        priority: Priority,
    ) -> BoxFuture<'a, Result<PageBatch, PagesError>> {
        Box::pin(async move { self.step(self.entity(entity)?, query, after, priority).await })
    }

    fn read<'a>(
        &'a self,
        entity: &'a str,
        page: &'a PageId,
        priority: Priority,
    ) -> BoxFuture<'a, Result<Page, PagesError>> {
        Box::pin(async move {
            let entity = self.entity(entity)?;
            let page = self.client.at(priority).retrieve_page(page).await;
            page.map(|page| entity.read(page)).map_err(convert)
        })
    }

    fn whole_property<'a>(
        &'a self,
        entity: &'a str,
        page: &'a PageId,
        property: &'a PropertyId,
        priority: Priority,
    ) -> BoxFuture<'a, Result<Value, PagesError>> {
        Box::pin(async move {
            let kind = *self
                .entity(entity)?
                .properties
                .get(property)
                .ok_or(PagesError::Inaccessible)?;
            let content = self
                .client
                .at(priority)
                .property_items(page, property)
                .await
                .map_err(convert)?;
            let decoded = match content {
                Json::Array(contents) => {
                    let item = |content| json!({"type": kind.name(), kind.name(): content});
                    let items: Vec<Json> = contents.into_iter().map(item).collect();
                    codec::decode_items(kind, &items)
                }
                content => codec::decode(kind, &json!({"type": kind.name(), kind.name(): content})),
            };
            decoded
                .map(Value::canonical)
                .map_err(|error| unreadable(&error.to_string(), false))
        })
    }

    fn create<'a>(
        &'a self,
        entity: &'a str,
        write: &'a PageWrite,
        priority: Priority,
    ) -> BoxFuture<'a, Result<Page, PagesError>> {
        Box::pin(async move {
            let entity = self.entity(entity)?;
            let properties = entity.write(write)?;
            let client = self.client.at(priority);
            let created = client.create_page(&entity.data_source, properties).await;
            created.map(|page| entity.read(page)).map_err(convert)
        })
    }

    fn update<'a>(
        &'a self,
        entity: &'a str,
        page: &'a PageId,
        write: &'a PageWrite,
        priority: Priority,
    ) -> BoxFuture<'a, Result<Page, PagesError>> {
        Box::pin(async move {
            let entity = self.entity(entity)?;
            let mut changes = Map::new();
            if let Some(in_trash) = write.in_trash {
                changes.insert("in_trash".to_owned(), in_trash.into());
            }
            let properties = entity.write(write)?;
            if !properties.is_empty() {
                changes.insert("properties".to_owned(), Json::Object(properties));
            }
            let changed = self.client.at(priority).change_page(page, changes).await;
            changed.map(|page| entity.read(page)).map_err(convert)
        })
    }

    fn bot(&self) -> UserId {
        self.bot.clone()
    }

    fn usage(&self) -> NotionUsage {
        self.client.usage().into()
    }

    fn told(&self) -> NotionUsage {
        self.client.told().into()
    }

    fn tell(&self) {
        self.client.tell();
    }
}

impl From<Usage> for NotionUsage {
    fn from(usage: Usage) -> Self {
        Self {
            requests: usage.requests,
            by_endpoint: usage
                .by_endpoint
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            throttled: usage.throttled,
            waited_seconds: usage.waited.as_secs_f64(),
        }
    }
}

fn unreadable(message: &str, wrote: bool) -> PagesError {
    PagesError::Unreadable {
        message: message.to_owned(),
        wrote,
    }
}

/// What a failure of the client means to the engine.
fn convert(error: NotionError) -> PagesError {
    match &error {
        NotionError::UnknownOutcome { .. } => PagesError::Unknown {
            source: Box::new(error),
        },
        NotionError::Resting { wait, .. } => PagesError::Unavailable {
            after: Some(*wait),
            source: Box::new(error),
        },
        NotionError::Send { .. } => PagesError::Unavailable {
            after: None,
            source: Box::new(error),
        },
        NotionError::ReadAnswer {
            status,
            problem,
            operation,
            ..
        } => match problem {
            AnswerProblem::Html(_) if *status >= 400 => PagesError::Unavailable {
                after: None,
                source: Box::new(error),
            },
            _ if *status >= 500 => PagesError::Unavailable {
                after: None,
                source: Box::new(error),
            },
            _ => unreadable(
                &error.to_string(),
                (200..300).contains(status) && writes(*operation),
            ),
        },
        _ if error.stops_the_connection() => PagesError::Unauthorized {
            message: error.to_string(),
        },
        NotionError::Refused { refusal, .. } => match refusal.status {
            403 | 404 => PagesError::Inaccessible,
            409 => PagesError::Conflict,
            429 | 500.. => PagesError::Unavailable {
                after: None,
                source: Box::new(error),
            },
            _ => PagesError::Refused {
                code: refusal.body.code.clone(),
                message: error.to_string(),
            },
        },
        NotionError::ReadId | NotionError::Connect(_) | NotionError::Stopped { .. } => {
            PagesError::Unauthorized {
                message: error.to_string(),
            }
        }
    }
}

fn writes(operation: Operation) -> bool {
    operation.class() != Class::Read
}
