//! Plain values: names, bytes, field values, errors, descriptions and arguments.
//!
//! No locks, no threads, no clock. Everything else is built of these.

pub(crate) mod arguments;
pub(crate) mod bytes;
pub(crate) mod descriptions;
pub(crate) mod error;
pub(crate) mod exchange_kind;
pub(crate) mod field_value;
pub(crate) mod message_totals;
pub(crate) mod name;
#[cfg(all(test, not(shuttle)))]
pub(crate) mod test_cases;
