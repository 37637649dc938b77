//! Compares leveret behind a socket with a RabbitMQ server: the same client, the same messages, in
//! turn. leveret runs in a process of its own, the example `amqp_listener`.
//!
//! The `lean` rows have a client that costs little: sockets of the standard library, large writes,
//! and no more of AMQP than the row needs. Each message is acknowledged by itself, and the prefetch
//! is 256. The `lapin` rows have lapin 4.
//!
//! The bench prints a line for each row and figure:
//! `wire,<row>,<figure>,<leveret>,<rabbitmq>,<ratio>,<goal>,<met|missed>`
//!
//! The figures are `rate` (messages a second; the ratio is leveret's to RabbitMQ's, and a goal is a
//! minimum), `processor` (nanoseconds of the broker's processor time for each message, as
//! `/proc` counts it; a goal is a maximum) and `p50` (nanoseconds of a round trip; a goal is a
//! maximum). Each is the median over the rounds.
//!
//! `cargo bench --manifest-path benches/wire/Cargo.toml` runs it on Linux, and builds the listener.
//! It has the options `--rounds <n>`, `--messages <n>`, `--quick` and `-- <row>`. The address of
//! RabbitMQ is LEVERET_RABBITMQ_ADDRESS or 127.0.0.1:5672. Its user is `guest`. With the address of
//! a listener that runs already in LEVERET_LISTENER_ADDRESS, none is built.

mod client;
mod lapin_client;
mod lean;
mod options;
mod process;
mod table;

use std::{env, net::SocketAddr};

use self::{options::Options, process::Broker, table::Table};

/// A row.
pub struct Row {
    name: &'static str,
    /// The figures with a goal.
    goals: &'static [(Figure, f64)],
    /// Runs it once against the broker there.
    run: fn(&Broker, &Options) -> Measured,
}

/// A figure of a row, which its goal is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Figure {
    /// Messages a second.
    Rate,
    /// Processor time of the broker for each message, in nanoseconds.
    Processor,
    /// The median time of a round trip, in nanoseconds.
    P50,
}

/// The figures of a run.
pub type Measured = Vec<(Figure, f64)>;

fn main() {
    let options = Options::read();
    if !cfg!(target_os = "linux") {
        println!("skipped: processor times are read from /proc");
        return;
    }
    let address = env::var("LEVERET_RABBITMQ_ADDRESS").unwrap_or("127.0.0.1:5672".into());
    let address: SocketAddr = address.parse().expect("an address with a port");
    let rabbitmq = match Broker::at(address) {
        Ok(rabbitmq) => rabbitmq,
        Err(error) => {
            println!("skipped: no RabbitMQ at {address}: {error}");
            return;
        }
    };
    let leveret = match env::var("LEVERET_LISTENER_ADDRESS") {
        Ok(address) => {
            let listener = Broker::at(address.parse().expect("an address with a port"));
            listener.expect("a listener is there")
        }
        Err(_) => Broker::start_listener(),
    };
    let mut table = Table::default();
    let rows: Vec<Row> = lean::rows()
        .into_iter()
        .chain(lapin_client::rows())
        .collect();
    for round in 0..options.rounds {
        for row in rows.iter().filter(|row| options.wants(row.name)) {
            // The one that comes first changes.
            let mut brokers = [(&leveret, true), (&rabbitmq, false)];
            brokers.rotate_left(round % 2);
            for (broker, is_leveret) in brokers {
                for (figure, value) in (row.run)(broker, &options) {
                    table.sample(row.name, figure, is_leveret, value);
                }
            }
        }
    }
    table.print(&rows, options.quick);
}
