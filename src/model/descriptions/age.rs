//! The ages of streams as RabbitMQ writes them: `7D`, `12h`.

use std::time::Duration;

const SECOND: u64 = 1;
const DAY: u64 = 24 * 60 * 60;

/// The seconds of each unit.
const UNITS: [(&str, u64); 6] = [
    ("Y", 365 * DAY),
    ("M", 30 * DAY),
    ("D", DAY),
    ("h", 60 * 60),
    ("m", 60),
    ("s", SECOND),
];

/// Reads an age: a number above zero and a unit. A number that is too large for a duration stands
/// for the longest one.
pub(crate) fn parse_age(text: &str) -> Option<Duration> {
    let number = text.trim_end_matches(|unit: char| !unit.is_ascii_digit());
    let (_, unit) = UNITS
        .iter()
        .find(|(unit, _)| *unit == &text[number.len()..])?;
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number || number.starts_with('0') {
        return None;
    }
    let number = number.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(number.saturating_mul(*unit)))
}

/// Writes an age, rounded up to whole seconds. The least one is a second.
pub(crate) fn format_age(age: Duration) -> String {
    let seconds = age.as_nanos().div_ceil(1_000_000_000).max(1);
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_positive_number_and_a_unit() {
        let seconds = |text| parse_age(text).map(|age| age.as_secs());
        for (text, expected) in [
            ("1s", 1),
            ("60m", 3600),
            ("1h", 3600),
            ("7D", 7 * DAY),
            ("2M", 60 * DAY),
            ("10Y", 3650 * DAY),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in [
            "", "s", "1", "0s", "01s", "1hh", "1.5h", "-1h", " 1h", "1 h", "1H", "1d",
        ] {
            assert_eq!(seconds(text), None, "{text:?}");
        }
        assert_eq!(
            parse_age(&format!("{}Y", "9".repeat(40))),
            Some(Duration::from_secs(u64::MAX))
        );
    }

    #[test]
    fn an_age_is_written_in_seconds_and_never_as_zero() {
        let written = [0, 1, 1_000, 1_001].map(|millis| format_age(Duration::from_millis(millis)));
        assert_eq!(written, ["1s", "1s", "1s", "2s"]);
    }
}
