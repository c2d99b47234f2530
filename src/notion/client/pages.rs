//! Pages, their properties, and queries.

use serde_json::{Map, Value};

use super::Client;
use super::answer::{Answer, committed_without_id, decode_written, next, standing_in, the_same};
use crate::notion::error::NotionError;
use crate::notion::listing::Listing;
use crate::notion::request::{self, Query, Request};
use crate::notion::wire::{List, Page, PropertyItem};
use crate::ports::Priority;
use crate::value::{DataSourceId, PageId, PropertyId};

impl Client {
    /// Reads a page; one in the trash is answered too, and says so.
    ///
    /// # Errors
    ///
    /// 404 where it is not shared or does not exist; [`AnswerProblem::WrongObject`](crate::notion::error::AnswerProblem::WrongObject) for an answer about
    /// another page.
    pub async fn retrieve_page(&self, id: &PageId) -> Result<Page, NotionError> {
        let request = request::retrieve_page(id);
        the_same(request.operation, id.as_str(), self.read(&request).await?)
    }

    /// Creates a page from values keyed by property name or id.
    ///
    /// # Guarantees
    ///
    /// Sent once. A 503 that names the page it made counts as success, and the page is read.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: the page may exist; search for its key before creating again.
    pub async fn create_page(
        &self,
        parent: &DataSourceId,
        properties: Map<String, Value>,
    ) -> Result<Page, NotionError> {
        let request = request::create_page(parent, properties);
        match self.send(&request).await? {
            Answer::Body(body) => {
                let page = decode_written(request.operation, &body)?;
                standing_in(request.operation, parent.as_str(), page)
            }
            Answer::Committed(ids) => match ids.first() {
                Some(id) => {
                    self.at(Priority::Settle)
                        .retrieve_page(&PageId::from(id.as_str()))
                        .await
                }
                None => Err(committed_without_id(request.operation)),
            },
        }
    }

    /// Changes properties of a page; those left out keep their values, arrays are replaced whole.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: read the page before writing again. 409: nothing was saved.
    pub async fn update_page(
        &self,
        id: &PageId,
        properties: Map<String, Value>,
    ) -> Result<Page, NotionError> {
        self.change_page(
            id,
            Map::from_iter([("properties".to_owned(), Value::Object(properties))]),
        )
        .await
    }

    /// Puts a page in the trash.
    ///
    /// # Errors
    ///
    /// As [`Client::update_page`].
    pub async fn trash(&self, id: &PageId) -> Result<Page, NotionError> {
        self.change_page(id, Map::from_iter([("in_trash".to_owned(), true.into())]))
            .await
    }

    /// Takes a page out of the trash and changes properties in the same request.
    ///
    /// # Errors
    ///
    /// As [`Client::update_page`]; pages directly below the workspace cannot be restored.
    pub async fn restore(&self, id: &PageId, properties: Map<String, Value>) -> Result<Page, NotionError> {
        let mut changes = Map::from_iter([("in_trash".to_owned(), false.into())]);
        if !properties.is_empty() {
            changes.insert("properties".to_owned(), Value::Object(properties));
        }
        self.change_page(id, changes).await
    }

    /// Changes a page by the body of the endpoint.
    ///
    /// # Errors
    ///
    /// As [`Client::update_page`].
    pub async fn change_page(&self, id: &PageId, changes: Map<String, Value>) -> Result<Page, NotionError> {
        self.write_page(request::update_page(id, changes), id).await
    }

    /// Moves a page to another data source; values without a matching property there are lost.
    ///
    /// # Errors
    ///
    /// As [`Client::update_page`].
    pub async fn move_page(&self, id: &PageId, parent: &DataSourceId) -> Result<Page, NotionError> {
        let request = request::move_page(id, parent);
        let operation = request.operation;
        let moved = self.write_page(request, id).await?;
        standing_in(operation, parent.as_str(), moved)
    }

    async fn write_page(&self, request: Request, id: &PageId) -> Result<Page, NotionError> {
        match self.send(&request).await? {
            Answer::Body(body) => {
                let page = decode_written(request.operation, &body)?;
                the_same(request.operation, id.as_str(), page)
            }
            Answer::Committed(_) => self.at(Priority::Settle).retrieve_page(id).await,
        }
    }

    /// Reads one property of a page completely.
    ///
    /// Titles, texts, people and relations come as the array that a page object would hold without its
    /// limit; rollups as their `rollup` object with the last batch's value; all others as their value.
    ///
    /// # Errors
    ///
    /// 404 where the page or the property is out of reach.
    pub async fn property_items(&self, page: &PageId, property: &PropertyId) -> Result<Value, NotionError> {
        let mut cursor: Option<String> = None;
        let mut collected: Vec<Value> = Vec::new();
        loop {
            let asked = request::retrieve_property(page, property, cursor.as_deref());
            let list = match self.read(&asked).await? {
                PropertyItem::Value(value) => {
                    let kind = value["type"].as_str().unwrap_or_default().to_owned();
                    return Ok(value[kind.as_str()].clone());
                }
                PropertyItem::Items(list) => list,
            };
            let rollup = list
                .rest
                .get("property_item")
                .and_then(|item| item.get("rollup"))
                .cloned();
            collected.extend(list.results.into_iter().map(|mut item| {
                let kind = item["type"].as_str().unwrap_or_default().to_owned();
                item[kind.as_str()].take()
            }));
            cursor = next(asked.operation, list.has_more, list.next_cursor)?;
            if cursor.is_none() {
                return Ok(match rollup {
                    Some(mut rollup) if rollup["type"] == "array" => {
                        rollup["array"] = Value::Array(collected);
                        rollup
                    }
                    Some(rollup) => rollup,
                    None => Value::Array(collected),
                });
            }
        }
    }

    /// Completes the lists that a page object cut short, so that a list of 25 is never taken for all.
    ///
    /// Costs a request per batch of 100 for each property in doubt, and none for most pages.
    ///
    /// # Errors
    ///
    /// As [`Client::property_items`]; the page is lost then, and nothing incomplete is answered.
    pub async fn complete_page(&self, mut page: Page) -> Result<Page, NotionError> {
        for (name, id, kind) in page.truncated() {
            let complete = self.property_items(&page.id, &id).await?;
            if let Some(value) = page.properties.get_mut(&name) {
                value[kind.as_str()] = complete;
                if kind == "relation" {
                    value["has_more"] = false.into();
                }
            }
        }
        Ok(page)
    }

    /// Queries one batch of a data source.
    ///
    /// # Errors
    ///
    /// 400 for a filter that does not fit the schema.
    pub async fn query(
        &self,
        data_source: &DataSourceId,
        query: &Query,
        cursor: Option<&str>,
        page_size: u32,
    ) -> Result<List<Value>, NotionError> {
        self.read(&request::query(data_source, query, cursor, page_size))
            .await
    }

    /// Lists all pages of a data source that a filter lets through, batch by batch.
    pub fn query_all(&self, data_source: &DataSourceId, filter: Option<Value>) -> Listing {
        Listing::new(self.clone(), data_source.clone(), filter)
    }
}
