//! The disk alarm: too little free space, and an error of the disk.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use futures_lite::future::{block_on, poll_once};
use leveret::{
    Broker, CancelReason, Consumer, Credentials, DiskAlarm, Error, Feed, ManualClock,
    MessageOutcome, OnDiskAlarm, Producer, Properties, Queue, RecvError, Selection, StoreErrorKind,
    TryRecvError,
    channel::{AckMode, Event, PublishOptions},
};

use super::{Folder, persistent};
use crate::common::SECOND;

const LIMIT: u64 = 1_000;
/// Longer than the broker waits between two looks at its disk.
const WHILE: Duration = Duration::from_secs(10);

/// A broker whose disk has as much room as `free` says.
struct Site {
    broker: Broker,
    clock: ManualClock,
    free: Arc<AtomicU64>,
    alarms: Feed<DiskAlarm>,
    _folder: Folder,
}

impl Site {
    fn new(free: u64, on_alarm: OnDiskAlarm) -> Site {
        let (clock, folder) = (ManualClock::new(), Folder::new());
        let free = Arc::new(AtomicU64::new(free));
        let space = Arc::clone(&free);
        let broker = Broker::builder()
            .clock(clock.clone())
            .data_dir(&folder.0)
            .disk_free_limit(LIMIT)
            .on_disk_alarm(on_alarm)
            .free_space(move |_| match space.load(SeqCst) {
                u64::MAX => Err(io::Error::other("no one knows")),
                free => Ok(free),
            })
            .build()
            .unwrap();
        Site {
            alarms: broker.disk_alarms().unwrap(),
            broker,
            clock,
            free,
            _folder: folder,
        }
    }

    /// A broker whose publishers wait.
    fn blocked() -> Site {
        let site = Site::new(10, OnDiskAlarm::Block);
        site.expect(DiskAlarm::Blocked {
            free: 10,
            limit: LIMIT,
        });
        site
    }

    fn set_free(&self, free: u64) {
        self.free.store(free, SeqCst);
        self.clock.advance(WHILE);
    }

    fn expect(&self, alarm: DiskAlarm) {
        assert_eq!(self.alarms.recv_timeout(WHILE).unwrap(), alarm);
    }

    fn clear(&self) {
        self.set_free(5_000);
        self.expect(DiskAlarm::Unblocked {
            free: 5_000,
            limit: LIMIT,
        });
    }

    fn producer(&self) -> Producer<u32> {
        let producer = self.broker.producer_builder(queue());
        producer.properties(persistent()).build().unwrap()
    }

    fn consumer(&self) -> Consumer<u32> {
        self.broker.consumer(queue()).unwrap()
    }
}

fn queue() -> Queue {
    Queue::new("q").durable()
}

fn is_low_disk(error: &Error) -> bool {
    matches!(error, Error::Store(error) if error.kind() == StoreErrorKind::LowDisk)
}

#[test]
fn a_publisher_waits_while_the_disk_is_low_and_goes_on_when_there_is_room() {
    let site = Site::blocked();
    let producer = site.producer();
    let late = producer.publish_timeout(1, Duration::ZERO).unwrap_err();
    assert_eq!(late.into_parts(), (Error::Timeout, Some(1)));
    let refused = producer.try_publish(2).unwrap_err();
    assert!(is_low_disk(refused.error()), "{refused}");
    assert_eq!(refused.into_inner(), Some(2));
    let publishing = thread::spawn({
        let producer = producer.clone();
        move || (3..6).try_for_each(|number| producer.publish(number).map(drop))
    });
    let snapshot = site.broker.snapshot().unwrap();
    let store = snapshot.store.unwrap();
    assert_eq!(
        (store.disk_free_bytes, store.disk_free_limit),
        (Some(10), LIMIT)
    );
    assert!(store.is_blocked);
    assert_eq!(snapshot.vhosts[0].queues[0].ready.messages, 0);
    site.clear();
    let published: Result<(), _> = publishing.join().unwrap();
    published.unwrap();
    let consumer = site.consumer();
    for number in 3..6 {
        let delivery = consumer.recv().unwrap();
        assert_eq!(*delivery, number);
        delivery.ack().unwrap();
    }
    assert!(!site.broker.snapshot().unwrap().store.unwrap().is_blocked);
}

