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
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        self.utc().format(&format).unwrap_or_default()
    }

    /// This moment and a length of time after it.
    #[must_use]
    pub fn after(self, length: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX)))
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
        let offset = zone.map_or(UtcOffset::UTC, |zone| zone.offset_at(local));
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
                time.replace_second(0).and_then(|time| time.replace_nanosecond(0)).unwrap_or(time),
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

/// A time zone by its IANA name, with today's rules.
///
/// The real Notion knows them all; the simulator knows those below and refuses others by name, which is enough to
/// show that the name is lost and the instant kept (fact sheet, 4.6).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zone {
    standard_hours: i8,
    summer: Summer,
}

#[derive(Clone, Copy, Debug)]
enum Summer {
    Never,
    UnitedStates,
    Europe,
}

impl Zone {
    pub(crate) fn named(name: &str) -> Option<Self> {
        let (standard_hours, summer) = match name {
            "UTC" | "Etc/UTC" => (0, Summer::Never),
            "Europe/London" | "Europe/Lisbon" => (0, Summer::Europe),
            "Europe/Berlin" | "Europe/Paris" | "Europe/Rome" | "Europe/Madrid" | "Europe/Zurich" | "Europe/Vienna" => {
                (1, Summer::Europe)
            }
            "Europe/Helsinki" | "Europe/Athens" => (2, Summer::Europe),
            "America/New_York" => (-5, Summer::UnitedStates),
            "America/Chicago" => (-6, Summer::UnitedStates),
            "America/Denver" => (-7, Summer::UnitedStates),
            "America/Los_Angeles" => (-8, Summer::UnitedStates),
            "America/Phoenix" => (-7, Summer::Never),
            "Asia/Tokyo" => (9, Summer::Never),
            "Asia/Singapore" => (8, Summer::Never),
            _ => return None,
        };
        Some(Self { standard_hours, summer })
    }

    /// The offset in force at a local time; in the hour that exists twice, the first.
    fn offset_at(self, local: PrimitiveDateTime) -> UtcOffset {
        use time::{Month, Weekday};
        let nth_sunday = |month: Month, nth: u8| {
            let first = Date::from_calendar_date(local.year(), month, 1).unwrap_or(local.date());
            let sunday = if first.weekday() == Weekday::Sunday { first } else { first.next_occurrence(Weekday::Sunday) };
            sunday + time::Duration::weeks(i64::from(nth) - 1)
        };
        let last_sunday = |month: Month| {
            let end = Date::from_calendar_date(local.year(), month, 31).unwrap_or(local.date());
            if end.weekday() == Weekday::Sunday { end } else { end.prev_occurrence(Weekday::Sunday) }
        };
        let at = |day: Date, hour: i64| day.midnight() + time::Duration::hours(hour);
        let summer = match self.summer {
            Summer::Never => false,
            Summer::UnitedStates => {
                local >= at(nth_sunday(Month::March, 2), 3) && local < at(nth_sunday(Month::November, 1), 2)
            }
            Summer::Europe => {
                let hours = i64::from(self.standard_hours);
                local >= at(last_sunday(Month::March), 2 + hours) && local < at(last_sunday(Month::October), 2 + hours)
            }
        };
        UtcOffset::from_hms(self.standard_hours + i8::from(summer), 0, 0).unwrap_or(UtcOffset::UTC)
    }
}
