//! The one way from a session into its virtual host.
//!
//! Each verb first checks that the connection is open, and then that the user may do it. Then it
//! asks the virtual host. Channels, typed handles, management and protocols call only this.
//!
//! Where RabbitMQ checks something else before a permission, the virtual host asks for it itself.
//! Files: `verb` lists the verbs; `topology`, `messages`, `getting` and `operation` have them;
//! `remote` is for an engine outside of this process; `closing` is the end of the connection.

mod closing;
mod exporting;
mod getting;
mod messages;
mod operation;
mod queue_kinds;
mod remote;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod topology;
mod verb;

use std::sync::{Arc, OnceLock};

use self::verb::{Guarded, Verb};
use super::{backend::Backend, callers::Callers, events::EventStream, publisher::Tap};
use crate::{
    engine::{
        access::Access,
        queue::SubscribedBy,
        vhost::{Churn, ConnectionId, PublishCounts, VirtualHost},
    },
    message::properties::Properties,
    model::{
        error::{CancelReason, Error, Result},
        name::Name,
    },
    runtime::{
        sync::{
            Mutex,
            atomic::{AtomicU8, Ordering::SeqCst},
        },
        waiter::{WaitList, Wake},
    },
};

/// The connection is closed.
const CLOSED: u8 = 1;

/// A tap may want to see what is published.
const TAPPED: u8 = 2;

/// What one connection may do in its virtual host.
pub(crate) struct Gate {
    guarded: Guarded,
    /// The user, who starts the typed consumers.
    subscribed_by: Arc<SubscribedBy>,
    /// The engine outside of this process, if the virtual host is only its place in here.
    backend: Option<Arc<dyn Backend>>,
    /// Those who wait for replies over that engine.
    callers: Option<Arc<Callers>>,
    /// Sees every publish, if the broker has one.
    tap: Option<Arc<dyn Tap>>,
    /// The events of the connection itself, and of channels without a stream of their own.
    events: Arc<EventStream>,
    /// [`CLOSED`] and [`TAPPED`], or 0. A publisher finds both in one look.
    marks: AtomicU8,
    /// Why it is closed, set before.
    closed_by: OnceLock<CancelReason>,
    /// Waits that end with the connection. A leaf lock.
    closing: Mutex<WaitList>,
}

/// Whether the connection is open.
impl Gate {
    pub(crate) fn new(
        vhost: &Arc<VirtualHost>,
        connection: ConnectionId,
        (user, access): (Name, Access),
        refuses_block: bool,
        backend: Option<Arc<dyn Backend>>,
        tap: Option<Arc<dyn Tap>>,
    ) -> Gate {
        let is_tapped = tap.is_some() || vhost.taps().is_read();
        let callers = backend.as_ref().map(|backend| {
            let callers = Arc::new(Callers::new(vhost.time(), backend));
            backend.serve(&callers);
            callers
        });
        let subscribed_by = SubscribedBy {
            user,
            connection,
            channel: None,
        };
        Gate {
            tap,
            subscribed_by: Arc::new(subscribed_by),
            guarded: Guarded::new(vhost, connection, access, refuses_block),
            events: Arc::new(EventStream::new(vhost.time())),
            backend,
            callers,
            marks: AtomicU8::new(if is_tapped { TAPPED } else { 0 }),
            closed_by: OnceLock::new(),
            closing: Mutex::default(),
        }
    }

    pub(crate) fn user(&self) -> &Name {
        &self.subscribed_by.user
    }

    /// For the session layer, which settles and receives without asking again.
    pub(super) fn vhost(&self) -> &Arc<VirtualHost> {
        self.guarded.unasked()
    }

    /// What the user may do, for the channels of the connection.
    pub(super) fn access(&self) -> &Access {
        self.guarded.access()
    }

    pub(super) fn tap(&self) -> Option<&Arc<dyn Tap>> {
        self.tap.as_ref()
    }

    pub(in crate::session) fn events(&self) -> &Arc<EventStream> {
        &self.events
    }

    /// Whether a publish through the connection waits for room.
    pub(crate) fn is_blocked(&self) -> bool {
        self.events.is_blocked()
    }

    /// The number of the connection.
    pub(crate) fn connection(&self) -> ConnectionId {
        self.guarded.connection()
    }

