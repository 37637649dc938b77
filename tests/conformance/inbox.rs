//! The events of a channel that no step has asked for yet, in the order of the broker.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
};

use leveret::channel::{ConfirmOutcome as Confirmed, Event, Events};

use crate::message::Received;

/// One received event. A confirm of several publishes is one entry for each of them.
pub enum Entry {
    /// A delivery to a consumer.
    Delivery { consumer: String, message: Received },
    /// A returned message.
    Return { reply_code: u16, message: Received },
    /// The broker has confirmed the publish of this number.
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
    /// The numbers of the publishes that are not confirmed yet.
    unconfirmed: BTreeSet<u64>,
    published: u64,
}

impl Inbox {
    /// Gives one more publish its number in confirm mode.
    pub fn await_confirm(&mut self) {
        self.published += 1;
        self.unconfirmed.insert(self.published);
    }

    /// Adds all received events.
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
                    self.expand(confirm.delivery_tag, confirm.multiple, confirm.outcome);
                    continue;
                }
                other => panic!("the replayer does not know this event: {other:?}"),
            };
            self.entries.push_back(entry);
        }
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
    }

    /// Adds an entry for each message that a confirm covers.
    pub fn expand(&mut self, tag: u64, multiple: bool, outcome: Confirmed) {
        let numbers: Vec<u64> = if multiple {
            self.unconfirmed.range(..=tag).copied().collect()
        } else {
            vec![tag]
        };
        for number in numbers {
            self.unconfirmed.remove(&number);
            self.entries.push_back(match outcome {
                Confirmed::Ack => Entry::Ack(number),
                _ => Entry::Nack(number),
            });
        }
    }

    /// All entries that no step has taken.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Takes the first `count` entries, of any kind.
    pub fn take(&mut self, count: usize) -> Vec<Entry> {
        self.entries
            .drain(..count.min(self.entries.len()))
            .collect()
    }

    /// Takes the first `count` entries that the filter accepts. The others keep their order.
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

    /// The remaining entries, as text for a report.
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
