//! The common way of a channel's message: its route is known and leads to one queue, which takes it
//! at once.
//!
//! Nothing is looked up and nothing is waited for here. Every other message goes through
//! [`outgoing`](super::outgoing).

use std::sync::Arc;

use super::{ChannelCore, ChannelState, PublishMode, PublishOptions, PublishOutcome};
#[cfg(feature = "amqp")]
use crate::runtime::sync::atomic::Ordering::SeqCst;
use crate::{
    engine::vhost::Published,
    message::{
        envelope::{Envelope, Meta},
        payload::Body,
        properties::{Properties, PropertyList},
    },
    model::bytes::Bytes,
    session::publisher::{CachedRoute, need_no_check},
};

/// A route that a channel knows, by which it may publish at once.
pub(crate) struct RouteAtOnce {
    route: Arc<CachedRoute>,
    /// Whether messages are confirmed.
    confirms: bool,
}

impl ChannelCore {
    /// Publishes a message, if that needs no checks and no wait.
    ///
    /// # Errors
    /// Gives the message back otherwise. Nothing has happened then.
    pub(crate) fn publish_at_once(
        self: &Arc<Self>,
        exchange: &str,
        routing_key: &str,
        body: Bytes,
        properties: Properties,
        options: PublishOptions,
    ) -> Result<PublishOutcome, (Bytes, Properties)> {
        if !self.may_be_at_once(&properties, options) {
            return Err((body, properties));
        }
        match self.route_at_once(exchange, routing_key) {
            Some(route) => self.push_at_once(&route, body, properties),
            None => Err((body, properties)),
        }
    }

    /// As [`publish_at_once`](Self::publish_at_once), for a session that is the only one to use the
    /// channel. It keeps the last route in `last`, and forgets it when the mode of the channel
    /// changes. So it needs neither the lock of the channel nor a handle to the route.
    #[cfg(feature = "amqp")]
    #[inline]
    pub(crate) fn publish_by_last_route(
        self: &Arc<Self>,
        last: &mut Option<RouteAtOnce>,
        (exchange, routing_key): (&str, &str),
        body: Bytes,
        properties: Properties,
        options: PublishOptions,
    ) -> Result<PublishOutcome, (Bytes, Properties)> {
        if !self.may_be_at_once(&properties, options) {
            return Err((body, properties));
        }
        let is_known = last.as_ref().is_some_and(|RouteAtOnce { route, .. }| {
            route.is_of(exchange, routing_key) && route.is_current()
        });
        if !is_known || self.is_closed.load(SeqCst) {
            *last = self.route_at_once(exchange, routing_key);
        }
        let Some(route) = &*last else {
            return Err((body, properties));
        };
        let published = self.push_at_once(route, body, properties);
        if published.is_err() {
            *last = None;
        }
        published
    }

    /// Whether a message needs no checks.
    #[inline]
    fn may_be_at_once(&self, properties: &Properties, options: PublishOptions) -> bool {
        !options.immediate
            && self.gate().is_plain()
            && !self.vhost().drain().has_begun()
            && is_plain(properties)
    }

    /// Puts a message into the only queue of its route.
    fn push_at_once(
        &self,
        RouteAtOnce { route, confirms }: &RouteAtOnce,
        body: Bytes,
        properties: Properties,
    ) -> Result<PublishOutcome, (Bytes, Properties)> {
        let queue = route.only_queue();
        let Some(queue) = queue.filter(|_| !route.keeps(|| properties.are_persistent())) else {
            return Err((body, properties));
        };
        let _on_its_way = self.vhost().drain().begin_watched_move();
        let has_priority = properties.given_priority().is_some();
        let meta = (!properties.is_absent()).then(|| {
            route.address.complete(Meta {
                properties,
                ..Meta::default()
            })
        });
        let make = |(body, meta): (Bytes, Option<Arc<Meta>>), position| {
            route.tally.count_push();
            let body = match &meta {
                None => Body::untyped(body),
                Some(_) => Body::encoded(body),
            };
            Envelope::new(body, &route.address, meta).at(position)
        };
        let (size, message) = ((body.len() as u64, has_priority), (body, meta));
        if let Err((body, meta)) = self.vhost().try_enqueue(queue, size, message, make) {
            self.forget_route(route);
            let meta = meta.map(Arc::unwrap_or_clone);
            return Err((body, meta.unwrap_or_default().properties));
        }
        let published = Published::to_one();
        let number = match confirms {
            true => self.confirm_at_once(),
            false => None,
        };
        Ok(PublishOutcome::of(published, number))
    }

