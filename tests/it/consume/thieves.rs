//! Receivers whose messages are all taken by others. The thief is the clock: whenever the waiting
//! receiver asks for the time, the clock publishes a message, which notifies the receiver, and
//! takes that message away.

use std::{
    cell::Cell,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, Instant, SystemTime},
};

use leveret::{
    Broker, Clock, Properties, Queue, RecvTimeoutError, Result, Select, SelectError,
    channel::{ConsumeOptions, PublishOptions},
};

use crate::common::{SECOND, channel_of};

/// The number of thefts after which the thief gives up, so that a wait without an end fails its
/// test.
const THEFTS: u32 = 1_000;

/// Each look at this clock takes a second, and a theft.
#[derive(Clone)]
struct Thief(Arc<Shared>);

struct Shared {
    start: Instant,
    looks: AtomicU32,
    theft: OnceLock<Box<dyn Fn() -> Result + Send + Sync>>,
}

thread_local! {
    static STEALS: Cell<bool> = const { Cell::new(false) };
}

impl Thief {
    fn new() -> Thief {
        Thief(Arc::new(Shared {
            start: Instant::now(),
            looks: AtomicU32::new(0),
            theft: OnceLock::new(),
        }))
    }

    /// From now on, each look runs `theft`.
    fn steals(&self, theft: impl Fn() -> Result + Send + Sync + 'static) {
        assert!(self.0.theft.set(Box::new(theft)).is_ok());
    }

    /// The time that the last look has shown.
    fn elapsed(&self) -> Duration {
        SECOND * self.0.looks.load(SeqCst)
    }
}

impl Clock for Thief {
    fn now(&self) -> Instant {
        let nested = STEALS.replace(true);
        if !nested && self.0.looks.load(SeqCst) < THEFTS {
            self.0.looks.fetch_add(1, SeqCst);
            if let Some(theft) = self.0.theft.get() {
                theft().unwrap();
            }
        }
        STEALS.set(nested);
        self.0.start + self.elapsed()
    }

    fn system_now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.elapsed()
    }
}

impl fmt::Debug for Thief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Thief")
    }
}

/// Calls `receive` with a limit of ten seconds. It must end when they are over.
fn in_ten_seconds<R>(thief: &Thief, receive: impl FnOnce(Duration) -> R) -> R {
    let before = thief.elapsed();
    let received = receive(10 * SECOND);
    let took = thief.elapsed() - before;
    assert!(
        (10 * SECOND..=12 * SECOND).contains(&took),
        "ended after {took:?}"
    );
    received
}

fn broker(thief: &Thief) -> Broker {
    Broker::builder().clock(thief.clone()).build()
}

#[test]
fn a_receiver_whose_messages_are_all_stolen_ends_in_time() -> Result {
    let thief = Thief::new();
    let broker = broker(&thief);
    let producer = broker.producer::<u32>("q")?;
    let consumer = Arc::new(broker.consumer::<u32>("q")?);
    thief.steals({
        let consumer = Arc::clone(&consumer);
        move || {
            producer.publish(7)?;
            consumer.try_recv()?.ack()
        }
    });
    let received = in_ten_seconds(&thief, |limit| consumer.recv_timeout(limit));
    assert!(matches!(received, Err(RecvTimeoutError::Timeout)));
    let batch = in_ten_seconds(&thief, |limit| consumer.recv_batch(2, limit))?;
    assert!(batch.is_empty());
    let mut select = Select::new();
    select.recv(&consumer);
    let selected = in_ten_seconds(&thief, |limit| select.select_timeout(limit));
    assert!(matches!(selected, Err(SelectError)));
    Ok(())
}

#[test]
fn a_getter_whose_messages_are_all_stolen_ends_in_time() -> Result {
    let thief = Thief::new();
    let broker = broker(&thief);
    let mailbox = broker.simple_queue::<u32>("q")?;
    thief.steals({
        let mailbox = mailbox.clone();
        move || {
            mailbox.put(7)?;
            mailbox.try_get()?.ack()
        }
    });
    let got = in_ten_seconds(&thief, |limit| mailbox.get_timeout(limit));
    assert!(matches!(got, Err(RecvTimeoutError::Timeout)));
    Ok(())
}

#[test]
fn a_reader_of_events_whose_events_are_all_stolen_ends_in_time() -> Result {
    let thief = Thief::new();
    let broker = broker(&thief);
    let channel = channel_of(&broker)?;
    channel.queue_declare(&Queue::new("q"))?;
    channel.basic_consume("q", ConsumeOptions::new().auto_ack())?;
    let events = Arc::new(channel.events());
    thief.steals({
        let (channel, events) = (channel.clone(), Arc::clone(&events));
        move || {
            channel.basic_publish("", "q", "x", Properties::new(), PublishOptions::new())?;
            events.try_recv()?;
            Ok(())
        }
    });
    let event = in_ten_seconds(&thief, |limit| events.recv_timeout(limit));
    assert!(matches!(event, Err(RecvTimeoutError::Timeout)));
    Ok(())
}
