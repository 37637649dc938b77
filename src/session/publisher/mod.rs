//! Publishing to one exchange: the untyped twin of [`Subscriber`](super::subscriber::Subscriber).
//!
//! The one place where a publish is checked, routed and waited for. Files: `route_cache` remembers
//! routes; `known` is a publish that needs no checks; `prepared` is one that has passed them, and
//! `commit` that of a transaction; `low_disk` is its wait for room on the disk; `outbound` hands it
//! to an engine outside of this process; `waits` tells the connection of a wait; `pause` is the
//! wait before a publish is tried again; `tap` is how a test kit takes part.

mod commit;
mod known;
mod low_disk;
mod not_published;
mod outbound;
mod pause;
mod prepared;
mod route_cache;
mod show_taps;
mod tap;
mod unsynced;
mod waits;

use std::{collections::vec_deque, sync::Arc, time::Duration};

#[cfg(feature = "testing")]
pub(crate) use self::tap::{Attempt, Course};
pub(crate) use self::{
    known::{Begun, Known, need_no_check},
    not_published::NotPublished,
    pause::Pause,
    prepared::Prepared,
    route_cache::CachedRoute,
    tap::Tap,
    unsynced::Pushed,
};
pub(crate) use super::holding::Claim;

use self::route_cache::RouteCache;
use super::{
    gate::Gate,
    holding::{self, Admission},
};
use crate::{
    engine::queue::{QueueCore, after},
    message::{
        envelope::{Address, Envelope, Meta},
        outgoing::Delay,
        payload::{Body, Payload},
        properties::{Properties, PropertyList, RoutingProperties},
    },
    model::{error::Result, field_value::FieldTable, name::Name},
    runtime::waiter::Waitable,
};

/// Publishes to one exchange. Its clones share the settings, and each remembers its own routes.
pub(crate) struct Publisher {
    config: Arc<PublisherConfig>,
    routes: RouteCache,
    /// Of the delivery on whose behalf it publishes.
    claim: Option<Arc<Claim>>,
}

/// The settings of a publisher; never written.
pub(crate) struct PublisherConfig {
    pub(super) gate: Arc<Gate>,
    pub(super) exchange: Name,
    /// Of messages that name none.
    pub(super) routing_key: Name,
    pub(super) mandatory: bool,
    /// Of messages that bring no properties of their own; `None` if there is nothing to say.
    pub(super) meta: Option<Arc<Meta>>,
    /// The headers of such messages as given, which route as well.
    pub(super) headers: Option<FieldTable>,
    /// Whether there is nothing to be said of such messages, and no tap sees them.
    pub(super) is_plain: bool,
    /// Whether such messages expire by themselves.
    pub(super) expires: bool,
    /// Whether such messages have more keys than their own, so that no remembered route is theirs.
    pub(super) selects_keys: bool,
}

/// How a publish deals with full blocking queues and spent blocking budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFull {
    /// It waits for room.
    Wait,
    /// They refuse the message.
    Refuse,
    /// It waits at most this long. Then they refuse the message.
    WaitFor(Duration),
}

/// What one message says that its publisher does not say already.
#[derive(Clone, Copy, Default)]
pub(crate) struct Overrides<'a> {
    pub(crate) routing_key: Option<&'a str>,
    pub(crate) mandatory: Option<bool>,
    pub(crate) delay: Delay,
}

/// The connection or the channel on whose behalf a publish waits.
pub(crate) trait Caller {
    /// Ready once the caller is closed.
    type Closing: Waitable<Output = ()>;

    fn closing(&self) -> Self::Closing;

    /// # Errors
    /// Those of a closed caller.
    fn check_open(&self) -> Result;

    /// Whether the caller itself holds unsettled deliveries.
    fn holds_deliveries(&self) -> bool {
        false
    }

    /// What the caller has against properties, once the exchange is known.
    ///
    /// # Errors
    /// [`PreconditionFailed`](crate::Error::PreconditionFailed).
    fn check_properties(&self, properties: &Properties) -> Result;
}

impl Publisher {
    pub(super) fn new(config: PublisherConfig) -> Publisher {
        config.gate.churn().publishers_opened.add(1);
        Publisher {
            config: Arc::new(config),
            routes: RouteCache::default(),
            claim: None,
        }
    }

    /// The same publisher, on behalf of a delivery.
    pub(crate) fn with_claim(&self, claim: Claim) -> Publisher {
        Publisher {
            claim: Some(Arc::new(claim)),
            ..self.clone()
        }
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.config.gate
    }

    pub(crate) fn exchange(&self) -> &Name {
        &self.config.exchange
    }

    pub(crate) fn routing_key(&self) -> &Name {
        &self.config.routing_key
    }

    pub(crate) fn is_mandatory(&self) -> bool {
        self.config.mandatory
    }

