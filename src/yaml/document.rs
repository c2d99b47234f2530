//! A JSON value that knows where each of its parts was written.

use std::collections::{BTreeMap, BTreeSet};
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
    pub(super) keys: BTreeMap<String, Span>,
    pub(super) values: BTreeMap<String, Span>,
    pub(super) doubtful: BTreeSet<String>,
}

impl Document {
    /// Where the value at a pointer is written, or the nearest value around it that is.
    pub fn value_span(&self, pointer: &str) -> Span {
        nearest(pointer, |at| self.values.get(at).cloned())
    }

    /// Where the key of the entry at a pointer is written; for an element of a list, and for the whole
    /// document, where its value is.
    pub fn key_span(&self, pointer: &str) -> Span {
        nearest(pointer, |at| {
            self.keys.get(at).or_else(|| self.values.get(at)).cloned()
        })
    }

    /// Whether the pointer leads to something that is written in the file.
    pub fn has(&self, pointer: &str) -> bool {
        self.values.contains_key(pointer)
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

/// A finding's place falls back to whatever is around it.
fn nearest(pointer: &str, find: impl Fn(&str) -> Option<Span>) -> Span {
    let mut at = pointer;
    loop {
        if let Some(span) = find(at) {
            return span;
        }
        match at.rfind('/') {
            Some(end) => at = &at[..end],
            None => return 0..0,
        }
    }
}

/// The pointer to a member or element of what another pointer leads to.
pub fn pointer(parent: &str, member: impl std::fmt::Display) -> String {
    let member = member.to_string().replace('~', "~0").replace('/', "~1");
    format!("{parent}/{member}")
}
