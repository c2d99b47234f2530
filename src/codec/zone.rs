//! Zones of columns that hold times without one, and ISO 8601 in text columns, shape kept.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

use crate::value::Value;

/// The zone that a name or an offset such as `+02:00` stands for; `None` if nothing does.
///
/// The zone database is compiled in: the same program gives the same answer on every machine.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    match offset(name) {
        Some(offset) => Some(TimeZone::fixed(offset)),
        None => TimeZone::get(name).ok(),
    }
}

/// Whether a name or an offset stands for a zone, as `time_zone` in a mapping must.
pub fn is_time_zone(name: &str) -> bool {
    zone(name).is_some()
}

/// The instant a clock in that zone showed; the earlier of two, and past a gap by as much as the clock jumped.
pub(super) fn instant(date_time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(date_time).compatible().ok()
}

/// The instant without what is below the minute.
pub(super) fn to_minute(instant: Timestamp) -> Timestamp {
    let excess = instant.as_nanosecond().rem_euclid(60_000_000_000);
    i64::try_from(excess)
        .ok()
        .and_then(|excess| instant.checked_sub(excess.nanoseconds()).ok())
        .unwrap_or(instant)
}

/// How a text column writes its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// What stands between date and time; `None` for a bare date.
    separator: Option<char>,
    /// Whether seconds are written.
    seconds: bool,
    /// Digits after the seconds' point.
    fraction: usize,
    suffix: Suffix,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suffix {
    None,
    Zulu,
    Offset { offset: Offset, colon: bool },
}

impl Shape {
    const DAY: Shape = Shape {
        separator: None,
        seconds: true,
        fraction: 0,
        suffix: Suffix::None,
    };
    const NAIVE: Shape = Shape {
        separator: Some('T'),
        seconds: true,
        fraction: 0,
        suffix: Suffix::None,
    };
}

/// Reads an ISO 8601 date or time and how it was written; naive times are in `zone`.
pub(super) fn parse_iso(text: &str, zone: &TimeZone) -> Option<(Value, Shape)> {
    let text = text.trim();
    let Some(at) = text.find(['T', 't', ' ']) else {
        let date = day(text)?;
        return Some((Value::Date(date), Shape::DAY));
    };
    let date = day(&text[..at])?;
    let clock = &text[at + 1..];
    let (clock, suffix) = if let Some(clock) = clock.strip_suffix(['Z', 'z']) {
        (clock, Suffix::Zulu)
    } else if let Some(at) = clock.rfind(['+', '-']) {
        let colon = clock[at..].contains(':');
        (
            &clock[..at],
            Suffix::Offset {
                offset: offset(&clock[at..])?,
                colon,
            },
        )
    } else {
        (clock, Suffix::None)
    };
    let time: Time = clock.parse().ok()?;
    let fraction = clock.find(['.', ',']).map_or(0, |point| clock.len() - point - 1);
    let shape = Shape {
        separator: text[at..].chars().next(),
        seconds: clock.matches(':').count() == 2 || !clock.contains(':'),
        fraction,
        suffix,
    };
    let date_time = date.to_datetime(time);
    let instant = match suffix {
        Suffix::None => instant(date_time, zone)?,
        Suffix::Zulu => instant(date_time, &TimeZone::UTC)?,
        Suffix::Offset { offset, .. } => offset.to_timestamp(date_time).ok()?,
    };
    Some((Value::Instant(instant), shape))
}

