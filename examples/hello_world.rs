//! Tutorial 1, "Hello World!": one thread publishes a message to a queue, another receives it.
//!
//! Mirrors <https://www.rabbitmq.com/tutorials/tutorial-one-python>.
//! `cargo run --example hello_world` prints
//!
//! ```text
//! Sent: helloworld, sent at 1795370401.123456
//! Received: helloworld, sent at 1795370401.123456
//! Ready messages left: 0
//! Empty after 1s
//! ```

use std::{
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use leveret::{Broker, RecvTimeoutError, Result, SimpleQueue};

fn main() -> Result {
    let broker = Broker::open(&std::env::var("LEVERET_URL").unwrap_or_default())?;
    let hello = broker.simple_queue::<String>("hello")?;

    let sender = thread::spawn({
        let hello = hello.clone();
        move || send(&hello)
    });
    let received = receive(&hello)?;
    let sent = sender.join().expect("the sender does not panic")?;
    println!("Sent: {sent}");
    println!("Received: {received}");
    assert_eq!(received, sent);

    println!("Ready messages left: {}", hello.len()?);
    assert!(hello.is_empty()?);

    // An empty queue is a normal result, not a failure.
    let second = Duration::from_secs(1);
    match hello.get_timeout(second) {
        Err(RecvTimeoutError::Timeout) => println!("Empty after {second:?}"),
        other => panic!("a message out of nowhere: {other:?}"),
    }
    Ok(())
}

fn send(hello: &SimpleQueue<String>) -> Result<String> {
    let now = SystemTime::now();
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = format!("helloworld, sent at {:.6}", since_1970.as_secs_f64());
    let published = hello.put(text.clone())?;
    assert_eq!(published.routed, 1);
    Ok(text)
}

fn receive(hello: &SimpleQueue<String>) -> Result<String> {
    let delivery = hello.get()?; // waits until the message is there
    let text = delivery.payload().clone();
    delivery.ack()?; // the queue keeps the message until this call
    Ok(text)
}
