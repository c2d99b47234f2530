//! Text with formatting, as Notion holds it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stretch of text with one formatting.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Run {
    /// What people read.
    pub text: String,
    /// How it looks.
    #[serde(default, skip_serializing_if = "Style::is_plain")]
    pub style: Style,
    /// What it is.
    #[serde(default, skip_serializing_if = "Content::is_unlinked_text")]
    pub content: Content,
}

impl Run {
    /// Text without formatting.
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            style: Style::default(),
            content: Content::default(),
        }
    }

    fn is_void(&self) -> bool {
        self.text.is_empty() && matches!(self.content, Content::Text { .. })
    }

    fn continues(&self, before: &Run) -> bool {
        matches!(self.content, Content::Text { .. })
            && self.content == before.content
            && self.style == before.style
    }
}

/// Shows the length only: what people wrote stays out of logs.
impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Run({} bytes)", self.text.len())
    }
}

/// How a run looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Style {
    /// Bold.
    #[serde(skip_serializing_if = "is_false")]
    pub bold: bool,
    /// Italic.
    #[serde(skip_serializing_if = "is_false")]
    pub italic: bool,
    /// Struck through.
    #[serde(skip_serializing_if = "is_false")]
    pub strikethrough: bool,
    /// Underlined.
    #[serde(skip_serializing_if = "is_false")]
    pub underline: bool,
    /// Set as code.
    #[serde(skip_serializing_if = "is_false")]
    pub code: bool,
    /// A colour or background by Notion's name; `None` is the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
}

impl Style {
    /// Whether there is no formatting at all.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's `skip_serializing_if` passes a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What a run is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Text, which may be a link.
    Text {
        /// Where it leads.
        link: Option<String>,
    },
    /// A mention of a page, person or date: the object as Notion gave it, as JSON text.
    Mention(String),
    /// An equation, by its expression.
    Equation(String),
}

impl Content {
    fn is_unlinked_text(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Text { link: None }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text { .. } => "Text",
            Self::Mention(_) => "Mention",
            Self::Equation(_) => "Equation",
        })
    }
}

/// The text that people read, without its formatting.
pub fn plain_text(runs: &[Run]) -> String {
    runs.iter().map(|run| run.text.as_str()).collect()
}

/// The same text and formatting in the fewest runs: neighbours of one look are joined, empty ones dropped.
pub(super) fn joined(runs: Vec<Run>) -> Vec<Run> {
    let is_joined = runs.iter().all(|run| !run.is_void())
        && runs
            .iter()
            .zip(runs.iter().skip(1))
            .all(|(before, run)| !run.continues(before));
    if is_joined {
        return runs;
    }
    let mut joined: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        match joined.last_mut() {
            _ if run.is_void() => {}
            Some(before) if run.continues(before) => before.text.push_str(&run.text),
            _ => joined.push(run),
        }
    }
    joined
}
