//! The verbs of a connection to an engine outside of this process.

use std::sync::{Arc, Weak};

use super::Gate;
use crate::{
    engine::queue::{DeliveryTarget, Inbox},
    message::payload::Exit,
    model::{
        descriptions::Queue,
        error::{CancelReason, Error, Result},
        name::Name,
    },
    runtime::{
        completion::Completion,
        waiter::{self, Waiting},
    },
    session::{
        backend::{Backend, Confirmation, RemoteConsumer, RemoteInbox},
        publisher::OnFull,
        subscriber::{NewSubscriber, Subscriber, SubscriberOptions, SubscriberOwner},
    },
};

impl Gate {
    pub(in crate::session) fn backend(&self) -> Option<&Arc<dyn Backend>> {
        self.backend.as_ref()
    }

    /// The place where messages leave the process.
    pub(crate) fn exit(&self) -> &dyn Exit {
        match &self.callers {
            Some(callers) => callers,
            None => self.vhost(),
        }
    }

    /// # Errors
    /// [`Error::NotImplemented`] for an engine outside of this process: it does not offer `what`.
    #[inline]
    pub(crate) fn check_embedded(&self, what: &str) -> Result {
        match &self.backend {
            None => Ok(()),
            Some(_) => Err(Error::not_embedded(what)),
        }
    }

    /// Whether the engine is outside of this process.
    #[inline]
    pub(crate) fn is_remote(&self) -> bool {
        self.backend.is_some()
    }

    /// Waits for the end of a publish.
    ///
    /// # Errors
    /// [`Error::Timeout`] at the deadline of `on_full`. [`Error::ConnectionClosed`] if the
    /// connection is lost. The message may be published all the same.
    pub(crate) fn wait_for_confirmation(
        &self,
        completion: Completion<Confirmation>,
        on_full: OnFull,
    ) -> Result<Confirmation> {
        let deadline = match on_full {
            OnFull::WaitFor(timeout) => self.vhost().time().deadline(timeout),
            OnFull::Wait | OnFull::Refuse => None,
        };
        let confirmation = waiter::wait(&completion, deadline).ok_or(Error::Timeout)?;
        confirmation.ok_or(Error::ConnectionClosed)
    }

    /// As [`wait_for_confirmation`](Self::wait_for_confirmation) without a deadline, for a task.
    pub(crate) async fn confirmation(completion: Completion<Confirmation>) -> Result<Confirmation> {
        let confirmation = Waiting::new(completion).await;
        confirmation.ok_or(Error::ConnectionClosed)
    }

    /// Waits for an operation of the engine outside.
    pub(in crate::session) fn wait<T>(&self, completion: Completion<Result<T>>) -> Result<T> {
        match waiter::wait(&completion, None).flatten() {
            Some(outcome) => outcome,
            None => Err(Error::ConnectionClosed),
        }
    }

    /// Ends the connection to the engine outside, if there is one.
    pub(in crate::session) fn close_backend(&self) {
        if let Some(backend) = &self.backend {
            backend.close();
        }
    }

    /// Declares the queues and starts a consumer of each of them, one after the other.
    pub(super) fn start_consumers_remotely(
        &self,
        backend: &Arc<dyn Backend>,
        queues: &[Queue],
        owner: &Weak<dyn SubscriberOwner>,
        options: &SubscriberOptions,
    ) -> Result<Vec<Arc<Subscriber>>> {
        let mut started: Vec<Arc<Subscriber>> = Vec::with_capacity(queues.len());
        for queue in queues {
            let declared = self.wait(backend.declare_queue(queue));
            let subscribed = declared.and_then(|declared| {
                self.subscribe_remotely(backend, &declared.name, Weak::clone(owner), options)
            });
            match subscribed {
                Ok(subscriber) => started.push(subscriber),
                Err(error) => {
                    for subscriber in started {
                        subscriber.cancel(CancelReason::ConsumerCancelled);
                    }
                    return Err(error);
                }
            }
        }
        Ok(started)
    }

    fn subscribe_remotely(
        &self,
        backend: &Arc<dyn Backend>,
        queue: &Name,
        owner: Weak<dyn SubscriberOwner>,
        options: &SubscriberOptions,
    ) -> Result<Arc<Subscriber>> {
        let (subscriber, started) = self.begin_remote_consumer(backend, queue, owner, options)?;
        match self.wait(started) {
            Ok(number) => {
                subscriber.started_remotely(number);
                Ok(subscriber)
            }
            Err(error) => {
                subscriber.cancel(CancelReason::ConsumerCancelled);
                Err(error)
            }
        }
    }

    /// Begins to start a consumer at the engine outside. The completion gives its number there, for
    /// [`Subscriber::started_remotely`].
    pub(in crate::session) fn begin_remote_consumer(
        &self,
        backend: &Arc<dyn Backend>,
        queue: &Name,
        owner: Weak<dyn SubscriberOwner>,
        options: &SubscriberOptions,
    ) -> Result<(Arc<Subscriber>, Completion<Result<u64>>)> {
        let local = self.vhost().detached_queue(queue);
        let inbox = Arc::new(RemoteInbox::new(self.vhost(), &local));
        let consumer = RemoteConsumer {
            queue: queue.clone(),
            tag: options.tag.clone(),
            prefetch: options.prefetch,
            priority: options.priority,
            exclusive: options.exclusive,
            timeout: options.timeout,
        };
        let remote = (Arc::clone(backend), Arc::clone(&inbox));
        let by = self.subscribed_by(None);
        let (new, mut request) = NewSubscriber::new(self.vhost(), &by, owner, options)?;
        // The engine enforces the prefetch and the time itself.
        request.prefetch = 0;
        request.timeout = None;
        let target = |_| DeliveryTarget::Inbox(Inbox::default());
        let id = self.vhost().subscribe(&local, request, target)?;
        let subscriber = new.started(self.vhost(), local, id, Some(remote));
        inbox.serve(&subscriber);
        Ok((subscriber, backend.subscribe(consumer, inbox)))
    }
}
