//! [`BatchResult`], what a handler of batches returns.

use std::fmt;

use crate::patterns::worker::{
    HandlerError, HandlerResult, Settle,
    settle::{Failure, Verdict},
};

/// The result of a handler of batches: one result for all messages, or one for each.
///
/// - `()` and a [`Settle`] settle all messages.
/// - A `Vec` has one [`HandlerResult`] for each message, in the order of the batch.
/// - An `Err` fails all messages. The `Ok` of such a `Result` is one of the others.
///
/// A `Vec` of another length fails all messages, since its results cannot be told apart.
///
/// # Examples
/// ```
/// use leveret::worker::{BatchResult, Settle};
///
/// let all = Settle::Reject.into_results(2);
/// assert_eq!(all, [Ok(Settle::Reject), Ok(Settle::Reject)]);
/// let each = vec![Ok(()), Err("full")].into_results(2);
/// assert!(each[0] == Ok(Settle::Ack) && each[1].is_err());
/// let failed = Err::<(), _>("no connection").into_results(2);
/// assert!(failed.iter().all(Result::is_err));
/// ```
///
/// An iterator is no result, since nothing would say whether it is called. Collect it.
/// ```compile_fail
/// # let broker = leveret::Broker::new();
/// let worker = broker.worker::<u32>("q").batch(10, std::time::Duration::ZERO);
/// let worker = worker.handler(|batch| (0..batch.len()).map(|_| Ok::<_, String>(())));
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler of batches cannot return `{Self}`",
    note = "it returns `()`, a `Settle`, a `Vec` with one result for each message, or a `Result` of one of them"
)]
pub trait BatchResult {
    /// Returns the results of this number of messages: the settlement of each, or the facts about
    /// its failure.
    fn into_results(self, messages: usize) -> Vec<Result<Settle, HandlerError>>;
}

impl BatchResult for () {
    fn into_results(self, messages: usize) -> Vec<Verdict> {
        Settle::Ack.into_results(messages)
    }
}

impl BatchResult for Settle {
    fn into_results(self, messages: usize) -> Vec<Verdict> {
        vec![Ok(self); messages]
    }
}

impl<R: HandlerResult> BatchResult for Vec<R> {
    fn into_results(self, _: usize) -> Vec<Verdict> {
        let results = self.into_iter().map(R::into_result);
        results.map(|result| result.map(Into::into)).collect()
    }
}

impl<R: BatchResult, E: fmt::Display> BatchResult for Result<R, E> {
    fn into_results(self, messages: usize) -> Vec<Verdict> {
        match self {
            Ok(results) => results.into_results(messages),
            Err(error) => vec![Err(HandlerError::new(&error)); messages],
        }
    }
}

/// Reads what a handler has returned for this number of messages, or its failure. Runs user code,
/// since the texts of errors do.
pub(super) fn verdicts<R: BatchResult>(
    ended: Result<R, HandlerError>,
    messages: usize,
) -> Vec<Verdict> {
    let verdicts = match ended {
        Ok(result) => result.into_results(messages),
        Err(error) => return vec![Err(error); messages],
    };
    let found = verdicts.len();
    if found == messages {
        return verdicts;
    }
    let message = format!("the handler returned {found} results for {messages} messages");
    let error = HandlerError::of(Failure::Error, "leveret::worker::BatchResult", message);
    vec![Err(error); messages]
}
