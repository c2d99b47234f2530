//! Questions to the real Notion, each beside what we assume.
//!
//! The list is section 13 of the sync semantics and the unverified points of the fact sheet. Everything happens in a
//! scratch database under the given page, which ends in the trash. `examples/live-notion.rs` runs it; CI does not.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::client::Client;
use super::error::NotionError;
use super::introspect;
use super::request::Query;
use super::wire::Page;
use crate::value::{DataSourceId, DatabaseId, PageId};

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The experiment's name; stable, so that two runs can be compared.
    pub name: &'static str,
    /// What is asked.
    pub question: &'static str,
    /// What the code assumes.
    pub assumption: Value,
    /// What Notion did; the same shape as the assumption. A failure is an `error` with Notion's words.
    pub answer: Value,
    /// Whether the assumption holds; `None` where a person has to judge.
    pub holds: Option<bool>,
}

/// How long experiments may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long to let a minute pass where stamps are compared; a full minute and some seconds tell them apart.
    pub minute: Duration,
    /// How long to look for a page in the index.
    pub index: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            minute: Duration::from_secs(65),
            index: Duration::from_secs(180),
        }
    }
}

/// What only a person in the workspace can find out: name, question, and how.
const BY_HAND: [(&str, &str); 5] = [
    (
        "webhook_timestamp",
        "edit twice within a minute; is an aggregated event's time that of the first or last edit, and do our own writes arrive?",
    ),
    (
        "duplicated_page",
        "duplicate a row; are all properties, `created_by` and `created_time` copied?",
    ),
    (
        "locked_page",
        "does `is_locked` stop property edits in the interface?",
    ),
    (
        "purged_page",
        "delete a page for good; does its 404 differ from that of an unshared one?",
    ),
    (
        "option_renamed",
        "rename a select option; do the pages' `last_edited_time` move?",
    ),
];

/// Runs all experiments, one after the other.
///
/// # Errors
///
/// [`NotionError`] when the scratch database cannot be made; a failing experiment is a finding.
pub async fn run(client: &Client, parent: &PageId, patience: Patience) -> Result<Vec<Finding>, NotionError> {
    let lab = Lab::open(client.clone(), parent, patience).await?;
    let mut findings = vec![
        lab.ask(
            "stamp_is_floored",
            "is `last_edited_time` floored to the minute?",
            json!(true),
            lab.floored().await,
        ),
        lab.ask(
            "answer_equals_read",
            "does the answer of a PATCH equal the GET after it?",
            json!(true),
            lab.same_read().await,
        ),
        lab.ask(
            "noop_moves_stamp",
            "does a PATCH with the same values move `last_edited_time`?",
            json!(false),
            lab.noop().await,
        ),
        lab.ask(
            "white_space",
            "is white space around a text kept?",
            json!("  a\tb  "),
            lab.text("  a\tb  ").await,
        ),
        lab.ask(
            "line_breaks",
            "is CRLF kept?",
            json!("a\nb"),
            lab.text("a\r\nb").await,
        ),
        lab.ask(
            "empty_text_piece",
            "is an empty piece of text stored?",
            json!(0),
            lab.empty_piece().await,
        ),
        lab.ask(
            "seconds_of_dates",
            "are seconds of a date kept?",
            json!("2026-09-04T14:30:00.000+00:00"),
            lab.date().await,
        ),
        lab.ask(
            "unknown_option",
            "does a page write create an unknown select option?",
            json!("created"),
            lab.option("brand new").await,
        ),
        lab.ask(
            "option_case",
            "does another case name the same option?",
            json!("Known"),
            lab.option_case().await,
        ),
        lab.ask(
            "long_option",
            "may an option's name have 101 characters?",
            json!("created"),
            lab.long_option().await,
        ),
        lab.ask(
            "unknown_status",
            "is an unknown status option refused?",
            json!(400),
            lab.status().await,
        ),
        lab.ask(
            "odd_email",
            "is an e-mail property validated?",
            json!("not an address"),
            lab.email().await,
        ),
        lab.ask(
            "unknown_property",
            "is an unknown property in a page write refused?",
            json!(400),
            lab.unknown_property().await,
        ),
        lab.ask(
            "partial_write",
            "is a PATCH with one bad property applied in part?",
            json!(false),
            lab.partial().await,
        ),
        lab.ask(
            "name_case",
            "may two property names differ in case alone?",
            json!("refused"),
            lab.name_case().await,
        ),
        lab.ask(
            "retyped_property_id",
            "does a property keep its id when its type changes?",
            json!(true),
            lab.retype().await,
        ),
        lab.ask(
            "trashed_target",
            "does a relation still list a page in the trash?",
            json!(false),
            lab.trashed_target().await,
        ),
        lab.ask(
            "query_lag_milliseconds",
            "how long until a query finds a new page?",
            json!("below 120000"),
            lab.lag().await,
        ),
        lab.ask(
            "absent_page",
            "what does Notion answer about a page that never was?",
            json!([404, "object_not_found"]),
            lab.absent().await,
        ),
        lab.ask(
            "trashed_row_queried",
            "does a query answer rows in the trash?",
            json!(false),
            lab.trashed_row().await,
        ),
    ];
    findings.extend(BY_HAND.map(|(name, question)| Finding {
        name,
        question,
        assumption: Value::Null,
        answer: json!("a person has to look"),
        holds: None,
    }));
    lab.close().await?;
    Ok(findings)
}

