//! The model of a virtual host: what each step must lead to.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    ops::{CHANNELS, EXCHANGES, KEYS, Kind, Op, QUEUES, TAGS},
    queue::{Consumer, Msg, Queue},
    real::tidy,
};

/// What a step brings about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub answer: Answer,
    /// Of each channel, in order.
    pub events: Vec<Vec<Observed>>,
    /// Of each queue that is there: ready messages and consumers.
    pub counts: [Option<(u64, u64)>; 4],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Count(u64),
    Got(Option<(Seen, u64)>),
    Failed(u16),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observed {
    Delivery(Seen),
    Return(u64),
    Cancelled(String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub consumer: String,
    pub tag: u64,
    pub id: u64,
    pub redelivered: bool,
    pub exchange: String,
    pub key: String,
    /// The first death: queue and reason.
    pub death: Option<(String, String)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Held {
    queue: usize,
    queue_id: u64,
    consumer: Option<u64>,
    consumer_tag: String,
    msg: Msg,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Channel {
    last_tag: u64,
    entries: BTreeMap<u64, Held>,
    limit: u32,
    volume: u32,
    /// Queues that found the limit reached, by number and id.
    limited: Vec<(usize, u64)>,
    consumers: BTreeMap<String, (usize, u64)>,
    prefetch: u32,
    events: Vec<Observed>,
    closed: bool,
    tx: Option<Tx>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Tx {
    published: Vec<(Msg, Vec<usize>, bool)>,
    settled: Vec<(Fate, Vec<(u64, Held)>)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Acked,
    Returned,
    Rejected,
}

#[derive(Clone, Debug, PartialEq)]
pub struct World {
    now: u64,
    ids: u64,
    published: u64,
    queues: [Option<Queue>; 4],
    bindings: Vec<(usize, usize, usize)>,
    channels: Vec<Channel>,
    dead: VecDeque<Msg>,
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

/// The routing key of a publish: the default exchange is only asked for queues.
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
    /// Turns the choice among unsettled deliveries into a tag.
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

    /// The orders of queues to be tried.
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

    fn perform(&mut self, op: &Op, order: &[usize; 4]) -> Result<Answer, u16> {
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
                    death: None,
                };
                self.published += 1;
                let to = self.route(exchange, k);
                match &mut self.channels[channel].tx {
                    Some(tx) => tx.published.push((msg, to, mandatory)),
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
                for (msg, to, mandatory) in tx.published {
                    // The default exchange is asked again.
                    let to = match msg.exchange.as_str() {
                        "" => QUEUES
                            .iter()
                            .position(|name| *name == msg.key)
                            .into_iter()
                            .collect(),
                        _ => to,
                    };
                    let there = to
                        .into_iter()
                        .filter(|queue| self.queues[*queue].is_some())
                        .collect::<Vec<_>>();
                    taken &= self.publish(channel, msg, &there, mandatory, order);
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

    fn declare(&mut self, queue: usize, kind: Kind) -> Result<Answer, u16> {
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

    fn delete(&mut self, queue: usize) -> u64 {
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

    fn route(&self, exchange: usize, k: usize) -> Vec<usize> {
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

    /// `false` if a queue refused it.
    fn publish(
        &mut self,
        channel: usize,
        msg: Msg,
        to: &[usize],
        mandatory: bool,
        order: &[usize; 4],
    ) -> bool {
        if to.is_empty() && mandatory {
            self.channels[channel].events.push(Observed::Return(msg.id));
        }
        let mut taken = true;
        for queue in order.iter().filter(|queue| to.contains(queue)) {
            taken &= self.push(*queue, msg.clone());
        }
        self.bury();
        taken
    }

    fn push(&mut self, index: usize, mut msg: Msg) -> bool {
        let now = self.now;
        let Some(queue) = &mut self.queues[index] else {
            return true;
        };
        if queue.kind == Kind::RejectPublish && queue.ready.len() >= 2 {
            return false;
        }
        msg.position = queue.next_position;
        queue.next_position += 1;
        let ttls = [msg.ttl, (queue.kind == Kind::Ttl).then_some(50)];
        msg.deadline = ttls.into_iter().flatten().min().map(|ttl| now + ttl);
        if queue.ready.is_empty() {
            match self.hand(index, msg) {
                None => return true,
                Some(nobody) => msg = nobody,
            }
        }
        let Some(queue) = &mut self.queues[index] else {
            return true;
        };
        queue.put(msg);
        self.trim(index);
        self.expire(index);
        true
    }

    /// Gives a message to the consumer whose turn it is; back if there is none.
    fn hand(&mut self, index: usize, msg: Msg) -> Option<Msg> {
        while let Some(id) = self.queues[index].as_mut()?.first_in_turn() {
            let queue = self.queues[index].as_mut()?;
            let (queue_id, suspended) = (queue.id, queue.suspended.clone());
            let consumer = queue.consumer(id)?;
            let channel = &mut self.channels[consumer.channel];
            if suspended.contains(&consumer.channel) || !consumer.look() {
                queue.block(id);
                continue;
            }
            if channel.closed || !channel.has_room((index, queue_id)) {
                let number = consumer.channel;
                queue.suspended.insert(number);
                queue.block(id);
                continue;
            }
            channel.last_tag += 1;
            channel.events.push(Observed::Delivery(
                msg.seen(&consumer.tag, channel.last_tag),
            ));
            if !consumer.auto {
                consumer.unsettled += 1;
                channel.volume += 1;
                let held = Held {
                    queue: index,
                    queue_id,
                    consumer: Some(id),
                    consumer_tag: consumer.tag.clone(),
                    msg,
                };
                channel.entries.insert(channel.last_tag, held);
            }
            queue.turn_over(id);
            return None;
        }
        Some(msg)
    }

    fn die(&mut self, index: usize, mut msg: Msg, reason: &str) {
        if self.queues[index].as_ref().is_some_and(Queue::buries) {
            msg.death
                .get_or_insert((QUEUES[index].to_owned(), reason.to_owned()));
            self.dead.push_back(Msg {
                exchange: String::new(),
                key: "q3".to_owned(),
                ttl: None,
                returns: 0,
                ..msg
            });
        }
    }

    /// Publishes what died, after everything else.
    fn bury(&mut self) {
        while let Some(msg) = self.dead.pop_front() {
            self.push(3, msg);
        }
    }

    fn trim(&mut self, index: usize) {
        while let Some(queue) = &mut self.queues[index] {
            if queue.kind != Kind::DropHead
                || queue.ready.len() <= queue.limit().unwrap_or(usize::MAX)
            {
                return;
            }
            let head = queue.ready.remove(0);
            self.die(index, head, "maxlen");
        }
    }

    fn expire(&mut self, index: usize) {
        while let Some(queue) = &mut self.queues[index] {
            match queue.ready.first().and_then(|head| head.deadline) {
                Some(deadline) if deadline <= self.now => {
                    let head = queue.ready.remove(0);
                    self.die(index, head, "expired");
                }
                _ => return,
            }
        }
    }

    /// Limits, expiry, and whoever can take something.
    fn settle_ready(&mut self, index: usize) {
        self.trim(index);
        self.expire(index);
        while let Some(queue) = &mut self.queues[index] {
            if queue.ready.is_empty() || queue.turns.is_empty() {
                return;
            }
            let head = queue.ready.remove(0);
            if let Some(nobody) = self.hand(index, head) {
                if let Some(queue) = &mut self.queues[index] {
                    queue.put(nobody);
                }
                return;
            }
            self.expire(index);
        }
    }

    fn get(&mut self, channel: usize, index: usize, auto: bool) -> Result<Answer, u16> {
        self.queues[index].as_ref().ok_or(404u16)?;
        self.expire(index);
        let queue = self.queues[index].as_mut().ok_or(404u16)?;
        let queue_id = queue.id;
        let msg = (!queue.ready.is_empty()).then(|| queue.ready.remove(0));
        self.expire(index);
        let left = self.queues[index]
            .as_ref()
            .map_or(0, |queue| queue.ready.len() as u64);
        let got = msg.map(|msg| {
            let state = &mut self.channels[channel];
            state.last_tag += 1;
            let seen = msg.seen("", state.last_tag);
            if !auto {
                let held = Held {
                    queue: index,
                    queue_id,
                    consumer: None,
                    consumer_tag: String::new(),
                    msg,
                };
                state.entries.insert(state.last_tag, held);
            }
            (seen, left)
        });
        self.bury();
        Ok(Answer::Got(got))
    }

    fn consume(
        &mut self,
        channel: usize,
        index: usize,
        tag: usize,
        auto: bool,
        priority: i32,
    ) -> Result<(), u16> {
        let state = &mut self.channels[channel];
        if state.consumers.contains_key(TAGS[tag]) {
            return Err(530);
        }
        let queue = self.queues[index].as_mut().ok_or(404u16)?;
        self.ids += 1;
        let prefetch = if auto { 0 } else { state.prefetch };
        let consumer = Consumer {
            id: self.ids,
            channel,
            tag: TAGS[tag].to_owned(),
            prefetch,
            auto,
            priority,
            unsettled: 0,
            starved: false,
        };
        state
            .consumers
            .insert(consumer.tag.clone(), (index, consumer.id));
        queue.had_consumer = true;
        queue.turns.push(consumer.id);
        queue.consumers.push(consumer);
        self.settle_ready(index);
        self.bury();
        Ok(())
    }

    fn settle(&mut self, channel: usize, tag: u64, multiple: bool, fate: Fate) -> Result<(), u16> {
        let state = &mut self.channels[channel];
        let taken: Vec<(u64, Held)> = match (tag, multiple) {
            (0, true) => std::mem::take(&mut state.entries).into_iter().collect(),
            _ if !state.entries.contains_key(&tag) => return Err(406),
            (_, false) => state
                .entries
                .remove(&tag)
                .map(|held| (tag, held))
                .into_iter()
                .collect(),
            (_, true) => {
                let later = state.entries.split_off(&(tag + 1));
                std::mem::replace(&mut state.entries, later)
                    .into_iter()
                    .collect()
            }
        };
        match &mut state.tx {
            // What is settled alike, one after another, is settled at once.
            Some(tx) => match tx.settled.last_mut() {
                Some((same, before)) if *same == fate => before.extend(taken),
                _ => tx.settled.push((fate, taken)),
            },
            None => self.finish(channel, fate, taken),
        }
        Ok(())
    }

    fn finish(&mut self, channel: usize, fate: Fate, taken: Vec<(u64, Held)>) {
        let state = &mut self.channels[channel];
        let was_full = state.is_full();
        let of_consumers = taken
            .iter()
            .filter(|(_, held)| held.consumer.is_some())
            .count() as u32;
        state.volume = state.volume.saturating_sub(of_consumers);
        let relieved = state.relieved(was_full);
        let mut groups: BTreeMap<_, Vec<Held>> = BTreeMap::new();
        for (_, held) in taken {
            let group = (
                held.queue,
                held.consumer_tag.clone(),
                held.queue_id,
                held.consumer,
            );
            groups.entry(group).or_default().push(held);
        }
        for ((index, _, queue_id, consumer), batch) in groups {
            for held in batch {
                self.withdraw(held, fate);
            }
            if self.queues[index]
                .as_ref()
                .is_some_and(|queue| queue.id == queue_id)
            {
                if let Some(queue) = &mut self.queues[index] {
                    let limited = queue.suspended.contains(&channel);
                    if let Some(consumer) = consumer.and_then(|id| queue.consumer(id)) {
                        // At the common limit a consumer comes back early only if it had no credit of its own.
                        let told = consumer.starved && consumer.has_credit();
                        if told || !limited {
                            queue.reconsider(channel);
                        }
                    }
                }
                self.settle_ready(index);
            }
            self.bury();
        }
        self.resume(channel, relieved);
    }

    /// Takes one delivery back, without serving anybody.
    fn withdraw(&mut self, held: Held, fate: Fate) {
        let index = held.queue;
        let Some(queue) = self.queues[index]
            .as_mut()
            .filter(|queue| queue.id == held.queue_id)
        else {
            return;
        };
        if let Some(consumer) = held.consumer.and_then(|id| queue.consumer(id)) {
            consumer.unsettled -= 1;
        }
        let mut msg = held.msg;
        match fate {
            Fate::Acked => {}
            Fate::Rejected => self.die(index, msg, "rejected"),
            Fate::Returned => {
                msg.returns += 1;
                match queue.kind == Kind::DeliveryLimit && msg.returns > 1 {
                    true => self.die(index, msg, "delivery_limit"),
                    false => queue.put(msg),
                }
            }
        }
    }

    fn resume(&mut self, channel: usize, queues: Vec<(usize, u64)>) {
        for (index, id) in queues {
            let Some(queue) = self.queues[index].as_mut().filter(|queue| queue.id == id) else {
                continue;
            };
            queue.suspended.remove(&channel);
            queue.reconsider(channel);
            self.settle_ready(index);
            self.bury();
        }
    }

    /// Consumers leave a queue, and deliveries come back to it.
    fn leave(&mut self, index: usize, ids: &[u64], returned: Vec<Held>) {
        let Some(queue) = &mut self.queues[index] else {
            return;
        };
        for id in ids {
            queue.remove(*id);
        }
        for held in returned {
            self.withdraw(held, Fate::Returned);
        }
        self.settle_ready(index);
        let Some(queue) = &mut self.queues[index] else {
            return;
        };
        if !ids.is_empty() && queue.kind == Kind::AutoDelete && queue.consumers.is_empty() {
            self.delete(index);
        }
        self.bury();
    }

    fn reopen(&mut self, channel: usize, order: &[usize; 4]) {
        let state = &mut self.channels[channel];
        state.closed = true;
        let mut unsettled: Vec<Held> = std::mem::take(&mut state.entries).into_values().collect();
        let settled = state.tx.take().into_iter().flat_map(|tx| tx.settled);
        unsettled.extend(settled.flat_map(|(_, taken)| taken).map(|(_, held)| held));
        let consumers: Vec<(usize, u64)> =
            std::mem::take(&mut state.consumers).into_values().collect();
        for index in order {
            let ids: Vec<u64> = consumers
                .iter()
                .filter(|(queue, _)| queue == index)
                .map(|(_, id)| *id)
                .collect();
            let (here, elsewhere) = unsettled.into_iter().partition(|held| held.queue == *index);
            unsettled = elsewhere;
            let here: Vec<Held> = here;
            if !ids.is_empty() || !here.is_empty() {
                self.leave(*index, &ids, here);
            }
        }
        // Its events went with it.
        self.channels[channel] = Channel::default();
    }

    fn advance(&mut self, millis: u64, order: &[usize; 4]) {
        let end = self.now + millis;
        loop {
            let heads = self
                .queues
                .iter()
                .flatten()
                .filter_map(|queue| queue.ready.first()?.deadline);
            match heads.filter(|deadline| *deadline <= end).min() {
                Some(due) => self.now = self.now.max(due),
                None => break,
            }
            for index in order {
                self.expire(*index);
                self.bury();
            }
        }
        self.now = end;
    }
}

impl Channel {
    fn is_full(&self) -> bool {
        self.limit != 0 && self.volume >= self.limit
    }

    fn has_room(&mut self, queue: (usize, u64)) -> bool {
        if self.is_full() && !self.limited.contains(&queue) {
            self.limited.push(queue);
        }
        !self.is_full()
    }

    fn relieved(&mut self, was_full: bool) -> Vec<(usize, u64)> {
        match was_full && !self.is_full() {
            true => std::mem::take(&mut self.limited),
            false => Vec::new(),
        }
    }
}

impl Msg {
    fn seen(&self, consumer: &str, tag: u64) -> Seen {
        Seen {
            consumer: consumer.to_owned(),
            tag,
            id: self.id,
            redelivered: self.returns > 0,
            exchange: self.exchange.clone(),
            key: self.key.clone(),
            death: self.death.clone(),
        }
    }
}
