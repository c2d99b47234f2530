//! All pages of a data source, past the cap on the results of one query.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::client::{Client, next};
use super::error::NotionError;
use super::operation::Operation;
use super::request::{MAX_PAGE_SIZE, Query};
use super::wire::{List, Page, RequestStatus};
use crate::value::DataSourceId;

/// The most results that one query answers, over all its batches.
///
/// Source: Notion API, changelog of 2026-04-20.
pub const RESULT_CAP: usize = 10_000;

/// The smallest batch that a struggling datastore is asked for.
const SMALLEST_BATCH: u32 = 10;

/// Where a listing stands between two batches.
///
/// Listings are sorted by creation, which never changes. Where a query ends at the cap the next one starts at
/// the last creation time seen, so that pages of that minute are answered twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Notion's cursor within the present query.
    cursor: Option<String>,
    /// The creation time that the present query starts at.
    #[serde(with = "time::serde::rfc3339::option")]
    from: Option<OffsetDateTime>,
    /// The latest creation time seen.
    #[serde(with = "time::serde::rfc3339::option")]
    last: Option<OffsetDateTime>,
    /// The results of the present query so far.
    results: usize,
}

/// One batch of a listing, and what follows on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The pages, possibly none.
    pub pages: Vec<Page>,
    /// What follows.
    pub next: Next,
}

/// What follows on a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another batch, from here.
    Batch(Position),
    /// Nothing; everything was listed.
    Complete,
    /// Nothing, though something is missing, for this reason; nothing may be concluded from absence.
    Incomplete(String),
}

impl Position {
    /// What follows on a batch of that many results, the latest created then.
    fn after(mut self, results: usize, last: Option<OffsetDateTime>, end: End) -> Next {
        self.results += results;
        self.last = self.last.max(last);
        let reason = match end {
            End::More(cursor) => {
                self.cursor = Some(cursor);
                return Next::Batch(self);
            }
            End::Last(Some(status)) if status.is_complete() => return Next::Complete,
            End::Last(Some(status)) => status.incomplete_reason.unwrap_or(status.kind),
            // An answer that ends at the cap without a word is doubted.
            End::Last(None) if self.results >= RESULT_CAP => CAPPED.to_owned(),
            End::Last(None) => return Next::Complete,
        };
        if reason != CAPPED {
            return Next::Incomplete(format!("Notion says `{reason}`"));
        }
        if self.last.is_none() || self.last == self.from {
            let reason = "more pages were created in one minute than one query answers";
            return Next::Incomplete(reason.to_owned());
        }
        Next::Batch(Self {
            cursor: None,
            from: self.last,
            last: self.last,
            results: 0,
        })
    }

    fn filter(&self, filter: Option<&Value>) -> Option<Value> {
        let Some(from) = self.from.and_then(|from| from.format(&Rfc3339).ok()) else {
            return filter.cloned();
        };
        let since = json!({"timestamp": "created_time", "created_time": {"on_or_after": from}});
        Some(match filter {
            None => since,
            // Groups nest two deep at most: the condition joins a conjunction that is there.
            Some(filter) => match filter.get("and").and_then(Value::as_array) {
                Some(conditions) => {
                    json!({"and": conditions.iter().cloned().chain([since]).collect::<Vec<_>>()})
                }
                None => json!({"and": [filter, since]}),
            },
        })
    }
}

/// Notion's word for a query that ended at the cap.
const CAPPED: &str = "query_result_limit_reached";

enum End {
    More(String),
    Last(Option<RequestStatus>),
}

/// Asks for the batch at a position, in smaller pieces where the datastore cannot answer in time.
///
/// # Errors
///
/// As a query.
pub async fn step(
    client: &Client,
    data_source: &DataSourceId,
    filter: Option<&Value>,
    position: Position,
) -> Result<Step, NotionError> {
    let query = Query {
        filter: position.filter(filter),
        sorts: vec![json!({"timestamp": "created_time", "direction": "ascending"})],
        properties: Vec::new(),
    };
    let mut size = MAX_PAGE_SIZE;
    let batch = loop {
        match client
            .query(data_source, &query, position.cursor.as_deref(), size)
            .await
        {
            Err(error) if matches!(error.status(), Some(503 | 504)) && size > SMALLEST_BATCH => {
                size = (size / 2).max(SMALLEST_BATCH);
            }
            other => break other?,
        }
    };
    read(batch, position)
}

fn read(batch: List<Value>, position: Position) -> Result<Step, NotionError> {
    let cursor = next(Operation::QueryDataSource, batch.has_more, batch.next_cursor)?;
    let end = cursor.map_or(End::Last(batch.request_status), End::More);
    let results = batch.results.len();
    let mut pages = Vec::with_capacity(results);
    let mut partial = false;
    for result in batch.results {
        // Wikis list data sources between their pages.
        if result["object"] != "page" {
            continue;
        }
        match serde_json::from_value::<Page>(result) {
            Ok(page) => pages.push(page),
            Err(_) => partial = true,
        }
    }
    let last = pages.iter().map(|page| page.created_time).max();
    let next = if partial {
        Next::Incomplete("Notion answered pages without their values".to_owned())
    } else {
        position.after(results, last, end)
    };
    Ok(Step { pages, next })
}

