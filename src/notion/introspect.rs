//! From Notion's description of a data source to ours.

use serde_json::Value;

use super::wire::{DataSource, View, plain_text};
use crate::schema::data_source::{OptionGroup, OptionSchema, PropertyConfig, PropertySchema, ViewSchema};
use crate::schema::{DataSourceSchema, PropertyType};
use crate::value::{DataSourceId, DatabaseId, PropertyId};

/// Reads the schema out of a data source object; what we do not know is carried as it came.
pub fn schema(data_source: &DataSource) -> DataSourceSchema {
    let database_id = data_source.parent.database_id.clone();
    DataSourceSchema {
        id: data_source.id.clone(),
        database_id: database_id.unwrap_or_else(|| DatabaseId::from("")),
        title: plain_text(&data_source.title),
        in_trash: data_source.is_in_trash(),
        properties: data_source
            .properties
            .iter()
            .map(|(name, property)| property_schema(name, property))
            .collect(),
    }
}

/// Reads a view; `None` for one that a listing named by its id alone.
pub fn view(view: &View) -> Option<ViewSchema> {
    Some(ViewSchema {
        id: view.id.clone(),
        name: view.name.clone()?,
        kind: view.kind.clone()?,
        columns: view
            .rest
            .get("configuration")
            .map(|configuration| list(&configuration["properties"]))
            .unwrap_or_default()
            .iter()
            .filter(|property| property["visible"] != false)
            .map(|property| PropertyId(text(&property["property_id"])))
            .collect(),
    })
}

fn property_schema(name: &str, property: &Value) -> PropertySchema {
    let type_name = text(&property["type"]);
    PropertySchema {
        id: PropertyId(text(&property["id"])),
        name: property["name"].as_str().unwrap_or(name).to_owned(),
        description: optional(&property["description"]),
        config: config(&type_name, property),
        type_name,
    }
}

fn config(type_name: &str, property: &Value) -> PropertyConfig {
    let config = &property[type_name];
    match PropertyType::from_name(type_name) {
        None => PropertyConfig::Unknown(config.clone()),
        Some(PropertyType::Number) => PropertyConfig::Number {
            format: config["format"].as_str().unwrap_or("number").to_owned(),
        },
        Some(kind) if kind.has_options() => PropertyConfig::Options {
            options: list(&config["options"]).iter().map(option).collect(),
            groups: list(&config["groups"]).iter().map(group).collect(),
        },
        Some(PropertyType::Relation) => PropertyConfig::Relation {
            data_source_id: DataSourceId(text(&config["data_source_id"])),
            dual: config["dual_property"]["synced_property_id"]
                .as_str()
                .map(PropertyId::from),
        },
        Some(PropertyType::Formula) => PropertyConfig::Formula {
            expression: text(&config["expression"]),
        },
        Some(PropertyType::Rollup) => PropertyConfig::Rollup {
            relation: PropertyId(text(&config["relation_property_id"])),
            property: PropertyId(text(&config["rollup_property_id"])),
            property_name: text(&config["rollup_property_name"]),
            function: text(&config["function"]),
        },
        Some(PropertyType::UniqueId) => PropertyConfig::UniqueId {
            prefix: optional(&config["prefix"]),
        },
        Some(_) => PropertyConfig::Plain,
    }
}

fn option(option: &Value) -> OptionSchema {
    OptionSchema {
        id: text(&option["id"]),
        name: text(&option["name"]),
        color: option["color"].as_str().unwrap_or("default").to_owned(),
        description: optional(&option["description"]),
    }
}

fn group(group: &Value) -> OptionGroup {
    OptionGroup {
        name: text(&group["name"]),
        option_ids: list(&group["option_ids"]).iter().map(text).collect(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn optional(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_configuration_is_read_and_unknown_types_are_carried() {
        let data_source: DataSource = serde_json::from_value(json!({
            "object": "data_source", "id": "d1", "in_trash": false,
            "title": [{"plain_text": "Tea"}, {"plain_text": "ms"}],
            "parent": {"type": "database_id", "database_id": "b1"},
            "properties": {
                "Name": {"id": "title", "name": "Name", "type": "title", "title": {}},
                "Cost": {"id": "a", "name": "Cost", "type": "number", "number": {"format": "euro"}, "description": "each"},
                "Phase": {"id": "b", "name": "Phase", "type": "status", "status": {
                    "options": [{"id": "o1", "name": "Open", "color": "blue", "description": null}],
                    "groups": [{"id": "g", "name": "To-do", "color": "gray", "option_ids": ["o1"]}]}},
                "Course": {"id": "c", "name": "Course", "type": "relation", "relation": {
                    "database_id": "b2", "data_source_id": "d2", "type": "dual_property",
                    "dual_property": {"synced_property_id": "m", "synced_property_name": "Back"}}},
                "No": {"id": "d", "name": "No", "type": "unique_id", "unique_id": {"prefix": null}},
                "Go": {"id": "e", "name": "Go", "type": "button", "button": {"x": 1}},
            },
        }))
        .unwrap();
        let schema = schema(&data_source);
        assert_eq!(schema.title, "Teams");
        assert_eq!(schema.database_id, DatabaseId::from("b1"));
        let config = |name: &str| &schema.property_named(name).unwrap().config;
        assert_eq!(config("Name"), &PropertyConfig::Plain);
        assert_eq!(
            config("Cost"),
            &PropertyConfig::Number {
                format: "euro".to_owned()
            }
        );
        assert!(
            matches!(config("Phase"), PropertyConfig::Options { options, groups }
                if options[0].id == "o1" && groups[0].option_ids == ["o1"])
        );
        assert_eq!(
            config("Course"),
            &PropertyConfig::Relation {
                data_source_id: DataSourceId::from("d2"),
                dual: Some(PropertyId::from("m")),
            }
        );
        assert_eq!(config("No"), &PropertyConfig::UniqueId { prefix: None });
        assert_eq!(config("Go"), &PropertyConfig::Unknown(json!({"x": 1})));
        assert_eq!(
            schema.property_named("Cost").unwrap().description.as_deref(),
            Some("each")
        );
    }
}
