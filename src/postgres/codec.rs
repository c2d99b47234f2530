//! Column values as the text that the statements of this module's neighbours select and bind.
//!
//! What is selected is ISO 8601 for dates and times, JSON for arrays, and Postgres' own text for all else; what is
//! bound goes through `$n::text::<type>`, so it is text that Postgres reads as that type.

use crate::codec::{CodecCode, CodecError, literal};
use crate::schema::PgType;
use crate::value::Value;

/// Reads a selected column; `None` is NULL.
///
/// Never fails: what is not understood (`infinity`, a year beyond 9999, a type that is not known here) is carried as
/// [`Value::Opaque`], equal to itself and to nothing else.
pub fn decode(pg_type: &PgType, text: Option<&str>) -> Value {
    match text {
        None => Value::Null,
        Some(text) => literal::parse(pg_type, text).unwrap_or_else(|| Value::Opaque(text.to_owned())),
    }
}

/// Writes a value as the text to bind; `None` is NULL.
///
/// # Errors
/// A value of a kind that no column holds, or text with U+0000.
pub fn encode(value: &Value) -> Result<Option<String>, CodecError> {
    match value {
        Value::Null => Ok(None),
        Value::List(values) => array_literal(values).map(Some),
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

/// An array as Postgres reads it, every element quoted.
///
/// Source: PostgreSQL documentation, section 8.15.6.
fn array_literal(values: &[Value]) -> Result<String, CodecError> {
    let elements = values.iter().map(|value| match value {
        Value::Null => Ok("NULL".to_owned()),
        Value::List(nested) => array_literal(nested),
        scalar => Ok(format!(
            "\"{}\"",
            scalar_text(scalar)?.replace('\\', "\\\\").replace('"', "\\\"")
        )),
    });
    let elements: Vec<String> = elements.collect::<Result<_, CodecError>>()?;
    Ok(format!("{{{}}}", elements.join(",")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arrays_are_quoted_so_that_nothing_in_them_counts() {
        let list = Value::List(vec![
            Value::text(r#"a"b\c,{}"#),
            Value::Null,
            Value::text("NULL"),
            Value::text(""),
        ]);
        assert_eq!(
            encode(&list).unwrap().unwrap(),
            r#"{"a\"b\\c,{}",NULL,"NULL",""}"#
        );
        let nested = Value::List(vec![
            Value::List(vec![Value::Bool(true)]),
            Value::List(Vec::new()),
        ]);
        assert_eq!(encode(&nested).unwrap().unwrap(), r#"{{"true"},{}}"#);
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
            if let Ok(Some(shown)) = encode(&value) && !matches!(value, Value::List(_)) {
                prop_assert!(decode(&pg_type, Some(&shown)).canonical() == value.canonical(), "{text} {shown}");
            }
        }
    }
}
