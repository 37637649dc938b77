//! The headers that the broker reads and writes itself.

pub(crate) mod cc_bcc;
pub(crate) mod x_death;
pub(crate) mod x_delay;
