//! Workers.

mod batch;
mod ends;
mod forwarding;
mod middlewares;
mod model;
mod ordered;
mod owned;
mod settling;
mod stopping;
mod tasks;
mod timeout;
#[cfg(feature = "tracing")]
mod traced;
mod waiting;

use leveret::{Broker, Consumer, FieldTable, Queue};

/// A queue whose dead letters go to the queue "dead", and a consumer of those.
pub fn with_dead_letters(broker: &Broker) -> (Queue, Consumer<u32>) {
    let dead = broker.consumer("dead").unwrap();
    let tasks = Queue::new("tasks")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    broker.declare(&tasks).unwrap();
    (tasks, dead)
}

/// A header as text.
pub fn header(headers: &FieldTable, name: &str) -> String {
    match headers.get(name) {
        Some(leveret::FieldValue::LongString(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}
