//! Schedules by the broker's clock: messages that are published again and again, and ticks.

#[cfg(feature = "cron")]
mod cron;
mod ends;
mod every;
mod missed;
mod ticks;

use std::time::Duration;

pub const MINUTE: Duration = Duration::from_secs(60);
