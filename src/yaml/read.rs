//! From text to a document, within budgets.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Location, Spanned};

use super::document::{Document, Place, pointer};
use crate::diagnostic::{Checked, Code, Diagnostic, Label, SourceFile, Span};

/// The largest file read, in bytes. The largest mapping of a real table we know has 12 KiB.
pub const LARGEST_FILE: usize = 1 << 20;

/// Nesting of lists and objects. A scope of nested `any` and `all` is the deepest thing a mapping holds.
///
/// Each level costs stack: 60 levels overflow the 2 MiB of a thread in a debug build.
const DEEPEST: usize = 32;

/// Values in one document, aliases counted as often as they are used.
const MOST_VALUES: usize = 20_000;

/// Reads the bytes of a file.
///
/// The first finding about the encoding or size ends the reading; everything else is as for [`read`].
pub fn read_bytes(path: impl Into<String>, bytes: Vec<u8>) -> Checked<Document> {
    let path = path.into();
    if bytes.len() > LARGEST_FILE {
        let label = Label {
            file: Arc::new(SourceFile::new(path, "")),
            span: 0..0,
            text: String::new(),
        };
        // The rest of a long file was never read, so its size is not known here.
        let message = format!("the file is larger than {} KiB", LARGEST_FILE / 1024);
        return Checked::broken(vec![
            Diagnostic::new(Code::FileTooLarge, message, label).help("is this the right file?"),
        ]);
    }
    match String::from_utf8(bytes) {
        Ok(text) => read(Arc::new(SourceFile::new(path, text))),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let byte = error.as_bytes().get(valid).copied().unwrap_or_default();
            let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
            let label = Label {
                file: Arc::new(SourceFile::new(path, text)),
                span: valid..valid,
                text: "text up to here".to_owned(),
            };
            let message = format!("the file is not UTF-8 text: byte 0x{byte:02X} begins no character");
            Checked::broken(vec![
                Diagnostic::new(Code::NotUtf8, message, label).help("save the file as UTF-8"),
            ])
        }
    }
}

/// Reads one YAML document.
///
/// Syntax errors end the reading; duplicate keys, keys that are not text, and ambiguous scalars are all reported.
/// Never panics and never takes more than the budgets allow, whatever the text.
pub fn read(file: Arc<SourceFile>) -> Checked<Document> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        reject_unsupported_tags: true,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_VALUES,
            max_replay_stack_depth: DEEPEST,
            max_alias_expansions_per_anchor: 200,
        },
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
            max_nodes: MOST_VALUES,
            max_events: 3 * MOST_VALUES,
            max_aliases: 500,
            max_anchors: 500,
        },
    };
    let tree: Spanned<Node> = match serde_saphyr::from_str_with_options(&file.text, options) {
        Ok(tree) => tree,
        Err(error) => return Checked::broken(vec![explain(&file, &error)]),
    };
    let mut reading = Reading {
        file: &file,
        doubtful: BTreeSet::new(),
        findings: Vec::new(),
    };
    let (value, place) = reading.lower(tree, &Trail::START);
    let Reading {
        doubtful, findings, ..
    } = reading;
    if value.is_null() {
        return Checked::broken(vec![no_document(&file, place.value)]);
    }
    Checked {
        value: Some(Document {
            file,
            value,
            place,
            doubtful,
        }),
        findings,
    }
}

/// The document as the parser sees it, before anything is said about it.
enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Object(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;

        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a YAML value")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
                Ok(Node::Scalar(Value::Null))
            }

            fn visit_none<E: de::Error>(self) -> Result<Node, E> {
                Ok(Node::Scalar(Value::Null))
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
                Node::deserialize(deserializer)
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Scalar(value.into()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Scalar(value.into()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Scalar(value.into()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
                Number::from_f64(value)
                    .map(|number| Node::Scalar(Value::Number(number)))
                    .ok_or_else(|| E::custom("a number that is not finite"))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Scalar(value.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = access.next_element()? {
                    elements.push(element);
                }
                Ok(Node::List(elements))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node::Object(entries))
            }
        }

        deserializer.deserialize_any(NodeVisitor)
    }
}

