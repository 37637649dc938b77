//! The times of a cron expression.
//!
//! The crate `croner` parses it and finds its times, and `jiff` knows the time zones. Neither is
//! seen outside of this file. No code of the user runs here.

use std::{
    str::FromStr,
    time::{Duration, SystemTime},
};

use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::model::error::{Error, InvalidCron, Result, ScheduleError};

/// A cron expression in a time zone.
#[derive(Clone, Debug)]
pub(super) struct Cron {
    expression: Box<croner::Cron>,
    time_zone: TimeZone,
}

/// The names of seven fields. Six have no year, and five have no second either.
const FIELDS: [&str; 7] = [
    "second",
    "minute",
    "hour",
    "day of the month",
    "month",
    "day of the week",
    "year",
];

impl Cron {
    /// Reads an expression, in UTC or in the time zone of this name.
    ///
    /// # Errors
    /// [`ScheduleError::InvalidCron`], [`ScheduleError::UnknownTimeZone`].
    pub(super) fn new(text: &str, time_zone: Option<&str>) -> Result<Cron> {
        let expression = croner::Cron::from_str(text).map_err(|error| explained(text, &error))?;
        let time_zone = match time_zone {
            None => TimeZone::UTC,
            Some(name) => {
                TimeZone::get(name).map_err(|_| ScheduleError::UnknownTimeZone(name.to_owned()))?
            }
        };
        Ok(Cron {
            expression: Box::new(expression),
            time_zone,
        })
    }

    /// The first time of the expression after `time`. `None` if there is none.
    pub(super) fn after(&self, time: SystemTime) -> Option<SystemTime> {
        let time = Timestamp::try_from(time).ok()?;
        // Rounded down to a second, in which the expression counts.
        let second = Timestamp::from_second(time.as_nanosecond().div_euclid(SECOND) as i64).ok()?;
        let zoned: Zoned = second.to_zoned(self.time_zone.clone());
        let next = self.expression.find_next_occurrence(&zoned, false).ok()?;
        Some(next.timestamp().into())
    }

    /// The first time of the expression that is not before `time`.
    pub(super) fn not_before(&self, time: SystemTime) -> Option<SystemTime> {
        self.after(time.checked_sub(Duration::from_nanos(1))?)
    }
}

const SECOND: i128 = 1_000_000_000;

/// Says which field makes an expression invalid: the first one that is invalid among asterisks.
fn explained(text: &str, error: &croner::errors::CronError) -> Error {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let alone = |place: usize| {
        let mut alone = vec!["*"; fields.len()];
        alone[place] = fields[place];
        croner::Cron::from_str(&alone.join(" ")).err()
    };
    let invalid = match fields.len() {
        5..=7 => (0..fields.len()).find_map(|place| Some((place, alone(place)?))),
        _ => None,
    };
    let (place, reason) = match invalid {
        Some((place, error)) => {
            let name = FIELDS[place + usize::from(fields.len() == 5)];
            let field = fields[place];
            (format!("the {name} '{field}'"), error.to_string())
        }
        None => {
            let count = fields.len();
            (format!("the number of fields, {count}"), error.to_string())
        }
    };
    Error::InvalidSchedule(ScheduleError::InvalidCron(Box::new(InvalidCron {
        expression: text.to_owned(),
        place,
        reason,
    })))
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unix(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn invalid(text: &str) -> String {
        Cron::new(text, None).unwrap_err().to_string()
    }

    #[test]
    fn an_invalid_expression_is_told_with_the_field_that_is_wrong() {
        let cases = [
            ("61 * * * *", "the minute '61'"),
            ("* 24 * * *", "the hour '24'"),
            ("* * 0 * *", "the day of the month '0'"),
            ("* * * JANUARY *", "the month 'JANUARY'"),
            ("* * * * 8", "the day of the week '8'"),
            ("60 * * * * *", "the second '60'"),
            ("0 0 0 1 1 * 20x0", "the year '20x0'"),
            ("*/0 * * * *", "the minute '*/0'"),
            ("5-1 * * * *", "the minute '5-1'"),
            ("ä * * * *", "the minute 'ä'"),
            ("", "the number of fields, 0"),
            ("* * * *", "the number of fields, 4"),
            ("@never", "the number of fields, 1"),
        ];
        for (text, place) in cases {
            let message = invalid(text);
            assert!(message.contains(place), "{text}: {message}");
        }
    }

    #[test]
    fn an_expression_that_never_comes_is_found_out_soon() {
        for text in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 0 1 1 * 1999"] {
            let cron = Cron::new(text, None).unwrap();
            assert_eq!(cron.after(unix(1_700_000_000)), None, "{text}");
        }
    }

    #[test]
    fn the_time_zone_is_that_of_its_name() {
        let at_three = |zone| Cron::new("0 3 * * *", zone).unwrap();
        // 14 November 2023, 22:13:20 UTC.
        let now = unix(1_700_000_000);
        assert_eq!(at_three(None).after(now), Some(unix(1_700_017_200)));
        let berlin = at_three(Some("Europe/Berlin"));
        assert_eq!(berlin.after(now), Some(unix(1_700_013_600)));
        let unknown = Cron::new("0 3 * * *", Some("Europe/Atlantis")).unwrap_err();
        assert!(unknown.to_string().contains("Europe/Atlantis"));
    }

    #[test]
    fn a_time_that_the_clocks_leave_out_or_repeat_comes_once() {
        // In Berlin there was no 02:30 on 31 March 2024, and there were two on 27 October.
        let berlin = Cron::new("30 2 * * *", Some("Europe/Berlin")).unwrap();
        let day = 86_400;
        for midnight in [1_711_839_600, 1_729_980_000] {
            let mut time = unix(midnight);
            let mut comes = 0;
            while let Some(next) = berlin
                .after(time)
                .filter(|next| *next < unix(midnight + day))
            {
                time = next;
                comes += 1;
            }
            assert_eq!(comes, 1);
        }
    }

    #[test]
    fn a_part_of_a_second_comes_to_the_next_second() {
        let every_second = Cron::new("* * * * * *", None).unwrap();
        let half = Duration::from_millis(500);
        assert_eq!(every_second.after(unix(7)), Some(unix(8)));
        assert_eq!(every_second.after(unix(7) + half), Some(unix(8)));
        assert_eq!(every_second.not_before(unix(7)), Some(unix(7)));
        assert_eq!(every_second.not_before(unix(7) + half), Some(unix(8)));
        let before = SystemTime::UNIX_EPOCH - half;
        assert_eq!(every_second.after(before), Some(unix(0)));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-0-9a-zA-Z*/,#?+@ ]{0,20}|.{0,12}") {
            if let Ok(cron) = Cron::new(&text, None) {
                let now = unix(1_700_000_000);
                prop_assert!(cron.after(now).is_none_or(|next| next > now));
            }
        }
    }
}
