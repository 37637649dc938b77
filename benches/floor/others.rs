//! The processor use of other processes during a round. Available on Linux only.

use std::{fs, time::Instant};

/// The ticks in a second, in which the kernel counts processor time for user programs.
const TICKS: f64 = 100.0;

/// Both sides of the difference are counted in whole ticks, so a difference of this size may be a
/// rounding error.
const SLACK: f64 = 2.0;

pub struct Others {
    began: Instant,
    ticks: f64,
}

impl Others {
    /// Starts to watch. Returns `None` where the use is unknown.
    pub fn watch() -> Option<Others> {
        Some(Others {
            ticks: ticks()?,
            began: Instant::now(),
        })
    }

    /// The use of all other processes since the start, in cores.
    pub fn cores(&self) -> f64 {
        let used = ticks().map_or(0.0, |ticks| ticks - self.ticks - SLACK);
        (used / TICKS / self.began.elapsed().as_secs_f64()).max(0.0)
    }
}

/// The processor time of the machine, without the time of this process.
fn ticks() -> Option<f64> {
    let number = |word: &str| word.parse::<f64>().ok();
    let machine = fs::read_to_string("/proc/stat").ok()?;
    // The fields are `cpu user nice system idle iowait irq softirq steal ..`. The time of guests is
    // part of `user`.
    let fields: Vec<f64> = machine
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .map_while(number)
        .collect();
    let all: f64 = fields.iter().take(8).sum();
    let idle: f64 = fields.get(3..5)?.iter().sum();
    let own = fs::read_to_string("/proc/self/stat").ok()?;
    // The name is in parentheses and may contain blanks. The 12th and 13th fields behind it are
    // utime and stime.
    let own: f64 = own
        .rsplit(')')
        .next()?
        .split_whitespace()
        .skip(11)
        .take(2)
        .map_while(number)
        .sum();
    Some(all - idle - own)
}