/// The way to a value, kept on the stack: a pointer is only made of it for a finding.
struct Trail<'a> {
    parent: Option<&'a Trail<'a>>,
    member: &'a dyn std::fmt::Display,
}

impl Trail<'_> {
    const START: Trail<'static> = Trail {
        parent: None,
        member: &"",
    };

    fn then<'a>(&'a self, member: &'a dyn std::fmt::Display) -> Trail<'a> {
        Trail {
            parent: Some(self),
            member,
        }
    }

    fn pointer(&self) -> String {
        match self.parent {
            Some(parent) => pointer(&parent.pointer(), self.member),
            None => String::new(),
        }
    }
}

struct Reading<'a> {
    file: &'a Arc<SourceFile>,
    doubtful: BTreeSet<String>,
    findings: Vec<Diagnostic>,
}

impl Reading<'_> {
    /// Turns a node into a value and notes where it and everything in it was written.
    fn lower(&mut self, node: Spanned<Node>, at: &Trail<'_>) -> (Value, Place) {
        let mut place = Place {
            value: span(&node.referenced),
            ..Place::default()
        };
        let value = match node.value {
            Node::Scalar(value) => {
                self.scalar(&place.value, at);
                value
            }
            Node::List(elements) => elements
                .into_iter()
                .enumerate()
                .map(|(index, element)| {
                    let (value, inner) = self.lower(element, &at.then(&index));
                    place.children.push(inner);
                    value
                })
                .collect(),
            Node::Object(entries) => {
                let mut object = Map::with_capacity(entries.len());
                for (key, member) in entries {
                    let at = at.then(&key.value);
                    let span = span(&key.referenced);
                    // What a repeated key holds is not read: everything in it would be a repetition as well.
                    if object.contains_key(&key.value) {
                        let first = object.keys().position(|known| *known == key.value);
                        let first = first.and_then(|first| place.children.get(first)?.key.clone());
                        self.repeated(&key.value, span, first.unwrap_or_default(), &at);
                        continue;
                    }
                    self.key(&span, &at);
                    let (value, inner) = self.lower(member, &at);
                    place.children.push(Place {
                        key: Some(span),
                        ..inner
                    });
                    object.insert(key.value, value);
                }
                Value::Object(object)
            }
        };
        (value, place)
    }

    fn repeated(&mut self, key: &str, span: Span, first: Span, at: &Trail<'_>) {
        self.findings.push(
            Diagnostic::new(
                Code::DuplicateKey,
                format!("key `{key}` appears twice"),
                self.label(span, "again here"),
            )
            .at(at.pointer())
            .also(self.label(first, "first here"))
            .help("remove one of the two"),
        );
    }

    fn key(&mut self, span: &Span, at: &Trail<'_>) {
        let raw = self.file.slice(span);
        if is_not_text(raw) {
            self.findings.push(
                Diagnostic::new(
                    Code::NonStringKey,
                    format!("key `{raw}` is not text"),
                    self.label(span.clone(), "a key must be text"),
                )
                .at(at.pointer())
                .help(format!("put it in quotes: `\"{raw}\"`")),
            );
        } else {
            self.scalar(span, at);
        }
    }

    fn scalar(&mut self, span: &Span, at: &Trail<'_>) {
        let raw = self.file.slice(span);
        if let Some(why) = ambiguity(raw) {
            let at = at.pointer();
            self.doubtful.insert(at.clone());
            self.findings.push(
                Diagnostic::new(
                    Code::AmbiguousScalar,
                    format!("`{raw}` without quotes is ambiguous"),
                    self.label(span.clone(), why),
                )
                .at(at)
                .help(match raw.to_ascii_lowercase().as_str() {
                    "yes" | "on" => format!("write `\"{raw}\"` for the text, or `true`"),
                    "no" | "off" => format!("write `\"{raw}\"` for the text, or `false`"),
                    _ => format!("write `\"{raw}\"` for the text, or a plain decimal number"),
                }),
            );
        }
    }

    fn label(&self, span: Span, text: &str) -> Label {
        Label {
            file: self.file.clone(),
            span,
            text: text.to_owned(),
        }
    }
}

