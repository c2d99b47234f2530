//! JSON documents in one form each, digits kept: what `jsonb` calls equal is equal as text.
//!
//! `serde_json` would read numbers as doubles and so call different numbers equal.

use std::collections::BTreeMap;

use super::Number;

/// Nesting allowed; `serde_json` stops at the same depth.
const MAX_DEPTH: usize = 128;

/// The canonical form of a JSON document: no white space, keys sorted, the last of equal keys kept, numbers in
/// plain notation, and only the escapes that JSON demands.
///
/// `None` if the text is no JSON document, or nests deeper than 128 levels.
pub fn canonical_json(text: &str) -> Option<String> {
    let mut reader = Reader { text, at: 0 };
    let mut canonical = String::with_capacity(text.len());
    reader.value(&mut canonical, 0)?;
    reader.skip_space();
    (reader.at == text.len()).then_some(canonical)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn take(&mut self, expected: char) -> Option<()> {
        self.skip_space();
        self.text[self.at..]
            .starts_with(expected)
            .then(|| self.at += expected.len_utf8())
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.text[self.at..].chars().next()
    }

    fn value(&mut self, into: &mut String, depth: usize) -> Option<()> {
        if depth >= MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            '{' => self.object(into, depth),
            '[' => self.array(into, depth),
            '"' => {
                let text = self.string()?;
                write_string(&text, into);
                Some(())
            }
            _ => self.scalar(into),
        }
    }

    fn object(&mut self, into: &mut String, depth: usize) -> Option<()> {
        self.take('{')?;
        let mut members: BTreeMap<String, String> = BTreeMap::new();
        if self.peek()? == '}' {
            self.take('}')?;
        } else {
            loop {
                self.skip_space();
                let key = self.string()?;
                self.take(':')?;
                let mut value = String::new();
                self.value(&mut value, depth + 1)?;
                members.insert(key, value);
                if self.take(',').is_none() {
                    break self.take('}')?;
                }
            }
        }
        into.push('{');
        for (index, (key, value)) in members.iter().enumerate() {
            if index > 0 {
                into.push(',');
            }
            write_string(key, into);
            into.push(':');
            into.push_str(value);
        }
        into.push('}');
        Some(())
    }

    fn array(&mut self, into: &mut String, depth: usize) -> Option<()> {
        self.take('[')?;
        into.push('[');
        if self.peek()? == ']' {
            self.take(']')?;
        } else {
            loop {
                self.value(into, depth + 1)?;
                if self.take(',').is_none() {
                    break self.take(']')?;
                }
                into.push(',');
            }
        }
        into.push(']');
        Some(())
    }

    /// The string's end is found here; what its escapes mean is left to `serde_json`.
    fn string(&mut self) -> Option<String> {
        let rest = self.text[self.at..].strip_prefix('"')?;
        let mut escaped = false;
        let end = rest.bytes().position(|byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        })?;
        let literal = &self.text[self.at..self.at + end + 2];
        self.at += literal.len();
        serde_json::from_str(literal).ok()
    }

    fn scalar(&mut self, into: &mut String) -> Option<()> {
        let rest = &self.text[self.at..];
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.'))
            .unwrap_or(rest.len());
        let word = &rest[..length];
        self.at += length;
        match word {
            "null" | "true" | "false" => into.push_str(word),
            // `serde_json` judges the grammar: no leading zeros, plus signs or bare points.
            _ => match serde_json::from_str::<serde_json::Value>(word) {
                Ok(serde_json::Value::Number(_)) => into.push_str(Number::parse(word)?.as_str()),
                _ => return None,
            },
        }
        Some(())
    }
}

fn write_string(text: &str, into: &mut String) {
    into.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_documents_have_equal_texts() {
        for (text, expected) in [
            (
                r#" { "b" : 1.0, "a": [ true , null ] } "#,
                r#"{"a":[true,null],"b":1}"#,
            ),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#""\u00e9\/""#, "\"é/\""),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("[]", "[]"),
            ("{}", "{}"),
        ] {
            assert_eq!(canonical_json(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_has_no_form() {
        for text in [
            "",
            "{",
            "[1,]",
            "01",
            "nul",
            "\"a",
            "1 2",
            "{a:1}",
            "+1",
            ".5",
            "\"\\ud800\"",
        ] {
            assert_eq!(canonical_json(text), None, "{text}");
        }
        assert_eq!(canonical_json(&"[".repeat(100_000)), None);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics_and_canonical_is_idempotent(text in r#"([\[\]{},:" \\a-z0-9.eé+-]|null|true|"[a-z]"){0,20}"#) {
            if let Some(canonical) = canonical_json(&text) {
                prop_assert_eq!(canonical_json(&canonical), Some(canonical));
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }
    }
}
