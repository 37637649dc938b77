//! [`Rest`], the parts of a call that most calls do not need.

use std::{collections::VecDeque, mem, sync::Arc};

use super::{any_call::Reply, outside::Outside};
use crate::runtime::{
    signal::Signal,
    user_drop::drop_user_value,
    waiter::{WaitList, Wake},
};

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

impl<R> Rest<R> {
    /// Takes the parts that end when the caller gives up.
    pub(super) fn take_given(&mut self) -> Given<R> {
        Given {
            others: mem::take(&mut self.others),
            cancelled: self.cancelled.take(),
            senders: self.senders.take_all(),
            outside: self.outside.take(),
        }
    }
}

/// The parts of a state that end when the caller gives up.
pub(super) struct Given<R> {
    others: VecDeque<Reply<R>>,
    cancelled: Option<Arc<Signal>>,
    senders: Vec<Wake>,
    outside: Option<Box<Outside>>,
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
