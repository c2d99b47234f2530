//! Schema changes as the bodies of requests. What has to change was decided in [`crate::plan::schema_change`].

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::request::plain_text;
use crate::mapping::{OptionChoice, PropertyKind, View, ViewKind};
use crate::plan::schema_change::{DesiredProperty, RollupRead, SchemaChange, kind_name};
use crate::schema::data_source::PropertyConfig;
use crate::schema::{DataSourceSchema, PropertyType};
use crate::value::{DataSourceId, PageId};

/// The most columns that a view lists.
const MAX_COLUMNS: usize = 100;

/// Something that the request needs and that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Making a relation to an entity without a database.
    #[error("relation `{property}` leads to `{target}`, which has no database yet")]
    Relation {
        /// The relation.
        property: String,
        /// The entity it leads to.
        target: String,
    },
    /// Making a view by a property that the data source does not have, or that cannot serve.
    #[error("view `{view}` needs `group_by` to name {wanted}")]
    View {
        /// The view.
        view: String,
        /// What it needs.
        wanted: &'static str,
    },
}

/// The body that creates a database with its first properties.
///
/// The schema stands in `initial_data_source`: at the top level Notion ignores it in silence.
pub fn create_database(
    parent: &PageId,
    title: &str,
    icon: Option<&str>,
    description: Option<&str>,
    properties: &[DesiredProperty],
) -> Map<String, Value> {
    // What needs other databases is not made with one: those properties have no body yet, and are left to later.
    let properties: Map<String, Value> = properties
        .iter()
        .filter_map(|property| {
            Some((
                property.name.clone(),
                property_body(property, &BTreeMap::new()).ok()?,
            ))
        })
        .collect();
    let mut body = Map::new();
    body.insert("parent".to_owned(), json!({"type": "page_id", "page_id": parent}));
    body.insert("title".to_owned(), plain_text(title));
    if let Some(description) = description {
        body.insert("description".to_owned(), plain_text(description));
    }
    if let Some(icon) = icon {
        body.insert("icon".to_owned(), icon_body(icon));
    }
    body.insert(
        "initial_data_source".to_owned(),
        json!({"properties": properties}),
    );
    body
}

fn icon_body(icon: &str) -> Value {
    if icon.starts_with("https://") || icon.starts_with("http://") {
        json!({"type": "external", "external": {"url": icon}})
    } else {
        json!({"type": "emoji", "emoji": icon})
    }
}

/// The body that makes all given changes of a data source in one request; `None` when there is none among them.
///
/// # Errors
///
/// [`SchemaError::Relation`] for a relation whose target is not among `targets`.
pub fn update_data_source<'a>(
    changes: impl IntoIterator<Item = &'a SchemaChange>,
    targets: &BTreeMap<String, DataSourceId>,
) -> Result<Option<Map<String, Value>>, SchemaError> {
    let mut properties = Map::new();
    for change in changes {
        let (key, body) = match change {
            SchemaChange::AddProperty(property) => (property.name.clone(), property_body(property, targets)?),
            SchemaChange::SetOptions {
                property,
                property_type,
                description,
                keep,
                add,
                ..
            } => {
                let kept = keep.iter().map(|option| match &option.description {
                    // By id alone: a name beside it would ask for a renaming, which Notion does not do.
                    None => json!({"id": option.id}),
                    Some(description) => json!({"id": option.id, "description": description}),
                });
                let options: Vec<Value> = kept.chain(add.iter().map(option_body)).collect();
                let body = json!({property_type.name(): {"options": options}});
                (property.0.clone(), with_description(body, description.as_ref()))
            }
            SchemaChange::SetNumberFormat {
                property,
                to,
                description,
                ..
            } => (
                property.0.clone(),
                with_description(json!({"number": {"format": to}}), description.as_ref()),
            ),
            SchemaChange::SetPrefix {
                property,
                to,
                description,
                ..
            } => (
                property.0.clone(),
                with_description(json!({"unique_id": {"prefix": to}}), description.as_ref()),
            ),
            SchemaChange::SetRollup {
                property,
                relation,
                read,
                function,
                description,
                ..
            } => {
                let mut config = json!({"relation_property_id": relation, "function": function});
                match read {
                    RollupRead::Id(id) => config["rollup_property_id"] = json!(id),
                    RollupRead::Name(name) => config["rollup_property_name"] = json!(name),
                }
                (
                    property.0.clone(),
                    with_description(json!({"rollup": config}), description.as_ref()),
                )
            }
            SchemaChange::Describe {
                property,
                property_type,
                settings,
                description,
                ..
            } => (
                property.0.clone(),
                with_description(
                    json!({property_type.name(): repeated(settings)}),
                    Some(description),
                ),
            ),
            SchemaChange::CreateDatabase { .. }
            | SchemaChange::ArrangeFirstView { .. }
            | SchemaChange::AddView { .. } => continue,
        };
        properties.insert(key, body);
    }
    let changes = Map::from_iter([("properties".to_owned(), Value::Object(properties.clone()))]);
    Ok((!properties.is_empty()).then_some(changes))
}

