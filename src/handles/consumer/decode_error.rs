//! What a consumer does with messages that do not decode.

use std::{fmt, sync::Arc};

use crate::{
    runtime::{catch_panic::catch_panic, user_drop::drop_user_value},
    session::undecoded::Undecoded,
};

/// What a consumer does with a message that does not decode.
/// [`ConsumerBuilder::on_decode_error`](crate::ConsumerBuilder::on_decode_error) takes one.
///
/// # RabbitMQ
/// RabbitMQ has no counterpart. In kombu it is `on_decode_error` of a `Consumer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorPolicy {
    /// The receiver gets it, as [`RecvError::Decode`](crate::RecvError::Decode). This is the
    /// default.
    #[default]
    Return,
    /// It is rejected, and the consumer goes on with the next message. Its queue dead-letters it or
    /// drops it.
    Reject,
    /// It is acknowledged, and the consumer goes on with the next message. The queue forgets it.
    Ack,
}

/// The policy of a consumer, and the function that sees each message before.
#[derive(Clone, Debug, Default)]
pub(super) struct OnDecodeError {
    pub(super) policy: DecodeErrorPolicy,
    pub(super) inspector: Option<Arc<Inspector>>,
}

impl OnDecodeError {
    /// Whether the receiver gets messages that do not decode.
    pub(super) fn returns(&self) -> bool {
        self.policy == DecodeErrorPolicy::Return
    }

    /// Applies the policy. Returns the message if the receiver is to get it. Runs user code.
    pub(super) fn apply(&self, undecoded: Undecoded) -> Option<Undecoded> {
        if let Some(inspector) = &self.inspector {
            inspector.call(&undecoded);
        }
        // If the broker is shut down, there is nothing to settle.
        match self.policy {
            DecodeErrorPolicy::Return => return Some(undecoded),
            DecodeErrorPolicy::Reject => drop(undecoded.reject()),
            DecodeErrorPolicy::Ack => drop(undecoded.ack()),
        }
        None
    }
}

/// A function of the user that sees messages.
type Inspect = Box<dyn Fn(&Undecoded) + Send + Sync>;

/// The function, whose panics and whose drop are contained.
pub(super) struct Inspector(Option<Inspect>);

impl Inspector {
    pub(super) fn new(inspect: impl Fn(&Undecoded) + Send + Sync + 'static) -> Inspector {
        Inspector(Some(Box::new(inspect)))
    }

    fn call(&self, undecoded: &Undecoded) {
        if let Some(inspect) = &self.0 {
            // The panic hook has reported a panic.
            let _ = catch_panic(|| inspect(undecoded));
        }
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        if let Some(inspect) = self.0.take() {
            drop_user_value(inspect);
        }
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inspector")
    }
}

/// How many messages a task skips in one poll. Then it lets others run.
pub(crate) const MOST_SKIPS: usize = 32;

/// Bounds the messages that a receive skips when it does not wait, so that it ends even if messages
/// that do not decode keep coming.
#[derive(Default)]
pub(crate) struct Skips {
    /// How many more it may skip, once it has skipped one.
    left: Option<usize>,
}

impl Skips {
    /// Whether a receive that has skipped a message may try the next one. `within_reach` counts the
    /// messages that are there when the first one is skipped.
    pub(crate) fn go_on(&mut self, within_reach: impl FnOnce() -> usize) -> bool {
        let left = self.left.get_or_insert_with(within_reach);
        match left.checked_sub(1) {
            Some(less) => {
                *left = less;
                true
            }
            None => false,
        }
    }
}
