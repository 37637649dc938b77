//! Retry and dead letters: a failed payment is tried again later, and at last put aside.
//!
//! Each payment has three attempts. One that can never succeed has a single one. When the bank is
//! open again, the payment that was put aside is moved back.
//! `cargo run --example retry_and_dead_letter` prints
//!
//! ```text
//! while the bank is closed:
//!   Ada, attempt 1: paid
//!   Bob, attempt 1: the line is busy
//!   Bob, attempt 2: the line is busy
//!   Bob, attempt 3: paid
//!   Cid, attempt 1: no amount
//!   Dee, attempt 1: the bank is closed
//!   Dee, attempt 2: the bank is closed
//!   Dee, attempt 3: the bank is closed
//! dead: Cid, no amount
//! dead: Dee, failed 3 times: the bank is closed
//! when the bank is open again:
//!   Dee, attempt 1: paid
//! dead: Cid, no amount
//! ```

use std::{sync::mpsc, time::Duration};

use leveret::{Backoff, Broker, FieldValue, Properties, Queue, Result, middleware::Retry};

type Payment = (String, i64);

const NO_AMOUNT: &str = "no amount";

fn main() -> Result {
    let broker = Broker::open(&std::env::var("LEVERET_URL").unwrap_or_default())?;
    let dead = Queue::new("dead");
    broker.declare(&dead)?;
    let payments = Queue::new("payments")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    let producer = broker.producer::<Payment>(&payments)?;
    for (payee, cents) in [("Ada", 100), ("Bob", 250), ("Cid", 0), ("Dee", 99_000)] {
        producer.publish((payee.to_owned(), cents))?;
    }

    println!("while the bank is closed:");
    work(&broker, &payments, false, 8)?;
    print_letters(&broker, 2)?;

    // The payment without an amount stays. (Here `redrive` would move the other one at once.)
    let letters = broker.simple_queue::<Payment>("dead")?;
    let letters: Vec<_> = std::iter::from_fn(|| letters.try_get().ok()).collect();
    for letter in letters {
        if reason(letter.info().properties()) != NO_AMOUNT {
            producer.publish(letter.payload().clone())?;
            letter.ack()?;
        }
    }
    println!("when the bank is open again:");
    work(&broker, &payments, true, 1)?;
    print_letters(&broker, 1)
}

/// Handles all payments that wait, with their retries: `attempts` in all.
fn work(broker: &Broker, payments: &Queue, bank_is_open: bool, attempts: usize) -> Result {
    let (attempted, log) = mpsc::channel();
    // The delays are 1 ms and 2 ms, or less.
    let backoff = Backoff::new(Duration::from_millis(1)).max_attempts(3);
    let retry = Retry::new(backoff).when(|error| error.message() != NO_AMOUNT);
    let worker = broker.worker::<Payment>(payments).middleware(retry);
    let worker = worker.handler(move |(payee, cents), context| {
        let attempt = Retry::attempt(context);
        let paid = match *cents {
            ..=0 => Err(NO_AMOUNT),
            200..1_000 if attempt < 3 => Err("the line is busy"),
            1_000.. if !bank_is_open => Err("the bank is closed"),
            _ => Ok(()),
        };
        let result = paid.err().unwrap_or("paid");
        let _ = attempted.send(format!("  {payee}, attempt {attempt}: {result}"));
        paid
    });
    let worker = worker.spawn()?;
    let mut log: Vec<String> = log.iter().take(attempts).collect();
    let report = worker.stop_and_drain(Duration::from_secs(60));
    assert!(report.left.is_empty(), "{report:?}");
    log.sort();
    println!("{}", log.join("\n"));
    Ok(())
}

/// Why a message was put aside: the reason of the middleware, or the error of the handler.
fn reason(properties: &Properties) -> &str {
    let names = ["x-exception-reason", "x-exception-message"];
    match names.iter().find_map(|name| properties.header_value(name)) {
        Some(FieldValue::LongString(text)) => text,
        _ => "unknown",
    }
}

/// Prints the dead letters. They stay in their queue.
fn print_letters(broker: &Broker, count: usize) -> Result {
    let dead = broker.simple_queue::<Payment>("dead")?;
    let mut letters = Vec::new();
    for _ in 0..count {
        letters.push(dead.get()?);
    }
    letters.sort_by(|one, other| one.0.cmp(&other.0));
    for letter in &letters {
        println!("dead: {}, {}", letter.0, reason(letter.info().properties()));
    }
    assert!(dead.try_get().is_err());
    Ok(())
}