fn property_body(
    property: &DesiredProperty,
    targets: &BTreeMap<String, DataSourceId>,
) -> Result<Value, SchemaError> {
    let config = match &property.kind {
        PropertyKind::Plain(_) => json!({}),
        PropertyKind::Number { format } => json!({"format": format}),
        PropertyKind::Options { options, .. } if options.is_empty() => json!({}),
        PropertyKind::Options { options, .. } => {
            json!({"options": options.iter().map(option_body).collect::<Vec<_>>()})
        }
        PropertyKind::Relation { target, dual } => {
            let id = property.target.as_ref().or_else(|| targets.get(target));
            let id = id.ok_or_else(|| SchemaError::Relation {
                property: property.name.clone(),
                target: target.clone(),
            })?;
            match dual {
                None => json!({"data_source_id": id, "type": "single_property", "single_property": {}}),
                Some(name) => json!({"data_source_id": id, "type": "dual_property",
                    "dual_property": {"synced_property_name": name}}),
            }
        }
        PropertyKind::Formula { expression } => json!({"expression": expression}),
        PropertyKind::Rollup {
            relation,
            property,
            function,
        } => json!({
            "relation_property_name": relation, "rollup_property_name": property, "function": function,
        }),
        PropertyKind::UniqueId { prefix } => json!({"prefix": prefix}),
    };
    let body = json!({property.kind.property_type().name(): config});
    Ok(with_description(body, property.description.as_ref()))
}

fn with_description(mut body: Value, description: Option<&String>) -> Value {
    if let Some(description) = description {
        body["description"] = description.as_str().into();
    }
    body
}

/// Settings as they are, for a change that is to leave them so.
fn repeated(settings: &PropertyConfig) -> Value {
    match settings {
        PropertyConfig::Number { format } => json!({"format": format}),
        PropertyConfig::UniqueId { prefix } => json!({"prefix": prefix}),
        PropertyConfig::Rollup {
            relation,
            property,
            function,
            ..
        } => json!({
            "relation_property_id": relation, "rollup_property_id": property, "function": function,
        }),
        _ => json!({}),
    }
}

fn option_body(option: &OptionChoice) -> Value {
    let mut body = json!({"name": option.name});
    for (key, value) in [
        ("color", &option.color),
        ("description", &option.description),
        ("group", &option.group),
    ] {
        if let Some(value) = value {
            body[key] = value.as_str().into();
        }
    }
    body
}

/// The body that creates a view.
///
/// # Errors
///
/// [`SchemaError::View`] for a board, calendar or timeline by a property that cannot serve.
pub fn create_view(
    view: &View,
    columns: &[String],
    schema: &DataSourceSchema,
) -> Result<Map<String, Value>, SchemaError> {
    let mut body = change_view(Some(view), columns, schema)?;
    body.insert("database_id".to_owned(), json!(schema.database_id));
    body.insert("data_source_id".to_owned(), json!(schema.id));
    body.insert("type".to_owned(), kind_name(view.kind).into());
    Ok(body)
}

