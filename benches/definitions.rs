//! Imports and exports of definitions with many queues: the time of each, and how it grows.
//!
//! `cargo bench --bench definitions` prints a table. Each queue is durable and has one binding to
//! a topic exchange. Every third has a time to live and a dead-letter exchange. With
//! `LEVERET_WRITE=FILE` it writes the file of 10,000 queues, which RabbitMQ imports as well:
//! `rabbitmqctl import_definitions FILE`. CONTRIBUTING.md tells how to get a RabbitMQ.

#[path = "definitions/file.rs"]
mod file;

use std::{
    env, fs,
    time::{Duration, Instant},
};

use leveret::{Broker, ExportOptions, ImportOptions, RabbitMqVersion};

use self::file::definitions;

fn main() {
    if let Some(path) = env::var_os("LEVERET_WRITE") {
        fs::write(&path, definitions(10_000)).expect("the file can be written");
        return;
    }
    println!(
        "queues   | file      | import   | per queue | as 4.3   | on top   | export   | for 4.3"
    );
    println!(
        "---------+-----------+----------+-----------+----------+----------+----------+---------"
    );
    let few = row(10_000);
    let many = row(100_000);
    println!();
    println!(
        "10 times as many queues take {:.1} times as long (at most 12 are wanted)",
        many.as_secs_f64() / few.as_secs_f64()
    );
}

/// The best of three runs.
fn timed<R>(run: impl Fn() -> R) -> Duration {
    let once = || {
        let started = Instant::now();
        let result = run();
        let time = started.elapsed();
        drop(result);
        time
    };
    (0..3).map(|_| once()).min().unwrap_or_default()
}

/// Prints a row. Returns the time of the strict import.
fn row(queues: usize) -> Duration {
    let file = definitions(queues);
    let import = timed(|| Broker::from_definitions(&file).expect("it fits"));
    let like = timed(|| {
        let broker = Broker::new();
        let like = ImportOptions::new().like_rabbitmq(RabbitMqVersion::V4_3);
        broker
            .import_definitions_with(&file, &like)
            .expect("it fits");
        broker
    });
    let broker = Broker::from_definitions(&file).expect("it fits");
    let again = timed(|| broker.import_definitions(&file).expect("it fits"));
    let export = timed(|| broker.export_definitions().expect("it is up"));
    let for_4_3 = ExportOptions::new().for_rabbitmq(RabbitMqVersion::V4_3);
    let for_4_3 = timed(|| broker.export_definitions_with(&for_4_3).expect("it fits"));
    println!(
        "{queues:8} | {:6} KB | {:>8} | {:>9} | {:>8} | {:>8} | {:>8} | {:>8}",
        file.len() / 1_000,
        shown(import),
        shown(import / u32::try_from(queues).unwrap_or(1)),
        shown(like),
        shown(again),
        shown(export),
        shown(for_4_3),
    );
    import
}

fn shown(time: Duration) -> String {
    match time.as_micros() {
        0..10_000 => format!("{:.1} us", time.as_secs_f64() * 1e6),
        _ => format!("{:.1} ms", time.as_secs_f64() * 1e3),
    }
}
