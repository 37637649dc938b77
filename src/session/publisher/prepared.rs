//! A publish that has passed its checks, and the failures that are still possible.

use std::sync::Arc;

use super::{
    Caller, Publisher,
    route_cache::{CachedRoute, RouteCache},
};
use crate::{
    engine::{
        queue::Move,
        vhost::{Published, PushFailure, Route},
    },
    message::{
        envelope::{Address, Envelope},
        headers::cc_bcc,
        properties::Properties,
    },
    model::{
        error::{Error, Result},
        field_value::{FieldTable, FieldValue},
        name::Name,
    },
    runtime::{completion::Completion, waiter::Waiting},
    session::backend::{Confirmation, Outbound},
};

/// A publish that has passed its checks, with its route.
pub(crate) struct Prepared<'a> {
    pub(super) publisher: &'a Publisher,
    pub(super) route: Arc<CachedRoute>,
    pub(super) key: &'a str,
    /// The key is the publisher's own.
    pub(super) is_own_key: bool,
    /// The headers as given, if they take part in the route.
    pub(super) headers: Option<Box<FieldTable>>,
    pub(super) mandatory: bool,
    pub(super) due: Option<u64>,
    /// Counts the message as on its way, while the broker drains.
    pub(super) on_its_way: Option<Move>,
}

/// Why a message is in no queue. It is where it was.
#[derive(Debug)]
pub(crate) enum NotPublished {
    /// It is mandatory, and no queue is on its way.
    NoRoute,
    /// Every queue on its way refused it, this one first.
    Refused { queue: Name, refused: usize },
    /// It would be in several queues, and cannot be shared.
    NotShareable {
        type_name: &'static str,
        queues: usize,
    },
    /// Its route is out of date, and there is no other: the exchange is gone, say.
    Invalid(Error),
}

impl NotPublished {
    /// The error of a publish to `exchange` with this key.
    pub(crate) fn into_error(self, exchange: &Name, routing_key: &str) -> Error {
        match self {
            NotPublished::NoRoute => Error::no_route(exchange, routing_key),
            NotPublished::Refused { queue, .. } => Error::Refused { queue },
            NotPublished::NotShareable { type_name, queues } => {
                Error::NotShareable { type_name, queues }
            }
            NotPublished::Invalid(error) => error,
        }
    }
}

/// A publish under way.
pub(crate) enum Started {
    /// It has ended.
    Done(Confirmation),
    /// The engine outside has not confirmed it yet.
    Confirming(Completion<Confirmation>),
}

impl Started {
    /// Waits for the end, as a task.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`] if the connection is lost.
    pub(crate) async fn confirmation(self) -> Result<Confirmation> {
        match self {
            Started::Done(confirmation) => Ok(confirmation),
            Started::Confirming(completion) => Waiting::new(completion)
                .await
                .ok_or(Error::ConnectionClosed),
        }
    }
}

impl<'a> Prepared<'a> {
    /// Pushes the message as [`push`](Self::push) does, or hands it to the engine outside. In the
    /// latter case it stays in `message`.
    pub(crate) fn start(self, message: &mut Option<Envelope>) -> Started {
        match self.publisher.config.gate.backend() {
            None => Started::Done(self.push(message)),
            Some(backend) => match message.as_ref().map(|envelope| self.outbound(envelope)) {
                Some(Ok(outbound)) => Started::Confirming(backend.publish(outbound)),
                Some(Err(error)) => Started::Done(Err(NotPublished::Invalid(error))),
                None => Started::Done(Ok(Published::default())),
            },
        }
    }

    fn outbound(&self, envelope: &Envelope) -> Result<Outbound> {
        let mut properties = envelope.properties().clone();
        if let Some(meta) = envelope.meta().filter(|meta| !meta.bcc.is_empty()) {
            let keys: Vec<FieldValue> = meta.bcc.iter().map(|key| key.as_str().into()).collect();
            properties = properties.header(cc_bcc::BCC, keys);
        }
        Ok(Outbound {
            exchange: self.publisher.config.exchange.clone(),
            routing_key: Name::new(self.key)?,
            mandatory: self.mandatory,
            properties,
            body: envelope.encode().map_err(Error::Codec)?,
        })
    }

