//! The readers of streams.

use std::sync::Arc;

use super::{VhostStorage, VirtualHost};
use crate::{
    engine::{queue::QueueCore, store::RecordKind, stream::Progress},
    model::{
        descriptions::Offset,
        error::{Error, Result},
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
        stream.lock().add_reader(progress, from, now);
    }

    /// The offset at which a reader of a stream begins that asks for `from`.
    pub(crate) fn resolve_offset(&self, stream: &QueueCore, from: Offset) -> u64 {
        let now = self.nanos();
        stream.lock().resolve(from, now)
    }

    /// Stores the offset of the last message that readers of this name are done with.
    pub(crate) fn store_offset(&self, stream: &QueueCore, name: &Name, offset: u64) {
        stream.lock().store_offset(name, offset);
        if let Some(storage) = self.storage().filter(|_| stream.stored().is_some()) {
            storage.write_stream_offset(stream.name(), name, Some(offset));
        }
    }

    /// The offset that is stored under a name.
    pub(crate) fn stored_offset(&self, stream: &QueueCore, name: &Name) -> Option<u64> {
        stream.lock().stored_offset(name)
    }
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
