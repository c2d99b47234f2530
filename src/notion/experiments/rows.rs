//! Rows that are looked for, leave, come back and move.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::Findings;
use super::lab::{Answer, Lab, fresh_key, milliseconds, object, or_refused, text};
use super::stamps::related;
use crate::notion::error::NotionError;
use crate::notion::request::{self, Body, Query};
use crate::notion::wire::{List, Page};
use crate::value::PageId;

/// How many new pages are looked for.
const LAG_SAMPLES: usize = 5;

pub(super) async fn ask(lab: &Lab<'_>, findings: &mut Findings) {
    findings.judged(
        ("query_lag_milliseconds", "13.2"),
        "how long until a query finds a new page, in several tries?",
        json!("all below 120000"),
        lab.lags().await,
        |lags| {
            lags.as_array().is_some_and(|lags| {
                lags.iter()
                    .all(|lag| lag.as_u64().is_some_and(|lag| lag < 120_000))
            })
        },
    );
    findings.equal(
        ("cursor_under_change", "sheet"),
        "when a row given already goes and a new one comes, how many are repeated or skipped further on?",
        json!({"repeated": 0, "skipped": 0}),
        lab.cursor_under_change().await,
    );
    findings.equal(
        ("two_way_relation", "13.9"),
        "does a two-way relation show on the page at its other end?",
        json!(true),
        lab.two_way().await,
    );
    findings.equal(
        ("trashed_target", "13.9"),
        "does a relation list a page in the trash, and again when it is restored?",
        json!([false, true]),
        lab.trashed_target().await,
    );
    findings.equal(
        ("absent_page", "13.10"),
        "what does Notion answer about a page that never was?",
        json!([404, "object_not_found"]),
        lab.absent().await,
    );
    findings.equal(
        ("trashed_row_queried", "13.11"),
        "does a query answer rows in the trash?",
        json!("none"),
        lab.trashed_rows(false).await,
    );
    findings.equal(
        ("trash_queried", "13.11"),
        "does a query with `in_trash: true` answer all rows in the trash?",
        json!("none"),
        or_refused(lab.trashed_rows(true).await),
    );
    findings.equal(
        ("restored_with_values", "sheet"),
        "can one PATCH restore a page and change it?",
        json!(true),
        lab.restored().await,
    );
    findings.equal(
        ("locked_page_written", "13.12"),
        "does `is_locked` leave writes by the API alone?",
        json!(true),
        lab.locked().await,
    );
    findings.equal(
        ("moved_page", "13.15"),
        "what does a page keep in another data source: its id, the values of properties with the same name and type, \
         the same name alone, and neither?",
        json!({"id": true, "same_name_and_type": true, "option": true, "same_name": false, "neither": false}),
        lab.moved_page().await,
    );
    findings.equal(
        ("moved_page_back", "13.15"),
        "are the values back that were lost, when the page is moved back?",
        json!(false),
        lab.moved_back().await,
    );
}

