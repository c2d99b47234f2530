//! Questions to the real Notion, each beside what we assume.
//!
//! The list is section 13 of the sync semantics and the unverified points of the fact sheet. Everything happens in
//! scratch databases under the given page, which end in the trash. `examples/live-notion.rs` runs it; CI does not.
//!
//! What is asked of values is in `values`, of schemas in `schemas`, of stamps in `stamps`, of rows that move, leave or are
//! looked for in `rows`, and of slowness and the budget in `limits`.

mod lab;
mod limits;
mod rows;
mod schemas;
mod stamps;
mod values;

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Value, json};

use self::lab::{Answer, Lab};
use super::client::Client;
use super::error::NotionError;
use crate::value::PageId;

/// One question and its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The experiment's name; stable, so that two runs can be compared.
    pub name: &'static str,
    /// Who asks: `13.6` is the sixth point of section 13 of the sync semantics, `sheet` the fact sheet.
    pub asked_by: &'static str,
    /// What is asked.
    pub question: &'static str,
    /// What the code and the simulator assume.
    pub assumption: Value,
    /// What Notion did; the same shape as the assumption. A failure is an `error` with Notion's words, and what
    /// could not be told is `undecided` with the reason.
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
    /// How long to look for the effect of a write whose answer was not awaited.
    pub late: Duration,
    /// How many requests to send as fast as they go, to meet the limit; 0 leaves the limit alone.
    pub burst: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            minute: Duration::from_secs(65),
            index: Duration::from_secs(180),
            late: Duration::from_secs(300),
            // More than the 600 a minute that the dearest plans are said to allow.
            burst: 700,
        }
    }
}

/// How to let time pass: by sleeping, or by moving a simulator's clock.
pub type Wait<'a> = dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'a;

/// What only a person in the workspace, or with two of them, can find out: name, who asks, and what to do.
const BY_HAND: [(&str, &str, &str); 11] = [
    (
        "viewed_page",
        "13.1",
        "open a row in the app and change nothing; does its `last_edited_time` move?",
    ),
    (
        "webhook_timestamp",
        "13.4",
        "edit twice within a minute; is an aggregated event's time that of the first or last edit?",
    ),
    (
        "webhook_of_own_write",
        "13.4",
        "subscribe a webhook and write by the API; does an event arrive, with author type `bot`?",
    ),
    (
        "webhook_deadline",
        "sheet",
        "answer an event after 5, 15 and 30 seconds; from when on is it sent again?",
    ),
    (
        "option_without_capability",
        "13.7",
        "take the capability to update content from the connection; does a page write still make an option?",
    ),
    (
        "duplicated_page",
        "13.8",
        "duplicate a row; are all properties, `created_by` and `created_time` copied?",
    ),
    (
        "purged_target",
        "13.9",
        "delete a page for good that a relation names; does the relation still list it?",
    ),
    (
        "purged_page",
        "13.10",
        "delete a page for good, and unshare another; do their 404s differ?",
    ),
    (
        "locked_page",
        "13.12",
        "does `is_locked` stop property edits in the app?",
    ),
    (
        "workspace_budget",
        "13.14",
        "send bursts with two connections at once, on each plan; when does `public_api_space_request_rate_limit` come?",
    ),
    (
        "option_renamed",
        "sheet",
        "rename a select option; do the pages' `last_edited_time` move?",
    ),
];

/// Runs all experiments, one after the other.
///
/// # Errors
///
/// [`NotionError`] when the scratch databases cannot be made; a failing experiment is a finding.
pub async fn run(client: &Client, parent: &PageId, patience: Patience) -> Result<Vec<Finding>, NotionError> {
    run_waiting(client, parent, patience, &|length| {
        Box::pin(tokio::time::sleep(length))
    })
    .await
}

/// As [`run`], with another way to let time pass.
///
/// # Errors
///
/// As [`run`].
pub async fn run_waiting(
    client: &Client,
    parent: &PageId,
    patience: Patience,
    wait: &Wait<'_>,
) -> Result<Vec<Finding>, NotionError> {
    let lab = Lab::open(client.clone(), parent, patience, wait).await?;
    let mut findings = Findings(Vec::new());
    values::ask(&lab, &mut findings).await;
    schemas::ask(&lab, &mut findings).await;
    stamps::ask(&lab, &mut findings).await;
    rows::ask(&lab, &mut findings).await;
    limits::ask(&lab, &mut findings).await;
    let Findings(mut findings) = findings;
    findings.extend(BY_HAND.map(|(name, asked_by, question)| Finding {
        name,
        asked_by,
        question,
        assumption: Value::Null,
        answer: json!("a person has to look"),
        holds: None,
    }));
    lab.close().await?;
    Ok(findings)
}

/// What was found so far.
struct Findings(Vec<Finding>);

impl Findings {
    /// Adds an answer that should be the assumption.
    fn equal(
        &mut self,
        (name, asked_by): (&'static str, &'static str),
        question: &'static str,
        assumption: Value,
        answer: Answer,
    ) {
        let expected = assumption.clone();
        self.judged((name, asked_by), question, assumption, answer, |answer| {
            *answer == expected
        });
    }

    /// Adds an answer that is measured: `holds` says whether what was measured is as assumed.
    fn judged(
        &mut self,
        (name, asked_by): (&'static str, &'static str),
        question: &'static str,
        assumption: Value,
        answer: Answer,
        holds: impl FnOnce(&Value) -> bool,
    ) {
        let answer = answer.unwrap_or_else(|error| described(&error));
        let holds = answer.get("undecided").is_none().then(|| holds(&answer));
        self.0.push(Finding {
            name,
            asked_by,
            question,
            assumption,
            answer,
            holds,
        });
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
