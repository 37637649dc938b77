//! Instructions: how many a message takes, step by step, on one thread.
//!
//! No thread waits for another here, so the counts are the same in every run. Other processes do
//! not disturb them.
//!
//! `cargo bench --features durable --bench instructions` runs each scenario twice under valgrind's
//! callgrind. The difference between a long and a short run leaves out the start. The bench
//! compares its counts with `benches/instructions/counts.txt`, and fails if a step has grown past
//! its limit.
//! `-- --save` writes that file instead. Without the feature the steps of durable brokers are left
//! out, and without the feature `amqp` those of a client's octets.
//!
//! Counts depend on the compiler, which the file's first line names. With another one the bench
//! only prints its table. Without `--bench`, with `--quick` or with `LEVERET_QUICK` set it runs
//! each scenario for a moment, without valgrind.

mod callgrind;
mod counts;
#[path = "../floor/item.rs"]
#[allow(dead_code, reason = "the floor bench uses the rest")]
mod item;
mod scenarios;

use std::{env, process::ExitCode};

use self::{counts::Counts, scenarios::SCENARIOS};

/// The numbers of cycles of the short and the long run. After the short run every table and buffer
/// has its final size.
const SHORT: u64 = 40;
const LONG: u64 = 140;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [callgrind::RUN, name, cycles] = arguments[..] {
        scenarios::run(name, cycles.parse().expect("a number of cycles"));
        return ExitCode::SUCCESS;
    }
    let given = |option| arguments.contains(&option);
    if !given("--bench") || given("--quick") || env::var_os("LEVERET_QUICK").is_some() {
        for scenario in SCENARIOS {
            (scenario.run)(2);
        }
        println!("quick: everything ran, nothing was counted");
        return ExitCode::SUCCESS;
    }
    let now = Counts::of(SCENARIOS.iter().flat_map(callgrind::count));
    if given("--save") {
        now.save();
        return ExitCode::SUCCESS;
    }
    match Counts::saved().compare(&now) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
