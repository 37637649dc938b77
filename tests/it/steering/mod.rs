//! Steering a queue that lives: looking into it, deleting and moving messages, pausing it.

mod limits;
mod messages;
mod model;
mod moves;
mod pause;
mod slow;

use leveret::{Broker, QueueSnapshot};

fn counts(broker: &Broker, queue: &str) -> QueueSnapshot {
    let snapshot = broker.snapshot().unwrap();
    let mut queues = snapshot.vhosts[0].queues.iter();
    queues.find(|it| it.name == *queue).unwrap().clone()
}