    /// Publishes a payload in the common case: it has no options, and goes to one queue that has a
    /// slot for it at once. The message is made under the queue's lock.
    ///
    /// # Errors
    /// Gives the payload back in all other cases, which are for [`prepare`](Self::prepare).
    #[inline(always)]
    pub(crate) fn try_push<P: Payload>(&self, payload: P) -> Result<(), P> {
        if !self.is_plain() {
            return uncommon(payload);
        }
        let Some(route) = self.routes.own(&self.config) else {
            return uncommon(payload);
        };
        let pushed = push_to(&route, payload);
        RouteCache::cache(route);
        pushed
    }

    /// As [`try_push`](Self::try_push), with any routing key.
    #[inline(always)]
    pub(crate) fn try_push_with_key<P: Payload>(
        &self,
        routing_key: &str,
        payload: P,
    ) -> Result<(), P> {
        if self.config.routing_key == *routing_key {
            return self.try_push(payload);
        }
        if !self.is_plain() {
            return uncommon(payload);
        }
        match self.routes.other(routing_key) {
            Some(route) => push_to(&route, payload),
            None => uncommon(payload),
        }
    }

    /// The route of a key, if it is known. The connection and its taps are not asked.
    pub(crate) fn known_route(&self, routing_key: &str) -> Option<Arc<CachedRoute>> {
        self.routes.known(&self.config, Some(routing_key), None)
    }

    /// As [`try_push`](Self::try_push), for many payloads in one critical section. Returns a
    /// message that was made and then refused, if there is one. Payloads that were not taken stay
    /// in `payloads`.
    pub(crate) fn try_push_run<P: Payload>(
        &self,
        payloads: &mut vec_deque::Drain<'_, P>,
        size: impl Fn(&P) -> u64,
        make: impl Fn(P, &Address, u64) -> Envelope,
    ) -> Option<Envelope> {
        if !self.is_plain() {
            return None;
        }
        let route = self.routes.own(&self.config)?;
        let before = payloads.len();
        let refused = route.only_queue().and_then(|queue| {
            let make = |payload, position| make(payload, &route.address, position);
            let vhost = self.config.gate.vhost();
            vhost.push_run(queue, payloads, size, make)
        });
        let taken = before - payloads.len() - usize::from(refused.is_some());
        route.tally.count_sent(taken as u64);
        RouteCache::cache(route);
        refused
    }

