//! The routes that a publisher has used, so that a publish need not ask the topology.
//!
//! Each is checked by one epoch before it is used again. Every clone of a publisher remembers its
//! own, behind a lock. The route that a thread has just used stays with the thread, since a lock
//! and a reference count cost as much as a push.

use std::{
    cell::Cell,
    iter,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use hashbrown::HashMap;

use super::PublisherConfig;
use crate::{
    engine::vhost::Route,
    message::{envelope::Meta, headers::cc_bcc, properties::RoutingProperties},
    model::{error::Result, field_value::FieldTable, name::Name},
    runtime::sync::{Mutex, MutexGuard, thread_local},
};

/// How many handles to its properties a publisher makes at a time for a key that it uses much.
/// Receivers write their count, and to fetch its cache line for each message would cost as much as
/// a publish.
const HANDLES: usize = 64;

/// How many routing keys a publisher remembers the queues of, besides its own.
const REMEMBERED: usize = 1_024;

#[derive(Default)]
pub(super) struct RouteCache {
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
pub(super) struct Remembered {
    /// Of the publisher's own routing key.
    own: Option<RememberedRoute>,
    others: KeyCache<RememberedRoute>,
}

pub(super) struct RememberedRoute {
    pub(super) route: Arc<CachedRoute>,
    /// Handles to the properties of the publisher, for its next messages by this route.
    metas: Vec<Arc<Meta>>,
}

/// A route, and the publisher that resolved it.
pub(crate) struct CachedRoute {
    /// Shared with the publisher's clones. Keeping the `Arc` alive makes pointer equality a sound
    /// identity test.
    publisher: Arc<PublisherConfig>,
    key: Name,
    route: Route,
    /// The properties of the publisher, in messages by this route.
    meta: OnceLock<Option<Arc<Meta>>>,
}

thread_local! {
    /// The route of its publisher's own key by which this thread has published last, ready for use.
    static LAST_ROUTE: Cell<Option<Arc<CachedRoute>>> = const { Cell::new(None) };
}

impl RouteCache {
    /// The route of the publisher's own key, if it is known.
    #[inline(always)]
    pub(super) fn own(&self, config: &Arc<PublisherConfig>) -> Option<Arc<CachedRoute>> {
        match RouteCache::last(config) {
            Some(last) => Some(last),
            None => self.remembered_own(),
        }
    }

    /// The route of the publisher's own key, if this thread has used it last.
    #[inline(always)]
    fn last(config: &Arc<PublisherConfig>) -> Option<Arc<CachedRoute>> {
        // Taken out while it is used: a payload's `Drop` that publishes on this thread looks it up.
        let last = LAST_ROUTE.try_with(Cell::take).ok().flatten()?;
        (Arc::ptr_eq(&last.publisher, config) && last.is_current()).then_some(last)
    }

    /// Keeps a route of the publisher's own key, which was right just now, with this thread.
    #[inline(always)]
    pub(super) fn cache(route: Arc<CachedRoute>) {
        if !route.by_headers {
            // A thread whose locals are gone already keeps nothing.
            let _ = LAST_ROUTE.try_with(|last| last.set(Some(route)));
        }
    }

    /// Locks what the publisher remembers. No user code may run meanwhile.
    #[inline(always)]
    pub(super) fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock()
    }

    #[cold]
    #[inline(never)]
    fn remembered_own(&self) -> Option<Arc<CachedRoute>> {
        let mut remembered = self.remembered.lock();
        remembered.current(None).map(|it| Arc::clone(&it.route))
    }

    /// The route of a message with these headers, if it is known. The headers do not count, unless
    /// they select further keys. `None` is the publisher's own key.
    #[inline]
    pub(super) fn known(
        &self,
        config: &Arc<PublisherConfig>,
        key: Option<&str>,
        headers: Option<&FieldTable>,
    ) -> Option<Arc<CachedRoute>> {
        if cc_bcc::is_selected_by_sender(headers) {
            return None;
        }
        match key {
            Some(key) if config.routing_key != *key => self.other(key),
            _ => {
                let route = self.own(config)?;
                if config.meta.is_some() {
                    self.remember_own(&route);
                }
                Some(route)
            }
        }
    }

    /// Remembers a route of the publisher's own key, which another clone of it may have found. A
    /// message with the properties of the publisher goes by remembered routes only.
    fn remember_own(&self, route: &Arc<CachedRoute>) {
        let mut remembered = self.remembered.lock();
        let own = &mut remembered.own;
        if !own
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(&own.route, route))
        {
            *own = Some(RememberedRoute::of(route));
        }
    }

    /// The route of a key that is not the publisher's own, if it is known.
    pub(super) fn other(&self, key: &str) -> Option<Arc<CachedRoute>> {
        let mut remembered = self.remembered.lock();
        remembered
            .current(Some(key))
            .map(|it| Arc::clone(&it.route))
    }

    /// Finds the route of a message, and remembers it if it is valid for other messages too. The
    /// cache is not locked meanwhile, since a router of the user may be asked.
    pub(super) fn resolve(
        &self,
        config: &Arc<PublisherConfig>,
        key: &str,
        properties: RoutingProperties<'_>,
    ) -> Result<Arc<CachedRoute>> {
        let key = Name::new(key)?;
        let route = CachedRoute::resolve(config, &key, properties)?;
        let mut remembered = self.remembered.lock();
        match route.by_headers {
            true if config.routing_key == key => remembered.own = None,
            true => {}
            false if config.routing_key == key => {
                remembered.own = Some(RememberedRoute::of(&route))
            }
            false => remembered.others.insert(key, RememberedRoute::of(&route)),
        }
        Ok(route)
    }

    /// Forgets a route whose queue is deleted: the next publish resolves it again. The default
    /// exchange has no epoch that would show the deletion.
    pub(super) fn forget(&self, stale: &Arc<CachedRoute>) {
        let mut remembered = self.remembered.lock();
        let fresh = |remembered: &RememberedRoute| !Arc::ptr_eq(&remembered.route, stale);
        remembered.own = remembered.own.take().filter(fresh);
        remembered.others.retain(fresh);
    }
}

