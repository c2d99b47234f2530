//! What is wrong with the user's files: findings with a code, a place and a cure.
//!
//! A check never stops at its first finding: it pushes [`Diagnostic`]s and answers with as much as it
//! understood ([`Checked`]). Rendering is the caller's: as text like rustc's, JSON, GitHub commands or SARIF.

mod code;
mod render;
mod source;

use std::sync::Arc;

pub use code::{Code, Layer};
pub use render::{
    Color, Finding, ValidateReport, github, inline, is_unprintable, json, printable, sarif, text,
};
pub use source::{Position, SourceFile, Span};

/// How much a finding weighs.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and probably says something other than what was meant.
    Warning,
}

/// A place in a file, and what is to be said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The bytes underlined.
    pub span: Span,
    /// What stands beside the underline; may be empty.
    pub text: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// What kind of mistake it is.
    pub code: Code,
    /// How much it weighs: the code's own weight unless the run says otherwise.
    pub severity: Severity,
    /// What is wrong, in one line: lower case, names in backticks.
    pub message: String,
    /// Where it is.
    pub primary: Label,
    /// The JSON pointer of the place within its file; empty for the file as a whole.
    pub pointer: String,
    /// The other places that the message is about, such as the first of two equal names.
    pub secondary: Vec<Label>,
    /// The cure, in one sentence.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A finding of this code at this place, with the code's own severity.
    pub fn new(code: Code, message: impl Into<String>, primary: Label) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            primary,
            pointer: String::new(),
            secondary: Vec::new(),
            help: None,
        }
    }

    /// Adds the JSON pointer of the place.
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = pointer.into();
        self
    }

    /// Adds a second place.
    pub fn also(mut self, label: Label) -> Self {
        self.secondary.push(label);
        self
    }

    /// Adds the cure.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The name that the cure suggests in place of a misspelt one, where it is of [`did_you_mean`]'s making.
    pub fn suggestion(&self) -> Option<&str> {
        self.help
            .as_deref()?
            .strip_prefix("did you mean `")?
            .strip_suffix("`?")
    }

    /// Weighs the finding differently than its code does.
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}

/// As much of a thing as could be understood, and everything that is wrong with it.
#[derive(Clone, Debug)]
pub struct Checked<T> {
    /// The thing; `None` when too little of it made sense to go on.
    pub value: Option<T>,
    /// Everything found, in no particular order.
    pub findings: Vec<Diagnostic>,
}

impl<T> Checked<T> {
    /// A thing with nothing wrong.
    pub fn fine(value: T) -> Self {
        Self {
            value: Some(value),
            findings: Vec::new(),
        }
    }

    /// Nothing usable.
    pub fn broken(findings: Vec<Diagnostic>) -> Self {
        Self {
            value: None,
            findings,
        }
    }

    /// Whether any finding is an error.
    pub fn has_errors(&self) -> bool {
        has_errors(&self.findings)
    }
}

/// Whether any finding is an error.
pub fn has_errors(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// Sorts findings by file, place and code, and drops exact repetitions.
pub fn sort(findings: &mut Vec<Diagnostic>) {
    findings.sort_by(|a, b| {
        let place = |d: &Diagnostic| {
            (
                d.primary.file.path.clone(),
                d.primary.span.start,
                d.primary.span.end,
            )
        };
        place(a)
            .cmp(&place(b))
            .then_with(|| a.severity.cmp(&b.severity))
            .then_with(|| a.code.cmp(&b.code))
            .then_with(|| a.message.cmp(&b.message))
    });
    findings.dedup();
}

/// The known name nearest to a misspelt one, if any is near enough to suggest.
///
/// Near is a Damerau-Levenshtein distance of at most a third of the name's length, and at least one. Case and the
/// difference between `-`, `_` and a space do not count.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let wanted = fold(name);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The help line `did you mean …?` for a misspelt name, where something known is near.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// The help line for a name that is none of the known ones: the near one, else what there is.
///
/// `there_are` begins the list, such as `the columns are`.
pub fn one_of<'a>(
    name: &str,
    there_are: &str,
    known: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
) -> String {
    let known = known.into_iter();
    did_you_mean(name, known.clone()).unwrap_or_else(|| format!("{there_are} {}", list(known)))
}

/// Names in backticks, joined by commas, cut after twelve.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<&str> = names.into_iter().collect();
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_name_finds_its_neighbour() {
        assert_eq!(nearest("sleect", ["title", "select", "status"]), Some("select"));
        assert_eq!(nearest("Rich Text", ["title", "rich_text"]), Some("rich_text"));
    }

    #[test]
    fn a_name_far_from_all_finds_none() {
        assert_eq!(nearest("banana", ["title", "select", "status"]), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<String> = (0..14).map(|n| n.to_string()).collect();
        assert!(list(names.iter().map(String::as_str)).ends_with("`11` and 2 more"));
        assert_eq!(list(["a", "b"]), "`a`, `b`");
    }
}
