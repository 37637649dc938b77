//! A publish whose message is in its queues, and not yet on disk in those that promise it.

use std::sync::Arc;

use super::{Prepared, not_published::NotPublished};
use crate::{
    engine::{
        store::{StoredBody, Synced},
        vhost::Published,
    },
    message::{
        envelope::{Envelope, Meta},
        payload::Body,
    },
    model::error::Result,
    runtime::waiter::{self, Waiting},
    session::backend::Confirmation,
};

/// A message as a durable queue writes it.
pub(super) struct Written {
    pub(super) body: StoredBody,
    pub(super) meta: Option<Arc<Meta>>,
    pub(super) is_persistent: bool,
}

/// The outcome of a push.
pub(crate) struct Pushed<'a> {
    published: Published,
    /// In a box, since most publishes have none.
    unsynced: Option<Box<Unsynced<'a>>>,
}

/// What a publisher has to wait for, and the message.
struct Unsynced<'a> {
    synced: Synced,
    prepared: Prepared<'a>,
}

impl<'a> Pushed<'a> {
    /// The outcome of a publish whose message the queues have.
    #[inline(always)]
    pub(super) fn new(published: Published, prepared: Prepared<'a>) -> Pushed<'a> {
        Pushed {
            published,
            unsynced: match prepared.written {
                None => None,
                Some(_) => Unsynced::of(prepared),
            },
        }
    }

    /// The publish, and the sync that is to be waited for.
    pub(crate) fn into_parts(self) -> (Published, Option<Synced>) {
        (
            self.published,
            self.unsynced.map(|unsynced| unsynced.synced),
        )
    }

    /// Waits for the disk, for a tap. The publisher still waits for it by itself.
    pub(super) fn confirmed(&self) -> Confirmation {
        let synced = self.unsynced.as_ref();
        let synced = synced.and_then(|unsynced| waiter::wait(&unsynced.synced, None));
        self.confirmation(synced)
    }

    /// As [`confirmed`](Self::confirmed), for a task.
    pub(super) async fn confirmed_async(&self) -> Confirmation {
        let synced = match &self.unsynced {
            None => None,
            Some(unsynced) => Some(Waiting::new(unsynced.synced.clone()).await),
        };
        self.confirmation(synced)
    }

    fn confirmation(&self, synced: Option<Result>) -> Confirmation {
        let synced = synced.unwrap_or(Ok(())).map_err(NotPublished::Invalid);
        synced.map(|()| self.published)
    }

    /// Waits for the disk. After an error the message is in `message`, as octets.
    #[inline(always)]
    pub(crate) fn wait(self, message: &mut Option<Envelope>) -> Confirmation {
        match self.unsynced {
            None => Ok(self.published),
            Some(unsynced) => unsynced.wait(self.published, message),
        }
    }

    /// As [`wait`](Self::wait), for a task.
    pub(crate) async fn wait_async(self, message: &mut Option<Envelope>) -> Confirmation {
        let Some(unsynced) = self.unsynced else {
            return Ok(self.published);
        };
        let synced = Waiting::new(unsynced.synced.clone()).await;
        unsynced.end(self.published, synced, message)
    }
}

impl<'a> Unsynced<'a> {
    /// `None` if there is nothing to wait for.
    #[inline(never)]
    fn of(prepared: Prepared<'a>) -> Option<Box<Unsynced<'a>>> {
        let synced = prepared.synced()?;
        Some(Box::new(Unsynced { synced, prepared }))
    }

    #[inline(never)]
    fn wait(self, published: Published, message: &mut Option<Envelope>) -> Confirmation {
        // A wait without a deadline does not time out.
        match waiter::wait(&self.synced, None) {
            Some(synced) => self.end(published, synced, message),
            None => Ok(published),
        }
    }

    fn end(
        self,
        published: Published,
        synced: Result,
        message: &mut Option<Envelope>,
    ) -> Confirmation {
        let Err(error) = synced else {
            return Ok(published);
        };
        let Prepared { written, route, .. } = self.prepared;
        *message = written.map(|written| {
            let body = Body::encoded(written.body.octets().clone());
            Envelope::new(body, &route.address, written.meta)
        });
        Err(NotPublished::Invalid(error))
    }
}