    /// The route of a message that needs nothing else. `None` if the channel is closed or in a
    /// transaction, or if the route is not known.
    fn route_at_once(&self, exchange: &str, key: &str) -> Option<RouteAtOnce> {
        let state = self.lock();
        let confirms = match &state.mode {
            _ if state.closed.is_some() => return None,
            PublishMode::Plain => false,
            PublishMode::Confirm(_) => true,
            PublishMode::Tx(_) => return None,
        };
        if let Some(last) = state.last_route(exchange, key) {
            let route = Arc::clone(last);
            return Some(RouteAtOnce { route, confirms });
        }
        let publisher = Arc::clone(state.publishers.get(exchange)?);
        drop(state);
        let route = publisher.known_route(key)?;
        let forgotten = self.lock().last_route.replace(Arc::clone(&route));
        // It may be the last to hold a queue with its messages, and is dropped without the lock.
        drop(forgotten);
        Some(RouteAtOnce { route, confirms })
    }

    /// Forgets the route of the last publish: its queue may be deleted, and another may have its
    /// name. The default exchange has no epoch that would show that.
    #[cold]
    fn forget_route(&self, route: &Arc<CachedRoute>) {
        let is_it = |last: &mut Arc<CachedRoute>| Arc::ptr_eq(last, route);
        let forgotten = self.lock().last_route.take_if(is_it);
        drop(forgotten);
    }
}

impl ChannelState {
    /// The route of the last publish, if it is that of this key and current.
    #[inline]
    fn last_route(&self, exchange: &str, key: &str) -> Option<&Arc<CachedRoute>> {
        let last = self.last_route.as_ref();
        last.filter(|last| last.is_of(exchange, key) && last.is_current())
    }
}

/// Whether nothing in the properties has to be checked or changed, and a route by the key alone is
/// the message's.
#[inline]
fn is_plain(properties: &Properties) -> bool {
    properties.as_list().is_none_or(are_plain)
}