fn span(location: &Location) -> Span {
    let span = location.span();
    let start = span.byte_offset().unwrap_or(0) as usize;
    start..start + span.byte_len().unwrap_or(0) as usize
}

/// Why readers of YAML disagree about an unquoted scalar, if they do.
///
/// Source: YAML 1.1's types `bool`, `int` and `float`, against the core schema of YAML 1.2. The letters `y` and `n` are
/// left out: 1.1 lists them, and no reader in use takes them for booleans, while columns and options are named so.
fn ambiguity(raw: &str) -> Option<&'static str> {
    let unsigned = raw.strip_prefix(['-', '+']).unwrap_or(raw);
    let digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let starts_with_digit = unsigned.starts_with(|c: char| c.is_ascii_digit());
    match raw {
        "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "on" | "On" | "ON" | "off" | "Off" | "OFF" => {
            Some("a boolean in YAML 1.1, a text in YAML 1.2")
        }
        _ if unsigned.starts_with("0o") && digits(&unsigned[2..]) => {
            Some("an octal number in YAML 1.2, a text in YAML 1.1")
        }
        _ if unsigned.len() > 2
            && (unsigned.starts_with("0x") || unsigned.starts_with("0b"))
            && unsigned[2..]
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'_') =>
        {
            Some("a number to some readers, a text to others")
        }
        _ if unsigned.len() > 1 && unsigned.starts_with('0') && digits(unsigned) => {
            Some("an octal number in YAML 1.1, a decimal one in YAML 1.2")
        }
        _ if starts_with_digit
            && unsigned.contains('_')
            && unsigned
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'_' | b'.')) =>
        {
            Some("a number in YAML 1.1, a text in YAML 1.2")
        }
        _ if starts_with_digit
            && unsigned.contains(':')
            && unsigned.split(':').all(|part| part.len() <= 2 && digits(part)) =>
        {
            Some("a number in base 60 in YAML 1.1, a text in YAML 1.2")
        }
        _ => None,
    }
}

/// Whether an unquoted key is a number, boolean or null.
fn is_not_text(raw: &str) -> bool {
    matches!(
        raw,
        "" | "~" | "null" | "Null" | "NULL" | "true" | "True" | "TRUE" | "false" | "False" | "FALSE"
    ) || raw.starts_with(['[', '{', '?'])
        || (raw.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
            && raw.parse::<f64>().is_ok())
}

/// The finding that there is nothing to read, or only a null at a span.
fn no_document(file: &Arc<SourceFile>, span: Span) -> Diagnostic {
    let message = match file.slice(&span) {
        "" => "the file holds no document",
        _ => "the file holds nothing but null",
    };
    let label = Label {
        file: file.clone(),
        span,
        text: String::new(),
    };
    Diagnostic::new(Code::EmptyDocument, message, label)
        .help("`frames-sync generate TABLE` writes a mapping from a live table")
}

/// Where a parser's error points: by bytes where it knows them, else by line and column.
///
/// The scanner counts only lines and columns, in characters and from 1.
fn place(file: &SourceFile, location: &Location) -> Span {
    let bytes = span(location);
    if location.span().byte_offset().is_some() && bytes.end > 0 {
        return bytes;
    }
    let line = usize::try_from(location.line()).unwrap_or(1).max(1);
    let column = usize::try_from(location.column()).unwrap_or(1).max(1);
    let start: usize = file.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let text = file.text[start..].lines().next().unwrap_or_default();
    let offset = text
        .char_indices()
        .nth(column - 1)
        .map_or(text.len(), |(at, _)| at);
    let width = text[offset..].chars().next().map_or(0, char::len_utf8);
    start + offset..start + offset + width
}

