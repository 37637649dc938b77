//! Messages enter queues, go to consumers, and end without a consumer.

use super::{
    channel::Held,
    ops::{Kind, QUEUES, TAGS},
    outcome::{Answer, Observed, Seen},
    queue::{Consumer, Msg, Queue},
    world::World,
};

impl World {
    /// Returns `false` if a queue refused the message.
    pub fn publish(
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

    pub fn push(&mut self, index: usize, mut msg: Msg) -> bool {
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
        // Only a dead letter has failures when it comes.
        msg.delivered_before = msg.failures > 0;
        queue.put(msg);
        self.trim(index);
        self.expire(index);
        true
    }

    /// Gives a message to the consumer whose turn it is. Returns the message if no consumer can
    /// take it.
    pub fn hand(&mut self, index: usize, msg: Msg) -> Option<Msg> {
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

    pub fn die(&mut self, index: usize, mut msg: Msg, reason: &str) {
        if self.queues[index].as_ref().is_some_and(Queue::buries) {
            msg.death
                .get_or_insert((QUEUES[index].to_owned(), reason.to_owned()));
            self.dead.push_back(Msg {
                exchange: String::new(),
                key: "q3".to_owned(),
                ttl: None,
                returns: 0,
                delivered_before: false,
                ..msg
            });
        }
    }

    /// Publishes the dead letters, after all other effects of the step.
    pub fn bury(&mut self) {
        while let Some(msg) = self.dead.pop_front() {
            self.push(3, msg);
        }
    }

    pub fn trim(&mut self, index: usize) {
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

    pub fn expire(&mut self, index: usize) {
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

    /// Applies the limits and the expiry, then serves the consumers.
    pub fn settle_ready(&mut self, index: usize) {
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

    pub fn get(&mut self, channel: usize, index: usize, auto: bool) -> Result<Answer, u16> {
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

    pub fn consume(
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

    pub fn advance(&mut self, millis: u64, order: &[usize; 4]) {
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

impl Msg {
    pub fn seen(&self, consumer: &str, tag: u64) -> Seen {
        Seen {
            consumer: consumer.to_owned(),
            tag,
            id: self.id,
            redelivered: self.returns > 0 || self.delivered_before,
            exchange: self.exchange.clone(),
            key: self.key.clone(),
            death: self.death.clone(),
        }
    }
}
