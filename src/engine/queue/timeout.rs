//! The time for which consumers may hold deliveries.

use std::time::Duration;

/// How long a delivery may stay unsettled where its consumer does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Timeout {
    /// The time that someone has asked for.
    pub(super) asked: Option<Duration>,
    /// The time otherwise. It holds for sinks only: a delivery of an inbox that has a time shares
    /// its payload, and no one has asked for that.
    pub(super) built_in: Option<Duration>,
}
