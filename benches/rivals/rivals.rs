//! Compares leveret with its alternatives: the same messages through each of them, one producer and
//! one consumer, in the same run and in turn. The bench prints a line for each row, and the same
//! rows as a table at the end:
//! `rivals,<row>,<median>,<leveret's throughput against it>,<goal>,<met|missed>`
//!
//! The median is in nanoseconds per message. In the `-rpc` rows it is the time from a request to
//! its reply: the median over the rounds of each round's p50. The next request follows at once
//! there. In the `-rpc-woken` rows both sides have slept for two milliseconds before each request.
//!
//! A row is compared with the leveret row that moves the same: `leveret` moves a small struct,
//! `leveret-bytes` 64 bytes, `leveret-rpc` a request and its reply, by `leveret::rpc`,
//! `leveret-durable` 1 KiB that is on disk before the next publish (or the next hundred). The rows
//! `append`, `preallocated`, `redb` and `fjall` are files and embedded engines without a broker.
//! leveret acknowledges every message by itself. So do the rivals that can, unless the name of a
//! row says otherwise. The bench skips rivals that are missing (a server, Python's kombu), and
//! prints their names.
//!
//! `cargo bench --manifest-path benches/rivals/Cargo.toml` runs it. It has the options `--rounds
//! <n>`, `--messages <n>` and `-- <row>` of the floor bench. The address of RabbitMQ is
//! LEVERET_RABBITMQ or amqp://guest:guest@127.0.0.1:5672, that of NATS is LEVERET_NATS or
//! 127.0.0.1:4222.

#[path = "../floor/cores.rs"]
#[allow(dead_code, reason = "only the floor bench uses all of it")]
mod cores;
#[path = "durable.rs"]
mod durable;
#[path = "engines.rs"]
mod engines;
#[path = "../floor/group.rs"]
#[allow(dead_code, reason = "only the floor bench uses all of it")]
mod group;
#[path = "../floor/item.rs"]
#[allow(dead_code, reason = "only the floor bench uses all of it")]
mod item;
#[path = "kombu.rs"]
mod kombu;
#[path = "../floor/latency.rs"]
#[allow(dead_code, reason = "only the floor bench uses all of it")]
mod latency;
#[path = "nats.rs"]
mod nats;
#[path = "../floor/options.rs"]
#[allow(dead_code, reason = "only the floor bench uses all of it")]
mod options;
#[path = "../floor/others.rs"]
mod others;
#[path = "own.rs"]
mod own;
#[path = "rabbitmq.rs"]
mod rabbitmq;
#[path = "../floor/race.rs"]
mod race;
#[path = "../floor/raw.rs"]
#[allow(dead_code, reason = "only the floor bench uses all of it")]
mod raw;
#[path = "../floor/report.rs"]
#[allow(dead_code, reason = "only the floor bench uses all of it")]
mod report;
#[path = "../floor/routed.rs"]
#[allow(dead_code, reason = "only the floor bench uses all of it")]
mod routed;
#[path = "table.rs"]
mod table;
#[path = "tasks.rs"]
mod tasks;
#[path = "zeromq.rs"]
mod zeromq;

use std::time::Duration;

use self::{options::Options, others::Others, table::Table};

/// The pause of both sides before each call of the woken rows. Their threads and cores sleep by its
/// end.
const REST: Duration = Duration::from_millis(2);

/// The number of queues of the floor bench's fanout.
const QUEUES: u64 = 10;

/// One row.
pub struct Rival {
    name: &'static str,
    /// The leveret row that moves the same.
    against: &'static str,
    /// The goal: the minimum of leveret's throughput divided by this row's.
    goal: Option<f64>,
    /// Whether another process does the work. Then its processor time is not a disturbance.
    elsewhere: bool,
    /// Runs the row once. Returns nanoseconds per message.
    run: Box<dyn Fn() -> f64>,
}

impl Rival {
    fn new(
        name: &'static str,
        against: &'static str,
        goal: Option<f64>,
        run: impl Fn() -> f64 + 'static,
    ) -> Rival {
        Rival {
            name,
            against,
            goal,
            elsewhere: false,
            run: Box::new(run),
        }
    }

    fn elsewhere(mut self) -> Rival {
        self.elsewhere = true;
        self
    }
}

/// The missing rivals, with the reasons.
type Skipped = Vec<String>;

fn main() {
    let options = Options::read();
    let mut skipped = Skipped::new();
    let mut rivals = own::rivals(&options, &mut skipped);
    rivals.extend(durable::rivals(&options));
    let own: Vec<&str> = rivals.iter().map(|rival| rival.name).collect();
    rivals.extend(engines::rivals(&options));
    rivals.extend(tasks::rivals(&options));
    rivals.extend(zeromq::rivals(&options));
    rivals.extend(nats::rivals(&options, &mut skipped));
    rivals.extend(rabbitmq::rivals(&options, &mut skipped));
    rivals.extend(kombu::rivals(&options, &mut skipped));
    // leveret and the bare channel are never missing, so every row has a row to compare with.
    rivals.retain(|rival| own.contains(&rival.name) || options.wants("rivals", rival.name, &[]));
    let (elsewhere, here): (Vec<_>, Vec<_>) = rivals.iter().partition(|rival| rival.elsewhere);
    let mut table = Table::new(options.quick);
    for _ in 0..options.rounds {
        let mut tries = 3;
        let results: Vec<f64> = loop {
            let others = Others::watch();
            let results = here.iter().map(|rival| (rival.run)()).collect();
            let dirty = others.is_some_and(|others| others.cores() > 0.1);
            tries -= 1;
            if !dirty || tries == 0 || options.quick {
                table.round(dirty);
                break results;
            }
        };
        for (rival, result) in here.iter().zip(results) {
            table.sample(rival.name, result);
        }
        for rival in &elsewhere {
            table.sample(rival.name, (rival.run)());
        }
    }
    table.print(&rivals, &skipped);
}
