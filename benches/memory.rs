//! Memory: how many bytes what waits takes, by a counting allocator, and whether all come back.
//!
//! Prints the floor bench's lines, `floor,memory,<row>,<bytes>,-,<goal>,<met|missed>`, and a table at the end. Bytes are as asked for
//! from the allocator; what it rounds up or keeps for itself is not counted.
//!
//! `cargo bench --bench memory` measures; add `-- <row>` for some rows alone. Without `--bench`, with `--quick` or with `LEVERET_QUICK`
//! set it only checks, with small numbers.

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
    /// At most so much.
    goal: Option<f64>,
    measure: fn(&Options) -> f64,
}

fn main() {
    let options = Options::read();
    let mut report = Report::new(options.quick);
    for row in (waiting::ROWS.iter())
        .chain(bindings::ROWS)
        .chain(churn::ROWS)
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
        });
    }
    report.close();
}
