//! A JSON Schema, and its violations in words.
//!
//! A validator says that a value is "not valid under any of the schemas listed in the 'oneOf' keyword". What the
//! person meant is in the branches: the one that their `type` names, or the only one whose shape fits.

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::document::{Document, pointer};
use crate::diagnostic::{Code, Diagnostic, did_you_mean, nearest};

/// A compiled JSON Schema (Draft 2020-12).
#[derive(Debug)]
pub struct Schema {
    source: Value,
    validator: Validator,
}

impl Schema {
    /// Compiles a schema that this program made; it refers to nothing outside itself.
    ///
    /// # Errors
    ///
    /// The first fault of the schema itself, as text.
    pub fn compile(source: Value) -> Result<Self, String> {
        let validator = jsonschema::draft202012::new(&source).map_err(|error| error.to_string())?;
        Ok(Self { source, validator })
    }

    /// The schema as JSON.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Everything about the document that the schema does not allow, each mistake once.
    ///
    /// Values that were found ambiguous may have findings here too; [`Document::is_doubtful`] tells them.
    pub fn check(&self, document: &Document) -> Vec<Diagnostic> {
        if self.validator.is_valid(&document.value) {
            return Vec::new();
        }
        let mut violations = Violations {
            document,
            schema: &self.source,
            findings: Vec::new(),
        };
        for error in self.validator.iter_errors(&document.value) {
            violations.explain(&error);
        }
        violations.finish()
    }
}

struct Violations<'a> {
    document: &'a Document,
    schema: &'a Value,
    findings: Vec<Diagnostic>,
}

