//! Runs tasks on the thread that asks for it, in an order that does not depend on threads.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Wake, Waker},
};

use super::random::Random;
use crate::runtime::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering::SeqCst},
};

/// The tasks of a test. They run in [`run_until_stalled`](Self::run_until_stalled) only.
///
/// # If dropped
/// The tasks are dropped.
pub(super) struct Executor {
    tasks: Mutex<Tasks>,
    woken: Arc<WokenTasks>,
}

#[derive(Default)]
struct Tasks {
    /// Without those that are polled just now.
    by_number: BTreeMap<u64, SpawnedTask>,
    spawned: u64,
    /// Chooses the next task. Without it the next one is the task that was woken first.
    random: Option<Random>,
}

struct SpawnedTask {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    waker: Arc<TaskWaker>,
}

/// The numbers of the tasks that were woken and not polled since. A leaf lock.
#[derive(Default)]
struct WokenTasks(Mutex<VecDeque<u64>>);

/// Wakes one task.
struct TaskWaker {
    number: u64,
    /// Whether the task is to be polled.
    is_woken: AtomicBool,
    woken: Arc<WokenTasks>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.is_woken.swap(true, SeqCst) {
            self.woken.0.lock().push_back(self.number);
        }
    }
}

/// A task of a [`TestBroker`](super::TestBroker).
///
/// # If dropped
/// The task goes on.
///
/// # Examples
/// ```
/// use leveret::testing::TestBroker;
///
/// let test = TestBroker::new();
/// let task = test.spawn(async { 42 });
/// assert_eq!(task.take(), None); // it has not run yet
/// test.run_until_stalled();
/// assert_eq!(task.take(), Some(42));
/// ```
pub struct Task<T> {
    output: Arc<Mutex<Option<T>>>,
}

impl<T> Task<T> {
    /// Takes the output of the task. `None` if the task is not ready yet, or if its output was
    /// taken before.
    pub fn take(&self) -> Option<T> {
        self.output.lock().take()
    }
}

impl Executor {
    pub(super) fn new() -> Executor {
        Executor {
            tasks: Mutex::default(),
            woken: Arc::default(),
        }
    }

    /// From now on the next task is a random one of those that were woken.
    pub(super) fn shuffle(&self, random: Random) {
        self.tasks.lock().random = Some(random);
    }

    pub(super) fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = Task {
            output: Arc::new(Mutex::new(None)),
        };
        let output = Arc::clone(&task.output);
        let future = async move {
            let ready = future.await;
            *output.lock() = Some(ready);
        };
        let waker = {
            let mut tasks = self.tasks.lock();
            let number = tasks.spawned;
            tasks.spawned += 1;
            let waker = Arc::new(TaskWaker {
                number,
                is_woken: AtomicBool::new(false),
                woken: Arc::clone(&self.woken),
            });
            let spawned = SpawnedTask {
                future: Box::pin(future),
                waker: Arc::clone(&waker),
            };
            tasks.by_number.insert(number, spawned);
            waker
        };
        waker.wake();
        task
    }

    /// Polls tasks until none is woken.
    ///
    /// # Panics
    /// If a task panics. That task is dropped, and the others stay.
    pub(super) fn run_until_stalled(&self) {
        while let Some(mut task) = self.next() {
            let waker = Waker::from(Arc::clone(&task.waker));
            let polled = task.future.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_pending() {
                self.put_back(task);
            }
        }
    }

    /// Takes out the next task that is woken.
    fn next(&self) -> Option<SpawnedTask> {
        let mut tasks = self.tasks.lock();
        loop {
            let mut woken = self.woken.0.lock();
            let index = match &mut tasks.random {
                None => 0,
                Some(random) => random.below(woken.len()),
            };
            let number = woken.remove(index)?;
            // If another thread polls it, that thread sees that it is woken.
            if let Some(task) = tasks.by_number.remove(&number) {
                task.waker.is_woken.store(false, SeqCst);
                return Some(task);
            }
        }
    }

    fn put_back(&self, task: SpawnedTask) {
        let waker = Arc::clone(&task.waker);
        self.tasks.lock().by_number.insert(waker.number, task);
        let mut woken = self.woken.0.lock();
        if waker.is_woken.load(SeqCst) && !woken.contains(&waker.number) {
            woken.push_back(waker.number);
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("tasks", &self.tasks.lock().by_number.len())
            .field("woken", &self.woken.0.lock().len())
            .finish()
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("is_ready", &self.output.lock().is_some())
            .finish()
    }
}
