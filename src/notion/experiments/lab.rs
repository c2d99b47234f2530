//! Where the experiments happen: two scratch databases, and the few moves that all experiments share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{Patience, Wait};
use crate::notion::client::Client;
use crate::notion::error::NotionError;
use crate::notion::wire::{Database, Page};
use crate::value::{DataSourceId, DatabaseId, PageId};

/// What an experiment found.
pub(super) type Answer = Result<Value, NotionError>;

/// The scratch databases.
pub(super) struct Lab<'a> {
    pub(super) client: Client,
    pub(super) patience: Patience,
    /// The data source that most experiments write to.
    pub(super) rows: DataSourceId,
    /// A second one: `Text` and `Select` as in the first, `Number` of another type, and no `Email`.
    pub(super) others: DataSourceId,
    databases: [DatabaseId; 2],
    wait: &'a Wait<'a>,
    /// Milliseconds that were waited for, whether or not they passed on this machine's clock.
    waited: AtomicU64,
}

/// A point in time to measure from.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    real: Instant,
    waited: u64,
}

impl<'a> Lab<'a> {
    pub(super) async fn open(
        client: Client,
        parent: &PageId,
        patience: Patience,
        wait: &'a Wait<'a>,
    ) -> Result<Self, NotionError> {
        let known = json!({"options": [{"name": "Known", "color": "green"}]});
        let (first, rows) = scratch(
            &client,
            parent,
            "frames-sync experiments (may be deleted)",
            json!({
                "Name": {"title": {}}, "Text": {"rich_text": {}}, "Number": {"number": {}}, "Date": {"date": {}},
                "Email": {"email": {}}, "Retyped": {"rich_text": {}}, "Status": {"status": {}},
                "Select": {"select": known.clone()}, "Tags": {"multi_select": {}}, "People": {"people": {}},
                "Files": {"files": {}}, "Check": {"checkbox": {}}, "Pick": {"select": known.clone()},
            }),
        )
        .await?;
        let (second, others) = scratch(
            &client,
            parent,
            "frames-sync experiments, second (may be deleted)",
            json!({
                "Name": {"title": {}}, "Text": {"rich_text": {}}, "Number": {"rich_text": {}},
                "Select": {"select": known},
            }),
        )
        .await?;
        let relations = json!({
            "Self": {"relation": {"data_source_id": rows, "single_property": {}}},
            "Other": {"relation": {"data_source_id": others, "dual_property": {"synced_property_name": "Back"}}},
        });
        client.update_data_source(&rows, properties(relations)).await?;
        Ok(Self {
            client,
            patience,
            rows,
            others,
            databases: [first.id, second.id],
            wait,
            waited: AtomicU64::new(0),
        })
    }

    pub(super) async fn close(self) -> Result<(), NotionError> {
        for database in &self.databases {
            let changes = object(json!({"in_trash": true}));
            self.client.update_database(database, changes).await?;
        }
        Ok(())
    }

    pub(super) async fn row(&self, values: Value) -> Result<Page, NotionError> {
        self.client.create_page(&self.rows, object(values)).await
    }

    pub(super) async fn set(&self, page: &Page, values: Value) -> Result<Page, NotionError> {
        self.client.update_page(&page.id, object(values)).await
    }

    pub(super) async fn read(&self, page: &Page) -> Result<Page, NotionError> {
        self.client.retrieve_page(&page.id).await
    }

    /// Changes the first data source's schema, and answers its properties afterwards.
    pub(super) async fn alter(&self, changes: Value) -> Result<Map<String, Value>, NotionError> {
        let altered = self
            .client
            .update_data_source(&self.rows, properties(changes))
            .await?;
        Ok(altered.properties)
    }

    pub(super) async fn wait(&self, length: Duration) {
        (self.wait)(length).await;
        self.waited.fetch_add(milliseconds(length), Ordering::Relaxed);
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            real: Instant::now(),
            waited: self.waited.load(Ordering::Relaxed),
        }
    }

    pub(super) fn since(&self, mark: Mark) -> Duration {
        let waited = Duration::from_millis(self.waited.load(Ordering::Relaxed) - mark.waited);
        mark.real.elapsed().max(waited)
    }
}

async fn scratch(
    client: &Client,
    parent: &PageId,
    title: &str,
    schema: Value,
) -> Result<(Database, DataSourceId), NotionError> {
    let body = json!({
        "parent": {"type": "page_id", "page_id": parent},
        "title": [{"type": "text", "text": {"content": title}}],
        "initial_data_source": {"properties": schema},
    });
    let database = client.create_database(object(body)).await?;
    let Some(first) = database.data_sources.first() else {
        return Err(NotionError::Connect(
            "the scratch database has no data source".to_owned(),
        ));
    };
    let id = first.id.clone();
    Ok((database, id))
}

pub(super) fn text(content: &str) -> Value {
    json!({"rich_text": [{"type": "text", "text": {"content": content}}]})
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

pub(super) fn milliseconds(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// A key that no other row has.
pub(super) fn fresh_key() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The status of a refusal, or that there was none.
pub(super) fn status_of<T>(result: Result<T, NotionError>) -> Answer {
    match result {
        Ok(_) => Ok(json!("accepted")),
        Err(error) => error.status().map(|status| json!(status)).ok_or(error),
    }
}

/// An answer, or that Notion said no to what was sent.
pub(super) fn or_refused(result: Answer) -> Answer {
    match result {
        Err(error) if matches!(error.status(), Some(400 | 404)) => Ok(json!("refused")),
        other => other,
    }
}

fn properties(value: Value) -> Map<String, Value> {
    Map::from_iter([("properties".to_owned(), value)])
}
