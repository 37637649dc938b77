//! A broker that keeps its data in a folder.

mod anew;
mod bodies;
mod crash;
mod damage;
mod disk_alarm;
mod exchanges;
mod format;
mod kill;
mod model;
mod queue_kinds;
mod steering;
mod streams;
mod users;

use futures_lite::future::{block_on, poll_once};
use leveret::{
    Broker, Budget, Bytes, Credentials, Delivery, Durability, Error, Exchange, FieldTable, Local,
    ManualClock, Message, Policy, Properties, Queue, StoreErrorKind,
    channel::{AckMode, PublishOptions},
};
use std::{
    fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use crate::common::{SECOND, advance_until};

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

    /// The bytes of its files.
    fn bytes(&self) -> u64 {
        let files = fs::read_dir(&self.0).unwrap();
        files.map(|it| it.unwrap().metadata().unwrap().len()).sum()
    }
}

impl Folder {
    /// Whether a stream has files of its own.
    fn has_stream_files(&self) -> bool {
        let mut files = fs::read_dir(&self.0).unwrap();
        files.any(|it| {
            it.unwrap()
                .path()
                .extension()
                .is_some_and(|it| it == "stream")
        })
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
        let delivery = consumer.try_recv().unwrap();
        assert_eq!(*delivery, number);
        assert!(!delivery.info().redelivered());
        delivery.ack().unwrap();
    }
    assert!(consumer.try_recv().is_err());
}

#[test]
fn what_a_task_declares_and_deletes_is_on_disk_when_its_future_is_ready() {
    let folder = Folder::new();
    let queue = |number: usize| Queue::new(format!("q{number}")).durable();
    let (logs, budget) = (Exchange::topic("logs").durable(), Budget::new("all", 9));
    {
        let broker = folder.broker();
        block_on(async {
            let declaring: Vec<_> = (0..20)
                .map(|number| queue(number).bind(&logs, "#"))
                .collect();
            let mut all: Vec<_> = declaring
                .iter()
                .map(|queue| Box::pin(broker.declare_async(queue)))
                .collect();
            // All of them have begun before the first is awaited.
            let mut ready = Vec::new();
            for declaration in &mut all {
                ready.push(poll_once(declaration).await);
            }
            for (declaration, ready) in all.into_iter().zip(ready) {
                match ready {
                    Some(declared) => declared.unwrap(),
                    None => declaration.await.unwrap(),
                };
            }
            broker.declare_async(&budget).await.unwrap();
            for number in 10..20 {
                broker.delete_async(&queue(number)).await.unwrap();
            }
            let nameless = broker.declare_async(&Queue::exclusive()).await.unwrap();
            assert!(nameless.name().starts_with("amq.gen-"));
            let other = Queue::new("q0");
            let error = broker.declare_async(&other).await.unwrap_err();
            assert!(error.is_inequivalent(), "{error}");
            broker
                .delete_async(&Exchange::direct("no such"))
                .await
                .unwrap();
            broker.delete_async(&budget).await.unwrap();
        });
    }
    let broker = folder.broker();
    let root = &broker.snapshot().unwrap().vhosts[0];
    let mut names: Vec<_> = root.queues.iter().map(|it| it.name.to_string()).collect();
    names.sort();
    assert!(
        names
            .into_iter()
            .eq((0..10).map(|number| format!("q{number}")))
    );
    assert_eq!(root.bindings.len(), 10);
    assert!(root.budgets.is_empty());
}

