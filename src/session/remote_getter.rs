//! Gets from a queue of an engine outside of this process.
//!
//! A get that finds nothing starts a consumer for one message, and ends it when the message is
//! there. So no message waits here without a receiver, and there is no polling.

use std::{
    sync::{Arc, Weak},
    task::{Poll, ready},
};

use super::{
    backend::{Backend, Got},
    connection::ConnectionCore,
    subscriber::{Subscriber, SubscriberOptions},
    unacked::DeliveryOrigin,
};
use crate::{
    message::envelope::Envelope,
    model::{
        descriptions::Queue,
        error::{CancelReason, Error, Result},
        name::Name,
        slow_consumer::SlowConsumerPolicy,
    },
    runtime::{
        clock::Time,
        completion::Completion,
        sync::Mutex,
        waiter::{self, Ticket, WaitList, Waitable},
    },
};

/// Gets messages from one queue. Clones get from the same queue.
#[derive(Clone)]
pub(crate) struct RemoteGetter {
    backend: Arc<dyn Backend>,
    origin: Arc<DeliveryOrigin>,
    /// Getters do not keep the connection open.
    core: Weak<ConnectionCore>,
}

type Taken = Result<(Arc<DeliveryOrigin>, Envelope), CancelReason>;

impl RemoteGetter {
    /// Declares a queue with its bindings. `None` if the engine is in this process.
    pub(crate) fn declare(
        core: &Arc<ConnectionCore>,
        queue: &Queue,
    ) -> Result<Option<RemoteGetter>> {
        let gate = core.gate();
        let Some(backend) = gate.backend() else {
            return Ok(None);
        };
        gate.check_open()?;
        let declared = gate.wait(backend.declare_queue(queue))?;
        let vhost = gate.vhost();
        let local = vhost.detached_queue(&declared.name);
        Ok(Some(RemoteGetter {
            backend: Arc::clone(backend),
            origin: DeliveryOrigin::remote_gets(vhost, &local, backend),
            core: Arc::downgrade(core),
        }))
    }

    pub(crate) fn queue_name(&self) -> &Name {
        self.origin.queue.name()
    }

    pub(crate) fn time(&self) -> &Time {
        self.origin.vhost.time()
    }

    /// Drops all ready messages. Returns how many.
    ///
    /// # Errors
    /// [`Error::ConnectionLost`] while there is no connection; those of the engine.
    pub(crate) fn purge(&self) -> Result<u64> {
        let core = self.core.upgrade().ok_or(Error::ConnectionClosed)?;
        core.gate()
            .wait(self.backend.purge(self.queue_name(), false))
    }

    /// Gets a message that is ready. Waits for the answer of the engine, and not for a message or
    /// for a connection.
    pub(crate) fn get_ready(&self) -> Option<Taken> {
        let got = waiter::wait(&self.backend.get(self.queue_name(), false), None);
        match got.flatten() {
            Some(Err(Error::ConnectionLost { .. })) => None,
            got => self.take(got).transpose(),
        }
    }

    fn take(
        &self,
        got: Option<Result<Option<Got>>>,
    ) -> Result<Option<(Arc<DeliveryOrigin>, Envelope)>, CancelReason> {
        let got = got.unwrap_or(Err(Error::ConnectionClosed)).map_err(reason);
        Ok(got?.and_then(Got::into_inner).map(|inbound| {
            let vhost = &self.origin.vhost;
            let envelope = inbound.into_envelope(vhost).at(vhost.next_number());
            let origin = &self.origin;
            origin.holders.count_get();
            // The get itself is counted already.
            (origin.handle(|| 1), envelope)
        }))
    }

    /// Begins a get that waits for a message.
    pub(crate) fn begin(&self) -> Getting {
        Getting {
            state: Mutex::new(State::Get(self.backend.get(self.queue_name(), true))),
            getter: self.clone(),
        }
    }

    /// Starts a consumer for one message.
    fn subscribe(&self) -> Result<(Arc<Subscriber>, Completion<Result<u64>>)> {
        let core = self.core.upgrade().ok_or(Error::ConnectionClosed)?;
        let owner = Arc::downgrade(&core);
        let options = SubscriberOptions {
            tag: Name::empty(),
            prefetch: 1,
            priority: 0,
            exclusive: false,
            auto_ack: false,
            in_tasks: false,
            expected_size: 0,
            paused: Arc::default(),
            timeout: None,
            on_slow: SlowConsumerPolicy::Wait,
            #[cfg(feature = "tracing")]
            is_traced: false,
        };
        let gate = core.gate();
        gate.check_open()?;
        gate.begin_remote_consumer(&self.backend, self.queue_name(), owner, &options)
    }
}

/// Why no message comes, for a receiver.
fn reason(error: Error) -> CancelReason {
    match error {
        Error::NotFound { .. } => CancelReason::QueueDeleted,
        Error::PermissionDenied(_) | Error::AccessRefused(_) => CancelReason::AccessRefused,
        Error::ShutDown => CancelReason::ShutDown,
        Error::BrokerDropped => CancelReason::BrokerDropped,
        _ => CancelReason::ConnectionClosed,
    }
}

/// A get under way.
///
/// # If dropped
/// The engine has the message back.
pub(crate) struct Getting {
    getter: RemoteGetter,
    state: Mutex<State>,
}

enum State {
    /// The queue is asked for a message.
    Get(Completion<Result<Option<Got>>>),
    /// It had none, and a consumer starts.
    Start(Arc<Subscriber>, Completion<Result<u64>>),
    /// The consumer waits.
    Receive(Arc<Subscriber>),
    Done,
}

impl Waitable for Getting {
    type Output = Taken;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Taken> {
        let mut state = self.state.lock();
        if let State::Get(completion) = &*state {
            let got = ready!(completion.attempt(ticket));
            match self.getter.take(got).transpose() {
                Some(taken) => {
                    *state = State::Done;
                    return Poll::Ready(taken);
                }
                None => match self.getter.subscribe() {
                    Ok((subscriber, completion)) => *state = State::Start(subscriber, completion),
                    Err(error) => return Poll::Ready(Err(reason(error))),
                },
            }
        }
        if let State::Start(subscriber, completion) = &*state {
            let started = ready!(completion.attempt(ticket));
            match started.unwrap_or(Err(Error::ConnectionClosed)) {
                Ok(number) => {
                    subscriber.started_remotely(number);
                    *state = State::Receive(Arc::clone(subscriber));
                }
                Err(error) => return Poll::Ready(Err(reason(error))),
            }
        }
        if let State::Receive(subscriber) = &*state {
            let received = ready!(subscriber.attempt(ticket));
            let received = received.map(|envelope| (subscriber.handle_of_taken(), envelope));
            return Poll::Ready(received);
        }
        Poll::Ready(Err(CancelReason::ConsumerCancelled))
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        match &*self.state.lock() {
            State::Get(completion) => completion.with_waiters(f),
            State::Start(_, completion) => completion.with_waiters(f),
            State::Receive(subscriber) => subscriber.with_waiters(f),
            State::Done => {}
        }
    }
}

impl Drop for Getting {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut *self.state.lock(), State::Done);
        if let State::Start(subscriber, _) | State::Receive(subscriber) = state {
            subscriber.cancel(CancelReason::ConsumerCancelled);
        }
    }
}