/// A listing under way: pull batches until there are none, then ask whether it was complete.
///
/// Each page is answered at most once; memory holds one batch, and 16 bytes for each page seen.
///
/// # Guarantees
///
/// Absence is only worth anything when [`Listing::completeness`] says [`Completeness::Complete`] after the
/// last batch, and even then the index may lag behind the last seconds or minutes.
#[derive(Debug)]
pub struct Listing {
    client: Client,
    data_source: DataSourceId,
    filter: Option<Value>,
    position: Option<Position>,
    seen: HashSet<u128>,
    completeness: Completeness,
}

/// Whether a listing held everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Batches are still missing.
    Unfinished,
    /// Everything that the filter lets through was listed.
    Complete,
    /// Something is missing, for this reason; nothing may be concluded from absence.
    Incomplete(String),
}

impl Listing {
    pub(super) fn new(client: Client, data_source: DataSourceId, filter: Option<Value>) -> Self {
        Self {
            client,
            data_source,
            filter,
            position: Some(Position::default()),
            seen: HashSet::new(),
            completeness: Completeness::Unfinished,
        }
    }

    /// The next pages, possibly none; `None` after the last batch.
    ///
    /// # Errors
    ///
    /// As a query. The listing stays unfinished; the same batch may be asked for again.
    pub async fn next_batch(&mut self) -> Result<Option<Vec<Page>>, NotionError> {
        let Some(position) = self.position.clone() else {
            return Ok(None);
        };
        let Step { mut pages, next } =
            step(&self.client, &self.data_source, self.filter.as_ref(), position).await?;
        pages.retain(|page| match page.id.as_str().parse::<uuid::Uuid>() {
            Ok(id) => self.seen.insert(id.as_u128()),
            Err(_) => true,
        });
        self.position = None;
        match next {
            Next::Batch(position) => self.position = Some(position),
            Next::Complete => self.completeness = Completeness::Complete,
            Next::Incomplete(reason) => self.completeness = Completeness::Incomplete(reason),
        }
        Ok(Some(pages))
    }

    /// Whether everything was listed.
    pub fn completeness(&self) -> &Completeness {
        &self.completeness
    }

    /// Reads on to the end and calls back with each page.
    ///
    /// # Errors
    ///
    /// As [`Listing::next_batch`].
    pub async fn for_each(mut self, mut each: impl FnMut(Page)) -> Result<Completeness, NotionError> {
        while let Some(pages) = self.next_batch().await? {
            pages.into_iter().for_each(&mut each);
        }
        Ok(self.completeness)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn status(kind: &str, reason: Option<&str>) -> End {
        End::Last(Some(RequestStatus {
            kind: kind.to_owned(),
            incomplete_reason: reason.map(str::to_owned),
        }))
    }

    #[test]
    fn a_capped_query_goes_on_at_the_last_creation_time() {
        let time = datetime!(2026-09-04 14:31 UTC);
        let next = Position::default().after(50, Some(time), status("incomplete", Some(CAPPED)));
        let Next::Batch(position) = next else {
            panic!("ended")
        };
        assert_eq!(
            position.filter(Some(&json!({"or": []}))),
            Some(json!({"and": [{"or": []}, {"timestamp": "created_time",
                "created_time": {"on_or_after": "2026-09-04T14:31:00Z"}}]}))
        );
        assert!(matches!(
            position.after(50, Some(time), status("incomplete", Some(CAPPED))),
            Next::Incomplete(_)
        ));
    }

    #[test]
    fn silence_at_the_cap_is_doubted_and_other_reasons_end_the_listing() {
        let time = datetime!(2026-09-04 14:31 UTC);
        let at_cap = Position::default().after(RESULT_CAP, Some(time), End::Last(None));
        assert!(matches!(at_cap, Next::Batch(_)));
        let below = Position::default().after(RESULT_CAP - 1, Some(time), End::Last(None));
        assert_eq!(below, Next::Complete);
        let other = Position::default().after(1, Some(time), status("incomplete", Some("tired")));
        assert!(matches!(other, Next::Incomplete(_)));
        assert_eq!(
            Position::default().after(0, None, status("complete", None)),
            Next::Complete
        );
    }

    #[test]
    fn a_page_without_its_values_makes_the_listing_incomplete() {
        let batch = serde_json::from_value(json!({
            "results": [{"object": "page", "id": "x"}], "has_more": false, "next_cursor": null,
        }))
        .unwrap();
        let step = read(batch, Position::default()).unwrap();
        assert!(matches!(step.next, Next::Incomplete(_)));
    }
}
