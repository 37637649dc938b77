//! [`Block`]: a run of messages of a stream, which readers share.

use std::sync::Arc;

use once_array::{OnceArray, OnceArrayWriter};

use crate::message::{
    envelope::{Envelope, LoggedMessage},
    payload::{Body, Lender},
};

/// The most messages of a block.
const LARGEST: usize = 256;

/// Consecutive messages of a stream. Clones are the same block. Its [`BlockWriter`] may add
/// messages, and all clones see them.
#[derive(Clone)]
pub(crate) struct Block {
    /// The offset of the first message.
    first: u64,
    /// The time from which the messages count theirs.
    base: u64,
    messages: Arc<OnceArray<LoggedMessage>>,
}

/// Adds messages to a block. The lock of the stream guards it.
pub(crate) struct BlockWriter {
    first: u64,
    base: u64,
    messages: OnceArrayWriter<LoggedMessage>,
}

impl BlockWriter {
    /// The room of the first block of a stream. A stream may stay small.
    pub(super) const SMALLEST: usize = 16;

    /// Begins a block of up to `room` messages from this offset and this time on.
    pub(crate) fn new(first: u64, base: u64, room: usize) -> BlockWriter {
        BlockWriter {
            first,
            base,
            messages: OnceArrayWriter::with_capacity(room),
        }
    }

    /// The room of the block after one of `last` messages.
    pub(super) fn room_after(last: usize) -> usize {
        (last * 2).min(LARGEST)
    }

    /// The block that it writes.
    pub(crate) fn block(&self) -> Block {
        Block {
            first: self.first,
            base: self.base,
            messages: Arc::clone(self.messages.reader()),
        }
    }

    /// Whether the next message belongs into this block: there is room, and its time is not too
    /// late.
    #[inline]
    pub(crate) fn has_room(&self, time: u64) -> bool {
        self.messages.remaining_capacity() > 0 && self.millis(time) <= u64::from(u32::MAX)
    }

    /// Adds the next message, for which there [is room](Self::has_room).
    #[inline(always)]
    pub(crate) fn put(&mut self, time: u64, envelope: Envelope) {
        let millis = self.millis(time) as u32;
        let _ = self.messages.try_push(LoggedMessage::new(envelope, millis));
        self.messages.commit();
    }

    #[inline]
    fn millis(&self, time: u64) -> u64 {
        time.saturating_sub(self.base)
    }
}

impl Block {
    /// The offset of the first message.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The message at this offset, if it is here and has come.
    #[inline]
    pub(crate) fn get(&self, offset: u64) -> Option<&LoggedMessage> {
        let index = usize::try_from(offset.checked_sub(self.first)?).ok()?;
        self.messages.get(index)
    }

    /// When the message at this offset came, in milliseconds since 1970.
    pub(crate) fn time(&self, offset: u64) -> Option<u64> {
        Some(self.base + u64::from(self.get(offset)?.millis))
    }

    /// A copy for a consumer of the message at this offset.
    pub(crate) fn envelope(&self, offset: u64) -> Option<Envelope> {
        let message = self.get(offset)?;
        let lender: Arc<dyn Lender> = Arc::clone(&self.messages) as _;
        Some(message.envelope(&lender, (offset - self.first) as u32, offset))
    }
}

impl Lender for OnceArray<LoggedMessage> {
    fn body(&self, index: u32) -> Option<&Body> {
        Some(self.get(index as usize)?.body())
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block")
            .field("first", &self.first)
            .field("room", &self.messages.capacity())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for BlockWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.block().fmt(f)
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::thread;

    use super::*;
    use crate::{
        message::envelope::{Address, ExchangeId},
        model::name::Name,
    };

    fn message(number: u64) -> Envelope {
        let address = Address::new(&ExchangeId::Interned(0), &Name::empty());
        Envelope::new(Body::new(number), &address, None)
    }

    fn number(block: &Block, offset: u64) -> Option<u64> {
        block.get(offset)?.body().downcast_ref().copied()
    }

    #[test]
    fn a_block_shows_each_message_to_all_its_clones_until_it_is_full() {
        let mut writer = BlockWriter::new(7, 1_000, 3);
        let (first, second) = (writer.block(), writer.block().clone());
        for offset in 7..10 {
            assert_eq!(number(&first, offset), None);
            assert!(writer.has_room(1_000 + offset));
            writer.put(1_000 + offset, message(offset));
            assert_eq!(number(&first, offset), Some(offset));
            assert_eq!(number(&second, offset), Some(offset));
            assert_eq!(second.time(offset), Some(1_000 + offset));
        }
        assert!(!writer.has_room(1_010));
        drop((writer, first));
        assert_eq!((number(&second, 6), number(&second, 10)), (None, None));
    }

    #[test]
    fn a_message_that_comes_weeks_after_the_first_belongs_into_another_block() {
        let mut writer = BlockWriter::new(0, 5, 2);
        assert!(writer.has_room(5 + u64::from(u32::MAX)));
        assert!(!writer.has_room(6 + u64::from(u32::MAX)));
        writer.put(5 + u64::from(u32::MAX), message(0));
        assert_eq!(writer.block().time(0), Some(5 + u64::from(u32::MAX)));
    }

    #[test]
    fn readers_on_other_threads_see_whole_messages_in_order() {
        const MESSAGES: u64 = 10_000;
        let mut writer = BlockWriter::new(0, 0, MESSAGES as usize);
        let readers = [writer.block(), writer.block()].map(|block| {
            thread::spawn(move || {
                let mut next = 0;
                while next < MESSAGES {
                    match number(&block, next) {
                        Some(read) => {
                            assert_eq!(read, next);
                            next += 1;
                        }
                        None => thread::yield_now(),
                    }
                }
            })
        });
        (0..MESSAGES).for_each(|offset| writer.put(0, message(offset)));
        for reader in readers {
            reader.join().unwrap();
        }
    }
}
