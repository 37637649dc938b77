//! Random messages with random keys through random ordered workers. Within a key, the messages are
//! handled in the order in which they were published, and none begins before the one before it has
//! its last settlement.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use leveret::{
    Broker, ManualClock, Queue,
    worker::{HandlerError, HandlerResult, Settle, Worker, WorkerEnd, WorkerReport},
};
use proptest::prelude::*;

use crate::common::{SECOND, advance_until, assert_conserved, cases, rest};

/// What the handler does at one attempt at a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Ack,
    Fail,
    Panic,
    Requeue,
    RequeueLater(u32),
}

impl Act {
    fn is_final(self) -> bool {
        !matches!(self, Act::Requeue | Act::RequeueLater(_))
    }
}

impl HandlerResult for Act {
    type Settle = Settle;

    fn into_result(self) -> Result<Settle, HandlerError> {
        match self {
            Act::Ack => Ok(Settle::Ack),
            Act::Fail => Err(HandlerError::new(&"it fails")),
            Act::Panic => std::panic::resume_unwind(Box::new("it panics")),
            Act::Requeue => Ok(Settle::Requeue(Duration::ZERO)),
            Act::RequeueLater(seconds) => Ok(Settle::Requeue(seconds * SECOND)),
        }
    }
}

/// A message: its key, and the acts at its attempts. The last one is final.
type Script = (u8, Vec<Act>);

fn script() -> impl Strategy<Value = Script> {
    let goes_on = prop_oneof![Just(Act::Requeue), (1..4_u32).prop_map(Act::RequeueLater)];
    let ends = prop_oneof![4 => Just(Act::Ack), 1 => Just(Act::Fail), 1 => Just(Act::Panic)];
    (0..4_u8, prop::collection::vec(goes_on, 0..3), ends).prop_map(|(key, mut acts, last)| {
        acts.push(last);
        (key, acts)
    })
}

#[derive(Clone, Debug)]
struct Program {
    scripts: Vec<Script>,
    concurrency: usize,
    prefetch: u32,
    in_futures: bool,
    in_a_task: bool,
    /// Whether payloads are bytes.
    encoded: bool,
    /// The number of attempts after which the worker is stopped. Else it drains.
    stop_after: Option<usize>,
}

fn program() -> impl Strategy<Value = Program> {
    (
        prop::collection::vec(script(), 1..25),
        1..5_usize,
        1..12_u32,
        any::<[bool; 3]>(),
        prop::option::of(0..30_usize),
    )
        .prop_map(|(scripts, concurrency, prefetch, flags, stop_after)| {
            let [in_futures, in_a_task, encoded] = flags;
            Program {
                scripts,
                concurrency,
                prefetch,
                in_futures,
                in_a_task,
                encoded,
                stop_after,
            }
        })
}

/// What the handlers have seen: attempts at messages, by key, in the order of their begins.
#[derive(Default)]
struct Seen {
    by_key: BTreeMap<u8, Vec<(usize, u32)>>,
    /// The keys in the hands of a handler.
    running: BTreeSet<u8>,
    /// A key that two handlers had at once.
    overlap: Option<u8>,
}

impl Seen {
    fn begins(&mut self, key: u8, id: usize, attempt: u32) {
        self.by_key.entry(key).or_default().push((id, attempt));
        if !self.running.insert(key) {
            self.overlap = Some(key);
        }
    }

    fn attempts(&self) -> usize {
        self.by_key.values().map(Vec::len).sum()
    }
}

fn steps() -> Queue {
    Queue::new("steps")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead")
}