/// One finding for the error that ended the reading.
fn explain(file: &Arc<SourceFile>, error: &Error) -> Diagnostic {
    let error = error.without_snippet();
    let place = error.location().map_or(0..0, |location| place(file, &location));
    let label = |text: &str| Label {
        file: file.clone(),
        span: place.clone(),
        text: text.to_owned(),
    };
    if let Some(tab) = indenting_tab(&file.text, place.start) {
        let label = Label {
            file: file.clone(),
            span: tab,
            text: "a tab".to_owned(),
        };
        return Diagnostic::new(Code::TabIndentation, "the line is indented with a tab", label)
            .help("indent with two spaces");
    }
    match error {
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => Diagnostic::new(
            Code::TooComplex,
            "aliases repeat more than may be read",
            label("up to here"),
        )
        .help("write out what is meant; no mapping needs so many repetitions"),
        Error::Budget { .. } => Diagnostic::new(
            Code::TooComplex,
            "the document is too large or too deep to read",
            label("up to here"),
        )
        .help("no mapping comes near these limits; is this the right file?"),
        Error::AliasError { error, .. } => explain(file, error),
        Error::NullIntoString { .. } => Diagnostic::new(
            Code::NonStringKey,
            "a key is null, which is not text",
            label("a key must be text"),
        )
        .help("name the key, or put it in quotes"),
        Error::MultipleDocuments { .. } => {
            Diagnostic::new(Code::SeveralDocuments, "a second document begins", label("here"))
                .help("move it to a file of its own")
        }
        Error::Eof { .. } if file.text.trim_start_matches('\u{feff}').trim().is_empty() => {
            no_document(file, 0..0)
        }
        other => {
            let message = first_line(&other.to_string());
            if message.contains("tag") && file.slice(&place).starts_with('!')
                || message.contains("unsupported tag")
            {
                return Diagnostic::new(
                    Code::YamlTag,
                    "the value carries a tag",
                    label("tags have no meaning here"),
                )
                .help("variables are written as templates: `\"{{ env.NAME }}\"`");
            }
            // Only keys are read as text and nothing else.
            if message.contains("expected string scalar") {
                return Diagnostic::new(
                    Code::NonStringKey,
                    "a key is a list or an object, which is not text",
                    label("a key must be text"),
                )
                .help("name the key by one text");
            }
            if message.contains("recursion") || message.contains("nesting") || message.contains("budget") {
                return Diagnostic::new(
                    Code::TooComplex,
                    "the document is too large or too deep to read",
                    label("up to here"),
                )
                .help("no mapping comes near these limits; is this the right file?");
            }
            Diagnostic::new(
                Code::YamlSyntax,
                format!("not valid YAML: {message}"),
                label("reading stopped here"),
            )
        }
    }
}

/// The parser's message without its position, which the frame shows.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let line = match line.split_once(": ") {
        Some((position, rest)) if position.starts_with("line ") => rest,
        _ => line,
    };
    let line = line.split(" at line ").next().unwrap_or(line);
    line.trim_end_matches('.').to_owned()
}

/// The tab that indents the line of a byte, or the line before it.
fn indenting_tab(text: &str, byte: usize) -> Option<Span> {
    let byte = text.floor_char_boundary(byte);
    let line_start = |end: usize| text[..end].rfind('\n').map_or(0, |index| index + 1);
    let this = line_start(byte);
    let before = line_start(this.saturating_sub(1));
    [this, before].into_iter().find_map(|start| {
        let line = text[start..].lines().next().unwrap_or_default();
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        line[..indent].find('\t').map(|tab| start + tab..start + tab + 1)
    })
}
