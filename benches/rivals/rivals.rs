//! leveret beside what people would pick instead: the same messages through each, one producer and one consumer, in the same run and
//! in turn. Prints a line for each row, and the same as a table at the end:
//! `rivals,<row>,<median>,<leveret's throughput against it>,<goal>,<met|missed>`
//!
//! The median is in nanoseconds per message, in the `rpc-` rows from a request to its reply (the median over the rounds of each round's
//! p50). A row is compared with the leveret row that moves the same: `leveret` moves a small struct, `leveret-bytes` 64 bytes,
//! `leveret-rpc` a request and its reply. leveret acknowledges every message by itself; so do the rivals that can, unless a row's name
//! says otherwise. What is not there (a server, Python's kombu) is skipped, and said so.
//!
//! `cargo bench --manifest-path benches/rivals/Cargo.toml`; `--rounds <n>`, `--messages <n>` and `-- <row>` as for the floor bench.
//! RabbitMQ is looked for at LEVERET_RABBITMQ or amqp://guest:guest@127.0.0.1:5672, NATS at LEVERET_NATS or 127.0.0.1:4222.

#[path = "../floor/cores.rs"]
#[allow(dead_code, reason = "what was made for the floor bench")]
mod cores;
#[path = "../floor/group.rs"]
#[allow(dead_code, reason = "what was made for the floor bench")]
mod group;
#[path = "../floor/item.rs"]
#[allow(dead_code, reason = "what was made for the floor bench")]
mod item;
#[path = "kombu.rs"]
mod kombu;
#[path = "../floor/latency.rs"]
#[allow(dead_code, reason = "what was made for the floor bench")]
mod latency;
#[path = "nats.rs"]
mod nats;
#[path = "../floor/options.rs"]
#[allow(dead_code, reason = "what was made for the floor bench")]
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
#[allow(dead_code, reason = "what was made for the floor bench")]
mod raw;
#[path = "../floor/report.rs"]
#[allow(dead_code, reason = "what was made for the floor bench")]
mod report;
#[path = "../floor/routed.rs"]
#[allow(dead_code, reason = "what was made for the floor bench")]
mod routed;
#[path = "table.rs"]
mod table;
#[path = "tasks.rs"]
mod tasks;
#[path = "zeromq.rs"]
mod zeromq;

use self::{options::Options, others::Others, table::Table};

/// The queues of the floor bench's fanout.
const QUEUES: u64 = 10;

/// One row.
pub struct Rival {
    name: &'static str,
    /// The row that moves the same through leveret.
    against: &'static str,
    /// What leveret's throughput against it should be at least.
    goal: Option<f64>,
    /// Does another process do the work? Its processor time is no disturbance.
    elsewhere: bool,
    /// One run: nanoseconds per message.
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

/// What is not there, and why.
type Skipped = Vec<String>;

fn main() {
    let options = Options::read();
    let mut skipped = Skipped::new();
    let mut rivals = own::rivals(&options, &mut skipped);
    let own: Vec<&str> = rivals.iter().map(|rival| rival.name).collect();
    rivals.extend(tasks::rivals(&options));
    rivals.extend(zeromq::rivals(&options));
    rivals.extend(nats::rivals(&options, &mut skipped));
    rivals.extend(rabbitmq::rivals(&options, &mut skipped));
    rivals.extend(kombu::rivals(&options, &mut skipped));
    // What leveret and the bare channel do is always there to compare with.
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
