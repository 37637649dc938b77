//! Lists that a thread keeps for its next batch.
//!
//! A list of some 64 messages is an allocation of more than 1 KiB. glibc joins all small free
//! blocks at such an allocation, and then the next small ones are slow. So a batch takes the list
//! of the batch before it.

use std::{
    any::Any,
    cell::Cell,
    collections::VecDeque,
    fmt, mem,
    ops::{Deref, DerefMut},
};

use crate::runtime::sync::thread_local;

/// The lists that a thread keeps, of different types.
const LISTS: usize = 2;

/// The largest list that is kept, in bytes.
const MOST: usize = 32 * 1024;

thread_local! {
    /// Each is a `VecDeque` of one type, or empty.
    static KEPT: [Cell<Option<Box<dyn Any>>>; LISTS] = const { [const { Cell::new(None) }; LISTS] };
}

/// Calls `f` with the list of this type that the thread keeps. It may be a new one, which takes the
/// place of another. `f` runs no user code. `None` if the locals of the thread are destroyed.
fn with_kept<T: 'static, R>(f: impl FnOnce(&mut VecDeque<T>) -> R) -> Option<R> {
    let is_of_type = |cell: &Cell<Option<Box<dyn Any>>>| {
        let kept = cell.take();
        let is_of_type = kept.as_ref().is_some_and(|kept| kept.is::<VecDeque<T>>());
        cell.set(kept);
        is_of_type
    };
    let with = |kept: &[Cell<Option<Box<dyn Any>>>; LISTS]| {
        let index = kept.iter().position(is_of_type);
        let cell = &kept[index.unwrap_or(0)];
        if index.is_none() {
            kept[1].set(cell.replace(Some(Box::new(VecDeque::<T>::new()))));
        }
        let mut list = cell.take();
        let result = list.as_mut()?.downcast_mut().map(f);
        cell.set(list);
        result
    };
    KEPT.try_with(with).ok().flatten()
}

/// A list with the capacity of one that this thread has emptied before.
///
/// # If dropped
/// Its items are dropped, in their order. The thread keeps its capacity.
pub(crate) struct SpareList<T: 'static>(VecDeque<T>);

impl<T: 'static> SpareList<T> {
    /// An empty list.
    pub(crate) fn take() -> SpareList<T> {
        SpareList(with_kept(mem::take).unwrap_or_default())
    }
}

impl<T: 'static> Drop for SpareList<T> {
    fn drop(&mut self) {
        // The drop of an item may run user code, which may take a list.
        self.0.clear();
        let bytes = self.0.capacity() * size_of::<T>();
        if (1..=MOST).contains(&bytes) {
            let list = mem::take(&mut self.0);
            with_kept(|kept| *kept = list);
        }
    }
}

impl<T: 'static> Deref for SpareList<T> {
    type Target = VecDeque<T>;

    fn deref(&self) -> &VecDeque<T> {
        &self.0
    }
}

impl<T: 'static> DerefMut for SpareList<T> {
    fn deref_mut(&mut self) -> &mut VecDeque<T> {
        &mut self.0
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for SpareList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn the_next_list_of_a_type_has_the_capacity_of_the_last_one() {
        let mut list = SpareList::<u32>::take();
        list.extend(0..100);
        let capacity = list.capacity();
        drop(list);
        let mut other = SpareList::<u8>::take();
        assert_eq!(other.capacity(), 0);
        other.push_back(1);
        drop(other);
        let again = SpareList::<u32>::take();
        assert!(again.is_empty());
        assert_eq!(again.capacity(), capacity);
        assert_eq!(SpareList::<u32>::take().capacity(), 0);
    }

    #[test]
    fn a_large_list_is_not_kept() {
        let mut list = SpareList::<u8>::take();
        list.extend(std::iter::repeat_n(0, MOST + 1));
        drop(list);
        assert_eq!(SpareList::<u8>::take().capacity(), 0);
    }

    #[test]
    fn a_list_that_is_dropped_within_an_item_does_no_harm() {
        struct Item;
        impl Drop for Item {
            fn drop(&mut self) {
                let mut inner = SpareList::<Vec<Item>>::take();
                inner.push_back(Vec::new());
            }
        }
        let mut list = SpareList::<Item>::take();
        list.extend([Item, Item]);
        drop(list);
        // An item of no size needs no capacity, and only the inner list is kept.
        assert!(SpareList::<Vec<Item>>::take().capacity() > 0);
    }
}
