//! A clock that panics loses no message, ends no call, and aborts nothing.

use std::{
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant, SystemTime},
};

use leveret::{
    Broker, Clock, ManualClock, Message, Properties, Queue, QueueSnapshot, RecvTimeoutError,
    Requeue, Result, SystemClock, TryRecvError,
    channel::{AckMode, Multiple, PublishOptions},
};

use crate::common::{HOUR, assert_conserved, block_on, channel_of, rest};

/// The time of the system, or a panic. It skips the panic hook, so that the tests print nothing.
#[derive(Clone, Debug, Default)]
struct Faulty {
    fails: Arc<AtomicBool>,
    panics: Arc<AtomicUsize>,
}

impl Faulty {
    fn check(&self) {
        if self.fails.load(SeqCst) {
            self.panics.fetch_add(1, SeqCst);
            panic::resume_unwind(Box::new("a clock's accident"));
        }
    }
}

impl Clock for Faulty {
    fn now(&self) -> Instant {
        self.check();
        SystemClock.now()
    }

    fn system_now(&self) -> SystemTime {
        self.check();
        SystemClock.system_now()
    }
}

/// A queue whose every operation reads the clock, with five messages.
fn stage() -> (Broker, Faulty, Queue) {
    let clock = Faulty::default();
    let broker = Broker::builder().clock(clock.clone()).build();
    let dead = broker
        .declare(&Queue::new("dead").message_ttl(HOUR))
        .unwrap();
    let queue = Queue::new("q").message_ttl(HOUR).expires(HOUR);
    let queue = queue
        .dead_letter_exchange("")
        .dead_letter_routing_key(dead.name());
    let queue = broker.declare(&queue).unwrap();
    let _ = broker.producer::<u32>(&queue).unwrap().publish_batch(0..5);
    (broker, clock, queue)
}

fn counts(broker: &Broker, name: &str) -> QueueSnapshot {
    let snapshot = broker.snapshot().unwrap();
    let mut queues = snapshot.vhosts[0].queues.iter();
    queues.find(|queue| *queue.name == *name).unwrap().clone()
}

/// Runs `code` while the clock panics. It must read the clock and must not unwind.
fn while_it_fails<R>(clock: &Faulty, code: impl FnOnce() -> R) -> R {
    let before = clock.panics.load(SeqCst);
    clock.fails.store(true, SeqCst);
    let result = catch_unwind(AssertUnwindSafe(code));
    clock.fails.store(false, SeqCst);
    assert!(clock.panics.load(SeqCst) > before, "the clock was not read");
    result.expect("nothing unwinds")
}

#[test]
fn every_settlement_takes_effect() -> Result {
    let (broker, clock, queue) = stage();
    let mailbox = broker.simple_queue::<u32>(&queue)?;
    let held: Vec<_> = (0..5).map(|_| mailbox.get()).collect::<Result<_, _>>()?;
    while_it_fails(&clock, || -> Result {
        let [zero, one, two, three, four] = held.try_into().ok().unwrap();
        zero.ack()?;
        one.nack(Requeue::Yes)?;
        two.reject()?;
        three.nack(Requeue::After(HOUR))?;
        drop(four);
        Ok(())
    })?;
    let counts = counts(&broker, "q");
    let [acked, ready] = [counts.acked, counts.ready].map(|count| count.messages);
    let [dead, delayed] = [counts.dead_lettered, counts.delayed].map(|count| count.messages);
    assert_eq!((acked, ready, dead, delayed), (1, 2, 1, 1));
    assert_eq!(counts.unsettled.messages, 0);
    assert_conserved(&counts);
    assert_eq!(rest::<u32>(&broker, "q"), [(1, true), (4, true)]);
    assert_eq!(rest::<u32>(&broker, "dead"), [(2, true)]);
    Ok(())
}

#[test]
fn a_delivery_that_a_panic_drops_returns() -> Result {
    let (broker, clock, queue) = stage();
    let consumer = broker.consumer::<u32>(&queue)?;
    let mailbox = broker.simple_queue::<u32>(&queue)?;
    drop(consumer.recv()?);
    while_it_fails(&clock, || {
        let worker = AssertUnwindSafe(|| {
            let _deliveries = [consumer.recv(), consumer.recv()];
            panic::resume_unwind(Box::new("a worker's accident"));
        });
        assert!(catch_unwind(worker).is_err());
        drop(consumer);
    });
    assert_eq!(mailbox.len().unwrap(), 5);
    assert_conserved(&counts(&broker, "q"));
    Ok(())
}

