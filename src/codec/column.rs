//! From the property to the column.

use rust_decimal::Decimal;

use super::{Around, CodecCode, CodecError, EmptyMeans, FieldCodec, literal, property, zone};
use crate::schema::{PgType, PropertyType};
use crate::value::{Conversion, Number, Value, canonical_json, plain_text};

impl FieldCodec {
    /// The column's value for a property's value, made from scratch; `like` is a value whose way of writing is
    /// copied, never its content.
    pub(super) fn to_column(
        &self,
        nt: &Value,
        like: Option<&Value>,
        around: Around<'_>,
    ) -> Result<Value, CodecError> {
        if nt.is_empty() {
            return self.empty_column();
        }
        let value = match &self.spec.conversion {
            None => self.column_of(nt, around)?,
            Some(Conversion::Map(pairs)) => {
                let unmapped = |word: &str| {
                    let mut entries = pairs.iter().filter(|(_, property)| property == word);
                    match (entries.next(), entries.next()) {
                        (Some((column, _)), None) => Ok(column.clone()),
                        _ => Err(CodecError::from(CodecCode::Unmapped)),
                    }
                };
                match nt {
                    Value::Choices(choices) => {
                        let words = choices.iter().map(|choice| unmapped(&choice.name));
                        self.column_of_words(words.collect::<Result<_, _>>()?)?
                    }
                    single => self.column_of_word(&unmapped(&word(single)?)?)?,
                }
            }
            Some(Conversion::Scale(factor)) => match nt {
                Value::Number(number) => {
                    Value::Number(property::scaled(number, *factor, Decimal::checked_div)?)
                }
                _ => return Err(CodecCode::NotOfType.into()),
            },
            Some(Conversion::Iso8601) => {
                let like = like
                    .map(literal::show)
                    .and_then(|text| zone::parse_iso(&text, &self.zone));
                let shape = like.map(|(_, shape)| shape);
                let shown = zone::show_iso(self.single_date(nt)?, shape, &self.zone);
                Value::Text(shown.ok_or(CodecCode::DateOutOfRange)?)
            }
            Some(Conversion::Split(separator)) => {
                let words = self.words_of(nt, around)?;
                if words
                    .iter()
                    .any(|word| word.contains(separator.as_str()) || word.trim() != word)
                {
                    return Err(CodecCode::NotOfType.into());
                }
                Value::Text(words.join(separator))
            }
            Some(Conversion::Json) if self.spec.property_type == PropertyType::MultiSelect => {
                self.column_of_word(&serde_json::Value::from(self.words_of(nt, around)?).to_string())?
            }
            Some(Conversion::Json) => self.column_of_word(&word(nt)?)?,
            Some(Conversion::Trim) => {
                let trimmed = word(nt)?.trim().to_owned();
                if trimmed.is_empty() {
                    return self.empty_column();
                }
                Value::Text(trimmed)
            }
            Some(Conversion::Template {
                to_postgres: None, ..
            }) => return Err(CodecCode::NoWayBack.into()),
            Some(Conversion::Template {
                to_postgres: Some(template),
                ..
            }) => {
                let rendered = self.render(template, nt.to_json(), around)?;
                self.column_of_json(&rendered)?
            }
        };
        self.admitted(value, &self.spec.pg_type)
    }

    fn empty_column(&self) -> Result<Value, CodecError> {
        let nothing = match self.spec.pg_type.base() {
            PgType::Text | PgType::Varchar(_) | PgType::Char(_) | PgType::Citext => Some(Value::text("")),
            PgType::Array(_) => Some(Value::List(Vec::new())),
            PgType::Json | PgType::Jsonb if self.spec.property_type == PropertyType::MultiSelect => {
                Some(Value::Json("[]".to_owned()))
            }
            _ => None,
        };
        let wants_null = match self.spec.empty {
            Some(EmptyMeans::Null) => true,
            Some(EmptyMeans::EmptyText) => false,
            None => !self.spec.not_null,
        };
        match nothing {
            Some(nothing) if !wants_null => self.admitted(nothing, &self.spec.pg_type),
            _ if self.spec.not_null => Err(CodecCode::NullRefused.into()),
            _ => Ok(Value::Null),
        }
    }

