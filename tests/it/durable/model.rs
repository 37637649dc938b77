//! Random operations on a durable broker that ends now and then, and on one in memory that does
//! not. Both behave the same, and at the end nothing is left in the folder.

use super::{Folder, persistent};
use crate::common::{SECOND, channel_of, share_of};
use leveret::{
    Broker, Channel, Consumer, Delivery, Exchange, ManualClock, Message, Overflow, Queue, Requeue,
    Selection,
    channel::{AckMode, Multiple, PublishOptions},
};
use std::time::Duration;

/// The time that each operation takes. No two messages are due at the same time, and none when the
/// clock stands still, since times on disk are rounded to milliseconds.
const STEP: Duration = SECOND;

const NAMES: [&str; 8] = [
    "plain", "short", "brief", "counted", "careful", "few", "dead", "refusing",
];

/// The queues that the exchanges lead to.
const BOUND: [&str; 4] = ["plain", "short", "counted", "few"];

/// The queues whose messages may expire, and that have no typed consumers. What a typed consumer
/// has in advance expires or not by how much it has taken at once.
const EXPIRING: [&str; 3] = ["careful", "dead", "refusing"];

fn queue(name: &str) -> Queue {
    let durable = Queue::new(name).durable();
    let to = |queue: Queue, dead: &str| {
        let queue = queue.dead_letter_exchange("");
        queue.dead_letter_routing_key(dead)
    };
    let queue = match name {
        "short" => to(durable.max_priority(5).max_length(6), "dead"),
        "brief" => to(durable.message_ttl(30 * STEP + millis(1)), "dead"),
        "counted" => to(Queue::quorum(name).argument("x-delivery-limit", 3), "dead"),
        "careful" => to(Queue::quorum(name), "counted")
            .argument("x-dead-letter-strategy", "at-least-once")
            .overflow(Overflow::RejectPublish)
            .max_length(20),
        "few" => Queue::quorum(name).max_length(9),
        "refusing" => durable.overflow(Overflow::RejectPublish).max_length(4),
        _ => durable,
    };
    match BOUND.contains(&name) {
        true => queue.bind(all(), "").bind(later(), "k"),
        false => queue,
    }
}

fn all() -> Exchange {
    Exchange::fanout("all").durable()
}

