//! Notion's answers as types.
//!
//! Every object keeps the fields that it does not name in `rest`, and property values stay JSON, so that
//! fields, types and enum values that Notion adds later are carried, not lost and not refused.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::value::{DataSourceId, DatabaseId, PageId, PropertyId, UserId};

/// A row of a data source, or any other page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Its id.
    pub id: PageId,
    /// When it was made, floored to the minute.
    #[serde(with = "time::serde::rfc3339")]
    pub created_time: OffsetDateTime,
    /// When it was last edited, floored to the minute.
    #[serde(with = "time::serde::rfc3339")]
    pub last_edited_time: OffsetDateTime,
    /// Who made it.
    #[serde(default)]
    pub created_by: Option<UserReference>,
    /// Who edited it last.
    #[serde(default)]
    pub last_edited_by: Option<UserReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_trash: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    archived: Option<bool>,
    /// Whether it is in the separate archive, which hides it from queries without trashing it.
    #[serde(default)]
    pub is_archived: bool,
    /// Where it stands.
    pub parent: Parent,
    /// Where people open it; no identity.
    #[serde(default)]
    pub url: String,
    /// Its values, keyed by property name; each an object with `id`, `type` and the type's key.
    #[serde(default)]
    pub properties: Map<String, Value>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Page {
    /// Whether it is in the trash, by either name that versions give that fact.
    pub fn is_in_trash(&self) -> bool {
        self.in_trash.or(self.archived).unwrap_or(false)
    }

    /// The value of the property with that id, and the property's present name.
    pub fn property(&self, id: &PropertyId) -> Option<(&str, &Value)> {
        self.properties
            .iter()
            .find(|(_, value)| value["id"] == *id.as_str())
            .map(|(name, value)| (name.as_str(), value))
    }

    /// The properties whose value this answer may have cut short: name, id and type.
    ///
    /// Relations say so by `has_more`; people do not, and texts are cut by their mentions, so that exactly
    /// the limit of 25 is doubted as well. Source: Notion API 2026-03-11, retrieve a page.
    pub fn truncated(&self) -> Vec<(String, PropertyId, String)> {
        self.properties
            .iter()
            .filter_map(|(name, value)| {
                let kind = value["type"].as_str()?;
                let items = value[kind].as_array();
                let counted = match kind {
                    "relation" | "people" => items.map_or(0, Vec::len),
                    "title" | "rich_text" => items.map_or(0, |items| {
                        items.iter().filter(|item| item["type"] == "mention").count()
                    }),
                    _ => return None,
                };
                if counted < INLINE_LIMIT && value["has_more"] != true {
                    return None;
                }
                let id = PropertyId::from(value["id"].as_str()?);
                Some((name.clone(), id, kind.to_owned()))
            })
            .collect()
    }
}

/// How many references, people or mentions a page object holds at most.
const INLINE_LIMIT: usize = 25;

/// A user by id, with whatever else came along.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserReference {
    /// The user's id.
    pub id: UserId,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What a page, data source or view stands in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parent {
    /// Notion's name for the kind of parent.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The data source, for rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_source_id: Option<DataSourceId>,
    /// The database, for rows and data sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_id: Option<DatabaseId>,
    /// The page, for databases and pages below a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_id: Option<PageId>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A data source with its schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSource {
    /// Its id.
    pub id: DataSourceId,
    /// Its title, as rich text.
    #[serde(default)]
    pub title: Vec<Value>,
    /// The database around it, or another data source where it is synced from outside.
    #[serde(default)]
    pub parent: Parent,
    /// What the database stands in.
    #[serde(default)]
    pub database_parent: Option<Parent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_trash: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    archived: Option<bool>,
    /// The properties, keyed by name.
    #[serde(default)]
    pub properties: Map<String, Value>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl DataSource {
    /// Whether it is in the trash.
    pub fn is_in_trash(&self) -> bool {
        self.in_trash.or(self.archived).unwrap_or(false)
    }
}

/// A database: the container of data sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Database {
    /// Its id.
    pub id: DatabaseId,
    /// Its title, as rich text.
    #[serde(default)]
    pub title: Vec<Value>,
    /// What it stands in.
    #[serde(default)]
    pub parent: Parent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_trash: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    archived: Option<bool>,
    /// Its data sources; normally one.
    #[serde(default)]
    pub data_sources: Vec<DataSourceReference>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Database {
    /// Whether it is in the trash.
    pub fn is_in_trash(&self) -> bool {
        self.in_trash.or(self.archived).unwrap_or(false)
    }
}

/// A data source as its database lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSourceReference {
    /// Its id.
    pub id: DataSourceId,
    /// Its title, as plain text.
    #[serde(default)]
    pub name: String,
}

