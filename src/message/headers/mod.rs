//! The headers that the broker itself reads and writes.

pub(crate) mod cc_bcc;
pub(crate) mod x_death;
pub(crate) mod x_delay;