    /// Whether there is nothing to be said of a message, and nothing against it.
    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.config.is_plain && self.config.gate.is_plain()
    }

    /// Checks a message in RabbitMQ's order, and finds its route. The order is: an open connection,
    /// the length of the key, the depth of the headers, the user's permission, the exchange,
    /// `reply_to`, `expiration`, the `CC` and `BCC` headers, `user_id`. `properties` are the
    /// message's own, as given.
    ///
    /// # Errors
    /// Those of a closed caller, [`InvalidName`](crate::Error::InvalidName),
    /// [`InvalidTable`](crate::Error::InvalidTable), [`NotFound`](crate::Error::NotFound),
    /// [`AccessRefused`](crate::Error::AccessRefused),
    /// [`PreconditionFailed`](crate::Error::PreconditionFailed);
    /// [`ShutDown`](crate::Error::ShutDown) while the broker drains, for all who hold no delivery.
    pub(crate) fn prepare<'a, C: Caller>(
        &'a self,
        caller: &C,
        overrides: Overrides<'a>,
        properties: Option<&Properties>,
    ) -> Result<Prepared<'a>> {
        match self.config.gate.tap() {
            None => self.check(caller, overrides, properties),
            Some(tap) => {
                let checked = self.check(caller, overrides, properties);
                let failed = checked.as_ref().err();
                failed.inspect(|error| self.tap_failure(tap, overrides, properties, error));
                checked
            }
        }
    }

    fn check<'a, C: Caller>(
        &'a self,
        caller: &C,
        overrides: Overrides<'a>,
        properties: Option<&Properties>,
    ) -> Result<Prepared<'a>> {
        let config = &self.config;
        caller.check_open()?;
        let admission = self.admit(caller)?;
        let is_own_key = overrides.routing_key.is_none();
        let key = match overrides.routing_key {
            Some(key) => Name::check(key).map(|()| key)?,
            None => &config.routing_key,
        };
        if config.gate.backend().is_some() {
            return self.check_for_backend(key, overrides, properties, admission);
        }
        // Properties that are octets were checked, and have no `CC` header.
        let headers = match properties {
            Some(properties) => properties.as_list().and_then(|list| list.headers.as_ref()),
            None => config.headers.as_ref(),
        };
        headers.map_or(Ok(()), FieldTable::check_depth)?;
        let known = self.routes.known(config, overrides.routing_key, headers);
        // A route that is not known is resolved last: a bad `CC` header is found after bad
        // properties, and a router is asked only once.
        if known.is_none() {
            config.gate.check_publish(&config.exchange)?;
            config.gate.vhost().check_exchange(&config.exchange)?;
        }
        if let Some(properties) = properties {
            caller.check_properties(properties)?;
            properties
                .as_list()
                .map_or(Ok(None), PropertyList::expiration_millis)?;
        }
        let (route, headers) = match known {
            Some(route) => (route, None),
            None => self.resolve(key, properties)?,
        };
        if let Some(properties) = properties {
            config.gate.check_user_id(properties)?;
        }
        Ok(Prepared {
            publisher: self,
            headers,
            route,
            key,
            is_own_key,
            mandatory: overrides.mandatory.unwrap_or(config.mandatory),
            due: self.due(overrides.delay),
            admission,
            is_commit: false,
            failure: None,
            blocked: None,
            written: None,
        })
    }

    /// Admits a publish. While the broker drains, only those who hold deliveries publish, and their
    /// messages are counted until they have arrived.
    ///
    /// # Errors
    /// [`ShutDown`](crate::Error::ShutDown).
    fn admit<C: Caller>(&self, caller: &C) -> Result<Admission> {
        let drain = self.config.gate.vhost().drain();
        holding::admit(drain, || {
            let has_claim = self.claim.as_ref().is_some_and(|claim| claim.holds(drain));
            has_claim || caller.holds_deliveries()
        })
    }

    /// Checks a message for an engine outside, which checks it again and routes it.
    fn check_for_backend<'a>(
        &'a self,
        key: &'a str,
        overrides: Overrides<'a>,
        properties: Option<&Properties>,
        admission: Admission,
    ) -> Result<Prepared<'a>> {
        let config = &self.config;
        if overrides.delay != Delay::None {
            config.gate.check_embedded("delayed delivery")?;
        }
        if let Some(properties) = properties {
            properties.validate()?;
        }
        Ok(Prepared {
            publisher: self,
            headers: None,
            route: CachedRoute::elsewhere(config, &Name::new(key)?),
            key,
            is_own_key: false,
            mandatory: overrides.mandatory.unwrap_or(config.mandatory),
            due: None,
            admission,
            is_commit: false,
            failure: None,
            blocked: None,
            written: None,
        })
    }

    /// Finds the route of a message by its own properties as given, or by the publisher's. Returns
    /// the headers too, if they take part in the route.
    fn resolve(
        &self,
        key: &str,
        properties: Option<&Properties>,
    ) -> Result<(Arc<CachedRoute>, Option<Box<FieldTable>>)> {
        let config = &self.config;
        let list = properties.map(Properties::to_list);
        let routing = match (&list, &config.meta) {
            (Some(list), _) => RoutingProperties::from(&**list),
            (None, None) => RoutingProperties::of_headers(config.headers.as_ref()),
            (None, Some(meta)) => {
                RoutingProperties::from(&meta.properties).with_headers(config.headers.as_ref())
            }
        };
        let route = self.routes.resolve(config, key, routing)?;
        let headers = Prepared::headers_of(&route, routing.headers);
        Ok((route, headers))
    }

    /// When a delayed message may be delivered at the earliest, in nanoseconds of the virtual host.
    fn due(&self, delay: Delay) -> Option<u64> {
        let vhost = self.config.gate.vhost();
        let delay = match delay {
            Delay::None => return None,
            Delay::After(delay) => delay,
            Delay::At(at) => at
                .duration_since(vhost.time().system_now())
                .unwrap_or_default(),
        };
        (!delay.is_zero()).then(|| after(vhost.nanos(), delay))
    }
}

impl PublisherConfig {
    /// The properties of messages that bring none of their own, if such messages do not expire by
    /// themselves.
    #[inline]
    fn lasting_meta(&self) -> Option<&Meta> {
        self.meta.as_deref().filter(|_| !self.expires)
    }
}

impl Drop for PublisherConfig {
    fn drop(&mut self) {
        self.gate.churn().publishers_closed.add(1);
    }
}

impl Clone for Publisher {
    fn clone(&self) -> Publisher {
        Publisher {
            config: Arc::clone(&self.config),
            routes: RouteCache::default(),
            claim: self.claim.clone(),
        }
    }
}

/// Gives the payload back. As a cold call it tells the compiler which way most publishes go, and it
/// makes the push part of that way.
#[cold]
fn uncommon<P>(payload: P) -> Result<(), P> {
    Err(payload)
}

/// Pushes a payload to the end of a route, if that is one queue with a slot for it at once.
#[inline(always)]
fn push_to<P: Payload>(route: &CachedRoute, payload: P) -> Result<(), P> {
    let Some(queue) = route.only_queue() else {
        return uncommon(payload);
    };
    let size = payload.size() as u64;
    // Each form of the address has a push of its own, so that a short key is copied as a whole.
    match route.address.as_short() {
        Some(address) => queue.try_push(size, payload, |payload, position| {
            route.tally.count_push();
            Envelope::short(Body::new(payload), address, position)
        }),
        None => push_long(route, queue, size, payload),
    }
}

/// As [`push_to`], for a long routing key.
#[inline(never)]
fn push_long<P: Payload>(
    route: &CachedRoute,
    queue: &QueueCore,
    size: u64,
    payload: P,
) -> Result<(), P> {
    queue.try_push(size, payload, |payload, position| {
        route.tally.count_push();
        Envelope::new(Body::new(payload), &route.address, None).at(position)
    })
}
