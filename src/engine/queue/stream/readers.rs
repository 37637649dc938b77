//! The readers and the consumers of a stream, and copies of its messages.

use super::{Stream, StreamProgress};
use crate::{
    engine::{
        queue::{
            QueueCore, QueueState,
            browse::View,
            consumer_id::ConsumerId,
            effects::{Effect, Effects},
            kind::Kind,
            ready::ReadyKey,
        },
        stream::{At, Block, Filter, Found, Progress, Reading},
    },
    model::{arguments::StreamReading, descriptions::Offset, name::Name},
    runtime::waiter::{Ticket, WaitList},
};
use std::sync::{Arc, Weak};

/// What a reader finds that has read its block.
#[derive(Debug)]
pub(crate) enum NextBlock {
    /// The block with this offset.
    Found(Block, u64),
    /// The message at this offset is on disk only, and must be
    /// [read](crate::engine::vhost::VirtualHost::read_block) without the lock.
    Disk(u64),
    /// The message has not come yet. The waiter, if there is one, is registered.
    Empty,
    /// The stream is deleted.
    Deleted,
}

impl QueueCore {
    /// The block with the message at `offset`. If retention has dropped it, the first block that is
    /// kept, and that is noted in `progress`. If it has not come yet, registers the reader with the
    /// ticket.
    pub(crate) fn next_block(
        &self,
        progress: &Progress,
        offset: u64,
        ticket: Option<Ticket<'_>>,
    ) -> NextBlock {
        let mut state = self.lock();
        if state.deleted {
            return NextBlock::Deleted;
        }
        let Some(stream) = state.kind.stream_mut() else {
            return NextBlock::Deleted;
        };
        let kept = offset.max(stream.log.first());
        progress.add_lagged(kept - offset);
        match stream.log.at(kept) {
            At::Block(block) => return NextBlock::Found(block.clone(), kept),
            At::Disk => return NextBlock::Disk(kept),
            At::Nowhere => {}
        }
        if let Some(ticket) = ticket {
            stream.waiting.register(ticket);
        }
        NextBlock::Empty
    }

    /// How far the readers of a stream are. `None` if the queue is not a stream.
    pub(crate) fn stream_progress(&self) -> Option<StreamProgress> {
        let state = self.lock();
        let stream = state.kind.stream()?;
        Some(StreamProgress {
            first: stream.log.first(),
            next: stream.log.next(),
            in_memory: stream.log.in_memory(),
            readers: stream.progress.iter().filter_map(Weak::upgrade).collect(),
            stored: stream.stored.clone(),
        })
    }

    /// Calls `f` with the readers that wait for a message.
    pub(crate) fn with_waiting_readers(&self, f: impl FnOnce(&mut WaitList)) {
        match self.lock().kind.stream_mut() {
            Some(stream) => f(&mut stream.waiting),
            None => f(&mut WaitList::default()),
        }
    }
}

/// A copy of the message at this offset.
pub(in crate::engine) fn view(block: &Block, offset: u64) -> Option<(ReadyKey, View)> {
    let envelope = block.envelope(offset)?;
    Some((ReadyKey::of_offset(offset), (envelope, Ok(()))))
}

impl QueueState {
    /// Copies of up to `most` messages of a stream behind `key` and before the offset `end`.
    ///
    /// # Errors
    /// The offset of the first one, if it is on disk only.
    pub(in crate::engine) fn view_log(
        &self,
        key: Option<ReadyKey>,
        end: u64,
        most: usize,
    ) -> Result<Vec<(ReadyKey, View)>, u64> {
        let Some(stream) = self.kind.stream() else {
            return Ok(Vec::new());
        };
        let first = key.map_or(0, |key| key.position() + 1);
        let first = first.max(stream.log.first());
        let end = end.min(stream.log.next());
        match stream.log.at(first) {
            At::Disk if first < end => Err(first),
            _ => {
                let block = |offset| match stream.log.at(offset) {
                    At::Block(block) => Some(block),
                    At::Disk | At::Nowhere => None,
                };
                let views = (first..end).map_while(|offset| view(block(offset)?, offset));
                Ok(views.take(most).collect())
            }
        }
    }

    /// Whether a message of a stream is gone by retention.
    pub(in crate::engine) fn is_trimmed(&self, offset: u64) -> bool {
        self.kind.stream().is_none_or(|it| offset < it.log.first())
    }

    /// Gives a new consumer of a stream its place.
    pub(in crate::engine::queue) fn begin_reading(
        &mut self,
        id: ConsumerId,
        from: &StreamReading,
        now: u64,
    ) {
        if let Some(stream) = self.kind.stream_mut() {
            let next = stream.log.resolve(from.from, stream.clock.millis(now));
            let reading = Reading::new(next, Filter::of(from));
            stream.readings.push((id, reading));
        }
    }

