//! Text to a document of the right shape, or findings with a place.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::document::{MappingDocument, Property};
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
    /// The keys of the file itself that are missing or wrong, and were left out or stood in for.
    ///
    /// They have findings of their own; no check may draw a conclusion from them.
    pub assumed: BTreeSet<String>,
}

/// Holds a document against the JSON Schema, and types it.
///
/// Parts that the schema refuses are left out of the typed document, or stood in for where nothing is optional, so
/// that later checks can go on. A misspelt key counts as the one it was meant to be.
pub fn parse(document: Document) -> Checked<Parsed> {
    let findings = SCHEMA.check(&document);
    // Nearly every file is fine, and is typed from the value as it was read.
    if findings.is_empty()
        && let Ok(written) = MappingDocument::deserialize(&document.value)
    {
        return Checked::fine(Parsed {
            document,
            written,
            left_out: BTreeSet::new(),
            assumed: BTreeSet::new(),
        });
    }
    let mut mending = Mending {
        value: document.value.clone(),
        left_out: BTreeSet::new(),
        assumed: BTreeSet::new(),
    };
    if !findings.is_empty() {
        mending.mend(&findings);
    }
    let Mending {
        value,
        left_out,
        assumed,
    } = mending;
    let is_fine = findings.is_empty();
    let findings: Vec<Diagnostic> = findings
        .into_iter()
        .filter(|finding| !document.is_doubtful(&finding.pointer))
        .collect();
    match serde_path_to_error::deserialize(&value) {
        Ok(written) => Checked {
            value: Some(Parsed {
                document,
                written,
                left_out,
                assumed,
            }),
            findings,
        },
        Err(error) if is_fine => {
            // The schema and the types are generated from one source; should they ever part, say so with a place.
            let at = error.path().to_string().replace('.', "/");
            let finding =
                document.value_finding(Code::WrongType, &format!("/{at}"), error.inner().to_string(), "");
            Checked::broken(vec![finding])
        }
        Err(_) => Checked::broken(findings),
    }
}

/// The document on its way to a shape that can be typed.
struct Mending {
    value: Value,
    left_out: BTreeSet<String>,
    assumed: BTreeSet<String>,
}

impl Mending {
    fn mend(&mut self, findings: &[Diagnostic]) {
        if !self.value.is_object() {
            return;
        }
        // Keys first: what a misspelt one holds may be wrong as well, and is then found under its right name.
        let (keys, values): (Vec<_>, Vec<_>) = findings
            .iter()
            .partition(|finding| finding.code == Code::UnknownKey);
        for finding in keys {
            self.rename(finding);
        }
        for finding in values {
            self.leave_out(&finding.pointer);
        }
        self.leave_out_untypable_properties();
        self.stand_in();
    }

    /// Gives a key that is not known the name it was meant to have, or takes it out.
    fn rename(&mut self, finding: &Diagnostic) {
        let Some((parent, key)) = finding.pointer.rsplit_once('/') else {
            return;
        };
        let Some(object) = self.value.pointer_mut(parent).and_then(Value::as_object_mut) else {
            return;
        };
        let key = key.replace("~1", "/").replace("~0", "~");
        let Some(value) = object.shift_remove(&key) else {
            return;
        };
        match finding.suggestion() {
            Some(meant) => {
                object.entry(meant).or_insert(value);
            }
            None => {
                // The key may have been what its object was about; that it now says nothing is not a second mistake.
                let has_source = object.contains_key("column") || object.contains_key("template");
                if let Some((name, inside)) = property_at(parent)
                    && (inside || !has_source)
                {
                    self.leave_out_property(name);
                }
            }
        }
    }

    /// Takes out what a finding is about: a whole property, a key of `notion`, or a key of the file.
    fn leave_out(&mut self, pointer: &str) {
        let segments: Vec<String> = pointer
            .split('/')
            .skip(1)
            .map(|part| part.replace("~1", "/").replace("~0", "~"))
            .collect();
        let Some(object) = self.value.as_object_mut() else {
            return;
        };
        match segments.as_slice() {
            [properties, name, ..] if properties == "properties" => self.leave_out_property(name.clone()),
            [notion, key, ..] if notion == "notion" => {
                if let Some(notion) = object.get_mut("notion").and_then(Value::as_object_mut) {
                    notion.shift_remove(key);
                }
            }
            // That a key is missing within it; what stands in for the key is enough.
            [notion] if notion == "notion" && object["notion"].is_object() => {}
            [top, ..] => {
                object.shift_remove(top);
                self.assumed.insert(top.clone());
            }
            [] => {}
        }
    }

    fn leave_out_property(&mut self, name: String) {
        if let Some(properties) = self.value.get_mut("properties").and_then(Value::as_object_mut) {
            properties.shift_remove(&name);
        }
        self.left_out.insert(name);
    }

    /// A renamed key may hold something that its right name does not allow.
    fn leave_out_untypable_properties(&mut self) {
        let untypable: Vec<String> = self
            .value
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(_, property)| Property::deserialize(*property).is_err())
            .map(|(name, _)| name.clone())
            .collect();
        for name in untypable {
            self.leave_out_property(name);
        }
    }

    /// Puts something in the place of every required key that is not there.
    fn stand_in(&mut self) {
        let Some(object) = self.value.as_object_mut() else {
            return;
        };
        for (key, something) in [
            ("version", json!(1)),
            ("entity", json!("")),
            ("table", json!("")),
            ("key", json!("")),
            ("notion", json!({})),
            ("properties", json!({})),
        ] {
            if !object.contains_key(key) {
                object.insert(key.to_owned(), something);
                self.assumed.insert(key.to_owned());
            }
        }
        if let Some(notion) = object["notion"].as_object_mut() {
            notion.entry("title").or_insert(json!(""));
        }
    }
}

/// The name of the property that a pointer leads to or into, and whether it leads into it.
fn property_at(pointer: &str) -> Option<(String, bool)> {
    let path = pointer.strip_prefix("/properties/")?;
    let (name, inside) = match path.split_once('/') {
        Some((name, _)) => (name, true),
        None => (path, false),
    };
    Some((name.replace("~1", "/").replace("~0", "~"), inside))
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
