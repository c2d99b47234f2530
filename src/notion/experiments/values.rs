//! What becomes of values: canonical forms, options, and what a page write refuses.

use serde_json::{Value, json};

use super::Findings;
use super::lab::{Answer, Lab, or_refused, status_of, text};
use crate::notion::error::NotionError;

pub(super) async fn ask(lab: &Lab<'_>, findings: &mut Findings) {
    findings.equal(
        ("answer_equals_read", "13.5"),
        "does the answer of a PATCH equal the GET after it?",
        json!(true),
        lab.same_read().await,
    );
    findings.equal(
        ("white_space", "13.6"),
        "is white space around a text kept?",
        json!("  a\tb  "),
        lab.plain("  a\tb  ").await,
    );
    findings.equal(
        ("line_breaks", "13.6"),
        "is CRLF kept?",
        json!("a\nb"),
        lab.plain("a\r\nb").await,
    );
    findings.equal(
        ("empty_text_piece", "13.6"),
        "is an empty piece of text stored?",
        json!(0),
        lab.pieces(json!([piece("")])).await,
    );
    findings.equal(
        ("adjacent_pieces", "13.6"),
        "into how many pieces do three adjacent texts of one format go?",
        json!(1),
        lab.pieces(json!([piece("a"), piece("b"), piece("c")])).await,
    );
    findings.equal(
        ("link_of_a_text", "13.6"),
        "what becomes of a link to a bare host?",
        json!("https://example.org/"),
        lab.link().await,
    );
    findings.equal(
        ("seconds_of_dates", "13.6"),
        "are seconds of a date kept?",
        json!("2026-09-04T14:30:00.000+00:00"),
        lab.start(json!({"start": "2026-09-04T14:30:15Z"})).await,
    );
    findings.equal(
        ("zone_of_dates", "13.6"),
        "is a date with a zone answered with its offset?",
        json!("2026-09-04T14:30:00.000-07:00"),
        lab.start(json!({"start": "2026-09-04T14:30:00", "time_zone": "America/Los_Angeles"}))
            .await,
    );
    findings.equal(
        ("backwards_range", "sheet"),
        "is a range that ends before it starts refused?",
        json!("refused"),
        or_refused(
            lab.start(json!({"start": "2026-09-04", "end": "2026-09-01"}))
                .await,
        ),
    );
    findings.equal(
        ("numbers", "13.6"),
        "which doubles are 0.1, 1e21 and 2^53 + 1 read as?",
        json!([0.1, 1e21, 9_007_199_254_740_992.0]),
        lab.numbers().await,
    );
    findings.equal(
        ("empty_values", "13.6"),
        "what does a row without values hold?",
        json!({
            "Text": [], "Number": null, "Date": null, "Email": null, "Select": null, "Status": "Not started",
            "Tags": [], "People": [], "Files": [], "Check": false, "Self": [],
        }),
        lab.empty().await,
    );
    findings.equal(
        ("unknown_option", "13.7"),
        "does a page write create an unknown select option?",
        json!("created"),
        lab.option("brand new").await,
    );
    findings.equal(
        ("option_case", "13.6"),
        "does another case name the same option?",
        json!("Known"),
        lab.choice(json!({"name": "kNOWN"}), "name").await,
    );
    findings.equal(
        ("long_option", "13.6"),
        "may an option's name have 101 characters?",
        json!("created"),
        or_refused(lab.option(&"x".repeat(101)).await),
    );
    findings.equal(
        ("recoloured_option", "sheet"),
        "does a colour in a page write change an existing option?",
        json!("green"),
        lab.choice(json!({"name": "Known", "color": "red"}), "color")
            .await,
    );
    findings.equal(
        ("repeated_choice", "sheet"),
        "how many tags does one that is named twice become?",
        json!(1),
        lab.repeated_choice().await,
    );
    findings.equal(
        ("unknown_status", "sheet"),
        "in which words is an unknown status option refused?",
        json!([
            400,
            "Invalid status option. Status option \"no such status\" does not exist."
        ]),
        words(
            lab.row(json!({"Status": {"status": {"name": "no such status"}}}))
                .await,
        ),
    );
    findings.equal(
        ("unknown_person", "sheet"),
        "is a person that nobody knows refused?",
        json!(404),
        lab.unknown_person().await,
    );
    findings.equal(
        ("odd_email", "sheet"),
        "is an e-mail property validated?",
        json!("not an address"),
        lab.email().await,
    );
    findings.equal(
        ("unknown_property", "sheet"),
        "is an unknown property in a page write refused?",
        json!(400),
        status_of(lab.row(json!({"No such property": {"number": 1}})).await),
    );
    findings.equal(
        ("partial_write", "13.13"),
        "is a PATCH with one bad property applied in part?",
        json!(false),
        lab.partial().await,
    );
}

