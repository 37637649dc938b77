//! Tutorial 4, "Routing": direct bindings choose messages by severity.
//!
//! Mirrors <https://www.rabbitmq.com/tutorials/tutorial-four-python>.
//! `cargo run --example routing` prints
//!
//! ```text
//! A listens to ERROR, and got
//!   ERROR: message 1
//!   ERROR: message 4
//!   ERROR: message 7
//!   ERROR: message 10
//!   ERROR: message 13
//!   ERROR: message 16
//!   ERROR: message 19
//! B got all 19 in the order sent
//! Unroutable: NO_ROUTE - no queue is bound to exchange 'direct_logs' for routing key 'DEBUG'
//! ```
//!
//! A can listen to something else: `cargo run --example routing -- WARNING INFO`.

use std::{env, thread};

use leveret::{Broker, Error, Exchange, Message, Queue, Result, SimpleQueue};

const SEVERITIES: [&str; 3] = ["ERROR", "WARNING", "INFO"];

fn main() -> Result {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let mut chosen: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if chosen.is_empty() {
        chosen.push("ERROR");
    }
    let broker = Broker::open(&env::var("LEVERET_URL").unwrap_or_default())?;
    let logs = Exchange::direct("direct_logs");
    // Each listener has a queue, with one binding for each severity.
    let bind = |queue: Queue, severity: &&str| queue.bind(&logs, *severity);
    let a = chosen.iter().fold(Queue::exclusive(), bind);
    let a = broker.simple_queue::<String>(&a)?;
    let b = SEVERITIES.iter().fold(Queue::exclusive(), bind);
    let b = broker.simple_queue::<String>(&b)?;

    let publisher = broker.producer::<String>(&logs)?;
    let emitter = thread::spawn({
        let publisher = publisher.clone();
        move || -> Result<Vec<String>> {
            let mut sent = Vec::new();
            for (n, severity) in (1..=19).zip(SEVERITIES.iter().cycle()) {
                let line = format!("{severity}: message {n}");
                assert!(publisher.publish_to(severity, line.clone())?.routed >= 1);
                sent.push(line);
            }
            Ok(sent)
        }
    });
    let sent = emitter.join().unwrap()?;
    // When a publish returns, the message is in its queues: no wait is needed.
    let (got_a, got_b) = (drain(&a)?, drain(&b)?);
    println!("A listens to {}, and got", chosen.join(", "));
    got_a.iter().for_each(|line| println!("  {line}"));
    let is_chosen = |line: &&String| chosen.iter().any(|severity| line.starts_with(severity));
    assert!(got_a.iter().eq(sent.iter().filter(is_chosen)));
    println!("B got all {} in the order sent", got_b.len());
    assert_eq!(got_b, sent);

    // An unroutable message is dropped, unless it is mandatory: then it is returned.
    let debug = Message::new("DEBUG: message 20".to_owned()).routing_key("DEBUG");
    let returned = publisher.publish_message(debug.mandatory()).unwrap_err();
    println!("Unroutable: {returned}");
    assert!(matches!(returned.error(), Error::NoRoute { .. }));
    Ok(())
}

fn drain(queue: &SimpleQueue<String>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    while let Ok(line) = queue.try_get() {
        lines.push(line.payload().clone());
        line.ack()?;
    }
    Ok(lines)
}
