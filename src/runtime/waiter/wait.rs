//! Waiting: the loop of a thread, the poll of a task, and the trait of their sources.

use std::{
    cell::Cell,
    fmt,
    future::Future,
    pin::Pin,
    slice,
    sync::Arc,
    task::{Context, Poll},
};

use super::{Ticket, WaitList, Waiter};
use crate::runtime::{clock::Deadline, keyed_list::Key};

/// A source that can be waited for: a lock around a state with a [`WaitList`] in it.
///
/// A change of the state may let an attempt succeed. The changing side then calls
/// [`WaitList::take_one`] (for each item that can be taken) or [`WaitList::take_all`] under the
/// same lock. It wakes the waiters after unlocking.
pub(crate) trait Waitable {
    /// The result of a successful attempt.
    type Output;

    /// Takes an item under the source's lock. If there is none and there is a ticket, registers the
    /// waiter in the source's list.
    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Self::Output>;

    /// Runs `f` on the source's list, under its lock.
    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList));

    /// How many of the sources directly before this one are served before it, even if this one has
    /// claimed the waiter. Those that are tried in turn have the rank 0.
    fn rank(&self) -> usize {
        0
    }

    /// Called when a thread has waited for a while, or a task has registered. The source may
    /// release resources that are only useful while it is busy. Runs no user code.
    fn on_idle(&self) {}

    /// Notifies the next waiter in place of one that was notified and takes nothing (Inv. 3).
    ///
    /// The loops here do it where they must. Another caller needs it only if its attempt takes
    /// nothing (a wait for capacity, say) and it then does not use the result.
    fn pass_on(&self) {
        let mut next = None;
        self.with_waiters(&mut |waiters| next = waiters.take_one());
        if let Some(wake) = next {
            wake.wake();
        }
    }
}

/// Blocks the thread until `source` has an item. `None` at the deadline.
///
/// An item that is present is taken even if the deadline has passed already.
pub(crate) fn wait<S: Waitable>(source: &S, deadline: Option<Deadline<'_>>) -> Option<S::Output> {
    match source.attempt(None) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => sleep(slice::from_ref(source), 0, deadline).map(|(_, output)| output),
    }
}

/// Blocks the thread until one of `sources` has an item, and returns its index and the item. `None`
/// at the deadline: at the first attempt after it that finds nothing, even if another thread takes
/// every item first.
///
/// The sources are tried from index `first` on, round the slice. A fair caller passes the
/// [`Turn`](super::Turn).
pub(crate) fn wait_any<S: Waitable>(
    sources: &[S],
    first: usize,
    deadline: Option<Deadline<'_>>,
) -> Option<(usize, S::Output)> {
    match try_any(sources, first) {
        Some(taken) => Some(taken),
        None => sleep(sources, first, deadline),
    }
}

/// As [`wait_any`], when no source has an item.
fn sleep<S: Waitable>(
    sources: &[S],
    first: usize,
    deadline: Option<Deadline<'_>>,
) -> Option<(usize, S::Output)> {
    let mut first = first;
    if deadline.is_some_and(|deadline| deadline.has_passed()) {
        return None;
    }
    Waiter::with_thread(|waiter| {
        loop {
            let mut round = Round::new(sources, waiter, first);
            if let Some(taken) = round.enter() {
                return Some(taken);
            }
            waiter.sleep(deadline, || sources.iter().for_each(S::on_idle));
            if let Some(token) = round.finish() {
                if let Some(taken) = try_claimed(sources, token) {
                    return Some(taken);
                }
                first = start(sources, token);
            }
            // No notification is lost: either no source has claimed the waiter, or another thread
            // has taken the item. So the wait may end here, and it must, since each notification
            // may come too late for its item. Otherwise the time is not over yet: a manual clock
            // has reached the deadline of an earlier wait of this thread, say.
            if deadline.is_some_and(|deadline| deadline.has_passed()) {
                return None;
            }
        }
    })
}

/// The state of a waiting future between its polls.
///
/// It does not hold the sources, so its owner must call [`leave`](Self::leave) in its own `Drop`.
/// [`Waiting`] does that for one source.
#[derive(Debug, Default)]
pub(crate) struct TaskWait {
    /// The waiter and its registrations, while it is registered with all sources.
    registered: Option<(Waiter, Keys)>,
}

impl TaskWait {
    /// Whether it was polled and found nothing.
    pub(crate) fn is_registered(&self) -> bool {
        self.registered.is_some()
    }