    fn column_of(&self, nt: &Value, around: Around<'_>) -> Result<Value, CodecError> {
        let base = self.spec.pg_type.base();
        match nt {
            Value::Date(_) | Value::Instant(_) | Value::Range(_) => self.column_of_date(nt),
            Value::Choices(_) | Value::Pages(_) | Value::People(_) => {
                let words = self.words_of(nt, around)?;
                match (base, <[String; 1]>::try_from(words)) {
                    (PgType::Array(_), words) => {
                        self.column_of_words(words.map_or_else(|many| many, Vec::from))
                    }
                    (_, Ok([one])) => self.column_of_word(&one),
                    (_, Err(_)) => Err(CodecCode::OneOnly.into()),
                }
            }
            Value::Number(_) if is_numeric(base) => Ok(nt.clone()),
            Value::UniqueId { number, .. } if !is_text(base) => Ok(Value::Number(Number::from(*number))),
            Value::List(values) if matches!(base, PgType::Json | PgType::Jsonb) => {
                let items: serde_json::Value = values.iter().map(Value::to_json).collect();
                Ok(Value::Json(items.to_string()))
            }
            Value::List(values) if is_text(base) => {
                let words: Result<Vec<String>, _> = values.iter().map(word).collect();
                Ok(Value::Text(words?.join(", ")))
            }
            Value::List(values) => match values.as_slice() {
                [one] => self.column_of(one, around),
                _ => Err(CodecCode::OneOnly.into()),
            },
            _ => self.column_of_word(&word(nt)?),
        }
    }

