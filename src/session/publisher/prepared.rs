//! A publish that has passed its checks, and the failures that are still possible.

use std::{
    sync::Arc,
    task::{Poll, ready},
};

use super::{
    Caller, OnFull, Publisher, Tap,
    not_published::NotPublished,
    route_cache::{CachedRoute, RouteCache},
    unsynced::{Pushed, Written},
};
use crate::{
    engine::{
        store::Synced,
        vhost::{BlockedPublish, Patience, Published, PushFailure, PushOptions, Route},
    },
    message::{
        envelope::{Address, Envelope, Meta},
        properties::{Properties, RoutingProperties},
    },
    model::{
        error::{Error, Result},
        field_value::FieldTable,
    },
    session::{backend::Confirmation, holding::Admission},
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
    pub(super) admission: Admission,
    /// The route was decided before, and is not resolved again.
    pub(super) is_commit: bool,
    /// The failure of the first push, if that was tried before.
    pub(super) failure: Option<Box<PushFailure>>,
    /// The publish, if it has to wait for room.
    pub(super) blocked: Option<Box<BlockedPublish>>,
    /// What a durable queue writes of the message, once it is made.
    pub(super) written: Option<Written>,
}

impl<'a> Prepared<'a> {
    /// The properties of a message that brings none of its own.
    pub(crate) fn publisher_meta(&self) -> Option<Arc<Meta>> {
        self.route.publisher_meta().cloned()
    }

    /// Where a message of this publish goes, as its envelope says it.
    pub(crate) fn address(&self) -> &Address {
        &self.route.address
    }

