//! The state of a call: the arguments, and the slot for the replies.

use std::{collections::VecDeque, sync::Arc};

use super::{any_call::Reply, arguments::Arguments, outside::Outside};
use crate::runtime::{
    signal::Signal,
    user_drop::drop_user_value,
    waiter::{WaitList, Wake},
};

/// It is small, since a server reads it from the memory of another core.
pub(super) struct State<A, R> {
    pub(super) arguments: Arguments<A>,
    /// The first of the replies that the caller has not taken.
    pub(super) first: Option<Reply<R>>,
    /// No reply comes any more.
    pub(super) has_ended: bool,
    /// The caller has given up.
    pub(super) is_abandoned: bool,
    /// The servers that have replied to the end.
    pub(super) finished: usize,
    /// `None` for a call that is answered at once.
    pub(super) rest: Option<Box<Rest<R>>>,
}

/// The parts of a state that most calls do not need.
pub(super) struct Rest<R> {
    /// The replies after the first one.
    pub(super) others: VecDeque<Reply<R>>,
    /// The servers that have the request. `None` as long as that is not known.
    pub(super) servers: Option<usize>,
    /// The caller, if it waits.
    pub(super) caller: WaitList,
    /// The streams that wait for room.
    pub(super) senders: WaitList,
    /// Set when the caller gives up. Made when a server asks for it.
    pub(super) cancelled: Option<Arc<Signal>>,
    /// The part outside of the process, once the request has left it.
    pub(super) outside: Option<Box<Outside>>,
}

impl<R> Default for Rest<R> {
    fn default() -> Rest<R> {
        Rest {
            others: VecDeque::new(),
            servers: None,
            caller: WaitList::default(),
            senders: WaitList::default(),
            cancelled: None,
            outside: None,
        }
    }
}

impl<A, R> State<A, R> {
    pub(super) fn rest(&mut self) -> &mut Rest<R> {
        self.rest.get_or_insert_default()
    }

    /// Claims the caller, if it waits.
    pub(super) fn wake_caller(&mut self) -> Option<Wake> {
        self.rest.as_mut()?.caller.take_one()
    }

    /// Claims a stream that waits for room.
    pub(super) fn wake_sender(&mut self) -> Option<Wake> {
        self.rest.as_mut()?.senders.take_one()
    }

    pub(super) fn outside(&mut self) -> Option<&mut Outside> {
        self.rest.as_mut()?.outside.as_deref_mut()
    }

    pub(super) fn servers(&self) -> Option<usize> {
        self.rest.as_ref()?.servers
    }

    /// Whether every server that has the request has replied to the end.
    pub(super) fn all_finished(&self) -> bool {
        let servers = self.servers();
        servers.is_some_and(|servers| self.finished >= servers)
    }
}

/// The parts of a state that end when the caller gives up.
pub(super) struct Given<R> {
    pub(super) others: VecDeque<Reply<R>>,
    pub(super) cancelled: Option<Arc<Signal>>,
    pub(super) senders: Vec<Wake>,
    pub(super) outside: Option<Box<Outside>>,
}

impl<R: Send + 'static> Given<R> {
    /// Tells the servers. Runs user code.
    pub(super) fn give_up(self) {
        if let Some(cancelled) = self.cancelled {
            cancelled.set();
        }
        self.senders.into_iter().for_each(|wake| wake.wake());
        if let Some(mut outside) = self.outside {
            outside.take_streams().give_up();
        }
        self.others.into_iter().for_each(drop_user_value);
    }
}
