//! The messages of the queues that survive their broker, in the order in which they are delivered.

use std::collections::BTreeMap;

use leveret::{
    Broker, Bytes, Credentials, Entry, Error, Offset, Queue, QueueSnapshot,
    channel::{AckMode, ChannelDelivery},
};

use crate::{Outcome, expectation::describe};

/// By queue: a text for each message, and one for those that no get takes.
#[derive(Debug, PartialEq)]
pub struct Contents(BTreeMap<String, Vec<String>>);

impl Contents {
    /// Takes all messages out of a broker without consumers.
    pub fn take(broker: &Broker) -> Outcome<Contents> {
        let taken = || -> Result<_, Error> {
            let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
            let vhosts = broker.snapshot()?.vhosts;
            let queues = vhosts.iter().flat_map(|vhost| &vhost.queues);
            let mut contents = BTreeMap::new();
            for queue in queues.filter(|queue| survives(queue)) {
                let is_quorum = is_quorum(queue);
                let mut messages = Vec::new();
                if queue.stream.is_some() {
                    let stream = Queue::existing(&*queue.name);
                    let reader = broker
                        .reader::<Bytes>(&stream)
                        .from(Offset::First)
                        .build()?;
                    for entry in reader.try_iter() {
                        messages.push(entry_text(&entry?));
                    }
                    contents.insert(queue.name.to_string(), messages);
                    continue;
                }
                // RabbitMQ refuses gets from a quorum queue with a single active consumer.
                if !queue.arguments.contains_key("x-single-active-consumer") {
                    while let Some(got) = channel.basic_get(&queue.name, AckMode::Auto)? {
                        if is_quorum || got.properties().is_persistent() {
                            messages.push(text(&got, is_quorum)?);
                        }
                    }
                }
                let (delayed, in_transit) = (queue.delayed.messages, queue.in_transit.messages);
                messages.push(format!("{delayed} delayed, {in_transit} in transit"));
                contents.insert(queue.name.to_string(), messages);
            }
            Ok(Contents(contents))
        };
        taken().map_err(|error| describe(&error))
    }

    /// Compares the messages of before with those of after a restart.
    pub fn check(&self, after: &Contents) -> Outcome {
        match self == after {
            true => Ok(()),
            false => Err(format!("there was {self:?}, and there is {after:?}")),
        }
    }
}

fn is_quorum(queue: &QueueSnapshot) -> bool {
    let queue_type = queue.arguments.get("x-queue-type");
    queue_type.is_some_and(|queue_type| queue_type.as_str() == Some("quorum"))
}

fn survives(queue: &QueueSnapshot) -> bool {
    queue.durable && !queue.exclusive && !queue.name.starts_with("amq.gen-")
}

fn entry_text(entry: &Entry<Bytes>) -> String {
    let (offset, time) = (entry.offset(), entry.timestamp());
    let properties = entry.info().properties();
    format!("{offset} {time:?} {:?} {properties:?}", entry.payload())
}

/// After a crash every message of a classic queue is redelivered, so this counts only in a quorum
/// queue.
fn text(got: &ChannelDelivery, is_quorum: bool) -> Result<String, Error> {
    let body = String::from_utf8_lossy(&got.body()?).into_owned();
    let redelivered = is_quorum && got.redelivered();
    Ok(format!("{body} {redelivered} {:?}", got.properties()))
}