#[test]
fn messages_are_published_and_received() -> Result {
    let (broker, clock, queue) = stage();
    let producer = broker.producer::<u32>(&queue)?;
    let consumer = broker.consumer::<u32>("dead")?;
    while_it_fails(&clock, || -> Result {
        producer.publish(5)?;
        let delayed = Message::new(6).deliver_after(HOUR).expiration(2 * HOUR);
        producer
            .publish_message(delayed)
            .map_err(|error| error.into_parts().0)?;
        let at = Message::new(7).deliver_at(SystemTime::now() + HOUR);
        producer
            .publish_message(at)
            .map_err(|error| error.into_parts().0)?;
        let mailbox = broker.simple_queue::<u32>(&queue)?;
        mailbox.get()?.reject()?;
        mailbox.try_get()?.ack()?;
        mailbox.get_timeout(HOUR)?.ack()?;
        block_on(mailbox.get_async())?.ack()?;
        consumer.recv_timeout(HOUR)?.ack()?;
        assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
        // The time goes on.
        let nothing = consumer.recv_timeout(Duration::from_millis(1));
        assert!(matches!(nothing, Err(RecvTimeoutError::Timeout)));
        Ok(())
    })?;
    assert_eq!(broker.delayed(&queue)?.len(), 2);
    assert_eq!(rest::<u32>(&broker, "q"), [(4, false), (5, false)]);
    assert_conserved(&counts(&broker, "q"));
    Ok(())
}

#[test]
fn a_channel_goes_on() -> Result {
    let (broker, clock, _) = stage();
    let channel = channel_of(&broker)?;
    while_it_fails(&clock, || -> Result {
        channel.basic_publish("", "q", "5", Properties::new(), PublishOptions::new())?;
        for _ in 0..4 {
            channel
                .basic_get("q", AckMode::Manual)?
                .expect("one is ready");
        }
        channel.basic_ack(1, Multiple::No)?;
        channel.basic_nack(2, Multiple::No, Requeue::No)?;
        channel.tx_select()?;
        channel.basic_ack(3, Multiple::No)?;
        channel.basic_publish("", "q", "6", Properties::new(), PublishOptions::new())?;
        channel.tx_commit()?;
        channel.close()
    })?;
    let counts = counts(&broker, "q");
    assert_eq!((counts.ready.messages, counts.acked.messages), (4, 2));
    assert_conserved(&counts);
    Ok(())
}

#[test]
fn queues_and_the_broker_end() -> Result {
    let (broker, clock, queue) = stage();
    let consumer = broker.consumer::<u32>(&queue)?;
    let held = consumer.recv()?;
    while_it_fails(&clock, || -> Result {
        assert_eq!(counts(&broker, "dead").ready.messages, 0);
        broker.declare(&Queue::new("new").expires(HOUR))?;
        broker.create_vhost("new")?;
        broker.delete_vhost("new")?;
        broker.delete(&Queue::new("new"))?;
        let report = broker.shutdown(Duration::ZERO)?;
        assert!(report.timed_out);
        Ok(())
    })?;
    assert!(held.ack().is_err());
    Ok(())
}

/// Its manual clock shows the time, and its own wall-clock time panics.
#[derive(Debug)]
struct Wall(ManualClock);

impl Clock for Wall {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn system_now(&self) -> SystemTime {
        panic::resume_unwind(Box::new("a clock's accident"))
    }

    fn manual(&self) -> Option<&ManualClock> {
        Some(&self.0)
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        panic::resume_unwind(Box::new("the accident of a clock's drop"))
    }
}

#[test]
fn the_wall_clock_time_of_a_dead_letter_may_panic() -> Result {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(Wall(clock.clone())).build();
    broker.declare(&Queue::new("dead"))?;
    let queue = Queue::new("q").message_ttl(HOUR).dead_letter_exchange("");
    let queue = queue.dead_letter_routing_key("dead");
    let _ = broker.producer::<u32>(&queue)?.publish_batch(0..3);
    clock.advance(HOUR);
    assert_eq!(rest::<u32>(&broker, "dead").len(), 3);
    Ok(())
}
