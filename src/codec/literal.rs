//! Column values as text: read strictly by type, and shown as Postgres would read them back.

use std::fmt::Write as _;
use std::net::IpAddr;

use jiff::civil::{Date, DateTime, Time};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::value::RawValue;

use crate::schema::PgType;
use crate::value::{Number, Value};

/// Arrays in arrays that are followed; Postgres stops at 6 dimensions.
const MAX_DIMENSIONS: usize = 6;

/// Reads a text as a value of that type; `None` if it is none.
///
/// Understood are ISO 8601 dates and times, arrays as JSON, intervals in Postgres' and in ISO's notation, and the
/// words for the infinities and not-a-number, which become [`Value::Opaque`]. Lengths and labels are not looked at.
pub fn parse(pg_type: &PgType, text: &str) -> Option<Value> {
    parse_nested(pg_type, text, 0)
}

fn parse_nested(pg_type: &PgType, text: &str, depth: usize) -> Option<Value> {
    let trimmed = text.trim();
    match pg_type.base() {
        PgType::Text | PgType::Varchar(_) | PgType::Citext | PgType::Enum { .. } => Some(Value::text(text)),
        PgType::Char(_) => Some(Value::text(text.trim_end_matches(' '))),
        PgType::Uuid => uuid::Uuid::parse_str(trimmed).ok().map(Value::Uuid),
        PgType::Int2 | PgType::Int4 | PgType::Int8 => {
            Number::parse(trimmed).filter(Number::is_whole).map(Value::Number)
        }
        PgType::Float4 | PgType::Float8 | PgType::Numeric(_) => match trimmed {
            "NaN" | "Infinity" | "-Infinity" => Some(Value::Opaque(trimmed.to_owned())),
            _ => Number::parse(trimmed).map(Value::Number),
        },
        PgType::Bool => match trimmed {
            "true" | "t" => Some(Value::Bool(true)),
            "false" | "f" => Some(Value::Bool(false)),
            _ => None,
        },
        PgType::Date => special(trimmed).or_else(|| Some(Value::Date(in_years(trimmed.parse().ok()?)?))),
        PgType::Time => trimmed.parse::<Time>().ok().map(Value::Time),
        PgType::Timetz => is_time_with_zone(trimmed).then(|| Value::text(trimmed)),
        PgType::Timestamp => special(trimmed).or_else(|| {
            let date_time: DateTime = trimmed.parse().ok()?;
            in_years(date_time.date()).map(|_| Value::DateTime(date_time))
        }),
        PgType::Timestamptz => special(trimmed).or_else(|| {
            let instant: Timestamp = trimmed.parse().ok()?;
            in_years(instant.to_zoned(TimeZone::UTC).date()).map(|_| Value::Instant(instant))
        }),
        PgType::Interval => parse_interval(trimmed),
        PgType::Json | PgType::Jsonb => serde_json::from_str::<&RawValue>(text)
            .ok()
            .map(|_| Value::Json(text.to_owned())),
        PgType::Inet => inet(trimmed).map(Value::Text),
        PgType::Array(element) => parse_array(element, trimmed, depth),
        PgType::Domain { .. } | PgType::Bytea | PgType::Other(_) => Some(Value::Opaque(text.to_owned())),
    }
}

/// Shows a column value as text that Postgres reads back as the same value; arrays as JSON, NULL as nothing.
pub fn show(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.as_str().to_owned(),
        Value::Text(text) | Value::Json(text) | Value::Opaque(text) => text.clone(),
        Value::Date(date) => date.to_string(),
        Value::Time(time) => time.to_string(),
        Value::DateTime(date_time) => date_time.to_string(),
        Value::Instant(instant) => instant.to_string(),
        Value::Uuid(uuid) => uuid.to_string(),
        Value::Interval { months, days, micros } => show_interval(*months, *days, *micros),
        Value::List(values) => {
            let elements: Vec<String> = values.iter().map(show_element).collect();
            format!("[{}]", elements.join(", "))
        }
        // These never come from a column.
        Value::RichText(_)
        | Value::Range(_)
        | Value::Choice(_)
        | Value::Choices(_)
        | Value::Pages(_)
        | Value::People(_)
        | Value::Files(_)
        | Value::UniqueId { .. } => value.reveal().to_string(),
    }
}