fn later() -> Exchange {
    Exchange::direct("later").delayed().durable()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// One broker, and what its users hold.
struct World {
    folder: Option<Folder>,
    clock: ManualClock,
    broker: Broker,
    held: Held,
}

#[derive(Default)]
struct Held {
    deliveries: Vec<Delivery<u32>>,
    consumers: Vec<(&'static str, Consumer<u32>)>,
    channel: Option<Channel>,
    tags: Vec<u64>,
}

/// One random choice: the operation, its queue and a number for the rest.
#[derive(Clone, Copy, Debug)]
struct Choice {
    operation: u64,
    queue: &'static str,
    any: u64,
}

fn open(clock: &ManualClock, folder: Option<&Folder>) -> Broker {
    let builder = Broker::builder().clock(clock.clone());
    match folder {
        Some(folder) => builder.data_dir(&folder.0).build().unwrap(),
        None => builder.build(),
    }
}

impl World {
    fn new(folder: Option<Folder>) -> World {
        let clock = ManualClock::new();
        let broker = open(&clock, folder.as_ref());
        for name in NAMES {
            broker.declare(&queue(name)).unwrap();
        }
        World {
            folder,
            clock,
            broker,
            held: Held::default(),
        }
    }

    /// Everything that is unsettled returns. The broker ends, if it has a folder.
    fn restart(&mut self) {
        self.held = Held::default();
        if let Some(folder) = &self.folder {
            self.broker = Broker::new();
            self.broker = open(&self.clock, Some(folder));
        }
    }

    fn channel(&mut self) -> Channel {
        let broker = &self.broker;
        let open = || channel_of(broker).unwrap();
        self.held.channel.get_or_insert_with(open).clone()
    }

    /// The numbers of messages of all queues.
    fn counts(&self) -> Vec<(String, [u64; 4])> {
        let snapshot = self.broker.snapshot().unwrap();
        let queues = snapshot.vhosts[0].queues.iter();
        let counts = queues.map(|queue| {
            let totals = [
                queue.ready,
                queue.unsettled,
                queue.delayed,
                queue.in_transit,
            ];
            (queue.name.to_string(), totals.map(|it| it.messages))
        });
        counts.collect()
    }

    /// Takes all messages, with what came back of them.
    fn drain(&mut self) -> Vec<String> {
        self.held = Held::default();
        let mut all = Vec::new();
        // Messages that expire when they are looked at go to queues that were empty already.
        for name in [NAMES; 3].into_iter().flatten() {
            let channel = channel_of(&self.broker).unwrap();
            while let Some(got) = channel.basic_get(name, AckMode::Auto).unwrap() {
                let body = String::from_utf8(got.body().unwrap().to_vec()).unwrap();
                let properties = got.properties();
                let deaths = properties.header_value("x-first-death-reason");
                // A classic queue does not keep these.
                let is_quorum = ["counted", "careful", "few"].contains(&name);
                let counts = is_quorum.then(|| (got.delivery_count(), got.redelivered()));
                let from = (got.exchange(), got.routing_key());
                let priority = properties.priority;
                all.push(format!(
                    "{name} {body} {from:?} {priority:?} {deaths:?} {counts:?}"
                ));
            }
        }
        all
    }

    /// Does what was chosen, and tells what has come of it.
    fn act(&mut self, choice: Choice, number: u32) -> String {
        let Choice {
            operation,
            queue: name,
            any,
        } = choice;
        let existing = Queue::existing(name);
        let own = u64::from(number);
        let (deliveries, tags) = (self.held.deliveries.len(), self.held.tags.len());
        match operation {
            0..=4 => {
                let mut message = Message::new(number).persistent();
                if any.is_multiple_of(3) {
                    message = message.priority((any % 7) as u8);
                }
                if any.is_multiple_of(5) {
                    message = message.deliver_after(STEP * (any % 40) as u32 + millis(4 * own + 1));
                }
                if EXPIRING.contains(&name) && any.is_multiple_of(2) {
                    message = message.expiration(STEP * (any % 20) as u32 + millis(4 * own + 2));
                }
                let producer = self.broker.producer::<u32>(&existing).unwrap();
                format!("{}", producer.publish_message(message).is_ok())
            }
            5 | 6 => {
                let (channel, options) = (self.channel(), PublishOptions::new());
                let body = number.to_string();
                let published = channel.basic_publish("all", "", body, persistent(), options);
                format!("{published:?}")
            }
            7 => {
                let producer = self.broker.producer::<u32>(&later()).unwrap();
                let message = Message::new(number).persistent().routing_key("k");
                let delay = 1_000 * (any % 30) + 4 * own + 1;
                let message = message.header("x-delay", delay as i64);
                format!("{}", producer.publish_message(message).unwrap().delayed)
            }
            8 | 9 if !EXPIRING.contains(&name) => self.receive(name),
            10 | 11 if deliveries > 0 => {
                let delivery = self.held.deliveries.remove(any as usize / 7 % deliveries);
                let settled = *delivery;
                match any % 7 {
                    0 | 1 => delivery.ack().unwrap(),
                    2 => drop(delivery.ack_into()),
                    3 => delivery.reject().unwrap(),
                    4 => drop(delivery),
                    5 => delivery.nack(Requeue::Yes).unwrap(),
                    _ => delivery
                        .nack(Requeue::After(7 * STEP + millis(4 * own + 3)))
                        .unwrap(),
                }
                format!("{settled}")
            }
            12 if !self.held.consumers.is_empty() => {
                let consumers = &mut self.held.consumers;
                let dropped = consumers.remove(any as usize % consumers.len());
                dropped.0.to_owned()
            }
            13 | 14 => {
                let mode = match any.is_multiple_of(4) {
                    true => AckMode::Auto,
                    false => AckMode::Manual,
                };
                let got = self.channel().basic_get(name, mode).unwrap();
                if let (Some(got), AckMode::Manual) = (&got, mode) {
                    self.held.tags.push(got.delivery_tag());
                }
                format!("{:?}", got.map(|got| got.body().unwrap().to_vec()))
            }
            15 | 16 if tags > 0 => {
                let at = any as usize / 10 % tags;
                let tag = self.held.tags[at];
                let multiple = match any.is_multiple_of(2) {
                    true => Multiple::Yes,
                    false => Multiple::No,
                };
                let first = if multiple == Multiple::Yes { 0 } else { at };
                self.held.tags.drain(first..=at);
                let channel = self.channel();
                let settled = match any % 5 {
                    0 | 1 => channel.basic_ack(tag, multiple),
                    2 => channel.basic_nack(tag, multiple, Requeue::No),
                    3 => channel.basic_nack(tag, multiple, Requeue::Yes),
                    _ => channel.basic_nack(tag, multiple, Requeue::Failed),
                };
                format!("{settled:?}")
            }
            17 => {
                self.clock.advance(STEP * (any % 20) as u32);
                String::new()
            }
            18 if any.is_multiple_of(4) => format!("{:?}", self.broker.purge(existing)),
            19 if any.is_multiple_of(4) => {
                (self.held.channel, self.held.tags) = (None, Vec::new());
                String::new()
            }
            20 if any.is_multiple_of(2) => {
                let vhost = self.broker.vhost("/").unwrap();
                format!(
                    "{:?}",
                    vhost.redrive(&Queue::existing("dead"), Selection::all())
                )
            }
            21 if any.is_multiple_of(8) => {
                let delayed = self.broker.vhost("/").unwrap().delayed(&existing).unwrap();
                let is_even = |due: Duration| due.as_secs().is_multiple_of(2);
                format!("{}", delayed.cancel_if(|it| is_even(it.due_in())))
            }
            22 if any.is_multiple_of(3) => {
                self.restart();
                String::new()
            }
            23 if any.is_multiple_of(8) => {
                self.broker.delete(&existing).unwrap();
                self.broker.declare(&queue(name)).unwrap();
                self.held.consumers.retain(|(of, _)| *of != name);
                String::new()
            }
            _ => String::new(),
        }
    }

    fn receive(&mut self, name: &'static str) -> String {
        let consumers = &mut self.held.consumers;
        if !consumers.iter().any(|(of, _)| *of == name) {
            let builder = self.broker.consumer_builder(Queue::existing(name));
            consumers.push((name, builder.prefetch(4).build().unwrap()));
        }
        let mut consumers = self.held.consumers.iter();
        let (_, consumer) = consumers.find(|(of, _)| *of == name).unwrap();
        match consumer.try_recv() {
            Ok(delivery) => {
                let number = *delivery;
                self.held.deliveries.push(delivery);
                number.to_string()
            }
            Err(error) => error.to_string(),
        }
    }

    /// Takes everything out. Returns the numbers of messages and bodies that are on disk then.
    fn left_of_nothing(mut self) -> [u64; 2] {
        let vhost = self.broker.vhost("/").unwrap();
        vhost.delayed(later()).unwrap().cancel_all();
        for name in NAMES {
            let delayed = vhost.delayed(Queue::existing(name)).unwrap();
            delayed.cancel_all();
        }
        self.drain();
        // Returns when everything before it is on disk.
        let last = Exchange::direct("last").durable();
        self.broker.declare(&last).unwrap();
        let store = self.broker.snapshot().unwrap().store.unwrap();
        [store.messages, store.shared_bodies]
    }
}

#[test]
fn a_broker_that_ends_now_and_then_behaves_as_one_that_does_not() {
    for seed in 0..u64::from(share_of(64)) {
        let mut random = seed;
        let mut below = |limit: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % limit
        };
        let mut worlds = [World::new(None), World::new(Some(Folder::new()))];
        for number in 0..200 {
            let choice = Choice {
                operation: below(24),
                queue: NAMES[below(8) as usize],
                any: below(1_000),
            };
            let [memory, durable] = worlds.each_mut().map(|world| {
                let outcome = world.act(choice, number);
                world.clock.advance(STEP);
                (outcome, world.counts())
            });
            assert_eq!(durable, memory, "seed {seed}, step {number}: {choice:?}");
        }
        worlds.iter_mut().for_each(World::restart);
        let [memory, durable] = worlds.each_mut().map(World::drain);
        assert_eq!(durable, memory, "seed {seed}");
        let [_, durable] = worlds;
        assert_eq!(durable.left_of_nothing(), [0; 2], "seed {seed}");
    }
}
