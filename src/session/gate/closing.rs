//! The end of a connection, which ends the waits on its behalf.

use std::{sync::Arc, task::Poll};

use super::Gate;
use crate::{
    engine::vhost::REPLY_TO,
    message::properties::Properties,
    model::error::{Error, Result},
    runtime::waiter::{Ticket, WaitList, Waitable},
    session::publisher::Caller,
};

impl Caller for Arc<Gate> {
    type Closing = Closing;

    fn closing(&self) -> Closing {
        Closing(Arc::clone(self))
    }

    fn check_open(&self) -> Result {
        Gate::check_open(self)
    }

    /// A direct reply needs a channel that consumes it, and a connection has none. An engine
    /// outside looks for itself.
    fn check_properties(&self, properties: &Properties) -> Result {
        let properties = properties.as_list();
        match properties.and_then(|list| list.reply_to.as_deref()) {
            Some(REPLY_TO) if !self.is_remote() => Err(Error::no_reply_consumer()),
            _ => Ok(()),
        }
    }
}

/// Ready once the connection is closed. A wait on its behalf waits for this as well.
pub(crate) struct Closing(Arc<Gate>);

impl Waitable for Closing {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        let mut closing = self.0.closing.lock();
        // `close` collects under this lock. Either it finds this waiter, or the gate is found
        // closed here.
        if !self.0.is_open() {
            return Poll::Ready(());
        }
        if let Some(ticket) = ticket {
            closing.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.0.closing.lock());
    }
}
