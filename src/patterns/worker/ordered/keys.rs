//! The keys of an ordered worker, with the messages that wait for them: [`Keys`].
//!
//! A key is busy while one of its messages is handled, or is to be tried again. The next messages
//! of a busy key wait behind it, unsettled and in the hands of the worker. A key becomes ready when
//! its message is settled, or when the time of another try has come. A free slot then goes on with
//! it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry},
    fmt,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use super::super::{
    core::Shared,
    settle::{Outcome, Settle},
};
use crate::{
    message::payload::Payload,
    model::error::Result,
    runtime::{
        clock::Time,
        sync::Mutex,
        waiter::{Ticket, WaitList, Waitable, Wake},
    },
    session::{delivery::Delivery, delivery_info::DeliveryInfo, requeue::Requeue},
};

/// The hash of a key. Keys with the same hash count as one.
pub(in super::super) type KeyHash = u64;

/// The keys of a worker. Its slots share them.
///
/// # If dropped
/// The messages that wait return to their queue. The worker [closes](Self::close) it before.
pub(in super::super) struct Keys {
    time: Time,
    /// A leaf lock.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The messages behind each busy key.
    behind: BTreeMap<KeyHash, VecDeque<DeliveryInfo>>,
    /// The busy keys that a slot may go on with, each with its next message.
    ready: VecDeque<(KeyHash, Held)>,
    /// The busy keys whose message is to be tried again, by the time of that.
    later: BTreeMap<(Instant, u64), (KeyHash, DeliveryInfo)>,
    /// Numbers the messages of `later`.
    retries: u64,
    /// How many messages are to be tried again whose key is held still, by a handler past its time.
    retrying: usize,
    /// Whether a slot waits until nothing is held.
    is_draining: bool,
    is_closed: bool,
    waiting: WaitList,
}

/// A message that waits for its key.
pub(in super::super) struct Held {
    pub(in super::super) info: DeliveryInfo,
    /// Whether a handler had it before.
    is_retry: bool,
}

/// A key, held for one of its messages.
///
/// # If dropped
/// The key goes on: with this message if it is to be tried again, and else with the next one.
pub(in super::super) struct KeyHold {
    keys: Arc<Keys>,
    key: KeyHash,
    /// The message, once it is to be tried again, and the time of that.
    again: Mutex<Option<(DeliveryInfo, Instant)>>,
}

impl Keys {
    pub(in super::super) fn new(time: Time) -> Keys {
        Keys {
            time,
            state: Mutex::default(),
        }
    }