    /// Who starts a consumer, by a channel of this number or none.
    pub(super) fn subscribed_by(&self, channel: Option<u16>) -> Arc<SubscribedBy> {
        match channel {
            // There may be very many consumers.
            None => Arc::clone(&self.subscribed_by),
            Some(_) => Arc::new(SubscribedBy {
                user: self.user().clone(),
                connection: self.connection(),
                channel,
            }),
        }
    }

    /// Why it is closed; `None` while it is open.
    pub(in crate::session) fn close_reason(&self) -> Option<CancelReason> {
        match !self.is_open() {
            true => self.closed_by.get().copied(),
            false => None,
        }
    }

    /// Whether the broker keeps its data in a folder.
    pub(crate) fn is_durable(&self) -> bool {
        self.vhost().storage().is_some()
    }

    /// The totals of the things that came and went in the virtual host.
    pub(crate) fn churn(&self) -> &Churn {
        self.vhost().churn()
    }

    /// The publishes to the default exchange.
    pub(crate) fn default_exchange_counts(&self) -> PublishCounts {
        self.vhost().default_tally().counts()
    }

    pub(crate) fn vhost_name(&self) -> &Name {
        self.vhost().name()
    }

    /// Whether the connection is not closed. A virtual host that is down shows in its routes and in
    /// [`check_open`](Self::check_open).
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.marks.load(SeqCst) & CLOSED == 0
    }

    /// Whether the connection is open, and no tap wants to see what is published.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.marks.load(SeqCst) == 0
    }

    /// Whether a tap may want to see what is published.
    #[inline]
    pub(super) fn is_tapped(&self) -> bool {
        self.marks.load(SeqCst) & TAPPED != 0
    }

    /// A tap may want to see what is published from now on.
    pub(super) fn note_taps(&self) {
        self.marks.fetch_or(TAPPED, SeqCst);
    }

    /// There is no tap any more.
    pub(super) fn forget_taps(&self) {
        if self.tap.is_none() {
            self.marks.fetch_and(!TAPPED, SeqCst);
        }
        // A tap may have come in between, and has marked the connection too early.
        if self.vhost().taps().is_read() {
            self.note_taps();
        }
    }

    /// # Errors
    /// [`Error::ShutDown`], [`Error::VhostDeleted`], [`Error::UserDeleted`],
    /// [`Error::ConnectionClosed`].
    pub(crate) fn check_open(&self) -> Result {
        // A broker that ends goes down before it closes its connections. Read in the other order,
        // its end is never taken for that of the connection alone.
        let open = self.is_open();
        self.guarded.check_up()?;
        match open {
            true => Ok(()),
            false => Err(self.closed_error()),
        }
    }

    #[cold]
    fn closed_error(&self) -> Error {
        match self.closed_by.get() {
            Some(CancelReason::UserDeleted) => Error::user_deleted(self.user()),
            _ => Error::ConnectionClosed,
        }
    }

    /// Looks again after a declaration. The connection may have been closed meanwhile: a
    /// declaration before its end stays, but an exclusive queue that its end has missed is deleted
    /// now.
    ///
    /// # Errors
    /// Those of a closed connection, for an exclusive queue.
    fn check_exclusive(&self, is_exclusive: bool) -> Result {
        let open = self.check_open();
        match is_exclusive && open.is_err() {
            true => {
                self.vhost().delete_owned_by(self.guarded.connection());
                open
            }
            false => Ok(()),
        }
    }

    /// Closes it. Returns the waits that end with it; `None` if it was closed already.
    pub(super) fn close(&self, reason: CancelReason) -> Option<Vec<Wake>> {
        let mut closing = self.closing.lock();
        // The first reason stays.
        let _ = self.closed_by.set(reason);
        match self.marks.fetch_or(CLOSED, SeqCst) & CLOSED {
            CLOSED => None,
            _ => Some(closing.take_all()),
        }
    }

    /// Deletes the exclusive queues of the connection.
    pub(super) fn delete_exclusive_queues(&self) {
        self.vhost().delete_owned_by(self.guarded.connection());
    }

    /// # Errors
    /// [`Error::PreconditionFailed`] if the properties name a user other than this one, and the
    /// user is no impersonator, as in RabbitMQ.
    pub(crate) fn check_user_id(&self, properties: &Properties) -> Result {
        let properties = properties.as_list();
        match properties.and_then(|list| list.user_id.as_ref()) {
            Some(claimed)
                if **claimed != **self.user() && !self.guarded.access().may_impersonate() =>
            {
                Err(Error::user_id_mismatch(claimed, self.user()))
            }
            _ => Ok(()),
        }
    }
}
