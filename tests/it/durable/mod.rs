//! A broker that keeps its data in a folder.

mod kill;

use leveret::{
    Broker, Credentials, Error, Exchange, FieldTable, Properties, Queue, StoreErrorKind,
    channel::{AckMode, PublishOptions},
};
use std::{
    fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

/// A folder that is removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, SeqCst);
        let folder = std::env::temp_dir().join(format!("leveret-{}-{number}", process::id()));
        Folder(folder)
    }

    fn broker(&self) -> Broker {
        Broker::builder().data_dir(&self.0).build().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn persistent() -> Properties {
    Properties::new().persistent()
}

#[test]
fn persistent_messages_of_durable_queues_come_back_in_order() {
    let folder = Folder::new();
    let queue = Queue::new("q").durable();
    {
        let broker = folder.broker();
        let producer = broker
            .producer_builder::<u32>(&queue)
            .properties(persistent())
            .build()
            .unwrap();
        for number in 0..100 {
            producer.publish(number).unwrap();
        }
        let transient = broker.producer::<u32>(&queue).unwrap();
        transient.publish(1_000).unwrap();
        let consumer = broker.consumer::<u32>(&queue).unwrap();
        for number in 0..10 {
            let delivery = consumer.recv().unwrap();
            assert_eq!(*delivery, number);
            delivery.ack().unwrap();
        }
    }
    let broker = folder.broker();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    for number in 10..100 {
        let delivery = consumer.recv().unwrap();
        assert_eq!(*delivery, number);
        assert!(!delivery.info().redelivered());
        delivery.ack().unwrap();
    }
    assert!(consumer.try_recv().is_err());
}

#[test]
fn a_folder_has_one_broker() {
    let folder = Folder::new();
    let broker = folder.broker();
    let error = Broker::builder().data_dir(&folder.0).build().unwrap_err();
    assert!(matches!(&error, Error::Store(error) if error.kind() == StoreErrorKind::InUse));
    assert!(error.to_string().contains(&*folder.0.to_string_lossy()));
    drop(broker);
    drop(folder.broker());
}

#[test]
fn exchanges_bindings_and_queues_come_back() {
    let folder = Folder::new();
    let logs = Exchange::topic("logs").durable();
    {
        let broker = folder.broker();
        broker
            .declare(&Queue::new("a").durable().bind(&logs, "disk.#"))
            .unwrap();
        broker.declare(&Queue::new("b").bind(&logs, "#")).unwrap();
        broker
            .declare(&Queue::quorum("c").bind(&logs, "cpu.*"))
            .unwrap();
    }
    let broker = folder.broker();
    let routed = |key: &str| {
        let mut names = broker.route(&logs, key, &FieldTable::new()).unwrap();
        names.sort();
        names
    };
    assert_eq!(routed("disk.full"), ["a"]);
    assert_eq!(routed("cpu.hot"), ["c"]);
    let channel = broker
        .connect("/", Credentials::guest())
        .unwrap()
        .open_channel()
        .unwrap();
    let options = PublishOptions::new();
    channel
        .basic_publish("logs", "cpu.hot", "x", Properties::new(), options)
        .unwrap();
    drop(channel);
    drop(broker);
    let broker = folder.broker();
    let channel = broker
        .connect("/", Credentials::guest())
        .unwrap()
        .open_channel()
        .unwrap();
    let got = channel.basic_get("c", AckMode::Auto).unwrap().unwrap();
    assert_eq!(
        (got.exchange().to_string().as_str(), got.routing_key()),
        ("logs", "cpu.hot")
    );
}
