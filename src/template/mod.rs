//! The templates of project and mapping files: minijinja without files, bounded in time and size.
//!
//! A [`Template`] is checked when it is parsed, says which names it uses, and renders from a context that its
//! caller builds. `uuid()` and `now()` come out of an [`Ambient`], so that rendering stays a function of its
//! arguments.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value as Jinja};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

mod scan;
#[cfg(test)]
mod tests;

use scan::{Tag, TokenKind};

/// Steps a template may take: thousands of times what a mapping's line needs, and still milliseconds.
const FUEL: u64 = 50_000;
/// Bytes a template may produce: past what one Notion property takes (200,000 UTF-16 units).
const OUTPUT_LIMIT: usize = 1 << 20;
/// Bytes a template may be long: a line of a mapping, not a program.
const SOURCE_LIMIT: usize = 64 * 1024;
/// Statements that reach for other templates, of which there are none.
const FORBIDDEN: [&str; 5] = ["include", "import", "from", "extends", "block"];
/// The functions of ours, which take their values from the [`Ambient`].
const FUNCTIONS: [&str; 2] = ["uuid", "now"];
const NAME: &str = "template";

/// A parsed template.
///
/// Equal templates have the same text. Cloning is cheap.
#[derive(Clone)]
pub struct Template {
    text: String,
    environment: Arc<Environment<'static>>,
    body: Body,
}

#[derive(Clone)]
enum Body {
    /// No tags at all.
    Plain,
    /// Exactly one `{{ … }}`, whose value keeps its type; where the expression stands in the text.
    Expression(Range<usize>),
    /// Anything else: text comes out.
    Text,
}

impl Template {
    /// Parses a template, with every filter and test it names known to exist.
    ///
    /// # Errors
    /// The first fault found, with its place in `text` where that is known.
    pub fn parse(text: impl Into<String>) -> Result<Self, TemplateError> {
        let text = text.into();
        if text.len() > SOURCE_LIMIT {
            return Err(TemplateError::new(
                TemplateFault::TooLong,
                "template is longer than 64 KiB",
            ));
        }
        if !text.contains("{{") && !text.contains("{%") && !text.contains("{#") {
            return Ok(Self {
                text,
                environment: RESTRICTED.clone(),
                body: Body::Plain,
            });
        }
        let mut environment = Environment::clone(&RESTRICTED);
        check_tags(&environment, &scan::tags(&text))?;
        environment
            .add_template_owned(NAME, text.clone())
            .map_err(|error| TemplateError::parsing(&error, &text))?;
        let body = match single_expression(&text) {
            Some(range) if environment.compile_expression(&text[range.clone()]).is_ok() => {
                Body::Expression(range)
            }
            _ => Body::Text,
        };
        Ok(Self {
            text,
            environment: Arc::new(environment),
            body,
        })
    }

    /// The template as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the template has no tags: it says the same whatever the context.
    pub fn is_plain(&self) -> bool {
        matches!(self.body, Body::Plain)
    }

    /// The names that the context must supply, without those that the template sets and the built-in ones.
    ///
    /// A name behind a `default` filter or an `is defined` test counts too.
    pub fn variables(&self) -> BTreeSet<String> {
        let called = self.called_functions();
        self.undeclared(false)
            .into_iter()
            .filter(|name| !called.contains(name.as_str()))
            .collect()
    }

    /// Names with their literal attributes, such as `env.DATABASE_URL` or `profile.name`; bare names as they are.
    pub fn references(&self) -> BTreeSet<String> {
        let called = self.called_functions();
        self.undeclared(true)
            .into_iter()
            .filter(|name| !called.contains(name.as_str()))
            .collect()
    }

