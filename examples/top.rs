//! A table of the queues that refreshes, as the program `top` has one of processes.
//!
//! On a terminal each frame takes a second and replaces the one before. `-- --frames 60` shows 60
//! frames. `cargo run --example top` prints
//!
//! ```text
//! queue    ready  unsettled   in/s  out/s  waits
//! mails        3          2    8.0    5.0    0 s
//! orders       0          0    8.0    8.0
//!
//! queue    ready  unsettled   in/s  out/s  waits
//! mails        8          2    8.0    3.0    0 s
//! orders       0          0    8.0    8.0
//!
//! queue    ready  unsettled   in/s  out/s  waits
//! mails       13          2    8.0    3.0    1 s
//! orders       0          0    8.0    8.0
//! ```

use std::{
    env,
    io::{IsTerminal, stdout},
    thread,
    time::Duration,
};

use leveret::{Broker, Exchange, ManualClock, Queue, Rates, Result, Snapshot};

const SECOND: Duration = Duration::from_secs(1);

/// The queues with the most messages come first.
fn frame(snapshot: &Snapshot, rates: &Rates) -> String {
    let mut queues: Vec<_> = snapshot
        .vhosts
        .iter()
        .flat_map(|vhost| &vhost.queues)
        .collect();
    queues.sort_by_key(|queue| std::cmp::Reverse(queue.messages()));
    let title = ["queue", "ready", "unsettled", "in/s", "out/s", "waits"];
    let [queue, ready, unsettled, into, out, waits] = title;
    let mut lines = format!("{queue:<8}{ready:>6}{unsettled:>11}{into:>7}{out:>7}{waits:>7}\n");
    for queue in queues {
        let Some(rates) = rates.queue(&queue.name) else {
            continue;
        };
        let waits = queue.head_age.map(|age| format!("{} s", age.as_secs()));
        let line = format!(
            "{:<8}{:>6}{:>11}{:>7.1}{:>7.1}{:>7}",
            &*queue.name,
            queue.ready.messages,
            queue.unsettled.messages,
            rates.publish,
            rates.deliver_get,
            waits.unwrap_or_default(),
        );
        lines += &format!("{}\n", line.trim_end());
    }
    lines
}

fn main() -> Result {
    let mut arguments = env::args()
        .skip_while(|argument| argument != "--frames")
        .skip(1);
    let frames: u64 = arguments
        .next()
        .and_then(|frames| frames.parse().ok())
        .unwrap_or(3);

    // With a clock that is advanced by hand, each run prints the same.
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let events = Exchange::topic("events");
    for queue in ["orders", "mails"] {
        broker.declare(&Queue::new(queue).bind(&events, "#"))?;
    }
    let producer = broker.producer::<u64>(&events)?;
    let [orders, mails] = [("orders", 10), ("mails", 2)].map(|(queue, prefetch)| {
        let consumer = broker.consumer_builder::<u64>(queue).prefetch(prefetch);
        consumer.build()
    });
    let (orders, mails) = (orders?, mails?);

    let mut earlier = broker.snapshot()?;
    for number in 0..frames {
        (0..8).try_for_each(|order| producer.publish_to("order.new", order).map(drop))?;
        orders
            .try_iter()
            .flatten()
            .try_for_each(|order| order.ack())?;
        (0..3).try_for_each(|_| mails.recv()?.ack())?;
        clock.advance(SECOND);
        let snapshot = broker.snapshot()?;
        let frame = frame(&snapshot, &snapshot.rates(&earlier));
        earlier = snapshot;
        if stdout().is_terminal() {
            thread::sleep(SECOND);
            print!("\x1b[2J\x1b[H{frame}");
        } else {
            let space = if number == 0 { "" } else { "\n" };
            print!("{space}{frame}");
        }
    }
    Ok(())
}