    fn single_date<'a>(&self, nt: &'a Value) -> Result<&'a Value, CodecError> {
        match nt {
            Value::Range(_) => Err(CodecCode::RangeNotKept.into()),
            Value::Date(_) | Value::Instant(_) => Ok(nt),
            _ => Err(CodecCode::NotOfType.into()),
        }
    }

    fn column_of_date(&self, nt: &Value) -> Result<Value, CodecError> {
        let out_of_range = CodecError::from(CodecCode::DateOutOfRange);
        match (self.spec.pg_type.base(), self.single_date(nt)?) {
            (PgType::Date, date @ Value::Date(_)) => Ok(date.clone()),
            // A computed time is a time whoever reads it; one that a person set on a column of days is a mistake.
            (PgType::Date, Value::Instant(instant)) if self.spec.property_type.is_read_only() => {
                Ok(Value::Date(instant.to_zoned(self.zone.clone()).date()))
            }
            (PgType::Date, _) => Err(CodecCode::TimeNotKept.into()),
            (PgType::Timestamp, Value::Date(date)) => {
                Ok(Value::DateTime(date.to_datetime(jiff::civil::Time::midnight())))
            }
            (PgType::Timestamp, Value::Instant(instant)) => {
                Ok(Value::DateTime(instant.to_zoned(self.zone.clone()).datetime()))
            }
            (PgType::Timestamptz, Value::Date(date)) => {
                let midnight = date.to_datetime(jiff::civil::Time::midnight());
                zone::instant(midnight, &self.zone)
                    .map(Value::Instant)
                    .ok_or(out_of_range)
            }
            (PgType::Timestamptz, instant) => Ok(instant.clone()),
            (base, date) if is_text(base) => Ok(Value::Text(word(date)?)),
            _ => Err(CodecCode::NotOfType.into()),
        }
    }

    /// What a property of several names, in the order of their texts.
    fn words_of(&self, nt: &Value, around: Around<'_>) -> Result<Vec<String>, CodecError> {
        match nt {
            Value::Choices(choices) => Ok(choices.iter().map(|choice| choice.name.clone()).collect()),
            Value::People(people) => Ok(people.iter().map(|person| person.id.0.clone()).collect()),
            Value::Pages(pages) => {
                let entity = self.spec.target.as_deref().unwrap_or_default();
                let mut keys = Vec::with_capacity(pages.len());
                for page in pages {
                    let key = around.links.key(entity, page).ok_or(CodecCode::WaitingRef)?;
                    match <[String; 1]>::try_from(key.0) {
                        Ok([key]) => keys.push(key),
                        // A key of several columns does not fit into one.
                        Err(_) => return Err(CodecCode::NotOfType.into()),
                    }
                }
                keys.sort();
                Ok(keys)
            }
            single => Ok(vec![word(single)?]),
        }
    }

    fn column_of_words(&self, words: Vec<String>) -> Result<Value, CodecError> {
        let PgType::Array(element) = self.spec.pg_type.base() else {
            return Err(CodecCode::NotOfType.into());
        };
        let values = words
            .iter()
            .map(|word| literal::parse(element, word).ok_or(CodecCode::NotOfType));
        Ok(Value::List(values.collect::<Result<_, _>>()?))
    }

    fn column_of_word(&self, word: &str) -> Result<Value, CodecError> {
        literal::parse(&self.spec.pg_type, word).ok_or(CodecCode::NotOfType.into())
    }

    fn column_of_json(&self, json: &serde_json::Value) -> Result<Value, CodecError> {
        let is_document = matches!(
            self.spec.pg_type.base(),
            PgType::Json | PgType::Jsonb | PgType::Array(_)
        );
        match json {
            serde_json::Value::Null if self.spec.not_null => Err(CodecCode::NullRefused.into()),
            serde_json::Value::Null => Ok(Value::Null),
            serde_json::Value::String(text) => self.column_of_word(text),
            serde_json::Value::Number(number) if !is_document => {
                let number = Number::parse(&number.to_string()).ok_or(CodecCode::NotANumber)?;
                self.column_of_word(number.as_str())
            }
            other => self.column_of_word(&other.to_string()),
        }
    }

    /// The value as the column takes it, or why the column does not.
    pub(super) fn admitted(&self, value: Value, pg_type: &PgType) -> Result<Value, CodecError> {
        let base = pg_type.base();
        let value = match (value, base) {
            (Value::List(values), PgType::Array(element)) => {
                let admitted = values.into_iter().map(|value| self.admitted(value, element));
                return Ok(Value::List(admitted.collect::<Result<_, _>>()?));
            }
            (Value::Text(text), PgType::Enum { labels, .. }) => Value::Text(label(labels, text)?),
            (value, _) => value,
        };
        match (&value, base) {
            (Value::Text(text), _) if text.contains('\0') => Err(CodecCode::NulCharacter.into()),
            (Value::Json(text), PgType::Jsonb)
                if canonical_json(text).is_some_and(|text| holds_escaped_nul(&text)) =>
            {
                Err(CodecCode::NulCharacter.into())
            }
            (Value::Json(text), _) if text.contains('\0') => Err(CodecCode::NulCharacter.into()),
            (Value::Text(text), PgType::Varchar(Some(limit)) | PgType::Char(limit))
                if text.chars().count() > usize::try_from(*limit).unwrap_or(usize::MAX) =>
            {
                Err(CodecCode::TextTooLong.into())
            }
            (Value::Number(number), _) => in_range(number, base).map(|()| value),
            (Value::Text(text), _) => match &self.spec.allowed {
                Some(allowed) => label(allowed, text.clone()).map(Value::Text),
                None => Ok(value),
            },
            _ => Ok(value),
        }
    }
}

/// The label itself, or the only one that differs from it in case alone.
fn label(labels: &[String], text: String) -> Result<String, CodecError> {
    if labels.contains(&text) {
        return Ok(text);
    }
    let folded = text.to_lowercase();
    let mut alike = labels.iter().filter(|label| label.to_lowercase() == folded);
    match (alike.next(), alike.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ => Err(CodecCode::UnknownLabel.into()),
    }
}

