//! The memory bench: the bytes of waiting messages and idle queues, by a counting allocator, and
//! whether all bytes come back.
//!
//! The bench prints lines like the floor bench, `floor,memory,<row>,<bytes>,-,<goal>,<met|missed>`,
//! and a table at the end. It counts the bytes that the program requests. The rounding and the own
//! memory of the allocator are not counted.
//!
//! `cargo bench --bench memory` measures all rows. `-- <row>` selects rows. Without `--bench`, with
//! `--quick` or with `LEVERET_QUICK` set, the bench only checks, with small numbers.

#[path = "memory/bindings.rs"]
mod bindings;
#[path = "memory/churn.rs"]
mod churn;
#[path = "memory/count.rs"]
mod count;
#[path = "floor/options.rs"]
#[allow(dead_code, reason = "the floor bench uses the rest")]
mod options;
#[path = "floor/report.rs"]
#[allow(dead_code, reason = "the floor bench uses the rest")]
mod report;
#[path = "floor/selective.rs"]
#[allow(dead_code, reason = "the floor bench uses the rest")]
mod selective;
#[path = "memory/waiting.rs"]
mod waiting;
#[cfg(feature = "amqp")]
#[path = "memory/wire.rs"]
mod wire;

use std::alloc::System;

use stats_alloc::StatsAlloc;

use self::{
    options::Options,
    report::{Line, Report},
};

#[global_allocator]
static ALLOCATOR: StatsAlloc<System> = StatsAlloc::system();

/// One figure.
struct Row {
    name: &'static str,
    unit: &'static str,
    /// The maximum that is the goal.
    goal: Option<f64>,
    measure: fn(&Options) -> f64,
}

/// The rows of clients of AMQP.
#[cfg(feature = "amqp")]
const WIRE: &[Row] = wire::ROWS;
#[cfg(not(feature = "amqp"))]
const WIRE: &[Row] = &[];

fn main() {
    let options = Options::read();
    let mut report = Report::new(options.quick);
    for row in (waiting::ROWS.iter())
        .chain(bindings::ROWS)
        .chain(churn::ROWS)
        .chain(WIRE)
    {
        if !options.wants("memory", row.name, &[]) {
            continue;
        }
        let value = (row.measure)(&options);
        report.line(Line {
            shape: "memory".into(),
            row: row.name.into(),
            median: value,
            unit: row.unit,
            ratio: None,
            goal: row.goal.map(|goal| format!("<={goal:.0}")),
            met: row.goal.map(|goal| value <= goal),
            pace: None,
        });
    }
    report.close();
}
