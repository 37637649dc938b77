//! A queue in the model: vectors, searched from end to end.

use std::collections::BTreeSet;

use super::ops::Kind;

/// A message in the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Msg {
    pub id: u64,
    pub exchange: String,
    pub key: String,
    pub priority: u8,
    pub ttl: Option<u64>,
    pub deadline: Option<u64>,
    pub position: u64,
    pub returns: u32,
    /// Failed deliveries, with those in earlier queues.
    pub failures: u32,
    /// The queue has stored it as a dead letter with a failed delivery.
    pub delivered_before: bool,
    pub death: Option<(String, String)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Consumer {
    pub id: u64,
    pub channel: usize,
    pub tag: String,
    pub prefetch: u32,
    pub auto: bool,
    pub priority: i32,
    pub unsettled: u32,
    /// The consumer was asked and had no credit. It takes turns again as soon as it has credit.
    pub starved: bool,
}

impl Consumer {
    pub fn has_credit(&self) -> bool {
        self.prefetch == 0 || self.unsettled < self.prefetch
    }

    /// Asks the consumer whether it can take one more message.
    pub fn look(&mut self) -> bool {
        self.starved = !self.has_credit();
        !self.starved
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    pub id: u64,
    pub kind: Kind,
    pub ready: Vec<Msg>,
    pub next_position: u64,
    pub consumers: Vec<Consumer>,
    /// The ids of the consumers that take turns, of all priorities.
    pub turns: Vec<u64>,
    pub blocked: Vec<u64>,
    /// The channels that are at their global prefetch limit.
    pub suspended: BTreeSet<usize>,
    pub had_consumer: bool,
}

impl Queue {
    pub fn new(id: u64, kind: Kind) -> Queue {
        Queue {
            id,
            kind,
            ready: Vec::new(),
            next_position: 0,
            consumers: Vec::new(),
            turns: Vec::new(),
            blocked: Vec::new(),
            suspended: BTreeSet::new(),
            had_consumer: false,
        }
    }

    pub fn consumer(&mut self, id: u64) -> Option<&mut Consumer> {
        self.consumers.iter_mut().find(|consumer| consumer.id == id)
    }

    /// Inserts a message at its place: higher priorities first, then by position.
    pub fn put(&mut self, msg: Msg) {
        self.ready.push(msg);
        let highest = match self.kind {
            Kind::Priority => 2,
            _ => 0,
        };
        self.ready
            .sort_by_key(|msg| (std::cmp::Reverse(msg.priority.min(highest)), msg.position));
    }

    pub fn limit(&self) -> Option<usize> {
        matches!(self.kind, Kind::DropHead | Kind::RejectPublish).then_some(2)
    }

    /// Whether dead letters of this queue go to `q3`.
    pub fn buries(&self) -> bool {
        matches!(self.kind, Kind::DropHead | Kind::Ttl | Kind::DeliveryLimit)
    }

    /// The consumer whose turn it is.
    pub fn first_in_turn(&mut self) -> Option<u64> {
        let priority = |id: &u64| {
            self.consumers
                .iter()
                .find(|c| c.id == *id)
                .map(|c| c.priority)
        };
        let best = self.turns.iter().filter_map(priority).max()?;
        self.turns
            .iter()
            .copied()
            .find(|id| priority(id) == Some(best))
    }

    /// The consumer was served, so it moves behind the others of its priority.
    pub fn turn_over(&mut self, id: u64) {
        self.turns.retain(|other| *other != id);
        self.turns.push(id);
    }

    pub fn block(&mut self, id: u64) {
        self.turns.retain(|other| *other != id);
        self.blocked.push(id);
    }

    /// Blocked consumers of the channel that have credit take turns again, even at the channel's
    /// global prefetch limit.
    pub fn reconsider(&mut self, channel: usize) {
        let consumers = &mut self.consumers;
        let mut able = |id: &u64| {
            let consumer = consumers.iter_mut().find(|c| c.id == *id);
            consumer.is_some_and(|c| c.channel == channel && c.look())
        };
        let (back, still): (Vec<u64>, Vec<u64>) = self.blocked.iter().partition(|id| able(id));
        self.blocked = still;
        self.turns.extend(back);
    }

    pub fn remove(&mut self, id: u64) {
        let Some(at) = self.consumers.iter().position(|c| c.id == id) else {
            return;
        };
        let channel = self.consumers.remove(at).channel;
        self.turns.retain(|other| *other != id);
        self.blocked.retain(|other| *other != id);
        if !self.consumers.iter().any(|c| c.channel == channel) {
            self.suspended.remove(&channel);
        }
    }
}
