//! The refusal of a message that is in no queue.

use crate::{
    engine::queue::QueueCore,
    model::{error::Error, name::Name},
};

/// What the queues that refused a message have in common.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// The first queue.
    pub(crate) queue: Name,
    /// At least one queue has dead-lettered a copy.
    pub(crate) dead_lettered: bool,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let Refusal {
            queue,
            dead_lettered,
        } = refusal;
        Error::Refused {
            queue,
            dead_lettered,
        }
    }
}

impl Refusal {
    /// Notes one more queue.
    pub(super) fn note(refusal: &mut Option<Refusal>, queue: &QueueCore, dead_lettered: bool) {
        let refusal = refusal.get_or_insert_with(|| Refusal {
            queue: queue.name().clone(),
            dead_lettered,
        });
        refusal.dead_lettered |= dead_lettered;
    }
}
