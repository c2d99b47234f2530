//! Reading a request body, with Notion's complaints about each place in it.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::refusal::{Answered, Refusal};

/// A value in the request and where it stands (`body.properties.Name`).
#[derive(Clone, Debug)]
pub(crate) struct Body<'a> {
    path: String,
    pub(crate) value: &'a Value,
}

/// The most elements that any array of a request may have (fact sheet, 5.2).
pub(crate) const MAX_ELEMENTS: usize = 100;

/// The most UTF-16 units of `text.content`, and of any URL (fact sheet, 5.2).
pub(crate) const MAX_TEXT: usize = 2000;

impl<'a> Body<'a> {
    pub(crate) fn root(value: &'a Value) -> Self {
        Self {
            path: "body".to_owned(),
            value,
        }
    }

    /// A refusal that names this place: `body.x should be …, instead was …`.
    pub(crate) fn refuse(&self, expected: &str) -> Refusal {
        self.refuse_with(expected, &shown(self.value))
    }

    fn refuse_with(&self, expected: &str, found: &str) -> Refusal {
        Refusal::validation(format!(
            "body failed validation: {} should be {expected}, instead was `{found}`.",
            self.path
        ))
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The value under a key; `None` where the key is absent.
    pub(crate) fn get(&self, key: &str) -> Option<Body<'a>> {
        self.value.get(key).map(|value| Body {
            path: format!("{}.{key}", self.path),
            value,
        })
    }

    /// The value under a key, unless absent or null.
    pub(crate) fn given(&self, key: &str) -> Option<Body<'a>> {
        self.get(key).filter(|found| !found.value.is_null())
    }

    pub(crate) fn need(&self, key: &str) -> Answered<Body<'a>> {
        self.get(key).ok_or_else(|| {
            Refusal::validation(format!(
                "body failed validation: {}.{key} should be defined, instead was `undefined`.",
                self.path
            ))
        })
    }

    pub(crate) fn object(&self) -> Answered<&'a Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.refuse("an object"))
    }

    /// The entries of an object in the order sent.
    pub(crate) fn entries(&self) -> Answered<Vec<(&'a str, Body<'a>)>> {
        Ok(self
            .object()?
            .iter()
            .map(|(key, value)| {
                (
                    key.as_str(),
                    Body {
                        path: format!("{}.{key}", self.path),
                        value,
                    },
                )
            })
            .collect())
    }

    /// The elements of an array of at most 100.
    pub(crate) fn elements(&self) -> Answered<Vec<Body<'a>>> {
        let elements = self.value.as_array().ok_or_else(|| self.refuse("an array"))?;
        if elements.len() > MAX_ELEMENTS {
            return Err(Refusal::validation(format!(
                "body failed validation: {}.length should be ≤ `{MAX_ELEMENTS}`, instead was `{}`.",
                self.path,
                elements.len()
            )));
        }
        Ok(elements
            .iter()
            .enumerate()
            .map(|(index, value)| Body {
                path: format!("{}[{index}]", self.path),
                value,
            })
            .collect())
    }

    /// A string of at most `max` UTF-16 units.
    pub(crate) fn text(&self, max: usize) -> Answered<&'a str> {
        let text = self.value.as_str().ok_or_else(|| self.refuse("a string"))?;
        let length = text.encode_utf16().count();
        if length > max {
            return Err(Refusal::validation(format!(
                "body failed validation: {}.length should be ≤ `{max}`, instead was `{length}`.",
                self.path
            )));
        }
        Ok(text)
    }

    /// A string of 1 to `max` UTF-16 units: empty strings are not supported, `null` clears.
    pub(crate) fn filled_text(&self, max: usize) -> Answered<&'a str> {
        let text = self.text(max)?;
        if text.is_empty() {
            return Err(Refusal::validation(format!(
                "body failed validation: {}.length should be ≥ `1`, instead was `0`.",
                self.path
            )));
        }
        Ok(text)
    }

    pub(crate) fn bool(&self) -> Answered<bool> {
        self.value.as_bool().ok_or_else(|| self.refuse("a boolean"))
    }

    pub(crate) fn number(&self) -> Answered<f64> {
        self.value.as_f64().ok_or_else(|| self.refuse("a number"))
    }

    pub(crate) fn uuid(&self) -> Answered<Uuid> {
        self.value
            .as_str()
            .and_then(parse_uuid)
            .ok_or_else(|| self.refuse("a valid uuid"))
    }

    /// One of these words.
    pub(crate) fn word(&self, words: &[&'static str]) -> Answered<&'static str> {
        let found = self
            .value
            .as_str()
            .and_then(|text| words.iter().copied().find(|word| *word == text));
        found.ok_or_else(|| {
            let list: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
            self.refuse(&list.join(", or "))
        })
    }

    /// Refuses keys that are not among these.
    pub(crate) fn only(&self, keys: &[&str]) -> Answered<()> {
        for (key, found) in self.entries()? {
            if !keys.contains(&key) {
                return Err(found.refuse("not present"));
            }
        }
        Ok(())
    }
}

/// A UUID with dashes or without, and in no other dress.
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    matches!(text.len(), 32 | 36)
        .then(|| Uuid::parse_str(text).ok())
        .flatten()
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(200) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