    /// The columns that are named literally through `row`: `row.name` and `row["odd name"]`.
    pub fn row_columns(&self) -> BTreeSet<String> {
        let mut columns = BTreeSet::new();
        for tag in scan::tags(&self.text) {
            for (index, token) in tag.tokens.iter().enumerate() {
                let attribute_itself = index > 0 && tag.tokens[index - 1].is('.');
                if token.name() != Some("row") || attribute_itself {
                    continue;
                }
                match (tag.tokens.get(index + 1), tag.tokens.get(index + 2)) {
                    (Some(dot), Some(name)) if dot.is('.') => {
                        columns.extend(name.name().map(str::to_owned));
                    }
                    (Some(bracket), Some(literal)) if bracket.is('[') => {
                        if let TokenKind::Literal(Some(text)) = &literal.kind {
                            columns.insert(text.clone());
                        }
                    }
                    _ => {}
                }
            }
        }
        columns
    }

    /// Whether `uuid()` or `now()` is called, so that no two renderings need agree.
    pub fn uses_ambient(&self) -> bool {
        !self.called_functions().is_empty()
    }

    /// Renders the template: text, or for a template of exactly one expression the expression's value.
    ///
    /// `context` is an object whose keys are the variables; a variable hides the function of its name. NULL
    /// within text comes out as nothing.
    ///
    /// # Errors
    /// A name that the context does not supply, an operation on the wrong kind of value, or a limit reached.
    /// Messages quote the template and never a value of the context.
    pub fn render(
        &self,
        context: &serde_json::Value,
        ambient: &Ambient,
    ) -> Result<serde_json::Value, TemplateError> {
        match &self.body {
            Body::Plain => Ok(serde_json::Value::String(self.text.clone())),
            Body::Expression(range) => {
                let failed = |error: &minijinja::Error| self.failure(error, range.start);
                let expression = self
                    .environment
                    .compile_expression(&self.text[range.clone()])
                    .map_err(|error| failed(&error))?;
                let value = expression
                    .eval(self.context(context, ambient))
                    .map_err(|error| failed(&error))?;
                if value.is_undefined() {
                    return Err(self.undefined(Some(range.clone())));
                }
                if value.as_str().is_some_and(|text| text.len() > OUTPUT_LIMIT) {
                    return Err(too_long());
                }
                serde_json::to_value(&value).map_err(|_| {
                    TemplateError::new(TemplateFault::Failed, "the result is no plain value")
                        .at(Some(range.clone()))
                })
            }
            Body::Text => {
                let failed = |error: &minijinja::Error| self.failure(error, 0);
                let template = self
                    .environment
                    .get_template(NAME)
                    .map_err(|error| failed(&error))?;
                let mut output = Bounded::default();
                template
                    .render_captured_to(self.context(context, ambient), &mut output)
                    .map_err(|error| {
                        if output.overflowed {
                            too_long()
                        } else {
                            failed(&error)
                        }
                    })?;
                String::from_utf8(output.bytes)
                    .map(serde_json::Value::String)
                    .map_err(|_| TemplateError::new(TemplateFault::Failed, "the result is no text"))
            }
        }
    }

    fn context(&self, context: &serde_json::Value, ambient: &Ambient) -> Jinja {
        let mut names: Vec<(String, Jinja)> = vec![
            ("uuid".to_owned(), ambient.uuid_function()),
            ("now".to_owned(), Jinja::from_function(ambient.now_function())),
        ];
        if let serde_json::Value::Object(object) = context {
            for (name, value) in object {
                names.push((name.clone(), Jinja::from(Serde(value))));
            }
        }
        Jinja::from_pairs(names)
    }

    fn undeclared(&self, nested: bool) -> BTreeSet<String> {
        let Ok(template) = self.environment.get_template(NAME) else {
            return BTreeSet::new();
        };
        let built_in: BTreeSet<&str> = self.environment.globals().map(|(name, _)| name).collect();
        template
            .undeclared_variables(nested)
            .into_iter()
            .filter(|name| !built_in.contains(name.as_str()))
            .collect()
    }

