//! How a payload gets from a producer into queues: the short way, and the one that looks at everything.

use std::sync::Arc;

use super::{
    Producer, PublishError,
    letter::{Letter, sized},
    refused::give_back,
    room::Room,
    routes::{CachedRoute, Routes},
};
use crate::{
    engine::vhost::{Published, PushFailure},
    message::{
        codec::{Codec, Json},
        envelope::{Envelope, Meta},
        payload::{Body, Payload},
    },
    model::error::{Error, Result},
    runtime::waiter::Waitable as _,
    session::connection::Closing,
};

impl<T: Payload> Producer<T> {
    /// Publishes a payload as the producer does by itself.
    #[inline]
    pub(super) fn send_plain(&self, payload: T, room: Room) -> Result<Published, PublishError<T>> {
        match self.put(payload) {
            Ok(()) => Ok(Published::to_one()),
            Err(payload) => self.send(payload, None, room),
        }
    }

    /// Publishes a payload the way that most go: with nothing to be said of it, to one queue that has a place for it at once. Gives it back
    /// if anything else is to be looked at.
    #[inline]
    fn put(&self, payload: T) -> std::result::Result<(), T> {
        let Some(route) = self.plain_route() else {
            return Err(payload);
        };
        let put = put_by(&route, payload);
        Routes::cache(route);
        put
    }

    /// As [`put`](Self::put), with any routing key.
    pub(super) fn put_to(&self, routing_key: &str, payload: T) -> std::result::Result<(), T> {
        if self.shared.routing_key == *routing_key {
            return self.put(payload);
        }
        if !self.is_plain() {
            return Err(payload);
        }
        match self.routes.to(&self.shared, routing_key) {
            Ok(route) => put_by(&route, payload),
            Err(_) => Err(payload),
        }
    }

    /// The route of the producer's own key, if it is [plain](Self::is_plain). To be [kept](Routes::cache) again.
    #[inline(always)]
    pub(super) fn plain_route(&self) -> Option<Arc<CachedRoute>> {
        match self.is_plain() {
            true => self.routes.own(&self.shared).ok(),
            false => None,
        }
    }

    /// Whether there is nothing to be said of a payload, and nothing against it.
    #[inline(always)]
    fn is_plain(&self) -> bool {
        let shared = &self.shared;
        shared.meta.is_none() && self.sized_by.is_none() && shared.connection.is_open()
    }

    /// Publishes a payload: as the producer does by itself, or as `letter` says.
    pub(super) fn send(
        &self,
        payload: T,
        mut letter: Option<&mut Letter<'_>>,
        room: Room,
    ) -> Result<Published, PublishError<T>> {
        let mut route = match self.route_with_room(letter.as_deref(), room) {
            Ok(route) => route,
            Err(error) => return Err(PublishError { error, payload }),
        };
        // Lent, not shared: a count of references that both ends write would cost as much as the hop.
        let (meta, mandatory, due) = match &mut letter {
            Some(letter) => (letter.meta.take(), letter.mandatory, letter.due),
            None => (self.shared.meta.clone(), self.shared.mandatory, None),
        };
        let meta = self.measured(&payload, meta);
        let envelope = Envelope::new(Body::new(payload), &route.address, meta);
        let mut message = Some(envelope);
        let original = match &mut message {
            Some(envelope) if self.shared.always_encode => match self.encode(envelope) {
                Ok(payload) => Some(payload),
                Err(error) => {
                    Letter::take_back(&mut letter, &message);
                    return Err(give_back(error, message.map(Envelope::into_body)));
                }
            },
            _ => None,
        };
        let vhost = self.shared.connection.vhost();
        loop {
            let keep = |route| {
                if (letter.as_ref()).is_none_or(|letter| self.shared.routing_key == *letter.key) {
                    Routes::cache(route);
                }
            };
            // By itself, though `push` would do the same: so the usual outcome is no more than a constant.
            let failure = match route.only_queue() {
                Some(queue) => match vhost.push_to_one(queue, &mut message, due) {
                    Ok(()) => {
                        keep(route);
                        return Ok(Published::to_one());
                    }
                    Err(failure) => failure,
                },
                None => match vhost.push(&route, &mut message, due) {
                    Ok(published) => {
                        keep(route);
                        return Ok(published);
                    }
                    Err(failure) => failure,
                },
            };
            Letter::take_back(&mut letter, &message);
            let error = match failure {
                PushFailure::NoRoute if !mandatory => {
                    message
                        .into_iter()
                        .for_each(|envelope| vhost.drop_unroutable(envelope));
                    return Ok(Published::default());
                }
                PushFailure::QueueDeleted => {
                    self.routes.forget(&route);
                    match self.route(letter.as_deref()) {
                        Ok(renewed) => {
                            route = renewed;
                            continue;
                        }
                        Err(error) => error,
                    }
                }
                PushFailure::NoRoute => {
                    let key = letter.map_or(&*self.shared.routing_key, |letter| letter.key);
                    Error::no_route(&self.shared.exchange, key)
                }
                PushFailure::Refused { queue, .. } => Error::Refused { queue },
                PushFailure::NotShareable => Error::NotShareable {
                    type_name: std::any::type_name::<T>(),
                    queues: route.len(),
                },
            };
            let body = original.or_else(|| message.map(Envelope::into_body));
            return Err(give_back(error, body));
        }
    }