/// The scratch database.
struct Lab {
    client: Client,
    database: DatabaseId,
    rows: DataSourceId,
    patience: Patience,
}

type Answer = Result<Value, NotionError>;

impl Lab {
    async fn open(client: Client, parent: &PageId, patience: Patience) -> Result<Self, NotionError> {
        let body = json!({
            "parent": {"type": "page_id", "page_id": parent},
            "title": [{"type": "text", "text": {"content": "frames-sync experiments (may be deleted)"}}],
            "initial_data_source": {"properties": {
                "Name": {"title": {}}, "Text": {"rich_text": {}}, "Number": {"number": {}}, "Date": {"date": {}},
                "Email": {"email": {}}, "Retyped": {"rich_text": {}}, "Status": {"status": {}},
                "Select": {"select": {"options": [{"name": "Known", "color": "green"}]}},
            }},
        });
        let Value::Object(body) = body else {
            return Err(NotionError::Connect(
                "the scratch database has no body".to_owned(),
            ));
        };
        let database = client.create_database(body).await?;
        let Some(first) = database.data_sources.first() else {
            return Err(NotionError::Connect(
                "the scratch database has no data source".to_owned(),
            ));
        };
        let rows = first.id.clone();
        let relation = json!({"Self": {"relation": {"data_source_id": rows, "single_property": {}}}});
        client.update_data_source(&rows, properties(relation)).await?;
        Ok(Self {
            client,
            database: database.id,
            rows,
            patience,
        })
    }

    async fn close(self) -> Result<(), NotionError> {
        let changes = Map::from_iter([("in_trash".to_owned(), true.into())]);
        self.client
            .update_database(&self.database, changes)
            .await
            .map(|_| ())
    }

    fn ask(&self, name: &'static str, question: &'static str, assumption: Value, answer: Answer) -> Finding {
        let answer = answer.unwrap_or_else(|error| described(&error));
        let judged = name != "query_lag_milliseconds" && answer.get("undecided").is_none();
        let holds = judged.then(|| answer == assumption);
        Finding {
            name,
            question,
            assumption,
            answer,
            holds,
        }
    }

    async fn row(&self, values: Value) -> Result<Page, NotionError> {
        self.client.create_page(&self.rows, object(values)).await
    }

    async fn set(&self, page: &Page, values: Value) -> Result<Page, NotionError> {
        self.client.update_page(&page.id, object(values)).await
    }

    async fn floored(&self) -> Answer {
        // In the second half of a minute, rounding to the nearest would name the next one.
        let second = u64::from(OffsetDateTime::now_utc().second());
        if second < 35 && self.patience.minute >= Duration::from_secs(60) {
            tokio::time::sleep(Duration::from_secs(35 - second)).await;
        }
        let before = OffsetDateTime::now_utc();
        let page = self.row(json!({})).await?;
        let late_enough = before.second() >= 35;
        let whole = page.last_edited_time.second() == 0 && page.last_edited_time.millisecond() == 0;
        let past = page.last_edited_time <= OffsetDateTime::now_utc();
        if !late_enough && whole && past {
            return Ok(json!({"undecided": "the edit was in the first half of a minute"}));
        }
        Ok(json!(whole && past))
    }

    async fn same_read(&self) -> Answer {
        let page = self.row(json!({})).await?;
        let written = self
            .set(&page, json!({"Number": {"number": 0.1}, "Text": text("x")}))
            .await?;
        let read = self.client.retrieve_page(&page.id).await?;
        Ok(json!(written.properties == read.properties))
    }

    async fn noop(&self) -> Answer {
        let page = self.row(json!({"Number": {"number": 1}})).await?;
        tokio::time::sleep(self.patience.minute).await;
        let again = self.set(&page, json!({"Number": {"number": 1}})).await?;
        if self.patience.minute < Duration::from_secs(60) {
            return Ok(json!({"undecided": "no minute passed"}));
        }
        Ok(json!(again.last_edited_time > page.last_edited_time))
    }

    async fn text(&self, content: &str) -> Answer {
        let page = self.row(json!({"Text": text(content)})).await?;
        let read = self.client.retrieve_page(&page.id).await?;
        Ok(read.properties["Text"]["rich_text"][0]["plain_text"].clone())
    }

    async fn empty_piece(&self) -> Answer {
        let page = self.row(json!({"Text": text("")})).await?;
        let read = self.client.retrieve_page(&page.id).await?;
        Ok(json!(
            read.properties["Text"]["rich_text"].as_array().map(Vec::len)
        ))
    }

    async fn date(&self) -> Answer {
        let page = self
            .row(json!({"Date": {"date": {"start": "2026-09-04T14:30:15Z"}}}))
            .await?;
        let read = self.client.retrieve_page(&page.id).await?;
        Ok(read.properties["Date"]["date"]["start"].clone())
    }

