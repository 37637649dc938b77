//! The body of a message that goes to durable queues.

use std::{iter, sync::Arc};

use super::{Journal, Operation, StoredQueue};
use crate::model::bytes::Bytes;

/// The body of one message. If several queues keep it, it is kept once, but for streams: each of
/// them has its own. A clone is the same body.
#[derive(Clone, Debug)]
pub(crate) struct StoredBody {
    octets: Bytes,
    shared: Option<Arc<SharedBody>>,
}

/// A body that is kept by itself, and is used by this publish.
///
/// # If dropped
/// The publish uses it no more.
#[derive(Debug)]
struct SharedBody {
    journal: Journal,
    body: u64,
}

impl StoredBody {
    /// A body that these queues keep. `None` if there is none.
    pub(crate) fn new<'a>(
        octets: Bytes,
        mut queues: impl Iterator<Item = &'a StoredQueue>,
    ) -> Option<StoredBody> {
        let first = queues.next()?;
        let journal = first.journal();
        let mut sharing = iter::once(first).chain(queues).filter(|it| !it.is_stream());
        let shared = sharing.nth(1).map(|_| {
            let body = journal.next_number();
            journal.use_body(body);
            let octets = octets.clone();
            journal.append(Operation::PutBody { body, octets }, super::journal::LAZY);
            Arc::new(SharedBody {
                journal: journal.clone(),
                body,
            })
        });
        Some(StoredBody { octets, shared })
    }

    pub(crate) fn octets(&self) -> &Bytes {
        &self.octets
    }

    /// The number of the body, if it is kept by itself.
    pub(crate) fn number(&self) -> Option<u64> {
        self.shared.as_ref().map(|shared| shared.body)
    }
}

impl Drop for SharedBody {
    fn drop(&mut self) {
        self.journal.release_body(self.body);
    }
}
