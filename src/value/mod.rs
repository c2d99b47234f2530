//! What both sides meet in.
//!
//! A [`Value`] is one cell, as read from either side; its canonical form ([`Value::canonical`]) makes equality
//! mean "nothing to do". How a column's values and a property's values answer to each other is the codec's
//! business.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod canonical;
mod convert;
mod id;
mod json_text;
mod number;
mod reveal;
mod rich_text;
mod shared;

pub use convert::{Conversion, ConversionFault, ConversionKind};
pub use id::{DataSourceId, DatabaseId, PageId, PropertyId, RecordKey, UserId};
pub use json_text::canonical_json;
pub use number::{MAX_SAFE_INTEGER, Number};
pub use reveal::Reveal;
pub use rich_text::{Content, Run, Style, plain_text};
pub use shared::Shared;

/// One value, as either side holds it.
///
/// Its JSON is stored with the baselines, beside [`CODEC_VERSION`]: variants may be added, never changed.
/// `Debug` shows the kind and none of the content; [`Value::reveal`] shows it to the person who asked.
/// The order is arbitrary and total.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// NULL, or an empty property of a type whose emptiness is not a value of its own.
    Null,
    /// True or false.
    Bool(bool),
    /// An exact decimal number.
    Number(Number),
    /// Text without formatting.
    Text(String),
    /// Text with formatting; no runs at all is the empty text.
    RichText(Vec<Run>),
    /// A day.
    Date(Date),
    /// A time of day.
    Time(Time),
    /// A day and time of day in no zone.
    DateTime(DateTime),
    /// A point in time.
    Instant(Timestamp),
    /// From one day or instant to another.
    Range(Box<(Value, Value)>),
    /// A span of time, in the three units that Postgres keeps apart.
    Interval {
        /// Months, years included.
        months: i32,
        /// Days.
        days: i32,
        /// Microseconds.
        micros: i64,
    },
    /// A UUID.
    Uuid(Uuid),
    /// A JSON document as text.
    Json(String),
    /// An array, in order.
    List(Vec<Value>),
    /// The chosen option.
    Choice(Choice),
    /// The chosen options; canonically sorted, each once.
    Choices(Vec<Choice>),
    /// The pages that a relation names.
    Pages(BTreeSet<PageId>),
    /// People; canonically sorted by id, each once.
    People(Vec<Person>),
    /// Files, in order.
    Files(Vec<FileRef>),
    /// A number that Notion gave the page.
    UniqueId {
        /// What stands before the number.
        prefix: Option<String>,
        /// The number.
        number: i64,
    },
    /// The text of a Postgres value that this program only carries: `infinity`, `NaN`, a type it does not know.
    Opaque(String),
}

/// The version of the stored form of [`Value`] and of what canonical means.
pub const CODEC_VERSION: i32 = 1;

/// One option of a select, multi-select or status, as a page holds it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Choice {
    /// The name people see.
    pub name: String,
    /// The id, which survives renaming; `None` for an option that Notion has yet to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// Someone, as a page names them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Person {
    /// The user's or group's id.
    pub id: UserId,
    /// The name, where Notion told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A file, as a page names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileRef {
    /// Its name.
    pub name: String,
    /// Its address elsewhere; `None` for one that Notion keeps, whose address changes every hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Value {
    /// The name of the value's kind, such as `number`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::Text(_) => "text",
            Self::RichText(_) => "rich_text",
            Self::Date(_) => "date",
            Self::Time(_) => "time",
            Self::DateTime(_) => "date_time",
            Self::Instant(_) => "instant",
            Self::Range(_) => "range",
            Self::Interval { .. } => "interval",
            Self::Uuid(_) => "uuid",
            Self::Json(_) => "json",
            Self::List(_) => "list",
            Self::Choice(_) => "choice",
            Self::Choices(_) => "choices",
            Self::Pages(_) => "pages",
            Self::People(_) => "people",
            Self::Files(_) => "files",
            Self::UniqueId { .. } => "unique_id",
            Self::Opaque(_) => "opaque",
        }
    }

    /// Text, from anything that becomes a `String`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Formatted text of one plain run, or of none for the empty text.
    pub fn rich(text: impl Into<String>) -> Self {
        Self::RichText(vec![Run::plain(text)]).canonical()
    }

    /// Whether there is nothing in it: NULL, or text, options, pages, people or files with none.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::RichText(runs) => runs.iter().all(|run| run.text.is_empty()),
            Self::Choices(choices) => choices.is_empty(),
            Self::Pages(pages) => pages.is_empty(),
            Self::People(people) => people.is_empty(),
            Self::Files(files) => files.is_empty(),
            _ => false,
        }
    }
}

/// Shows the kind only: row values stay out of logs.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", self.kind())
    }
}

macro_rules! hide_content {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

hide_content!(Choice, Person, FileRef);

#[cfg(test)]
mod tests;
