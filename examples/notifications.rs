//! Notifications: what happens in a program, told to all who listen.
//!
//! Mirrors the sender and the receiver of oslo.messaging.
//! `cargo run --example notifications` prints
//!
//! ```text
//! nobody listens yet: routed to 0 queues
//! Info: local my_type {"content":"Hello World"}
//! Warn: local my_type {"content":"careful"}, requeued once
//! Error: local error_type {"content":"it broke"}
//! filtered out: 1 of remote
//! the pool has shared 5, the other pool has seen 5
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    time::Duration,
};

use leveret::{
    Broker, Result,
    notify::{ListenerBuilder, Notification, NotificationFilter, Priority},
    worker::Settle,
};
use serde_json::{Value, json};

type Lines = mpsc::Sender<(Priority, String)>;

/// A member of the pool: it tells of the notifications of local publishers.
fn member(broker: &Broker, lines: &Lines) -> Result<ListenerBuilder<Value>> {
    let filter = NotificationFilter::new().publisher_id("^local")?;
    let line =
        |it: &Notification<Value>| format!("{} {} {}", it.publisher_id, it.event_type, it.payload);
    let [infos, warnings, errors] = [(); 3].map(|()| lines.clone());
    let listener = broker
        .listener::<Value>()
        .pool("listener")
        .on_matching(Priority::Info, filter.clone(), move |it, _| {
            infos.send((it.priority, format!("Info: {}", line(it))))
        })
        .on_matching(Priority::Warn, filter.clone(), move |it, context| {
            if context.acquired_count() == 0 {
                return Ok(Settle::Requeue(Duration::ZERO));
            }
            let text = format!("Warn: {}, requeued once", line(it));
            warnings.send((it.priority, text)).map(|()| Settle::Ack)
        })
        .on_matching(Priority::Error, filter, move |it, _| {
            errors.send((it.priority, format!("Error: {}", line(it))))
        });
    Ok(listener)
}

fn main() -> Result {
    let broker = Broker::open(&std::env::var("LEVERET_URL").unwrap_or_default())?;
    let local = broker.notifier::<Value>("local").build()?;
    let content = |text: &str| json!({ "content": text });
    let published = local.info("my_type", content("to nobody"))?;
    println!("nobody listens yet: routed to {} queues", published.routed);

    let (sender, lines) = mpsc::channel();
    let pool = [
        member(&broker, &sender)?.spawn()?,
        member(&broker, &sender)?.spawn()?,
    ];
    drop(sender);
    let seen = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&seen);
    let (all, all_seen) = mpsc::channel();
    let other = broker.listener::<Value>().pool("other");
    let other = other.endpoint("all", Priority::ALL, move |worker| {
        worker.handler(move |_, _| {
            if counter.fetch_add(1, Relaxed) == 4 {
                let _ = all.send(());
            }
        })
    });
    let other = other.spawn()?;

    let remote = local.with_publisher_id("remote")?;
    local.info("my_type", content("Hello World"))?;
    local.warn("my_type", content("careful"))?;
    remote.error("error_type", content("not ours"))?;
    local.error("error_type", content("it broke"))?;
    let published = local.audit("login", content("no endpoint of the pool asks for it"))?;
    assert_eq!(published.routed, 1);

    // Here the drain alone would wait for all. A RabbitMQ keeps what has not been delivered.
    let patience = Duration::from_secs(60);
    let mut lines: Vec<_> = lines.iter().take(3).collect();
    all_seen.recv_timeout(patience).expect("all are seen");
    let reports = pool.map(|listener| listener.stop_and_drain(patience));
    other.stop_and_drain(patience);
    lines.sort();
    lines.iter().for_each(|(_, line)| println!("{line}"));
    let endpoints = || reports.iter().flat_map(|report| &report.endpoints);
    let acked: u64 = endpoints().map(|endpoint| endpoint.counts.acked).sum();
    println!("filtered out: {} of remote", acked - lines.len() as u64);
    let handled: u64 = endpoints().map(|endpoint| endpoint.counts.handled).sum();
    println!(
        "the pool has shared {handled}, the other pool has seen {}",
        seen.load(Relaxed)
    );
    assert_eq!(
        (lines.len(), acked, handled, seen.load(Relaxed)),
        (3, 4, 5, 5)
    );
    Ok(())
}
