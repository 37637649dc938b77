//! The services that the broker needs from its process: locks, waiting, time, and guards around
//! user code.
//!
//! Knows nothing of messages.

pub(crate) mod block_on;
pub(crate) mod catch_panic;
pub(crate) mod clock;
#[cfg_attr(
    not(any(test, feature = "rabbitmq")),
    expect(
        dead_code,
        reason = "only engines outside of this process complete later"
    )
)]
pub(crate) mod completion;
pub(crate) mod contained;
pub(crate) mod feed;
pub(crate) mod keyed_list;
pub(crate) mod regex;
pub(crate) mod signal;
pub(crate) mod spare;
pub(crate) mod sync;
pub(crate) mod time_out;
pub(crate) mod timers;
pub(crate) mod user_drop;
pub(crate) mod waiter;