    fn called_functions(&self) -> BTreeSet<&'static str> {
        let mut called = BTreeSet::new();
        for tag in scan::tags(&self.text) {
            for pair in tag.tokens.windows(2) {
                let function = FUNCTIONS.into_iter().find(|name| pair[0].name() == Some(name));
                if pair[1].is('(') {
                    called.extend(function);
                }
            }
        }
        called
    }

    fn failure(&self, error: &minijinja::Error, offset: usize) -> TemplateError {
        let range = error
            .range()
            .map(|range| range.start + offset..range.end + offset)
            .filter(|range| self.text.get(range.clone()).is_some_and(|text| !text.is_empty()));
        match error.kind() {
            ErrorKind::UndefinedError => self.undefined(range),
            ErrorKind::OutOfFuel => {
                TemplateError::new(TemplateFault::OutOfFuel, "the template takes too many steps")
            }
            // Minijinja's detail may quote a value of the context, so only the kind of error is passed on.
            kind => TemplateError::new(TemplateFault::Failed, kind.to_string()).at(range),
        }
    }

    fn undefined(&self, range: Option<Range<usize>>) -> TemplateError {
        let quoted = range
            .clone()
            .and_then(|range| self.text.get(range))
            .map(str::trim);
        let message = match quoted {
            Some(name) => format!("`{name}` is not defined"),
            None => "a name is not defined".to_owned(),
        };
        TemplateError::new(TemplateFault::Undefined, message).at(range)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.text).finish()
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Template {}

/// What a rendering may know of the world: the present instant and a fresh identifier, both given by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambient {
    /// What `now()` says, in RFC 3339.
    pub now: OffsetDateTime,
    /// What the first `uuid()` of a rendering says; later ones derive from it.
    pub uuid: Uuid,
}

impl Ambient {
    /// The ambient of templates that must come out the same every time: the epoch and the nil identifier.
    pub const FIXED: Ambient = Ambient {
        now: OffsetDateTime::UNIX_EPOCH,
        uuid: Uuid::nil(),
    };

    /// Another ambient of the same instant, whose identifiers differ for each label.
    pub fn labelled(&self, label: &str) -> Ambient {
        Ambient {
            now: self.now,
            uuid: derived(self.uuid, label.as_bytes()),
        }
    }

    fn uuid_function(&self) -> Jinja {
        let first = self.uuid;
        let calls = AtomicU64::new(0);
        Jinja::from_function(move || match calls.fetch_add(1, Ordering::Relaxed) {
            0 => first.to_string(),
            call => derived(first, &call.to_be_bytes()).to_string(),
        })
    }

    fn now_function(&self) -> impl Fn() -> String + Send + Sync + 'static + use<> {
        let now = self.now;
        move || now.format(&Rfc3339).unwrap_or_default()
    }
}

/// An identifier of version 4's shape out of another one and a label.
fn derived(from: Uuid, label: &[u8]) -> Uuid {
    let digest = Sha256::new()
        .chain_update(from.as_bytes())
        .chain_update(label)
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// What is wrong with a template, or with what it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// The kind of fault.
    pub fault: TemplateFault,
    /// The fault in words, quoting the template at most.
    pub message: String,
    /// Where it stands in the template, in bytes.
    pub range: Option<Range<usize>>,
}

/// The kinds of fault a template can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateFault {
    /// It cannot be read.
    Syntax,
    /// It uses a statement that is not allowed here.
    Forbidden,
    /// It names a filter that does not exist.
    UnknownFilter,
    /// It names a test that does not exist.
    UnknownTest,
    /// The context lacks a name it uses.
    Undefined,
    /// It takes too many steps.
    OutOfFuel,
    /// It, or what it produces, is too long.
    TooLong,
    /// An operation on a value failed.
    Failed,
}

impl TemplateError {
    fn new(fault: TemplateFault, message: impl Into<String>) -> Self {
        Self {
            fault,
            message: message.into(),
            range: None,
        }
    }

    fn at(mut self, range: Option<Range<usize>>) -> Self {
        self.range = range;
        self
    }