fn show_element(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Json(_) | Value::List(_) => show(value),
        _ => serde_json::Value::from(show(value)).to_string(),
    }
}

fn parse_array(element: &PgType, text: &str, depth: usize) -> Option<Value> {
    if depth >= MAX_DIMENSIONS {
        return None;
    }
    let raw: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    let is_json = matches!(element.base(), PgType::Json | PgType::Jsonb);
    let elements = raw.into_iter().map(|raw| match raw.get() {
        "null" => Some(Value::Null),
        _ if is_json => Some(Value::Json(raw.get().to_owned())),
        nested if nested.starts_with('[') => parse_array(element, nested, depth + 1),
        quoted if quoted.starts_with('"') => {
            parse_nested(element, &serde_json::from_str::<String>(quoted).ok()?, depth + 1)
        }
        scalar => parse_nested(element, scalar, depth + 1),
    });
    elements.collect::<Option<Vec<Value>>>().map(Value::List)
}

/// The dates that Notion and `time` can hold as well: the years 1 to 9999.
fn in_years(date: Date) -> Option<Date> {
    (date.year() >= 1).then_some(date)
}

fn special(text: &str) -> Option<Value> {
    matches!(text, "infinity" | "-infinity").then(|| Value::Opaque(text.to_owned()))
}

fn is_time_with_zone(text: &str) -> bool {
    text.find(['+', '-']).is_some_and(|at| {
        let (time, offset) = text.split_at(at);
        time.trim_end().parse::<Time>().is_ok()
            && (3..=9).contains(&offset.len())
            && offset[1..]
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b':')
    })
}

/// An address, or a network; a mask of every bit is left out, which `::text` adds and Postgres' own output does not.
fn inet(text: &str) -> Option<String> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let longest = if address.parse::<IpAddr>().ok()?.is_ipv4() {
        32
    } else {
        128
    };
    match bits {
        Some(bits) if bits > longest => None,
        Some(bits) if bits < longest => Some(text.to_owned()),
        _ => Some(address.to_owned()),
    }
}

fn show_interval(months: i32, days: i32, micros: i64) -> String {
    // A sign on each part: without one Postgres lets a part inherit the sign before it in some styles.
    let mut text = String::new();
    if months != 0 {
        let _ = write!(text, "{months} mons ");
    }
    if days != 0 {
        let _ = write!(text, "{days} days ");
    }
    let (sign, magnitude) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    let (seconds, fraction) = (magnitude / 1_000_000, magnitude % 1_000_000);
    let _ = write!(
        text,
        "{sign}{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    if fraction != 0 {
        let _ = write!(text, ".{}", format!("{fraction:06}").trim_end_matches('0'));
    }
    text
}

/// Reads `1 year 2 mons -3 days 04:05:06.789` and `P1Y2M-3DT4H5M6.789S`.
fn parse_interval(text: &str) -> Option<Value> {
    let mut interval = Units::default();
    if let Some(designated) = text.strip_prefix('P') {
        let (date, time) = designated.split_once('T').unwrap_or((designated, ""));
        for (part, units) in [(date, "YMWD"), (time, "HMS")] {
            let mut rest = part;
            while !rest.is_empty() {
                let at = rest.find(|c: char| c.is_ascii_alphabetic())?;
                let unit = rest[at..].chars().next().filter(|unit| units.contains(*unit))?;
                let name = match (unit, units) {
                    ('Y', _) => "year",
                    ('M', "YMWD") => "mon",
                    ('W', _) => "week",
                    ('D', _) => "day",
                    ('H', _) => "hour",
                    ('M', _) => "minute",
                    _ => "second",
                };
                interval.add(&rest[..at], name)?;
                rest = &rest[at + 1..];
            }
        }
        if designated.is_empty() {
            return None;
        }
    } else {
        let mut words = text.split_ascii_whitespace().peekable();
        words.peek()?;
        while let Some(word) = words.next() {
            if word.contains(':') {
                interval.add_clock(word)?;
            } else {
                let unit = words.next()?;
                interval.add(word, unit.strip_suffix('s').unwrap_or(unit))?;
            }
        }
    }
    Some(Value::Interval {
        months: interval.months,
        days: interval.days,
        micros: interval.micros,
    })
}