#[test]
fn what_comes_back_can_be_exported() {
    let folder = Folder::new();
    let queue = Queue::new("q").durable();
    {
        let broker = folder.broker();
        let producer = broker.producer_builder::<u32>(&queue);
        let producer = producer.properties(persistent()).build().unwrap();
        for number in 0..600 {
            producer.publish(number).unwrap();
        }
    }
    let broker = folder.broker();
    for _ in 0..2 {
        let copies = broker.export_messages(&queue).unwrap();
        let copies: Vec<_> = copies
            .map(|copy| (copy.position(), copy.body().unwrap().to_vec()))
            .collect();
        let expected = (0..600).map(|number: u64| (number, number.to_string().into_bytes()));
        assert!(copies.into_iter().eq(expected));
    }
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

#[test]
fn delayed_messages_come_back_and_their_delays_go_on() {
    let folder = Folder::new();
    let clock = ManualClock::new();
    let open = || {
        let builder = Broker::builder().clock(clock.clone());
        builder.data_dir(&folder.0).build().unwrap()
    };
    let minute = Duration::from_secs(60);
    let later = Exchange::direct("later").delayed().durable();
    let queue = Queue::new("q").durable().bind(&later, "k");
    {
        let broker = open();
        broker.declare(&queue).unwrap();
        let producer = broker.producer::<u32>(&later).unwrap();
        for number in [3u32, 1, 2] {
            let message = Message::new(number).routing_key("k").persistent();
            let message = message.header("x-delay", 60_000 * i64::from(number));
            assert_eq!(producer.publish_message(message).unwrap().delayed, 1);
        }
        let direct = broker.producer::<u32>(&Queue::new("q").durable()).unwrap();
        let message = Message::new(4u32).persistent().deliver_after(4 * minute);
        direct.publish_message(message).unwrap();
    }
    clock.advance(minute);
    let broker = open();
    // Times are on disk in whole milliseconds.
    clock.advance(Duration::from_millis(1));
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    assert_eq!(consumer.try_recv().unwrap().ack_into().unwrap(), 1);
    for number in 2..=4 {
        assert!(consumer.try_recv().is_err(), "{number}");
        clock.advance(minute);
        let delivery = consumer.try_recv().unwrap();
        assert_eq!(*delivery, number);
        assert!(!delivery.info().redelivered());
        delivery.ack().unwrap();
    }
}

#[test]
fn the_files_keep_their_size_while_as_many_messages_come_as_go() {
    const BODY: usize = 256 << 10;
    const BACKLOG: usize = 8;
    const PUBLISHED: usize = 512;

    let folder = Folder::new();
    let broker = folder.broker();
    let queue = Queue::new("q").durable();
    let producer = broker.producer_builder(&queue).properties(persistent());
    let producer = producer.build().unwrap();
    let consumer = broker.consumer::<Bytes>(&queue).unwrap();
    for number in 0..PUBLISHED {
        producer.publish(Bytes::from(vec![7; BODY])).unwrap();
        if number >= BACKLOG {
            consumer.recv().unwrap().ack().unwrap();
        }
    }
    let files = broker.snapshot().unwrap().store.unwrap().file_bytes;
    let limit = 4 * BACKLOG * BODY + (64 << 20);
    assert!(PUBLISHED * BODY > limit, "the limit is no limit");
    assert!(files <= limit as u64, "the files have {files} bytes");
}

#[test]
fn a_local_payload_is_refused_by_a_durable_queue_and_taken_by_others() {
    let folder = Folder::new();
    let broker = folder.broker();
    let queue = Queue::new("q").durable();
    let message = |value: u32| Message::new(Local(value)).persistent();
    let producer = broker.producer::<Local<u32>>(&queue).unwrap();
    let refused = producer.publish_message(message(7)).unwrap_err();
    assert!(matches!(refused.error(), Error::Codec(_)), "{refused}");
    assert_eq!(refused.payload().unwrap().payload().0, 7);
    // A transient message is not kept, so it need not be encoded.
    producer.publish(Local(8)).unwrap();
    let memory = broker
        .producer::<Local<u32>>(&Queue::new("memory"))
        .unwrap();
    memory.publish_message(message(9)).unwrap();
}

#[test]
fn a_late_settlement_leaves_the_message_that_has_returned_in_the_folder() {
    // Only a quorum queue keeps the counts of its messages.
    for (queue, counted) in [(Queue::new("q").durable(), 0), (Queue::quorum("q"), 1)] {
        for settle in [
            |delivery: Delivery<u32>| delivery.ack().unwrap(),
            |delivery: Delivery<u32>| drop(delivery.ack_into()),
            |delivery: Delivery<u32>| delivery.reject().unwrap(),
            |delivery: Delivery<u32>| drop(delivery),
        ] {
            let folder = Folder::new();
            {
                let clock = ManualClock::new();
                let builder = Broker::builder().clock(clock.clone());
                let broker = builder.data_dir(&folder.0).build().unwrap();
                let builder = broker.producer_builder::<u32>(&queue);
                let producer = builder.properties(persistent()).build().unwrap();
                let builder = broker.consumer_builder::<u32>(&queue).timeout(SECOND);
                let consumer = builder.build().unwrap();
                producer.publish(1).unwrap();
                producer.publish(2).unwrap();
                let held = [(); 2].map(|()| consumer.recv().unwrap());
                let [late, in_time] = held;
                in_time.ack().unwrap();
                clock.advance(SECOND);
                drop(consumer);
                settle(late);
            }
            let broker = folder.broker();
            let consumer = broker.consumer::<u32>(&queue).unwrap();
            let again = consumer.recv().unwrap();
            let counts = (again.info().acquired_count(), again.info().delivery_count());
            assert_eq!((*again, counts), (1, (counted, 0)));
            assert!(consumer.try_recv().is_err());
            drop(consumer);
            again.ack().unwrap();
        }
    }
}

#[test]
fn what_a_queue_in_memory_had_on_disk_does_not_come_back_after_it_was_settled() {
    for queue in [Queue::new("q").durable(), Queue::quorum("q")] {
        let folder = Folder::new();
        let publish = |broker: &Broker, number| {
            let producer = broker.producer::<u32>(&queue).unwrap();
            let message = Message::new(number).persistent();
            producer.publish_message(message).unwrap();
        };
        let take = |broker: &Broker, number| {
            let consumer = broker.consumer::<u32>(&queue).unwrap();
            let delivery = consumer.try_recv().unwrap();
            assert_eq!(*delivery, number);
            delivery.ack().unwrap();
        };
        publish(&folder.broker(), 1);
        let in_memory = Broker::builder().data_dir(&folder.0);
        take(
            &in_memory.durability(Durability::Memory).build().unwrap(),
            1,
        );
        publish(&folder.broker(), 2);
        take(&folder.broker(), 2);
    }
}

#[test]
fn messages_that_come_back_count_against_their_budgets() {
    let folder = Folder::new();
    let clock = ManualClock::new();
    let open = || {
        let builder = Broker::builder().clock(clock.clone());
        builder.data_dir(&folder.0).build().unwrap()
    };
    let used = |broker: &Broker| broker.snapshot().unwrap().vhosts[0].budgets[0].used;
    let later = Exchange::direct("later").delayed().durable();
    let budget = Budget::new("all", 100).whole_vhost();
    let before = {
        let broker = open();
        broker.declare(&budget).unwrap();
        for queue in [Queue::new("q").durable(), Queue::quorum("r")] {
            broker.declare(&queue.clone().bind(&later, "k")).unwrap();
            let producer = broker.producer::<u32>(&queue).unwrap();
            for number in 10..15 {
                let message = Message::new(number).persistent();
                let delay = SECOND * (number % 2);
                producer
                    .publish_message(message.deliver_after(delay))
                    .unwrap();
            }
        }
        let message = Message::new(20).routing_key("k").persistent();
        let message = message.header("x-delay", 1_000);
        let producer = broker.producer::<u32>(&later).unwrap();
        producer.publish_message(message).unwrap();
        used(&broker)
    };
    let broker = open();
    assert_eq!((used(&broker), before), (44, 44));
    advance_until(&clock, || used(&broker) == 48);
    for queue in [Queue::new("q").durable(), Queue::quorum("r")] {
        let consumer = broker.consumer::<u32>(&queue).unwrap();
        for _ in 0..6 {
            consumer.recv().unwrap().ack().unwrap();
        }
    }
    assert_eq!(used(&broker), 0);
}

#[test]
fn virtual_hosts_policies_and_budgets_come_back_and_deleted_ones_do_not() {
    let folder = Folder::new();
    let queue = Queue::new("q").durable();
    {
        let broker = folder.broker();
        for name in ["kept", "deleted"] {
            broker.create_vhost(name).unwrap();
            let vhost = broker.vhost(name).unwrap();
            vhost.declare(&Budget::new("memory", 10_000)).unwrap();
            vhost.declare(&queue.clone().budget("memory")).unwrap();
            for (policy, length) in [("short", 2), ("shorter", 1)] {
                let policy = Policy::new(policy, "^q").setting("max-length", length);
                vhost
                    .set_policy(policy.priority(i64::from(length)))
                    .unwrap();
            }
            vhost.clear_policy("short").unwrap();
        }
        broker.delete_vhost("deleted").unwrap();
    }
    let broker = folder.broker();
    let names: Vec<String> = broker
        .vhosts()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["/", "kept"]);
    let snapshot = broker.snapshot().unwrap();
    let kept = &snapshot.vhosts[1];
    assert_eq!(
        (kept.queues.len(), kept.budgets.len(), kept.policies.len()),
        (1, 1, 1)
    );
    assert_eq!(kept.policies[0].policy.name, "shorter");
    let vhost = broker.vhost("kept").unwrap();
    let producer = vhost
        .producer_builder::<u32>(&Queue::existing("q"))
        .properties(persistent());
    let producer = producer.build().unwrap();
    for number in 0..3 {
        producer.publish(number).unwrap();
    }
    assert_eq!(vhost.purge(Queue::existing("q")).unwrap(), 1);
}
