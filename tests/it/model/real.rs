//! The broker under test. It gets the same steps through `Channel`.

use std::time::Duration;

use leveret::{
    Broker, Channel, Credentials, Exchange, FieldTable, ManualClock, Overflow, Properties, Queue,
    Requeue, Result,
    channel::{AckMode, ChannelDelivery, ConsumeOptions, Event, IfEmpty, IfUnused, PublishOptions},
};

use super::{
    ops::{CHANNELS, EXCHANGES, KEYS, Kind, Op, QUEUES, TAGS},
    outcome::{Answer, Observed, Outcome, Seen},
    world,
};

pub struct Real {
    clock: ManualClock,
    broker: Broker,
    /// A channel for queries and declarations only.
    control: Channel,
    channels: Vec<Channel>,
    published: u64,
}

fn open(broker: &Broker) -> Channel {
    broker
        .connect("/", Credentials::guest())
        .unwrap()
        .open_channel()
        .unwrap()
}

pub fn describe(queue: usize, kind: Kind) -> Queue {
    let plain = Queue::new(QUEUES[queue]);
    let dying = |queue: Queue| queue.dead_letter_exchange("").dead_letter_routing_key("q3");
    match kind {
        Kind::Plain => plain,
        Kind::AutoDelete => plain.auto_delete(),
        Kind::DropHead => dying(plain.max_length(2)),
        Kind::RejectPublish => plain.max_length(2).overflow(Overflow::RejectPublish),
        Kind::Ttl => dying(plain.message_ttl(Duration::from_millis(50))),
        Kind::Priority => plain.max_priority(2),
        Kind::DeliveryLimit => dying(plain.classic_delivery_limit(1)),
    }
}

impl Real {
    pub fn new() -> Real {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(clock.clone()).build();
        for (name, kind) in [("d", "direct"), ("f", "fanout"), ("t", "topic")] {
            broker.declare(&Exchange::new(name, kind)).unwrap();
        }
        let control = open(&broker);
        let channels = (0..CHANNELS).map(|_| open(&broker)).collect();
        Real {
            clock,
            broker,
            control,
            channels,
            published: 0,
        }
    }

    pub fn apply(&mut self, op: &Op) -> Outcome {
        let answer = match self.perform(op) {
            Ok(answer) => answer,
            Err(error) => Answer::Failed(error.reply_code().unwrap_or(0)),
        };
        let events = self.channels.iter().map(|channel| {
            tidy(
                std::iter::from_fn(|| channel.events().try_recv().ok())
                    .map(seen)
                    .collect(),
            )
        });
        let events = events.collect();
        let counts = QUEUES.map(|name| match self.control.queue_declare_passive(name) {
            Ok(declared) => Some((declared.message_count, declared.consumer_count)),
            Err(error) => {
                assert!(error.is_not_found(), "{error}");
                None
            }
        });
        Outcome {
            answer,
            events,
            counts,
        }
    }