/// A person or a bot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// The id that `last_edited_by` shows for its edits.
    pub id: UserId,
    /// The name, where the token may know it.
    #[serde(default)]
    pub name: Option<String>,
    /// `person` or `bot`.
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    /// What a bot is, for the token's own user.
    #[serde(default)]
    pub bot: Option<Bot>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A bot and its workspace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bot {
    /// The workspace.
    #[serde(default)]
    pub workspace_id: Option<String>,
    /// The workspace's name.
    #[serde(default)]
    pub workspace_name: Option<String>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A block, as far as finding databases needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Its id; for a child database, the database's.
    pub id: String,
    /// Notion's name for the kind of block.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A view; a listing fills in its id alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Its id.
    pub id: String,
    /// The name people see.
    #[serde(default)]
    pub name: Option<String>,
    /// `table`, `board` and so on.
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A comment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comment {
    /// Its id.
    pub id: String,
    /// What it says, as rich text.
    #[serde(default)]
    pub rich_text: Vec<Value>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A file on its way to Notion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileUpload {
    /// Its id, which properties refer to.
    pub id: String,
    /// `pending`, `uploaded`, `expired` or `failed`.
    #[serde(default)]
    pub status: String,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One answer of a listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct List<T> {
    /// The results; possibly none, which says nothing about whether more follow.
    pub results: Vec<T>,
    /// Whether another batch follows.
    #[serde(default)]
    pub has_more: bool,
    /// Where the next batch starts.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// Whether the listing was cut at the result cap; absent means it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_status: Option<RequestStatus>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Whether a query could answer everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestStatus {
    /// `complete` or `incomplete`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Why not, such as `query_result_limit_reached`.
    #[serde(default)]
    pub incomplete_reason: Option<String>,
}

impl RequestStatus {
    /// Whether everything was answered.
    pub fn is_complete(&self) -> bool {
        self.kind == "complete"
    }
}

/// A property of a page: one value, or one batch of a list of items.
#[derive(Clone, Debug, PartialEq)]
pub enum PropertyItem {
    /// The whole value, as in a page object.
    Value(Value),
    /// Some items of a title, text, people or relation; or the array behind a rollup.
    Items(List<Value>),
}

impl<'de> Deserialize<'de> for PropertyItem {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value["object"] == "list" {
            serde_json::from_value(value)
                .map(Self::Items)
                .map_err(serde::de::Error::custom)
        } else {
            Ok(Self::Value(value))
        }
    }
}

/// The body of a refusal.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct ErrorBody {
    /// Notion's code, such as `validation_error`.
    pub code: String,
    /// Notion's sentence; it may quote values.
    #[serde(default)]
    pub message: String,
    /// The id to tell Notion's support.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Facts beside the sentence, by code.
    #[serde(default)]
    pub additional_data: Map<String, Value>,
}

impl ErrorBody {
    /// The ids of what the server made before it answered with an error.
    pub fn committed_ids(&self) -> Vec<String> {
        let one = self
            .additional_data
            .get("committed_resource_id")
            .and_then(Value::as_str);
        let many = self
            .additional_data
            .get("committed_child_ids")
            .and_then(Value::as_array);
        one.into_iter()
            .chain(many.into_iter().flatten().filter_map(Value::as_str))
            .map(str::to_owned)
            .collect()
    }
}

/// The text of a rich-text array without its formatting.
pub fn plain_text(items: &[Value]) -> String {
    items
        .iter()
        .filter_map(|item| {
            item["plain_text"]
                .as_str()
                .or_else(|| item["text"]["content"].as_str())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page() -> Value {
        json!({
            "object": "page", "id": "59b8c3c2-0000-4000-8000-000000000001",
            "created_time": "2026-09-04T14:31:00.000Z", "last_edited_time": "2026-09-04T14:31:00.000Z",
            "created_by": {"object": "user", "id": "u1"}, "last_edited_by": {"object": "user", "id": "u1"},
            "in_trash": false, "is_archived": false, "is_locked": false, "icon": null, "cover": null,
            "parent": {"type": "data_source_id", "data_source_id": "d1", "database_id": "b1"},
            "url": "https://app.notion.com/p/x", "public_url": null, "request_id": "r1",
            "properties": {
                "Name": {"id": "title", "type": "title", "title": []},
                "New": {"id": "zz", "type": "hologram", "hologram": {"depth": 3}},
            },
            "a_field_of_2027": {"x": [1, 2]},
        })
    }

    #[test]
    fn unknown_fields_and_types_survive_the_round_trip() {
        let read: Page = serde_json::from_value(page()).unwrap();
        let mut written = serde_json::to_value(&read).unwrap();
        // The one normalisation: times lose the milliseconds, which are zero.
        written["created_time"] = page()["created_time"].clone();
        written["last_edited_time"] = page()["last_edited_time"].clone();
        assert_eq!(written, page());
    }

    #[test]
    fn both_names_of_the_trash_are_read() {
        let mut json = page();
        json["in_trash"] = true.into();
        assert!(
            serde_json::from_value::<Page>(json.clone())
                .unwrap()
                .is_in_trash()
        );
        json.as_object_mut().unwrap().remove("in_trash");
        json["archived"] = true.into();
        assert!(
            serde_json::from_value::<Page>(json.clone())
                .unwrap()
                .is_in_trash()
        );
        json["in_trash"] = true.into();
        assert!(serde_json::from_value::<Page>(json).unwrap().is_in_trash());
    }

    #[test]
    fn a_list_at_the_inline_limit_is_doubted() {
        let people = |count: usize| vec![json!({"object": "user", "id": "u"}); count];
        let mut json = page();
        json["properties"] = json!({
            "Few": {"id": "a", "type": "people", "people": people(24)},
            "Full": {"id": "b", "type": "people", "people": people(25)},
            "Cut": {"id": "c", "type": "relation", "relation": [{"id": "x"}], "has_more": true},
            "Long": {"id": "d", "type": "rich_text", "rich_text": vec![json!({"type": "text"}); 60]},
            "Mentions": {"id": "e", "type": "title", "title": vec![json!({"type": "mention"}); 25]},
        });
        let page: Page = serde_json::from_value(json).unwrap();
        let names: Vec<String> = page.truncated().into_iter().map(|(name, _, _)| name).collect();
        assert_eq!(names, ["Full", "Cut", "Mentions"]);
    }

    #[test]
    fn a_property_item_is_a_value_or_a_batch() {
        let one: PropertyItem = serde_json::from_value(
            json!({"object": "property_item", "id": "x", "type": "number", "number": 1}),
        )
        .unwrap();
        assert!(matches!(one, PropertyItem::Value(_)));
        let many: PropertyItem = serde_json::from_value(
            json!({"object": "list", "results": [], "has_more": true, "next_cursor": "c", "type": "property_item"}),
        )
        .unwrap();
        assert!(matches!(many, PropertyItem::Items(list) if list.has_more));
    }

    #[test]
    fn an_error_names_what_was_committed() {
        let body: ErrorBody = serde_json::from_value(json!({
            "object": "error", "status": 503, "code": "service_unavailable", "message": "saved",
            "additional_data": {"committed_resource_id": "p1", "committed_child_ids": ["c1", "c2"]},
        }))
        .unwrap();
        assert_eq!(body.committed_ids(), ["p1", "c1", "c2"]);
    }
}
