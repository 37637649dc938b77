//! A reader of one stream, without the type of the payload.
//!
//! It has a block of the stream, and takes the lock of the stream only for the next block. All
//! readers share the blocks and the values in them, but for those that a reader has read from the
//! disk itself.

use std::{sync::Arc, task::Poll};

use super::{
    delivery::decoding,
    delivery_info::DeliveryInfo,
    gate::Gate,
    unacked::{DeliveryOrigin, Unacked},
    undecoded::Undecoded,
};
use crate::{
    engine::{
        queue::NextBlock,
        stream::{Block, Filter, Progress},
        vhost::VirtualHost,
    },
    message::{
        codec::{Codecs, Json},
        envelope::LoggedMessage,
        payload::Payload,
    },
    model::{
        arguments::StreamReading,
        descriptions::{Offset, Queue},
        error::{CancelReason, CodecError, Result},
        name::Name,
    },
    runtime::{
        sync::{Mutex, MutexGuard},
        waiter::{Ticket, WaitList, Waitable, Wake},
    },
};

/// Reads a stream from its own position on.
pub(crate) struct StreamReader {
    gate: Arc<Gate>,
    /// Everything is acknowledged from the start.
    origin: Arc<DeliveryOrigin>,
    progress: Arc<Progress>,
    filter: Filter,
    place: Mutex<Place>,
}

/// Where a reader is.
struct Place {
    next: u64,
    /// The block that it reads.
    block: Option<Arc<ReadBlock>>,
    /// Whether the last look has found that the message there cannot be read from the disk.
    is_unreadable: bool,
}

/// A block that a reader has, with its own count of references: so the readers do not write to a
/// cache line of one another for each message.
pub(crate) struct ReadBlock {
    block: Block,
    origin: Arc<DeliveryOrigin>,
}

impl ReadBlock {
    /// The message at this offset. It is there: the reader has seen it.
    pub(crate) fn get(&self, offset: u64) -> Option<&LoggedMessage> {
        self.block.get(offset)
    }

    /// When the message at this offset came, in milliseconds since 1970.
    pub(crate) fn time(&self, offset: u64) -> u64 {
        self.block.time(offset).unwrap_or_default()
    }

    pub(crate) fn stream(&self) -> &Name {
        self.origin.queue.name()
    }

    /// The exchange that the message at this offset was published to.
    pub(crate) fn exchange(&self, offset: u64) -> Name {
        let message = self.get(offset);
        message.map_or_else(Name::empty, |message| {
            self.origin.exchange(message.origin())
        })
    }

    /// Decodes the message at this offset. `None` if it has a `T` itself.
    pub(crate) fn open<T: Payload>(
        &self,
        offset: u64,
        codecs: &Codecs,
    ) -> Result<Option<Box<T>>, Undecoded> {
        let Some(message) = self.get(offset) else {
            return Ok(None);
        };
        if !codecs.is_restricted() && message.body().holds::<T>() {
            return Ok(None);
        }
        self.decode(offset, message, codecs)
    }

    fn decode<T: Payload>(
        &self,
        offset: u64,
        message: &LoggedMessage,
        codecs: &Codecs,
    ) -> Result<Option<Box<T>>, Undecoded> {
        let properties = message.properties();
        let content_type = properties.content_type.as_deref();
        let encoding = properties.content_encoding.as_deref();
        let writer = message.meta().and_then(|meta| meta.codec.as_deref());
        let writer = writer.unwrap_or(&Json);
        let opened = decoding::<T, _>(content_type, || {
            T::open(message.body(), writer, content_type, encoding, codecs)
        });
        opened.map_err(|error| self.undecoded(offset, error))
    }

    fn undecoded(&self, offset: u64, error: CodecError) -> Undecoded {
        let unacked = match self.block.envelope(offset) {
            Some(envelope) => Unacked::new(Arc::clone(&self.origin), envelope),
            None => Unacked::settled(),
        };
        Undecoded::new(error, DeliveryInfo { unacked })
    }
}

impl StreamReader {
    /// Declares the stream, and opens a reader of it.
    ///
    /// # Errors
    /// Those of the declaration, and 406 if the queue is not a stream.
    pub(crate) fn open(
        gate: Arc<Gate>,
        stream: &Queue,
        name: Name,
        reading: &StreamReading,
    ) -> Result<StreamReader> {
        let queue = gate.declare_stream(stream)?;
        let vhost = gate.vhost();
        let progress = Arc::new(Progress::new(name));
        vhost.add_reader(&queue, &progress, reading.from);
        Ok(StreamReader {
            origin: DeliveryOrigin::gets(vhost, &queue, true),
            place: Mutex::new(Place {
                next: progress.next(),
                block: None,
                is_unreadable: false,
            }),
            progress,
            filter: Filter::of(reading),
            gate,
        })
    }

    pub(crate) fn vhost(&self) -> &Arc<VirtualHost> {
        &self.origin.vhost
    }

    pub(crate) fn stream(&self) -> &Name {
        self.origin.queue.name()
    }

