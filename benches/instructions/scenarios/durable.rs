//! A durable queue: what a publish of a persistent message, its receive and its acknowledgement
//! cost their threads. Nothing is written, since every message is gone before it is due.

use std::{env, fs, path::PathBuf, process, time::Duration};

use leveret::{
    Broker, Bytes, Consumer, Delivery, Durability, Producer, Properties, PublishError, Published,
    Queue, RecvError,
};

use super::CYCLE;

const BODY: usize = 1_024;

/// A data folder that is gone at the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        let name = format!("leveret-instructions-data-{}", process::id());
        Folder(env::temp_dir().join(name))
    }

    pub fn broker(&self) -> Broker {
        let broker = Broker::builder().data_dir(&self.0);
        let broker = broker.durability(Durability::Buffered(Duration::from_secs(3_600)));
        broker.build().expect("a new folder")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn run(cycles: u64) {
    let folder = Folder::new();
    let broker = folder.broker();
    let queue = Queue::new("instructions").durable();
    let producer = broker
        .producer_builder(&queue)
        .properties(Properties::new().persistent())
        .build()
        .expect("a new queue");
    let consumer = broker.consumer(&queue).expect("the queue is free");
    let body = Bytes::from([7; BODY]);
    for _ in 0..cycles {
        for _ in 0..CYCLE {
            let published = publish(&producer, &body).expect("the broker is there");
            assert_eq!(published.routed, 1);
        }
        for _ in 0..CYCLE {
            let delivery = receive(&consumer).expect("the broker is there");
            assert_eq!(delivery.len(), BODY);
            acknowledge(delivery).expect("the broker is there");
        }
    }
}

#[inline(never)]
fn publish(producer: &Producer<Bytes>, body: &Bytes) -> Result<Published, PublishError<Bytes>> {
    producer.publish(body.clone())
}

#[inline(never)]
fn receive(consumer: &Consumer<Bytes>) -> Result<Delivery<Bytes>, RecvError> {
    consumer.recv()
}

#[inline(never)]
fn acknowledge(delivery: Delivery<Bytes>) -> leveret::Result {
    delivery.ack()
}