    fn perform(&mut self, op: &Op) -> Result<Answer> {
        let none = FieldTable::new;
        let channel = |channel: &usize| &self.channels[*channel];
        match op {
            Op::Declare { queue, kind } => {
                let declared = self.control.queue_declare(&describe(*queue, *kind))?;
                return Ok(Answer::Count(declared.message_count));
            }
            Op::Delete { queue } => {
                return self
                    .control
                    .queue_delete(QUEUES[*queue], IfUnused::No, IfEmpty::No)
                    .map(Answer::Count);
            }
            Op::Purge { queue } => {
                return self.control.queue_purge(QUEUES[*queue]).map(Answer::Count);
            }
            Op::Bind {
                exchange,
                queue,
                key,
            } => {
                self.control
                    .queue_bind(QUEUES[*queue], EXCHANGES[*exchange], KEYS[*key], none())?
            }
            Op::Unbind {
                exchange,
                queue,
                key,
            } => self.control.queue_unbind(
                QUEUES[*queue],
                EXCHANGES[*exchange],
                KEYS[*key],
                none(),
            )?,
            Op::Publish {
                channel: c,
                exchange,
                key,
                mandatory,
                priority,
                ttl,
            } => {
                let mut properties = Properties::new().priority(*priority);
                if let Some(ttl) = ttl {
                    properties = properties.expiration(ttl.to_string());
                }
                let options = match mandatory {
                    true => PublishOptions::new().mandatory(),
                    false => PublishOptions::new(),
                };
                let body = self.published.to_string();
                channel(c).basic_publish(
                    EXCHANGES[*exchange],
                    world::key(*exchange, *key),
                    body,
                    properties,
                    options,
                )?;
                self.published += 1;
            }
            Op::Get {
                channel: c,
                queue,
                auto,
            } => {
                let mode = if *auto {
                    AckMode::Auto
                } else {
                    AckMode::Manual
                };
                let got = channel(c).basic_get(QUEUES[*queue], mode)?;
                return Ok(Answer::Got(
                    got.map(|got| (delivery(&got), got.message_count())),
                ));
            }
            Op::Consume {
                channel: c,
                queue,
                tag,
                auto,
                priority,
            } => {
                let options = ConsumeOptions::new().tag(TAGS[*tag]).priority(*priority);
                let options = if *auto { options.auto_ack() } else { options };
                channel(c).basic_consume(QUEUES[*queue], options)?;
            }
            Op::Cancel { channel: c, tag } => channel(c).basic_cancel(TAGS[*tag])?,
            Op::Qos {
                channel: c,
                count,
                global,
            } => channel(c).basic_qos(0, *count, (*global).into())?,
            Op::Ack {
                channel: c,
                tag,
                multiple,
            } => channel(c).basic_ack(*tag, (*multiple).into())?,
            Op::Nack {
                channel: c,
                tag,
                multiple,
                requeue,
            } => {
                let requeue = if *requeue { Requeue::Yes } else { Requeue::No };
                channel(c).basic_nack(*tag, (*multiple).into(), requeue)?;
            }
            Op::Recover { channel: c } => channel(c).basic_recover(Requeue::Yes)?,
            Op::Reopen { channel: c } => {
                self.channels[*c].close()?;
                self.channels[*c] = open(&self.broker);
            }
            Op::TxSelect { channel: c } => channel(c).tx_select()?,
            Op::TxCommit { channel: c } => channel(c).tx_commit()?,
            Op::TxRollback { channel: c } => channel(c).tx_rollback()?,
            Op::Advance { millis } => self.clock.advance(Duration::from_millis(*millis)),
        }
        Ok(Answer::Done)
    }
}

/// Sorts the cancel events of a deleted queue's consumers, because their order is not defined.
pub fn tidy(mut events: Vec<Observed>) -> Vec<Observed> {
    for run in events
        .chunk_by_mut(|a, b| matches!((a, b), (Observed::Cancelled(_), Observed::Cancelled(_))))
    {
        if run.len() > 1 {
            run.sort();
        }
    }
    events
}

fn seen(event: Event) -> Observed {
    match event {
        Event::Delivery(found) => Observed::Delivery(delivery(&found)),
        Event::Return(returned) => Observed::Return(number(&returned.body)),
        Event::Cancelled { consumer_tag, .. } => Observed::Cancelled(consumer_tag.to_string()),
        other => panic!("{other:?}"),
    }
}

fn number(body: &[u8]) -> u64 {
    std::str::from_utf8(body).unwrap().parse().unwrap()
}

fn delivery(found: &ChannelDelivery) -> Seen {
    let headers = found.properties().headers.clone().unwrap_or_default();
    let death = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.as_str())
            .map(str::to_owned)
    };
    Seen {
        consumer: found.consumer_tag().to_string(),
        tag: found.delivery_tag(),
        id: number(&found.body().unwrap()),
        redelivered: found.redelivered(),
        exchange: found.exchange().to_string(),
        key: found.routing_key().to_owned(),
        death: death("x-first-death-queue").zip(death("x-first-death-reason")),
    }
}
