//! A channel in the model.

use std::collections::BTreeMap;

use super::{outcome::Observed, queue::Msg, settling::Fate};

#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    pub queue: usize,
    pub queue_id: u64,
    pub consumer: Option<u64>,
    pub consumer_tag: String,
    pub msg: Msg,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channel {
    pub last_tag: u64,
    pub entries: BTreeMap<u64, Held>,
    pub limit: u32,
    pub volume: u32,
    /// The queues that have suspended this channel because its limit was reached, by index and id.
    pub limited: Vec<(usize, u64)>,
    pub consumers: BTreeMap<String, (usize, u64)>,
    pub prefetch: u32,
    pub events: Vec<Observed>,
    pub closed: bool,
    pub tx: Option<Tx>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tx {
    pub published: Vec<Pending>,
    pub settled: Vec<(Fate, Vec<(u64, Held)>)>,
}

/// A message of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    pub msg: Msg,
    /// Its queues, by index and id.
    pub to: Vec<(usize, u64)>,
    pub mandatory: bool,
}

impl Channel {
    pub fn is_full(&self) -> bool {
        self.limit != 0 && self.volume >= self.limit
    }

    pub fn has_room(&mut self, queue: (usize, u64)) -> bool {
        if self.is_full() && !self.limited.contains(&queue) {
            self.limited.push(queue);
        }
        !self.is_full()
    }

    pub fn relieved(&mut self, was_full: bool) -> Vec<(usize, u64)> {
        match was_full && !self.is_full() {
            true => std::mem::take(&mut self.limited),
            false => Vec::new(),
        }
    }
}
