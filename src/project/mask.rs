//! Secrets that stand in the project file itself: refused, and never shown.
//!
//! Code frames show lines of the file, whatever the finding is about. So the text that they show has stars where a
//! secret stands; the values stay, to be refused.

use std::sync::Arc;

use serde_json::Value;

use crate::diagnostic::{Checked, Label, SourceFile, Span};
use crate::yaml::{Document, pointer};

/// What Notion's tokens begin with: those of today, and those made before September 2024.
const TOKENS: [&str; 2] = ["ntn_", "secret_"];

/// Takes the secrets of a project file out of every text that is shown of it.
pub(super) fn masked(mut read: Checked<Document>) -> Checked<Document> {
    let held = read.value.as_ref().map(held_secrets).unwrap_or_default();
    let mask = |file: &mut Arc<SourceFile>| {
        let mut spans = look_like_secrets(&file.text);
        spans.extend(held.iter().cloned());
        if spans.is_empty() {
            return;
        }
        let mut bytes = file.text.clone().into_bytes();
        for span in spans {
            for byte in bytes.get_mut(span).into_iter().flatten() {
                if *byte != b'\n' {
                    *byte = b'*';
                }
            }
        }
        // Spans cover whole characters; were one ever cut, nothing is shown rather than a secret.
        let text = String::from_utf8(bytes).unwrap_or_default();
        *file = Arc::new(SourceFile::new(file.path.clone(), text));
    };
    if let Some(document) = &mut read.value {
        mask(&mut document.file);
    }
    for finding in &mut read.findings {
        let labels = std::iter::once(&mut finding.primary).chain(&mut finding.secondary);
        for Label { file, .. } in labels {
            mask(file);
        }
    }
    read
}

/// Everything without a template that stands where a secret belongs, whatever its shape.
fn held_secrets(document: &Document) -> Vec<Span> {
    let profiles = document.value.get("profiles").and_then(Value::as_object);
    let settings = profiles
        .into_iter()
        .flat_map(|profiles| profiles.keys())
        .map(|name| pointer("/profiles", name))
        .chain(["/defaults".to_owned()]);
    let mut spans = Vec::new();
    for settings in settings {
        for holder in ["notion/token", "database_url"] {
            let at = format!("{settings}/{holder}");
            if let Some(value) = document.value.pointer(&at) {
                collect_scalars(document, &at, value, &mut spans);
            }
        }
    }
    spans
}

fn collect_scalars(document: &Document, at: &str, value: &Value, into: &mut Vec<Span>) {
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                collect_scalars(document, &pointer(at, index), element, into);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                collect_scalars(document, &pointer(at, key), member, into);
            }
        }
        Value::String(text) if text.contains("{{") => {}
        _ => into.push(document.value_span(at)),
    }
}

/// Where a text has what looks like a token, or the password of a URL; also where no YAML could be read.
fn look_like_secrets(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    for token in TOKENS {
        for (start, _) in text.match_indices(token) {
            let from = start + token.len();
            let length = text[from..]
                .find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(text.len() - from);
            // `secret_key` is a word; tokens are longer than words.
            if length >= 16 {
                spans.push(start..from + length);
            }
        }
    }
    for (start, separator) in text.match_indices("://") {
        let from = start + separator.len();
        let rest = &text[from..];
        let end = rest
            .find(|c: char| c.is_whitespace() || c == '"' || c == '\'')
            .unwrap_or(rest.len());
        let password = rest[..end].rfind('@').and_then(|at| {
            let colon = rest[..at].find(':')?;
            Some(from + colon + 1..from + at)
        });
        if let Some(password) = password
            && !text[password.clone()].contains("{{")
        {
            spans.push(password);
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Vec<&str> {
        look_like_secrets(text)
            .into_iter()
            .map(|span| &text[span])
            .collect()
    }

    #[test]
    fn tokens_and_passwords_are_seen() {
        assert_eq!(seen("a: ntn_0123456789abcdefX # x"), ["ntn_0123456789abcdefX"]);
        assert_eq!(seen("postgresql://u:p@ss:w@h/d"), ["p@ss:w"]);
        assert_eq!(seen("'postgres://u:é@h'"), ["é"]);
    }

    #[test]
    fn words_and_templates_are_not() {
        assert!(seen("secret_key: ntn_short").is_empty());
        assert!(seen("postgresql://u:{{ env.P }}@h/d http://localhost:80/").is_empty());
    }
}
