//! The readers of streams, and what streams have on disk.

use std::sync::Arc;

use super::{
    VhostStorage, VirtualHost,
    envelopes::Envelopes,
    recovered::{RecoveredMessage, RecoveredStream},
};
use crate::{
    engine::{
        queue::{ConsumerId, Effects, QueueCore, ReadyKey, View, view},
        store::{MessageReader, RecordKind, StoredChunk, StoredQueue, StoredSegment, StreamFiles},
        stream::{Block, BlockWriter, Progress, Segment},
    },
    message::envelope::Envelope,
    model::{
        binary::Unreadable,
        descriptions::Offset,
        error::{CancelReason, Error, Result, StoreError},
        message_totals::MessageTotals,
        name::Name,
    },
};

impl VirtualHost {
    /// # Errors
    /// [`Error::PreconditionFailed`] (406) if the queue is not a stream.
    pub(crate) fn check_stream(&self, queue: &QueueCore) -> Result {
        match queue.is_stream() {
            true => Ok(()),
            false => Err(Error::not_a_stream(queue.name(), self.name())),
        }
    }

    /// Adds a reader of a stream. It begins behind the offset that is stored under its name, or
    /// else at `from`.
    pub(crate) fn add_reader(&self, stream: &QueueCore, progress: &Arc<Progress>, from: Offset) {
        let now = self.nanos();
        let from = self.since_on_disk(stream, from, now);
        stream.lock().add_reader(progress, from, now);
    }

    /// The offset at which a reader of a stream begins that asks for `from`.
    pub(crate) fn resolve_offset(&self, stream: &QueueCore, from: Offset) -> u64 {
        let now = self.nanos();
        let from = self.since_on_disk(stream, from, now);
        stream.lock().resolve(from, now)
    }

    /// If `from` is a time whose first message is in a file, the offset of this message, and else
    /// `from`. If the file cannot be read, the reader begins with what is in memory.
    pub(super) fn since_on_disk(&self, stream: &QueueCore, from: Offset, now: u64) -> Offset {
        let Some((stored, files)) = stored_files(stream) else {
            return from;
        };
        let Some(time) = from.since(self.clock().millis(now)) else {
            return from;
        };
        match files.since(stored.number(), time) {
            Ok(Some(offset)) => Offset::At(offset),
            Ok(None) | Err(_) => from,
        }
    }

