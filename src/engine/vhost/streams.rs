//! The readers of streams.

use std::sync::Arc;

use super::VirtualHost;
use crate::{
    engine::{queue::QueueCore, stream::Progress},
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
    }

    /// The offset that is stored under a name.
    pub(crate) fn stored_offset(&self, stream: &QueueCore, name: &Name) -> Option<u64> {
        stream.lock().stored_offset(name)
    }
}
