//! When `run` looks at everything: every so often, or by a cron line. Pure: the present is handed in.

use std::fmt;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The shortest time between two starts, whatever `every` says.
const SHORTEST: Duration = Duration::from_secs(1);

/// When `run` syncs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// So long after the last start.
    Every(Duration),
    /// By a cron line.
    Cron(CronLine),
}

/// A cron line of five fields, in UTC: an hour that comes twice or never would be a sync too many or too few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronLine {
    written: String,
    cron: Box<Cron>,
}

impl CronLine {
    /// Reads minute, hour, day, month and weekday, as crontab has them.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in a few words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.split_whitespace().count() != 5 {
            return Err("the cron line does not have five fields".to_owned());
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(text).map_err(|error| {
            let told = error.to_string().to_lowercase();
            let told = told.trim_start_matches("component error: ").trim_end_matches('.');
            format!("the cron line cannot be read: {told}")
        })?;
        let line = Self {
            written: text.to_owned(),
            cron: Box::new(cron),
        };
        match line.next_after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(line),
            None => Err("the cron line names a day that never comes".to_owned()),
        }
    }

    /// The first instant after `instant` that the line names; `None` past the end of the calendar.
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        let now = Zoned::new(instant, TimeZone::UTC);
        let next = self.cron.find_next_occurrence(&now, false).ok()?;
        Some(next.timestamp())
    }
}

