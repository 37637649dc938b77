//! Random programs of messages that expire, received by one consumer.
//!
//! All messages of a queue may live for the same time. Then each that is not received in time ends
//! exactly when its time is over, wherever it waits: ready, or with the consumer. They end in the
//! order in which they were published. If they live for different times, a message may wait behind
//! one that lives longer. Then it ends no earlier, and is not received later.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use leveret::{Broker, Consumer, ManualClock, Message, Producer, Queue};
use proptest::prelude::*;

use crate::common::{cases, on_a_manual_clock};

#[derive(Clone, Debug)]
enum Step {
    /// Publishes a message for each of these times, in seconds. 0 is a message that does not end.
    Publish(Vec<u64>),
    Advance(u64),
    Receive,
    /// Receives up to this number of messages at once.
    ReceiveBatch(usize),
    ReturnUnseen,
}

fn step(lives: impl Strategy<Value = u64> + 'static) -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => proptest::collection::vec(lives, 1..8).prop_map(Step::Publish),
        6 => (1_u64..4).prop_map(Step::Advance),
        8 => Just(Step::Receive),
        3 => (1_usize..6).prop_map(Step::ReceiveBatch),
        1 => Just(Step::ReturnUnseen),
    ]
}

/// A queue with one consumer, and the ends of its messages.
struct Tested {
    broker: Broker,
    clock: ManualClock,
    producer: Producer<u32>,
    consumer: Consumer<u32>,
    graveyard: Consumer<u32>,
    now: u64,
    /// The end of each message that was published.
    ends: Vec<u64>,
    received: BTreeSet<u32>,
    /// When each dead letter came.
    dead: BTreeMap<u32, u64>,
    /// The dead letters as they came.
    burials: Vec<u32>,
}

impl Tested {
    /// With this prefetch. 0 is no limit.
    fn new(prefetch: u32) -> Tested {
        let (broker, clock) = on_a_manual_clock();
        let queue = Queue::new("q").dead_letter_exchange("");
        let queue = queue.dead_letter_routing_key("dead");
        Tested {
            graveyard: broker.consumer("dead").unwrap(),
            consumer: (broker.consumer_builder(&queue).prefetch(prefetch).build()).unwrap(),
            producer: broker.producer(&queue).unwrap(),
            broker,
            clock,
            now: 0,
            ends: Vec::new(),
            received: BTreeSet::new(),
            dead: BTreeMap::new(),
            burials: Vec::new(),
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Publish(lives) => lives.iter().for_each(|life| self.publish(*life)),
            Step::Advance(seconds) => (0..*seconds).for_each(|_| {
                self.now += 1;
                self.clock.advance(Duration::from_secs(1));
                self.bury();
            }),
            Step::Receive => {
                if let Ok(delivery) = self.consumer.try_recv() {
                    self.receive(*delivery);
                    delivery.ack().unwrap();
                }
            }
            Step::ReceiveBatch(most) => {
                let batch = self.consumer.recv_batch(*most, Duration::ZERO).unwrap();
                assert!(batch.len() <= *most);
                batch.iter().for_each(|delivery| self.receive(**delivery));
                batch.ack_all().unwrap();
            }
            Step::ReturnUnseen => drop(self.consumer.return_unseen()),
        }
        self.bury();
    }

    fn publish(&mut self, life: u64) {
        let message = Message::new(self.ends.len() as u32);
        let (message, end) = match life {
            0 => (message, u64::MAX),
            life => {
                let message = message.expiration(Duration::from_secs(life));
                (message, self.now + life)
            }
        };
        self.ends.push(end);
        self.producer.publish_message(message).unwrap();
    }

    fn end(&self, number: u32) -> u64 {
        self.ends[number as usize]
    }

    fn receive(&mut self, number: u32) {
        assert!(self.now < self.end(number), "{number} is received too late");
        assert!(self.received.insert(number), "{number} is received twice");
    }

    fn bury(&mut self) {
        while let Ok(dead) = self.graveyard.try_recv() {
            assert!(self.end(*dead) <= self.now, "{} ends too early", *dead);
            assert!(self.dead.insert(*dead, self.now).is_none());
            self.burials.push(*dead);
            dead.ack().unwrap();
        }
    }

    /// Checks that each message is received or dead, and no one is both.
    fn finish(&mut self) {
        self.run(&Step::Advance(30));
        while self.consumer.try_recv().is_ok_and(|delivery| {
            self.receive(*delivery);
            delivery.ack().is_ok()
        }) {}
        self.bury();
        assert!(
            self.dead
                .keys()
                .all(|number| !self.received.contains(number))
        );
        assert_eq!(self.dead.len() + self.received.len(), self.ends.len());
        let snapshot = self.broker.snapshot().unwrap();
        let queue = snapshot.queue("q").unwrap();
        assert_eq!((queue.ready.messages, queue.unsettled.messages), (0, 0));
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn of_messages_that_live_equally_long_each_ends_when_its_time_is_over(
        (life, steps) in (1_u64..6).prop_flat_map(|life| {
            (Just(life), proptest::collection::vec(step(Just(life)), 1..60))
        }),
        prefetch in 0_u32..6,
    ) {
        let mut tested = Tested::new(prefetch);
        steps.iter().for_each(|step| tested.run(step));
        tested.finish();
        for (number, came) in &tested.dead {
            prop_assert_eq!(*came, tested.end(*number), "{} of {} s", number, life);
        }
        prop_assert!(tested.burials.is_sorted(), "{:?}", tested.burials);
    }

    #[test]
    fn of_messages_that_live_for_different_times_none_ends_early_or_is_received_late(
        steps in proptest::collection::vec(step(0_u64..8), 1..60),
        prefetch in 0_u32..6,
    ) {
        let mut tested = Tested::new(prefetch);
        steps.iter().for_each(|step| tested.run(step));
        tested.finish();
    }
}

#[test]
fn messages_that_two_consumers_have_end_before_those_behind_them() {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::new("q").message_ttl(Duration::from_secs(1));
    let queue = queue
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    broker.declare(&Queue::new("dead")).unwrap();
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumers = [(); 2].map(|()| {
        let builder = broker.consumer_builder::<u32>(&queue);
        builder.prefetch(3).build().unwrap()
    });
    for number in 0..10 {
        producer.publish(number).unwrap();
    }
    // Each has two messages in its run, and the queue has four.
    let held = consumers
        .each_ref()
        .map(|consumer| consumer.try_recv().unwrap());
    assert_eq!(held.each_ref().map(|delivery| **delivery), [0, 1]);
    clock.advance(Duration::from_secs(1));
    let graveyard = broker.consumer::<u32>("dead").unwrap();
    let mut dead: Vec<_> = graveyard.try_iter().map(|dead| *dead.unwrap()).collect();
    assert_eq!(dead.split_off(4), [6, 7, 8, 9]);
    // The consumers come in turn.
    assert_eq!(dead, [2, 4, 3, 5]);
}
