//! What other processes use of the machine while a round runs. Known on Linux only.

use std::{fs, time::Instant};

/// Ticks in a second, as the kernel counts them for user programs.
const TICKS: f64 = 100.0;

/// Processor time is counted in ticks, on both sides of the difference: so many are no evidence.
const SLACK: f64 = 2.0;

pub struct Others {
    began: Instant,
    ticks: f64,
}

impl Others {
    /// Begins to watch; nothing where that cannot be known.
    pub fn watch() -> Option<Others> {
        Some(Others {
            ticks: ticks()?,
            began: Instant::now(),
        })
    }

    /// What all others have used since then, in cores.
    pub fn cores(&self) -> f64 {
        let used = ticks().map_or(0.0, |ticks| ticks - self.ticks - SLACK);
        (used / TICKS / self.began.elapsed().as_secs_f64()).max(0.0)
    }
}

/// What the machine has used so far, less what this process has.
fn ticks() -> Option<f64> {
    let number = |word: &str| word.parse::<f64>().ok();
    let machine = fs::read_to_string("/proc/stat").ok()?;
    // cpu user nice system idle iowait irq softirq steal ..: a guest's time is part of the user's.
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
    // The name, in parentheses, may have blanks in it. Behind it the 12th and 13th are utime and stime.
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
