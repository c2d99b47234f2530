//! From the column to the property.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::{Around, CodecCode, CodecError, FieldCodec, OnUnknown, limits, literal, zone};
use crate::schema::{PgType, PropertyType};
use crate::value::{
    Choice, Conversion, FileRef, MAX_SAFE_INTEGER, Number, PageId, Person, RecordKey, UserId, Value,
};

impl FieldCodec {
    /// The property's value for a column's value, made from scratch.
    pub(super) fn to_property(&self, pg: &Value, around: Around<'_>) -> Result<Value, CodecError> {
        if *pg == Value::Null {
            return Ok(self.empty_property());
        }
        match &self.spec.conversion {
            None => self.property_of(pg, around),
            Some(Conversion::Map(pairs)) => {
                let mapped = |value: &Value| {
                    let word = self.word(value);
                    let pair = pairs.iter().find(|(column, _)| *column == word);
                    pair.map(|(_, property)| property.clone())
                        .ok_or(CodecError::from(CodecCode::Unmapped))
                };
                match pg {
                    Value::List(values) => {
                        self.property_of_words(values.iter().map(mapped).collect::<Result<_, _>>()?, around)
                    }
                    single => self.property_of_word(&mapped(single)?, around),
                }
            }
            Some(Conversion::Scale(factor)) => match pg {
                Value::Number(number) => self.number(scaled(number, *factor, Decimal::checked_mul)?),
                _ => Err(CodecCode::NotANumber.into()),
            },
            Some(Conversion::Iso8601) => {
                let text = literal::show(pg);
                if text.trim().is_empty() {
                    return Ok(Value::Null);
                }
                let (value, _) = zone::parse_iso(&text, &self.zone).ok_or(CodecCode::NotOfType)?;
                Ok(value)
            }
            Some(Conversion::Split(separator)) => {
                let text = literal::show(pg);
                let items = text
                    .split(separator.as_str())
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                self.property_of_words(items.map(str::to_owned).collect(), around)
            }
            Some(Conversion::Json) if self.spec.property_type == PropertyType::MultiSelect => {
                let text = literal::show(pg);
                if text.trim().is_empty() {
                    return Ok(self.empty_property());
                }
                let words: Vec<String> = serde_json::from_str(&text).map_err(|_| CodecCode::NotOfType)?;
                self.property_of_words(words, around)
            }
            Some(Conversion::Json) => self.property_of_word(&literal::show(pg), around),
            Some(Conversion::Trim) => self.property_of_word(literal::show(pg).trim(), around),
            Some(Conversion::Template { to_notion, .. }) => {
                let rendered = self.render(to_notion, pg.to_json(), around)?;
                self.property_of_json(&rendered, around)
            }
        }
    }

    /// What the property holds when there is nothing to show.
    pub(super) fn empty_property(&self) -> Value {
        match self.spec.property_type {
            PropertyType::Title | PropertyType::RichText => Value::RichText(Vec::new()),
            PropertyType::MultiSelect => Value::Choices(Vec::new()),
            PropertyType::Relation => Value::Pages(BTreeSet::new()),
            PropertyType::People => Value::People(Vec::new()),
            PropertyType::Files => Value::Files(Vec::new()),
            PropertyType::Checkbox => Value::Bool(false),
            // Notion puts the default option in place of nothing.
            PropertyType::Status => self
                .spec
                .options
                .first()
                .cloned()
                .map_or(Value::Null, Value::Choice),
            _ => Value::Null,
        }
    }

    fn property_of(&self, pg: &Value, around: Around<'_>) -> Result<Value, CodecError> {
        match (self.spec.property_type, pg) {
            (PropertyType::Number, Value::Number(number)) => self.number(number.clone()),
            (PropertyType::Number, Value::Opaque(_)) => Err(CodecCode::NotANumber.into()),
            (PropertyType::Checkbox, Value::Bool(flag)) => Ok(Value::Bool(*flag)),
            (PropertyType::Date, Value::Date(_) | Value::Instant(_)) => Ok(pg.clone()),
            (PropertyType::Date, Value::DateTime(date_time)) => {
                let instant = zone::instant(*date_time, &self.zone).ok_or(CodecCode::DateOutOfRange)?;
                Ok(Value::Instant(instant))
            }
            (PropertyType::Date, Value::Opaque(_)) => Err(CodecCode::DateOutOfRange.into()),
            (
                PropertyType::MultiSelect
                | PropertyType::Relation
                | PropertyType::People
                | PropertyType::Files,
                Value::List(values),
            ) => {
                if values
                    .iter()
                    .any(|value| matches!(value, Value::Null | Value::List(_)))
                {
                    return Err(CodecCode::EmptyOption.into());
                }
                self.property_of_words(values.iter().map(|value| self.word(value)).collect(), around)
            }
            _ => self.property_of_word(&self.word(pg), around),
        }
    }

    /// A column's value as the one text that stands for it.
    fn word(&self, value: &Value) -> String {
        match self.spec.pg_type.base() {
            PgType::Char(_) => literal::show(value).trim_end_matches(' ').to_owned(),
            _ => literal::show(value),
        }
    }