    /// Forgets the places of consumers that are gone.
    pub(in crate::engine::queue) fn end_reading(&mut self, id: ConsumerId) {
        if let Some(stream) = self.kind.stream_mut() {
            stream.readings.retain(|(other, _)| *other != id);
        }
    }

    /// Adds a reader. It begins behind the offset that is stored under its name, or else at `from`.
    pub(in crate::engine) fn add_reader(
        &mut self,
        progress: &Arc<Progress>,
        from: Offset,
        now: u64,
    ) {
        let Some(stream) = self.kind.stream_mut() else {
            return;
        };
        let stored = stream.stored.get(progress.name());
        let from = match stored {
            Some(stored) => Offset::At(stored.saturating_add(1)),
            None => from,
        };
        progress.set_next(stream.log.resolve(from, stream.clock.millis(now)));
        stream.progress.retain(|other| other.strong_count() > 0);
        stream.progress.push(Arc::downgrade(progress));
        if self.deleted {
            progress.end();
        }
    }

    /// The offset at which a reader begins that asks for `from`.
    pub(in crate::engine) fn resolve(&self, from: Offset, now: u64) -> u64 {
        let stream = self.kind.stream();
        stream.map_or(0, |stream| {
            stream.log.resolve(from, stream.clock.millis(now))
        })
    }

    /// Stores the offset of the last message that readers of this name are done with.
    pub(in crate::engine) fn store_offset(&mut self, name: &Name, offset: u64) {
        if let Some(stream) = self.kind.stream_mut() {
            stream.stored.insert(name.clone(), offset);
        }
    }

    /// The offset that is stored under a name.
    pub(in crate::engine) fn stored_offset(&self, name: &Name) -> Option<u64> {
        self.kind.stream()?.stored.get(name).copied()
    }

    /// Has a consumer read again from this offset, since it has not seen the message there.
    pub(in crate::engine::queue) fn read_again(&mut self, id: ConsumerId, offset: u64) {
        let stream = self.kind.stream_mut();
        if let Some(reading) = stream.and_then(|stream| stream.reading(id)) {
            let next = reading.next().min(offset);
            reading.seek(next);
        }
    }

    /// Delivers to the consumers of a stream what they have credit for.
    pub(in crate::engine::queue) fn serve_readings(&mut self, now: u64, effects: &mut Effects) {
        let Kind::Stream(stream) = &mut self.kind else {
            return;
        };
        let Stream { log, readings, .. } = &mut **stream;
        for (id, reading) in readings {
            loop {
                let (block, offset) = match reading.find(log) {
                    Found::Message(block, offset) => (block, offset),
                    Found::Disk(offset) => {
                        if self.consumers.may_read(*id) && reading.begin_to_read() {
                            effects.add(Effect::ReadStream(*id, offset));
                        }
                        break;
                    }
                    Found::End => break,
                };
                if !self.consumers.may_read(*id) {
                    break;
                }
                let Some(envelope) = block.envelope(offset) else {
                    break;
                };
                let size = envelope.size();
                let mut message = Some(envelope);
                if !self
                    .consumers
                    .deliver_to(*id, &mut message, size, now, effects)
                {
                    break;
                }
                reading.seek(offset + 1);
            }
        }
    }

    /// A block was read from the disk for a consumer, which is served now. `None` if its messages
    /// are gone.
    pub(in crate::engine) fn serve_from_disk(
        &mut self,
        id: ConsumerId,
        block: Option<Block>,
        now: u64,
        effects: &mut Effects,
    ) {
        let stream = self.kind.stream_mut();
        if let Some(reading) = stream.and_then(|stream| stream.reading(id)) {
            reading.end_read(block);
            self.serve_readings(now, effects);
        }
    }

    /// The number of messages that a consumer of a stream has not got yet. Its filter may leave
    /// some of them out.
    pub(in crate::engine::queue) fn unread(&mut self, id: ConsumerId) -> usize {
        let Some(stream) = self.kind.stream_mut() else {
            return 0;
        };
        let end = stream.log.next();
        let next = stream.reading(id).map_or(end, |reading| reading.next());
        end.saturating_sub(next) as usize
    }

    /// Whether a consumer of a stream has not got all messages yet that it may get.
    pub(in crate::engine::queue) fn has_unread(&self) -> bool {
        let unread = |stream: &Stream| {
            let mut readings = stream.readings.iter();
            readings.any(|(_, reading)| reading.next() < stream.log.next())
        };
        self.kind.stream().is_some_and(unread)
    }
}
