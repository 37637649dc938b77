//! The delayed messages of a queue or of a delayed exchange, as an operator sees them.

use std::{sync::Arc, time::SystemTime};

use crate::{
    engine::{
        queue::{DelayedKey, QueueCore},
        vhost::VirtualHost,
    },
    message::envelope::Envelope,
    model::name::Name,
};

/// A queue whose delayed messages are listed and cancelled.
#[derive(Clone)]
pub(crate) struct DelayQueue {
    vhost: Arc<VirtualHost>,
    queue: Arc<QueueCore>,
}

impl DelayQueue {
    pub(super) fn new(vhost: &Arc<VirtualHost>, queue: Arc<QueueCore>) -> DelayQueue {
        DelayQueue {
            vhost: Arc::clone(vhost),
            queue,
        }
    }

    /// Tells it apart from all other queues of its virtual host.
    pub(crate) fn id(&self) -> u64 {
        self.queue.id()
    }

    pub(crate) fn name(&self) -> &Name {
        self.queue.name()
    }

    /// The number of delayed messages.
    pub(crate) fn len(&self) -> usize {
        self.queue.delayed().messages as usize
    }

    /// The time in nanoseconds of the virtual host, and the time of day. Reads the clock, which may
    /// be user code.
    pub(crate) fn now(&self) -> (u64, SystemTime) {
        (self.vhost.nanos(), self.vhost.time().system_now())
    }

    /// Looks at up to `most` delayed messages behind `last`, in the order in which they are due.
    /// `look` also gets the name of the exchange. It runs under the queue's lock, and no user code
    /// may be in it.
    pub(crate) fn page<R>(
        &self,
        last: Option<DelayedKey>,
        most: usize,
        mut look: impl FnMut(DelayedKey, &Envelope, Name) -> R,
    ) -> Vec<R> {
        let names = self.vhost.exchange_names();
        self.queue.map_delayed(last, most, |(key, envelope)| {
            look(key, envelope, names.name(envelope.origin()))
        })
    }

    /// Cancels delayed messages, and leaves out those that are not delayed any more. Returns how
    /// many it cancelled.
    pub(crate) fn cancel(&self, keys: Vec<DelayedKey>) -> u64 {
        self.vhost.cancel_delayed(&self.queue, keys)
    }

    /// Cancels all delayed messages. Returns how many.
    pub(crate) fn cancel_all(&self) -> u64 {
        self.vhost.cancel_all_delayed(&self.queue)
    }
}
