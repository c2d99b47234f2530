//! What a page holds for a property. An empty value is no value: the page has no entry for that property.

use serde_json::{Number, Value as Json, json};
use uuid::Uuid;

use super::moment::Point;
use super::rich_text::{self, RichText};

/// A value that is not empty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Of title and rich text.
    Text(RichText),
    Number(Number),
    /// Of select and status, by option id.
    Choice(Uuid),
    /// Of multi-select, by option id, in the order written.
    Choices(Vec<Uuid>),
    Date(Dates),
    People(Vec<Uuid>),
    Files(Vec<FileEntry>),
    /// Ticked; an empty checkbox has no value.
    Ticked,
    /// Of URL, email and phone number.
    Line(String),
    /// Page ids, the trashed and the unshared included.
    Relation(Vec<Uuid>),
    /// Of types whose value is read back as it was written.
    Object(Json),
}

/// A day or a time, or a range of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dates {
    pub(crate) start: Point,
    pub(crate) end: Option<Point>,
}

impl Dates {
    pub(crate) fn render(self) -> Json {
        json!({"start": self.start.iso(), "end": self.end.map(Point::iso), "time_zone": null})
    }
}

/// One entry of a files property.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileEntry {
    pub(crate) name: String,
    pub(crate) place: FilePlace,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FilePlace {
    /// Kept by Notion under this id of an upload, read through a signed URL.
    Hosted(Uuid),
    External(String),
}

impl Value {
    /// The text that text filters and the title see.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(runs) => rich_text::text_of(runs),
            Self::Line(text) => text.clone(),
            _ => String::new(),
        }
    }

    /// The form by which an `equals` filter finds it; `None` for types that are not looked up.
    pub(crate) fn lookup_key(&self) -> Option<String> {
        match self {
            Self::Text(_) | Self::Line(_) => Some(self.text()),
            Self::Number(number) => Some(number_key(number.as_f64().unwrap_or_default())),
            _ => None,
        }
    }

    pub(crate) fn pages(&self) -> &[Uuid] {
        if let Self::Relation(pages) = self {
            pages
        } else {
            &[]
        }
    }
}

/// Equal exactly for equal numbers.
pub(crate) fn number_key(number: f64) -> String {
    // Zero has two bit patterns and one value.
    (if number == 0.0 { 0.0 } else { number }).to_string()
}
