//! The results of a batch of publishes.

use std::{collections::VecDeque, fmt, iter};

use super::PublishError;
use crate::{engine::vhost::Published, message::payload::Payload};

/// The results of a batch of publishes: one for each payload, in the order of the payloads. It is
/// an iterator that takes them out one by one.
///
/// If one queue has taken each payload, the results need no allocation.
///
/// # If dropped
/// The results are lost, and with them the payloads that were not published.
///
/// # Examples
/// ```
/// let broker = leveret::Broker::new();
/// let results = broker.producer::<u32>("q")?.publish_batch([7, 8]);
/// assert_eq!(results.len(), 2);
/// assert!(results.iter().all(Result::is_ok));
/// for published in results {
///     assert_eq!(published?.routed, 1);
/// }
/// # Ok::<(), leveret::Error>(())
/// ```
#[must_use = "each result tells whether its payload was published"]
pub struct PublishResults<T: Payload> {
    /// How many of the first payloads one queue each has taken. Mostly these are all.
    to_one: usize,
    /// The results of the others.
    others: VecDeque<Result<Published, PublishError<T>>>,
}

impl<T: Payload> PublishResults<T> {
    const TO_ONE: &'static Result<Published, PublishError<T>> = &Ok(Published::to_one());

    pub(super) fn new() -> PublishResults<T> {
        PublishResults {
            to_one: 0,
            others: VecDeque::new(),
        }
    }

    /// Adds the results of payloads that one queue each has taken.
    pub(super) fn add_to_one(&mut self, payloads: usize) {
        match self.others.is_empty() {
            true => self.to_one += payloads,
            false => {
                let results = iter::repeat_with(|| Ok(Published::to_one()));
                self.others.extend(results.take(payloads));
            }
        }
    }

    pub(super) fn push(&mut self, result: Result<Published, PublishError<T>>) {
        match &result {
            Ok(published) if *published == Published::to_one() => self.add_to_one(1),
            _ => self.others.push_back(result),
        }
    }

    pub(super) fn extend(
        &mut self,
        results: impl IntoIterator<Item = Result<Published, PublishError<T>>>,
    ) {
        results.into_iter().for_each(|result| self.push(result));
    }

    /// Looks at the results, without taking them out.
    pub fn iter(&self) -> impl Iterator<Item = &Result<Published, PublishError<T>>> {
        iter::repeat_n(Self::TO_ONE, self.to_one).chain(&self.others)
    }

    /// Whether there are no results: no payloads were given, or all results are taken out.
    pub fn is_empty(&self) -> bool {
        self.to_one == 0 && self.others.is_empty()
    }
}

/// Takes the results out, the first one first.
impl<T: Payload> Iterator for PublishResults<T> {
    type Item = Result<Published, PublishError<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.to_one.checked_sub(1) {
            Some(left) => {
                self.to_one = left;
                Some(Ok(Published::to_one()))
            }
            None => self.others.pop_front(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.to_one + self.others.len();
        (left, Some(left))
    }
}

impl<T: Payload> ExactSizeIterator for PublishResults<T> {}

impl<T: Payload> iter::FusedIterator for PublishResults<T> {}

impl<T: Payload> fmt::Debug for PublishResults<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
