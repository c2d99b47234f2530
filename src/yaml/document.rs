//! A JSON value that knows where each of its parts was written.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use serde_json::Value;

use crate::diagnostic::{Code, Diagnostic, Label, SourceFile, Span};

/// One YAML document as read.
///
/// Places are found by JSON pointer (RFC 6901).
#[derive(Clone, Debug)]
pub struct Document {
    /// The file it was read from.
    pub file: Arc<SourceFile>,
    /// What it says.
    pub value: Value,
    pub(super) place: Place,
    pub(super) doubtful: BTreeSet<String>,
}

/// Where a value is written, and everything in it: a tree of the value's own shape.
///
/// Most documents are never asked where anything is, so nothing is stored but the spans.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// The key, for a member of an object.
    pub(super) key: Option<Span>,
    /// The value.
    pub(super) value: Span,
    /// The places of the elements or members, in the value's own order.
    pub(super) children: Vec<Place>,
}

impl Document {
    /// The place of what a pointer leads to, or of the nearest thing around it; and whether it is the thing itself.
    fn place(&self, pointer: &str) -> (&Place, bool) {
        let (mut place, mut value) = (&self.place, &self.value);
        for segment in pointer.split('/').skip(1) {
            let segment = segment.replace("~1", "/").replace("~0", "~");
            let inner = match value {
                Value::Object(object) => object
                    .iter()
                    .enumerate()
                    .find(|(_, (key, _))| **key == segment)
                    .map(|(i, (_, v))| (i, v)),
                Value::Array(elements) => segment
                    .parse()
                    .ok()
                    .and_then(|index: usize| Some((index, elements.get(index)?))),
                _ => None,
            };
            match inner.and_then(|(index, value)| Some((place.children.get(index)?, value))) {
                Some(inner) => (place, value) = inner,
                None => return (place, false),
            }
        }
        (place, true)
    }

    /// Where the value at a pointer is written, or the nearest value around it that is.
    pub fn value_span(&self, pointer: &str) -> Span {
        self.place(pointer).0.value.clone()
    }

    /// Where the key of the entry at a pointer is written; for an element of a list, and for the whole
    /// document, where its value is.
    pub fn key_span(&self, pointer: &str) -> Span {
        let place = self.place(pointer).0;
        place.key.clone().unwrap_or_else(|| place.value.clone())
    }

    /// Whether the pointer leads to something that is written in the file.
    pub fn has(&self, pointer: &str) -> bool {
        self.place(pointer).1
    }

    /// Whether the value at a pointer was reported as ambiguous, so that nothing more is to be said about it.
    pub fn is_doubtful(&self, pointer: &str) -> bool {
        self.doubtful.contains(pointer)
    }

    /// A label under the value at a pointer. Objects and lists are shown by their key.
    pub fn value_label(&self, pointer: &str, text: impl Into<String>) -> Label {
        let span = match self.value.pointer(pointer) {
            Some(Value::Object(_) | Value::Array(_)) => self.key_span(pointer),
            _ => self.value_span(pointer),
        };
        Label {
            file: self.file.clone(),
            span,
            text: text.into(),
        }
    }

    /// A label under the key of the entry at a pointer.
    pub fn key_label(&self, pointer: &str, text: impl Into<String>) -> Label {
        Label {
            file: self.file.clone(),
            span: self.key_span(pointer),
            text: text.into(),
        }
    }

    /// A finding about the value at a pointer.
    pub fn value_finding(
        &self,
        code: Code,
        pointer: &str,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::new(code, message, self.value_label(pointer, label)).at(pointer)
    }

    /// A finding about the key at a pointer.
    pub fn key_finding(
        &self,
        code: Code,
        pointer: &str,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::new(code, message, self.key_label(pointer, label)).at(pointer)
    }
}

/// The pointer to a member or element of what another pointer leads to.
pub fn pointer(parent: &str, member: impl std::fmt::Display) -> String {
    let mut pointer = String::with_capacity(parent.len() + 24);
    pointer.push_str(parent);
    pointer.push('/');
    // Writing to a string cannot fail.
    let _ = write!(Escaping(&mut pointer), "{member}");
    pointer
}

/// Writes a member's name as a pointer holds it (RFC 6901). Every check of every property makes a pointer, so no copy
/// is made on the way.
struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if !text.contains(['~', '/']) {
            self.0.push_str(text);
            return Ok(());
        }
        for character in text.chars() {
            match character {
                '~' => self.0.push_str("~0"),
                '/' => self.0.push_str("~1"),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}