/// Writes a day or instant in a shape, or in the plainest one that holds it.
pub(super) fn show_iso(value: &Value, like: Option<Shape>, zone: &TimeZone) -> Option<String> {
    let (instant, shape) = match value {
        Value::Date(date) => match like.filter(|shape| shape.separator.is_some()) {
            None => return Some(date.to_string()),
            Some(shape) => (
                instant(date.to_datetime(Time::midnight()), &zone_of(shape, zone))?,
                shape,
            ),
        },
        Value::Instant(instant) => (
            *instant,
            like.filter(|shape| shape.separator.is_some())
                .unwrap_or(Shape::NAIVE),
        ),
        _ => return None,
    };
    let civil = instant.to_zoned(zone_of(shape, zone)).datetime();
    let separator = shape.separator.unwrap_or('T');
    let mut text = format!(
        "{}{separator}{:02}:{:02}",
        civil.date(),
        civil.hour(),
        civil.minute()
    );
    if shape.seconds || civil.second() != 0 || civil.subsec_nanosecond() != 0 {
        text.push_str(&format!(":{:02}", civil.second()));
    }
    let nanos = format!("{:09}", civil.subsec_nanosecond());
    // A shape without room for the fraction grows rather than lose it.
    let digits = shape.fraction.min(9).max(nanos.trim_end_matches('0').len());
    if digits > 0 {
        text.push('.');
        text.push_str(&nanos[..digits]);
    }
    match shape.suffix {
        Suffix::None => {}
        Suffix::Zulu => text.push('Z'),
        Suffix::Offset { offset, colon } => {
            let seconds = offset.seconds();
            let sign = if seconds < 0 { '-' } else { '+' };
            let minutes = seconds.unsigned_abs() / 60;
            let colon = if colon { ":" } else { "" };
            text.push_str(&format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60));
        }
    }
    Some(text)
}

fn zone_of(shape: Shape, zone: &TimeZone) -> TimeZone {
    match shape.suffix {
        Suffix::None => zone.clone(),
        Suffix::Zulu => TimeZone::UTC,
        Suffix::Offset { offset, .. } => TimeZone::fixed(offset),
    }
}

fn day(text: &str) -> Option<Date> {
    // Exactly `YYYY-MM-DD`, as Notion writes it: jiff would also take week dates and signed years.
    let bytes = text.as_bytes();
    let dashed = bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-';
    text.parse().ok().filter(|date: &Date| dashed && date.year() >= 1)
}

/// `+02:00`, `+0200` or `+02`, either sign.
fn offset(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let digits = digits.replacen(':', "", 1);
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = digits[..2].parse().ok()?;
    let minutes: i32 = if digits.len() == 4 {
        digits[2..].parse().ok()?
    } else {
        0
    };
    if minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// Reads a date property's `start` or `end`: a day or, naive ones in UTC, an instant.
pub fn parse_notion_date(text: &str) -> Option<Value> {
    parse_iso(text, &TimeZone::UTC).map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_it_was_read() {
        let pacific = zone("America/Los_Angeles").unwrap();
        for text in [
            "2026-09-04",
            "2026-09-04T14:30:00",
            "2026-09-04 14:30:05.123456",
            "2026-09-04T14:30",
            "2026-09-04T14:30:00.000Z",
            "2026-09-04T14:30:00+02:00",
            "2026-09-04T14:30:00.5-0730",
        ] {
            let (value, shape) = parse_iso(text, &pacific).unwrap();
            assert_eq!(show_iso(&value, Some(shape), &pacific).as_deref(), Some(text));
        }
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-W01-1",
            "2026-09-04T",
            "2026-09-04T25:00",
            "2026-09-04T1:2+99:99",
        ] {
            assert!(parse_iso(text, &pacific).is_none(), "{text}");
        }
    }

    #[test]
    fn naive_times_are_in_the_zone() {
        let pacific = zone("America/Los_Angeles").unwrap();
        let (value, _) = parse_iso("2026-07-01T12:00:00", &pacific).unwrap();
        assert!(value == Value::Instant("2026-07-01T19:00:00Z".parse().unwrap()));
        let (value, _) = parse_iso("2026-07-01T12:00:00", &zone("-07:00").unwrap()).unwrap();
        assert!(value == Value::Instant("2026-07-01T19:00:00Z".parse().unwrap()));
        assert!(zone("Europe/Atlantis").is_none());
    }

    #[test]
    fn minutes_are_floored_before_the_epoch_too() {
        let minute = |text: &str| to_minute(text.parse().unwrap()).to_string();
        assert_eq!(minute("1969-12-31T23:59:59.5Z"), "1969-12-31T23:59:00Z");
        assert_eq!(minute("2026-09-04T14:30:59.999999Z"), "2026-09-04T14:30:00Z");
    }
}
