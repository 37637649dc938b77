//! A broker on a disk that loses power at every moment of a workload.

mod full_disk;
mod moves;
mod streams;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_lite::future::{block_on, poll_once};

use crate::{
    engine::{
        policy::Policy,
        router::ExchangeTypes,
        store::{
            DiskSettings,
            log::{LogStore, Settings as Sizes},
            tests::disk::FakeDisk,
        },
    },
    handles::{
        broker::{Broker, Credentials},
        producer::{Producer, PublishError, Published},
    },
    message::{outgoing::Message, properties::Properties},
    model::{
        descriptions::{Durability, Exchange, Queue},
        disk_alarm::DiskAlarm,
        error::{Error, Result},
    },
    runtime::clock::Time,
    session::{
        broker_core::{BrokerCore, Settings},
        channel::{AckMode, ConfirmOutcome, Multiple, PublishOptions},
        receive::{RecvError, TryRecvError},
        requeue::Requeue,
    },
};

fn open(disk: &FakeDisk) -> Result<Broker> {
    open_core(disk).map(Broker::start)
}

fn open_core(disk: &FakeDisk) -> Result<BrokerCore> {
    let disk = Box::new(disk.clone());
    let store = Box::new(LogStore::open_on(disk, Sizes::tiny(), Box::new(|_| {}))?);
    let settings = Settings::default();
    let types = ExchangeTypes::default();
    let (time, durability, disk) = (Time::default(), Durability::Synced, DiskSettings::none());
    BrokerCore::recover(time, settings, types, durability, store, disk)
}

/// What the workload knows of its messages when the disk fails.
#[derive(Debug, Default)]
struct Ledger {
    /// Their publish has returned.
    confirmed: BTreeSet<u32>,
    /// They were acknowledged.
    acknowledged: BTreeSet<u32>,
    /// Those whose acknowledgement is on disk.
    gone: BTreeSet<u32>,
}

/// Publishes, acknowledges and commits until the disk fails.
fn work(broker: &Broker, queue: &Queue, ledger: &mut Ledger) -> Result {
    let persistent = Properties::new().persistent();
    let producer = broker
        .producer_builder::<u32>(queue)
        .properties(persistent.clone())
        .build()?;
    let consumer = broker.consumer_builder::<u32>(queue).prefetch(1).build()?;
    let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    channel.tx_select()?;
    for number in 0..12u32 {
        producer.publish(2 * number)?;
        ledger.confirmed.insert(2 * number);
        // All acknowledgements before a publish are on disk when the publish returns.
        ledger.gone = ledger.acknowledged.clone();
        if number % 3 == 0 {
            let delivery = consumer.recv().expect("a message is ready");
            ledger.acknowledged.insert(*delivery);
            delivery.ack()?;
        }
        if number % 4 == 2 {
            let body = (2 * number + 1).to_string();
            let options = PublishOptions::new();
            channel.basic_publish("", queue.name(), body, persistent.clone(), options)?;
            if let Some(got) = channel.basic_get(queue.name(), AckMode::Manual)? {
                let body = String::from_utf8(got.body()?.to_vec()).unwrap();
                channel.basic_ack(got.delivery_tag(), Multiple::No)?;
                ledger.acknowledged.insert(body.parse().unwrap());
            }
            channel.tx_commit()?;
            ledger.confirmed.insert(2 * number + 1);
            ledger.gone = ledger.acknowledged.clone();
        }
    }
    Ok(())
}

#[test]
fn after_a_power_loss_at_any_moment_every_confirmed_message_is_there_in_order() {
    let queue = Queue::new("q").durable();
    let whole = FakeDisk::new(u64::MAX);
    {
        let broker = open(&whole).unwrap();
        work(&broker, &queue, &mut Ledger::default()).unwrap();
    }
    let mut random = 7u64;
    let mut losses = 0;
    for operations in 0..whole.operations() {
        let disk = FakeDisk::new(operations);
        let Ok(broker) = open(&disk) else { continue };
        let mut ledger = Ledger::default();
        let worked = work(&broker, &queue, &mut ledger);
        losses += usize::from(worked.is_err());
        let chance = |of: u32| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) as u32 % of
        };
        let after = disk.after_power_loss(chance);
        drop(broker);
        let broker = open(&after).unwrap();
        let found = contents(&broker, &queue);
        let must: BTreeSet<u32> = ledger
            .confirmed
            .difference(&ledger.acknowledged)
            .copied()
            .collect();
        let set: BTreeSet<u32> = found.iter().copied().collect();
        assert!(
            must.is_subset(&set),
            "{operations}: {found:?} without some of {must:?}"
        );
        assert!(
            set.is_disjoint(&ledger.gone),
            "{operations}: {found:?}, {:?}",
            ledger.gone
        );
        assert!(found.is_sorted(), "{operations}: {found:?}");
        assert_eq!(set.len(), found.len(), "{operations}: {found:?}");
    }
    assert!(losses > 20, "{losses}");
}

