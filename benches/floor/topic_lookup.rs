//! A topic exchange with keys that it has not seen, compared with a plain trie of hash maps.
//!
//! A publish with a new key begins with the same work as `route`. `route` finds the exchange, takes
//! a lock, and returns the names of the queues. Of these the row `plain-trie` only returns the
//! names, and `plain-trie-numbers` not even them.

use std::{
    cell::OnceCell,
    hint::black_box,
    rc::Rc,
    time::{Duration, Instant},
};

use leveret::{Broker, Exchange, FieldTable, Name, Queue};

use super::{group::Group, options::Options, plain_trie::PlainTrie, selective::Selective};

/// The number of keys that are used in turn. It is so large that the nodes of a key are no longer
/// in the first-level cache when the key is used again.
pub const KEYS: u64 = 10_000;

/// The number of bindings of each queue.
pub const EACH: u64 = 4;

type Patterns = fn(&mut Selective) -> String;

pub fn groups(options: &Options) -> Vec<Group> {
    let sets: [(_, _, Patterns, _); 4] = [
        ("1k", 1_000, Selective::pattern, Some(1.0)),
        ("10k", 10_000, Selective::pattern, Some(1.0)),
        ("100k", 100_000, Selective::pattern, Some(1.0)),
        ("wild", 10_000, Selective::wild_pattern, None),
    ];
    let lookups = options.size(1_000, 100_000);
    sets.into_iter()
        .map(|(name, bindings, pattern, goal)| {
            let set = Rc::new(OnceCell::new());
            let with = move |run: fn(&Set, u64) -> Duration| {
                let set = Rc::clone(&set);
                move |lookups| run(set.get_or_init(|| Set::new(bindings, pattern)), lookups)
            };
            Group::throughput(format!("topic-lookup-{name}"))
                .row("plain-trie", None, lookups, with(Set::plain_names))
                .row(
                    "plain-trie-numbers",
                    None,
                    lookups,
                    with(Set::plain_numbers),
                )
                .row("leveret", goal, lookups, with(Set::leveret))
        })
        .collect()
}

/// The same bindings in both structures, and keys.
pub struct Set {
    broker: Broker,
    exchange: Exchange,
    trie: PlainTrie,
    names: Vec<Name>,
    keys: Vec<String>,
}

impl Set {
    pub fn new(bindings: u64, pattern: Patterns) -> Set {
        let mut selective = Selective::new();
        let broker = Broker::new();
        let exchange = Exchange::topic("floor");
        let mut trie = PlainTrie::default();
        let mut names = Vec::new();
        for number in 0..bindings / EACH {
            let mut queue = Queue::new(format!("floor-{number}"));
            for _ in 0..EACH {
                let pattern = pattern(&mut selective);
                trie.insert(&pattern, number as u32);
                queue = queue.bind(&exchange, pattern);
            }
            broker.declare(&queue).expect("a new queue");
            names.push(Name::new(queue.name()).expect("a short name"));
        }
        let keys = (0..KEYS).map(|_| selective.key()).collect();
        let set = Set {
            broker,
            exchange,
            trie,
            names,
            keys,
        };
        for key in &set.keys {
            let (mut plain, mut routed) = (set.plain(key), set.route(key));
            plain.sort_unstable();
            routed.sort_unstable();
            assert_eq!(plain, routed, "{key}");
        }
        set
    }

    fn plain(&self, key: &str) -> Vec<Name> {
        let numbers = self.trie.route(key).into_iter();
        numbers
            .map(|number| self.names[number as usize].clone())
            .collect()
    }

    fn route(&self, key: &str) -> Vec<Name> {
        static NONE: FieldTable = FieldTable::new();
        self.broker
            .route(&self.exchange, key, &NONE)
            .expect("the exchange is there")
    }

    fn time<R>(&self, lookups: u64, look: impl Fn(&str) -> R) -> Duration {
        let began = Instant::now();
        for key in self.keys.iter().cycle().take(lookups as usize) {
            black_box(look(key));
        }
        began.elapsed()
    }

    fn plain_names(&self, lookups: u64) -> Duration {
        self.time(lookups, |key| self.plain(key))
    }

    fn plain_numbers(&self, lookups: u64) -> Duration {
        self.time(lookups, |key| self.trie.route(key))
    }

    pub fn leveret(&self, lookups: u64) -> Duration {
        self.time(lookups, |key| self.route(key))
    }
}
