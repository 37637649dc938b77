//! A broker that ends without an order: its folder is copied while it is open, and the copy is
//! opened.

use std::fs;

use futures_lite::future::{block_on, poll_once};
use leveret::{
    Broker, Channel, Credentials, Exchange, FieldValue, Queue,
    channel::{AckMode, PublishOptions},
};

use super::{Folder, persistent};

/// The folder as a crash of its broker would leave it now.
fn crash(folder: &Folder, broker: &Broker) -> Folder {
    // Its declaration returns when everything before it is on disk.
    broker.declare(&Exchange::direct("last").durable()).unwrap();
    copy(folder)
}

/// The folder as it is now.
fn copy(folder: &Folder) -> Folder {
    let copy = Folder::new();
    fs::create_dir(&copy.0).unwrap();
    for file in fs::read_dir(&folder.0).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.0.join(file.file_name())).unwrap();
    }
    copy
}

fn channel(broker: &Broker) -> Channel {
    let connection = broker.connect("/", Credentials::guest()).unwrap();
    let channel = connection.open_channel().unwrap();
    channel.confirm_select().unwrap();
    channel
}

fn publish(broker: &Broker, bodies: &[&str]) {
    let channel = channel(broker);
    for body in bodies {
        let options = PublishOptions::new();
        channel
            .basic_publish("", "q", *body, persistent(), options)
            .unwrap();
    }
    channel.wait_for_confirms().unwrap();
}

/// The messages of the queue, which takes them back if `mode` is manual: the bodies, the counts of
/// failed deliveries that a quorum queue shows, and whether they are redelivered.
fn messages(broker: &Broker, mode: AckMode) -> Vec<(String, i64, bool)> {
    let channel = channel(broker);
    let got = std::iter::from_fn(|| channel.basic_get("q", mode).unwrap());
    got.map(|got| {
        let body = String::from_utf8(got.body().unwrap().to_vec()).unwrap();
        let headers = got.properties().headers.clone().unwrap_or_default();
        let count = headers.get("x-delivery-count");
        let count = count.and_then(FieldValue::as_i64).unwrap_or(0);
        (body, count, got.redelivered())
    })
    .collect()
}

fn seen(messages: &[(&str, i64, bool)]) -> Vec<(String, i64, bool)> {
    let messages = messages.iter();
    let seen = messages.map(|(body, count, redelivered)| (body.to_string(), *count, *redelivered));
    seen.collect()
}

#[test]
fn what_a_task_commits_is_on_disk_when_its_future_is_ready() {
    let folder = Folder::new();
    let broker = folder.broker();
    broker.declare(&Queue::new("q").durable()).unwrap();
    let connection = broker.connect("/", Credentials::guest()).unwrap();
    let channels = ["a", "b", "c"].map(|body| {
        let channel = connection.open_channel().unwrap();
        channel.tx_select().unwrap();
        let options = PublishOptions::new();
        channel
            .basic_publish("", "q", body, persistent(), options)
            .unwrap();
        channel
    });
    block_on(async {
        let mut commits: Vec<_> = channels
            .iter()
            .map(|it| Box::pin(it.tx_commit_async()))
            .collect();
        // All of them have begun before the first is awaited.
        let mut ready = Vec::new();
        for commit in &mut commits {
            ready.push(poll_once(commit).await);
        }
        for (commit, ready) in commits.into_iter().zip(ready) {
            match ready {
                Some(committed) => committed.unwrap(),
                None => commit.await.unwrap(),
            }
        }
    });
    let after = copy(&folder).broker();
    let expected = seen(&[("a", 0, true), ("b", 0, true), ("c", 0, true)]);
    assert_eq!(messages(&after, AckMode::Auto), expected);
    // A second commit has nothing to wait for.
    assert_eq!(
        block_on(poll_once(channels[0].tx_commit_async())),
        Some(Ok(()))
    );
}

#[test]
fn messages_of_a_classic_queue_stay_redelivered_over_an_end_in_order() {
    let folder = Folder::new();
    let broker = folder.broker();
    broker.declare(&Queue::new("q").durable()).unwrap();
    publish(&broker, &["a", "b"]);
    let folder = crash(&folder, &broker);
    let broker = folder.broker();
    publish(&broker, &["c"]);
    drop(broker);
    let broker = folder.broker();
    let expected = seen(&[("a", 0, true), ("b", 0, true), ("c", 0, false)]);
    assert_eq!(messages(&broker, AckMode::Auto), expected);
    drop(broker);
    // The queue is empty, and its next message has no position of before the crash.
    let broker = folder.broker();
    publish(&broker, &["d"]);
    drop(broker);
    let broker = folder.broker();
    assert_eq!(messages(&broker, AckMode::Auto), seen(&[("d", 0, false)]));
}

#[test]
fn a_quorum_queue_counts_what_was_out_once_for_each_crash() {
    let folder = Folder::new();
    let broker = folder.broker();
    broker.declare(&Queue::quorum("q")).unwrap();
    publish(&broker, &["a", "b"]);
    let holder = channel(&broker);
    let _held = holder.basic_get("q", AckMode::Manual).unwrap();
    let folder = crash(&folder, &broker);
    // Nothing is out when these brokers end.
    let folder = crash(&folder, &folder.broker());
    drop(folder.broker());
    let broker = folder.broker();
    assert_eq!(
        messages(&broker, AckMode::Manual),
        seen(&[("a", 1, true), ("b", 0, false)])
    );
    drop(broker);
    let broker = folder.broker();
    assert_eq!(
        messages(&broker, AckMode::Auto),
        seen(&[("a", 2, true), ("b", 1, true)])
    );
}
