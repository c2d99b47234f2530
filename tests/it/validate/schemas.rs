//! The JSON Schemas by themselves, as an editor uses them.

use frames_sync::diagnostic::{Code, Layer};
use jsonschema::Validator;
use serde_json::Value;

use super::samples::{INVALID, VALID, assert_none, check, code_of};
use crate::golden;

fn schema(name: &str) -> Value {
    let path = golden::root().join(format!("schemas/{name}.schema.json"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("a schema")).expect("JSON")
}

fn validator(name: &str) -> Validator {
    jsonschema::draft202012::new(&schema(name)).expect("a valid schema")
}

/// A YAML file as a program without our reader sees it.
fn value(path: &std::path::Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a sample");
    serde_saphyr::from_str_with_options(&text, serde_saphyr::options! { strict_booleans: true })
        .expect("the sample is YAML")
}

#[test]
fn each_schema_is_valid_draft_2020_12() {
    for name in ["mapping", "project", "report"] {
        let schema = schema(name);
        assert_eq!(
            schema["$schema"], "https://json-schema.org/draft/2020-12/schema",
            "{name}"
        );
        jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(schema["title"].is_string(), "{name}");
    }
}

#[test]
fn each_key_is_described() {
    fn walk(at: &str, node: &Value, failures: &mut Vec<String>) {
        match node {
            Value::Object(object) => {
                let keys = object.get("properties").and_then(Value::as_object);
                for (key, schema) in keys.into_iter().flatten() {
                    // Below `properties` of a schema stand schemas; elsewhere it may be the name of a key.
                    let is_described = schema["description"]
                        .as_str()
                        .is_some_and(|text| !text.is_empty());
                    if schema.is_object() && !is_described && !at.ends_with("/properties") {
                        failures.push(format!("{at}/properties/{key} has no description"));
                    }
                }
                for (key, member) in object {
                    walk(&format!("{at}/{key}"), member, failures);
                }
            }
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    walk(&format!("{at}/{index}"), element, failures);
                }
            }
            _ => {}
        }
    }
    let mut failures = Vec::new();
    for name in ["mapping", "project", "report"] {
        walk(name, &schema(name), &mut failures);
    }
    assert_none(&failures);
}

#[test]
fn the_mapping_schema_alone_rejects_every_sample_of_its_layer() {
    let validator = validator("mapping");
    let mut failures = Vec::new();
    let mut rejected = 0;
    for path in golden::entries(INVALID, "yaml") {
        if code_of(&path).layer() != Layer::Schema {
            continue;
        }
        if validator.is_valid(&value(&path)) {
            failures.push(golden::stem(&path));
        } else {
            rejected += 1;
        }
    }
    // What depends on the property's type, or on what a column value stands for, is told by the layer of meaning.
    failures.retain(|name| !BEYOND_THE_SCHEMA.contains(&name.as_str()));
    assert_none(&failures);
    assert!(rejected > 40, "only {rejected} samples were rejected");
}

/// Samples whose code is the schema's, and whose mistake a JSON Schema of this shape cannot tell.
const BEYOND_THE_SCHEMA: [&str; 6] = [
    "empty-value--map",
    "empty-value--option",
    "missing-key--rollup",
    "missing-key--target",
    "wrong-type--map",
    "wrong-type--new-row",
];

#[test]
fn the_mapping_schema_alone_accepts_every_valid_file() {
    let validator = validator("mapping");
    let own = golden::entries("mappings", "yaml");
    for path in golden::entries(VALID, "yaml").iter().chain(&own) {
        let value = value(path);
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

#[test]
fn the_mapping_schema_alone_accepts_what_only_the_layer_of_meaning_refuses() {
    let validator = validator("mapping");
    for path in golden::entries(INVALID, "yaml") {
        if code_of(&path).layer() == Layer::Meaning {
            assert!(validator.is_valid(&value(&path)), "{}", path.display());
        }
    }
}

#[test]
fn the_project_schema_alone_rejects_what_it_should_and_accepts_the_rest() {
    let validator = validator("project");
    assert!(validator.is_valid(&value(&golden::root().join("frames-sync.yaml"))));
    for folder in golden::entries(super::projects::PROJECTS, "") {
        let code: Code = code_of(&folder);
        assert_eq!(
            validator.is_valid(&value(&folder.join("frames-sync.yaml"))),
            code.layer() != Layer::Schema,
            "{}",
            folder.display()
        );
    }
}

#[test]
fn every_key_of_a_mapping_stands_in_a_valid_file() {
    let texts: String = golden::entries(VALID, "yaml")
        .iter()
        .map(|path| {
            assert!(check(path).is_empty(), "{}", path.display());
            std::fs::read_to_string(path).expect("a sample")
        })
        .collect();
    let mut keys = Vec::new();
    fn collect(node: &Value, keys: &mut Vec<String>) {
        match node {
            Value::Object(object) => {
                if object.get("type") == Some(&Value::from("object"))
                    && let Some(properties) = object.get("properties").and_then(Value::as_object)
                {
                    keys.extend(properties.keys().cloned());
                }
                object.values().for_each(|member| collect(member, keys));
            }
            Value::Array(elements) => elements.iter().for_each(|element| collect(element, keys)),
            _ => {}
        }
    }
    collect(&schema("mapping"), &mut keys);
    let missing: Vec<&String> = keys
        .iter()
        .filter(|key| !texts.contains(&format!("{key}:")))
        .collect();
    assert!(
        keys.len() > 60 && missing.is_empty(),
        "no valid file has {missing:?}"
    );
}
