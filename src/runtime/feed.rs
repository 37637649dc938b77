//! A feed: items for readers who may be slow. Each reader has a bounded line of its own. An item
//! without room is refused and counted, so that no sender ever waits.
//!
//! [`Feeds`] has the lines of all readers, [`FeedLine`] is one of them.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    task::Poll,
};

use crate::{
    model::error::CancelReason,
    runtime::{
        sync::{
            Mutex,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        waiter::{Ticket, WaitList, Waitable, Wake},
    },
};

/// The line of one reader.
pub(crate) struct FeedLine<T> {
    /// The items that have room.
    capacity: usize,
    /// A leaf lock. No item is dropped under it.
    state: Mutex<State<T>>,
}

struct State<T> {
    items: VecDeque<T>,
    missed: u64,
    ended: Option<CancelReason>,
    waiting: WaitList,
}

impl<T> FeedLine<T> {
    /// A line with these items in it, whatever the capacity.
    pub(crate) fn with(capacity: usize, items: impl IntoIterator<Item = T>) -> Arc<FeedLine<T>> {
        Arc::new(FeedLine {
            capacity,
            state: Mutex::new(State {
                items: items.into_iter().collect(),
                missed: 0,
                ended: None,
                waiting: WaitList::default(),
            }),
        })
    }

    /// Appends an item, and returns the reader to be woken.
    ///
    /// # Errors
    /// Returns the item if there is no room for it. It is counted as missed.
    pub(crate) fn push(&self, item: T) -> Result<Option<Wake>, T> {
        let mut state = self.state.lock();
        if state.items.len() >= self.capacity {
            state.missed += 1;
            return Err(item);
        }
        state.items.push_back(item);
        Ok(state.waiting.take_one())
    }

    /// Whether an item has room now. If not, it counts as missed.
    pub(crate) fn has_room(&self) -> bool {
        let mut state = self.state.lock();
        let has_room = state.items.len() < self.capacity;
        state.missed += u64::from(!has_room);
        has_room
    }

    /// The number of items for which there was no room.
    pub(crate) fn missed(&self) -> u64 {
        self.state.lock().missed
    }

    /// The number of items that are not read yet.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().items.len()
    }

    /// No item follows those that are there. Returns the readers to be woken.
    #[must_use = "woken without a lock"]
    pub(crate) fn end(&self, reason: CancelReason) -> Vec<Wake> {
        let mut state = self.state.lock();
        state.ended.get_or_insert(reason);
        state.waiting.take_all()
    }
}

/// Ready with the next item, or with the end of the feed.
impl<T> Waitable for FeedLine<T> {
    type Output = Result<T, CancelReason>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Self::Output> {
        let mut state = self.state.lock();
        match (state.items.pop_front(), state.ended) {
            (Some(item), _) => return Poll::Ready(Ok(item)),
            (None, Some(reason)) => return Poll::Ready(Err(reason)),
            (None, None) => {}
        }
        if let Some(ticket) = ticket {
            state.waiting.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        f(&mut self.state.lock().waiting);
    }

    /// Frees the memory of a backlog.
    fn on_idle(&self) {
        let mut state = self.state.lock();
        if state.items.is_empty() {
            state.items.shrink_to(0);
        }
    }
}

/// The lines of all readers, each with the filter `F` of its reader. A reader who is gone is
/// forgotten.
pub(crate) struct Feeds<T, F = ()> {
    /// Whether there may be a reader.
    is_read: AtomicBool,
    /// A leaf lock, taken before those of the lines.
    readers: Mutex<Readers<T, F>>,
}

struct Readers<T, F> {
    lines: Vec<(Arc<F>, Weak<FeedLine<T>>)>,
    ended: Option<CancelReason>,
}

impl<T, F> Default for Feeds<T, F> {
    fn default() -> Feeds<T, F> {
        Feeds {
            is_read: AtomicBool::new(false),
            readers: Mutex::new(Readers {
                lines: Vec::new(),
                ended: None,
            }),
        }
    }
}

impl<T, F> Feeds<T, F> {
    /// Whether there may be a reader. If not, there is nothing to be sent.
    #[inline]
    pub(crate) fn is_read(&self) -> bool {
        self.is_read.load(SeqCst)
    }