    /// Takes in a message that was just received. Returns it if it may be handled now. Else it
    /// waits behind the others of its key. Only one slot at a time may call this.
    pub(super) fn admit<T: Payload>(
        self: &Arc<Self>,
        key: KeyHash,
        delivery: Delivery<T>,
    ) -> Option<(Delivery<T>, Arc<KeyHold>)> {
        {
            let mut state = self.state.lock();
            if !state.is_closed && !state.behind.contains_key(&key) {
                state.behind.insert(key, VecDeque::new());
                drop(state);
                return Some((delivery, self.hold(key)));
            }
        }
        // That runs user code: it drops a payload that is not in the message itself.
        let mut info = delivery.into_info();
        let mut state = self.state.lock();
        if state.is_closed {
            drop(state);
            info.return_unseen();
            return None;
        }
        let wake = match state.behind.entry(key) {
            Entry::Occupied(mut behind) => {
                behind.get_mut().push_back(info);
                None
            }
            // The key has become free in between.
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                state.make_ready(key, Held::new(info))
            }
        };
        drop(state);
        wake.into_iter().for_each(Wake::wake);
        None
    }

    /// Takes the next message whose key is ready.
    pub(super) fn take(self: &Arc<Self>) -> Option<(Held, Arc<KeyHold>)> {
        let awaits_time = !self.state.lock().later.is_empty();
        let now = awaits_time.then(|| self.time.now());
        let mut wakes = Vec::new();
        let (key, mut held) = {
            let mut state = self.state.lock();
            if let Some(now) = now {
                state.make_due_ready(now, &mut wakes);
            }
            let next = state.ready.pop_front();
            if state.is_draining && next.is_some() {
                wakes.extend(state.waiting.take_all());
            }
            drop(state);
            wakes.into_iter().for_each(Wake::wake);
            next?
        };
        if held.is_retry {
            held.info.count_return();
        }
        Some((held, self.hold(key)))
    }

    fn hold(self: &Arc<Self>, key: KeyHash) -> Arc<KeyHold> {
        Arc::new(KeyHold {
            keys: Arc::clone(self),
            key,
            again: Mutex::new(None),
        })
    }

    /// When the first message is to be tried again.
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.state.lock().first_due()
    }

    /// Whether a message waits that a drain of this worker is to handle.
    pub(super) fn holds(&self, worker: &Shared) -> bool {
        self.state.lock().holds(worker)
    }

    /// A source that is ready when a key may be. `first_due` is the time of the next try that the
    /// caller knows of. With a worker that drains, it is also ready when nothing is held any more.
    pub(super) fn change<'a>(
        &'a self,
        first_due: Option<Instant>,
        draining: Option<&'a Shared>,
    ) -> Change<'a> {
        Change {
            keys: self,
            first_due: Some(first_due),
            draining,
        }
    }

    /// A source that is ready when a key is, or when there will be none.
    pub(super) fn any_ready(&self) -> Change<'_> {
        Change {
            keys: self,
            first_due: None,
            draining: None,
        }
    }

    /// The worker handles no more messages. Those that wait return to their places in the queue.
    pub(in super::super) fn close(&self) {
        let (held, wakes) = {
            let mut state = self.state.lock();
            state.is_closed = true;
            let ready = std::mem::take(&mut state.ready);
            let mut held: Vec<Held> = ready.into_iter().map(|(_, held)| held).collect();
            let later = std::mem::take(&mut state.later).into_values();
            held.extend(later.map(|(_, info)| Held::retry(info)));
            let behind = std::mem::take(&mut state.behind).into_values();
            held.extend(behind.flatten().map(Held::new));
            (held, state.waiting.take_all())
        };
        wakes.into_iter().for_each(Wake::wake);
        held.into_iter().for_each(Held::give_back);
    }

    /// A message is settled, and its key goes on.
    fn release(&self, key: KeyHash) {
        let wakes = {
            let mut state = self.state.lock();
            let Some(behind) = state.behind.get_mut(&key) else {
                return;
            };
            let mut wakes = Vec::new();
            match behind.pop_front() {
                Some(info) => wakes.extend(state.make_ready(key, Held::new(info))),
                None => {
                    state.behind.remove(&key);
                }
            }
            wakes
        };
        wakes.into_iter().for_each(Wake::wake);
    }

    /// A message is to be tried again at `due`, and its key waits for it.
    fn retry(&self, key: KeyHash, info: DeliveryInfo, due: Instant) {
        let now = self.time.now();
        let held = Held::retry(info);
        let wakes = {
            let mut state = self.state.lock();
            state.retrying -= 1;
            if state.is_closed {
                drop(state);
                return held.give_back();
            }
            if due <= now {
                state.make_ready(key, held).into_iter().collect()
            } else {
                let first_due = state.first_due();
                let number = state.retries;
                state.retries += 1;
                state.later.insert((due, number), (key, held.info));
                match state.first_due() == first_due && !state.is_draining {
                    true => Vec::new(),
                    // The slot that waits until then is among them.
                    false => state.waiting.take_all(),
                }
            }
        };
        wakes.into_iter().for_each(Wake::wake);
    }
}

impl State {
    fn first_due(&self) -> Option<Instant> {
        self.later.first_key_value().map(|((due, _), _)| *due)
    }

