//! What becomes of schemas: names, ids, and which settings a request may leave out.

use serde_json::{Map, Value, json};

use super::Findings;
use super::lab::{Answer, Lab, or_refused};

pub(super) async fn ask(lab: &Lab<'_>, findings: &mut Findings) {
    findings.equal(
        ("name_case", "sheet"),
        "may two property names differ in case alone?",
        json!("refused"),
        or_refused(
            lab.alter(json!({"nUMBER": {"number": {}}}))
                .await
                .map(|_| json!("accepted")),
        ),
    );
    findings.equal(
        ("retyped_property_id", "sheet"),
        "does a property keep its id when its type changes?",
        json!(true),
        lab.retype().await,
    );
    findings.equal(
        ("status_from_select", "sheet"),
        "can a select property become a status property?",
        json!("accepted"),
        or_refused(lab.become_status().await),
    );
    findings.equal(
        ("empty_select_settings", "sheet"),
        "does a select property keep its options when `{\"select\":{}}` is sent?",
        json!(1),
        lab.empty_settings().await,
    );
    findings.equal(
        ("empty_number_settings", "sheet"),
        "does a number property keep its format when `{\"number\":{}}` is sent with a description?",
        json!("percent"),
        lab.described_number().await,
    );
    findings.equal(
        ("formula_as_read", "sheet"),
        "is a formula answered as it was sent?",
        json!("prop(\"Number\") * 2"),
        lab.formula().await,
    );
    findings.equal(
        ("formula_of_a_formula", "sheet"),
        "may a formula name another formula?",
        json!("accepted"),
        or_refused(
            lab.alter(json!({"Fourfold": {"formula": {"expression": "prop(\"Double\") * 2"}}}))
                .await
                .map(|_| json!("accepted")),
        ),
    );
}

impl Lab<'_> {
    async fn retype(&self) -> Answer {
        let before = self.client.retrieve_data_source(&self.rows).await?.properties;
        let after = self.alter(json!({"Retyped": {"number": {}}})).await?;
        Ok(json!(before["Retyped"]["id"] == after["Retyped"]["id"]))
    }

    async fn become_status(&self) -> Answer {
        self.alter(json!({"Turning": {"select": {"options": [{"name": "a"}]}}}))
            .await?;
        let after = self.alter(json!({"Turning": {"status": {}}})).await?;
        Ok(json!(if after["Turning"]["type"] == "status" {
            "accepted"
        } else {
            "ignored"
        }))
    }

    async fn empty_settings(&self) -> Answer {
        let after = self.alter(json!({"Pick": {"select": {}}})).await?;
        Ok(json!(options(&after, "Pick")))
    }

    async fn described_number(&self) -> Answer {
        self.alter(json!({"Number": {"number": {"format": "percent"}}}))
            .await?;
        let after = self
            .alter(json!({"Number": {"number": {}, "description": "described"}}))
            .await?;
        Ok(after["Number"]["number"]["format"].clone())
    }

    async fn formula(&self) -> Answer {
        let sent = json!({"Double": {"formula": {"expression": "prop(\"Number\") * 2"}}});
        let after = self.alter(sent).await?;
        Ok(after["Double"]["formula"]["expression"].clone())
    }
}

fn options(properties: &Map<String, Value>, name: &str) -> Option<usize> {
    properties[name]["select"]["options"].as_array().map(Vec::len)
}
