//! Random messages through random workers with batches: each message goes the way that its script
//! says, once, in batches of the right size.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use leveret::{
    Broker, ManualClock, Queue,
    worker::{
        Batch, BatchResult, Before, Context, HandlerError, Middleware, Settle, Worker, WorkerEnd,
        WorkerReport,
    },
};
use proptest::prelude::*;

use crate::common::{SECOND, advance_until, assert_conserved, cases, on_a_manual_clock, rest};

/// What becomes of a message at its first attempt. A later one acknowledges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Ack,
    Fail,
    Requeue,
    /// A middleware lets it wait.
    Wait,
    /// A middleware rejects it.
    Refuse,
    /// Its handler panics, or fails the whole batch.
    Panic,
    FailAll,
}

#[derive(Clone, Debug)]
struct Program {
    acts: Vec<Act>,
    max: usize,
    max_wait: u32,
    concurrency: usize,
    prefetch: Option<u32>,
    in_futures: bool,
    in_a_task: bool,
    /// The number of batches after which the worker is stopped. Else it drains.
    stop_after: Option<usize>,
}

fn program() -> impl Strategy<Value = Program> {
    let act = prop_oneof![
        6 => Just(Act::Ack),
        1 => Just(Act::Fail),
        1 => Just(Act::Requeue),
        1 => Just(Act::Wait),
        1 => Just(Act::Refuse),
        1 => Just(Act::Panic),
        1 => Just(Act::FailAll),
    ];
    (
        prop::collection::vec(act, 1..30),
        0..8_usize,
        0..3_u32,
        1..4_usize,
        prop::option::of(1..10_u32),
        any::<[bool; 2]>(),
        prop::option::of(0..6_usize),
    )
        .prop_map(
            |(acts, max, max_wait, concurrency, prefetch, [in_futures, in_a_task], stop_after)| {
                Program {
                    acts,
                    max,
                    max_wait,
                    concurrency,
                    prefetch,
                    in_futures,
                    in_a_task,
                    stop_after,
                }
            },
        )
}

/// A message of a batch: its number, and its delivery count.
type Item = (usize, u32);

/// The batches that the handlers have seen.
type Seen = Arc<Mutex<Vec<Vec<Item>>>>;

/// Lets messages wait once, or rejects them, by their scripts.
struct Script {
    acts: Vec<Act>,
    waited: Mutex<Vec<usize>>,
}

impl Middleware for Script {
    fn before(&self, context: &Context<'_>) -> Before {
        let id = String::from_utf8(context.info().body().unwrap().to_vec()).unwrap();
        let id: usize = id.parse().unwrap();
        let mut waited = self.waited.lock().unwrap();
        match self.acts[id] {
            Act::Refuse => Before::Settle(Settle::Reject),
            Act::Wait if !waited.contains(&id) => {
                waited.push(id);
                Before::Wait(SECOND)
            }
            _ => Before::Go,
        }
    }
}

/// The result of a handler for one batch.
enum Verdict {
    Each(Vec<Result<Settle, &'static str>>),
    FailAll,
    Panic,
}

impl BatchResult for Verdict {
    fn into_results(self, messages: usize) -> Vec<Result<Settle, HandlerError>> {
        match self {
            Verdict::Each(results) => results.into_results(messages),
            Verdict::FailAll => Err::<(), _>("all fail").into_results(messages),
            Verdict::Panic => std::panic::resume_unwind(Box::new("it panics")),
        }
    }
}

/// Whether the whole batch fails: one of its messages says so at its first attempt.
fn fails(acts: &[Act], items: &[Item], how: Act) -> bool {
    items
        .iter()
        .any(|(id, count)| *count == 0 && acts[*id] == how)
}

fn verdict(acts: &[Act], items: &[Item]) -> Verdict {
    if fails(acts, items, Act::Panic) {
        return Verdict::Panic;
    }
    if fails(acts, items, Act::FailAll) {
        return Verdict::FailAll;
    }
    let results = items.iter().map(|(id, count)| match (acts[*id], count) {
        (Act::Fail, 0) => Err("it fails"),
        (Act::Requeue, 0) => Ok(Settle::Requeue(Duration::ZERO)),
        _ => Ok(Settle::Ack),
    });
    Verdict::Each(results.collect())
}

fn items(batch: &Batch<'_, usize>) -> Vec<Item> {
    let items = batch.iter();
    items
        .map(|item| (**item, item.context().acquired_count()))
        .collect()
}

fn tasks() -> Queue {
    Queue::new("tasks")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead")
}

fn worker(broker: &Broker, program: &Program, seen: &Seen) -> Worker<usize> {
    let mut builder = broker
        .worker::<usize>(tasks())
        .concurrency(program.concurrency);
    if let Some(prefetch) = program.prefetch {
        builder = builder.prefetch(prefetch);
    }
    let script = Script {
        acts: program.acts.clone(),
        waited: Mutex::default(),
    };
    let builder = builder.middleware(script);
    let builder = builder.batch(program.max, program.max_wait * SECOND);
    let (seen, acts) = (Arc::clone(seen), program.acts.clone());
    let decide = move |batch: &Batch<'_, usize>| {
        let items = items(batch);
        let verdict = verdict(&acts, &items);
        seen.lock().unwrap().push(items);
        verdict
    };
    match program.in_futures {
        false => builder.handler(decide),
        true => builder.handler_async(move |batch| {
            let verdict = decide(&batch);
            async { verdict }
        }),
    }
}

