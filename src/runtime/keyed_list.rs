//! A list from which any entry can be removed by its key, in constant time.

/// Entries in the order in which they were added. The entries are linked by their indices.
#[derive(Debug)]
pub(crate) struct KeyedList<T> {
    nodes: Vec<Node<T>>,
    first: Index,
    last: Index,
    /// The first unused node. The unused nodes are linked by `next`.
    unused: Index,
    len: Index,
    /// The number of entries that were ever added.
    added: u64,
}

#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    /// Tells the entries that had this index one after the other apart.
    serial: u64,
    previous: Index,
    next: Index,
}

/// The key of an entry. It is the key of no other entry of its list, now or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    index: Index,
    serial: u64,
}

/// A place in the nodes. There may be very many lists, so that a place is small.
type Index = u32;

/// No node.
const NONE: Index = Index::MAX;

/// The number of nodes that an empty list keeps.
const KEPT: usize = 4;

impl<T> Default for KeyedList<T> {
    fn default() -> Self {
        KeyedList {
            nodes: Vec::new(),
            first: NONE,
            last: NONE,
            unused: NONE,
            len: 0,
            added: 0,
        }
    }
}

impl<T> KeyedList<T> {
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an entry at the end.
    pub(crate) fn push_back(&mut self, value: T) -> Key {
        self.link(value, NONE)
    }

    /// Adds an entry before the first one for which `is_later` returns `true`, else at the end.
    pub(crate) fn insert_before(&mut self, value: T, is_later: impl Fn(&T) -> bool) -> Key {
        let mut next = self.first;
        while let Some(node) = self.node(next) {
            if node.value.as_ref().is_some_and(&is_later) {
                break;
            }
            next = node.next;
        }
        self.link(value, next)
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.node(self.first)?.value.as_ref()
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        self.unlink(self.first)
    }

