//! The body of a message that is published to durable queues.

use super::{Journal, Operation};
use crate::model::bytes::Bytes;

/// The body of one publish. If several queues keep it, it is kept once.
#[derive(Debug)]
pub(crate) struct StoredBody {
    octets: Bytes,
    shared: Option<SharedBody>,
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
    /// A body that `queues` queues keep.
    pub(crate) fn new(octets: Bytes, queues: usize, journal: &Journal) -> StoredBody {
        let shared = (queues > 1).then(|| {
            let body = journal.next_number();
            journal.use_body(body);
            let octets = octets.clone();
            journal.append(Operation::PutBody { body, octets }, super::journal::LAZY);
            SharedBody {
                journal: journal.clone(),
                body,
            }
        });
        StoredBody { octets, shared }
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
