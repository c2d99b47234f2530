//! Writes that nobody waited for, and the budget. Last, for it is spent on purpose.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::Findings;
use super::lab::{Answer, Lab, fresh_key, milliseconds, text};
use crate::notion::error::NotionError;
use crate::notion::pace::DEFAULT_REQUESTS_PER_MINUTE;
use crate::notion::request;
use crate::notion::wire::Page;

/// How long after it was sent each write is given up: before, while and after Notion works on it.
const GIVEN_UP_AFTER: [u64; 5] = [20, 60, 120, 250, 500];

/// How long an edit whose outcome is unknown is waited for: `W` of the sync semantics, section 5.
const SETTLE: u64 = 120_000;

/// The same for a page whose creation is unknown: `W_create`.
const SETTLE_CREATE: u64 = 480_000;

/// How many requests of the burst are on their way together.
const TOGETHER: usize = 16;

pub(super) async fn ask(lab: &Lab<'_>, findings: &mut Findings) {
    let latest_below = |limit: u64| {
        move |answer: &Value| match &answer["latest_milliseconds"] {
            Value::Null => answer.get("lost").is_some(),
            latest => latest.as_u64().is_some_and(|latest| latest < limit),
        }
    };
    findings.judged(
        ("late_edit", "13.3"),
        "when an edit is given up before its answer, is it made, and how much later?",
        json!("not after 120000 milliseconds"),
        lab.late(What::Edit).await,
        latest_below(SETTLE),
    );
    findings.judged(
        ("late_create", "13.3"),
        "when a new page is given up before the answer, is it made, and when does a query find it?",
        json!("not after 480000 milliseconds"),
        lab.late(What::Create).await,
        latest_below(SETTLE_CREATE),
    );
    findings.judged(
        ("budget", "13.14"),
        "how many requests go through at once before a 429, and what does it say?",
        json!("180 or more, `public_api_request_rate_limit`, `Retry-After` told"),
        lab.burst().await,
        |answer| {
            answer["requests"].as_u64() >= Some(u64::from(DEFAULT_REQUESTS_PER_MINUTE))
                && answer["reason"] == "public_api_request_rate_limit"
                && answer["retry_after"].is_string()
        },
    );
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Edit,
    Create,
}

/// A write that was given up, and what would show that it was made.
struct GivenUp {
    page: Option<Page>,
    key: String,
}

impl Lab<'_> {
    async fn late(&self, what: What) -> Answer {
        if self.patience.late.is_zero() {
            return Ok(json!({"undecided": "we did not wait"}));
        }
        let start = self.mark();
        let mut pending = Vec::new();
        let mut answered = 0;
        for after in GIVEN_UP_AFTER.map(Duration::from_millis) {
            let key = fresh_key();
            let values = json!({"Text": text(&key)});
            let page = match what {
                What::Edit => Some(self.row(json!({})).await?),
                What::Create => None,
            };
            let done = match &page {
                Some(page) => self.give_up(after, self.set(page, values)).await?,
                None => self.give_up(after, self.row(values)).await?,
            };
            if done {
                answered += 1;
            } else {
                pending.push(GivenUp { page, key });
            }
        }
        let mut made = 0;
        let mut latest = None;
        loop {
            let mut still = Vec::new();
            for write in pending {
                if self.is_made(&write).await? {
                    made += 1;
                    latest = Some(milliseconds(self.since(start)));
                } else {
                    still.push(write);
                }
            }
            pending = still;
            if pending.is_empty() || self.since(start) >= self.patience.late {
                break;
            }
            self.wait(Duration::from_secs(10)).await;
        }
        Ok(json!({
            "answered": answered, "made": made, "lost": pending.len(), "latest_milliseconds": latest,
        }))
    }

    /// Sends a write and drops it that long after it left; whether its answer came before.
    async fn give_up(
        &self,
        after: Duration,
        write: impl Future<Output = Result<Page, NotionError>>,
    ) -> Result<bool, NotionError> {
        let before = self.client.usage().requests;
        let given_up = async {
            // It may wait for its turn first.
            while self.client.usage().requests == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::time::sleep(after).await;
        };
        tokio::select! {
            biased;
            done = write => match done {
                Ok(_) => Ok(true),
                Err(error) if error.is_unknown() => Ok(false),
                Err(error) => Err(error),
            },
            () = given_up => Ok(false),
        }
    }

    async fn is_made(&self, write: &GivenUp) -> Result<bool, NotionError> {
        match &write.page {
            Some(page) => {
                let read = self.read(page).await?;
                Ok(read.properties["Text"]["rich_text"][0]["plain_text"] == write.key)
            }
            None => Ok(!self.find(&write.key).await?.is_empty()),
        }
    }

    async fn burst(&self) -> Answer {
        if self.patience.burst == 0 {
            return Ok(json!({"undecided": "no burst was wanted"}));
        }
        // A window of its own, so that what went before does not count.
        self.wait(self.patience.minute).await;
        let start = self.mark();
        let me = request::me();
        let sent = stream::iter(0..self.patience.burst).map(|_| self.client.send_unpaced(&me));
        let mut answers = sent.buffer_unordered(TOGETHER);
        let mut passed = 0;
        while let Some(answer) = answers.next().await {
            let answer = answer?;
            if answer.status != 429 {
                passed += 1;
                continue;
            }
            drop(answers);
            let seconds = self.since(start).as_secs_f64();
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let wait = answer
                .retry_after
                .as_deref()
                .and_then(|told| told.parse().ok())
                .unwrap_or(60);
            self.wait(Duration::from_secs(wait)).await;
            return Ok(json!({
                "requests": passed, "seconds": seconds, "retry_after": answer.retry_after,
                "reason": body["additional_data"]["rate_limit_reason"],
            }));
        }
        Ok(json!({"undecided": "no limit was met", "requests": passed}))
    }
}