    /// Adds the line of a new reader. The wakes of the line are those of its end, if the feed has
    /// ended.
    pub(crate) fn add(&self, filter: F, line: &Arc<FeedLine<T>>) {
        let mut readers = self.readers.lock();
        if let Some(reason) = readers.ended {
            // No one waits in a new line.
            drop(line.end(reason));
            return;
        }
        readers.lines.retain(|(_, known)| known.strong_count() > 0);
        readers.lines.push((Arc::new(filter), Arc::downgrade(line)));
        self.is_read.store(true, SeqCst);
    }

    /// The lines of the readers who are there, with their filters.
    pub(crate) fn lines(&self) -> Vec<(Arc<F>, Arc<FeedLine<T>>)> {
        let mut readers = self.readers.lock();
        let lines = &mut readers.lines;
        lines.retain(|(_, known)| known.strong_count() > 0);
        self.is_read.store(!lines.is_empty(), SeqCst);
        let lines = lines.iter();
        lines
            .filter_map(|(filter, line)| Some((Arc::clone(filter), line.upgrade()?)))
            .collect()
    }

    /// Ends all lines: no item follows. Returns the readers to be woken.
    #[must_use = "woken without a lock"]
    pub(crate) fn end(&self, reason: CancelReason) -> Vec<Wake> {
        let mut readers = self.readers.lock();
        readers.ended.get_or_insert(reason);
        self.is_read.store(false, SeqCst);
        let lines = std::mem::take(&mut readers.lines);
        let lines = lines.iter().filter_map(|(_, line)| line.upgrade());
        lines.flat_map(|line| line.end(reason)).collect()
    }
}

impl<T: Clone> Feeds<T> {
    /// Sends a copy of `item` to each reader. Returns the readers to be woken, without any lock.
    /// `T` runs no user code when it is cloned or dropped, so that this may be called under a lock.
    #[must_use = "woken without a lock"]
    pub(crate) fn send(&self, item: &T) -> Vec<Wake> {
        let readers = self.readers.lock();
        let (mut told, mut is_read) = (Vec::new(), false);
        for line in readers.lines.iter().filter_map(|(_, line)| line.upgrade()) {
            is_read = true;
            told.extend(line.push(item.clone()).ok().flatten());
        }
        self.is_read.store(is_read, SeqCst);
        told
    }
}

impl<T, F> std::fmt::Debug for Feeds<T, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feeds")
            .field("is_read", &self.is_read())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::runtime::waiter;

    #[test]
    fn a_line_that_is_full_counts_what_it_misses() {
        let feeds = Feeds::<u32>::default();
        assert!(!feeds.is_read());
        let (small, large) = (FeedLine::with(1, []), FeedLine::with(9, [7]));
        feeds.add((), &small);
        feeds.add((), &large);
        for item in 1..=3 {
            drop(feeds.send(&item));
        }
        assert_eq!((small.missed(), large.missed()), (2, 0));
        assert_eq!((small.len(), large.len()), (1, 4));
        let read = |line: &FeedLine<u32>| match line.attempt(None) {
            Poll::Ready(read) => read.ok(),
            Poll::Pending => None,
        };
        assert_eq!((read(&small), read(&small)), (Some(1), None));
        assert_eq!(read(&large), Some(7));
        assert!(!FeedLine::<u32>::with(0, []).has_room());
    }

    #[test]
    fn an_ended_feed_is_read_to_its_end() {
        let feeds = Feeds::<u32>::default();
        let line = FeedLine::with(9, []);
        feeds.add((), &line);
        drop(feeds.send(&1));
        drop(feeds.end(CancelReason::ShutDown));
        drop(feeds.send(&2));
        assert_eq!(waiter::wait(&*line, None), Some(Ok(1)));
        assert_eq!(
            waiter::wait(&*line, None),
            Some(Err(CancelReason::ShutDown))
        );
        let late = FeedLine::with(9, []);
        feeds.add((), &late);
        assert_eq!(
            waiter::wait(&*late, None),
            Some(Err(CancelReason::ShutDown))
        );
    }

    #[test]
    fn a_reader_who_is_gone_is_forgotten() {
        let feeds = Feeds::<u32>::default();
        feeds.add((), &FeedLine::with(9, []));
        assert!(feeds.is_read());
        drop(feeds.send(&1));
        assert!(!feeds.is_read());
        feeds.add((), &FeedLine::with(9, []));
        assert!(feeds.lines().is_empty());
        assert!(!feeds.is_read());
    }
}