    /// A fault found before any value was there: its detail can only quote the template.
    fn parsing(error: &minijinja::Error, text: &str) -> Self {
        let message = error
            .detail()
            .map_or_else(|| error.kind().to_string(), str::to_owned);
        let range = error
            .range()
            .filter(|range| text.get(range.clone()).is_some())
            .or_else(|| {
                let line = error.line()?.checked_sub(1)?;
                let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
                let length = text.get(start..)?.lines().next().map_or(0, str::len);
                Some(start..start + length)
            });
        Self::new(TemplateFault::Syntax, message).at(range)
    }
}

fn too_long() -> TemplateError {
    TemplateError::new(TemplateFault::TooLong, "the template produces more than 1 MiB")
}

/// The environment of every template, before it has one: building it costs more than parsing a line.
static RESTRICTED: LazyLock<Arc<Environment<'static>>> = LazyLock::new(|| Arc::new(restricted()));

fn restricted() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(64);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(|out, state, value| {
        if value.is_none() {
            return Ok(());
        }
        minijinja::escape_formatter(out, state, value)
    });
    // It prints every variable in reach, secrets among them.
    environment.remove_global("debug");
    environment.add_filter("slug", |text: String| slug(&text));
    environment
}

/// Lower-case ASCII letters and digits, with one hyphen for each run of anything else between them.
fn slug(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for character in text.chars().flat_map(char::to_lowercase) {
        if character.is_ascii_alphanumeric() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// The expression's place, if the text is `{{ … }}` and nothing else; it may still hold several tags.
fn single_expression(text: &str) -> Option<Range<usize>> {
    let inside = text.strip_prefix("{{")?.strip_suffix("}}")?;
    let start = 2 + usize::from(inside.starts_with(['-', '+']));
    let end = text.len() - 2 - usize::from(inside.ends_with(['-', '+']));
    (start < end).then_some(start..end)
}

fn check_tags(environment: &Environment<'_>, tags: &[Tag]) -> Result<(), TemplateError> {
    for tag in tags {
        let first = tag.tokens.iter().find(|token| token.name().is_some());
        if let Some(token) = first
            && let Some(name) = token.name()
            && tag.statement
            && FORBIDDEN.contains(&name)
        {
            let message = format!("`{name}` is not allowed: a template stands alone");
            return Err(TemplateError::new(TemplateFault::Forbidden, message).at(Some(token.range.clone())));
        }
        for (index, token) in tag.tokens.iter().enumerate() {
            let Some(name) = token.name() else { continue };
            let before = |steps: usize| index.checked_sub(steps).map(|at| &tag.tokens[at]);
            let after_bar = before(1).is_some_and(|token| token.is('|'));
            let tested = before(1).and_then(|token| token.name()) == Some("is") && name != "not"
                || before(1).and_then(|token| token.name()) == Some("not")
                    && before(2).and_then(|token| token.name()) == Some("is");
            if after_bar && unknown(environment, name, ErrorKind::UnknownFilter) {
                let message = format!("unknown filter `{name}`");
                return Err(
                    TemplateError::new(TemplateFault::UnknownFilter, message).at(Some(token.range.clone()))
                );
            }
            if tested && unknown(environment, name, ErrorKind::UnknownTest) {
                let message = format!("unknown test `{name}`");
                return Err(
                    TemplateError::new(TemplateFault::UnknownTest, message).at(Some(token.range.clone()))
                );
            }
        }
    }
    Ok(())
}

/// Whether applying the filter or test of that name fails for want of it.
fn unknown(environment: &Environment<'_>, name: &str, kind: ErrorKind) -> bool {
    let mut state = environment.empty_state();
    let failed = match kind {
        ErrorKind::UnknownTest => state.perform_test(name, &[]).err(),
        _ => state.apply_filter(name, &[]).err(),
    };
    failed.is_some_and(|error| error.kind() == kind)
}

/// Takes bytes up to the limit, then refuses.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > OUTPUT_LIMIT {
            self.overflowed = true;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