/// Takes all messages of a queue.
fn contents(broker: &Broker, queue: &Queue) -> Vec<u32> {
    let Ok(channel) = broker
        .connect("/", Credentials::guest())
        .and_then(|it| it.open_channel())
    else {
        return Vec::new();
    };
    let next = || {
        channel
            .basic_get(queue.name(), AckMode::Auto)
            .ok()
            .flatten()
    };
    let bodies = std::iter::from_fn(next).map(|got| got.body().unwrap().to_vec());
    bodies
        .map(|body| String::from_utf8(body).unwrap().parse().unwrap())
        .collect()
}

#[test]
fn a_publish_that_is_not_on_disk_fails_with_its_payload_and_memory_queues_go_on() {
    let disk = FakeDisk::new(u64::MAX);
    let broker = open(&disk).unwrap();
    let persistent = Properties::new().persistent();
    let queue = Queue::new("q").durable();
    let producer = broker
        .producer_builder::<Order>(&queue)
        .properties(persistent.clone());
    let producer = producer.build().unwrap();
    broker.declare(&queue).unwrap();
    producer.publish(Order(1)).unwrap();
    let channel = broker
        .connect("/", Credentials::guest())
        .unwrap()
        .open_channel()
        .unwrap();
    channel.confirm_select().unwrap();

    disk.fail();
    let options = PublishOptions::new();
    channel
        .basic_publish("", "q", "2", persistent.clone(), options)
        .unwrap();
    assert_eq!(channel.wait_for_confirms(), Ok(ConfirmOutcome::Nack));
    for number in [3, 4] {
        let failed = producer.publish(Order(number)).unwrap_err();
        assert!(matches!(failed.error(), Error::Store(_)), "{failed}");
        assert_eq!(failed.payload(), Some(&Order(number)));
    }
    for failed in producer.publish_batch([Order(5), Order(6)]) {
        assert!(matches!(failed.unwrap_err().error(), Error::Store(_)));
    }
    let failed = channel.basic_publish("", "q", "7", persistent, options);
    assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
    assert!(matches!(
        broker.declare(&Queue::new("r").durable()),
        Err(Error::Store(_))
    ));

    // A transient message needs no disk, and neither does a queue in memory.
    channel
        .basic_publish("", "q", "8", Properties::new(), options)
        .unwrap();
    let memory = broker.producer::<Order>(&Queue::new("memory")).unwrap();
    memory.publish(Order(9)).unwrap();
    let error = broker.shutdown(Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
}

#[test]
fn a_publish_waits_for_the_slowest_level_of_its_route() {
    let disk = FakeDisk::new(u64::MAX);
    let broker = open(&disk).unwrap();
    let all = Exchange::fanout("all").durable();
    let persistent = Properties::new().persistent();
    let producer = broker.producer_builder::<u32>(&all).properties(persistent);
    let producer = producer.build().unwrap();
    let buffered = Durability::Buffered(Duration::from_millis(1));
    let queue = |name: &str| Queue::new(name.to_owned()).durable();
    let levels = [
        (queue("memory").durability(Durability::Memory), false),
        (queue("buffered").durability(buffered), false),
        (queue("synced"), true),
    ];
    for (number, (queue, waits)) in levels.iter().enumerate() {
        broker.declare(&queue.clone().bind(&all, "")).unwrap();
        let stalled = disk.stall();
        let mut publishing = Box::pin(producer.publish_async(number as u32));
        let first = block_on(poll_once(&mut publishing));
        assert_eq!(first.is_none(), *waits, "{}", queue.name());
        drop(stalled);
        let published = first.unwrap_or_else(|| block_on(publishing));
        assert_eq!(published.unwrap().routed, number + 1);
    }
    let to_buffered = broker.producer_builder::<u32>(&levels[1].0);
    let to_buffered = to_buffered.properties(Properties::new().persistent());
    to_buffered.build().unwrap().publish(3).unwrap();
    // It is written in time, though no one waits for it.
    let waiting = || broker.snapshot().unwrap().store.unwrap().waiting_operations;
    while waiting() > 0 {
        std::thread::yield_now();
    }
    let after = open(&disk.after_power_loss(|_| 0)).unwrap();
    let found = levels.map(|(queue, _)| contents(&after, &queue));
    assert_eq!(found, [vec![], vec![1, 2, 3], vec![2]]);
    assert_eq!(after.purge("memory"), Ok(0), "the queue itself comes back");
}

#[test]
fn the_payloads_of_a_batch_wait_for_the_disk_together() {
    const PAYLOADS: u32 = 300;
    let disk = FakeDisk::new(u64::MAX);
    let broker = open(&disk).unwrap();
    let queue = Queue::new("q").durable();
    let persistent = Properties::new().persistent();
    let producer = broker.producer_builder::<u32>(&queue);
    let producer = producer.properties(persistent).build().unwrap();
    let consumer = broker.consumer::<u32>(&queue).unwrap();
    let arrive = || {
        for number in 0..PAYLOADS {
            let delivery = consumer.recv().unwrap();
            assert_eq!(*delivery, number);
            delivery.ack().unwrap();
        }
    };
    std::thread::scope(|scope| {
        let stalled = disk.stall();
        let publishing = scope.spawn(|| producer.publish_batch(0..PAYLOADS));
        // All of them are in the queue before the first one is on disk.
        arrive();
        drop(stalled);
        assert!(publishing.join().unwrap().iter().all(Result::is_ok));
    });
    let stalled = disk.stall();
    let mut publishing = Box::pin(producer.publish_batch_async(0..PAYLOADS));
    assert!(block_on(poll_once(&mut publishing)).is_none());
    arrive();
    drop(stalled);
    assert!(block_on(publishing).iter().all(Result::is_ok));
}

#[test]
fn settlements_wait_for_no_disk() {
    let disk = FakeDisk::new(u64::MAX);
    let broker = open(&disk).unwrap();
    for queue in [Queue::new("q").durable(), Queue::quorum("r")] {
        let persistent = Properties::new().persistent();
        let producer = broker.producer_builder::<u32>(&queue);
        let producer = producer.properties(persistent).build().unwrap();
        let consumer = broker.consumer::<u32>(&queue).unwrap();
        assert!(producer.publish_batch(0..4).iter().all(Result::is_ok));
        let [first, second, third, last] = [(); 4].map(|()| consumer.recv().unwrap());
        let stalled = disk.stall();
        first.ack().unwrap();
        second.reject().unwrap();
        third.nack(Requeue::Yes).unwrap();
        drop(last);
        drop(stalled);
        drop(consumer);
        // The declaration is on disk when it returns, and so is everything before it.
        let last = Queue::new(format!("after {}", queue.name()));
        broker.declare(&last.durable()).unwrap();
        let after = open(&disk.after_power_loss(|_| 0)).unwrap();
        assert_eq!(contents(&after, &queue), [2, 3]);
    }
}

#[test]
fn a_transaction_that_is_not_on_disk_fails_for_threads_and_tasks() {
    for is_task in [false, true] {
        let disk = FakeDisk::new(u64::MAX);
        let broker = open(&disk).unwrap();
        broker.declare(&Queue::new("q").durable()).unwrap();
        let connection = broker.connect("/", Credentials::guest()).unwrap();
        let channel = connection.open_channel().unwrap();
        channel.tx_select().unwrap();
        let (persistent, options) = (Properties::new().persistent(), PublishOptions::new());
        channel
            .basic_publish("", "q", "1", persistent, options)
            .unwrap();
        disk.fail();
        let committed = match is_task {
            true => block_on(channel.tx_commit_async()),
            false => channel.tx_commit(),
        };
        assert!(matches!(committed, Err(Error::Store(_))), "{committed:?}");
    }
}

#[test]
fn a_task_that_sets_a_policy_waits_for_the_disk_without_its_thread() {
    let disk = FakeDisk::new(u64::MAX);
    let broker = open(&disk).unwrap();
    let root = broker.vhost("/").unwrap();
    let policy = Policy::new("short", "^q$").setting("max-length", 2);
    let operator = policy.clone();
    let stalled = disk.stall();
    let mut setting = Box::pin(root.set_policy_async(policy));
    assert!(block_on(poll_once(&mut setting)).is_none());
    let mut operating = Box::pin(root.set_operator_policy_async(operator));
    assert!(block_on(poll_once(&mut operating)).is_none());
    // Both are in effect.
    let policies = (root.policies().len(), root.operator_policies().len());
    assert_eq!(policies, (1, 1));
    drop(stalled);
    block_on(setting).unwrap();
    block_on(operating).unwrap();
    let after = open(&disk.after_power_loss(|_| 0)).unwrap();
    assert_eq!(after.vhost("/").unwrap().policies().len(), 1);
    assert!(block_on(root.clear_policy_async("short")).unwrap());
    assert!(block_on(root.clear_operator_policy_async("short")).unwrap());
    assert!(!block_on(root.clear_policy_async("short")).unwrap());
    let after = open(&disk.after_power_loss(|_| 0)).unwrap();
    assert!(after.vhost("/").unwrap().policies().is_empty());
    disk.fail();
    let policy = Policy::new("short", "^q$").setting("max-length", 2);
    let failed = block_on(root.set_policy_async(policy));
    assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
}

#[test]
fn a_snapshot_tells_how_old_the_oldest_change_that_waits_is_at_most() {
    let disk = FakeDisk::new(u64::MAX);
    let broker = open(&disk).unwrap();
    let hour = Durability::Buffered(Duration::from_secs(3_600));
    let queue = Queue::new("q").durable().durability(hour);
    broker.declare(&queue).unwrap();
    let persistent = Properties::new().persistent();
    let producer = broker.producer_builder::<u32>(&queue);
    let producer = producer.properties(persistent).build().unwrap();
    let store = || broker.snapshot().unwrap().store.unwrap();
    producer.publish(1).unwrap();
    let published = Instant::now();
    loop {
        let (waited, seen) = (published.elapsed(), store());
        assert_eq!((seen.waiting_operations, seen.waiting_bytes > 0), (1, true));
        assert!(
            seen.since_last_commit >= waited,
            "{seen:?} after {waited:?}"
        );
        if waited > Duration::from_millis(2) {
            break;
        }
    }
    let before = Instant::now();
    // Its record is on disk when it returns, and so is the message.
    broker.declare(&Queue::new("r").durable()).unwrap();
    let seen = store();
    assert_eq!((seen.waiting_operations, seen.waiting_bytes), (0, 0));
    assert!(seen.since_last_commit <= before.elapsed(), "{seen:?}");
}

#[test]
fn a_publish_whose_sync_fails_gives_the_payload_back() {
    let disk = FakeDisk::new(u64::MAX);
    let broker = open(&disk).unwrap();
    let queue = Queue::new("q").durable();
    let persistent = Properties::new().persistent();
    let producer = broker
        .producer_builder::<Order>(&queue)
        .properties(persistent);
    let producer = producer.build().unwrap();
    broker.declare(&queue).unwrap();
    disk.fail();
    let failed = producer.publish(Order(1)).unwrap_err();
    assert!(matches!(failed.error(), Error::Store(_)), "{failed}");
    assert_eq!(failed.payload(), Some(&Order(1)));
    // The queue has it, in memory.
    let delivery = broker.consumer::<Order>(&queue).unwrap().recv().unwrap();
    assert_eq!(*delivery, Order(1));
}

#[test]
fn a_publish_whose_sync_fails_is_an_error_though_the_payload_cannot_be_read_back() {
    let publishes: [fn(&Producer<WriteOnly>) -> Failed; 4] = [
        |producer| producer.publish(WriteOnly(1)).map_err(of),
        |producer| {
            let published = producer.publish_message(Message::new(WriteOnly(1)).persistent());
            published.map_err(of)
        },
        |producer| {
            let published = producer.publish_batch([WriteOnly(1)]).next().unwrap();
            published.map_err(of)
        },
        |producer| block_on(producer.publish_async(WriteOnly(1))).map_err(of),
    ];
    for publish in publishes {
        let disk = FakeDisk::new(u64::MAX);
        let broker = open(&disk).unwrap();
        let queue = Queue::new("q").durable();
        let persistent = Properties::new().persistent();
        let producer = broker.producer_builder::<WriteOnly>(&queue);
        let producer = producer.properties(persistent).build().unwrap();
        broker.declare(&queue).unwrap();
        disk.fail();
        let (error, is_given_back) = publish(&producer).unwrap_err();
        assert!(matches!(error, Error::Store(_)), "{error}");
        assert!(!is_given_back);
    }
}

#[test]
fn the_disk_alarm_tells_that_the_store_has_failed() {
    let disk = FakeDisk::new(u64::MAX);
    let broker = open(&disk).unwrap();
    let alarms = broker.disk_alarms().unwrap();
    assert!(matches!(alarms.try_recv(), Err(TryRecvError::Empty)));
    disk.fail();
    let declared = broker.declare(&Queue::new("q").durable());
    let Err(Error::Store(error)) = declared else {
        panic!("{declared:?}");
    };
    let failed = DiskAlarm::Failed(*error);
    assert_eq!(alarms.recv().unwrap(), failed);
    // Those who ask later hear it too.
    assert_eq!(broker.disk_alarms().unwrap().recv().unwrap(), failed);
    drop(broker);
    assert!(matches!(alarms.recv(), Err(RecvError::Cancelled(_))));
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Order(u32);

/// It writes a number and reads a text.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct WriteOnly(#[serde(deserialize_with = "text")] u32);

fn text<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<u32, D::Error> {
    let text: String = serde::Deserialize::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// The error of a publish, and whether the payload came back.
type Failed = std::result::Result<Published, (Error, bool)>;

fn of<T>(error: PublishError<T>) -> (Error, bool) {
    (error.error().clone(), error.payload().is_some())
}
