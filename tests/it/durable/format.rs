//! A folder that the first version of the format has written. Later versions must read it.

use std::{fs, path::Path};

use leveret::{
    Broker, Bytes, Exchange, ManualClock, Message, Policy, Properties, Queue, Requeue,
    channel::{AckMode, PublishOptions},
};

use super::Folder;
use crate::common::SECOND;

/// The folder, without the file that is locked, which stays empty.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/durable/format-1");

/// Its only segment.
const SEGMENT: &str = "0000000001.closed";

fn logs() -> Exchange {
    Exchange::topic("logs").durable()
}

fn classic() -> Queue {
    let queue = Queue::new("classic").durable().max_priority(5);
    queue
        .bind(logs(), "disk.#")
        .bind_with(by_headers(), "", [("format", "pdf")])
}

fn by_headers() -> Exchange {
    Exchange::headers("by headers").durable()
}

/// Fills a folder. `cargo test --all-features --test it durable::format -- --ignored` writes it
/// anew, which only a new version of the format may do.
#[test]
#[ignore = "it writes the folder that the other test reads"]
fn write_the_folder() {
    let folder = Folder::new();
    {
        let broker = Broker::builder()
            .clock(ManualClock::new())
            .data_dir(&folder.0)
            .build();
        let broker = broker.unwrap();
        broker.declare(&classic()).unwrap();
        broker
            .declare(&Queue::quorum("quorum").bind(logs(), "disk.full"))
            .unwrap();
        let root = broker.vhost("/").unwrap();
        root.set_policy(Policy::new("short", "^classic$").setting("max-length", 10))
            .unwrap();
        broker.create_vhost("other").unwrap();
        let producer = broker.producer::<Bytes>(&logs()).unwrap();
        let message = |body: &str, key: &str| Message::new(Bytes::from(body)).routing_key(key);
        let properties = Properties::new()
            .content_type("text/plain")
            .priority(3)
            .header("k", "v")
            .message_id("m-1")
            .persistent();
        let shared = message("to both", "disk.full").properties(properties);
        producer.publish_message(shared).unwrap();
        producer
            .publish_message(message("second", "disk.slow").persistent())
            .unwrap();
        let later = message("later", "disk.slow")
            .persistent()
            .deliver_after(3_600 * SECOND);
        producer.publish_message(later).unwrap();
        let channel = broker.vhost("/").unwrap().open_channel().unwrap();
        channel
            .basic_get("quorum", AckMode::Manual)
            .unwrap()
            .unwrap();
        channel.basic_reject(1, Requeue::Yes).unwrap();
        channel.close().unwrap();
    }
    fs::create_dir_all(FOLDER).unwrap();
    fs::copy(folder.0.join(SEGMENT), Path::new(FOLDER).join(SEGMENT)).unwrap();
}

#[test]
fn a_folder_of_the_first_format_is_read() {
    let folder = Folder::new();
    fs::create_dir_all(&folder.0).unwrap();
    fs::copy(Path::new(FOLDER).join(SEGMENT), folder.0.join(SEGMENT)).unwrap();
    let broker = folder.broker();
    let snapshot = broker.snapshot().unwrap();
    let names: Vec<&str> = snapshot.vhosts.iter().map(|vhost| &*vhost.name).collect();
    assert_eq!(names, ["/", "other"]);
    let root = &snapshot.vhosts[0];
    let bindings: Vec<_> = root
        .bindings
        .iter()
        .map(|it| (&*it.source, &*it.routing_key))
        .collect();
    let expected = [
        ("by headers", ""),
        ("logs", "disk.#"),
        ("logs", "disk.full"),
    ];
    assert_eq!(bindings, expected);
    assert_eq!(root.policies[0].policy.name, "short");
    let [classic_now, quorum] = &root.queues[..] else {
        panic!("{:?}", root.queues);
    };
    // The delayed message was due an hour after the folder was written.
    assert_eq!((classic_now.ready.messages, quorum.ready.messages), (3, 1));
    broker.declare(&classic()).unwrap();
    let channel = broker.vhost("/").unwrap().open_channel().unwrap();
    let mut bodies = Vec::new();
    while let Some(got) = channel.basic_get("classic", AckMode::Auto).unwrap() {
        bodies.push(String::from_utf8(got.body().unwrap().to_vec()).unwrap());
    }
    assert_eq!(bodies, ["to both", "second", "later"]);
    let got = channel.basic_get("quorum", AckMode::Auto).unwrap().unwrap();
    let properties = got.properties();
    assert_eq!(&*got.body().unwrap(), b"to both");
    assert_eq!(
        (properties.priority, properties.message_id.as_deref()),
        (Some(3), Some("m-1"))
    );
    assert_eq!(
        properties.header_value("x-delivery-count"),
        Some(&1i64.into())
    );
    assert_eq!((&*got.exchange(), got.routing_key()), ("logs", "disk.full"));
    let options = PublishOptions::new();
    channel
        .basic_publish("logs", "disk.x", "new", Properties::new(), options)
        .unwrap();
}