#[derive(Default)]
struct Units {
    months: i32,
    days: i32,
    micros: i64,
}

impl Units {
    fn add(&mut self, amount: &str, unit: &str) -> Option<()> {
        let whole = |factor: i32| amount.parse::<i32>().ok()?.checked_mul(factor);
        let time = |seconds: i64| micros_of(amount)?.checked_mul(seconds);
        match unit {
            "year" => self.months = self.months.checked_add(whole(12)?)?,
            "mon" | "month" => self.months = self.months.checked_add(whole(1)?)?,
            "week" => self.days = self.days.checked_add(whole(7)?)?,
            "day" => self.days = self.days.checked_add(whole(1)?)?,
            "hour" => self.micros = self.micros.checked_add(time(3600)?)?,
            "min" | "minute" => self.micros = self.micros.checked_add(time(60)?)?,
            "sec" | "second" => self.micros = self.micros.checked_add(time(1)?)?,
            _ => return None,
        }
        Some(())
    }

    fn add_clock(&mut self, clock: &str) -> Option<()> {
        let (negative, clock) = match clock.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, clock.strip_prefix('+').unwrap_or(clock)),
        };
        let mut parts = clock.split(':');
        let hours: i64 = parts.next()?.parse().ok().filter(|hours| *hours >= 0)?;
        let minutes: i64 = parts
            .next()?
            .parse()
            .ok()
            .filter(|minutes| (0..60).contains(minutes))?;
        let seconds = parts
            .next()
            .map_or(Some(0), micros_of)
            .filter(|micros| (0..60_000_000).contains(micros))?;
        if parts.next().is_some() {
            return None;
        }
        let micros = hours
            .checked_mul(3_600_000_000)?
            .checked_add(minutes * 60_000_000)?
            .checked_add(seconds)?;
        self.micros = self.micros.checked_add(if negative { -micros } else { micros })?;
        Some(())
    }
}

/// A decimal number times a million, exactly.
fn micros_of(decimal: &str) -> Option<i64> {
    let number = Number::parse(decimal)?;
    let text = number.as_str();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 6 {
        return None;
    }
    format!("{whole}{fraction:0<6}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_read_in_both_notations() {
        let read = |text: &str| parse(&PgType::Interval, text);
        let expected = Some(Value::Interval {
            months: 14,
            days: -3,
            micros: 14_706_789_000,
        });
        assert!(read("1 year 2 mons -3 days +04:05:06.789") == expected);
        assert!(read("P1Y2M-3DT4H5M6.789S") == expected);
        for text in [
            "",
            "P",
            "1",
            "1 fortnight",
            "P1H",
            "04:61:00",
            "1.0000001 secs",
            "99999999999 days",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
        for (months, days, micros) in [(0, 0, 0), (-1, 2, -1), (14, -3, 14_706_789_000), (0, 0, i64::MAX)] {
            let value = Value::Interval { months, days, micros };
            assert!(read(&show(&value)) == Some(value.clone()), "{}", show(&value));
        }
    }

    #[test]
    fn numbers_in_arrays_keep_their_digits() {
        let numbers = PgType::Array(Box::new(PgType::Numeric(None)));
        let text = "[12345678901234567890.123, null, \"NaN\"]";
        assert_eq!(show(&parse(&numbers, text).unwrap()), text);
    }

    #[test]
    fn what_is_not_of_the_type_is_refused() {
        let array = |element| PgType::Array(Box::new(element));
        for (pg_type, text) in [
            (PgType::Int4, "1.5"),
            (PgType::Bool, "yes"),
            (PgType::Date, "2026-02-30"),
            (PgType::Date, "hello"),
            (PgType::Time, "24:00:00"),
            (PgType::Timetz, "12:00"),
            (PgType::Uuid, "x"),
            (PgType::Inet, "10.0.0.0/33"),
            (PgType::Jsonb, "{"),
            (array(PgType::Int4), "{1,2}"),
            (array(PgType::Int4), "[[[[[[[[1]]]]]]]]"),
        ] {
            assert!(parse(&pg_type, text).is_none(), "{pg_type} {text}");
        }
    }
}
