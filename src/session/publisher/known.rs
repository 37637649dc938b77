//! A publish by a remembered route, which needs no check: straight into the queues.
//!
//! [`Publisher::try_push`] has the most common case of it, a message without properties for one
//! queue. Here are messages for several queues, those with the properties of their publisher, and
//! those with their own.

use std::sync::Arc;

use super::{
    Publisher,
    prepared::Prepared,
    route_cache::{CachedRoute, RouteCache},
};
use crate::{
    engine::{
        queue::QueueCore,
        vhost::{Published, PushFailure, PushOptions, REPLY_TO},
    },
    message::{
        envelope::{Address, Envelope, Meta, NEVER},
        headers::cc_bcc,
        payload::{Body, Payload},
        properties::{Properties, PropertyList},
    },
    model::field_value::FieldTable,
    runtime::waiter::Wake,
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

/// A remembered route, and a handle to the properties that the publisher's messages have.
type KnownRoute = (Arc<CachedRoute>, Option<Arc<Meta>>);

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

/// Whether a publish has nothing to check in these properties but the expiration, and does not
/// change them. They do not select further keys either.
pub(crate) fn need_no_check(properties: &PropertyList) -> bool {
    let headers = properties.headers.as_ref();
    properties.user_id.is_none()
        && properties.reply_to.as_deref() != Some(REPLY_TO)
        && !cc_bcc::is_selected_by_sender(headers)
        && headers.is_none_or(|headers| FieldTable::check_depth(headers).is_ok())
}

impl Publisher {
    /// Publishes a payload with this routing key, or with the publisher's own, and with the
    /// properties of the publisher.
    #[inline(always)]
    pub(crate) fn push_known<'a, P: Payload>(
        &'a self,
        routing_key: Option<&'a str>,
        payload: P,
    ) -> Known<'a, P> {
        let other_key = routing_key.filter(|key| self.config.routing_key != **key);
        if !self.is_unchecked() || self.config.selects_keys {
            return Known::Unknown(payload);
        }
        let mut payload = payload;
        let known = match &self.config.meta {
            // `try_push` has tried it with a message without properties.
            None => self.unchecked_route(other_key).map(|route| (route, None)),
            Some(_) => match self.push_remembered(other_key, payload) {
                Ok(wake) => {
                    if let Some(wake) = wake {
                        wake.wake();
                    }
                    return Known::Published(Published::to_one());
                }
                Err((refused, known)) => {
                    payload = refused;
                    known
                }
            },
        };
        let Some((route, meta)) = known else {
            return Known::Unknown(payload);
        };
        let message = Envelope::complete(Body::new(payload), &route.address, meta);
        self.push_made(route, other_key, message, false, Admission::default())
    }

    /// Puts a payload with the properties of the publisher into the only queue of a remembered
    /// route, if they do not expire. Returns the receiver to be woken.
    ///
    /// # Errors
    /// Returns the payload if the message needs any other check. With it comes the route, if it is
    /// known and writes nothing, and a handle to the properties.
    #[inline(always)]
    fn push_remembered<P: Payload>(
        &self,
        other_key: Option<&str>,
        payload: P,
    ) -> Result<Option<Wake>, (P, Option<KnownRoute>)> {
        let mut remembered = self.routes.lock();
        let known = remembered.current(other_key);
        let Some(known) = known.filter(|known| !known.route.keeps(|| true)) else {
            return Err((payload, None));
        };
        let mut payload = payload;
        let mut handle = known.take_meta();
        let route = &known.route;
        if let Some((meta, queue)) = self.config.lasting_meta().zip(route.only_queue()) {
            let size = meta.size.unwrap_or(payload.size() as u64);
            let make = |payload, position| {
                route.tally.count_push();
                Envelope::complete(Body::new(payload), &route.address, handle.take()).at(position)
            };
            match queue.try_push_with_meta(size, meta, payload, make) {
                Ok(wake) => return Ok(wake),
                Err(refused) => payload = refused,
            }
        }
        Err((payload, Some((Arc::clone(route), handle))))
    }

    /// Publishes a payload with properties of its own. `make` makes the message of both.
    pub(crate) fn push_known_message<'a, P: Payload>(
        &'a self,
        routing_key: Option<&'a str>,
        (payload, properties): (P, Properties),
        make: impl FnOnce(P, Properties, &Address) -> Envelope,
    ) -> Known<'a, (P, Properties)> {
        let other_key = routing_key.filter(|key| self.config.routing_key != **key);
        let is_known = properties
            .as_list()
            .is_none_or(|list| need_no_check(list) && list.expiration_millis().is_ok());
        let route = match is_known {
            true => self.known_to_all(other_key),
            false => None,
        };
        let Some(route) = route else {
            return Known::Unknown((payload, properties));
        };
        let admission = match route.keeps(|| properties.are_persistent()) {
            false => self.admit(&self.config.gate).ok(),
            true => None,
        };
        let Some(admission) = admission else {
            if other_key.is_none() {
                // For the checks that come now.
                RouteCache::cache(route);
            }
            return Known::Unknown((payload, properties));
        };
        let message = make(payload, properties, &route.address);
        let is_at_once = message.expiration() == NEVER;
        self.push_made(route, other_key, message, is_at_once, admission)
    }

    /// Puts a message into the queues of a remembered route. `is_at_once` tells to try first
    /// whether the only queue has a slot for it, since it does not expire by itself.
    #[inline]
    fn push_made<'a, P>(
        &'a self,
        route: Arc<CachedRoute>,
        other_key: Option<&'a str>,
        message: Envelope,
        is_at_once: bool,
        admission: Admission,
    ) -> Known<'a, P> {
        let mut message = Some(message);
        let pushed = match route.only_queue() {
            Some(queue) if is_at_once && push_at_once(queue, &mut message) => {
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
            Err(failure) => self.begun(route, other_key, message, failure, admission),
        }
    }

    /// The remembered route, if a publish by it needs no check and writes nothing.
    #[inline]
    fn unchecked_route(&self, other_key: Option<&str>) -> Option<Arc<CachedRoute>> {
        let route = self.known_to_all(other_key)?;
        if !route.keeps(|| true) {
            return Some(route);
        }
        if other_key.is_none() {
            // For the checks that come now.
            RouteCache::cache(route);
        }
        None
    }

    /// The remembered route, if a publish by it is checked no further and no tap sees it.
    #[inline]
    fn known_to_all(&self, other_key: Option<&str>) -> Option<Arc<CachedRoute>> {
        match other_key {
            _ if !self.is_unchecked() => None,
            None => self.routes.own(&self.config),
            Some(key) => self.routes.other(key),
        }
    }

    /// Whether no message is checked but for its route, and no tap sees it.
    #[inline]
    fn is_unchecked(&self) -> bool {
        let gate = &self.config.gate;
        gate.is_plain() && gate.tap().is_none()
    }

    #[cold]
    #[inline(never)]
    fn begun<'a, P>(
        &'a self,
        route: Arc<CachedRoute>,
        other_key: Option<&'a str>,
        message: Option<Envelope>,
        failure: PushFailure,
        admission: Admission,
    ) -> Known<'a, P> {
        let prepared = Prepared {
            publisher: self,
            route,
            key: other_key.unwrap_or(&self.config.routing_key),
            is_own_key: other_key.is_none(),
            headers: None,
            mandatory: self.config.mandatory,
            due: None,
            admission,
            is_commit: false,
            failure: Some(Box::new(failure)),
            blocked: None,
            written: None,
        };
        Known::Begun(Box::new(Begun { prepared, message }))
    }
}