    /// Where a message of this publish goes, as its envelope says it.
    pub(crate) fn address(&self) -> &Address {
        &self.route.address
    }

    pub(crate) fn routing_key(&self) -> &'a str {
        self.key
    }

    /// Whether the message is a direct reply, and goes to no queue.
    pub(crate) fn is_reply(&self) -> bool {
        self.route.is_reply()
    }

    /// Keeps the route for a commit.
    pub(crate) fn into_route(self) -> Arc<CachedRoute> {
        self.route
    }

    /// The headers, if they take part in the route.
    #[inline]
    pub(super) fn headers_of(
        route: &CachedRoute,
        headers: Option<&FieldTable>,
    ) -> Option<Box<FieldTable>> {
        let headers = headers.filter(|_| route.by_headers)?;
        Some(Box::new(headers.clone()))
    }

    pub(super) fn resolve_again<C: Caller>(
        &mut self,
        caller: &C,
        properties: Option<&Properties>,
    ) -> Result {
        caller.check_open()?;
        if self.on_its_way.is_none() {
            self.on_its_way = self.publisher.admit(caller)?;
        }
        let headers = self.publisher.headers(properties);
        self.route = self
            .publisher
            .routes
            .by_headers(&self.publisher.config, self.key, headers)?;
        Ok(())
    }

    /// Pushes the message into every queue of the route. If the queues were deleted meanwhile, the
    /// route is resolved again. An unroutable message that is not mandatory is dropped, or goes to
    /// the virtual host's dead-letter queue.
    ///
    /// # Errors
    /// The message is in `message` again.
    pub(crate) fn push(
        mut self,
        message: &mut Option<Envelope>,
    ) -> Result<Published, NotPublished> {
        let vhost = self.publisher.config.gate.vhost();
        loop {
            let failure = match vhost.push(&self.route, message, self.due) {
                Ok(published) => {
                    if self.is_own_key {
                        RouteCache::cache(self.route);
                    }
                    return Ok(published);
                }
                Err(failure) => failure,
            };
            return Err(match failure {
                PushFailure::QueueDeleted => {
                    let Publisher { config, routes, .. } = self.publisher;
                    routes.forget(&self.route);
                    let given = self.headers.as_deref();
                    let visible = || message.as_ref()?.properties().headers.as_ref();
                    match routes.by_headers(config, self.key, given.or_else(visible)) {
                        Ok(route) => {
                            self.route = route;
                            continue;
                        }
                        Err(error) => NotPublished::Invalid(error),
                    }
                }
                PushFailure::NoRoute if !self.mandatory => {
                    if let Some(envelope) = message.take() {
                        vhost.drop_unroutable(envelope);
                    }
                    return Ok(Published::default());
                }
                PushFailure::NoRoute => NotPublished::NoRoute,
                PushFailure::Refused { queue, refused } => NotPublished::Refused { queue, refused },
                PushFailure::NotShareable => NotPublished::NotShareable {
                    type_name: message
                        .as_ref()
                        .map_or("", |envelope| envelope.body().type_name()),
                    queues: Route::len(&self.route),
                },
            });
        }
    }
}

impl Publisher {
    /// A publish whose checks were done before, when its route was kept by
    /// [`into_route`](Prepared::into_route): a commit. The route was decided then, by the names of
    /// the queues. That of the default exchange is the routing key, whether there was such a queue
    /// then or not.
    ///
    /// # Errors
    /// Those of a closed connection.
    pub(crate) fn prepare_commit<'a>(
        &'a self,
        route: &CachedRoute,
        key: &'a str,
        headers: Option<&FieldTable>,
        mandatory: bool,
    ) -> Result<Prepared<'a>> {
        let config = &self.config;
        let route = match config.exchange.is_empty() {
            true => CachedRoute::resolve_checked(config, &Name::new(key)?, headers)?,
            false => route.renewed(),
        };
        Ok(Prepared {
            publisher: self,
            headers: Prepared::headers_of(&route, headers),
            route,
            key,
            is_own_key: false,
            mandatory,
            due: None,
            on_its_way: None,
        })
    }
}
