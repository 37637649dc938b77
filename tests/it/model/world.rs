//! The model of a virtual host: the expected results of each step.

use std::collections::VecDeque;

use super::{
    channel::{Channel, Pending},
    ops::{CHANNELS, EXCHANGES, KEYS, Kind, Op, QUEUES, TAGS},
    outcome::{Answer, Observed, Outcome},
    queue::{Msg, Queue},
    real::tidy,
    settling::Fate,
};

#[derive(Clone, Debug, PartialEq)]
pub struct World {
    pub now: u64,
    pub ids: u64,
    pub published: u64,
    pub queues: [Option<Queue>; 4],
    pub bindings: Vec<(usize, usize, usize)>,
    pub channels: Vec<Channel>,
    pub dead: VecDeque<Msg>,
}

impl Default for World {
    fn default() -> World {
        World {
            now: 0,
            ids: 0,
            published: 0,
            queues: Default::default(),
            bindings: Vec::new(),
            channels: vec![Channel::default(); CHANNELS],
            dead: VecDeque::new(),
        }
    }
}

/// The routing key of a publish. For the default exchange it is always the name of a queue.
pub fn key(exchange: usize, key: usize) -> &'static str {
    match exchange {
        0 => QUEUES[key],
        _ => KEYS[key],
    }
}

fn matches(pattern: &[&str], words: &[&str]) -> bool {
    match (pattern, words) {
        ([], []) => true,
        (["#", rest @ ..], _) => {
            matches(rest, words) || !words.is_empty() && matches(pattern, &words[1..])
        }
        (["*", rest @ ..], [_, words @ ..]) => matches(rest, words),
        ([first, rest @ ..], [word, words @ ..]) => first == word && matches(rest, words),
        _ => false,
    }
}

impl World {
    /// Replaces the index among the unsettled deliveries by a delivery tag.
    pub fn resolve(&self, op: &Op) -> Op {
        let pick = |channel: usize, choice: u64, multiple: bool| {
            let tags: Vec<u64> = self.channels[channel].entries.keys().copied().collect();
            match choice {
                5 => 999,
                4 if multiple => 0,
                _ if tags.is_empty() => 0,
                _ => tags[choice as usize % tags.len()],
            }
        };
        match *op {
            Op::Ack {
                channel,
                tag,
                multiple,
            } => Op::Ack {
                channel,
                tag: pick(channel, tag, multiple),
                multiple,
            },
            Op::Nack {
                channel,
                tag,
                multiple,
                requeue,
            } => Op::Nack {
                channel,
                tag: pick(channel, tag, multiple),
                multiple,
                requeue,
            },
            ref other => other.clone(),
        }
    }

    /// The orders of queues that the test tries for this step.
    pub fn orders(&self, op: &Op) -> Vec<[usize; 4]> {
        let free = matches!(
            op,
            Op::Publish { .. } | Op::Reopen { .. } | Op::Advance { .. } | Op::TxCommit { .. }
        );
        let mut orders = vec![[0, 1, 2, 3]];
        if free {
            for n in 1..256 {
                let order = [n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6];
                if (0..4).all(|queue| order.contains(&queue)) && order != orders[0] {
                    orders.push(order);
                }
            }
        }
        orders
    }

    pub fn apply(&mut self, op: &Op, order: &[usize; 4]) -> Outcome {
        let answer = self.perform(op, order).unwrap_or_else(Answer::Failed);
        let events = self
            .channels
            .iter_mut()
            .map(|channel| tidy(std::mem::take(&mut channel.events)))
            .collect();
        let counts = [0, 1, 2, 3].map(|queue| {
            let queue = self.queues[queue].as_ref()?;
            Some((queue.ready.len() as u64, queue.consumers.len() as u64))
        });
        Outcome {
            answer,
            events,
            counts,
        }
    }

