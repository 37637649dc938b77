//! Values by delivery tag.

use std::collections::VecDeque;

/// The capacity that is kept when no value is left.
const IDLE: usize = 256;

/// Values by delivery tag, in the order of the tags.
///
/// Tags only grow, and most values leave in about the order in which they came. So they are in a
/// ring buffer, and the place of a tag follows from its distance to the first one.
#[derive(Debug)]
pub(super) struct ByTag<T> {
    /// By tag. A value that was taken out of the middle leaves a gap. The first is no gap.
    slots: VecDeque<(u64, Option<T>)>,
    gaps: usize,
}

impl<T> Default for ByTag<T> {
    fn default() -> ByTag<T> {
        ByTag {
            slots: VecDeque::new(),
            gaps: 0,
        }
    }
}

impl<T> ByTag<T> {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.gaps
    }

    /// Adds a value. Its tag is above all others.
    #[inline]
    pub(super) fn push(&mut self, tag: u64, value: T) {
        self.slots.push_back((tag, Some(value)));
    }

    /// Puts values back, whose tags may be anywhere.
    pub(super) fn restore(&mut self, values: impl IntoIterator<Item = (u64, T)>) {
        let values = values.into_iter().map(|(tag, value)| (tag, Some(value)));
        self.slots.retain(|(_, value)| value.is_some());
        self.gaps = 0;
        self.slots.extend(values);
        self.slots
            .make_contiguous()
            .sort_unstable_by_key(|(tag, _)| *tag);
    }

    /// The place of a tag, if it is not a gap.
    #[inline]
    fn place(&self, tag: u64) -> Option<usize> {
        let first = self.slots.front()?.0;
        // Each tag is there once, so no place is behind this one.
        let last = usize::try_from(tag.checked_sub(first)?).ok()?;
        let is_there = |place: &usize| {
            let slot = self.slots.get(*place);
            slot.is_some_and(|(at, value)| *at == tag && value.is_some())
        };
        Some(last).filter(is_there).or_else(|| {
            let found = self.slots.binary_search_by_key(&tag, |(at, _)| *at);
            found.ok().filter(is_there)
        })
    }

    /// The value of a tag.
    pub(super) fn get(&self, tag: u64) -> Option<&T> {
        let (_, value) = self.slots.get(self.place(tag)?)?;
        value.as_ref()
    }

    /// Takes out the value of a tag.
    #[inline]
    pub(super) fn remove(&mut self, tag: u64) -> Option<T> {
        let is_first = self.slots.front().is_some_and(|(first, _)| *first == tag);
        let (_, value) = match is_first {
            true => self.slots.pop_front()?,
            false => return self.remove_later(tag),
        };
        self.trim();
        value
    }

    #[inline(never)]
    fn remove_later(&mut self, tag: u64) -> Option<T> {
        let place = self.place(tag)?;
        let (_, value) = self.slots.get_mut(place)?;
        let value = value.take();
        self.gaps += 1;
        self.trim();
        value
    }

    /// Removes the gaps at the front, and all of them once they are more than the values.
    #[inline]
    fn trim(&mut self) {
        while let Some((_, None)) = self.slots.front() {
            self.slots.pop_front();
            self.gaps -= 1;
        }
        if self.gaps > self.slots.len() / 2 && self.slots.len() > IDLE {
            self.slots.retain(|(_, value)| value.is_some());
            self.gaps = 0;
        }
        if self.slots.is_empty() && self.slots.capacity() > IDLE {
            self.slots.shrink_to(IDLE);
        }
    }

    /// Takes out all values up to a tag. `None` if the tag has no value.
    pub(super) fn remove_up_to(&mut self, tag: u64) -> Option<Vec<(u64, T)>> {
        let place = self.place(tag)?;
        Some(self.remove_first(place + 1))
    }

    /// Takes out all values up to a tag, which need have none.
    pub(super) fn remove_all_up_to(&mut self, tag: u64) -> Vec<(u64, T)> {
        let slots = self.slots.partition_point(|(at, _)| *at <= tag);
        self.remove_first(slots)
    }

    /// Takes out the values of the first slots.
    fn remove_first(&mut self, slots: usize) -> Vec<(u64, T)> {
        let taken = self.slots.drain(..slots);
        let taken: Vec<_> = taken
            .filter_map(|(tag, value)| Some((tag, value?)))
            .collect();
        self.gaps -= slots - taken.len();
        self.trim();
        taken
    }

    /// Takes out all values.
    pub(super) fn remove_all(&mut self) -> Vec<(u64, T)> {
        self.gaps = 0;
        let taken = std::mem::take(&mut self.slots).into_iter();
        taken
            .filter_map(|(tag, value)| Some((tag, value?)))
            .collect()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut T)> {
        let slots = self.slots.iter_mut();
        slots.filter_map(|(tag, value)| Some((*tag, value.as_mut()?)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::ByTag;

    #[derive(Clone, Debug)]
    enum Step {
        /// A delivery, after this many tags of others.
        Push(u64),
        Remove(u64),
        RemoveUpTo(u64),
        RemoveAll,
        /// Takes the values up to a tag out, and puts them back.
        Restore(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0..3_u64).prop_map(Step::Push),
            8 => (0..40_u64).prop_map(Step::Remove),
            1 => (0..40_u64).prop_map(Step::RemoveUpTo),
            1 => (0..40_u64).prop_map(Step::Restore),
            1 => Just(Step::RemoveAll),
        ];
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_by_tag_holds(steps in steps()) {
            let (mut ours, mut map) = (ByTag::default(), BTreeMap::new());
            let mut last = 0;
            for step in steps {
                // Some tags below the last one, most of them taken.
                let near = |back: u64| last - back.min(last);
                match step {
                    Step::Push(others) => {
                        last += others + 1;
                        ours.push(last, last);
                        map.insert(last, last);
                    }
                    Step::Remove(back) => {
                        let tag = near(back);
                        prop_assert_eq!(ours.get(tag), map.get(&tag));
                        prop_assert_eq!(ours.remove(tag), map.remove(&tag));
                    }
                    Step::RemoveUpTo(back) => {
                        let tag = near(back);
                        let taken = map.contains_key(&tag).then(|| {
                            let later = map.split_off(&(tag + 1));
                            std::mem::replace(&mut map, later).into_iter().collect::<Vec<_>>()
                        });
                        prop_assert_eq!(ours.remove_up_to(tag), taken);
                    }
                    Step::RemoveAll => {
                        let taken: Vec<_> = std::mem::take(&mut map).into_iter().collect();
                        prop_assert_eq!(ours.remove_all(), taken);
                    }
                    Step::Restore(back) => {
                        let taken = ours.remove_up_to(near(back)).unwrap_or_default();
                        ours.restore(taken);
                    }
                }
                prop_assert_eq!(ours.len(), map.len());
                let all: Vec<_> = ours.iter_mut().map(|(tag, value)| (tag, *value)).collect();
                prop_assert_eq!(all, map.clone().into_iter().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn one_value_that_stays_keeps_no_memory_for_those_that_go() {
        let mut ours = ByTag::default();
        ours.push(1, ());
        for tag in 2..100_000 {
            ours.push(tag, ());
            assert_eq!(ours.remove(tag), Some(()));
        }
        assert!(
            ours.slots.capacity() <= 4 * super::IDLE,
            "{}",
            ours.slots.capacity()
        );
        assert_eq!(ours.remove(1), Some(()));
        assert_eq!(ours.len(), 0);
    }
}