/// The body that gives a view its name, order and columns; without a view, the columns of a table.
///
/// # Errors
///
/// As [`create_view`].
pub fn change_view(
    view: Option<&View>,
    columns: &[String],
    schema: &DataSourceSchema,
) -> Result<Map<String, Value>, SchemaError> {
    let kind = view.map_or(ViewKind::Table, |view| view.kind);
    let shown: Vec<Value> = columns
        .iter()
        .filter_map(|name| schema.property_named(name))
        .take(MAX_COLUMNS)
        .map(|property| json!({"property_id": property.id, "visible": true}))
        .collect();
    let mut configuration = json!({"type": kind_name(kind), "properties": shown});
    let mut body = Map::new();
    if let Some(view) = view {
        match kind {
            ViewKind::Board => configuration["group_by"] = group_by(view, schema)?,
            ViewKind::Calendar | ViewKind::Timeline => {
                configuration["date_property_id"] = date_property(view, schema)?;
            }
            ViewKind::Table | ViewKind::List | ViewKind::Gallery => {}
        }
        body.insert("name".to_owned(), view.name.as_str().into());
        if !view.sort.is_empty() {
            let sorts: Vec<Value> = view
                .sort
                .iter()
                .map(|(property, descending)| {
                    let direction = if *descending { "descending" } else { "ascending" };
                    json!({"property": property, "direction": direction})
                })
                .collect();
            body.insert("sorts".to_owned(), sorts.into());
        }
    }
    body.insert("configuration".to_owned(), configuration);
    Ok(body)
}

fn group_by(view: &View, schema: &DataSourceSchema) -> Result<Value, SchemaError> {
    let wanted = "a property that cards can be grouped by";
    let missing = || SchemaError::View {
        view: view.name.clone(),
        wanted,
    };
    let property = view
        .group_by
        .as_deref()
        .and_then(|name| schema.property_named(name))
        .ok_or_else(missing)?;
    let kind = property.property_type().ok_or_else(missing)?;
    let (name, by) = match kind {
        PropertyType::Select
        | PropertyType::MultiSelect
        | PropertyType::Relation
        | PropertyType::Number
        | PropertyType::Checkbox
        | PropertyType::CreatedBy
        | PropertyType::LastEditedBy => (kind.name(), None),
        PropertyType::People => ("person", None),
        PropertyType::Status => ("status", Some("option")),
        PropertyType::Date | PropertyType::CreatedTime | PropertyType::LastEditedTime => {
            (kind.name(), Some("month"))
        }
        PropertyType::RichText => ("text", Some("exact")),
        PropertyType::Title | PropertyType::Url | PropertyType::Email | PropertyType::PhoneNumber => {
            (kind.name(), Some("exact"))
        }
        PropertyType::Files | PropertyType::Formula | PropertyType::Rollup | PropertyType::UniqueId => {
            return Err(missing());
        }
    };
    let mut group = json!({"type": name, "property_id": property.id, "sort": {"type": "manual"}});
    if let Some(by) = by {
        group["group_by"] = by.into();
    }
    Ok(group)
}