    pub fn perform(&mut self, op: &Op, order: &[usize; 4]) -> Result<Answer, u16> {
        match *op {
            Op::Declare { queue, kind } => return self.declare(queue, kind),
            Op::Delete { queue } => return Ok(Answer::Count(self.delete(queue))),
            Op::Purge { queue } => {
                let ready = &mut self.queues[queue].as_mut().ok_or(404u16)?.ready;
                return Ok(Answer::Count(std::mem::take(ready).len() as u64));
            }
            Op::Bind {
                exchange,
                queue,
                key,
            } => {
                self.queues[queue].as_ref().ok_or(404u16)?;
                if !self.bindings.contains(&(exchange, queue, key)) {
                    self.bindings.push((exchange, queue, key));
                }
            }
            Op::Unbind {
                exchange,
                queue,
                key,
            } => self
                .bindings
                .retain(|binding| *binding != (exchange, queue, key)),
            Op::Publish {
                channel,
                exchange,
                key: k,
                mandatory,
                priority,
                ttl,
            } => {
                let msg = Msg {
                    id: self.published,
                    exchange: EXCHANGES[exchange].to_owned(),
                    key: key(exchange, k).to_owned(),
                    priority,
                    ttl,
                    deadline: None,
                    position: 0,
                    returns: 0,
                    failures: 0,
                    delivered_before: false,
                    death: None,
                };
                self.published += 1;
                let to = self.route(exchange, k);
                match &mut self.channels[channel].tx {
                    Some(tx) => {
                        let id = |queue: &usize| self.queues[*queue].as_ref().map(|it| it.id);
                        let to = to.iter().filter_map(|queue| Some((*queue, id(queue)?)));
                        tx.published.push(Pending {
                            msg,
                            to: to.collect(),
                            mandatory,
                        });
                    }
                    None => {
                        self.publish(channel, msg, &to, mandatory, order);
                    }
                }
            }
            Op::Get {
                channel,
                queue,
                auto,
            } => return self.get(channel, queue, auto),
            Op::Consume {
                channel,
                queue,
                tag,
                auto,
                priority,
            } => self.consume(channel, queue, tag, auto, priority)?,
            Op::Cancel { channel, tag } => {
                if let Some((queue, id)) = self.channels[channel].consumers.remove(TAGS[tag]) {
                    self.leave(queue, &[id], Vec::new());
                }
            }
            Op::Qos {
                channel,
                count,
                global,
            } => {
                let state = &mut self.channels[channel];
                if !global {
                    state.prefetch = count.into();
                }
                let was_full = state.is_full();
                if state.limit == 0 {
                    state.volume = state.entries.len() as u32;
                }
                state.limit = if global { count.into() } else { 0 };
                let relieved = state.relieved(was_full);
                self.resume(channel, relieved);
            }
            Op::Ack {
                channel,
                tag,
                multiple,
            } => self.settle(channel, tag, multiple, Fate::Acked)?,
            Op::Nack {
                channel,
                tag,
                multiple,
                requeue,
            } => {
                let fate = if requeue {
                    Fate::Returned
                } else {
                    Fate::Rejected
                };
                self.settle(channel, tag, multiple, fate)?;
            }
            Op::Recover { channel } => {
                let all = std::mem::take(&mut self.channels[channel].entries);
                self.finish(channel, Fate::Returned, all.into_iter().collect());
            }
            Op::Reopen { channel } => self.reopen(channel, order),
            Op::TxSelect { channel } => {
                self.channels[channel].tx.get_or_insert_default();
            }
            Op::TxCommit { channel } => {
                let tx = std::mem::take(self.channels[channel].tx.as_mut().ok_or(406u16)?);
                let mut taken = true;
                for Pending { msg, to, mandatory } in tx.published {
                    if to.iter().any(|(queue, _)| self.queues[*queue].is_none()) {
                        let settled = tx.settled.into_iter().flat_map(|(_, taken)| taken);
                        self.channels[channel].entries.extend(settled);
                        return Err(506);
                    }
                    let is_same = |(queue, id): &(usize, u64)| {
                        self.queues[*queue].as_ref().is_some_and(|it| it.id == *id)
                    };
                    let there: Vec<usize> = to
                        .iter()
                        .filter(|queue| is_same(queue))
                        .map(|(queue, _)| *queue)
                        .collect();
                    taken &= there.len() == to.len();
                    let returned = mandatory && to.is_empty();
                    taken &= self.publish(channel, msg, &there, returned, order);
                }
                for (fate, mut settled) in tx.settled {
                    settled.sort_by_key(|(tag, _)| *tag);
                    self.finish(channel, fate, settled);
                }
                if !taken {
                    return Err(406);
                }
            }
            Op::TxRollback { channel } => {
                let state = &mut self.channels[channel];
                let tx = std::mem::take(state.tx.as_mut().ok_or(406u16)?);
                state
                    .entries
                    .extend(tx.settled.into_iter().flat_map(|(_, taken)| taken));
            }
            Op::Advance { millis } => self.advance(millis, order),
        }
        Ok(Answer::Done)
    }

    pub fn declare(&mut self, queue: usize, kind: Kind) -> Result<Answer, u16> {
        match &self.queues[queue] {
            Some(there) if there.kind != kind => Err(406),
            Some(there) => Ok(Answer::Count(there.ready.len() as u64)),
            None => {
                self.ids += 1;
                self.queues[queue] = Some(Queue::new(self.ids, kind));
                Ok(Answer::Count(0))
            }
        }
    }

    pub fn delete(&mut self, queue: usize) -> u64 {
        let Some(gone) = self.queues[queue].take() else {
            return 0;
        };
        self.bindings.retain(|(_, bound, _)| *bound != queue);
        for consumer in gone.consumers {
            let channel = &mut self.channels[consumer.channel];
            channel.consumers.remove(&consumer.tag);
            channel.events.push(Observed::Cancelled(consumer.tag));
        }
        gone.ready.len() as u64
    }

    pub fn route(&self, exchange: usize, k: usize) -> Vec<usize> {
        let routing_key = key(exchange, k);
        let words: Vec<&str> = routing_key.split('.').collect();
        let leads = |queue: usize| {
            exchange == 0 && QUEUES[queue] == routing_key
                || self.bindings.iter().any(|(source, target, binding)| {
                    *source == exchange
                        && *target == queue
                        && match EXCHANGES[exchange] {
                            "d" => KEYS[*binding] == routing_key,
                            "t" => matches(&KEYS[*binding].split('.').collect::<Vec<_>>(), &words),
                            _ => true,
                        }
                })
        };
        (0..4)
            .filter(|queue| self.queues[*queue].is_some() && leads(*queue))
            .collect()
    }
}
