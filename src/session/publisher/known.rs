//! A publish by a remembered route, which needs no check: straight into the queues.
//!
//! [`Publisher::try_push`] has the most common case of it, a message without properties for one
//! queue. Here are messages for several queues, and those with the properties of their publisher.

use std::sync::Arc;

use super::{
    Publisher,
    prepared::Prepared,
    route_cache::{CachedRoute, RouteCache},
};
use crate::{
    engine::{
        queue::QueueCore,
        vhost::{Published, PushFailure, PushOptions},
    },
    message::{
        envelope::{Address, Envelope, Meta},
        payload::Payload,
    },
    session::holding::Admission,
};

/// The outcome of a publish by a remembered route.
pub(crate) enum Known<'a, P> {
    /// All queues have the message.
    Published(Published),
    /// Some queues have no room, or are gone. The publish goes on.
    Begun(Box<Begun<'a>>),
    /// Nothing was done: there is no such route, or the publish needs checks.
    Unknown(P),
}

/// A publish that was begun by a remembered route.
pub(crate) struct Begun<'a> {
    pub(crate) prepared: Prepared<'a>,
    /// The message, unless all queues that remain wait for room for it.
    pub(crate) message: Option<Envelope>,
}

/// Puts a message that does not expire by itself into a queue that has a slot for it at once.
/// `false` if it needs any other check.
fn push_at_once(queue: &QueueCore, message: &mut Option<Envelope>) -> bool {
    let size = message.as_ref().map_or(0, Envelope::size);
    queue.try_push_message(size, message)
}

impl Publisher {
    /// Publishes a payload with this routing key, or with the publisher's own. `make` makes the
    /// message with the properties of the publisher.
    #[inline(always)]
    pub(crate) fn push_known<'a, P: Payload>(
        &'a self,
        routing_key: Option<&'a str>,
        payload: P,
        make: impl Fn(P, &Address, Option<Arc<Meta>>) -> Envelope,
    ) -> Known<'a, P> {
        let other_key = routing_key.filter(|key| self.config.routing_key != **key);
        let Some(route) = self.unchecked_route(other_key) else {
            return Known::Unknown(payload);
        };
        let mut meta = self.routes.meta(&self.config);
        let mut payload = payload;
        // `try_push` has tried it with a message without properties.
        let lasting = self.config.lasting_meta().zip(route.only_queue());
        let is_inline = route.address.is_inline();
        if let Some((known, queue)) = lasting.filter(|_| is_inline) {
            let size = known.size.unwrap_or(payload.size() as u64);
            let made = |payload, position| {
                route.tally.count_push();
                make(payload, &route.address, meta.take()).at(position)
            };
            match queue.try_push_with_meta(size, known, payload, made) {
                Ok(()) => {
                    if other_key.is_none() {
                        RouteCache::cache(route);
                    }
                    return Known::Published(Published::to_one());
                }
                Err(refused) => payload = refused,
            }
        }
        let mut message = Some(make(payload, &route.address, meta));
        let pushed = match lasting {
            // The properties are copied for this address before the queue is locked.
            Some((_, queue)) if !is_inline && push_at_once(queue, &mut message) => {
                Ok(Published::to_one())
            }
            _ => {
                let vhost = self.config.gate.vhost();
                vhost.push(&route, &mut message, PushOptions::default())
            }
        };
        match pushed {
            Ok(published) => {
                route.tally.count_routed(published.routed as u64);
                if other_key.is_none() {
                    RouteCache::cache(route);
                }
                Known::Published(published)
            }
            Err(failure) => self.begun(route, other_key, message, failure),
        }
    }

    /// The remembered route, if a publish by it needs no check and writes nothing.
    #[inline]
    fn unchecked_route(&self, other_key: Option<&str>) -> Option<Arc<CachedRoute>> {
        let config = &self.config;
        if !config.gate.is_plain() || config.gate.tap().is_some() {
            return None;
        }
        let route = match other_key {
            None => self.routes.own(config)?,
            Some(key) => self.routes.other(key)?,
        };
        if !route.keeps(|| true) {
            return Some(route);
        }
        if other_key.is_none() {
            // For the checks that come now.
            RouteCache::cache(route);
        }
        None
    }

    #[cold]
    #[inline(never)]
    fn begun<'a, P>(
        &'a self,
        route: Arc<CachedRoute>,
        other_key: Option<&'a str>,
        message: Option<Envelope>,
        failure: PushFailure,
    ) -> Known<'a, P> {
        let prepared = Prepared {
            publisher: self,
            route,
            key: other_key.unwrap_or(&self.config.routing_key),
            is_own_key: other_key.is_none(),
            headers: None,
            mandatory: self.config.mandatory,
            due: None,
            admission: Admission::default(),
            is_commit: false,
            failure: Some(Box::new(failure)),
            blocked: None,
            written: None,
        };
        Known::Begun(Box::new(Begun { prepared, message }))
    }
}
