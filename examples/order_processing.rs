//! A shop: orders reserve stock by RPC, payments are tried again, and a payment that fails for good
//! releases the stock (a compensation). All who subscribe hear of each step.
//! `cargo run --example order_processing` prints
//! ```text
//! order | what happened
//!     1 | reserved 2, paid at attempt 1
//!     2 | reserved 3, paid at attempt 3
//!     3 | reserved 4, declined at attempt 3, released 4
//!     4 | out of stock
//!     5 | reserved 5, paid at attempt 1
//! 5 mails are sent, and the stock is empty
//! ```

use leveret::worker::Context;
use leveret::{Backoff, Broker, Exchange, Queue, Result, middleware::Retry, rpc};
use std::sync::{atomic::AtomicU32, atomic::Ordering::SeqCst, mpsc};
use std::time::Duration;

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Order {
    id: u32,
    pieces: u32,
}

const EVENTS: &str = "events";
static PIECES: AtomicU32 = AtomicU32::new(10);

/// Publishes a step of an order for all who subscribe.
fn tell(context: &Context<'_>, key: &str, text: String) -> Result {
    let events = context.producer_to::<String>(&Exchange::topic(EVENTS))?;
    Ok(events.publish_to(key, text).map(drop)?)
}

/// A server that knows how many pieces there are.
fn stock(broker: &Broker) -> Result<rpc::ServerHandle> {
    let endpoint = rpc::Endpoint::new()
        .try_method("reserve", |pieces: u32, _| {
            let reserved = PIECES.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(pieces));
            reserved.map(drop).map_err(|_| "out of stock")
        })
        .method("release", |pieces: u32, _| PIECES.fetch_add(pieces, SeqCst));
    let server = rpc::Server::new(broker, rpc::Target::topic("stock"));
    Ok(server.endpoint(endpoint).spawn()?)
}

/// Takes an order in, reserves its pieces, and asks for the payment.
fn order(order: &Order, context: &Context<'_>, stock: &rpc::Client) -> Result {
    if let Err(error) = stock.call::<()>("reserve", order.pieces) {
        return tell(context, "order.cancelled", error.to_string());
    }
    let text = format!("reserved {}", order.pieces);
    tell(context, "order.reserved", text)?;
    let payments = context.producer_to::<Order>("payments")?;
    Ok(payments.publish(order.clone()).map(drop)?)
}

/// Asks the bank, which is slow to agree to order 2, and declines order 3.
fn pay(order: &Order, context: &Context<'_>) -> Result<(), String> {
    let attempt = Retry::attempt(context);
    if order.id == 3 || order.id == 2 && attempt < 3 {
        return Err(format!("declined at attempt {attempt}"));
    }
    let told = tell(context, "order.paid", format!("paid at attempt {attempt}"));
    told.map_err(|error| error.to_string())
}

/// Releases the pieces of an order that was not paid.
fn compensate(order: &Order, context: &Context<'_>, stock: &rpc::Client) -> Result {
    stock.call::<u32>("release", order.pieces)?;
    let error = context.properties().header_value("x-exception-message");
    let error = error.and_then(|error| error.as_str()).unwrap_or_default();
    let text = format!("{error}, released {}", order.pieces);
    tell(context, "order.cancelled", text)
}

fn main() -> Result {
    let broker = Broker::open(&std::env::var("LEVERET_URL").unwrap_or_default())?;
    let _stock = stock(&broker)?;
    let stock = rpc::Client::new(&broker, rpc::Target::topic("stock"));
    let payments = Queue::new("payments").dead_letter_exchange("");
    let payments = payments.dead_letter_routing_key("failed payments");
    let retry = Retry::new(Backoff::new(Duration::from_millis(1)).max_attempts(3));
    let failed = broker.worker("failed payments");
    let (reserving, releasing) = (stock.clone(), stock);
    let failed = failed.handler(move |it, context| compensate(it, context, &releasing));
    let orders = broker.worker("orders");
    let orders = orders.handler(move |it, context| order(it, context, &reserving));
    let payments = broker.worker(&payments).middleware(retry).handler(pay);
    let _stages = (failed.spawn()?, payments.spawn()?, orders.spawn()?);
    let mails = Queue::new("mails").bind(Exchange::topic(EVENTS), "order.paid");
    let mails = broker.worker::<String>(mails.bind(EVENTS, "order.cancelled"));
    let (sent, sends) = mpsc::channel();
    let mails = mails.handler(move |_, _| sent.send(())).spawn()?;
    let journal = Queue::temporary().bind(EVENTS, "order.*");
    let journal = broker.consumer::<String>(journal)?;

    println!("order | what happened");
    let shop = broker.producer::<Order>("orders")?;
    for (id, pieces) in [(1, 2), (2, 3), (3, 4), (4, 6), (5, 5)] {
        shop.publish(Order { id, pieces })?;
        let (mut steps, mut has_ended) = (Vec::new(), false);
        while !has_ended {
            let step = journal.recv()?;
            has_ended = step.info().routing_key() != "order.reserved";
            steps.push(step.clone());
            step.ack()?;
        }
        println!("{id:>5} | {}", steps.join(", "));
    }
    assert_eq!(sends.iter().take(5).count(), 5);
    assert_eq!(PIECES.load(SeqCst), 0);
    assert!(!broker.shutdown(Duration::from_secs(60))?.timed_out);
    let mails = mails.join().counts.acked;
    println!("{mails} mails are sent, and the stock is empty");
    Ok(())
}