fn in_range(number: &Number, pg_type: &PgType) -> Result<(), CodecError> {
    let whole = |bound: i64| match number.to_integer() {
        Some(integer) if (-bound - 1..=bound).contains(&integer) => Ok(()),
        None if !number.is_whole() => Err(CodecCode::NumberInexact.into()),
        _ => Err(CodecError::from(CodecCode::NumberOutOfRange)),
    };
    match pg_type {
        PgType::Int2 => whole(i64::from(i16::MAX)),
        PgType::Int4 => whole(i64::from(i32::MAX)),
        PgType::Int8 => whole(i64::MAX),
        PgType::Float8 if number.to_double().is_none() => Err(CodecCode::NumberInexact.into()),
        PgType::Float4 => {
            let single: f32 = number.as_str().parse().map_err(|_| CodecCode::NumberInexact)?;
            if single.is_infinite() {
                return Err(CodecCode::NumberOutOfRange.into());
            }
            match Number::parse(&single.to_string()) {
                Some(kept) if kept == *number => Ok(()),
                _ => Err(CodecCode::NumberInexact.into()),
            }
        }
        PgType::Numeric(Some((precision, scale))) => {
            let (before, after) = number.digits();
            let (precision, scale) = (i64::from(*precision), i64::from(*scale));
            let zeros = number.as_str().len() - number.as_str().trim_end_matches('0').len();
            let lengths = (i64::try_from(before), i64::try_from(after), i64::try_from(zeros));
            match lengths {
                (_, Ok(after), _) if after > scale.max(0) => Err(CodecCode::NumberInexact.into()),
                (Ok(before), ..) if before > precision - scale => Err(CodecCode::NumberOutOfRange.into()),
                (Ok(before), _, Ok(zeros)) if scale < 0 && before > 0 && zeros < -scale => {
                    Err(CodecCode::NumberInexact.into())
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Whether a canonical document escapes U+0000 anywhere, which `jsonb` refuses to store.
fn holds_escaped_nul(canonical: &str) -> bool {
    let mut rest = canonical;
    while let Some(at) = rest.find('\\') {
        if rest[at..].starts_with("\\u0000") {
            return true;
        }
        // Past the escape: a second backslash is its content and starts nothing.
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

fn is_text(pg_type: &PgType) -> bool {
    matches!(
        pg_type,
        PgType::Text | PgType::Varchar(_) | PgType::Char(_) | PgType::Citext
    )
}

fn is_numeric(pg_type: &PgType) -> bool {
    matches!(
        pg_type,
        PgType::Int2 | PgType::Int4 | PgType::Int8 | PgType::Float4 | PgType::Float8 | PgType::Numeric(_)
    )
}

/// A property's value as the one text that stands for it.
fn word(nt: &Value) -> Result<String, CodecError> {
    match nt {
        Value::RichText(runs) => Ok(plain_text(runs)),
        Value::Choice(choice) => Ok(choice.name.clone()),
        Value::People(people) => match people.as_slice() {
            [one] => Ok(one.id.0.clone()),
            _ => Err(CodecCode::OneOnly.into()),
        },
        Value::UniqueId { prefix, number } => Ok(match prefix {
            Some(prefix) => format!("{prefix}-{number}"),
            None => number.to_string(),
        }),
        Value::Range(ends) => Ok(format!("{}/{}", word(&ends.0)?, word(&ends.1)?)),
        Value::Null => Ok(String::new()),
        Value::Bool(_)
        | Value::Number(_)
        | Value::Text(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::DateTime(_)
        | Value::Instant(_)
        | Value::Uuid(_) => Ok(literal::show(nt)),
        Value::Choices(_)
        | Value::Pages(_)
        | Value::Files(_)
        | Value::List(_)
        | Value::Json(_)
        | Value::Interval { .. }
        | Value::Opaque(_) => Err(CodecCode::NotOfType.into()),
    }
}
