//! The delays with which a quorum queue holds back messages that were returned.

use std::time::Duration;

use super::reader::ArgumentReader;
use crate::model::descriptions::{DelayedRetryKind, names as x};

/// How long a quorum queue holds back a message that was returned. `None` means that neither the
/// arguments nor a policy set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DelayedRetry {
    /// The returns that are delayed.
    pub(crate) kind: Option<DelayedRetryKind>,
    /// The delay for each failed delivery. Without it, or if it is zero, nothing is delayed.
    pub(crate) min: Option<Duration>,
    /// The longest delay. Without it, or if it is zero, every delay is `min`.
    pub(crate) max: Option<Duration>,
}

impl DelayedRetry {
    /// Reads the three arguments. RabbitMQ never refuses one of them: an unknown word or a value of
    /// another type counts as absent. A negative time counts as zero.
    pub(super) fn parse(reader: &ArgumentReader<'_>) -> Self {
        let word = reader
            .get(x::DELAYED_RETRY_TYPE)
            .and_then(|word| word.as_str());
        let time = |argument| {
            let milliseconds = reader.get(argument)?.as_i64()?;
            Some(Duration::from_millis(milliseconds.try_into().unwrap_or(0)))
        };
        Self {
            kind: word.and_then(DelayedRetryKind::from_word),
            min: time(x::DELAYED_RETRY_MIN),
            max: time(x::DELAYED_RETRY_MAX),
        }
    }

    /// The time for which a message is held back after a return. `None` if it is ready at once.
    ///
    /// `failed` tells whether this return counts as a failed delivery. `delivery_count` is the
    /// number of failed deliveries, with this one.
    pub(crate) fn delay(&self, failed: bool, delivery_count: u32) -> Option<Duration> {
        let applies = match self.kind? {
            DelayedRetryKind::All => true,
            DelayedRetryKind::Failed => failed,
            DelayedRetryKind::Returned => !failed,
            DelayedRetryKind::Disabled => false,
        };
        let min = self.min.filter(|min| applies && !min.is_zero())?;
        let max = self.max.filter(|max| !max.is_zero()).unwrap_or(min);
        Some(min.saturating_mul(delivery_count.max(1)).min(max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DelayedRetryKind::{All, Disabled, Failed, Returned};

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn retry(kind: DelayedRetryKind, min: u64, max: Option<u64>) -> DelayedRetry {
        DelayedRetry {
            kind: Some(kind),
            min: Some(seconds(min)),
            max: max.map(seconds),
        }
    }

    #[test]
    fn the_delay_grows_with_the_delivery_count_up_to_the_maximum() {
        let delays: Vec<_> = (0..=4)
            .map(|count| retry(All, 10, Some(25)).delay(true, count))
            .collect();
        assert_eq!(delays, [10, 10, 20, 25, 25].map(|s| Some(seconds(s))));
        // Without a maximum it does not grow, and a maximum below the minimum shortens it.
        assert_eq!(retry(All, 10, None).delay(true, 3), Some(seconds(10)));
        assert_eq!(retry(All, 10, Some(0)).delay(true, 3), Some(seconds(10)));
        assert_eq!(retry(All, 10, Some(4)).delay(true, 1), Some(seconds(4)));
        assert_eq!(
            retry(All, u64::MAX, None).delay(true, 3),
            Some(seconds(u64::MAX))
        );
    }

    #[test]
    fn the_kind_chooses_the_returns_that_are_delayed() {
        for (kind, after_failure, after_return) in [
            (All, true, true),
            (Failed, true, false),
            (Returned, false, true),
            (Disabled, false, false),
        ] {
            let retry = retry(kind, 10, None);
            assert_eq!(retry.delay(true, 1).is_some(), after_failure, "{kind}");
            assert_eq!(retry.delay(false, 1).is_some(), after_return, "{kind}");
        }
    }

    #[test]
    fn nothing_is_delayed_without_a_kind_or_a_minimum() {
        assert_eq!(DelayedRetry::default().delay(true, 1), None);
        assert_eq!(retry(All, 0, Some(10)).delay(true, 1), None);
        let kind = Some(All);
        let (min, max) = (None, Some(seconds(1)));
        assert_eq!(DelayedRetry { kind, min, max }.delay(true, 1), None);
    }
}
