//! Text to a document of the right shape, or findings with a place.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

use super::document::MappingDocument;
use crate::diagnostic::{Checked, Code, Diagnostic};
use crate::yaml::{Document, Schema};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let source = schemars::schema_for!(MappingDocument).to_value();
    Schema::compile(source).expect("the schema is generated from our own types; a test compiles it")
});

/// The JSON Schema of mapping files (Draft 2020-12).
pub fn schema() -> &'static Schema {
    &SCHEMA
}

/// A mapping file of the right shape.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The file, with places.
    pub document: Document,
    /// What it says, typed.
    pub written: MappingDocument,
    /// The properties that were left out because their shape is wrong; they have findings of their own.
    pub left_out: BTreeSet<String>,
}

/// Holds a document against the JSON Schema, and types it.
///
/// Parts that the schema refuses are left out of the typed document where the rest makes sense without them, so that
/// later checks can go on. There is no value when a part is refused that nothing makes sense without.
pub fn parse(document: Document) -> Checked<Parsed> {
    let findings = SCHEMA.check(&document);
    let mut value = document.value.clone();
    let mut left_out = BTreeSet::new();
    for finding in &findings {
        prune(&mut value, finding, &mut left_out);
    }
    match serde_path_to_error::deserialize(&value) {
        Ok(written) => Checked {
            value: Some(Parsed {
                document,
                written,
                left_out,
            }),
            findings,
        },
        Err(error) if findings.is_empty() => {
            // The schema and the types are generated from one source; should they ever part, say so with a place.
            let at = error.path().to_string().replace('.', "/");
            let finding =
                document.value_finding(Code::WrongType, &format!("/{at}"), error.inner().to_string(), "");
            Checked::broken(vec![finding])
        }
        Err(_) => Checked::broken(findings),
    }
}

/// Takes what a finding is about out of the value: a whole property, or the key itself.
fn prune(value: &mut Value, finding: &Diagnostic, left_out: &mut BTreeSet<String>) {
    let segments: Vec<String> = finding
        .pointer
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect();
    match segments.as_slice() {
        [properties, name, inner @ ..] if properties == "properties" => {
            // A key that is not known may go by itself; the property means the same without it.
            if let ([key], Code::UnknownKey) = (inner, finding.code) {
                if let Some(property) = value["properties"][name].as_object_mut() {
                    property.remove(key);
                }
                return;
            }
            if let Some(properties) = value["properties"].as_object_mut() {
                properties.shift_remove(name);
                left_out.insert(name.clone());
            }
        }
        [top, ..] => {
            if let Some(object) = value.as_object_mut() {
                let is_required =
                    matches!(top.as_str(), "entity" | "table" | "key" | "notion" | "properties");
                match (top.as_str(), segments.as_slice()) {
                    ("version", _) => {
                        object.insert("version".to_owned(), Value::from(1));
                    }
                    ("notion", [_, key]) => {
                        if let Some(notion) = object.get_mut("notion").and_then(Value::as_object_mut) {
                            notion.shift_remove(key);
                        }
                    }
                    _ if !is_required => {
                        object.shift_remove(top);
                    }
                    _ => {}
                }
            }
        }
        [] => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_compiles_and_is_draft_2020_12() {
        assert_eq!(
            schema().source()["$schema"],
            Value::from("https://json-schema.org/draft/2020-12/schema")
        );
        assert!(jsonschema::draft202012::meta::is_valid(schema().source()));
    }
}
