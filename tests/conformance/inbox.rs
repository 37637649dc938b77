//! What a channel has received and no step has asked for yet, in broker order.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
};

use leveret::channel::{Confirm, ConfirmOutcome as Confirmed, Event, Events};

use crate::message::Received;

/// One thing that came. A confirm of several publishes is one entry for each.
pub enum Entry {
    /// A message for a consumer.
    Delivery { consumer: String, message: Received },
    /// A message that nothing took.
    Return { reply_code: u16, message: Received },
    /// The broker has taken the publish of this number.
    Ack(u64),
    /// The broker has refused the publish of this number.
    Nack(u64),
    /// The broker has cancelled this consumer.
    Cancelled(String),
}

/// The entries of one channel.
#[derive(Default)]
pub struct Inbox {
    entries: VecDeque<Entry>,
    /// Numbers of the publishes that no confirm has named yet.
    unconfirmed: BTreeSet<u64>,
    published: u64,
}

impl Inbox {
    /// Numbers one more publish in confirm mode.
    pub fn await_confirm(&mut self) {
        self.published += 1;
        self.unconfirmed.insert(self.published);
    }

    /// Takes in everything that has come.
    pub fn fill(&mut self, events: &Events) {
        while let Ok(event) = events.try_recv() {
            let entry = match event {
                Event::Delivery(delivery) => Entry::Delivery {
                    consumer: delivery.consumer_tag().to_string(),
                    message: Received::delivered(&delivery),
                },
                Event::Return(returned) => Entry::Return {
                    reply_code: returned.reply_code,
                    message: Received::returned(&returned),
                },
                Event::Cancelled { consumer_tag, .. } => Entry::Cancelled(consumer_tag.to_string()),
                Event::Confirm(confirm) => {
                    self.expand(&confirm);
                    continue;
                }
                other => panic!("the replayer does not know this event: {other:?}"),
            };
            self.entries.push_back(entry);
        }
    }

    fn expand(&mut self, confirm: &Confirm) {
        let tag = confirm.delivery_tag;
        let numbers: Vec<u64> = if confirm.multiple {
            self.unconfirmed.range(..=tag).copied().collect()
        } else {
            vec![tag]
        };
        for number in numbers {
            self.unconfirmed.remove(&number);
            self.entries.push_back(match confirm.outcome {
                Confirmed::Ack => Entry::Ack(number),
                _ => Entry::Nack(number),
            });
        }
    }

    /// All entries that wait.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Takes out the first `count` entries, of whatever kind.
    pub fn take(&mut self, count: usize) -> Vec<Entry> {
        self.entries
            .drain(..count.min(self.entries.len()))
            .collect()
    }

    /// Takes out the first `count` entries that the filter wants; the others keep their order.
    pub fn take_where(&mut self, count: usize, wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let mut taken = Vec::new();
        let mut kept = VecDeque::new();
        for entry in self.entries.drain(..) {
            if taken.len() < count && wanted(&entry) {
                taken.push(entry);
            } else {
                kept.push_back(entry);
            }
        }
        self.entries = kept;
        taken
    }

    /// What waits, for a report.
    pub fn describe(&self) -> String {
        if self.entries.is_empty() {
            return "nothing".to_owned();
        }
        self.entries
            .iter()
            .map(Entry::to_string)
            .collect::<Vec<_>>()
            .join("; ")
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Delivery { consumer, message } => {
                write!(f, "delivery to '{consumer}' of {message}")
            }
            Entry::Return {
                reply_code,
                message,
            } => write!(f, "return {reply_code} of {message}"),
            Entry::Ack(number) => write!(f, "ack of publish {number}"),
            Entry::Nack(number) => write!(f, "nack of publish {number}"),
            Entry::Cancelled(consumer) => write!(f, "cancellation of '{consumer}'"),
        }
    }
}
