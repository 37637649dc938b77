//! Quorum queues: their order, their counts, and what typed handles do with them.

mod in_transit;
mod limits;
mod model;
mod settlements;
mod timeouts;
mod timers;
mod typed_timeouts;
