//! Delayed exchanges (`x-delayed-message`), and listing and cancelling delayed messages.
//!
//! In RabbitMQ a plugin provides the exchange type, so there are no recordings to compare with.
//! These tests check the behaviour that the plugin's source code has. `guide::differences` lists
//! the deviations from it.

mod declaring;
mod exchange;
mod listing;
mod message;
mod model;
mod timer;

use std::time::Duration;

use leveret::{Broker, Consumer, Exchange, Message, Properties, Result, TryRecvError};

use crate::common::on_a_manual_clock;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Takes and acknowledges the messages that are ready for a consumer of text.
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

/// The number of messages that an exchange holds until their delay ends, and the number of their
/// bytes.
fn kept_back(broker: &Broker, exchange: &Exchange) -> Result<(u64, u64)> {
    let snapshot = broker.snapshot()?;
    let exchanges = &snapshot.vhosts[0].exchanges;
    let found = exchanges.iter().find(|known| known.name == exchange.name());
    let kept = found.and_then(|known| known.delayed).unwrap_or_default();
    Ok((kept.messages, kept.bytes))
}

/// A text message for a delayed exchange, with its delay in milliseconds.
fn text(text: &str, delay: u64) -> Message<String> {
    Message::new(text.to_owned()).delay(ms(delay))
}