    pub(crate) fn routing_key(&self) -> &'a str {
        self.key
    }

    /// Finds the route again if a queue of it is deleted. A push would notice that by itself, but a
    /// commit keeps the route. `properties` are those of the message, as given.
    ///
    /// # Errors
    /// Those of finding a route.
    pub(crate) fn renew(&mut self, properties: &Properties) -> Result {
        match self.publisher.config.gate.vhost().has_deleted(&self.route) {
            true => self.resolve_again(properties.into()),
            false => Ok(()),
        }
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

    /// Pushes the message into every queue of the route. If all queues were deleted meanwhile, the
    /// route is resolved again. An unroutable message that is not mandatory is dropped, or goes to
    /// the virtual host's dead-letter queue. Waits until the message is on disk, in the queues that
    /// promise it.
    ///
    /// A blocking queue without room gets the message last, when it has room. The publish waits for
    /// that as `on_full` says, and as long as the caller is open. If it is given up, the message
    /// stays in the queues that have it. The others count as those that refused it.
    ///
    /// # Errors
    /// The message is in `message` again. It is in no queue, unless the error is that of the disk.
    /// [`Error::Timeout`] by [`OnFull::WaitFor`]; those of a closed caller.
    pub(crate) fn push<C: Caller>(
        self,
        message: &mut Option<Envelope>,
        caller: &C,
        on_full: OnFull,
    ) -> Confirmation {
        self.push_unsynced(message, caller, on_full)?.wait(message)
    }

    /// As [`push`](Self::push), without the wait for the disk.
    #[inline]
    pub(crate) fn push_unsynced<C: Caller>(
        mut self,
        message: &mut Option<Envelope>,
        caller: &C,
        on_full: OnFull,
    ) -> std::result::Result<Pushed<'a>, NotPublished> {
        let publisher = self.publisher;
        if publisher.config.gate.is_tapped() {
            self.show_taps(message.as_ref());
            if let Some(tap) = publisher.config.gate.tap() {
                let tapped = self.tap(tap, message)?;
                let pushed = self.push_untapped(message, caller, on_full);
                let pushed = pushed.map(|published| Pushed::new(published, self));
                tapped.end(match &pushed {
                    Ok(pushed) => pushed.confirmed(),
                    Err(failure) => Err(failure.clone()),
                });
                return pushed;
            }
        }
        let published = self.push_untapped(message, caller, on_full)?;
        Ok(Pushed::new(published, self))
    }

    fn push_untapped<C: Caller>(
        &mut self,
        message: &mut Option<Envelope>,
        caller: &C,
        on_full: OnFull,
    ) -> Confirmation {
        let time = self.publisher.config.gate.vhost().time();
        // The time begins before the publish is in line: a test that sees it there may advance a
        // manual clock.
        let (patience, deadline) = match on_full {
            OnFull::Refuse => (Patience::None, None),
            OnFull::Wait => (Patience::Wait, None),
            OnFull::WaitFor(timeout) => (Patience::Wait, time.deadline(timeout)),
        };
        self.keep(message.as_mut())?;
        if self.is_kept(message.as_ref()) {
            self.await_disk(caller, patience == Patience::Wait, deadline)?;
            self.write(message.as_ref())?;
        }
        let mut told = None;
        loop {
            if let Poll::Ready(confirmation) = self.advance(message, patience) {
                return confirmation;
            }
            let Some(blocked) = &self.blocked else {
                continue;
            };
            told.get_or_insert_with(|| self.tell_blocked());
            let ends_with_drain = self.admission.ends_with_drain();
            let ended = caller.closing();
            if blocked.wait_or(ended, ends_with_drain, deadline).is_none() {
                return self.time_out(message);
            }
            if let Some(ended) = self.end(caller) {
                return ended;
            }
        }
    }

    /// As [`push`](Self::push) with [`OnFull::Wait`], for a task.
    ///
    /// # If dropped
    /// The message stays in the queues that have it.
    pub(crate) async fn push_async<C: Caller>(
        mut self,
        message: &mut Option<Envelope>,
        caller: &C,
    ) -> Confirmation {
        let publisher = self.publisher;
        if publisher.config.gate.is_tapped() {
            self.show_taps(message.as_ref());
        }
        if let Some(tap) = publisher.config.gate.tap() {
            // In a box, since a future has room for all that it may become, and few have a tap.
            let pushed = Box::pin(self.push_tapped_async(tap, message, caller)).await?;
            return Box::pin(pushed.wait_async(message)).await;
        }
        let published = self.push_untapped_async(message, caller).await?;
        match self.written {
            None => Ok(published),
            Some(_) => Pushed::new(published, self).wait_async(message).await,
        }
    }

    /// As [`push_async`](Self::push_async), without the wait for the disk.
    pub(crate) async fn push_unsynced_async<C: Caller>(
        mut self,
        message: &mut Option<Envelope>,
        caller: &C,
    ) -> std::result::Result<Pushed<'a>, NotPublished> {
        let publisher = self.publisher;
        if publisher.config.gate.is_tapped() {
            self.show_taps(message.as_ref());
        }
        if let Some(tap) = publisher.config.gate.tap() {
            return Box::pin(self.push_tapped_async(tap, message, caller)).await;
        }
        let published = self.push_untapped_async(message, caller).await?;
        Ok(Pushed::new(published, self))
    }

    async fn push_tapped_async<C: Caller>(
        mut self,
        tap: &Arc<dyn Tap>,
        message: &mut Option<Envelope>,
        caller: &C,
    ) -> std::result::Result<Pushed<'a>, NotPublished> {
        let tapped = self.tap(tap, message)?;
        let pushed = self.push_untapped_async(message, caller).await;
        let pushed = pushed.map(|published| Pushed::new(published, self));
        tapped.end(match &pushed {
            Ok(pushed) => pushed.confirmed_async().await,
            Err(failure) => Err(failure.clone()),
        });
        pushed
    }

    async fn push_untapped_async<C: Caller>(
        &mut self,
        message: &mut Option<Envelope>,
        caller: &C,
    ) -> Confirmation {
        self.keep(message.as_mut())?;
        if self.is_kept(message.as_ref()) {
            if let Some(cleared) = self.low_disk(true)? {
                Box::pin(self.await_disk_async(cleared, caller)).await?;
            }
            self.write(message.as_ref())?;
        }
        let mut told = None;
        loop {
            if let Poll::Ready(confirmation) = self.advance(message, Patience::Wait) {
                return confirmation;
            }
            if let Some(blocked) = &self.blocked {
                told.get_or_insert_with(|| self.tell_blocked());
                let ends_with_drain = self.admission.ends_with_drain();
                blocked.or(caller.closing(), ends_with_drain).await;
            }
            if let Some(ended) = self.end(caller) {
                return ended;
            }
        }
    }

    /// Keeps the message in the histories of its route.
    #[inline]
    fn keep(&mut self, message: Option<&mut Envelope>) -> std::result::Result<(), NotPublished> {
        match message {
            Some(message) if self.route.has_histories() => self
                .keep_in_histories(message)
                .map_err(NotPublished::Invalid),
            _ => Ok(()),
        }
    }

    /// Keeps the message in the histories of its route, and finds the route again until it is
    /// current.
    ///
    /// # Errors
    /// Those of finding a route; [`Error::NotShareable`] for a payload of which there can be no
    /// copy, [`Error::Codec`] for one that cannot be encoded.
    #[inline(never)]
    pub(crate) fn keep_in_histories(&mut self, message: &mut Envelope) -> Result {
        let vhost = self.publisher.config.gate.vhost();
        while !vhost.keep_in_histories(&self.route, message)? {
            self.resolve_again(message.properties().into())?;
        }
        Ok(())
    }

    /// Whether histories keep the message.
    pub(crate) fn has_histories(&self) -> bool {
        self.route.has_histories()
    }

    /// Whether a durable queue of the route keeps the message.
    #[inline(always)]
    fn is_kept(&self, message: Option<&Envelope>) -> bool {
        message.is_some_and(|envelope| self.route.keeps(|| envelope.is_persistent()))
    }

    /// Makes what the durable queues of the route write of the message.
    ///
    /// # Errors
    /// [`Error::Codec`] if the payload cannot be encoded.
    #[inline(never)]
    fn write(&mut self, message: Option<&Envelope>) -> std::result::Result<(), NotPublished> {
        let Some(envelope) = message else {
            return Ok(());
        };
        let encoded = envelope.encode().map_err(Error::Codec);
        let octets = encoded.map_err(NotPublished::Invalid)?;
        let is_persistent = envelope.is_persistent();
        let body = self.route.stored_body(octets, is_persistent);
        self.written = body.map(|body| Written {
            body,
            meta: envelope.meta().cloned(),
            is_persistent,
        });
        Ok(())
    }

    /// What the publish has to wait for, now that the queues have the message.
    #[inline]
    pub(super) fn synced(&self) -> Option<Synced> {
        self.route.synced(self.written.as_ref()?.is_persistent)
    }

    /// Gives the message to the queues that have room. Pending if the publish has to wait for a
    /// queue. Then `blocked` is in line there.
    fn advance(
        &mut self,
        message: &mut Option<Envelope>,
        patience: Patience,
    ) -> Poll<Confirmation> {
        let vhost = self.publisher.config.gate.vhost();
        loop {
            let pushed = match (self.failure.take(), &mut self.blocked) {
                (Some(failure), _) => Err(*failure),
                (None, None) => {
                    let options = PushOptions {
                        due: self.due,
                        body: self.written.as_ref().map(|written| &written.body),
                    };
                    vhost.push(&self.route, message, options)
                }
                (None, Some(blocked)) => ready!(blocked.advance(message, patience)),
            };
            let tally = &self.route.tally;
            return Poll::Ready(match pushed {
                Ok(published) => {
                    tally.count_routed(published.routed as u64);
                    if self.is_own_key {
                        RouteCache::cache(Arc::clone(&self.route));
                    }
                    Ok(published)
                }
                Err(PushFailure::Full(blocked)) => {
                    self.blocked = Some(blocked);
                    continue;
                }
                // As if the commit had been first: the queue has lost the message.
                Err(PushFailure::QueueDeleted) if self.is_commit => {
                    drop(message.take());
                    Ok(Published::default())
                }
                Err(PushFailure::QueueDeleted) => {
                    self.blocked = None;
                    let properties = message.as_ref().map(Envelope::properties);
                    let visible = properties.map(RoutingProperties::from);
                    match self.resolve_again(visible.unwrap_or_default()) {
                        Ok(()) => continue,
                        Err(error) => Err(NotPublished::Invalid(error)),
                    }
                }
                Err(PushFailure::NoRoute) if !self.mandatory => {
                    tally.count_unroutable(false);
                    if let Some(envelope) = message.take() {
                        vhost.drop_unroutable(envelope);
                    }
                    Ok(Published::default())
                }
                Err(PushFailure::NoRoute) => {
                    tally.count_unroutable(true);
                    Err(NotPublished::NoRoute)
                }
                Err(PushFailure::Refused { by, refused }) => {
                    tally.count_routed(0);
                    Err(NotPublished::Refused { by, refused })
                }
                Err(PushFailure::NotStored(error)) => Err(NotPublished::Invalid(*error)),
                Err(PushFailure::NotShareable) => Err(NotPublished::NotShareable {
                    type_name: message
                        .as_ref()
                        .map_or("", |envelope| envelope.body().type_name()),
                    queues: Route::len(&self.route),
                }),
            });
        }
    }

    /// Finds another route, since no queue of this one is left. `visible` is what receivers see.
    fn resolve_again(&mut self, visible: RoutingProperties<'_>) -> Result {
        let Publisher { config, routes, .. } = self.publisher;
        routes.forget(&self.route);
        let headers = self.headers.as_deref().or(visible.headers);
        let other_key = (!self.is_own_key).then_some(self.key);
        self.route = match routes.known(config, other_key, headers) {
            Some(route) => route,
            None => routes.resolve(config, self.key, visible.with_headers(headers))?,
        };
        Ok(())
    }

    /// The outcome of a publish whose time is over. Queues with room still take the message.
    fn time_out(&mut self, message: &mut Option<Envelope>) -> Confirmation {
        match self.advance(message, Patience::None) {
            Poll::Ready(Err(NotPublished::Refused { .. })) | Poll::Pending => {
                Err(NotPublished::Invalid(Error::Timeout))
            }
            Poll::Ready(confirmation) => confirmation,
        }
    }

    /// Whether the caller is open and may still publish: the broker may drain by now.
    pub(super) fn check_again<C: Caller>(&mut self, caller: &C) -> Result {
        caller.check_open()?;
        if self.admission.ends_with_drain() {
            self.admission = self.publisher.admit(caller)?;
        }
        Ok(())
    }

    /// The outcome of a publish whose caller is closed, or that is no longer allowed. `None` if it
    /// may go on.
    fn end<C: Caller>(&mut self, caller: &C) -> Option<Confirmation> {
        let error = self.check_again(caller).err()?;
        Some(match self.blocked.take().map(|mut it| it.abandon()) {
            Some(Ok(published)) => {
                self.route.tally.count_routed(published.routed as u64);
                Ok(published)
            }
            Some(Err(_)) | None => Err(NotPublished::Invalid(error)),
        })
    }
}