impl Remembered {
    /// The route of a key, or of the publisher's own, if it is known.
    #[inline(always)]
    pub(super) fn current(&mut self, other_key: Option<&str>) -> Option<&mut RememberedRoute> {
        let remembered = match other_key {
            None => self.own.as_mut(),
            Some(key) => self.others.get_mut(key),
        };
        remembered.filter(|it| it.route.is_current())
    }
}

impl RememberedRoute {
    fn of(route: &Arc<CachedRoute>) -> RememberedRoute {
        RememberedRoute {
            route: Arc::clone(route),
            metas: Vec::new(),
        }
    }

    /// A handle to the properties of the publisher. The more often this is asked, the more handles
    /// are made at a time.
    #[inline]
    pub(super) fn take_meta(&mut self) -> Option<Arc<Meta>> {
        match self.metas.pop() {
            Some(meta) => Some(meta),
            None => self.make_metas(),
        }
    }

    #[inline(never)]
    fn make_metas(&mut self) -> Option<Arc<Meta>> {
        let meta = self.route.publisher_meta()?;
        let count = (2 * self.metas.capacity()).clamp(1, HANDLES);
        self.metas.extend(iter::repeat_n(meta, count).cloned());
        self.metas.pop()
    }
}

impl CachedRoute {
    fn new(publisher: &Arc<PublisherConfig>, key: &Name, route: Route) -> Arc<CachedRoute> {
        Arc::new(CachedRoute {
            publisher: Arc::clone(publisher),
            key: key.clone(),
            route,
            meta: OnceLock::new(),
        })
    }

    /// The permissions are asked after the epoch is read: if they change later, the route is not
    /// current.
    ///
    /// # Errors
    /// Those of a closed connection, of the user's permissions, and of the virtual host.
    pub(super) fn resolve(
        config: &Arc<PublisherConfig>,
        key: &Name,
        properties: RoutingProperties<'_>,
    ) -> Result<Arc<CachedRoute>> {
        let (gate, exchange) = (&config.gate, &config.exchange);
        let route = gate.vhost().resolve(exchange, key, properties)?;
        gate.check_publish(exchange)?;
        gate.check_publish_keys(exchange, key, properties.headers)?;
        Ok(CachedRoute::new(config, key, route))
    }

    /// The route of a message that an engine outside routes.
    pub(super) fn elsewhere(config: &Arc<PublisherConfig>, key: &Name) -> Arc<CachedRoute> {
        let vhost = config.gate.vhost();
        let route = vhost.route_elsewhere(&config.exchange, key);
        CachedRoute::new(config, key, route)
    }