#[test]
fn the_time_of_a_publish_that_waits_for_the_disk_runs_out() {
    let site = Site::blocked();
    let producer = site.producer();
    let publishing = thread::spawn(move || producer.publish_timeout(1, 30 * SECOND));
    while !publishing.is_finished() {
        site.clock.advance(SECOND);
        thread::yield_now();
    }
    let late = publishing.join().unwrap().unwrap_err();
    assert_eq!(late.into_parts(), (Error::Timeout, Some(1)));
    assert!(matches!(site.alarms.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn a_task_waits_for_the_disk_too() {
    let site = Site::blocked();
    let producer = site.producer();
    block_on(async {
        let mut publishing = Box::pin(producer.publish_async(1));
        assert!(poll_once(&mut publishing).await.is_none());
        let mut dropped = Box::pin(producer.publish_async(2));
        assert!(poll_once(&mut dropped).await.is_none());
        drop(dropped);
        site.set_free(LIMIT);
        let unblocked = DiskAlarm::Unblocked {
            free: LIMIT,
            limit: LIMIT,
        };
        assert_eq!(site.alarms.recv_async().await.unwrap(), unblocked);
        assert_eq!(publishing.await.unwrap().routed, 1);
    });
    let consumer = site.consumer();
    let delivery = consumer.recv().unwrap();
    assert_eq!(*delivery, 1);
    delivery.ack().unwrap();
    assert!(consumer.try_recv().is_err());
}

#[test]
fn a_broker_that_refuses_lets_no_one_wait() {
    let site = Site::new(LIMIT - 1, OnDiskAlarm::Refuse);
    let producer = site.producer();
    let batch = producer.publish_batch([1, 2]);
    let timed = producer.publish_timeout(3, WHILE);
    let task = block_on(producer.publish_async(4));
    let errors = batch.into_iter().chain([producer.publish(5), timed, task]);
    for (refused, number) in errors.zip([1, 2, 5, 3, 4]) {
        let (error, payload) = refused.unwrap_err().into_parts();
        assert!(is_low_disk(&error), "{error}");
        let text = "999 bytes are free, and the limit is 1000";
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(payload, Some(number));
    }
    site.set_free(LIMIT);
    assert_eq!(producer.publish(6).unwrap().routed, 1);
}

#[test]
fn what_needs_no_disk_goes_on() {
    let site = Site::new(5_000, OnDiskAlarm::Block);
    let dead = Queue::new("dead").durable();
    site.broker.declare(&dead).unwrap();
    let first = queue()
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    let producer = site.broker.producer_builder::<u32>(&first);
    let producer = producer.properties(persistent()).build().unwrap();
    producer.publish(1).unwrap();
    producer.publish(2).unwrap();
    let channel = site.broker.connect("/", Credentials::guest()).unwrap();
    let channel = channel.open_channel().unwrap();
    channel.tx_select().unwrap();
    let options = PublishOptions::new();
    channel
        .basic_publish("", "q", "3", persistent(), options)
        .unwrap();
    site.set_free(10);
    site.expect(DiskAlarm::Blocked {
        free: 10,
        limit: LIMIT,
    });
    // A transaction is whole or not at all.
    channel.tx_commit().unwrap();
    // Consumers and dead letters, transient messages, queues in memory, declarations.
    let consumer = site.broker.consumer::<u32>(&first).unwrap();
    consumer.recv().unwrap().ack().unwrap();
    consumer.recv().unwrap().reject().unwrap();
    assert_eq!(*consumer.recv().unwrap(), 3);
    assert_eq!(
        *site.broker.consumer::<u32>(&dead).unwrap().recv().unwrap(),
        2
    );
    site.broker
        .producer::<u32>(&first)
        .unwrap()
        .publish(4)
        .unwrap();
    let memory = site.broker.producer_builder::<u32>(&Queue::new("memory"));
    let memory = memory.properties(persistent()).build().unwrap();
    memory.publish(5).unwrap();
    site.broker.declare(&Queue::quorum("r")).unwrap();
    // A quorum queue keeps every message.
    let quorum = site.broker.producer::<u32>(&Queue::quorum("r")).unwrap();
    assert!(is_low_disk(quorum.try_publish(6).unwrap_err().error()));
}

#[test]
fn the_forms_of_a_channel_wait_or_fail_as_those_of_a_producer() {
    let site = Site::blocked();
    site.broker.declare(&queue()).unwrap();
    let channel = site.broker.connect("/", Credentials::guest()).unwrap();
    let channel = channel.open_channel().unwrap();
    let options = PublishOptions::new();
    let refused = channel.try_basic_publish("", "q", "1", persistent(), options);
    assert!(is_low_disk(&refused.unwrap_err()));
    let late = channel.basic_publish_timeout("", "q", "2", persistent(), options, Duration::ZERO);
    assert_eq!(late, Err(Error::Timeout));
    channel
        .basic_publish("", "q", "3", Properties::new(), options)
        .unwrap();
    let publishing = thread::spawn({
        let channel = channel.clone();
        move || channel.basic_publish("", "q", "4", persistent(), options)
    });
    site.clear();
    publishing.join().unwrap().unwrap();
    for body in ["3", "4"] {
        let got = channel.basic_get("q", AckMode::Auto).unwrap().unwrap();
        assert_eq!(&*got.body().unwrap(), body.as_bytes());
    }
}

#[test]
fn the_end_of_the_connection_or_of_the_broker_ends_the_wait() {
    let site = Site::blocked();
    site.broker.declare(&queue()).unwrap();
    let connection = site.broker.connect("/", Credentials::guest()).unwrap();
    let wait = |producer: Producer<u32>| thread::spawn(move || producer.publish(1));
    let of_connection = connection
        .producer_builder(queue())
        .properties(persistent());
    let of_connection = wait(of_connection.build().unwrap());
    connection.close().unwrap();
    let closed = of_connection.join().unwrap().unwrap_err();
    assert_eq!(closed.into_parts(), (Error::ConnectionClosed, Some(1)));
    let of_broker = wait(site.producer());
    site.broker.shutdown(Duration::ZERO).unwrap();
    let ended = of_broker.join().unwrap().unwrap_err();
    assert_eq!(ended.into_parts(), (Error::ShutDown, Some(1)));
    let end = site.alarms.recv();
    assert!(
        matches!(end, Err(RecvError::Cancelled(CancelReason::ShutDown))),
        "{end:?}"
    );
}

#[test]
fn a_shutdown_does_not_wait_for_publishers_that_wait_for_the_disk() {
    let site = Site::blocked();
    let producer = site.producer();
    let publishing = thread::spawn(move || producer.publish(1));
    let report = site.broker.shutdown(3_600 * SECOND).unwrap();
    assert!(!report.timed_out);
    let ended = publishing.join().unwrap().unwrap_err();
    assert_eq!(ended.into_parts(), (Error::ShutDown, Some(1)));
}

#[test]
fn the_alarm_comes_and_goes_and_each_subscriber_sees_it() {
    let site = Site::new(5_000, OnDiskAlarm::Block);
    for free in [10, 6_000, 20] {
        site.set_free(free);
    }
    let late = site.broker.disk_alarms().unwrap();
    let (blocked, limit) = (|free| DiskAlarm::Blocked { free, limit: LIMIT }, LIMIT);
    let unblocked = DiskAlarm::Unblocked { free: 6_000, limit };
    for alarm in [blocked(10), unblocked, blocked(20)] {
        site.expect(alarm);
    }
    assert_eq!(late.try_recv().unwrap(), blocked(20));
    assert!(matches!(late.try_recv(), Err(TryRecvError::Empty)));
    // An unknown space changes nothing.
    site.set_free(u64::MAX);
    site.set_free(30);
    assert!(matches!(site.alarms.try_recv(), Err(TryRecvError::Empty)));
    let refused = site.producer().try_publish(1).unwrap_err();
    assert!(
        refused.to_string().contains("30 bytes are free"),
        "{refused}"
    );
    drop(site.broker);
    let end = late.recv();
    assert!(
        matches!(end, Err(RecvError::Cancelled(CancelReason::BrokerDropped))),
        "{end:?}"
    );
}

#[test]
fn the_free_space_of_the_disk_itself_is_read_unless_there_is_no_limit() {
    let folder = Folder::new();
    let free = |broker: &Broker| broker.snapshot().unwrap().store.unwrap().disk_free_bytes;
    let broker = folder.broker();
    assert!(free(&broker).is_some_and(|free| free > 0));
    drop(broker);
    let broker = Broker::builder()
        .data_dir(&folder.0)
        .disk_free_limit(u64::MAX);
    let broker = broker.on_disk_alarm(OnDiskAlarm::Refuse).build().unwrap();
    let producer = broker
        .producer_builder::<u32>(queue())
        .properties(persistent());
    let refused = producer.build().unwrap().publish(1).unwrap_err();
    assert!(is_low_disk(refused.error()), "{refused}");
    drop(broker);
    let broker = Broker::builder().data_dir(&folder.0).disk_free_limit(0);
    let broker = broker.free_space(|_| Ok(0)).build().unwrap();
    let producer = broker
        .producer_builder::<u32>(queue())
        .properties(persistent());
    producer.build().unwrap().publish(1).unwrap();
    assert_eq!(free(&broker), None);
    assert!(Broker::new().disk_alarms().is_none());
}

#[test]
fn publishers_lose_nothing_while_the_alarm_comes_and_goes() {
    const EACH: u32 = 200;
    const PUBLISHERS: u32 = 4;
    let site = Site::new(5_000, OnDiskAlarm::Block);
    let publishing: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let producer = site.producer();
            thread::spawn(move || {
                for number in 0..EACH {
                    producer.publish(publisher * EACH + number).unwrap();
                }
            })
        })
        .collect();
    let consumer = site.consumer();
    let mut found = Vec::new();
    while found.len() < (EACH * PUBLISHERS) as usize {
        let free = if found.len() % 3 == 0 { 10 } else { 5_000 };
        site.set_free(free);
        match consumer.try_recv() {
            Ok(delivery) => {
                found.push(*delivery);
                delivery.ack().unwrap();
            }
            Err(_) => site.set_free(5_000),
        }
    }
    publishing.into_iter().for_each(|it| it.join().unwrap());
    for publisher in 0..PUBLISHERS {
        let range = publisher * EACH..(publisher + 1) * EACH;
        let own = found.iter().copied().filter(|it| range.contains(it));
        assert!(own.eq(range.clone()), "{found:?}");
    }
}

#[test]
fn a_connection_is_told_that_its_publish_waits_for_the_disk() {
    let site = Site::blocked();
    let connection = site.broker.connect("/", Credentials::guest()).unwrap();
    let events = connection.events();
    let channel = connection.open_channel().unwrap();
    channel.queue_declare(&queue()).unwrap();
    assert!(matches!(events.try_recv(), Err(TryRecvError::Empty)));
    let (properties, options) = (persistent(), PublishOptions::new());
    let mut waiting = Box::pin(channel.basic_publish_async("", "q", "m", properties, options));
    assert!(block_on(poll_once(&mut waiting)).is_none());
    match events.try_recv().unwrap() {
        (0, Event::Blocked { reason }) => assert_eq!(reason.to_string(), "low on disk"),
        other => panic!("{other:?}"),
    }
    site.clear();
    assert_eq!(block_on(waiting).unwrap().published.routed, 1);
    assert!(matches!(events.try_recv(), Ok((0, Event::Unblocked))));
}

// The move ended with an error of the disk, though it was only low.
#[test]
fn a_low_disk_refuses_what_is_moved_to_a_durable_queue() {
    let site = Site::blocked();
    site.broker.declare(&queue()).unwrap();
    let memory = Queue::new("memory");
    let producer = site.broker.producer_builder::<u32>(&memory);
    let producer = producer.properties(persistent()).build().unwrap();
    assert!(producer.publish_batch(0..2).all(|result| result.is_ok()));
    let move_all = || {
        let moved = site.broker.move_messages("memory", "q", Selection::all());
        moved.map(|moved| (moved.moved, moved.refused))
    };
    assert_eq!(move_all(), Ok((0, 2)));
    let first = site.broker.peek("memory", 1).unwrap()[0].id().unwrap();
    let outcome = site.broker.move_message("memory", first, "q");
    assert_eq!(outcome, Ok(MessageOutcome::Refused));
    site.clear();
    assert_eq!(move_all(), Ok((2, 0)));
}