impl Lab<'_> {
    async fn lags(&self) -> Answer {
        let mut lags = Vec::new();
        for _ in 0..LAG_SAMPLES {
            let key = fresh_key();
            let start = self.mark();
            self.row(json!({"Text": text(&key)})).await?;
            while self.find(&key).await?.is_empty() {
                if self.since(start) >= self.patience.index {
                    return Ok(json!({"undecided": "not found while we waited", "before": lags}));
                }
                self.wait(Duration::from_millis(500)).await;
            }
            lags.push(milliseconds(self.since(start)));
        }
        lags.sort_unstable();
        Ok(json!(lags))
    }

    /// The rows whose text is this key.
    pub(super) async fn find(&self, key: &str) -> Result<Vec<Value>, NotionError> {
        let query = Query {
            filter: Some(json!({"property": "Text", "rich_text": {"equals": key}})),
            ..Query::default()
        };
        Ok(self.client.query(&self.rows, &query, None, 1).await?.results)
    }

    async fn cursor_under_change(&self) -> Answer {
        let key = fresh_key();
        let mut present = BTreeSet::new();
        for number in 0..6 {
            let row = self
                .row(json!({"Text": text(&format!("{key} {number}"))}))
                .await?;
            present.insert(row.id);
        }
        // As the listing asks: in the order of creation.
        let query = Query {
            filter: Some(json!({"property": "Text", "rich_text": {"starts_with": key}})),
            sorts: vec![json!({"timestamp": "created_time", "direction": "ascending"})],
            ..Query::default()
        };
        if !self.wait_for_index(&query, present.len()).await? {
            return Ok(json!({"undecided": "the rows did not all show in the index"}));
        }
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let batch = self
                .client
                .query(&self.rows, &query, cursor.as_deref(), 2)
                .await?;
            seen.extend(batch.results.iter().filter_map(page_id));
            let (true, Some(next)) = (batch.has_more, batch.next_cursor) else {
                break;
            };
            if cursor.is_none() {
                if let Some(first) = seen.first() {
                    self.client.trash(first).await?;
                }
                self.row(json!({"Text": text(&format!("{key} late"))})).await?;
                self.wait(Duration::from_secs(5).min(self.patience.index)).await;
            }
            cursor = Some(next);
        }
        let distinct: BTreeSet<&PageId> = seen.iter().collect();
        let skipped = present.iter().filter(|id| !distinct.contains(id)).count();
        Ok(json!({"repeated": seen.len() - distinct.len(), "skipped": skipped}))
    }

    async fn wait_for_index(&self, query: &Query, count: usize) -> Result<bool, NotionError> {
        let start = self.mark();
        while self
            .client
            .query(&self.rows, query, None, 100)
            .await?
            .results
            .len()
            < count
        {
            if self.since(start) >= self.patience.index {
                return Ok(false);
            }
            self.wait(Duration::from_secs(1)).await;
        }
        Ok(true)
    }

    async fn two_way(&self) -> Answer {
        let other = self.client.create_page(&self.others, object(json!({}))).await?;
        let page = self.row(json!({"Other": related(&other)})).await?;
        let read = self.read(&other).await?;
        Ok(json!(
            read.properties["Back"]["relation"][0]["id"] == page.id.as_str()
        ))
    }

    async fn trashed_target(&self) -> Answer {
        let target = self.row(json!({})).await?;
        let page = self.row(json!({"Self": related(&target)})).await?;
        let listed = async || -> Result<bool, NotionError> {
            let read = self.read(&page).await?;
            let list = read.properties["Self"]["relation"].as_array();
            Ok(list.is_some_and(|list| !list.is_empty()))
        };
        self.client.trash(&target.id).await?;
        let trashed = listed().await?;
        self.client.restore(&target.id, object(json!({}))).await?;
        Ok(json!([trashed, listed().await?]))
    }

    async fn absent(&self) -> Answer {
        let id = PageId(uuid::Uuid::new_v4().to_string());
        Ok(match self.client.retrieve_page(&id).await {
            Ok(_) => json!("answered"),
            Err(error) => json!([error.status(), error.code()]),
        })
    }

    /// How many of three rows in the trash a query answers, with or without asking for the trash.
    async fn trashed_rows(&self, ask_for_trash: bool) -> Answer {
        let key = fresh_key();
        for _ in 0..3 {
            let page = self.row(json!({"Text": text(&key)})).await?;
            self.client.trash(&page.id).await?;
        }
        self.wait(self.patience.minute).await;
        let query = Query {
            filter: Some(json!({"property": "Text", "rich_text": {"equals": key}})),
            ..Query::default()
        };
        let mut request = request::query(&self.rows, &query, None, 100);
        if let (true, Body::Json(body)) = (ask_for_trash, &mut request.body) {
            body["in_trash"] = true.into();
        }
        let listed: List<Value> = self.client.read(&request).await?;
        Ok(json!(match listed.results.len() {
            0 => "none",
            3 => "all",
            _ => "some",
        }))
    }

    async fn restored(&self) -> Answer {
        let page = self.row(json!({"Number": {"number": 1}})).await?;
        self.client.trash(&page.id).await?;
        let changes = object(json!({"Number": {"number": 2}}));
        self.client.restore(&page.id, changes).await?;
        let read = self.read(&page).await?;
        Ok(json!(
            !read.is_in_trash() && read.properties["Number"]["number"] == 2
        ))
    }

    async fn locked(&self) -> Answer {
        let page = self.row(json!({"Number": {"number": 1}})).await?;
        let locked = object(json!({"is_locked": true}));
        self.client.change_page(&page.id, locked).await?;
        let written = self.set(&page, json!({"Number": {"number": 2}})).await;
        Ok(json!(
            written.is_ok_and(|page| page.properties["Number"]["number"] == 2)
        ))
    }

    async fn full_row(&self) -> Result<Page, NotionError> {
        self.row(json!({
            "Text": text("kept"), "Number": {"number": 7}, "Email": {"email": "ada@example.org"},
            "Select": {"select": {"name": "Known"}},
        }))
        .await
    }

    async fn moved_page(&self) -> Answer {
        let page = self.full_row().await?;
        let moved = self.client.move_page(&page.id, &self.others).await?;
        let there = self.read(&page).await?.properties;
        let number = there["Number"]["rich_text"].as_array();
        Ok(json!({
            "id": moved.id == page.id && moved.parent.data_source_id.as_ref() == Some(&self.others),
            "same_name_and_type": there["Text"]["rich_text"][0]["plain_text"] == "kept",
            "option": there["Select"]["select"]["name"] == "Known",
            "same_name": number.is_some_and(|pieces| !pieces.is_empty()),
            "neither": there.contains_key("Email"),
        }))
    }

    async fn moved_back(&self) -> Answer {
        let page = self.full_row().await?;
        self.client.move_page(&page.id, &self.others).await?;
        self.client.move_page(&page.id, &self.rows).await?;
        let back = self.read(&page).await?.properties;
        Ok(json!(back["Email"]["email"] == "ada@example.org"))
    }
}

fn page_id(row: &Value) -> Option<PageId> {
    row["id"].as_str().map(PageId::from)
}