    /// Has the message carry octets. Returns its payload.
    #[cold]
    fn encode(&self, message: &mut Envelope) -> Result<Body> {
        let codec: &dyn Codec = self.shared.codec.as_deref().unwrap_or(&Json);
        let octets = Body::encoded(message.body().encode(codec).map_err(Error::Codec)?);
        Ok(std::mem::replace(message.body_mut(), octets))
    }

    /// What a payload's message says besides it: with its size, if the producer has a measure of its own.
    #[inline]
    fn measured(&self, payload: &T, meta: Option<Arc<Meta>>) -> Option<Arc<Meta>> {
        match self.sized_by {
            Some(size) => Some(Arc::new(sized::<T>(meta, size(payload)))),
            None => meta,
        }
    }

    /// The route, once every blocking queue on it has room, and every blocking budget.
    fn route_with_room(&self, letter: Option<&Letter<'_>>, room: Room) -> Result<Arc<CachedRoute>> {
        let mut route = self.route(letter)?;
        if room == Room::Ignore {
            return Ok(route);
        }
        let vhost = self.shared.connection.vhost();
        let mut deadline = None;
        while let Some(room_in) = vhost.lacks_room(&route) {
            match room {
                // It may be full of what consumers could have by now.
                Room::Try if room_in.attempt(None).is_ready() => {
                    route = self.route(letter)?;
                    continue;
                }
                Room::Try => {
                    return Err(Error::Refused {
                        queue: room_in.queue().clone(),
                    });
                }
                Room::Within(timeout) if deadline.is_none() => {
                    deadline = vhost.time().deadline(timeout)
                }
                Room::Wait | Room::Within(_) | Room::Ignore => {}
            }
            let closing = Closing(Arc::clone(&self.shared.connection));
            room_in.wait_or(closing, deadline).ok_or(Error::Timeout)?;
            // It may lead elsewhere by now.
            route = self.route(letter)?;
        }
        Ok(route)
    }

    pub(super) fn route(&self, letter: Option<&Letter<'_>>) -> Result<Arc<CachedRoute>> {
        // A remembered route may outlive the connection.
        self.shared.connection.check_open()?;
        let shared = &self.shared;
        let (key, headers) = match letter {
            None => (&*shared.routing_key, shared.headers.as_ref()),
            Some(letter) => (letter.key, letter.headers(shared)),
        };
        match headers {
            Some(headers) => self.routes.by_headers(shared, key, headers),
            None if letter.is_none() => self.routes.own(shared),
            None => self.routes.to(shared, key),
        }
    }
}

/// Puts a payload at the end of a route, if that is one queue with a slot for it at once.
#[inline(always)]
fn put_by<T: Payload>(route: &CachedRoute, payload: T) -> std::result::Result<(), T> {
    let Some(queue) = route.only_queue() else {
        return Err(payload);
    };
    let size = payload.size() as u64;
    queue.try_push(size, payload, |payload, position| {
        Envelope::new(Body::new(payload), &route.address, None).at(position)
    })
}