    /// The route at the commit of its message, and how many of its queues have a successor.
    ///
    /// # Errors
    /// [`ResourceError`](crate::Error::ResourceError) for a queue that was deleted.
    pub(super) fn of_commit(&self) -> Result<(Arc<CachedRoute>, usize)> {
        let vhost = self.publisher.gate.vhost();
        let (route, replaced) = vhost.route_of_commit(&self.route)?;
        let route = CachedRoute::new(&self.publisher, &self.key, route);
        Ok((route, replaced))
    }

    /// The properties that a message of the publisher by this route has, if it brings none of its
    /// own.
    pub(super) fn publisher_meta(&self) -> Option<&Arc<Meta>> {
        let complete = || {
            let meta = self.publisher.meta.as_ref()?;
            Some(self.route.address.complete_shared(Arc::clone(meta)))
        };
        self.meta.get_or_init(complete).as_ref()
    }

    /// Whether it is the route of this key at this exchange.
    #[inline]
    pub(crate) fn is_of(&self, exchange: &str, key: &str) -> bool {
        self.key == *key && self.publisher.exchange == *exchange
    }
}

impl Deref for CachedRoute {
    type Target = Route;

    fn deref(&self) -> &Route {
        &self.route
    }
}

/// The routes `R` to other keys than the publisher's own; never more than [`REMEMBERED`].
struct KeyCache<R> {
    routes: HashMap<Name, R>,
    /// The same keys in no order, so that one can be random.
    keys: Vec<Name>,
    random: u64,
}

impl<R> KeyCache<R> {
    fn get_mut(&mut self, key: &str) -> Option<&mut R> {
        self.routes.get_mut(key)
    }

    /// Remembers one more. If there are too many, it replaces a random one, and not the one used
    /// longest ago: if more keys than the capacity come in turn, that one is the next to come.
    fn insert(&mut self, key: Name, route: R) {
        if self.routes.insert(key.clone(), route).is_some() {
            return;
        }
        if self.keys.len() < REMEMBERED {
            return self.keys.push(key);
        }
        // A linear congruential generator; its upper bits are the good ones.
        self.random = (self.random)
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let place = (self.random >> 33) as usize % REMEMBERED;
        let forgotten = std::mem::replace(&mut self.keys[place], key);
        self.routes.remove(&forgotten);
    }

    fn retain(&mut self, keep: impl Fn(&R) -> bool) {
        self.routes.retain(|_, route| keep(route));
        self.keys.retain(|key| self.routes.contains_key(key));
    }
}

impl<R> Default for KeyCache<R> {
    fn default() -> Self {
        KeyCache {
            routes: HashMap::default(),
            keys: Vec::new(),
            random: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Name {
        Name::new(format!("key.{number}")).unwrap()
    }

    #[test]
    fn a_publisher_remembers_1024_routes_and_no_more() {
        let mut others = KeyCache::default();
        (0..REMEMBERED).for_each(|number| others.insert(key(number), number));
        assert!(
            (0..REMEMBERED).all(|number| others.get_mut(&key(number)).copied() == Some(number))
        );
        for number in REMEMBERED..3 * REMEMBERED {
            others.insert(key(number), number);
            others.insert(key(number), number);
            assert_eq!(others.get_mut(&key(number)).copied(), Some(number));
        }
        assert_eq!(
            (others.routes.len(), others.keys.len()),
            (REMEMBERED, REMEMBERED)
        );
        assert!(
            others
                .keys
                .iter()
                .all(|key| others.routes.contains_key(key))
        );
    }

    #[test]
    fn of_too_many_keys_in_turn_some_are_still_remembered() {
        let mut others = KeyCache::default();
        let mut found = 0;
        for number in (0..REMEMBERED + REMEMBERED / 4)
            .cycle()
            .take(20 * REMEMBERED)
        {
            match others.get_mut(&key(number)) {
                Some(_) => found += 1,
                None => others.insert(key(number), number),
            }
        }
        assert!(found > 10 * REMEMBERED, "{found} of {}", 20 * REMEMBERED);
    }

    #[test]
    fn a_forgotten_route_makes_room_for_another() {
        let mut others = KeyCache::default();
        (0..REMEMBERED).for_each(|number| others.insert(key(number), number));
        others.retain(|number| *number != 7);
        assert_eq!(others.get_mut("key.7"), None);
        others.insert(key(REMEMBERED), REMEMBERED);
        assert_eq!(others.routes.len(), REMEMBERED);
        assert!(
            (0..REMEMBERED).all(|number| number == 7 || others.get_mut(&key(number)).is_some())
        );
    }
}