    /// Polls: takes an item from one of `sources` (the same ones at every poll), or registers the
    /// task with all of them.
    pub(crate) fn poll<S: Waitable>(
        &mut self,
        sources: &[S],
        first: usize,
        context: &mut Context<'_>,
    ) -> Poll<(usize, S::Output)> {
        let (waiter, first) = match self.registered.take() {
            None => {
                if let Some(taken) = try_any(sources, first) {
                    return Poll::Ready(taken);
                }
                let waiter = Waiter::task();
                waiter.set_waker(context.waker());
                (waiter, first)
            }
            Some((waiter, keys)) => {
                let round = Round::resume(sources, &waiter, keys);
                // Store the waker first, then check the state: a later claim finds this waker.
                waiter.set_waker(context.waker());
                if waiter.is_waiting() {
                    let keys = round.keep();
                    self.registered = Some((waiter, keys));
                    return Poll::Pending;
                }
                // No user code runs before the source that has claimed the waiter is tried. A
                // source that takes the waker only now polls the task once more.
                match round.finish() {
                    None => (waiter, first),
                    Some(token) => {
                        if let Some(taken) = try_claimed(sources, token) {
                            return Poll::Ready(taken);
                        }
                        (waiter, start(sources, token))
                    }
                }
            }
        };
        let mut round = Round::new(sources, &waiter, first);
        if let Some(taken) = round.enter() {
            return Poll::Ready(taken);
        }
        let keys = round.keep();
        self.registered = Some((waiter, keys));
        sources.iter().for_each(S::on_idle);
        Poll::Pending
    }

    /// Ends the wait: removes the task from the lists. If the task was notified, has another waiter
    /// notified.
    pub(crate) fn leave<S: Waitable>(&mut self, sources: &[S]) {
        if let Some((waiter, keys)) = self.registered.take() {
            drop(Round::resume(sources, &waiter, keys));
        }
    }
}

/// A future that waits for one source.
///
/// # If dropped
/// It takes nothing. If it was notified already, the next waiter is notified in its place.
pub(crate) struct Waiting<S: Waitable> {
    source: S,
    task: TaskWait,
}

impl<S: Waitable> Waiting<S> {
    pub(crate) fn new(source: S) -> Self {
        Waiting {
            source,
            task: TaskWait::default(),
        }
    }
}

// No field is pinned.
impl<S: Waitable> Unpin for Waiting<S> {}

impl<S: Waitable> Future for Waiting<S> {
    type Output = S::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<S::Output> {
        let Waiting { source, task } = self.get_mut();
        task.poll(slice::from_ref(source), 0, context)
            .map(|(_, output)| output)
    }
}

impl<S: Waitable> Drop for Waiting<S> {
    fn drop(&mut self) {
        self.task.leave(slice::from_ref(&self.source));
    }
}

impl<S: Waitable> fmt::Debug for Waiting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

/// A future that waits for one of several sources, and tries the first one first.
///
/// # If dropped
/// As [`Waiting`].
pub(crate) struct WaitingAny<S: Waitable, const N: usize> {
    sources: [S; N],
    task: TaskWait,
}

impl<S: Waitable, const N: usize> WaitingAny<S, N> {
    pub(crate) fn new(sources: [S; N]) -> Self {
        WaitingAny {
            sources,
            task: TaskWait::default(),
        }
    }
}

// No field is pinned.
impl<S: Waitable, const N: usize> Unpin for WaitingAny<S, N> {}

impl<S: Waitable, const N: usize> Future for WaitingAny<S, N> {
    type Output = (usize, S::Output);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let WaitingAny { sources, task } = self.get_mut();
        task.poll(sources, 0, context)
    }
}

impl<S: Waitable, const N: usize> Drop for WaitingAny<S, N> {
    fn drop(&mut self) {
        self.task.leave(&self.sources);
    }
}

impl<S: Waitable + ?Sized> Waitable for &S {
    type Output = S::Output;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<S::Output> {
        (**self).attempt(ticket)
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        (**self).with_waiters(f);
    }

    fn rank(&self) -> usize {
        (**self).rank()
    }

    fn on_idle(&self) {
        (**self).on_idle();
    }

    fn pass_on(&self) {
        (**self).pass_on();
    }
}

impl<S: Waitable + ?Sized> Waitable for Arc<S> {
    type Output = S::Output;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<S::Output> {
        (**self).attempt(ticket)
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        (**self).with_waiters(f);
    }

    fn rank(&self) -> usize {
        (**self).rank()
    }

    fn on_idle(&self) {
        (**self).on_idle();
    }