impl fmt::Display for CronLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Schedule {
    /// When the cycle after one that started at `started` is due, seen from `now`: never in the past, so that what
    /// was slept through is made up for once and not as often as it was missed.
    pub fn due(&self, started: Option<Timestamp>, now: Timestamp) -> Timestamp {
        match (self, started) {
            (Self::Every(_), None) => now,
            (Self::Every(every), Some(started)) => {
                let every = jiff::SignedDuration::try_from((*every).max(SHORTEST));
                let next = every.ok().and_then(|every| started.checked_add(every).ok());
                next.unwrap_or(Timestamp::MAX).max(now)
            }
            (Self::Cron(line), started) => {
                let after = started.map_or(now, |started| started.max(now));
                line.next_after(after).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Whether nothing has been looked at since `started` though it was due more than once: nobody keeps the profile.
    pub fn is_overdue(&self, started: Timestamp, now: Timestamp) -> bool {
        /// Periods without a look, the one under way among them.
        const TOLERATED: u32 = 3;
        match self {
            Self::Every(every) => {
                let tolerated = jiff::SignedDuration::try_from(every.saturating_mul(TOLERATED));
                now.duration_since(started) > tolerated.unwrap_or(jiff::SignedDuration::MAX)
            }
            Self::Cron(line) => (0..TOLERATED)
                .try_fold(started, |at, _| line.next_after(at))
                .is_some_and(|at| at < now),
        }
    }

    /// Whether a cycle that started at `started` has done the work that is due at `due`: another instance was first.
    pub fn is_done_by(&self, started: Timestamp, due: Timestamp) -> bool {
        match self {
            // Clocks of cycles are read a little after they are due, and cycles of two instances never coincide.
            Self::Every(every) => {
                let tolerated = jiff::SignedDuration::try_from(every.mul_f64(0.9)).unwrap_or_default();
                due.duration_since(started) < tolerated
            }
            Self::Cron(_) => started >= due,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn next(line: &str, after: &str) -> String {
        let line = CronLine::parse(line).unwrap();
        line.next_after(at(after)).unwrap().to_string()
    }

    #[test]
    fn cron_lines_mean_what_crontab_says() {
        for (line, after, expected) in [
            ("*/5 * * * *", "2026-09-04T12:00:00Z", "2026-09-04T12:05:00Z"),
            ("*/5 * * * *", "2026-09-04T12:04:59.999Z", "2026-09-04T12:05:00Z"),
            ("0 3 * * *", "2026-09-04T03:00:01Z", "2026-09-05T03:00:00Z"),
            (
                "30 8-17/3 * * mon-fri",
                "2026-09-04T17:30:00Z",
                "2026-09-07T08:30:00Z",
            ),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 1 1,7 *", "2026-09-04T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("0 12 * * 7", "2026-09-04T00:00:00Z", "2026-09-06T12:00:00Z"),
            // As crontab has it: a day of the month or a weekday, where both are named.
            ("0 0 13 * fri", "2026-09-04T00:00:01Z", "2026-09-11T00:00:00Z"),
        ] {
            assert_eq!(next(line, after), expected, "{line} after {after}");
        }
    }

    #[test]
    fn a_profile_is_overdue_once_nobody_has_looked_for_three_periods() {
        let every = Schedule::Every(Duration::from_secs(300));
        let cron = Schedule::Cron(CronLine::parse("0 3 * * *").unwrap());
        let started = at("2026-09-04T03:00:01Z");
        for (schedule, fine, overdue) in [
            (&every, "2026-09-04T03:15:01Z", "2026-09-04T03:15:02Z"),
            (&cron, "2026-09-07T03:00:00Z", "2026-09-07T03:00:01Z"),
        ] {
            assert!(!schedule.is_overdue(started, at(fine)), "{fine}");
            assert!(schedule.is_overdue(started, at(overdue)), "{overdue}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for line in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "a * * * *",
            "0 0 30 2 *",
        ] {
            assert!(CronLine::parse(line).is_err(), "{line}");
        }
    }

    fn field(most: u32, least: u32) -> impl Strategy<Value = String> {
        prop_oneof![
            Just("*".to_owned()),
            (least..=most).prop_map(|number| number.to_string()),
            (2_u32..15).prop_map(|step| format!("*/{step}")),
            (least..=most, least..=most).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            prop::collection::btree_set(least..=most, 1..4).prop_map(|set| {
                let texts: Vec<String> = set.iter().map(ToString::to_string).collect();
                texts.join(",")
            }),
        ]
    }

    /// Whether a field of a line holds a number, told without the crate.
    fn holds(field: &str, number: i64, least: i64) -> bool {
        field.split(',').any(|part| {
            if let Some(step) = part.strip_prefix("*/") {
                (number - least) % step.parse::<i64>().unwrap() == 0
            } else if let Some((from, to)) = part.split_once('-') {
                (from.parse().unwrap()..=to.parse().unwrap()).contains(&number)
            } else {
                part == "*" || part.parse() == Ok(number)
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The next instant is later, is named by the line, and no minute between is.
        #[test]
        fn the_next_instant_is_the_first_that_the_line_names(
            minute in field(59, 0),
            hour in field(23, 0),
            start in 1_600_000_000_i64..1_900_000_000,
        ) {
            let line = CronLine::parse(&format!("{minute} {hour} * * *")).unwrap();
            let start = Timestamp::from_second(start).unwrap();
            let next = line.next_after(start).unwrap();
            prop_assert!(next > start);
            let named = |second: i64| {
                let of_day = second.rem_euclid(86_400);
                holds(&minute, of_day / 60 % 60, 0) && holds(&hour, of_day / 3600, 0)
            };
            let first = (start.as_second().div_euclid(60) + 1) * 60;
            let expected = (first..).step_by(60).find(|second| named(*second)).unwrap();
            prop_assert_eq!(next.as_second(), expected);
        }

        /// Due is never in the past, and never more than a period away.
        #[test]
        fn a_period_is_kept_and_never_made_up_for_twice(
            every in 0_u64..100_000,
            started in 1_600_000_000_i64..1_700_000_000,
            passed in 0_i64..1_000_000,
        ) {
            let schedule = Schedule::Every(Duration::from_secs(every));
            let started = Timestamp::from_second(started).unwrap();
            let now = Timestamp::from_second(started.as_second() + passed).unwrap();
            prop_assert_eq!(schedule.due(None, now), now);
            let due = schedule.due(Some(started), now);
            prop_assert!(due >= now);
            let every = i64::try_from(every.max(1)).unwrap();
            prop_assert!(due.as_second() <= now.as_second() + every);
            prop_assert!(due.as_second() >= started.as_second() + every);
        }

        /// Two instances that share a profile: who finds the other's work done does not do it again, and who finds
        /// it missing does.
        #[test]
        fn work_is_done_once_for_each_time_it_is_due(
            every in 10_u64..100_000,
            started in 1_600_000_000_i64..1_700_000_000,
        ) {
            let schedule = Schedule::Every(Duration::from_secs(every));
            let started = Timestamp::from_second(started).unwrap();
            let due = schedule.due(Some(started), started);
            prop_assert!(!schedule.is_done_by(started, due), "a whole period later it is due again");
            prop_assert!(schedule.is_done_by(due, due), "somebody else has just begun");
        }
    }
}
