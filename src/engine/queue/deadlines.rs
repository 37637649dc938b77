//! The deliveries of a typed consumer that have to be settled in time.
//!
//! A message counts as delivered to a typed consumer when a receiver is shown it, and that happens
//! without the lock of the queue. So the deliveries with a time are here, each with a copy of its
//! message, behind a leaf lock of their own. A receiver enters a delivery, and its settlement takes
//! it out. The queue takes those that are overdue. Whichever of the two comes first has the
//! message, and the other one is told.
//!
//! A consumer without a time never makes an entry.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    message::envelope::{Envelope, NEVER},
    runtime::sync::Mutex,
};

/// The deliveries of one consumer that have to be settled in time.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(Mutex<Option<Box<Shown>>>);

#[derive(Debug)]
struct Shown {
    /// How long a delivery may stay unsettled that is shown from now on.
    timeout: Option<Duration>,
    /// The deliveries by position. The queue has taken back those without a message.
    by_position: BTreeMap<u64, Option<Held>>,
    /// The positions of those that it has not taken back, by the time when it does and by number.
    by_due: BTreeMap<(u64, u64), u64>,
    /// The number of deliveries so far.
    entered: u64,
    /// When the queue looks here next, or [`NEVER`].
    next_look: u64,
}

#[derive(Debug)]
struct Held {
    copy: Envelope,
    /// The key in `by_due`.
    due: (u64, u64),
}

impl Deadlines {
    /// Sets how long a delivery may stay unsettled that is shown from now on.
    pub(super) fn set_timeout(&self, timeout: Option<Duration>) {
        let mut shown = self.0.lock();
        match &mut *shown {
            Some(shown) => shown.timeout = timeout,
            None if timeout.is_none() => {}
            none => {
                *none = Some(Box::new(Shown {
                    timeout,
                    by_position: BTreeMap::new(),
                    by_due: BTreeMap::new(),
                    entered: 0,
                    next_look: NEVER,
                }));
            }
        }
    }

    /// How long a delivery may stay unsettled. `None` is any time.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.0.lock().as_ref()?.timeout
    }

    /// Enters a delivery that is shown now, which the queue takes back at `due`. Whether the queue
    /// has to be told of that time, since it looks later.
    #[must_use = "the queue must look in time"]
    pub(crate) fn enter(&self, copy: Envelope, due: u64) -> bool {
        let mut shown = self.0.lock();
        let Some(shown) = &mut *shown else {
            return false;
        };
        shown.entered += 1;
        let (position, key) = (copy.position(), (due, shown.entered));
        let held = Held { copy, due: key };
        shown.by_position.insert(position, Some(held));
        shown.by_due.insert(key, position);
        let sooner = due < shown.next_look;
        shown.next_look = shown.next_look.min(due);
        sooner
    }

    /// The delivery of the message at this position is settled now. Whether the queue has taken the
    /// message back before.
    pub(crate) fn settle(&self, position: u64) -> bool {
        // The copy is dropped without the lock.
        let entry = {
            let mut shown = self.0.lock();
            let shown = shown.as_mut();
            shown.and_then(|shown| {
                let entry = shown.by_position.remove(&position)?;
                if let Some(held) = &entry {
                    shown.by_due.remove(&held.due);
                }
                Some(entry)
            })
        };
        matches!(entry, Some(None))
    }

    /// The number of deliveries that were taken back and are not settled yet.
    pub(crate) fn late(&self) -> u64 {
        let shown = self.0.lock();
        shown.as_deref().map_or(0, |shown| {
            (shown.by_position.len() - shown.by_due.len()) as u64
        })
    }

    /// Takes the messages back that are due, in the order in which they are. Also returns when the
    /// next one is due, or [`NEVER`].
    pub(super) fn take_overdue(&self, now: u64) -> (Vec<Envelope>, u64) {
        let mut shown = self.0.lock();
        let Some(shown) = &mut *shown else {
            return (Vec::new(), NEVER);
        };
        let mut taken = Vec::new();
        shown.next_look = NEVER;
        while let Some(first) = shown.by_due.first_entry() {
            let due = first.key().0;
            if due > now {
                shown.next_look = due;
                break;
            }
            let held = shown.by_position.get_mut(&first.remove());
            taken.extend(held.and_then(Option::take).map(|held| held.copy));
        }
        (taken, shown.next_look)
    }
}