impl Violations<'_> {
    fn explain(&mut self, error: &ValidationError<'_>) {
        let at = error.instance_path().to_string();
        match error.kind() {
            Kind::OneOfNotValid { context }
            | Kind::OneOfMultipleValid { context }
            | Kind::AnyOf { context } => {
                self.explain_branches(&at, error.instance(), context);
            }
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                let known = self.known_keys(error);
                for key in unexpected {
                    self.unknown_key(&at, key, error.instance(), &known);
                }
            }
            Kind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                let finding = self
                    .document
                    .key_finding(
                        Code::MissingKey,
                        &at,
                        format!("{} has no `{key}`", self.subject(&at)),
                        format!("`{key}` is required here"),
                    )
                    .help(self.describe_key(error, key));
                self.findings.push(finding);
            }
            Kind::Type { .. } => {
                let expected = self.allowed_types(error);
                self.wrong_type(&at, error.instance(), &expected);
            }
            Kind::Enum { options } => {
                let allowed: Vec<&str> = options
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                self.unknown_value(&at, error.instance(), &allowed);
            }
            Kind::Constant { expected_value } => match (expected_value.as_ref(), at.as_str()) {
                (expected, "/version") => {
                    let finding = self
                        .document
                        .value_finding(
                            Code::UnsupportedVersion,
                            &at,
                            format!("version {} is not supported", error.instance()),
                            format!("this program reads version {expected}"),
                        )
                        .help(format!("write `version: {expected}`, or update frames-sync"));
                    self.findings.push(finding);
                }
                (Value::String(only), _) => self.unknown_value(&at, error.instance(), &[only.as_str()]),
                (other, _) => self.wrong_type(&at, error.instance(), &[other.to_string()]),
            },
            Kind::Pattern { .. } | Kind::Format { .. } => {
                let form = self.hint(error).unwrap_or_else(|| "another form".to_owned());
                let finding = self.document.value_finding(
                    Code::InvalidFormat,
                    &at,
                    format!("{} is not {form}", shown(error.instance())),
                    format!("expected {form}"),
                );
                self.findings.push(finding);
            }
            Kind::MinItems { .. } | Kind::MinLength { .. } | Kind::MinProperties { .. } => {
                let finding = self
                    .document
                    .key_finding(
                        Code::EmptyValue,
                        &at,
                        format!("{} is empty", self.subject(&at)),
                        "must hold something",
                    )
                    .help(match error.kind() {
                        Kind::MinLength { .. } => "write at least one character",
                        Kind::MinItems { .. } => "list at least one",
                        _ => "write at least one key",
                    });
                self.findings.push(finding);
            }
            Kind::Minimum { limit }
            | Kind::Maximum { limit }
            | Kind::ExclusiveMinimum { limit }
            | Kind::ExclusiveMaximum { limit } => {
                let side = match error.kind() {
                    Kind::Minimum { .. } => "at least",
                    Kind::Maximum { .. } => "at most",
                    Kind::ExclusiveMinimum { .. } => "more than",
                    _ => "less than",
                };
                let finding = self.document.value_finding(
                    Code::OutOfRange,
                    &at,
                    format!("{} is out of range", shown(error.instance())),
                    format!("must be {side} {limit}"),
                );
                self.findings.push(finding);
            }
            Kind::MaxLength { limit } | Kind::MaxItems { limit } | Kind::MaxProperties { limit } => {
                let finding = self.document.key_finding(
                    Code::OutOfRange,
                    &at,
                    format!("{} is too long", self.subject(&at)),
                    format!("at most {limit}"),
                );
                self.findings.push(finding);
            }
            Kind::PropertyNames { error: inner } => {
                let key = inner.instance().as_str().unwrap_or_default();
                let here = pointer(&at, key);
                let (code, message, label) = if key.is_empty() {
                    (
                        Code::EmptyValue,
                        "a name is empty".to_owned(),
                        "must hold something".to_owned(),
                    )
                } else {
                    let form = self.hint(error).unwrap_or_else(|| "a valid name".to_owned());
                    (
                        Code::InvalidFormat,
                        format!("`{key}` is not {form}"),
                        format!("expected {form}"),
                    )
                };
                let finding = self.document.key_finding(code, &here, message, label);
                self.findings.push(finding);
            }
            // The schemas use no other keyword; a new one still gets a place and the validator's own words.
            _ => {
                let finding =
                    self.document
                        .value_finding(Code::WrongType, &at, error.to_string(), "not allowed here");
                self.findings.push(finding);
            }
        }
    }

    /// Explains a value that fits none of several shapes by the one that was meant.
    fn explain_branches(&mut self, at: &str, instance: &Value, context: &[Vec<ValidationError<'static>>]) {
        let tag_at = pointer(at, "type");
        let refuses_tag = |branch: &&Vec<ValidationError<'static>>| {
            branch.iter().any(|error| {
                matches!(error.kind(), Kind::Constant { .. } | Kind::Enum { .. })
                    && error.instance_path().to_string() == tag_at
            })
        };
        let tags: Vec<String> = context
            .iter()
            .flatten()
            .filter(|error| error.instance_path().to_string() == tag_at)
            .flat_map(|error| match error.kind() {
                Kind::Constant { expected_value } => vec![expected_value.as_ref().clone()],
                Kind::Enum { options } => options.as_array().cloned().unwrap_or_default(),
                _ => Vec::new(),
            })
            .filter_map(|tag| tag.as_str().map(str::to_owned))
            .collect();
        let is_tagged = !tags.is_empty() || context.iter().flatten().any(|error| is_missing(error, "type"));
        if is_tagged && instance.is_object() {
            match instance.get("type") {
                None => self.missing_tag(at, instance),
                Some(Value::String(tag)) => {
                    let meant: Vec<_> = context.iter().filter(|branch| !refuses_tag(branch)).collect();
                    match meant.as_slice() {
                        [branch] => self.explain_all(branch),
                        _ => self.unknown_tag(&tag_at, tag, &tags),
                    }
                }
                Some(other) => self.wrong_type(&tag_at, other, &["string".to_owned()]),
            }
            return;
        }
        let meant: Vec<_> = context.iter().filter(|branch| fits_shape(branch, at)).collect();
        // A list of constants, each with a description of its own, is a `oneOf`: all of them were possible.
        let mut constants = Vec::new();
        for branch in &meant {
            collect_constants(branch, at, &mut constants);
        }
        if instance.is_string() && !constants.is_empty() {
            let allowed: Vec<&str> = constants.iter().map(String::as_str).collect();
            self.unknown_value(at, instance, &allowed);
            return;
        }
        match meant.iter().min_by_key(|branch| branch.len()) {
            Some(branch) => self.explain_all(branch),
            None => {
                let mut expected: Vec<String> = Vec::new();
                for branch in context {
                    self.collect_types(branch, &mut expected);
                }
                self.wrong_type(at, instance, &expected);
            }
        }
    }

    /// The types that branches ask for, those of branches within them included, each once.
    fn collect_types(&self, branch: &[ValidationError<'static>], into: &mut Vec<String>) {
        for error in branch {
            match error.kind() {
                Kind::OneOfNotValid { context } | Kind::AnyOf { context } => {
                    for inner in context {
                        self.collect_types(inner, into);
                    }
                }
                _ => {
                    for name in self.allowed_types(error) {
                        if !into.contains(&name) {
                            into.push(name);
                        }
                    }
                }
            }
        }
    }

    fn explain_all(&mut self, errors: &[ValidationError<'static>]) {
        for error in errors {
            self.explain(error);
        }
    }

    fn missing_tag(&mut self, at: &str, instance: &Value) {
        let misspelt = instance
            .as_object()
            .into_iter()
            .flat_map(|object| object.keys())
            .find(|key| nearest(key, ["type"]).is_some());
        let finding = match misspelt {
            Some(key) => self
                .document
                .key_finding(
                    Code::UnknownKey,
                    &pointer(at, key),
                    format!("unknown key `{key}`"),
                    "not a key of this object",
                )
                .help("did you mean `type`?"),
            None => self
                .document
                .key_finding(
                    Code::MissingKey,
                    at,
                    format!("{} has no `type`", self.subject(at)),
                    "`type` is required here",
                )
                .help("the type of the property in Notion, such as `type: rich_text`"),
        };
        self.findings.push(finding);
    }

    fn unknown_tag(&mut self, at: &str, tag: &str, tags: &[String]) {
        let known = tags.iter().map(String::as_str);
        let everyday = match tag.to_lowercase().as_str() {
            "text" | "string" | "varchar" => Some("rich_text"),
            "tags" | "multiselect" | "array" => Some("multi_select"),
            "bool" | "boolean" => Some("checkbox"),
            "int" | "integer" | "float" | "numeric" | "decimal" => Some("number"),
            "datetime" | "timestamp" | "time" => Some("date"),
            "phone" => Some("phone_number"),
            "link" | "uri" => Some("url"),
            "file" | "attachment" => Some("files"),
            "person" | "user" => Some("people"),
            "enum" => Some("select"),
            _ => None,
        };
        let help = match everyday.or_else(|| nearest(tag, known.clone())) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known types: {}", tags.join(", ")),
        };
        let finding = self
            .document
            .value_finding(
                Code::UnknownPropertyType,
                at,
                format!("unknown property type `{tag}`"),
                "not a type of Notion's",
            )
            .help(help);
        self.findings.push(finding);
    }

    fn unknown_key(&mut self, at: &str, key: &str, instance: &Value, known: &[String]) {
        let absent = || {
            known
                .iter()
                .map(String::as_str)
                .filter(|known| instance.get(*known).is_none())
        };
        let help = did_you_mean(key, absent()).unwrap_or_else(|| format!("keys here: {}", known.join(", ")));
        let finding = self
            .document
            .key_finding(
                Code::UnknownKey,
                &pointer(at, key),
                format!("unknown key `{key}`"),
                "not a key of this object",
            )
            .help(help);
        self.findings.push(finding);
    }

    fn unknown_value(&mut self, at: &str, instance: &Value, allowed: &[&str]) {
        let Some(text) = instance.as_str() else {
            self.wrong_type(at, instance, &["string".to_owned()]);
            return;
        };
        // A label stands beside the code and must stay short; a long list moves to the help line, whole.
        const SHORT: usize = 12;
        let all: Vec<String> = allowed.iter().map(|name| format!("`{name}`")).collect();
        let all = all.join(", ");
        let (label, list) = if allowed.len() <= SHORT {
            (format!("expected {all}"), None)
        } else {
            (
                format!("not one of its {} values", allowed.len()),
                Some(format!("one of {all}")),
            )
        };
        let suggestion = did_you_mean(text, allowed.iter().copied());
        let help = match (suggestion, list) {
            (Some(suggestion), Some(list)) => format!("{suggestion} {list}"),
            (Some(suggestion), None) => suggestion,
            (None, _) => format!("one of {all}"),
        };
        let message = match last_key(at) {
            Some(key) => format!("`{text}` is not a value of `{key}`"),
            None => format!("`{text}` is not allowed here"),
        };
        let finding = self
            .document
            .value_finding(Code::UnknownValue, at, message, label)
            .help(help);
        self.findings.push(finding);
    }

    fn wrong_type(&mut self, at: &str, instance: &Value, expected: &[String]) {
        let mut names: Vec<&str> = expected.iter().map(|name| type_name(name)).collect();
        names.retain(|name| *name != "null" || expected.len() == 1);
        names.dedup();
        let expected = match names.as_slice() {
            [] => "something else".to_owned(),
            [one, other] => format!("{one} or {other}"),
            [rest @ .., last] if !rest.is_empty() => format!("{}, or {last}", rest.join(", ")),
            [only, ..] => (*only).to_owned(),
        };
        let found = match instance {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        let finding = self.document.value_finding(
            Code::WrongType,
            at,
            format!("{} must be {expected}, not {found}", self.subject(at)),
            format!("expected {expected}"),
        );
        self.findings.push(finding);
    }

    /// What a message calls the thing at a pointer.
    fn subject(&self, at: &str) -> String {
        match last_key(at) {
            Some(key) if key.parse::<usize>().is_ok() => {
                let list = at.rsplit_once('/').and_then(|(parent, _)| last_key(parent));
                match list {
                    Some(list) => format!("an element of `{list}`"),
                    None => "an element".to_owned(),
                }
            }
            Some(key) => format!("`{key}`"),
            None => "the file".to_owned(),
        }
    }

    /// The keys that the object around a refused key may have.
    fn known_keys(&self, error: &ValidationError<'_>) -> Vec<String> {
        self.around(error)
            .and_then(|schema| schema.get("properties"))
            .and_then(Value::as_object)
            .map(|properties| properties.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// The first sentence of a key's description in the schema.
    fn describe_key(&self, error: &ValidationError<'_>, key: &str) -> String {
        self.around(error)
            .and_then(|schema| schema.get("properties")?.get(key)?.get("description")?.as_str())
            .map(|description| {
                let sentence = description.split(". ").next().unwrap_or(description);
                let sentence = sentence.trim_end_matches('.').replace('\n', " ");
                format!("`{key}`: {sentence}")
            })
            .unwrap_or_else(|| format!("add `{key}`"))
    }

    /// What the schema says a pattern stands for: its `x-form`, made for these messages.
    fn hint(&self, error: &ValidationError<'_>) -> Option<String> {
        self.around(error)?.get("x-form")?.as_str().map(str::to_owned)
    }

    fn allowed_types(&self, error: &ValidationError<'_>) -> Vec<String> {
        if !matches!(error.kind(), Kind::Type { .. }) {
            return Vec::new();
        }
        match self.schema.pointer(&error.schema_path().to_string()) {
            Some(Value::String(name)) => vec![name.clone()],
            Some(Value::Array(names)) => names
                .iter()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The schema object that holds the keyword which was violated.
    fn around(&self, error: &ValidationError<'_>) -> Option<&Value> {
        let path = error.schema_path().to_string();
        let (parent, _keyword) = path.rsplit_once('/')?;
        self.schema.pointer(parent)
    }

    /// Leaves one finding for each mistake: a key that is missing because it is misspelt is one.
    fn finish(self) -> Vec<Diagnostic> {
        let meant: Vec<(String, String)> = self
            .findings
            .iter()
            .filter(|finding| finding.code == Code::UnknownKey)
            .filter_map(|finding| {
                let key = finding.suggestion()?;
                let (object, _) = finding.pointer.rsplit_once('/')?;
                Some((object.to_owned(), key.to_owned()))
            })
            .collect();
        let mut findings = self.findings;
        findings.retain(|finding| {
            finding.code != Code::MissingKey
                || !meant.iter().any(|(object, key)| {
                    &finding.pointer == object && finding.message.ends_with(&format!("has no `{key}`"))
                })
        });
        findings
    }
}

/// Whether a value has the JSON type that a branch asks for, whatever else is wrong with it.
fn fits_shape(branch: &[ValidationError<'static>], at: &str) -> bool {
    !branch.iter().any(|error| {
        error.instance_path().to_string() == at
            && match error.kind() {
                Kind::Type { .. } => true,
                Kind::OneOfNotValid { context } | Kind::AnyOf { context } => {
                    !context.iter().any(|inner| fits_shape(inner, at))
                }
                _ => false,
            }
    })
}

/// The texts that a branch, and the branches within it, would have allowed at a place.
fn collect_constants(branch: &[ValidationError<'static>], at: &str, into: &mut Vec<String>) {
    for error in branch {
        if error.instance_path().to_string() != at {
            continue;
        }
        match error.kind() {
            Kind::Constant { expected_value } => into.extend(expected_value.as_str().map(str::to_owned)),
            Kind::Enum { options } => into.extend(
                options
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|option| option.as_str().map(str::to_owned)),
            ),
            Kind::OneOfNotValid { context } | Kind::AnyOf { context } => {
                for inner in context {
                    collect_constants(inner, at, into);
                }
            }
            _ => {}
        }
    }
}

fn is_missing(error: &ValidationError<'_>, key: &str) -> bool {
    matches!(error.kind(), Kind::Required { property } if property.as_str() == Some(key))
}

/// The last segment of a pointer, unescaped.
fn last_key(at: &str) -> Option<String> {
    at.rsplit_once('/')
        .map(|(_, key)| key.replace("~1", "/").replace("~0", "~"))
}

fn type_name(json_type: &str) -> &str {
    match json_type {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        other => other,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}
