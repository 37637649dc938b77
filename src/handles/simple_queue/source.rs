//! Where the messages of a simple queue come from: the engine in this process, or one outside.

use std::{sync::Arc, task::Poll, time::Duration};

use crate::{
    message::envelope::Envelope,
    model::{
        descriptions::Queue,
        error::{CancelReason, Result},
        name::Name,
    },
    runtime::waiter::{self, Waitable, Waiting},
    session::{
        connection::Connection, getter::Getter, remote_getter::RemoteGetter,
        unacked::DeliveryOrigin,
    },
};

/// A message with its origin.
pub(super) type Got = Result<(Arc<DeliveryOrigin>, Envelope), CancelReason>;

#[derive(Clone)]
pub(super) enum Source {
    Here(Getter),
    There(RemoteGetter),
}

impl Source {
    /// Declares a queue with its bindings to get from it.
    pub(super) fn open(connection: &Connection, queue: &Queue) -> Result<Source> {
        let core = connection.core();
        match RemoteGetter::declare(core, queue)? {
            Some(remote) => Ok(Source::There(remote)),
            None => core.gate().declare_getter(queue).map(Source::Here),
        }
    }

    pub(super) fn get(&self) -> Got {
        match self {
            Source::Here(getter) => {
                let got = waiter::wait(getter, None);
                with_origin(getter, got.unwrap_or(Err(CancelReason::QueueDeleted)))
            }
            Source::There(getter) => {
                let got = waiter::wait(&getter.begin(), None);
                got.unwrap_or(Err(CancelReason::QueueDeleted))
            }
        }
    }

    pub(super) fn try_get(&self) -> Option<Got> {
        match self {
            Source::Here(getter) => match getter.attempt(None) {
                Poll::Ready(got) => Some(with_origin(getter, got)),
                Poll::Pending => None,
            },
            Source::There(getter) => getter.get_ready(),
        }
    }

    pub(super) fn get_timeout(&self, timeout: Duration) -> Option<Got> {
        match self {
            Source::Here(getter) => {
                let time = getter.time().clone();
                let got = waiter::wait(getter, time.deadline(timeout));
                got.map(|got| with_origin(getter, got))
            }
            Source::There(getter) => {
                let time = getter.time().clone();
                waiter::wait(&getter.begin(), time.deadline(timeout))
            }
        }
    }

    pub(super) async fn get_async(&self) -> Got {
        match self {
            Source::Here(getter) => with_origin(getter, Waiting::new(getter.clone()).await),
            Source::There(getter) => Waiting::new(getter.begin()).await,
        }
    }

    pub(super) fn queue_name(&self) -> &Name {
        match self {
            Source::Here(getter) => getter.queue_name(),
            Source::There(getter) => getter.queue_name(),
        }
    }

    pub(super) fn purge(&self) -> Result<u64> {
        match self {
            Source::Here(getter) => getter.purge(),
            Source::There(getter) => getter.purge(),
        }
    }
}

fn with_origin(getter: &Getter, got: Result<Envelope, CancelReason>) -> Got {
    got.map(|envelope| (getter.origin_of(&envelope), envelope))
}
