//! Replacement for crossbeam's unbounded channel under shuttle: a locked deque with the same names,
//! as far as the crate uses them.

use std::{collections::VecDeque, sync::Arc};

pub(crate) use crossbeam_channel::{SendError, TryRecvError};

use super::Mutex;

/// Makes an unbounded channel.
pub(crate) fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Mutex::new(ChannelBuffer {
        items: VecDeque::new(),
        senders: 1,
        receivers: 1,
    }));
    (Sender(shared.clone()), Receiver(shared))
}

/// The sending half.
pub(crate) struct Sender<T>(Arc<Mutex<ChannelBuffer<T>>>);

/// The receiving half.
pub(crate) struct Receiver<T>(Arc<Mutex<ChannelBuffer<T>>>);

struct ChannelBuffer<T> {
    items: VecDeque<T>,
    senders: usize,
    receivers: usize,
}

impl<T> Sender<T> {
    /// Appends `item`, or returns it if no receiver is left.
    pub(crate) fn send(&self, item: T) -> Result<(), SendError<T>> {
        let mut state = self.0.lock();
        if state.receivers == 0 {
            return Err(SendError(item));
        }
        state.items.push_back(item);
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().items.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Receiver<T> {
    /// Takes the first item.
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut state = self.0.lock();
        match state.items.pop_front() {
            Some(item) => Ok(item),
            None if state.senders == 0 => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Takes the items that are present, without waiting for more.
    pub(crate) fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.try_recv().ok())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().items.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.0.lock().receivers += 1;
        Receiver(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.lock().senders -= 1;
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // As in crossbeam, the drop of the last receiver drops the items. They are dropped without
        // the lock.
        let _items = {
            let mut state = self.0.lock();
            state.receivers -= 1;
            if state.receivers == 0 {
                std::mem::take(&mut state.items)
            } else {
                VecDeque::new()
            }
        };
    }
}

impl<T> std::fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad("Sender { .. }")
    }
}

impl<T> std::fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad("Receiver { .. }")
    }
}
