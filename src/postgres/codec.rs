//! Column values as the text that the statements of this module's neighbours select and bind.
//!
//! [`super::sql::select_expression`] says which text is selected, and [`super::sql::write_expression`] takes the text that
//! is bound; arrays are JSON both ways.

use crate::codec::{CodecCode, CodecError, literal};
use crate::schema::PgType;
use crate::value::{Number, Value};

/// Reads a selected column; `None` is NULL.
///
/// Never fails: what is not understood (`infinity`, a year beyond 9999, a type that is not known here) is carried as
/// [`Value::Opaque`], equal to itself and to nothing else.
pub fn decode(pg_type: &PgType, text: Option<&str>) -> Value {
    match text {
        None => Value::Null,
        Some(text) => match literal::parse(pg_type, text) {
            Some(value) => shortest(value, pg_type),
            None => Value::Opaque(text.to_owned()),
        },
    }
}

/// The value with its floating-point numbers in their shortest decimals.
///
/// Postgres prints 17 digits of a double whose shortest decimal lies midway between two doubles, so that readers
/// with a rounding bug read it right; taken as a decimal, that would be a number that no double gives back.
///
/// Source: PostgreSQL documentation, section 8.1.3.
fn shortest(value: Value, pg_type: &PgType) -> Value {
    match (value, pg_type.base()) {
        (Value::List(values), PgType::Array(element)) => {
            Value::List(values.into_iter().map(|value| shortest(value, element)).collect())
        }
        (Value::Number(number), PgType::Float8) => {
            let double = number.as_str().parse::<f64>().ok().and_then(Number::from_double);
            Value::Number(double.unwrap_or(number))
        }
        (Value::Number(number), PgType::Float4) => {
            let single = number
                .as_str()
                .parse::<f32>()
                .ok()
                .filter(|single| single.is_finite());
            Value::Number(
                single
                    .and_then(|single| Number::parse(&single.to_string()))
                    .unwrap_or(number),
            )
        }
        (value, _) => value,
    }
}

/// Writes a value as the text to bind; `None` is NULL.
///
/// # Errors
/// A value of a kind that no column holds, an array of arrays, or text with U+0000.
pub fn encode(value: &Value) -> Result<Option<String>, CodecError> {
    match value {
        Value::Null => Ok(None),
        Value::List(values) => {
            let elements = values.iter().map(|element| match element {
                Value::Null => Ok(serde_json::Value::Null),
                // A string, whatever the type: it is taken apart as text, and a JSON string in JSON would lose its
                // quotes.
                scalar => scalar_text(scalar).map(serde_json::Value::String),
            });
            Ok(Some(
                elements
                    .collect::<Result<serde_json::Value, CodecError>>()?
                    .to_string(),
            ))
        }
        scalar => scalar_text(scalar).map(Some),
    }
}

fn scalar_text(value: &Value) -> Result<String, CodecError> {
    match value {
        Value::Bool(_)
        | Value::Number(_)
        | Value::Text(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::DateTime(_)
        | Value::Instant(_)
        | Value::Uuid(_)
        | Value::Interval { .. }
        | Value::Json(_)
        | Value::Opaque(_) => {
            let text = literal::show(value);
            if text.contains('\0') {
                return Err(CodecCode::NulCharacter.into());
            }
            Ok(text)
        }
        Value::Null
        | Value::List(_)
        | Value::RichText(_)
        | Value::Range(_)
        | Value::Choice(_)
        | Value::Choices(_)
        | Value::Pages(_)
        | Value::People(_)
        | Value::Files(_)
        | Value::UniqueId { .. } => Err(CodecCode::NotOfType.into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arrays_are_bound_as_json() {
        let json = Value::Json(r#""é""#.to_owned());
        let list = Value::List(vec![
            Value::text(r#"a"b\c,{}"#),
            Value::Null,
            Value::text("NULL"),
            json,
        ]);
        assert_eq!(
            encode(&list).unwrap().unwrap(),
            r#"["a\"b\\c,{}",null,"NULL","\"é\""]"#
        );
        let nested = Value::List(vec![Value::List(Vec::new())]);
        assert_eq!(encode(&nested).unwrap_err().code, CodecCode::NotOfType);
    }

    #[test]
    fn what_is_not_understood_is_carried() {
        for (pg_type, text) in [
            (PgType::Timestamptz, "infinity"),
            (PgType::Date, "0044-03-15 BC"),
            (PgType::Timestamp, "12026-09-04T00:00:00"),
            (PgType::Time, "24:00:00"),
            (PgType::Float8, "NaN"),
            (PgType::Other("point".to_owned()), "(1,2)"),
        ] {
            let value = decode(&pg_type, Some(text));
            assert!(value == Value::Opaque(text.to_owned()), "{text}");
            assert_eq!(encode(&value).unwrap().as_deref(), Some(text));
        }
    }

    #[test]
    fn a_double_printed_in_17_digits_is_the_double() {
        let value = decode(&PgType::Float8, Some("4.9213963631261683e+17"));
        assert!(value == decode(&PgType::Float8, Some("492139636312616800")));
        assert!(matches!(value, Value::Number(number) if number.to_double().is_some()));
    }

    #[test]
    fn values_of_a_page_are_not_bound() {
        assert_eq!(encode(&Value::rich("x")).unwrap_err().code, CodecCode::NotOfType);
        assert_eq!(
            encode(&Value::text("\0")).unwrap_err().code,
            CodecCode::NulCharacter
        );
    }

    fn any_type() -> impl Strategy<Value = PgType> {
        let scalars = vec![
            PgType::Text,
            PgType::Char(3),
            PgType::Uuid,
            PgType::Int8,
            PgType::Float8,
            PgType::Numeric(None),
            PgType::Bool,
            PgType::Date,
            PgType::Time,
            PgType::Timetz,
            PgType::Timestamp,
            PgType::Timestamptz,
            PgType::Interval,
            PgType::Json,
            PgType::Jsonb,
            PgType::Inet,
            PgType::Other("point".to_owned()),
        ];
        (proptest::sample::select(scalars), any::<bool>()).prop_map(|(element, array)| match array {
            true => PgType::Array(Box::new(element)),
            false => element,
        })
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(
            pg_type in any_type(),
            text in r#"([0-9]{1,3}|[-+.:,TZPeE\[\]{}" \\]|null|NaN|years?|mons?|days?|é|2026-09-04){0,12}"#,
        ) {
            let value = decode(&pg_type, Some(&text));
            prop_assert!(value.clone().canonical() == value.clone().canonical().canonical());
            if let Ok(Some(shown)) = encode(&value) {
                prop_assert!(decode(&pg_type, Some(&shown)).canonical() == value.canonical(), "{text} {shown}");
            }
        }
    }
}