    fn property_of_word(&self, word: &str, around: Around<'_>) -> Result<Value, CodecError> {
        let address = |limit| match word {
            "" => Ok(Value::Null),
            _ if limits::units(word) > limit => Err(CodecCode::AddressTooLong.into()),
            _ => Ok(Value::text(word)),
        };
        match self.spec.property_type {
            PropertyType::Title | PropertyType::RichText => {
                if limits::pieces(word).len() > limits::MAX_ENTRIES {
                    return Err(CodecCode::TextTooLong.into());
                }
                Ok(Value::rich(word))
            }
            PropertyType::Url => address(limits::URL_UNITS),
            PropertyType::Email | PropertyType::PhoneNumber => address(limits::CONTACT_UNITS),
            _ if word.is_empty() => Ok(self.empty_property()),
            PropertyType::Number => self.number(Number::parse(word).ok_or(CodecCode::NotOfType)?),
            PropertyType::Select | PropertyType::Status => self.choice(word).map(Value::Choice),
            PropertyType::Checkbox => match word {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err(CodecCode::NotOfType.into()),
            },
            PropertyType::Date => {
                let (value, _) = zone::parse_iso(word, &self.zone).ok_or(CodecCode::NotOfType)?;
                Ok(value)
            }
            _ => self.property_of_words(vec![word.to_owned()], around),
        }
    }

    fn property_of_words(&self, words: Vec<String>, around: Around<'_>) -> Result<Value, CodecError> {
        let distinct: BTreeSet<&str> = words.iter().map(String::as_str).collect();
        if distinct.len() > limits::MAX_ENTRIES {
            return Err(CodecCode::TooManyEntries.into());
        }
        match self.spec.property_type {
            PropertyType::MultiSelect => {
                let choices = distinct.into_iter().map(|word| self.choice(word));
                Ok(Value::Choices(choices.collect::<Result<_, _>>()?).canonical())
            }
            PropertyType::Relation => {
                let entity = self.spec.target.as_deref().unwrap_or_default();
                let page = |word: &str| -> Result<PageId, CodecError> {
                    let key = RecordKey::single(word);
                    around
                        .links
                        .page(entity, &key)
                        .ok_or(CodecCode::WaitingRef.into())
                };
                Ok(Value::Pages(
                    distinct.into_iter().map(page).collect::<Result<_, _>>()?,
                ))
            }
            PropertyType::People => {
                let person = |word: &str| Person {
                    id: UserId::from(word),
                    name: None,
                };
                Ok(Value::People(distinct.into_iter().map(person).collect()).canonical())
            }
            PropertyType::Files => {
                let file = |url: &String| {
                    if limits::units(url) > limits::URL_UNITS {
                        return Err(CodecError::from(CodecCode::AddressTooLong));
                    }
                    Ok(FileRef {
                        name: file_name(url),
                        url: Some(url.clone()),
                    })
                };
                Ok(Value::Files(words.iter().map(file).collect::<Result<_, _>>()?))
            }
            _ => Err(CodecCode::NotOfType.into()),
        }
    }

    fn property_of_json(&self, json: &serde_json::Value, around: Around<'_>) -> Result<Value, CodecError> {
        match json {
            serde_json::Value::Null => Ok(self.empty_property()),
            serde_json::Value::String(text) => self.property_of_word(text, around),
            serde_json::Value::Array(items) if self.spec.property_type == PropertyType::MultiSelect => {
                let word =
                    |item: &serde_json::Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
                self.property_of_words(items.iter().map(word).collect(), around)
            }
            // `1.0` and `1` are one number.
            serde_json::Value::Number(number) => {
                let number = Number::parse(&number.to_string()).ok_or(CodecCode::NotANumber)?;
                self.property_of_word(number.as_str(), around)
            }
            other => self.property_of_word(&other.to_string(), around),
        }
    }

    fn number(&self, number: Number) -> Result<Value, CodecError> {
        let double = number.to_double().ok_or(CodecCode::NumberInexact)?;
        let is_float = matches!(self.spec.pg_type.base(), PgType::Float4 | PgType::Float8);
        #[expect(clippy::cast_precision_loss, reason = "2^53 is a double")]
        if !is_float && double.abs() > MAX_SAFE_INTEGER as f64 {
            return Err(CodecCode::NumberOutOfRange.into());
        }
        Ok(Value::Number(number))
    }

    /// The option of that name; Notion takes names that differ only in case for one option.
    fn choice(&self, name: &str) -> Result<Choice, CodecError> {
        if name.is_empty() {
            return Err(CodecCode::EmptyOption.into());
        }
        if name.contains(',') {
            return Err(CodecCode::OptionWithComma.into());
        }
        if limits::units(name) > limits::OPTION_UNITS {
            return Err(CodecCode::OptionTooLong.into());
        }
        let options = &self.spec.options;
        let exact = options.iter().find(|option| option.name == name);
        let folded = || {
            options
                .iter()
                .find(|option| option.name.to_lowercase() == name.to_lowercase())
        };
        match exact.or_else(folded) {
            Some(option) => Ok(option.clone()),
            None if self.spec.on_unknown == OnUnknown::Create
                && self.spec.property_type != PropertyType::Status =>
            {
                Ok(Choice {
                    name: name.to_owned(),
                    id: None,
                })
            }
            None => Err(CodecCode::UnknownOption.into()),
        }
    }
}

/// The number and the factor combined, if 28 digits hold the exact result.
pub(super) fn scaled(
    number: &Number,
    factor: f64,
    combine: fn(Decimal, Decimal) -> Option<Decimal>,
) -> Result<Number, CodecError> {
    let exact = |number: &Number| Decimal::from_str_exact(number.as_str()).ok();
    let parts = exact(number).zip(Number::from_double(factor).as_ref().and_then(exact));
    let (number, factor) = parts.ok_or(CodecCode::NumberInexact)?;
    let result = combine(number, factor).ok_or(CodecCode::NumberInexact)?;
    let undone = [result.checked_div(factor), result.checked_mul(factor)];
    if !undone.contains(&Some(number)) {
        return Err(CodecCode::NumberInexact.into());
    }
    Number::parse(&result.to_string()).ok_or(CodecCode::NumberInexact.into())
}

/// The last part of an address's path, within the 100 characters that Notion takes.
fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let name = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty());
    name.unwrap_or("file")
        .chars()
        .take(limits::OPTION_UNITS / 2)
        .collect()
}
