//! [`Reading`]: the place of one reader in a stream.

use std::sync::Arc;

use super::{block::Block, log::Log};
use crate::{message::envelope::LoggedMessage, model::arguments::StreamReading};

/// The messages that a reader wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    values: Vec<String>,
    unfiltered: bool,
}

impl Filter {
    pub(crate) fn of(reading: &StreamReading) -> Filter {
        Filter {
            values: reading.filter.clone(),
            unfiltered: reading.match_unfiltered,
        }
    }

    /// Whether the reader wants the message. As in RabbitMQ, the value `""` stands for none too.
    #[inline]
    pub(crate) fn accepts(&self, message: &LoggedMessage) -> bool {
        self.values.is_empty() || self.accepts_value(message.filter_value())
    }

    fn accepts_value(&self, value: Option<&str>) -> bool {
        match value {
            Some(value) => self.values.iter().any(|wanted| wanted == value),
            None => self.unfiltered || self.values.iter().any(String::is_empty),
        }
    }
}

/// The next offset of a reader, and what it wants.
#[derive(Debug)]
pub(crate) struct Reading {
    next: u64,
    filter: Filter,
}

impl Reading {
    pub(crate) fn new(next: u64, filter: Filter) -> Reading {
        Reading { next, filter }
    }

    /// The next offset that it reads.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Reads on from this offset.
    pub(crate) fn seek(&mut self, offset: u64) {
        self.next = offset;
    }

    /// Finds the next message that the reader wants, and passes over the others. Returns its block
    /// and its offset. [`seek`](Self::seek) passes over it.
    pub(crate) fn find(&mut self, log: &Log) -> Option<(Arc<Block>, u64)> {
        self.next = self.next.max(log.first());
        loop {
            let block = log.block(self.next)?;
            while let Some(message) = block.get(self.next) {
                if self.filter.accepts(message) {
                    return Some((Arc::clone(block), self.next));
                }
                self.next += 1;
            }
        }
    }
}
