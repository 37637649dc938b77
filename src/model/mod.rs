//! Plain values: names, bytes, field values, errors, descriptions, arguments, users.
//!
//! This layer has no locks, no threads and no clock. All other layers use it.

pub(crate) mod access;
pub(crate) mod arguments;
pub(crate) mod backoff;
pub(crate) mod binary;
pub(crate) mod broker_event;
pub(crate) mod bytes;
pub(crate) mod death_counts;
pub(crate) mod descriptions;
pub(crate) mod disk_alarm;
pub(crate) mod error;
pub(crate) mod exchange_kind;
pub(crate) mod explanation;
pub(crate) mod field_value;
pub(crate) mod message_totals;
pub(crate) mod name;
pub mod octets;
pub(crate) mod slow_consumer;
#[cfg(test)]
pub(crate) mod test_cases;
pub(crate) mod version;
pub(crate) mod wildcards;
