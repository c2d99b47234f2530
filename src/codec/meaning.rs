//! What a property's value says, without what the column could not say: the equality under which it is kept.

use std::collections::BTreeSet;

use super::{FieldCodec, zone};
use crate::schema::PropertyType;
use crate::value::{Conversion, Value, canonical_json, plain_text};

impl FieldCodec {
    /// A form in which values that show the same are equal.
    pub(super) fn meaning(&self, nt: &Value) -> Value {
        match nt {
            Value::Null if self.is_text_property() => Value::text(""),
            Value::RichText(runs) => Value::Text(self.words(&plain_text(runs))),
            Value::Text(text) => Value::Text(self.words(text)),
            Value::Choice(choice) => Value::Text(choice.name.clone()),
            Value::Choices(choices) => {
                let names: BTreeSet<&str> = choices.iter().map(|choice| choice.name.as_str()).collect();
                Value::List(names.into_iter().map(Value::text).collect())
            }
            Value::People(people) => {
                let ids: BTreeSet<&str> = people.iter().map(|person| person.id.as_str()).collect();
                Value::List(ids.into_iter().map(Value::text).collect())
            }
            Value::Files(files) => {
                let address =
                    |file: &crate::value::FileRef| file.url.clone().unwrap_or_else(|| file.name.clone());
                Value::List(files.iter().map(|file| Value::Text(address(file))).collect())
            }
            _ => floored(nt.clone().canonical()),
        }
    }

    fn words(&self, text: &str) -> String {
        match self.spec.conversion {
            Some(Conversion::Json) => canonical_json(text).unwrap_or_else(|| text.to_owned()),
            Some(Conversion::Trim) => text.trim().to_owned(),
            _ => text.to_owned(),
        }
    }

    fn is_text_property(&self) -> bool {
        matches!(
            self.spec.property_type,
            PropertyType::Title
                | PropertyType::RichText
                | PropertyType::Url
                | PropertyType::Email
                | PropertyType::PhoneNumber
        )
    }
}

/// The value with its instants floored to the minute.
pub(super) fn floored(value: Value) -> Value {
    match value {
        Value::Instant(instant) => Value::Instant(zone::to_minute(instant)),
        Value::Range(ends) => {
            let (start, end) = *ends;
            Value::Range(Box::new((floored(start), floored(end)))).canonical()
        }
        Value::List(values) => Value::List(values.into_iter().map(floored).collect()),
        other => other,
    }
}
