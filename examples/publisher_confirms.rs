//! Tutorial 7, "Publisher Confirms": AMQP's methods on a channel, and the outcome of each publish.
//!
//! Mirrors <https://www.rabbitmq.com/tutorials/tutorial-seven-java>.
//! `cargo run --example publisher_confirms` prints
//!
//! ```text
//! one by one: Ack, Ack, Ack
//! as a batch: Ack
//! by number: 1 Ack, 2 Ack, 3 Nack
//! by events: all up to 2 Ack, 3 Nack
//! nowhere: returned 312 NO_ROUTE, then Ack
//! ```
//!
//! A typed producer needs none of this: `publish` returns the outcome.

use leveret::channel::{ConfirmOutcome, Event, PublishOptions, PublishOutcome};
use leveret::{Broker, Channel, Credentials, Overflow, Properties, Queue, Result};

fn publish(channel: &Channel, queue: &str, body: &str) -> Result<PublishOutcome> {
    let options = PublishOptions::new();
    channel.basic_publish("", queue, body.to_owned(), Properties::new(), options)
}

/// The confirms that wait in the channel's stream of events.
fn confirms(channel: &Channel) -> Vec<String> {
    let events = channel.events();
    let confirm = |event| match event {
        Event::Confirm(confirm) => {
            let up_to = if confirm.multiple { "all up to " } else { "" };
            let number = confirm.delivery_tag;
            Some(format!("{up_to}{number} {:?}", confirm.outcome))
        }
        _ => None,
    };
    std::iter::from_fn(|| events.try_recv().ok())
        .filter_map(confirm)
        .collect()
}

fn main() -> Result {
    let broker = Broker::new();
    let connection = broker.connect("/", Credentials::guest())?;

    // One by one: simple and slow with a server. Here a publish is confirmed when it returns.
    let channel = connection.open_channel()?;
    channel.confirm_select()?;
    channel.queue_declare(&Queue::new("tasks"))?;
    let mut outcomes = Vec::new();
    for body in ["a", "b", "c"] {
        publish(&channel, "tasks", body)?;
        outcomes.push(format!("{:?}", channel.wait_for_confirms()?));
    }
    println!("one by one: {}", outcomes.join(", "));

    // As a batch: one wait for all. It does not tell which message was refused.
    for body in ["d", "e", "f"] {
        publish(&channel, "tasks", body)?;
    }
    let outcome = channel.wait_for_confirms()?;
    assert_eq!(outcome, ConfirmOutcome::Ack);
    println!("as a batch: {outcome:?}");

    // By number: a publish returns the number of its message, and its outcome.
    let channel = connection.open_channel()?;
    channel.confirm_select()?;
    let small = Queue::new("small").max_length(2);
    channel.queue_declare(&small.overflow(Overflow::RejectPublish))?;
    let mut outcomes = Vec::new();
    for body in ["g", "h", "one too many"] {
        let outcome = publish(&channel, "small", body)?;
        if let (Some(number), Some(confirmed)) = (outcome.number, outcome.confirmed) {
            outcomes.push(format!("{number} {confirmed:?}"));
        }
    }
    println!("by number: {}", outcomes.join(", "));

    // By events: a confirm names its publish by number. One may be for several.
    println!("by events: {}", confirms(&channel).join(", "));

    // A mandatory message that no queue gets comes back, and is confirmed afterwards.
    let mandatory = PublishOptions::new().mandatory();
    channel.basic_publish("", "nowhere", "lost", Properties::new(), mandatory)?;
    let events = channel.events();
    match (events.try_recv()?, events.try_recv()?) {
        (Event::Return(returned), Event::Confirm(confirm)) => {
            let (code, text) = (returned.reply_code, returned.reply_text);
            println!(
                "nowhere: returned {code} {text}, then {:?}",
                confirm.outcome
            );
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}
