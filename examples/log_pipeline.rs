//! Log pipeline: records go by their level to a worker of their own, and all to an archive.
//!
//! The archive is written in batches. A queue keeps the last records, for those who look.
//! `cargo run --example log_pipeline` prints
//!
//! ```text
//! 200 records published
//! history: 100 records, 10 of them are errors
//! alerts: 20, the first for mail: record 8
//! warnings: db 21, mail 21, web 18
//! archive: 200 lines in 4 writes
//! ```

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use leveret::{Broker, Exchange, Queue, Result};

#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    service: String,
    text: String,
}

fn main() -> Result {
    let broker = Broker::open(&std::env::var("LEVERET_URL").unwrap_or_default())?;
    let logs = Exchange::topic("logs");
    let queue = |name: &str, binding_key: &str| Queue::new(name).bind(&logs, binding_key);

    let (handled, all_handled) = mpsc::channel();
    let [alerted, warned, archived] = [(); 3].map(|()| handled.clone());
    let alerts = Arc::new(Mutex::new(Vec::new()));
    let sent = Arc::clone(&alerts);
    let alerting = broker.worker::<Record>(queue("alerts", "*.error"));
    let alerting = alerting.handler(move |record, _| {
        let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.push(format!("{}: {}", record.service, record.text));
        alerted.send(1)
    });
    let alerting = alerting.spawn()?;

    let warnings = Arc::new(Mutex::new(BTreeMap::<String, u32>::new()));
    let counted = Arc::clone(&warnings);
    let counting = broker.worker::<Record>(queue("warnings", "*.warning"));
    let counting = counting.concurrency(2).handler(move |record, _| {
        let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.entry(record.service.clone()).or_default() += 1;
        warned.send(1)
    });
    let counting = counting.spawn()?;

    // A write has up to 50 records. A record waits at most ten seconds for others, and is settled
    // after its write, so that none is lost.
    let archive = Arc::new(Mutex::new((String::new(), 0)));
    let file = Arc::clone(&archive);
    let archiving = broker.worker::<Record>(queue("archive", "#"));
    let archiving = archiving
        .batch(50, Duration::from_secs(10))
        .handler(move |records| {
            let (lines, writes) = &mut *file.lock().unwrap_or_else(PoisonError::into_inner);
            *writes += 1;
            // A real one writes to a file.
            lines.extend(records.iter().map(|record| format!("{}\n", record.text)));
            archived.send(records.len())
        });
    let archiving = archiving.spawn()?;

    let history = broker.simple_queue::<Record>(queue("history", "#").max_length(100))?;
    let publisher = broker.producer::<Record>(&logs)?;
    for number in 0..200 {
        let service = ["web", "db", "mail"][number % 3].to_owned();
        let level = match number % 10 {
            8 => "error",
            1 | 4 | 7 => "warning",
            _ => "info",
        };
        let key = format!("{service}.{level}");
        let text = format!("record {number}");
        publisher.publish_to(&key, Record { service, text })?;
    }
    println!("200 records published");

    // Messages without an acknowledgement stay in the queue.
    let kept: Vec<_> = std::iter::from_fn(|| history.try_get().ok()).collect();
    let errors = kept
        .iter()
        .filter(|it| it.info().routing_key().ends_with(".error"));
    let errors = errors.count();
    println!(
        "history: {} records, {errors} of them are errors",
        kept.len()
    );
    drop(kept);

    let mut left = 20 + 60 + 200;
    while left > 0 {
        left -= all_handled.recv().expect("the workers run");
    }
    let report = broker.shutdown(Duration::from_secs(60))?;
    let (alerting, counting) = (alerting.join().counts, counting.join().counts);
    let archived = archiving.join().counts.acked;

    let alerts = alerts.lock().unwrap_or_else(PoisonError::into_inner);
    println!("alerts: {}, the first for {}", alerts.len(), alerts[0]);
    let warnings = warnings.lock().unwrap_or_else(PoisonError::into_inner);
    let warnings = (warnings.iter()).map(|(service, count)| format!("{service} {count}"));
    println!("warnings: {}", warnings.collect::<Vec<_>>().join(", "));
    let (lines, writes) = &*archive.lock().unwrap_or_else(PoisonError::into_inner);
    println!("archive: {archived} lines in {writes} writes");
    assert_eq!((alerting.acked, counting.acked), (20, 60));
    let expected = (0..200).map(|number| format!("record {number}\n"));
    assert_eq!(*lines, expected.collect::<String>());
    let is_history = |left: &leveret::RemainingQueue| left.queue == "history";
    assert!(!report.timed_out && report.queues.iter().all(is_history));
    Ok(())
}
