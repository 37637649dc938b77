//! Publishing by a remembered route, without the checks that most publishes need only once.

use super::{
    Producer,
    completed::{Completed, complete},
    send::Unpublished,
};
use crate::{
    engine::vhost::Published,
    message::{
        envelope::{Address, Envelope},
        outgoing::Delay,
        payload::{Body, Payload},
        properties::Properties,
    },
    session::publisher::{Begun, Known, OnFull, Overrides},
};

impl<T: Payload> Producer<T> {
    /// Publishes a payload by a remembered route, if that needs no check.
    #[inline(always)]
    pub(super) fn push_known<'a>(&'a self, payload: T, overrides: &Overrides<'a>) -> Known<'a, T> {
        match self.may_be_known(overrides) {
            true => (self.publisher).push_known(overrides.routing_key, payload),
            false => Known::Unknown(payload),
        }
    }

    /// As [`push_known`](Self::push_known), for a message that may have properties of its own.
    /// `completed` is what was added to them, if the message was made.
    pub(super) fn push_known_message<'a>(
        &'a self,
        message: (T, Properties),
        overrides: &Overrides<'a>,
        completed: &mut Option<Completed>,
    ) -> Known<'a, (T, Properties)> {
        if !self.may_be_known(overrides) {
            return Known::Unknown(message);
        }
        let (payload, properties) = message;
        if properties.is_empty() {
            return self.push_known_payload(payload, overrides, properties);
        }
        let message = (payload, properties);
        let make = |payload, properties, address: &Address| {
            let (meta, added) = complete::<T>(properties, self.codec.clone());
            *completed = Some(added);
            Envelope::complete(Body::new(payload), address, Some(address.complete(meta)))
        };
        (self.publisher).push_known_message(overrides.routing_key, message, make)
    }

    /// As [`push_known_message`](Self::push_known_message), for empty properties.
    fn push_known_payload<'a>(
        &'a self,
        payload: T,
        overrides: &Overrides<'a>,
        properties: Properties,
    ) -> Known<'a, (T, Properties)> {
        let pushed = match overrides.routing_key {
            None => self.try_push(payload),
            Some(key) => self.try_push_to(key, payload),
        };
        let payload = match pushed {
            Ok(()) => return Known::Published(Published::to_one()),
            Err(payload) => payload,
        };
        match self.push_known(payload, overrides) {
            Known::Published(published) => Known::Published(published),
            Known::Begun(begun) => Known::Begun(begun),
            Known::Unknown(payload) => Known::Unknown((payload, properties)),
        }
    }

    /// Whether nothing forbids to publish by a remembered route.
    #[inline(always)]
    fn may_be_known(&self, overrides: &Overrides<'_>) -> bool {
        #[cfg(feature = "tracing")]
        let is_traced = self.is_traced;
        #[cfg(not(feature = "tracing"))]
        let is_traced = false;
        let is_made_here = self.sized_by.is_some() || self.always_encode || is_traced;
        !is_made_here && overrides.mandatory.is_none() && overrides.delay == Delay::None
    }

    /// Goes on with a publish that not every queue has taken at once.
    #[cold]
    #[inline(never)]
    pub(super) fn go_on(
        &self,
        begun: Begun<'_>,
        on_full: OnFull,
    ) -> Result<Published, Unpublished<T>> {
        let Begun {
            prepared,
            mut message,
        } = begun;
        let key = prepared.routing_key();
        let outcome = Ok(prepared.push(&mut message, self.publisher.gate(), on_full));
        self.finish(outcome, key, message, None)
    }

    /// Same as [`go_on`](Self::go_on), for a task.
    pub(super) async fn go_on_async(&self, begun: Begun<'_>) -> Result<Published, Unpublished<T>> {
        let Begun {
            prepared,
            mut message,
        } = begun;
        let key = prepared.routing_key();
        let outcome = Ok(prepared
            .push_async(&mut message, self.publisher.gate())
            .await);
        self.finish(outcome, key, message, None)
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::ptr;

    use crate::{
        Delivery,
        handles::broker::Broker,
        message::properties::Properties,
        model::descriptions::{Exchange, Queue},
        session::publisher::Known,
    };

    // They were copied for each message, for a long key under the lock of the queue.
    #[test]
    fn messages_by_a_remembered_route_share_the_properties_of_their_producer() {
        let broker = Broker::new();
        let queue = Queue::new("q").bind(Exchange::fanout("e"), "");
        let consumer = broker.consumer::<u32>(&queue).unwrap();
        let long = "a key of more than fifteen bytes";
        for (own, other) in [("short", "other"), ("short", long), (long, "short")] {
            let builder = broker.producer_builder::<u32>(Exchange::fanout("e"));
            let builder = builder.properties(Properties::new().header("k", 1));
            let producer = builder.routing_key(own).build().unwrap();
            for key in [own, other] {
                for id in 0..70 {
                    producer.publish_to(key, id).unwrap();
                }
                let deliveries: Vec<_> = (0..70).map(|_| consumer.recv().unwrap()).collect();
                let properties = deliveries[0].info().properties();
                assert!(properties.header_value("k").is_some());
                for (id, delivery) in (0..).zip(&deliveries) {
                    assert_eq!((**delivery, delivery.info().routing_key()), (id, key));
                    assert!(ptr::eq(delivery.info().properties(), properties));
                }
                let acknowledge = |delivery: Delivery<u32>| delivery.ack().unwrap();
                deliveries.into_iter().for_each(acknowledge);
            }
        }
    }

    // The clone took all steps for as long as the thread had the route of the other one.
    #[test]
    fn a_clone_of_a_producer_with_properties_remembers_the_route_that_another_clone_has_found() {
        let broker = Broker::new();
        let builder = broker.producer_builder::<u32>(Queue::new("q"));
        let first = builder.properties(Properties::new().priority(1));
        let first = first.build().unwrap();
        first.publish(1).unwrap();
        let second = first.clone();
        second.publish(2).unwrap();
        let third = second.publisher.push_known(None, 3);
        assert!(matches!(third, Known::Published(_)));
    }
}
