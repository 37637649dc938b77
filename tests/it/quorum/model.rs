//! Random programs against a simple model of one quorum queue, on a manual clock. After each step
//! the test compares what was delivered, the headers with the counts, the ready messages and the
//! dead letters.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use leveret::{
    Channel, DelayedRetryKind, FieldValue, Properties, Queue, Requeue,
    channel::{AckMode, ChannelDelivery, Multiple, PublishOptions},
};
use proptest::prelude::*;

use crate::common::{channel_of, on_a_manual_clock};

/// One step of a program. A number chooses one of the deliveries that are held.
#[derive(Clone, Debug)]
enum Op {
    Publish {
        priority: Option<u8>,
        expiration: Option<u64>,
    },
    Get,
    Ack(usize),
    Nack(usize, bool),
    Reject(usize, bool),
    Recover,
    /// Ends the channel that holds the deliveries, and opens another one.
    Close,
    Advance(u64),
    Purge,
}

/// The settings of the queue.
#[derive(Clone, Debug)]
struct Settings {
    delivery_limit: Option<u32>,
    retry: Option<(DelayedRetryKind, u64, u64)>,
    /// A length limit, or else messages may expire. RabbitMQ does not say which of the two ends a
    /// message first.
    max_length: Option<usize>,
}

fn op() -> impl Strategy<Value = Op> {
    let publish = (
        prop::option::of(prop_oneof![0..6_u8, 30..34_u8]),
        prop::option::weighted(0.3, 1..400_u64),
    );
    let at = || any::<usize>();
    let back = || prop::bool::weighted(0.8);
    prop_oneof![
        6 => publish.prop_map(|(priority, expiration)| Op::Publish { priority, expiration }),
        6 => Just(Op::Get),
        1 => at().prop_map(Op::Ack),
        3 => (at(), back()).prop_map(|(at, back)| Op::Nack(at, back)),
        3 => (at(), back()).prop_map(|(at, back)| Op::Reject(at, back)),
        1 => Just(Op::Recover),
        1 => Just(Op::Close),
        3 => (0..250_u64).prop_map(Op::Advance),
        1 => Just(Op::Purge),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let kind = prop_oneof![
        Just(DelayedRetryKind::All),
        Just(DelayedRetryKind::Failed),
        Just(DelayedRetryKind::Returned),
        Just(DelayedRetryKind::Disabled),
    ];
    (
        prop::option::of(0..3_u32),
        prop::option::of((kind, 1..150_u64, 1..300_u64)),
        prop::option::of(0..5_usize),
    )
        .prop_map(|(delivery_limit, retry, max_length)| Settings {
            delivery_limit,
            retry,
            max_length,
        })
}

#[derive(Clone, Debug)]
struct Message {
    body: u32,
    level: usize,
    acquired: u32,
    failed: u32,
    deadline: u64,
}

/// What the queue has, as RabbitMQ 4.3 describes it.
struct Model {
    settings: Settings,
    now: u64,
    returns: VecDeque<Message>,
    levels: Vec<VecDeque<Message>>,
    delayed: BTreeMap<(u64, u64), Message>,
    serial: u64,
    held: Vec<(u64, Message)>,
    dead: Vec<(u32, &'static str)>,
}

impl Model {
    fn new(settings: Settings) -> Model {
        Model {
            settings,
            now: 0,
            returns: VecDeque::new(),
            levels: vec![VecDeque::new(); 32],
            delayed: BTreeMap::new(),
            serial: 0,
            held: Vec::new(),
            dead: Vec::new(),
        }
    }

    fn ready(&self) -> usize {
        self.returns.len() + self.levels.iter().map(VecDeque::len).sum::<usize>()
    }

    fn lines(&mut self) -> impl Iterator<Item = &mut VecDeque<Message>> {
        std::iter::once(&mut self.returns).chain(self.levels.iter_mut().rev())
    }

    fn pop(&mut self) -> Option<Message> {
        self.lines().find_map(VecDeque::pop_front)
    }

    fn take_back(&mut self, mut message: Message, failed: bool) {
        message.acquired += 1;
        message.failed += u32::from(failed);
        if message.failed > self.settings.delivery_limit.unwrap_or(20) {
            self.dead.push((message.body, "delivery_limit"));
            return;
        }
        let delay = self.settings.retry.and_then(|(kind, min, max)| {
            let applies = match kind {
                DelayedRetryKind::All => true,
                DelayedRetryKind::Failed => failed,
                DelayedRetryKind::Returned => !failed,
                _ => false,
            };
            applies.then(|| (min * u64::from(message.failed.max(1))).min(max))
        });
        match delay {
            None => self.returns.push_back(message),
            Some(delay) => {
                self.serial += 1;
                self.delayed
                    .insert((self.now + delay, self.serial), message);
            }
        }
    }

    /// What happens by itself after a step: expiry at the heads, and the length limit.
    fn settle(&mut self) {
        let now = self.now;
        let mut expired = Vec::new();
        for line in self.lines() {
            while line.front().is_some_and(|head| head.deadline <= now) {
                expired.extend(line.pop_front());
            }
        }
        let expired = expired.into_iter().map(|message| (message.body, "expired"));
        self.dead.extend(expired);
        let Some(most) = self.settings.max_length else {
            return;
        };
        while self.ready() + self.delayed.len() > most {
            match self.pop() {
                Some(message) => self.dead.push((message.body, "maxlen")),
                None => return,
            }
        }
    }

    /// Passes the time step by step, since a message that returns may expire at once.
    fn advance(&mut self, millis: u64) {
        let end = self.now + millis;
        loop {
            let due = self.delayed.first_key_value().map(|((due, _), _)| *due);
            let heads = self.lines().filter_map(|line| Some(line.front()?.deadline));
            let next = heads.min().into_iter().chain(due).min();
            match next.filter(|next| *next <= end) {
                None => break,
                Some(next) => self.now = self.now.max(next),
            }
            while let Some(first) = self.delayed.first_entry() {
                if first.key().0 > self.now {
                    break;
                }
                let message = first.remove();
                self.returns.push_back(message);
            }
            self.settle();
        }
        self.now = end;
    }

    fn choose(&mut self, at: usize) -> Option<(u64, Message)> {
        let count = self.held.len();
        (count > 0).then(|| self.held.remove(at % count))
    }
}

fn body_of(delivery: &ChannelDelivery) -> u32 {
    String::from_utf8(delivery.body().unwrap().to_vec())
        .unwrap()
        .parse()
        .unwrap()
}

fn count_of(delivery: &ChannelDelivery, header: &str) -> u32 {
    let value = delivery.properties().header_value(header);
    let count = value.and_then(FieldValue::as_i64).unwrap_or(0);
    count.try_into().unwrap()
}

fn dead_letters(channel: &Channel) -> Vec<(u32, String)> {
    let dead = std::iter::from_fn(|| channel.basic_get("dead", AckMode::Auto).unwrap());
    let mut dead: Vec<_> = dead
        .map(|letter| {
            let reason = letter.properties().header_value("x-first-death-reason");
            let reason = reason.and_then(FieldValue::as_str).unwrap().to_owned();
            (body_of(&letter), reason)
        })
        .collect();
    dead.sort();
    dead
}

proptest! {
    #![proptest_config(crate::common::cases())]

    #[test]
    fn a_quorum_queue_does_what_the_model_says(
        settings in settings(),
        program in prop::collection::vec(op(), 1..80),
    ) {
        let (broker, clock) = on_a_manual_clock();
        let control = channel_of(&broker).unwrap();
        control.queue_declare(&Queue::new("dead")).unwrap();
        let mut queue = Queue::quorum("q").dead_letter_exchange("").dead_letter_routing_key("dead");
        if let Some(limit) = settings.delivery_limit {
            queue = queue.delivery_limit(limit);
        }
        if let Some((kind, min, max)) = settings.retry {
            let (min, max) = (Duration::from_millis(min), Duration::from_millis(max));
            queue = queue.delayed_retry(kind, min, max);
        }
        if let Some(most) = settings.max_length {
            queue = queue.max_length(most as u64);
        }
        control.queue_declare(&queue).unwrap();
        let mut channel = channel_of(&broker).unwrap();
        let mut model = Model::new(settings.clone());
        let mut published = 0;

        for (step, op) in program.iter().enumerate() {
            match *op {
                Op::Publish { priority, expiration } => {
                    let expiration = expiration.filter(|_| settings.max_length.is_none());
                    let mut properties = Properties::new();
                    if let Some(priority) = priority {
                        properties = properties.priority(priority);
                    }
                    if let Some(millis) = expiration {
                        properties = properties.expiration(millis.to_string());
                    }
                    published += 1;
                    let body = published.to_string();
                    let options = PublishOptions::new();
                    control.basic_publish("", "q", body, properties, options).unwrap();
                    let level = usize::from(priority.unwrap_or(4).min(31));
                    let deadline = expiration.map_or(u64::MAX, |millis| model.now + millis);
                    let message =
                        Message { body: published, level, acquired: 0, failed: 0, deadline };
                    model.levels[message.level].push_back(message);
                }
                Op::Get => {
                    let got = channel.basic_get("q", AckMode::Manual).unwrap();
                    let expected = model.pop();
                    let seen = got.as_ref().map(|got| (
                        body_of(got),
                        count_of(got, "x-acquired-count"),
                        count_of(got, "x-delivery-count"),
                        got.redelivered(),
                    ));
                    let wanted = expected.as_ref().map(|message| (
                        message.body, message.acquired, message.failed, message.acquired > 0,
                    ));
                    prop_assert_eq!(seen, wanted, "step {} of {:?}", step, program);
                    if let (Some(got), Some(message)) = (got, expected) {
                        model.held.push((got.delivery_tag(), message));
                    }
                }
                Op::Ack(at) => if let Some((tag, _)) = model.choose(at) {
                    channel.basic_ack(tag, Multiple::No).unwrap();
                },
                Op::Nack(at, back) | Op::Reject(at, back) => {
                    let Some((tag, message)) = model.choose(at) else { continue };
                    let failed = matches!(op, Op::Reject(..));
                    let requeue = if back { Requeue::Yes } else { Requeue::No };
                    match failed {
                        true => channel.basic_reject(tag, requeue).unwrap(),
                        false => channel.basic_nack(tag, Multiple::No, requeue).unwrap(),
                    }
                    match back {
                        true => model.take_back(message, failed),
                        false => model.dead.push((message.body, "rejected")),
                    }
                }
                Op::Recover | Op::Close => {
                    let failed = matches!(op, Op::Close);
                    match failed {
                        true => {
                            channel.close().unwrap();
                            channel = channel_of(&broker).unwrap();
                        }
                        false => channel.basic_recover(Requeue::Yes).unwrap(),
                    }
                    let mut held = std::mem::take(&mut model.held);
                    if failed {
                        // RabbitMQ sorts the tags of gets as text.
                        held.sort_by_key(|(tag, _)| tag.to_string());
                    }
                    for (_, message) in held {
                        model.take_back(message, failed);
                    }
                }
                Op::Advance(millis) => {
                    clock.advance(Duration::from_millis(millis));
                    model.advance(millis);
                }
                Op::Purge => {
                    let purged = control.queue_purge("q").unwrap();
                    let all = model.ready() + model.delayed.len();
                    prop_assert_eq!(purged, all as u64);
                    model.lines().for_each(VecDeque::clear);
                    model.delayed.clear();
                }
            }
            model.settle();
            let ready = control.queue_declare_passive("q").unwrap().message_count;
            prop_assert_eq!(ready, model.ready() as u64, "step {} of {:?}", step, program);
            model.dead.sort_unstable();
            let expected: Vec<_> =
                model.dead.drain(..).map(|(body, why)| (body, why.to_owned())).collect();
            prop_assert_eq!(dead_letters(&control), expected, "step {} of {:?}", step, program);
        }
    }
}