impl Lab<'_> {
    async fn same_read(&self) -> Answer {
        let page = self.row(json!({})).await?;
        let written = self
            .set(&page, json!({"Number": {"number": 0.1}, "Text": text("x")}))
            .await?;
        Ok(json!(written.properties == self.read(&page).await?.properties))
    }

    async fn plain(&self, content: &str) -> Answer {
        let page = self.row(json!({"Text": text(content)})).await?;
        let read = self.read(&page).await?;
        Ok(read.properties["Text"]["rich_text"][0]["plain_text"].clone())
    }

    async fn pieces(&self, sent: Value) -> Answer {
        let page = self.row(json!({"Text": {"rich_text": sent}})).await?;
        let read = self.read(&page).await?;
        Ok(json!(
            read.properties["Text"]["rich_text"].as_array().map(Vec::len)
        ))
    }

    async fn link(&self) -> Answer {
        let mut linked = piece("a");
        linked["text"]["link"] = json!({"url": "https://example.org"});
        let page = self.row(json!({"Text": {"rich_text": [linked]}})).await?;
        let read = self.read(&page).await?;
        Ok(read.properties["Text"]["rich_text"][0]["href"].clone())
    }

    async fn start(&self, date: Value) -> Answer {
        let page = self.row(json!({"Date": {"date": date}})).await?;
        let read = self.read(&page).await?;
        Ok(read.properties["Date"]["date"]["start"].clone())
    }

    async fn numbers(&self) -> Answer {
        let page = self.row(json!({})).await?;
        let mut read = Vec::new();
        for number in [json!(0.1), json!(1e21), json!(9_007_199_254_740_993_u64)] {
            self.set(&page, json!({"Number": {"number": number}})).await?;
            read.push(self.read(&page).await?.properties["Number"]["number"].as_f64());
        }
        Ok(json!(read))
    }

    async fn empty(&self) -> Answer {
        let page = self.row(json!({})).await?;
        let read = self.read(&page).await?;
        let mut values = json!({});
        for (name, value) in &read.properties {
            let asked = [
                "Text", "Number", "Date", "Email", "Select", "Status", "Tags", "People", "Files", "Check",
                "Self",
            ];
            if asked.contains(&name.as_str()) {
                let value = &value[value["type"].as_str().unwrap_or_default()];
                // Of an option, the name is what can be compared between workspaces.
                values[name] = value.get("name").unwrap_or(value).clone();
            }
        }
        Ok(values)
    }

    async fn choice(&self, sent: Value, shown: &str) -> Answer {
        let page = self.row(json!({"Select": {"select": sent}})).await?;
        Ok(page.properties["Select"]["select"][shown].clone())
    }

    async fn option(&self, name: &str) -> Answer {
        let created = self.choice(json!({"name": name}), "name").await? == name;
        Ok(json!(if created { "created" } else { "ignored" }))
    }

    async fn repeated_choice(&self) -> Answer {
        let sent = json!({"Tags": {"multi_select": [{"name": "twice"}, {"name": "twice"}]}});
        let read = self.read(&self.row(sent).await?).await?;
        Ok(json!(
            read.properties["Tags"]["multi_select"].as_array().map(Vec::len)
        ))
    }

    async fn unknown_person(&self) -> Answer {
        let nobody = json!([{"object": "user", "id": uuid::Uuid::new_v4()}]);
        status_of(self.row(json!({"People": {"people": nobody}})).await)
    }

    async fn email(&self) -> Answer {
        let page = self.row(json!({"Email": {"email": "not an address"}})).await?;
        Ok(page.properties["Email"]["email"].clone())
    }

    async fn partial(&self) -> Answer {
        let page = self.row(json!({"Number": {"number": 1}})).await?;
        let both = json!({"Number": {"number": 2}, "Status": {"status": {"name": "no such status"}}});
        if self.set(&page, both).await.is_ok() {
            return Ok(json!({"undecided": "the bad property was accepted"}));
        }
        Ok(json!(self.read(&page).await?.properties["Number"]["number"] != 1))
    }
}

fn piece(content: &str) -> Value {
    json!({"type": "text", "text": {"content": content}})
}

/// The status and the words of a refusal.
fn words<T>(result: Result<T, NotionError>) -> Answer {
    match result {
        Ok(_) => Ok(json!("accepted")),
        Err(NotionError::Refused { refusal, .. }) => Ok(json!([refusal.status, refusal.body.message])),
        Err(error) => Err(error),
    }
}