    #[must_use = "a waiter that was claimed must be woken"]
    fn make_ready(&mut self, key: KeyHash, held: Held) -> Option<Wake> {
        self.ready.push_back((key, held));
        self.waiting.take_one()
    }

    fn make_due_ready(&mut self, now: Instant, wakes: &mut Vec<Wake>) {
        while let Some(first) = self.later.first_entry() {
            if first.key().0 > now {
                break;
            }
            let (key, info) = first.remove();
            wakes.extend(self.make_ready(key, Held::retry(info)));
        }
    }

    fn holds(&self, worker: &Shared) -> bool {
        if !self.ready.is_empty() || self.retrying > 0 {
            return true;
        }
        let mut not_awaited = BTreeSet::new();
        for ((due, _), (key, _)) in &self.later {
            match worker.awaits(*due) {
                true => return true,
                false => {
                    not_awaited.insert(*key);
                }
            }
        }
        let mut behind = self.behind.iter();
        behind.any(|(key, behind)| !behind.is_empty() && !not_awaited.contains(key))
    }
}

impl Held {
    fn new(info: DeliveryInfo) -> Held {
        Held {
            info,
            is_retry: false,
        }
    }

    fn retry(info: DeliveryInfo) -> Held {
        Held {
            info,
            is_retry: true,
        }
    }

    /// Returns the message to its place in the queue.
    fn give_back(mut self) {
        match self.is_retry {
            false => self.info.return_unseen(),
            // The time of the other try does not count, since later messages would overtake it. If
            // the broker is shut down, there is no queue to return to.
            true => drop(self.info.nack(Requeue::Yes)),
        }
    }
}

impl KeyHold {
    /// Has the message tried again after this time, when the hold is dropped.
    fn retry(&self, info: &mut DeliveryInfo, delay: Duration) {
        let now = self.keys.time.now();
        match now.checked_add(delay) {
            Some(due) => {
                self.keys.state.lock().retrying += 1;
                *self.again.lock() = Some((info.take(), due));
            }
            // It is never due. The queue has it delayed, and the key goes on.
            None => drop(info.nack(Requeue::After(delay))),
        }
    }
}

impl Drop for KeyHold {
    fn drop(&mut self) {
        let again = self.again.lock().take();
        match again {
            Some((info, due)) => self.keys.retry(self.key, info, due),
            None => self.keys.release(self.key),
        }
    }
}

/// Settles a message by its outcome. If its key is held, a message that is to be tried again stays
/// with the worker.
///
/// # Errors
/// Those of the settlement: the broker is shut down.
pub(in super::super) fn settle(
    outcome: Outcome,
    info: &mut DeliveryInfo,
    worker: &Shared,
    hold: Option<&KeyHold>,
) -> Result {
    match (&outcome.settle, hold) {
        (Settle::Requeue(delay), Some(hold)) => {
            hold.retry(info, *delay);
            Ok(())
        }
        _ => outcome.apply(info, worker),
    }
}

/// A source for the wait of a slot that has nothing to do.
pub(super) struct Change<'a> {
    keys: &'a Keys,
    /// The time of the next try that the slot knows of, if it waits for that.
    first_due: Option<Option<Instant>>,
    draining: Option<&'a Shared>,
}

impl Waitable for Change<'_> {
    type Output = ();

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<()> {
        let mut state = self.keys.state.lock();
        let is_earlier = self.first_due.is_some_and(|due| due != state.first_due());
        let is_empty = self.draining.is_some_and(|worker| !state.holds(worker));
        if state.is_closed || !state.ready.is_empty() || is_earlier || is_empty {
            return Poll::Ready(());
        }
        if let Some(ticket) = ticket {
            state.is_draining |= self.draining.is_some();
            state.waiting.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.keys.state.lock().waiting);
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Keys")
            .field("busy", &state.behind.len())
            .field("ready", &state.ready.len())
            .field("later", &state.later.len())
            .field("is_closed", &state.is_closed)
            .finish_non_exhaustive()
    }
}
