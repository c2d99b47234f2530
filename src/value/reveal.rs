//! The deliberate ways to show a value: to the person who asked for a plan, and to a template.

use std::fmt;

use serde_json::json;

use super::{Number, Value, canonical_json, plain_text};

/// Shows a value's content in one line; made by [`Value::reveal`] only, so that every use can be searched for.
pub struct Reveal<'a>(&'a Value);

impl Value {
    /// The value for the eyes of the person who asked: never for logs or messages.
    ///
    /// Text stands in quotes, with line ends, control characters and direction marks escaped.
    pub fn reveal(&self) -> Reveal<'_> {
        Reveal(self)
    }

    /// The value as plain JSON, for templates and for reports that a person asked for; formatting and ids left out.
    ///
    /// A number that a double cannot hold is a string; an option is its name, a page, person or file its id, id or
    /// name.
    pub fn to_json(&self) -> serde_json::Value {
        let texts = |texts: Vec<&str>| json!(texts);
        match self {
            Self::Null => json!(null),
            Self::Bool(flag) => json!(flag),
            Self::Number(number) => number_to_json(number),
            Self::Text(text) | Self::Opaque(text) => json!(text),
            Self::RichText(runs) => json!(plain_text(runs)),
            Self::Date(date) => json!(date.to_string()),
            Self::Time(time) => json!(time.to_string()),
            Self::DateTime(date_time) => json!(date_time.to_string()),
            Self::Instant(instant) => json!(instant.to_string()),
            Self::Range(ends) => json!({ "start": ends.0.to_json(), "end": ends.1.to_json() }),
            Self::Interval { months, days, micros } => {
                json!({ "months": months, "days": days, "microseconds": micros })
            }
            Self::Uuid(uuid) => json!(uuid.to_string()),
            Self::Json(text) => {
                let parsed = canonical_json(text).and_then(|text| serde_json::from_str(&text).ok());
                parsed.unwrap_or_else(|| json!(text))
            }
            Self::List(values) => values.iter().map(Value::to_json).collect(),
            Self::Choice(choice) => json!(choice.name),
            Self::Choices(choices) => texts(choices.iter().map(|choice| choice.name.as_str()).collect()),
            Self::Pages(pages) => texts(pages.iter().map(super::PageId::as_str).collect()),
            Self::People(people) => texts(people.iter().map(|person| person.id.as_str()).collect()),
            Self::Files(files) => texts(
                files
                    .iter()
                    .map(|file| file.url.as_deref().unwrap_or(&file.name))
                    .collect(),
            ),
            Self::UniqueId { prefix, number } => match prefix {
                Some(prefix) => json!(format!("{prefix}-{number}")),
                None => json!(number),
            },
        }
    }
}

fn number_to_json(number: &Number) -> serde_json::Value {
    match (number.to_integer(), number.to_double()) {
        (Some(integer), _) => json!(integer),
        (None, Some(double)) => json!(double),
        (None, None) => json!(number.as_str()),
    }
}

impl fmt::Display for Reveal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // JSON escapes controls below U+0020; the rest of what could redraw a terminal line is escaped here.
        for character in self.0.to_json().to_string().chars() {
            match character {
                '\u{7f}'..='\u{9f}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{61c}'
                | '\u{feff}' => write!(f, "\\u{:04x}", u32::from(character))?,
                _ => write!(f, "{character}")?,
            }
        }
        Ok(())
    }
}
