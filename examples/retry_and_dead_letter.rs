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

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use leveret::{
    Backoff, Broker, FieldValue, Properties, Queue, Result, Selection, middleware::Retry,
};

type Payment = (String, i64);

const NO_AMOUNT: &str = "no amount";

fn main() -> Result {
    let broker = Broker::new();
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
    work(&broker, &payments, false)?;
    assert_eq!(print_letters(&broker)?, 2);

    // The payment without an amount stays.
    let redrive = Selection::all().filter(|properties| reason(properties) != NO_AMOUNT);
    assert_eq!(broker.vhost("/")?.redrive(&dead, redrive)?, 1);
    println!("when the bank is open again:");
    work(&broker, &payments, true)?;
    assert_eq!(print_letters(&broker)?, 1);
    Ok(())
}

/// Handles all payments that wait, with their retries.
fn work(broker: &Broker, payments: &Queue, bank_is_open: bool) -> Result {
    let log = Arc::new(Mutex::new(Vec::new()));
    let attempts = Arc::clone(&log);
    // The delays are 1 ms and 2 ms, or less.
    let backoff = Backoff::new(Duration::from_millis(1)).max_attempts(3);
    let retry = Retry::new(backoff).when(|error| error.message() != NO_AMOUNT);
    let worker = broker.worker::<Payment>(payments).middleware(retry);
    let worker = worker.handler(move |(payee, cents), context| {
        let attempt = context.acquired_count() + 1;
        let paid = match *cents {
            ..=0 => Err(NO_AMOUNT),
            200..1_000 if attempt < 3 => Err("the line is busy"),
            1_000.. if !bank_is_open => Err("the bank is closed"),
            _ => Ok(()),
        };
        let mut attempts = attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let result = paid.err().unwrap_or("paid");
        attempts.push(format!("  {payee}, attempt {attempt}: {result}"));
        paid
    });
    // The drain waits for the retries as well.
    let report = worker.spawn()?.stop_and_drain(Duration::from_secs(60));
    assert!(report.left.is_empty(), "{report:?}");
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Prints the dead letters, and returns their number. They stay in their queue.
fn print_letters(broker: &Broker) -> Result<usize> {
    let dead = broker.simple_queue::<Payment>("dead")?;
    let letters: Vec<_> = std::iter::from_fn(|| dead.try_get().ok()).collect();
    for letter in &letters {
        println!("dead: {}, {}", letter.0, reason(letter.info().properties()));
    }
    Ok(letters.len())
}
