//! A queue, or the messages of a delayed exchange, whose messages are copied for an export.

use std::{sync::Arc, time::Duration};

use crate::{
    engine::{
        queue::{DelayedKey, QueueCore, ReadyKey, View},
        vhost::VirtualHost,
    },
    message::{
        envelope::{NEVER, SharedProperties},
        payload::{NotShareable, not_encodable},
    },
    model::{
        bytes::Bytes,
        error::{CodecError, Result, StoreError},
        name::Name,
    },
};

/// Where messages are copied from.
#[derive(Clone)]
pub(crate) struct ExportedQueue {
    vhost: Arc<VirtualHost>,
    queue: Arc<QueueCore>,
}

/// How far the copies of a queue have come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ExportPlace {
    /// Behind this ready message, and before the position `end`. The delayed messages come then, if
    /// they are wanted.
    Ready {
        last: Option<ReadyKey>,
        end: u64,
        with_delayed: bool,
    },
    /// Behind this delayed message.
    Delayed { last: Option<DelayedKey> },
    /// Behind all messages.
    End,
}

/// A copy of a message.
#[derive(Clone, Debug)]
pub(crate) struct Exported {
    /// Its place among the ready messages. `None` if it is delayed.
    pub(crate) key: Option<ReadyKey>,
    pub(crate) position: u64,
    /// The exchange that it was published to.
    pub(crate) exchange: Name,
    pub(crate) routing_key: Box<str>,
    pub(crate) properties: SharedProperties,
    pub(crate) body: Result<Bytes, CodecError>,
    pub(crate) size: u64,
    pub(crate) type_name: &'static str,
    pub(crate) redelivered: bool,
    pub(crate) acquired_count: u32,
    pub(crate) delivery_count: u32,
    /// The rest of its delay, if it is delayed.
    pub(crate) due_in: Option<Duration>,
}

impl Exported {
    /// A message that is on disk only, and cannot be read there.
    fn unreadable(key: ReadyKey, error: &StoreError) -> Exported {
        Exported {
            key: Some(key),
            position: key.position(),
            exchange: Name::empty(),
            routing_key: "".into(),
            properties: SharedProperties::Own(Arc::default()),
            body: Err(CodecError::new("stream", error)),
            size: 0,
            type_name: "",
            redelivered: false,
            acquired_count: 0,
            delivery_count: 0,
            due_in: None,
        }
    }
}

impl ExportedQueue {
    pub(super) fn new(vhost: &Arc<VirtualHost>, queue: Arc<QueueCore>) -> ExportedQueue {
        ExportedQueue {
            vhost: Arc::clone(vhost),
            queue,
        }
    }

    /// The name of the queue, or of the delayed exchange.
    pub(crate) fn name(&self) -> &Name {
        self.queue.name()
    }

    /// Tells it apart from all other queues of its virtual host.
    pub(crate) fn id(&self) -> u64 {
        self.queue.id()
    }

    /// Where its copies begin, with those of the delayed messages or without. Messages that arrive
    /// from now on are not copied.
    pub(crate) fn start(&self, with_delayed: bool) -> ExportPlace {
        ExportPlace::Ready {
            last: None,
            end: self.vhost.end_position(&self.queue),
            with_delayed,
        }
    }

    /// Copies of the next messages: first of the ready ones, then of the delayed ones. Moves
    /// `place` behind them. Empty at the end. The payloads are encoded when the lock is free, which
    /// runs user code.
    pub(crate) fn page(&self, place: &mut ExportPlace, most: usize) -> Vec<Exported> {
        if let ExportPlace::Ready {
            last,
            end,
            with_delayed,
        } = place
        {
            let page = match self.queue.is_stream() {
                true => self.vhost.view_stream(&self.queue, *last, *end, most),
                false => Ok(self.vhost.view_ready(&self.queue, *last, *end, most)),
            };
            let page = match page {
                Ok(page) => page,
                Err((unreadable, error)) => {
                    *last = Some(unreadable);
                    return vec![Exported::unreadable(unreadable, &error)];
                }
            };
            if let Some((behind, _)) = page.last() {
                *last = Some(*behind);
                let views = page.into_iter();
                let views = views.map(|(key, view)| self.encode(view, Some(key), None));
                return views.collect();
            }
            *place = match with_delayed {
                true => ExportPlace::Delayed { last: None },
                false => ExportPlace::End,
            };
        }
        let ExportPlace::Delayed { last } = place else {
            return Vec::new();
        };
        let now = self.vhost.nanos();
        let page = self.vhost.view_delayed(&self.queue, *last, most);
        *last = page.last().map_or(*last, |(behind, _)| Some(*behind));
        let views = page.into_iter().map(|((due, _), view)| {
            let due_in = match due {
                NEVER => Duration::MAX,
                due => Duration::from_nanos(due.saturating_sub(now)),
            };
            self.encode(view, None, Some(due_in))
        });
        views.collect()
    }

    /// The payload is shared until it is encoded. After that a consumer can have it for itself.
    fn encode(
        &self,
        (envelope, shared): View,
        key: Option<ReadyKey>,
        due_in: Option<Duration>,
    ) -> Exported {
        let (type_name, body) = match shared {
            Ok(()) => (envelope.body().type_name(), envelope.encode()),
            Err(NotShareable { type_name }) => (type_name, Err(not_encodable(type_name))),
        };
        Exported {
            key,
            position: envelope.position(),
            exchange: self.vhost.exchange_names().name(envelope.origin()),
            routing_key: envelope.routing_key().into(),
            properties: envelope.shared_properties(),
            body,
            size: envelope.size(),
            type_name,
            redelivered: envelope.redelivered(),
            acquired_count: envelope.acquired_count(),
            delivery_count: envelope.delivery_count(),
            due_in,
        }
    }
}
