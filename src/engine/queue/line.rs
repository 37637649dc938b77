//! A line of blocked publishers: those that wait for room, and those that were given room and have
//! not used it yet.
//!
//! Plain data behind a lock: a queue has a line, and so has each budget. The owner of the line
//! decides whether there is room.

use crate::{
    model::message_totals::MessageTotals,
    runtime::{
        keyed_list::{Key, KeyedList},
        waiter::{WaitList, Wake},
    },
};

/// Publishers in the order in which they came. In a box, since most queues never have any.
#[derive(Debug, Default)]
pub(super) struct Line(Option<Box<Publishers>>);

#[derive(Debug, Default)]
struct Publishers {
    waiting: KeyedList<Entry>,
    /// The messages of the publishers that have room.
    granted: MessageTotals,
    /// The number of publishers that ever came.
    arrivals: u64,
}

/// A publisher that waits.
#[derive(Debug)]
struct Entry {
    arrival: u64,
    size: u64,
    owner: usize,
    /// The publisher, once it sleeps.
    waiters: WaitList,
}

/// The place of one publisher in a line. A publisher that is not waiting any more has room.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinePlace {
    /// `None` if it never had to wait.
    key: Option<Key>,
    arrival: u64,
    size: u64,
}

impl Line {
    /// Adds a publisher at the end. `owner` is for [`release`](Self::release).
    pub(super) fn join(&mut self, size: u64, owner: usize) -> LinePlace {
        let publishers = self.0.get_or_insert_default();
        let mut place = publishers.arrive(size);
        publishers.enter(&mut place, owner);
        place
    }

    /// Gives room to a publisher that need not wait.
    pub(super) fn grant(&mut self, size: u64) -> LinePlace {
        let publishers = self.0.get_or_insert_default();
        publishers.granted.add_message(size);
        publishers.arrive(size)
    }

    /// Takes the room of a publisher back. It waits again, before all who came after it.
    pub(super) fn revoke(&mut self, place: &mut LinePlace, owner: usize) {
        let publishers = self.0.get_or_insert_default();
        publishers.granted -= MessageTotals::new(1, place.size);
        publishers.enter(place, owner);
    }

    /// The size of the first message that waits.
    pub(super) fn first_size(&self) -> Option<u64> {
        let first = self.0.as_ref()?.waiting.front()?;
        Some(first.size)
    }

    /// Gives room to the first publisher that waits. Returns its wake if it sleeps.
    #[must_use = "a waiter that was claimed must be woken"]
    pub(super) fn grant_first(&mut self) -> Option<Wake> {
        let publishers = self.0.as_mut()?;
        let first = publishers.waiting.pop_front()?;
        publishers.wake(first)
    }

    /// Gives room to the publishers of `owner`, or to all. Returns their wakes.
    #[must_use = "waiters that were claimed must be woken"]
    pub(super) fn release(&mut self, owner: Option<usize>) -> Vec<Wake> {
        let Some(publishers) = &mut self.0 else {
            return Vec::new();
        };
        let is_released = |entry: &Entry| owner.is_none_or(|owner| owner == entry.owner);
        let released = publishers.waiting.extract(is_released);
        let wakes = released
            .into_iter()
            .filter_map(|entry| publishers.wake(entry));
        wakes.collect()
    }

    /// Wakes all publishers. They stay in line.
    #[must_use = "waiters that were claimed must be woken"]
    pub(super) fn wake_all(&mut self) -> Vec<Wake> {
        let mut wakes = Vec::new();
        if let Some(publishers) = &mut self.0 {
            let wake = |entry: &mut Entry| wakes.extend(entry.waiters.take_one());
            publishers.waiting.for_each(wake);
        }
        wakes
    }

    /// Whether the publisher waits. If not, it has room.
    pub(super) fn is_waiting(&self, place: &LinePlace) -> bool {
        let (Some(publishers), Some(key)) = (&self.0, place.key) else {
            return false;
        };
        publishers.waiting.contains(key)
    }

    /// The list in which the publisher registers to sleep, if it waits.
    pub(super) fn waiters(&mut self, place: &LinePlace) -> Option<&mut WaitList> {
        let entry = self.0.as_mut()?.waiting.get_mut(place.key?)?;
        Some(&mut entry.waiters)
    }

    /// Removes a publisher, in constant time. Returns whether it had room.
    pub(super) fn leave(&mut self, place: &LinePlace) -> bool {
        let publishers = self.0.get_or_insert_default();
        if place
            .key
            .is_some_and(|key| publishers.waiting.remove(key).is_some())
        {
            return false;
        }
        publishers.granted -= MessageTotals::new(1, place.size);
        true
    }

    /// Whether no publisher waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|it| it.waiting.is_empty())
    }

    /// How many publishers wait.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |it| it.waiting.len())
    }

    /// The messages of the publishers that have room and have not used it.
    pub(super) fn granted(&self) -> MessageTotals {
        self.0
            .as_ref()
            .map_or(MessageTotals::default(), |it| it.granted)
    }
}

impl Publishers {
    /// The place of the next publisher.
    fn arrive(&mut self, size: u64) -> LinePlace {
        self.arrivals += 1;
        LinePlace {
            key: None,
            arrival: self.arrivals,
            size,
        }
    }

    fn enter(&mut self, place: &mut LinePlace, owner: usize) {
        let entry = Entry {
            arrival: place.arrival,
            size: place.size,
            owner,
            waiters: WaitList::default(),
        };
        let arrival = place.arrival;
        let key = match arrival == self.arrivals {
            true => self.waiting.push_back(entry),
            false => self
                .waiting
                .insert_before(entry, |other| other.arrival > arrival),
        };
        place.key = Some(key);
    }

    fn wake(&mut self, mut entry: Entry) -> Option<Wake> {
        self.granted.add_message(entry.size);
        entry.waiters.take_one()
    }
}

impl LinePlace {
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}
