//! Random programs of delays, returns and changes of the limit, compared with a model of the queue.

use std::{collections::BTreeMap, time::Duration};

use leveret::{Broker, ManualClock, Message, Policy, Producer, Requeue, SimpleQueue};
use proptest::prelude::*;

use super::counts;
use crate::common::{cases, on_a_manual_clock, queue};

#[derive(Clone, Debug)]
enum Step {
    TryPublish,
    Delay(u64),
    Advance(u64),
    Take,
    /// Takes a message and returns it after this time.
    Return(u64),
    Purge,
    /// Cancels the delayed message at this index of the list, if the list is that long.
    Cancel(usize),
    CancelAll,
    Limit(u64),
    /// Whether the queue blocks from now on. If it does not, it drops its head.
    Block(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::TryPublish),
        8 => (1_u64..6).prop_map(Step::Delay),
        5 => (1_u64..6).prop_map(Step::Advance),
        6 => Just(Step::Take),
        4 => (1_u64..6).prop_map(Step::Return),
        1 => Just(Step::Purge),
        2 => (0_usize..6).prop_map(Step::Cancel),
        1 => Just(Step::CancelAll),
        2 => (1_u64..4).prop_map(Step::Limit),
        1 => any::<bool>().prop_map(Step::Block),
    ]
}

/// A queue with a limit, and its delayed messages.
#[derive(Default)]
struct Model {
    now: u64,
    limit: u64,
    blocks: bool,
    next_position: u64,
    /// By position.
    ready: BTreeMap<u64, u32>,
    /// By due time and arrival. A returned message has its position.
    delayed: BTreeMap<(u64, u32), (Option<u64>, u32)>,
    arrivals: u32,
    dropped: u64,
    purged: u64,
}

impl Model {
    fn has_room(&self) -> bool {
        !self.blocks || (self.ready.len() as u64) < self.limit
    }

    fn push(&mut self, number: u32) {
        self.ready.insert(self.next_position, number);
        self.next_position += 1;
    }

    fn delay(&mut self, time: u64, position: Option<u64>, number: u32) {
        self.arrivals += 1;
        let key = (self.now + time, self.arrivals);
        self.delayed.insert(key, (position, number));
    }

    /// The first new message that is due.
    fn overdue(&self) -> Option<(u64, u32)> {
        let mut due = self.delayed.range(..=(self.now, u32::MAX));
        due.find(|(_, (position, _))| position.is_none())
            .map(|(key, _)| *key)
    }

    /// What the queue does by itself: returned messages that are due come back, due ones come in
    /// as far as there is room, and the limit drops messages.
    fn settle(&mut self) {
        let now = self.now;
        let ready = &mut self.ready;
        self.delayed.retain(|(due, _), (position, number)| {
            let returns = position.filter(|_| *due <= now);
            returns.is_none_or(|position| ready.insert(position, *number).is_some())
        });
        while let Some(key) = self.overdue().filter(|_| self.has_room()) {
            if let Some((_, number)) = self.delayed.remove(&key) {
                self.push(number);
            }
        }
        while !self.blocks && self.ready.len() as u64 > self.limit {
            self.ready.pop_first();
            self.dropped += 1;
        }
    }

    fn cancel(&mut self, key: (u64, u32)) {
        self.purged += u64::from(self.delayed.remove(&key).is_some());
    }
}

struct Real {
    broker: Broker,
    clock: ManualClock,
    producer: Producer<u32>,
    mailbox: SimpleQueue<u32>,
}

impl Real {
    fn follow(&self, model: &Model) {
        let policy = Policy::new("limit", ".*").setting("max-length", model.limit as i64);
        let policy = match model.blocks {
            true => policy.setting("overflow", "block"),
            false => policy,
        };
        self.broker.vhost("/").unwrap().set_policy(policy).unwrap();
    }

    fn step(&self, number: u32, step: &Step, model: &mut Model) {
        let ms = Duration::from_millis;
        match *step {
            Step::TryPublish => {
                let fits = model.has_room();
                assert_eq!(self.producer.try_publish(number).is_ok(), fits);
                if fits {
                    model.push(number);
                }
            }
            Step::Delay(time) => {
                let later = Message::new(number).deliver_after(ms(time));
                self.producer.publish_message(later).unwrap();
                model.delay(time, None, number);
            }
            Step::Advance(time) => {
                self.clock.advance(ms(time));
                // Each moment has its own call of the timer.
                for _ in 0..time {
                    model.now += 1;
                    model.settle();
                }
            }
            Step::Take => {
                let taken = self.mailbox.try_get().ok().map(|delivery| {
                    let id = *delivery;
                    delivery.ack().unwrap();
                    id
                });
                assert_eq!(taken, model.ready.pop_first().map(|(_, id)| id));
            }
            Step::Return(time) => {
                let taken = self.mailbox.try_get().ok();
                let expected = model.ready.pop_first();
                assert_eq!(taken.as_deref().copied(), expected.map(|(_, id)| id));
                // Due messages came in before this one returned.
                model.settle();
                if let (Some(taken), Some((position, id))) = (taken, expected) {
                    taken.nack(Requeue::After(ms(time))).unwrap();
                    model.delay(time, Some(position), id);
                }
            }
            Step::Purge => {
                let purged = self.broker.purge("q").unwrap();
                assert_eq!(purged, model.ready.len() as u64);
                model.purged += purged;
                model.ready.clear();
            }
            Step::Cancel(index) => {
                let delayed = self.broker.delayed(queue()).unwrap();
                let found = delayed.iter().nth(index);
                let key = model.delayed.keys().nth(index).copied();
                assert_eq!(found.is_some(), key.is_some());
                if let (Some(found), Some(key)) = (found, key) {
                    assert!(delayed.cancel(found.id()));
                    model.cancel(key);
                }
            }
            Step::CancelAll => {
                let cancelled = self.broker.delayed(queue()).unwrap().cancel_all();
                assert_eq!(cancelled, model.delayed.len() as u64);
                model.purged += cancelled;
                model.delayed.clear();
            }
            Step::Limit(limit) => {
                model.limit = limit;
                self.follow(model);
            }
            Step::Block(blocks) => {
                model.blocks = blocks;
                self.follow(model);
            }
        }
        model.settle();
        let counts = counts(&self.broker);
        assert_eq!(
            (
                counts.ready.messages,
                counts.delayed.messages,
                counts.dropped.messages,
                counts.purged.messages
            ),
            (
                model.ready.len() as u64,
                model.delayed.len() as u64,
                model.dropped,
                model.purged
            )
        );
    }
}

proptest! {

    #![proptest_config(cases())]

    /// Whatever happens to a queue, its due messages come in as there is room, in their order. It
    /// drops messages only while it does not block.
    #[test]
    fn due_messages_wait_for_room_as_in_the_model(steps in prop::collection::vec(step(), 1..120)) {
        let (broker, clock) = on_a_manual_clock();
        let mut model = Model {
            limit: 2,
            blocks: true,
            ..Model::default()
        };
        let real = Real {
            producer: broker.producer(queue()).unwrap(),
            mailbox: broker.simple_queue(queue()).unwrap(),
            broker,
            clock,
        };
        real.follow(&model);
        for (number, step) in (0..).zip(&steps) {
            real.step(number, step, &mut model);
        }
    }
}
