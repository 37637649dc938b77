//! The end of a connection, as something that can be waited for.

use std::{sync::Arc, task::Poll};

use super::ConnectionCore;
use crate::runtime::{
    sync::atomic::Ordering::SeqCst,
    waiter::{Ticket, WaitList, Waitable},
};

/// Ready once the connection is closed. Who waits for anything else on its behalf waits for this as well.
pub(crate) struct Closing(pub(crate) Arc<ConnectionCore>);

impl Waitable for Closing {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        let mut members = self.0.members.lock();
        // Under the lock under which `close` collects: either it finds this one, or this finds it closed.
        if self.0.closed.load(SeqCst) {
            return Poll::Ready(());
        }
        if let Some(ticket) = ticket {
            members.closing.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.0.members.lock().closing);
    }
}
