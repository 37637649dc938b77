//! Quorum queues: their order, their counts, and what typed handles do with them.

mod model;
mod settlements;
mod timeouts;
mod timers;
