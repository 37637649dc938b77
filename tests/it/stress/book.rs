//! The record of all published messages and their settlements.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

/// One entry for each message that a queue has taken.
#[derive(Debug)]
struct Entry {
    queue: String,
    settled: usize,
}

#[derive(Default)]
pub struct Book {
    next: AtomicU64,
    alive: Arc<AtomicUsize>,
    entries: Mutex<BTreeMap<u64, Entry>>,
    changed: Condvar,
}

/// User code that runs when a payload is dropped.
pub type Hook = Box<dyn FnOnce() + Send + Sync>;

/// The payload: an id, and the code that runs when it is dropped.
#[derive(Serialize, Deserialize)]
pub struct Load {
    pub id: u64,
    #[serde(skip)]
    _end: End,
}

#[derive(Default)]
struct End {
    hook: Option<Hook>,
    alive: Option<Arc<AtomicUsize>>,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(alive) = self.alive.take() {
            alive.fetch_sub(1, SeqCst);
        }
        if let Some(hook) = self.hook.take() {
            hook();
        }
    }
}

impl Book {
    /// Makes a payload and records it before its publish, because a consumer may settle it before
    /// the publish returns.
    pub fn load(&self, queue: &str, hook: Option<Hook>) -> Load {
        let id = self.next.fetch_add(1, SeqCst);
        let entry = Entry {
            queue: queue.to_owned(),
            settled: 0,
        };
        self.entries.lock().unwrap().insert(id, entry);
        self.alive.fetch_add(1, SeqCst);
        Load {
            id,
            _end: End {
                hook,
                alive: Some(Arc::clone(&self.alive)),
            },
        }
    }

    /// Removes the record of a message whose publish was refused.
    pub fn refused(&self, load: Load) {
        let entry = self.entries.lock().unwrap().remove(&load.id);
        assert_eq!(entry.expect("entered").settled, 0, "refused and delivered");
    }

    pub fn settled(&self, id: u64) {
        let mut entries = self.entries.lock().unwrap();
        entries
            .get_mut(&id)
            .expect("delivered and not published")
            .settled += 1;
        self.changed.notify_all();
    }

    pub fn alive(&self) -> usize {
        self.alive.load(SeqCst)
    }

    /// Waits until every message of `queue` is settled.
    pub fn wait_until_settled(&self, queue: &str, patience: Duration) {
        let until = Instant::now() + patience;
        let mut entries = self.entries.lock().unwrap();
        loop {
            let open: Vec<u64> = entries
                .iter()
                .filter(|(_, entry)| entry.queue == queue && entry.settled == 0)
                .map(|(id, _)| *id)
                .collect();
            if open.is_empty() {
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "lost, or ready with nobody served: {open:?}"
            );
            entries = self.changed.wait_timeout(entries, left).unwrap().0;
        }
    }

    pub fn check(&self) {
        for (id, entry) in &*self.entries.lock().unwrap() {
            assert!(
                entry.settled <= 1,
                "message {id} was settled twice: {entry:?}"
            );
        }
    }
}