fn run(broker: &Broker, clock: &ManualClock, program: &Program, seen: &Seen) -> WorkerReport {
    let worker = worker(broker, program, seen);
    let stop_handle = worker.stop_handle().unwrap();
    let batches = || seen.lock().unwrap().len();
    let has_enough = || {
        let is_enough = program.stop_after.is_some_and(|most| batches() >= most);
        is_enough || is_empty(broker)
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

/// Whether the queue has no message any more.
fn is_empty(broker: &Broker) -> bool {
    let vhost = &broker.snapshot().unwrap().vhosts[0];
    let mut queues = vhost.queues.iter();
    let tasks = queues.find(|queue| &*queue.name == "tasks").unwrap();
    tasks.ready.messages + tasks.unsettled.messages == 0
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn each_message_goes_the_way_of_its_batch_once(program in program()) {
        let (broker, clock) = on_a_manual_clock();
        broker.declare(&Queue::new("dead")).unwrap();
        let producer = broker.producer::<usize>(&tasks()).unwrap();
        let _ = producer.publish_batch(0..program.acts.len());
        let seen = Seen::default();
        let report = run(&broker, &clock, &program, &seen);
        let (seen, acts) = (seen.lock().unwrap(), &program.acts);

        let (mut acked, mut dead, mut requeued) = (Vec::new(), Vec::new(), 0);
        for batch in &*seen {
            let sizes = 1..=program.max.max(1);
            prop_assert!(sizes.contains(&batch.len()), "{:?}", batch);
            if let Some(prefetch) = program.prefetch {
                prop_assert!(batch.len() <= prefetch as usize);
            }
            let all_fail = fails(acts, batch, Act::Panic) || fails(acts, batch, Act::FailAll);
            for (id, count) in batch {
                match (acts[*id], count) {
                    (Act::Refuse, _) => prop_assert!(false, "message {} was refused", id),
                    _ if all_fail => dead.push(*id),
                    (Act::Fail, 0) => dead.push(*id),
                    (Act::Requeue, 0) => requeued += 1,
                    _ => acked.push(*id),
                }
            }
        }
        // Those that a middleware has refused are dead, too, if the worker came to them.
        let left = rest::<usize>(&broker, "tasks");
        let left: Vec<_> = left.into_iter().map(|(id, _)| id).collect();
        let handled = acked.len() + dead.len();
        let refused = (0..acts.len()).filter(|id| acts[*id] == Act::Refuse && !left.contains(id));
        dead.extend(refused);
        let mut all: Vec<_> = acked.iter().chain(&dead).chain(&left).copied().collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..acts.len()).collect::<Vec<_>>());
        let letters = rest::<usize>(&broker, "dead");
        let mut letters: Vec<_> = letters.into_iter().map(|(id, _)| id).collect();
        letters.sort_unstable();
        dead.sort_unstable();
        prop_assert_eq!(letters, dead);
        prop_assert_eq!(report.counts.handled as usize, handled + requeued);
        prop_assert_eq!(report.counts.acked as usize, acked.len());
        for queue in &broker.snapshot().unwrap().vhosts[0].queues {
            prop_assert_eq!(queue.unsettled.messages, 0);
            assert_conserved(queue);
        }
        if program.stop_after.is_none() {
            prop_assert!(left.is_empty(), "{:?}", report);
            let end = match program.in_a_task {
                true => WorkerEnd::Stopped,
                false => WorkerEnd::Drained,
            };
            prop_assert_eq!(report.end, end);
        }
    }
}