    /// Whether the user may still read from the stream.
    #[inline]
    pub(crate) fn check_read(&self) -> Result<(), CancelReason> {
        match self.gate.is_unlimited() {
            true => Ok(()),
            false => self.gate.check_reader(self.stream()),
        }
    }

    /// Goes on at another offset.
    pub(crate) fn seek(&self, to: Offset) {
        let next = self.vhost().resolve_offset(&self.origin.queue, to);
        // It may be the last one that has the block.
        let block = {
            let mut place = self.place.lock();
            place.next = next;
            place.is_unreadable = false;
            self.progress.set_next(next);
            place.block.take()
        };
        drop(block);
        // A thread that waits for the next message may have one now.
        let mut waiting = Vec::new();
        let queue = &self.origin.queue;
        queue.with_waiting_readers(|readers| waiting = readers.take_all());
        waiting.into_iter().for_each(Wake::wake);
    }

    /// The next offset that it reads.
    pub(crate) fn next_offset(&self) -> u64 {
        self.progress.next()
    }

    /// The messages that were gone before the reader came to them.
    pub(crate) fn lagged(&self) -> u64 {
        self.progress.lagged()
    }

    /// The name under which it stores its offset; empty for none.
    pub(crate) fn name(&self) -> &Name {
        self.progress.name()
    }

    /// Stores an offset under the name of the reader.
    pub(crate) fn store_offset(&self, offset: u64) -> Result {
        self.vhost().check_up()?;
        self.vhost()
            .store_offset(&self.origin.queue, self.name(), offset);
        Ok(())
    }

    /// The offset that is stored under the name of the reader.
    pub(crate) fn stored_offset(&self) -> Option<u64> {
        self.vhost().stored_offset(&self.origin.queue, self.name())
    }

    /// Why no message came at last, and none will come from here.
    pub(crate) fn ended(&self) -> Option<CancelReason> {
        if self.progress.has_ended() {
            return Some(self.end_reason());
        }
        let unreadable = self.place.lock().is_unreadable;
        let unreadable = unreadable.then_some(CancelReason::Unreadable);
        self.check_read().err().or(unreadable)
    }

    fn end_reason(&self) -> CancelReason {
        let down = self.vhost().why_down();
        down.unwrap_or(CancelReason::QueueDeleted)
    }

    /// The next message in the block that it reads.
    #[inline]
    fn next_in_block(&self, place: &mut Place) -> Option<(Arc<ReadBlock>, u64)> {
        let block = place.block.as_ref()?;
        while let Some(message) = block.get(place.next) {
            let offset = place.next;
            place.next += 1;
            if self.filter.accepts(message) {
                place.is_unreadable = false;
                self.progress.set_next(place.next);
                return Some((Arc::clone(block), offset));
            }
        }
        None
    }

    /// Goes on with the block behind the one that it has read.
    #[inline(never)]
    fn look_for_block(
        &self,
        mut place: MutexGuard<'_, Place>,
        ticket: Option<Ticket<'_>>,
    ) -> Poll<Result<(Arc<ReadBlock>, u64), CancelReason>> {
        // Dropped after the lock, since a block may be dropped with its last reader.
        let mut read = Vec::new();
        place.is_unreadable = false;
        let found = loop {
            let queue = &self.origin.queue;
            let found = match queue.next_block(&self.progress, place.next, ticket) {
                NextBlock::Found(found, offset) => {
                    place.next = offset;
                    found
                }
                NextBlock::Disk(offset) => {
                    place.next = offset;
                    match self.vhost().read_block(queue, offset) {
                        Ok(Some(found)) => found,
                        // Retention has dropped it meanwhile.
                        Ok(None) => continue,
                        Err(_) => {
                            place.is_unreadable = true;
                            break Poll::Ready(Err(CancelReason::Unreadable));
                        }
                    }
                }
                NextBlock::Empty => {
                    self.progress.set_next(place.next);
                    break Poll::Pending;
                }
                NextBlock::Deleted => break Poll::Ready(Err(self.end_reason())),
            };
            let found = ReadBlock {
                block: found,
                origin: Arc::clone(&self.origin),
            };
            read.extend(place.block.replace(Arc::new(found)));
            if let Some(found) = self.next_in_block(&mut place) {
                break Poll::Ready(Ok(found));
            }
        };
        drop(place);
        found
    }
}

/// A reader waits for the message at its position. Readers of the same stream are all woken by the
/// next message.
impl Waitable for StreamReader {
    type Output = Result<(Arc<ReadBlock>, u64), CancelReason>;

    #[inline]
    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Self::Output> {
        if self.progress.has_ended() {
            return Poll::Ready(Err(self.end_reason()));
        }
        let mut place = self.place.lock();
        match self.next_in_block(&mut place) {
            Some(found) => Poll::Ready(Ok(found)),
            None => self.look_for_block(place, ticket),
        }
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        self.origin.queue.with_waiting_readers(f);
    }
}