fn worker(broker: &Broker, program: &Program, seen: &Arc<Mutex<Seen>>) -> Worker<usize> {
    let keys: Vec<u8> = program.scripts.iter().map(|(key, _)| *key).collect();
    let builder = broker
        .worker::<usize>(steps())
        .concurrency(program.concurrency)
        .prefetch(program.prefetch)
        .ordered_by(move |id| keys[**id]);
    let scripts = program.scripts.clone();
    let begins = Arc::clone(seen);
    let begin = move |id: usize, attempt: u32| {
        let (key, acts) = &scripts[id];
        begins.lock().unwrap().begins(*key, id, attempt);
        (*key, acts[attempt as usize])
    };
    let ends = Arc::clone(seen);
    let end = move |key: u8| {
        ends.lock().unwrap().running.remove(&key);
    };
    match program.in_futures {
        false => builder.handler(move |id, context| {
            let (key, act) = begin(*id, context.acquired_count());
            thread::yield_now();
            end(key);
            act
        }),
        true => builder.handler_async(move |job, context| {
            let (key, act) = begin(*job, context.acquired_count());
            let end = end.clone();
            async move {
                yield_now().await;
                end(key);
                act
            }
        }),
    }
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

fn run(
    broker: &Broker,
    clock: &ManualClock,
    program: &Program,
    seen: &Arc<Mutex<Seen>>,
) -> WorkerReport {
    let worker = worker(broker, program, seen);
    let stop_handle = worker.stop_handle().unwrap();
    let all: usize = program.scripts.iter().map(|(_, acts)| acts.len()).sum();
    let enough = program.stop_after.map_or(all, |attempts| attempts.min(all));
    let has_enough = || {
        let has_enough = seen.lock().unwrap().attempts() >= enough;
        has_enough && (enough < all || unsettled(broker) == 0)
    };
    if program.in_a_task {
        let running = thread::spawn(move || crate::common::block_on(worker.run_async()));
        advance_until(clock, has_enough);
        stop_handle.stop();
        return running.join().unwrap().unwrap();
    }
    let running = worker.spawn().unwrap();
    if program.stop_after.is_some() {
        advance_until(clock, has_enough);
        running.stop();
        return running.join();
    }
    let draining = thread::spawn(move || running.stop_and_drain(Duration::MAX));
    advance_until(clock, || draining.is_finished());
    draining.join().unwrap()
}

fn unsettled(broker: &Broker) -> u64 {
    let vhost = &broker.snapshot().unwrap().vhosts[0];
    let mut queues = vhost.queues.iter();
    let steps = queues.find(|queue| &*queue.name == "steps");
    steps.map_or(0, |steps| steps.unsettled.messages)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn within_a_key_no_message_overtakes_another(program in program()) {
        let clock = ManualClock::new();
        let builder = Broker::builder().clock(clock.clone());
        let broker = match program.encoded {
            true => builder.always_encode().build(),
            false => builder.build(),
        };
        broker.declare(&Queue::new("dead")).unwrap();
        let producer = broker.producer::<usize>(&steps()).unwrap();
        let _ = producer.publish_batch(0..program.scripts.len());
        let seen = Arc::<Mutex<Seen>>::default();
        let report = run(&broker, &clock, &program, &seen);
        let seen = seen.lock().unwrap();
        prop_assert_eq!(seen.overlap, None);

        // All attempts at a message, and then those at the next one of its key.
        let mut done = BTreeSet::new();
        for (key, attempts) in &seen.by_key {
            let ids = (0..program.scripts.len()).filter(|id| program.scripts[*id].0 == *key);
            let expected: Vec<_> = ids
                .flat_map(|id| (0..program.scripts[id].1.len()).map(move |nth| (id, nth as u32)))
                .take(attempts.len())
                .collect();
            prop_assert_eq!(attempts, &expected, "key {}", key);
            let last = |(id, nth): &&(usize, u32)| program.scripts[*id].1[*nth as usize].is_final();
            done.extend(attempts.iter().filter(last).map(|(id, _)| *id));
        }
        // A message is done, or it is in its place.
        prop_assert_eq!(unsettled(&broker), 0);
        let left = rest::<usize>(&broker, "steps");
        let is_left = |id: &usize| !done.contains(id);
        let expected: Vec<_> = (0..program.scripts.len()).filter(is_left).collect();
        let ids: Vec<_> = left.iter().map(|(id, _)| *id).collect();
        prop_assert_eq!(ids, expected);
        // Only those that a handler had are marked.
        for (id, redelivered) in left {
            let (key, _) = program.scripts[id];
            let attempts = seen.by_key.get(&key).into_iter().flatten();
            let is_seen = attempts.into_iter().any(|(seen, _)| *seen == id);
            prop_assert_eq!(redelivered, is_seen, "message {}", id);
        }
        let died = |id: &&usize| program.scripts[**id].1.last() != Some(&Act::Ack);
        let dead = rest::<usize>(&broker, "dead");
        let mut dead: Vec<_> = dead.into_iter().map(|(id, _)| id).collect();
        dead.sort_unstable();
        prop_assert_eq!(dead, done.iter().filter(died).copied().collect::<Vec<_>>());
        for queue in &broker.snapshot().unwrap().vhosts[0].queues {
            assert_conserved(queue);
        }
        prop_assert_eq!(report.counts.handled as usize, seen.attempts());
        if program.stop_after.is_none() {
            prop_assert_eq!(done.len(), program.scripts.len());
            let end = match program.in_a_task {
                true => WorkerEnd::Stopped,
                false => WorkerEnd::Drained,
            };
            prop_assert_eq!(report.end, end);
        }
    }
}
