//! Delayed exchanges (`x-delayed-message`), and delayed messages as they are listed and cancelled.
//!
//! RabbitMQ has the exchange as a plugin, so there is no recording to compare with: what is checked
//! here is what the plugin's own source does, and where that is not followed `guide::differences`
//! says so.

mod declaring;
mod exchange;
mod listing;
mod message;
mod model;

use std::time::Duration;

use leveret::{Broker, Consumer, Exchange, Message, Properties, Result, TryRecvError};

use crate::common::on_a_manual_clock;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Takes and acknowledges what is there for a consumer of text.
fn all(consumer: &Consumer<String>) -> Vec<String> {
    std::iter::from_fn(|| match consumer.try_recv() {
        Ok(delivery) => {
            let text = delivery.to_string();
            delivery.ack().unwrap();
            Some(text)
        }
        Err(TryRecvError::Empty) => None,
        Err(error) => panic!("{error}"),
    })
    .collect()
}

/// Properties with an `x-delay` header.
fn x_delay(value: impl Into<leveret::FieldValue>) -> Properties {
    Properties::new().header("x-delay", value)
}

/// How many messages an exchange keeps back, and of how many bytes.
fn kept_back(broker: &Broker, exchange: &Exchange) -> Result<(u64, u64)> {
    let snapshot = broker.snapshot()?;
    let exchanges = &snapshot.vhosts[0].exchanges;
    let found = exchanges.iter().find(|known| known.name == exchange.name());
    let kept = found.and_then(|known| known.delayed).unwrap_or_default();
    Ok((kept.messages, kept.bytes))
}

/// A text for a delayed exchange, with its delay in milliseconds.
fn text(text: &str, delay: u64) -> Message<String> {
    Message::new(text.to_owned()).delay(ms(delay))
}
