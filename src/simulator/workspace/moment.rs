//! Points in time as Notion shows them.

use std::time::Duration;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// Milliseconds since 1970 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub i64);

const MINUTE: i64 = 60_000;

impl Moment {
    /// Reads an ISO 8601 time with offset.
    pub fn parse(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(Self::of)
    }

    /// The moment of a time.
    pub fn of(time: OffsetDateTime) -> Self {
        Self((time.unix_timestamp_nanos() / 1_000_000) as i64)
    }

    /// Without seconds: pages, databases and blocks carry their times like this (fact sheet, 2.1).
    #[must_use]
    pub fn floored(self) -> Self {
        Self(self.0.div_euclid(MINUTE) * MINUTE)
    }

    /// As Notion writes it: UTC with milliseconds, `2026-09-04T14:30:00.000Z`.
    pub fn iso(self) -> String {
        let format =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        self.utc().format(&format).unwrap_or_default()
    }

    /// As the `Date` of an HTTP answer: whole seconds, `Fri, 04 Sep 2026 14:30:00 GMT` (RFC 9110, 5.6.7).
    pub(crate) fn http_date(self) -> String {
        let format = format_description!(
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        );
        self.utc().format(&format).unwrap_or_default()
    }

    /// This moment and a length of time after it.
    #[must_use]
    pub fn after(self, length: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// In UTC; the first moment of 1970 where the calendar ends.
    pub fn utc(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// One end of a date value: a day, or a time with its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    Day(Date),
    Time(OffsetDateTime),
}

impl Point {
    /// Reads `YYYY-MM-DD` or a time; a time without offset is read as UTC, or in the zone where one is named.
    pub(crate) fn parse(text: &str, zone: Option<&Zone>) -> Option<Self> {
        let day = format_description!("[year]-[month]-[day]");
        if text.len() == 10 {
            return Date::parse(text, &day).ok().map(Self::Day);
        }
        if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
            return zone.is_none().then_some(Self::Time(time));
        }
        // `2026-09-04T14:30`, with seconds or not, without offset.
        let (date, rest) = text.split_once(['T', ' '])?;
        let date = Date::parse(date, &day).ok()?;
        let full = match rest.len() {
            5 => format!("{rest}:00"),
            _ => rest.to_owned(),
        };
        let time = OffsetDateTime::parse(&format!("{date}T{full}Z"), &Rfc3339).ok()?;
        let local = PrimitiveDateTime::new(time.date(), time.time());
        let offset = zone.map_or(Some(UtcOffset::UTC), |zone| zone.offset_at(local))?;
        Some(Self::Time(local.assume_offset(offset)))
    }

    /// As read back: a day as it is, a time with milliseconds and its offset (fact sheet, 4.6).
    pub(crate) fn iso(self) -> String {
        match self {
            Self::Day(day) => day.to_string(),
            Self::Time(time) => {
                let format = format_description!(
                    "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3][offset_hour sign:mandatory]:[offset_minute]"
                );
                time.format(&format).unwrap_or_default()
            }
        }
    }

    /// Without seconds, as Notion's own editor keeps times.
    pub(crate) fn floored(self) -> Self {
        match self {
            Self::Day(day) => Self::Day(day),
            Self::Time(time) => Self::Time(
                time.replace_second(0)
                    .and_then(|time| time.replace_nanosecond(0))
                    .unwrap_or(time),
            ),
        }
    }

    /// When it begins, a day in UTC.
    pub(crate) fn begins(self) -> Moment {
        match self {
            Self::Day(day) => Moment::of(day.midnight().assume_utc()),
            Self::Time(time) => Moment::of(time),
        }
    }

    /// The last moment that it covers.
    pub(crate) fn ends(self) -> Moment {
        match self {
            Self::Day(_) => Moment(self.begins().0 + 24 * 60 * MINUTE - 1),
            Self::Time(time) => Moment::of(time),
        }
    }

    pub(crate) fn is_day(self) -> bool {
        matches!(self, Self::Day(_))
    }
}

/// A time zone by its IANA name.
#[derive(Clone, Debug)]
pub(crate) struct Zone(jiff::tz::TimeZone);

impl Zone {
    pub(crate) fn named(name: &str) -> Option<Self> {
        jiff::tz::TimeZone::get(name).ok().map(Self)
    }

    /// The offset in force at a local time; where clocks are set back, the first of the two.
    fn offset_at(&self, local: PrimitiveDateTime) -> Option<UtcOffset> {
        let (date, time) = (local.date(), local.time());
        let civil = jiff::civil::DateTime::new(
            i16::try_from(date.year()).ok()?,
            u8::from(date.month()).cast_signed(),
            date.day().cast_signed(),
            time.hour().cast_signed(),
            time.minute().cast_signed(),
            time.second().cast_signed(),
            0,
        );
        let zoned = self.0.to_ambiguous_zoned(civil.ok()?).compatible().ok()?;
        UtcOffset::from_whole_seconds(zoned.offset().seconds()).ok()
    }
}