    async fn option(&self, name: &str) -> Answer {
        let page = self.row(json!({"Select": {"select": {"name": name}}})).await?;
        let created = page.properties["Select"]["select"]["name"] == name;
        Ok(json!(if created { "created" } else { "ignored" }))
    }

    async fn option_case(&self) -> Answer {
        let page = self.row(json!({"Select": {"select": {"name": "kNOWN"}}})).await?;
        Ok(page.properties["Select"]["select"]["name"].clone())
    }

    async fn long_option(&self) -> Answer {
        refused_or(self.option(&"x".repeat(101)).await)
    }

    async fn status(&self) -> Answer {
        code(
            self.row(json!({"Status": {"status": {"name": "no such status"}}}))
                .await,
        )
    }

    async fn email(&self) -> Answer {
        let page = self.row(json!({"Email": {"email": "not an address"}})).await?;
        Ok(page.properties["Email"]["email"].clone())
    }

    async fn unknown_property(&self) -> Answer {
        code(self.row(json!({"No such property": {"number": 1}})).await)
    }

    async fn partial(&self) -> Answer {
        let page = self.row(json!({"Number": {"number": 1}})).await?;
        let both = json!({"Number": {"number": 2}, "Status": {"status": {"name": "no such status"}}});
        if self.set(&page, both).await.is_ok() {
            return Ok(json!({"undecided": "the bad property was accepted"}));
        }
        let read = self.client.retrieve_page(&page.id).await?;
        Ok(json!(read.properties["Number"]["number"] != 1))
    }

    async fn name_case(&self) -> Answer {
        let added = self
            .client
            .update_data_source(&self.rows, properties(json!({"nUMBER": {"number": {}}})))
            .await;
        refused_or(added.map(|_| json!("accepted")))
    }

    async fn retype(&self) -> Answer {
        let before = introspect::schema(&self.client.retrieve_data_source(&self.rows).await?);
        let retyped = properties(json!({"Retyped": {"number": {}}}));
        let after = introspect::schema(&self.client.update_data_source(&self.rows, retyped).await?);
        let id = |schema: &crate::schema::DataSourceSchema| {
            schema
                .property_named("Retyped")
                .map(|property| property.id.clone())
        };
        Ok(json!(id(&before) == id(&after)))
    }

    async fn trashed_target(&self) -> Answer {
        let target = self.row(json!({})).await?;
        let page = self
            .row(json!({"Self": {"relation": [{"id": target.id}]}}))
            .await?;
        self.client.trash(&target.id).await?;
        let read = self.client.retrieve_page(&page.id).await?;
        Ok(json!(
            read.properties["Self"]["relation"]
                .as_array()
                .is_some_and(|list| !list.is_empty())
        ))
    }

    async fn lag(&self) -> Answer {
        let key = uuid::Uuid::new_v4().to_string();
        let start = Instant::now();
        self.row(json!({"Text": text(&key)})).await?;
        let query = Query {
            filter: Some(json!({"property": "Text", "rich_text": {"equals": key}})),
            ..Query::default()
        };
        while start.elapsed() < self.patience.index {
            let found = self.client.query(&self.rows, &query, None, 1).await?;
            if !found.results.is_empty() {
                return Ok(json!(
                    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
                ));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(json!({"undecided": "not found while we waited"}))
    }

    async fn absent(&self) -> Answer {
        let id = PageId(uuid::Uuid::new_v4().to_string());
        Ok(match self.client.retrieve_page(&id).await {
            Ok(_) => json!("answered"),
            Err(error) => json!([error.status(), error.code()]),
        })
    }

    async fn trashed_row(&self) -> Answer {
        let page = self.row(json!({})).await?;
        self.client.trash(&page.id).await?;
        tokio::time::sleep(self.patience.minute).await;
        let mut listed = false;
        let listing = self.client.query_all(&self.rows, None);
        listing.for_each(|row| listed |= row.id == page.id).await?;
        Ok(json!(listed))
    }
}

fn text(content: &str) -> Value {
    json!({"rich_text": [{"type": "text", "text": {"content": content}}]})
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn properties(value: Value) -> Map<String, Value> {
    Map::from_iter([("properties".to_owned(), value)])
}

fn code(result: Result<Page, NotionError>) -> Answer {
    match result {
        Ok(_) => Ok(json!("accepted")),
        Err(error) => error.status().map(|status| json!(status)).ok_or(error),
    }
}

fn refused_or(result: Answer) -> Answer {
    match result {
        Err(error) if error.status() == Some(400) => Ok(json!("refused")),
        other => other,
    }
}

/// Notion's own words are shown here: every value in them is one that an experiment made up.
fn described(error: &NotionError) -> Value {
    match error {
        NotionError::Refused { refusal, .. } => {
            json!({"error": {"status": refusal.status, "code": refusal.body.code, "message": refusal.body.message}})
        }
        other => json!({"error": other.to_string()}),
    }
}