    /// Reads the message at this offset of a stream from the disk, and some behind it. `None` if it
    /// is gone by retention. Must be called without any lock of the engine held.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn read_block(
        &self,
        stream: &QueueCore,
        offset: u64,
    ) -> Result<Option<Block>, StoreError> {
        let Some((stored, files)) = stored_files(stream) else {
            return Ok(None);
        };
        let read = files.read(stored.number(), offset);
        let chunk = match read {
            Ok(Some(chunk)) => chunk,
            _ if stream.lock().is_trimmed(offset) => return Ok(None),
            Ok(None) => return Err(files.damaged("a message of a stream is missing")),
            Err(error) => return Err(error),
        };
        let mut block: Option<BlockWriter> = None;
        let read = self.read_chunk(stored, &chunk, offset, |envelope, offset, time| {
            let room = (chunk.end() - offset) as usize;
            let block = block.get_or_insert_with(|| BlockWriter::new(offset, time, room));
            // One that came much later than the first is in the next block.
            let has_room = block.has_room(time);
            if has_room {
                block.put(time, envelope);
            }
            has_room
        });
        read.map_err(|error| files.damaged(&error.to_string()))?;
        Ok(block.map(|writer| writer.block()))
    }

    /// Shows the messages of a chunk from an offset on, with their offsets and times, as long as
    /// `show` is true.
    fn read_chunk(
        &self,
        stored: &StoredQueue,
        chunk: &StoredChunk,
        from: u64,
        mut show: impl FnMut(Envelope, u64, u64) -> bool,
    ) -> Result<(), Unreadable> {
        let mut reader = MessageReader::default();
        let mut envelopes = Envelopes::new(self, stored.clock());
        for (offset, came, message) in chunk.from(from) {
            let (head, body) = reader.read(message)?;
            // The body is what the message ends with.
            let body = chunk.end_of(offset, body.len()).unwrap_or_default();
            if !show(envelopes.make(head, body, offset), offset, came) {
                break;
            }
        }
        Ok(())
    }

    /// Reads the message at this offset from the disk, and serves a consumer with it. A consumer
    /// ends if it cannot be read.
    pub(super) fn read_for_consumer(
        self: &Arc<Self>,
        stream: &QueueCore,
        consumer: ConsumerId,
        offset: u64,
    ) -> Effects {
        let read = self.read_block(stream, offset);
        let (now, mut effects) = (self.nanos(), Effects::none());
        let mut state = stream.lock();
        match read {
            Ok(block) => state.serve_from_disk(consumer, block, now, &mut effects),
            Err(_) => {
                state.cancel_consumer(consumer, CancelReason::Unreadable, now, &mut effects);
            }
        }
        effects
    }

    /// Copies of up to `most` messages of a stream behind `key` and before the offset `end`.
    ///
    /// # Errors
    /// The offset of the first one, and why it cannot be read from the disk.
    pub(crate) fn view_stream(
        &self,
        stream: &QueueCore,
        key: Option<ReadyKey>,
        end: u64,
        most: usize,
    ) -> Result<Vec<(ReadyKey, View)>, (ReadyKey, StoreError)> {
        loop {
            let viewed = stream.lock().view_log(key, end, most);
            let on_disk = match viewed {
                Ok(views) => return Ok(views),
                Err(offset) => offset,
            };
            let read = self.read_block(stream, on_disk);
            if let Some(block) = read.map_err(|error| (ReadyKey::of_offset(on_disk), error))? {
                let views = (on_disk..end).map_while(|offset| view(&block, offset));
                return Ok(views.take(most).collect());
            }
        }
    }

    /// Puts what the store has of a stream back into its log.
    ///
    /// # Errors
    /// Those of the disk, if it is read now: the messages of a stream that is in memory come back
    /// a last time.
    pub(super) fn restore_stream(
        &self,
        stream: &QueueCore,
        recovered: RecoveredStream,
    ) -> Result<Effects> {
        let mut effects = Effects::none();
        let Some((stored, files)) = stored_files(stream) else {
            return Ok(effects);
        };
        stream.lock().restore_offset(recovered.first);
        for segment in recovered.segments {
            match stored.is_in_memory() {
                true => self.restore_segment(stream, (stored, files), &segment, &mut effects)?,
                false => stream.lock().restore_segment(on_disk(&segment)),
            }
        }
        let mut envelopes = Envelopes::new(self, stored.clock());
        let mut state = stream.lock();
        for (message, arrival) in recovered.entries {
            let RecoveredMessage {
                position,
                head,
                body,
                ..
            } = message;
            let envelope = envelopes.make(head, body, position);
            state.restore_to_log(arrival.begins, envelope, arrival.came, &mut effects);
        }
        drop(state);
        Ok(effects)
    }

    /// Reads all messages of a segment into memory.
    fn restore_segment(
        &self,
        stream: &QueueCore,
        (stored, files): (&StoredQueue, &Arc<dyn StreamFiles>),
        segment: &StoredSegment,
        effects: &mut Effects,
    ) -> Result {
        let mut next = segment.first;
        while next < segment.end() {
            let Some(chunk) = files.read(stored.number(), next)? else {
                break;
            };
            let mut state = stream.lock();
            let read = self.read_chunk(stored, &chunk, next, |envelope, offset, came| {
                state.restore_to_log(offset == segment.first, envelope, came, effects);
                true
            });
            read.map_err(|error| files.damaged(&error.to_string()))?;
            next = chunk.end();
        }
        Ok(())
    }

    /// Stores the offset of the last message that readers of this name are done with.
    pub(crate) fn store_offset(&self, stream: &QueueCore, name: &Name, offset: u64) {
        let mut state = stream.lock();
        if state.is_deleted() {
            // A stream of the same name may be there by now, with offsets of its own.
            return;
        }
        state.store_offset(name, offset);
        // Under the lock, so that the disk has the last one.
        let is_kept = stream.stored().is_some_and(|stored| !stored.is_in_memory());
        if let Some(storage) = self.storage().filter(|_| is_kept) {
            storage.write_stream_offset(stream.name(), name, Some(offset));
        }
    }

    /// The offset that is stored under a name.
    pub(crate) fn stored_offset(&self, stream: &QueueCore, name: &Name) -> Option<u64> {
        stream.lock().stored_offset(name)
    }
}

/// The store of a stream, and the files of streams there.
fn stored_files(stream: &QueueCore) -> Option<(&StoredQueue, &Arc<dyn StreamFiles>)> {
    let stored = stream.stored()?;
    Some((stored, stored.stream_files()?))
}

fn on_disk(segment: &StoredSegment) -> Segment {
    let totals = MessageTotals::new(segment.messages, segment.size);
    let times = (segment.first_time, segment.last_time);
    Segment::on_disk(segment.first, totals, segment.bytes, times)
}

impl VhostStorage {
    /// Writes an offset that a reader of a stream has stored. `None` forgets it.
    pub(super) fn write_stream_offset(&self, stream: &Name, reader: &Name, offset: Option<u64>) {
        let value = offset.as_ref();
        let value = value.map(|offset| offset as &dyn erased_serde::Serialize);
        self.write(
            RecordKind::StreamOffset,
            &(&self.vhost, stream, reader),
            value,
        );
    }
}
