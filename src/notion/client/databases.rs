//! Databases, data sources, views, and the search for them.

use serde_json::{Map, Value};

use super::Client;
use super::answer::{Answer, decode_written, standing_in, the_same};
use crate::notion::error::NotionError;
use crate::notion::request::{self, Found};
use crate::notion::wire::{DataSource, Database, View};
use crate::ports::Priority;
use crate::value::{DataSourceId, DatabaseId};

impl Client {
    /// Reads a data source with its schema.
    ///
    /// # Errors
    ///
    /// 404 where it is not shared.
    pub async fn retrieve_data_source(&self, id: &DataSourceId) -> Result<DataSource, NotionError> {
        let request = request::retrieve_data_source(id);
        the_same(request.operation, id.as_str(), self.read(&request).await?)
    }

    /// Creates a further data source in a database.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: look for it in its database before creating again.
    pub async fn create_data_source(
        &self,
        parent: &DatabaseId,
        title: &str,
        properties: Map<String, Value>,
    ) -> Result<DataSource, NotionError> {
        let request = request::create_data_source(parent, title, properties);
        let made = self.create(&request, |client, id| {
            Box::pin(async move { client.retrieve_data_source(&DataSourceId(id)).await })
        });
        standing_in(request.operation, parent.as_str(), made.await?)
    }

    /// Changes a data source by the body of the endpoint, and answers its schema afterwards.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: read it before writing again.
    pub async fn update_data_source(
        &self,
        id: &DataSourceId,
        changes: Map<String, Value>,
    ) -> Result<DataSource, NotionError> {
        let request = request::update_data_source(id, changes);
        match self.send(&request).await? {
            Answer::Body(body) => {
                let changed = decode_written(request.operation, &body)?;
                the_same(request.operation, id.as_str(), changed)
            }
            Answer::Committed(_) => self.at(Priority::Settle).retrieve_data_source(id).await,
        }
    }

    /// Reads a database.
    ///
    /// # Errors
    ///
    /// 404 where it is not shared, and for the id of a page or a data source.
    pub async fn retrieve_database(&self, id: &DatabaseId) -> Result<Database, NotionError> {
        let request = request::retrieve_database(id);
        the_same(request.operation, id.as_str(), self.read(&request).await?)
    }

    /// Creates a database from the body of the endpoint.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: look for its title under the parent page before creating again.
    pub async fn create_database(&self, body: Map<String, Value>) -> Result<Database, NotionError> {
        let parent = body
            .get("parent")
            .and_then(|parent| parent["page_id"].as_str())
            .map(str::to_owned);
        let request = request::create_database(body);
        let made = self.create(&request, |client, id| {
            Box::pin(async move { client.retrieve_database(&DatabaseId(id)).await })
        });
        let made = made.await?;
        match parent {
            Some(parent) => standing_in(request.operation, &parent, made),
            None => Ok(made),
        }
    }

    /// Changes a database by the body of the endpoint.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: read it before writing again.
    pub async fn update_database(
        &self,
        id: &DatabaseId,
        changes: Map<String, Value>,
    ) -> Result<Database, NotionError> {
        let request = request::update_database(id, changes);
        match self.send(&request).await? {
            Answer::Body(body) => {
                let changed = decode_written(request.operation, &body)?;
                the_same(request.operation, id.as_str(), changed)
            }
            Answer::Committed(_) => self.at(Priority::Settle).retrieve_database(id).await,
        }
    }

    /// Searches titles; late and not exhaustive, so never a proof of absence.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn search(&self, text: &str, found: Found) -> Result<Vec<Value>, NotionError> {
        self.collect(|cursor| request::search(text, found, cursor)).await
    }

    /// Lists a database's views: ids, and whatever else the listing fills in.
    ///
    /// # Errors
    ///
    /// 404 where the database is not shared.
    pub async fn list_views(&self, database: &DatabaseId) -> Result<Vec<View>, NotionError> {
        self.collect(|cursor| request::list_views(database, cursor)).await
    }

    /// Reads a view.
    ///
    /// # Errors
    ///
    /// 404 where its database is not shared.
    pub async fn retrieve_view(&self, id: &str) -> Result<View, NotionError> {
        let request = request::retrieve_view(id);
        the_same(request.operation, id, self.read(&request).await?)
    }

    /// Creates a view from the body of the endpoint.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: list the views before creating again.
    pub async fn create_view(&self, body: Map<String, Value>) -> Result<View, NotionError> {
        let shown = body
            .get("data_source_id")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let request = request::create_view(body);
        let made = self.create(&request, |client, id| {
            Box::pin(async move { client.retrieve_view(&id).await })
        });
        let made = made.await?;
        match shown {
            Some(shown) => standing_in(request.operation, &shown, made),
            None => Ok(made),
        }
    }

    /// Changes a view by the body of the endpoint.
    ///
    /// # Errors
    ///
    /// [`NotionError::UnknownOutcome`]: read it before writing again.
    pub async fn update_view(&self, id: &str, changes: Map<String, Value>) -> Result<View, NotionError> {
        let request = request::update_view(id, changes);
        match self.send(&request).await? {
            Answer::Body(body) => {
                let changed = decode_written(request.operation, &body)?;
                the_same(request.operation, id, changed)
            }
            Answer::Committed(_) => self.at(Priority::Settle).retrieve_view(id).await,
        }
    }
}
