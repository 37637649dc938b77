//! The headers that the broker reads and writes itself.

pub(crate) mod cc_bcc;
#[cfg(feature = "tracing")]
pub(crate) mod trace_context;
pub(crate) mod x_death;
pub(crate) mod x_delay;
