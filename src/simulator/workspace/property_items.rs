//! `GET pages/{id}/properties/{property_id}`: the only complete read of long values (fact sheet, 3.7).

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::batch::{Batch, Cut};
use super::refusal::{Answered, Refusal};
use super::schema::Config;
use super::state::Parent;
use super::value::Value;
use super::{Caller, Request, Workspace, percent_decoded, rich_text};

impl Workspace {
    pub(super) fn property_item(
        &self,
        caller: Caller,
        page: Uuid,
        segment: &str,
        request: &Request,
    ) -> Answered<Json> {
        let page = self.page(caller, page)?;
        let missing = || Refusal::not_found("property", segment, &self.connections[caller.connection].name);
        let title_only;
        let (home, property) = match page.parent {
            Parent::DataSource(home) => {
                let home = self.data_sources.get(&home).ok_or_else(missing)?;
                let wanted = percent_decoded(segment).unwrap_or_default();
                let found = home
                    .properties
                    .iter()
                    .find(|property| percent_decoded(&property.id).as_ref() == Some(&wanted));
                (Some(home), found.ok_or_else(missing)?)
            }
            _ if segment == "title" => {
                let (id, name) = ("title".into(), "title".to_owned());
                title_only = super::schema::Property {
                    id,
                    name,
                    description: None,
                    config: Config::Title,
                };
                (None, &title_only)
            }
            _ => return Err(missing()),
        };
        let kind = property.config.kind();
        let value = page.values.get(&property.id);
        let batch = Batch::of_query(request)?;
        let elements: Vec<Json> = match (&property.config, value) {
            (Config::Title | Config::RichText, Some(Value::Text(runs))) => rich_text::render_items(runs),
            (Config::Title | Config::RichText, _) => Vec::new(),
            (Config::People, Some(Value::People(people))) => {
                people.iter().map(|id| self.user_json(caller, *id)).collect()
            }
            (Config::People, _) => Vec::new(),
            (Config::Relation { .. }, value) => self
                .related(caller, property, value)
                .iter()
                .map(|id| json!({ "id": id }))
                .collect(),
            (config, _) => {
                let Some(home) = home else { return Err(missing()) };
                let inner = self.inner_json(caller, home, page, property);
                if !matches!(config, Config::Rollup { .. }) {
                    return Ok(
                        json!({"object": "property_item", "id": &*property.id, "type": kind, kind: inner}),
                    );
                }
                return Ok(rollup_list(&property.id, &inner));
            }
        };
        let Cut { results, next_cursor } =
            batch.cut(&elements, &format!("property {} {}", page.id, property.id))?;
        let results: Vec<Json> = results
            .into_iter()
            .map(|element| json!({"object": "property_item", "id": &*property.id, "type": kind, kind: element}))
            .collect();
        let next_url = next_cursor.map(|cursor| {
            let (page, id, size) = (page.id, &property.id, batch.size);
            format!("https://api.notion.com/v1/pages/{page}/properties/{id}?page_size={size}&start_cursor={cursor}")
        });
        Ok(json!({
            "object": "list", "type": "property_item", "results": results,
            "has_more": next_cursor.is_some(), "next_cursor": next_cursor,
            "property_item": {"id": &*property.id, "type": kind, kind: {}, "next_url": next_url},
        }))
    }
}

/// A rollup is a list whose last batch carries the final value; at most 25 references fit in one.
fn rollup_list(id: &str, rollup: &Json) -> Json {
    let results: Vec<Json> = rollup["array"]
        .as_array()
        .map(|values| {
            values
                .iter()
                .map(|value| {
                    let mut item = value.clone();
                    item["object"] = json!("property_item");
                    item["id"] = json!(id);
                    item
                })
                .collect()
        })
        .unwrap_or_default();
    // The items are in `results`; the value itself shows none of them.
    let mut value = rollup.clone();
    if value["type"] == "array" {
        value["array"] = json!([]);
    }
    json!({
        "object": "list", "type": "property_item", "results": results, "has_more": false, "next_cursor": null,
        "property_item": {"id": id, "type": "rollup", "rollup": value, "next_url": null},
    })
}