    fn pass_on(&self) {
        (**self).pass_on();
    }
}

/// The registrations of one waiter, from `enter` until it is removed from the lists.
///
/// The drop removes them. So an early success, a dropped future and a panic (of a user's waker)
/// leave no registration behind.
struct Round<'a, S: Waitable> {
    sources: &'a [S],
    waiter: &'a Waiter,
    first: usize,
    keys: Keys,
}

/// The registrations of one waiter: for each source its key there, if it is registered.
#[derive(Debug, Default)]
struct Keys {
    /// Those of the first sources. Most waits have no other.
    first: [Option<Key>; 2],
    others: Vec<Option<Key>>,
}

impl Keys {
    fn set(&mut self, token: usize, key: Option<Key>) {
        match token.checked_sub(self.first.len()) {
            None => self.first[token] = key,
            Some(index) => {
                if self.others.len() <= index {
                    self.others.resize(index + 1, None);
                }
                self.others[index] = key;
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.first.iter().chain(&self.others).all(Option::is_none)
    }

    /// Returns each registration once.
    fn take(&mut self) -> impl Iterator<Item = (usize, Key)> + use<> {
        let Keys { first, others } = std::mem::take(self);
        let keys = first.into_iter().chain(others).enumerate();
        keys.filter_map(|(token, key)| Some((token, key?)))
    }
}

impl<'a, S: Waitable> Round<'a, S> {
    fn new(sources: &'a [S], waiter: &'a Waiter, first: usize) -> Self {
        waiter.begin();
        Round {
            sources,
            waiter,
            first,
            keys: Keys::default(),
        }
    }

    /// Makes a round of one that was [kept](Self::keep).
    fn resume(sources: &'a [S], waiter: &'a Waiter, keys: Keys) -> Self {
        Round {
            sources,
            waiter,
            first: 0,
            keys,
        }
    }

    /// Tries each source once more, and registers with those that have no item.
    fn enter(&mut self) -> Option<(usize, S::Output)> {
        for token in rotation(self.sources.len(), self.first) {
            let key = Cell::new(None);
            let ticket = Ticket {
                waiter: self.waiter,
                token,
                key: &key,
            };
            if let Poll::Ready(output) = self.sources[token].attempt(Some(ticket)) {
                return Some((token, output));
            }
            self.keys.set(token, key.get());
        }
        None
    }

    /// Keeps the registrations until the round is resumed.
    fn keep(mut self) -> Keys {
        std::mem::take(&mut self.keys)
    }

    /// Removes the registrations, and returns the token of the source that has claimed the waiter.
    /// The caller must then try that source.
    fn finish(mut self) -> Option<usize> {
        let token = self.waiter.withdraw();
        self.deregister(token);
        token
    }

    /// Removes the waiter from all lists, except that of the source that has removed it itself.
    fn deregister(&mut self, claimed_by: Option<usize>) {
        for (token, key) in self.keys.take() {
            if Some(token) != claimed_by {
                self.sources[token].with_waiters(&mut |waiters| {
                    waiters.deregister(key, self.waiter);
                });
            }
        }
    }
}

impl<S: Waitable> Drop for Round<'_, S> {
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        let token = self.waiter.withdraw();
        self.deregister(token);
        // Inv. 3: this source has claimed the waiter, which took nothing from it.
        if let Some(token) = token {
            self.sources[token].pass_on();
        }
    }
}

/// Tries each source once, from index `first` on.
pub(crate) fn try_any<S: Waitable>(sources: &[S], first: usize) -> Option<(usize, S::Output)> {
    rotation(sources.len(), first).find_map(|token| match sources[token].attempt(None) {
        Poll::Ready(output) => Some((token, output)),
        Poll::Pending => None,
    })
}

/// Tries the source that has claimed a waiter first (Inv. 3), or rather those that are served
/// before it. Then it tries the others.
fn try_claimed<S: Waitable>(sources: &[S], token: usize) -> Option<(usize, S::Output)> {
    let first = start(sources, token);
    let taken = try_any(sources, first)?;
    if (first..token).contains(&taken.0) {
        sources[token].pass_on();
    }
    Some(taken)
}

/// The first of the sources that are served before this one, or this one.
fn start<S: Waitable>(sources: &[S], token: usize) -> usize {
    token.saturating_sub(sources[token].rank())
}

/// The indices below `length`, starting at `first` modulo `length`.
fn rotation(length: usize, first: usize) -> impl Iterator<Item = usize> {
    let first = first.checked_rem(length).unwrap_or(0);
    (first..length).chain(0..first)
}
