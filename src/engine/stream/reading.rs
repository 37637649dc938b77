//! [`Reading`]: the place of one reader in a stream.

use super::{
    block::Block,
    log::{At, Log},
};
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

/// What a reader finds at its place.
#[derive(Debug)]
pub(crate) enum Found {
    /// The message that it wants next: its block and its offset.
    Message(Block, u64),
    /// The message at this offset is on disk only.
    Disk(u64),
    /// It has read everything.
    End,
}

/// The next offset of a reader, and what it wants.
#[derive(Debug)]
pub(crate) struct Reading {
    next: u64,
    filter: Filter,
    /// A block that was read from the disk for it.
    block: Option<Block>,
    /// Whether such a block is being read.
    reads: bool,
}

impl Reading {
    pub(crate) fn new(next: u64, filter: Filter) -> Reading {
        Reading {
            next,
            filter,
            block: None,
            reads: false,
        }
    }

    /// The next offset that it reads.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Reads on from this offset.
    pub(crate) fn seek(&mut self, offset: u64) {
        self.next = offset;
    }

    /// Finds the next message that the reader wants, and passes over the others.
    /// [`seek`](Self::seek) passes over it.
    pub(crate) fn find(&mut self, log: &Log) -> Found {
        self.next = self.next.max(log.first());
        loop {
            let block = match log.at(self.next) {
                At::Nowhere => return Found::End,
                At::Block(block) => {
                    self.block = None;
                    block.clone()
                }
                At::Disk => match &self.block {
                    Some(own) if own.get(self.next).is_some() => own.clone(),
                    _ => return Found::Disk(self.next),
                },
            };
            while let Some(message) = block.get(self.next) {
                if self.filter.accepts(message) {
                    return Found::Message(block, self.next);
                }
                self.next += 1;
            }
        }
    }

    /// Whether the block that it needs is to be read now. If so, it is being read from now on.
    pub(crate) fn begin_to_read(&mut self) -> bool {
        !std::mem::replace(&mut self.reads, true)
    }

    /// The block was read from the disk. It has no user values. `None` if its messages are gone.
    pub(crate) fn end_read(&mut self, block: Option<Block>) {
        self.reads = false;
        self.block = block;
    }
}