    /// The entry, if it is still in the list.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let node = self.nodes.get_mut(key.index as usize)?;
        node.value.as_mut().filter(|_| node.serial == key.serial)
    }

    /// Whether the entry is still in the list.
    pub(crate) fn contains(&self, key: Key) -> bool {
        let node = self.node(key.index);
        node.is_some_and(|node| node.serial == key.serial && node.value.is_some())
    }

    /// Removes the entry, if it is still in the list.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        match self.contains(key) {
            true => self.unlink(key.index),
            false => None,
        }
    }

    /// Calls `f` with each entry, in their order.
    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&mut T)) {
        let mut index = self.first;
        while let Some(node) = self.nodes.get_mut(index as usize) {
            index = node.next;
            node.value.iter_mut().for_each(&mut f);
        }
    }

    /// Removes the entries for which `is_out` returns `true`, and returns them in their order.
    pub(crate) fn extract(&mut self, is_out: impl Fn(&T) -> bool) -> Vec<T> {
        let mut out = Vec::new();
        let mut index = self.first;
        while let Some(node) = self.node(index) {
            let next = node.next;
            if node.value.as_ref().is_some_and(&is_out) {
                out.extend(self.unlink(index));
            }
            index = next;
        }
        out
    }

    fn node(&self, index: Index) -> Option<&Node<T>> {
        self.nodes.get(index as usize)
    }

    fn link(&mut self, value: T, next: Index) -> Key {
        self.added += 1;
        let serial = self.added;
        let previous = match self.node(next) {
            Some(next) => next.previous,
            None => self.last,
        };
        let node = Node {
            value: Some(value),
            serial,
            previous,
            next,
        };
        let index = match self.nodes.get_mut(self.unused as usize) {
            Some(unused) => {
                let index = std::mem::replace(&mut self.unused, unused.next);
                *unused = node;
                index
            }
            None => {
                // Most lists never have two entries at once.
                self.nodes.reserve_exact(usize::from(self.nodes.is_empty()));
                self.nodes.push(node);
                (self.nodes.len() - 1) as Index
            }
        };
        self.connect(previous, index);
        self.connect(index, next);
        self.len += 1;
        Key { index, serial }
    }

    fn unlink(&mut self, index: Index) -> Option<T> {
        let node = self.nodes.get_mut(index as usize)?;
        let value = node.value.take()?;
        let (previous, next) = (node.previous, node.next);
        node.next = std::mem::replace(&mut self.unused, index);
        self.connect(previous, next);
        self.len -= 1;
        if self.len == 0 {
            self.nodes.clear();
            self.nodes.shrink_to(KEPT);
            self.unused = NONE;
        }
        Some(value)
    }

    /// Makes two nodes neighbours. On one side there may be the end of the list.
    fn connect(&mut self, previous: Index, next: Index) {
        match self.nodes.get_mut(previous as usize) {
            Some(node) => node.next = next,
            None => self.first = next,
        }
        match self.nodes.get_mut(next as usize) {
            Some(node) => node.previous = previous,
            None => self.last = previous,
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        PushBack,
        /// Inserts a number before the first that is larger.
        Insert(u32),
        PopFront,
        /// Removes by the key that was given out as this one, be it in the list or not.
        Remove(usize),
        /// Removes the multiples of a number.
        Extract(u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => Just(Op::PushBack),
            2 => (0..50_u32).prop_map(Op::Insert),
            2 => Just(Op::PopFront),
            4 => (0..80_usize).prop_map(Op::Remove),
            1 => (2..5_u32).prop_map(Op::Extract),
        ]
    }

    proptest! {

        #![proptest_config(crate::model::test_cases::cases())]

        #[test]
        fn it_is_a_plain_list_with_keys(ops in prop::collection::vec(op(), 0..120)) {
            let (mut list, mut plain) = (KeyedList::default(), Vec::new());
            let mut keys: Vec<(Key, u32)> = Vec::new();
            let mut next = 0_u32;
            for op in ops {
                match op {
                    Op::PushBack => {
                        keys.push((list.push_back(next), next));
                        plain.push(next);
                        next += 1;
                    }
                    Op::Insert(number) if !plain.contains(&number) => {
                        let at = plain.iter().position(|other| *other > number);
                        plain.insert(at.unwrap_or(plain.len()), number);
                        keys.push((list.insert_before(number, |other| *other > number), number));
                        next = next.max(number + 1);
                    }
                    Op::Insert(_) => {}
                    Op::PopFront => {
                        let first = (!plain.is_empty()).then(|| plain.remove(0));
                        prop_assert_eq!(list.pop_front(), first);
                    }
                    Op::Remove(index) if index < keys.len() => {
                        let (key, number) = keys.swap_remove(index);
                        let at = plain.iter().position(|other| *other == number);
                        prop_assert_eq!(list.contains(key), at.is_some());
                        prop_assert_eq!(list.get_mut(key).copied(), at.map(|_| number));
                        prop_assert_eq!(list.remove(key), at.map(|at| plain.remove(at)));
                        prop_assert_eq!(list.remove(key), None);
                        // The number may be inserted again, with another key.
                        keys.retain(|(_, other)| *other != number);
                    }
                    Op::Remove(_) => {}
                    Op::Extract(factor) => {
                        let is_out = |number: &u32| number.is_multiple_of(factor);
                        let out: Vec<_> = plain.iter().copied().filter(is_out).collect();
                        plain.retain(|number| !is_out(number));
                        prop_assert_eq!(list.extract(is_out), out);
                    }
                }
                // A number that has left may be inserted again.
                keys.retain(|(_, number)| plain.contains(number));
                prop_assert_eq!((list.len(), list.front()), (plain.len(), plain.first()));
                let mut all = Vec::new();
                list.for_each(|number| all.push(*number));
                prop_assert_eq!(&all, &plain);
            }
            prop_assert!(std::iter::from_fn(|| list.pop_front()).eq(plain));
        }
    }

    #[test]
    fn the_key_of_an_entry_that_has_left_removes_no_other() {
        let mut list = KeyedList::default();
        let first = list.push_back(1);
        assert_eq!(list.pop_front(), Some(1));
        let second = list.push_back(2);
        assert_eq!(list.remove(first), None);
        assert_eq!(list.remove(second), Some(2));
    }

    #[test]
    fn an_empty_list_keeps_little_memory() {
        let mut list = KeyedList::default();
        let keys: Vec<_> = (0..1_000).map(|number| list.push_back(number)).collect();
        for key in keys {
            assert!(list.remove(key).is_some());
        }
        assert!(list.nodes.capacity() <= KEPT);
    }
}