fn are_plain(properties: &PropertyList) -> bool {
    properties.expiration.is_none() && need_no_check(properties)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        time::{Duration, Instant, SystemTime},
    };

    use crate::{
        handles::broker::{Broker, Credentials},
        message::properties::{Asked, Opaque},
        model::{
            descriptions::{Exchange, Queue},
            field_value::FieldTable,
        },
        runtime::clock::Clock,
        session::channel::{AckMode, Channel, IfEmpty, IfUnused},
    };

    use super::*;

    fn open(broker: &Broker) -> Channel {
        let connection = broker.connect("/", Credentials::guest()).unwrap();
        connection.open_channel().unwrap()
    }

    fn publish_at_once(channel: &Channel, exchange: &str, key: &str) -> bool {
        let (body, properties) = (Bytes::from("m"), Properties::new());
        let core = channel.core();
        core.publish_at_once(exchange, key, body, properties, PublishOptions::new())
            .is_ok()
    }

    fn publish(channel: &Channel, exchange: &str, key: &str, properties: Properties) -> usize {
        let options = PublishOptions::new();
        let outcome = channel.basic_publish(exchange, key, "m", properties, options);
        outcome.unwrap().published.routed
    }

    #[test]
    fn messages_go_at_once_to_a_queue_that_follows_a_deleted_one_of_its_name() {
        let broker = Broker::new();
        let channel = open(&broker);
        for _ in 0..2 {
            channel.queue_declare(&Queue::new("q")).unwrap();
            assert_eq!(publish(&channel, "", "q", Properties::new()), 1);
            assert!(publish_at_once(&channel, "", "q"));
            assert!(publish_at_once(&channel, "", "q"));
            channel
                .queue_delete("q", IfUnused::No, IfEmpty::No)
                .unwrap();
        }
    }

    /// A clock of the user. Its drop looks whether the lock of a channel is free.
    struct LookingClock {
        channel: Channel,
        found_free: Arc<AtomicUsize>,
    }

    impl std::fmt::Debug for LookingClock {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("LookingClock")
        }
    }

    impl Clock for LookingClock {
        fn now(&self) -> Instant {
            Instant::now()
        }

        fn system_now(&self) -> SystemTime {
            SystemTime::now()
        }
    }

    impl Drop for LookingClock {
        fn drop(&mut self) {
            let is_free = self.channel.core().reading.state.try_lock().is_some();
            self.found_free.store(1 + usize::from(is_free), SeqCst);
        }
    }

    #[test]
    fn the_route_of_another_broker_is_dropped_without_the_lock_of_the_channel() {
        let broker = Broker::new();
        let channel = open(&broker);
        channel.exchange_declare(&Exchange::fanout("f")).unwrap();
        for queue in ["q", "other"] {
            channel.queue_declare(&Queue::new(queue)).unwrap();
        }
        channel.queue_bind("q", "f", "", FieldTable::new()).unwrap();
        for (exchange, key) in [("f", ""), ("", "other"), ("", "other")] {
            assert_eq!(publish(&channel, exchange, key, Properties::new()), 1);
        }
        let found_free = Arc::new(AtomicUsize::new(0));
        let clock = LookingClock {
            channel: channel.clone(),
            found_free: Arc::clone(&found_free),
        };
        let gone = Broker::builder().clock(clock).build();
        let producer = gone.producer::<u8>(&Queue::new("q")).unwrap();
        for _ in 0..3 {
            producer.publish(1).unwrap();
        }
        drop((producer, gone));
        // Only the route that the thread remembers is left of that broker.
        assert_eq!(found_free.load(SeqCst), 0);
        assert!(publish_at_once(&channel, "f", ""));
        assert_eq!(found_free.load(SeqCst), 2);
    }

    fn undecodable(_: &[u8]) -> PropertyList {
        panic!("nobody looks at them")
    }

    #[test]
    fn properties_that_ask_for_nothing_are_not_decoded_on_any_known_route() {
        let octets = b"\x20\0\0\0\0\x04\x01kt\x01";
        let opaque = || Properties::opaque(Opaque::new(octets, Asked::default(), undecodable));
        let broker = Broker::new();
        let channel = open(&broker);
        channel.exchange_declare(&Exchange::fanout("f")).unwrap();
        let kept = Queue::new("kept").message_ttl(Duration::from_secs(3600));
        for queue in [Queue::new("q"), kept] {
            channel.queue_declare(&queue).unwrap();
            channel
                .queue_bind(queue.name(), "f", "", FieldTable::new())
                .unwrap();
        }
        assert_eq!(publish(&channel, "f", "k", Properties::new()), 2);
        assert_eq!(publish(&channel, "f", "k", opaque()), 2);
        channel.confirm_select().unwrap();
        assert_eq!(publish(&channel, "f", "k", opaque()), 2);
        for queue in ["q", "kept"] {
            assert_eq!(
                channel.queue_declare_passive(queue).unwrap().message_count,
                3
            );
            for is_opaque in [false, true, true] {
                let got = channel.basic_get(queue, AckMode::Auto).unwrap().unwrap();
                assert_eq!(got.properties().octets().is_some(), is_opaque);
            }
        }
    }

    static DECODED: AtomicUsize = AtomicUsize::new(0);

    fn counted(_: &[u8]) -> PropertyList {
        DECODED.fetch_add(1, SeqCst);
        let headers = FieldTable::from([("k", true)]);
        PropertyList {
            headers: Some(headers),
            ..PropertyList::default()
        }
    }

    #[test]
    fn properties_that_are_decoded_for_a_route_are_not_kept_in_both_forms() {
        let octets = b"\x20\0\0\0\0\x04\x01kt\x01";
        let opaque = Properties::opaque(Opaque::new(octets, Asked::default(), counted));
        let broker = Broker::new();
        let channel = open(&broker);
        channel.exchange_declare(&Exchange::headers("h")).unwrap();
        channel.queue_declare(&Queue::new("q")).unwrap();
        let arguments = FieldTable::from([("k", true)]);
        channel.queue_bind("q", "h", "", arguments).unwrap();
        assert_eq!(publish(&channel, "h", "", opaque), 1);
        assert_eq!(DECODED.load(SeqCst), 1);
        let got = channel.basic_get("q", AckMode::Auto).unwrap().unwrap();
        assert_eq!(got.properties().octets(), Some(&octets[..]));
        assert_eq!(got.properties().header_value("k"), Some(&true.into()));
        assert_eq!(DECODED.load(SeqCst), 2);
    }
}