fn date_property(view: &View, schema: &DataSourceSchema) -> Result<Value, SchemaError> {
    let dated = |kind| {
        matches!(
            kind,
            Some(PropertyType::Date | PropertyType::CreatedTime | PropertyType::LastEditedTime)
        )
    };
    view.group_by
        .as_deref()
        .and_then(|name| schema.property_named(name))
        .filter(|property| dated(property.property_type()))
        .map(|property| json!(property.id))
        .ok_or_else(|| SchemaError::View {
            view: view.name.clone(),
            wanted: "a date property",
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::UnknownOption;
    use crate::schema::data_source::{OptionSchema, PropertySchema};
    use crate::value::{DatabaseId, PropertyId};

    fn property(name: &str, kind: PropertyKind) -> DesiredProperty {
        DesiredProperty {
            name: name.to_owned(),
            id: None,
            description: None,
            kind,
            target: None,
            read: None,
            mirror: false,
        }
    }

    fn choice(name: &str) -> OptionChoice {
        OptionChoice {
            name: name.to_owned(),
            color: Some("green".to_owned()),
            group: None,
            description: None,
        }
    }

    #[test]
    fn a_new_database_carries_its_schema_in_its_data_source() {
        let options = PropertyKind::Options {
            property_type: PropertyType::Select,
            options: vec![choice("active")],
            on_unknown: UnknownOption::Error,
        };
        let body = create_database(
            &PageId::from("p"),
            "Teams",
            Some("🚀"),
            Some("One page per team"),
            &[
                property("Name", PropertyKind::Plain(PropertyType::Title)),
                property("State", options),
            ],
        );
        assert_eq!(
            Value::Object(body),
            json!({
                "parent": {"type": "page_id", "page_id": "p"},
                "title": [{"type": "text", "text": {"content": "Teams"}}],
                "description": [{"type": "text", "text": {"content": "One page per team"}}],
                "icon": {"type": "emoji", "emoji": "🚀"},
                "initial_data_source": {"properties": {
                    "Name": {"title": {}},
                    "State": {"select": {"options": [{"name": "active", "color": "green"}]}},
                }},
            })
        );
    }

    #[test]
    fn changes_of_one_data_source_are_one_request() {
        let changes = [
            SchemaChange::AddProperty(property(
                "Project",
                PropertyKind::Relation {
                    target: "projects".to_owned(),
                    dual: Some("Teams".to_owned()),
                },
            )),
            SchemaChange::SetOptions {
                property: PropertyId::from("w%7Bab"),
                name: "State".to_owned(),
                property_type: PropertyType::Select,
                description: Some("kept".to_owned()),
                keep: vec![OptionSchema {
                    id: "9f".to_owned(),
                    name: "active".to_owned(),
                    color: "red".to_owned(),
                    description: None,
                }],
                add: vec![choice("left")],
            },
        ];
        let targets = BTreeMap::from([("projects".to_owned(), DataSourceId::from("d2"))]);
        let body = update_data_source(&changes, &targets).unwrap().unwrap();
        assert_eq!(
            Value::Object(body),
            json!({"properties": {
                "Project": {"relation": {"data_source_id": "d2", "type": "dual_property",
                    "dual_property": {"synced_property_name": "Teams"}}},
                "w%7Bab": {"select": {"options": [{"id": "9f"}, {"name": "left", "color": "green"}]},
                    "description": "kept"},
            }})
        );
        assert!(matches!(
            update_data_source(&changes, &BTreeMap::new()),
            Err(SchemaError::Relation { .. })
        ));
        assert_eq!(update_data_source(&[], &targets).unwrap(), None);
    }

    fn schema() -> DataSourceSchema {
        let property = |id: &str, name: &str, kind: &str| PropertySchema {
            id: PropertyId::from(id),
            name: name.to_owned(),
            description: None,
            type_name: kind.to_owned(),
            config: PropertyConfig::Plain,
        };
        DataSourceSchema {
            id: DataSourceId::from("d"),
            database_id: DatabaseId::from("b"),
            title: "Teams".to_owned(),
            in_trash: false,
            properties: vec![
                property("title", "Name", "title"),
                property("s", "Stage", "status"),
                property("t", "Due", "date"),
            ],
        }
    }

    fn view(kind: ViewKind, group_by: Option<&str>) -> View {
        View {
            name: "V".to_owned(),
            kind,
            group_by: group_by.map(str::to_owned),
            show: None,
            sort: vec![("Name".to_owned(), true)],
        }
    }

    #[test]
    fn views_show_their_columns_in_order_and_group_by_id() {
        let columns = ["Due".to_owned(), "Name".to_owned()];
        let board = create_view(&view(ViewKind::Board, Some("Stage")), &columns, &schema()).unwrap();
        assert_eq!(
            Value::Object(board),
            json!({
                "name": "V", "type": "board", "database_id": "b", "data_source_id": "d",
                "sorts": [{"property": "Name", "direction": "descending"}],
                "configuration": {
                    "type": "board",
                    "properties": [
                        {"property_id": "t", "visible": true}, {"property_id": "title", "visible": true},
                    ],
                    "group_by": {"type": "status", "property_id": "s", "group_by": "option",
                        "sort": {"type": "manual"}},
                },
            })
        );
        let calendar = create_view(&view(ViewKind::Calendar, Some("Due")), &columns, &schema()).unwrap();
        assert_eq!(calendar["configuration"]["date_property_id"], "t");
        assert!(create_view(&view(ViewKind::Timeline, Some("Stage")), &columns, &schema()).is_err());
        assert!(create_view(&view(ViewKind::Board, None), &columns, &schema()).is_err());
    }
}
