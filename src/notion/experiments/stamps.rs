//! What moves `last_edited_time`, which shows minutes only: so every page is made a minute before it is touched.

use std::time::Duration;

use serde_json::{Value, json};

use super::Findings;
use super::lab::{Answer, Lab, text};
use crate::notion::error::NotionError;
use crate::notion::wire::Page;

/// Less than this tells no two stamps apart.
const MINUTE: Duration = Duration::from_secs(60);

pub(super) async fn ask(lab: &Lab<'_>, findings: &mut Findings) {
    findings.equal(
        ("stamp_is_floored", "13.1"),
        "is `last_edited_time` floored to the minute?",
        json!(true),
        lab.floored().await,
    );
    let questions: [(&str, &str, &str, bool); 8] = [
        (
            "property_write_moves_stamp",
            "13.1",
            "does a property written by the API move `last_edited_time`?",
            true,
        ),
        (
            "noop_moves_stamp",
            "sheet",
            "does a PATCH with the same values move it?",
            true,
        ),
        ("comment_moves_stamp", "13.1", "does a comment move it?", false),
        (
            "body_moves_stamp",
            "13.1",
            "does a paragraph added by the API move it?",
            false,
        ),
        (
            "relation_moves_target",
            "13.1",
            "does a one-way relation move the stamp of the page it leads to?",
            false,
        ),
        (
            "mirror_moves_stamp",
            "13.9",
            "does a two-way relation move the stamp of the page at its other end?",
            true,
        ),
        (
            "new_property_moves_stamps",
            "sheet",
            "does a new property move the stamps of the pages?",
            false,
        ),
        (
            "new_option_moves_stamps",
            "sheet",
            "does a new option move the stamps of the pages that hold others?",
            false,
        ),
    ];
    let moved = lab.moved().await;
    for (at, (name, asked_by, question, assumed)) in questions.into_iter().enumerate() {
        let answer = match &moved {
            _ if lab.patience.minute < MINUTE => Ok(json!({"undecided": "no minute passed"})),
            Ok(moved) => Ok(json!(moved[at])),
            Err(error) => Ok(super::described(error)),
        };
        findings.equal((name, asked_by), question, json!(assumed), answer);
    }
}

impl Lab<'_> {
    /// Edits in the second half of a minute, where rounding to the nearest would name the next one.
    async fn floored(&self) -> Answer {
        // Notion's own clock, which the answer before this one told.
        let second = |lab: &Self| {
            lab.client
                .usage()
                .answered_at
                .map(|time| u64::from(time.second()))
        };
        if let Some(second) = second(self).filter(|second| *second < 35)
            && self.patience.minute >= MINUTE
        {
            self.wait(Duration::from_secs(35 - second)).await;
        }
        let page = self.row(json!({})).await?;
        let Some(answered_at) = self.client.usage().answered_at else {
            return Ok(json!({"undecided": "the answer has no `Date`"}));
        };
        let whole = page.last_edited_time.second() == 0 && page.last_edited_time.millisecond() == 0;
        let past = page.last_edited_time <= answered_at;
        if answered_at.second() < 32 && whole && past {
            return Ok(json!({"undecided": "the edit was in the first half of a minute"}));
        }
        Ok(json!(whole && past))
    }

    /// Whether each page was moved by what was done to it, in the order of the questions.
    async fn moved(&self) -> Result<Vec<bool>, NotionError> {
        let one = json!({"Number": {"number": 1}});
        let mut pages = Vec::new();
        for _ in 0..5 {
            pages.push(self.row(one.clone()).await?);
        }
        let beyond = json!({"Name": {"title": [{"type": "text", "text": {"content": "target"}}]}});
        let beyond = self.client.create_page(&self.others, super::lab::object(beyond));
        pages.push(beyond.await?);
        pages.push(self.row(one.clone()).await?);
        pages.push(
            self.row(json!({"Tags": {"multi_select": [{"name": "old"}]}}))
                .await?,
        );
        let source = self.row(json!({})).await?;
        self.wait(self.patience.minute).await;

        self.set(&pages[0], json!({"Text": text("changed")})).await?;
        self.set(&pages[1], one).await?;
        self.client.create_comment(&pages[2].id, "a comment").await?;
        let paragraph = json!({"object": "block", "type": "paragraph", "paragraph": text("a paragraph")});
        self.client.append_blocks(&pages[3].id, vec![paragraph]).await?;
        self.set(&source, json!({"Self": related(&pages[4])})).await?;
        self.set(&source, json!({"Other": related(&pages[5])})).await?;
        self.alter(json!({"Added": {"number": {}}})).await?;
        self.row(json!({"Tags": {"multi_select": [{"name": "new"}]}}))
            .await?;

        let mut moved = Vec::new();
        for page in &pages {
            moved.push(self.read(page).await?.last_edited_time > page.last_edited_time);
        }
        Ok(moved)
    }
}

pub(super) fn related(page: &Page) -> Value {
    json!({"relation": [{"id": page.id}]})
}
