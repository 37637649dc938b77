//! Random messages through random workers: each message goes the way that its script says, once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use leveret::{
    Broker, ManualClock, Queue,
    worker::{HandlerError, HandlerResult, Settle, Worker, WorkerEnd, WorkerReport},
};
use proptest::prelude::*;

use crate::common::{SECOND, advance_until, cases, on_a_manual_clock, rest};

/// What the handler does at one delivery of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Ack,
    Fail,
    Panic,
    Requeue,
    RequeueLater,
    Reject,
    DeadLetter,
}

impl Act {
    fn is_final(self) -> bool {
        !matches!(self, Act::Requeue | Act::RequeueLater)
    }

    fn is_dead(self) -> bool {
        self.is_final() && self != Act::Ack
    }
}

impl HandlerResult for Act {
    type Settle = Settle;

    fn into_result(self) -> Result<Settle, HandlerError> {
        match self {
            Act::Ack => Ok(Settle::Ack),
            Act::Fail => Err(HandlerError::new(&"it fails")),
            Act::Panic => panic!("it panics"),
            Act::Requeue => Ok(Settle::Requeue(Duration::ZERO)),
            Act::RequeueLater => Ok(Settle::Requeue(SECOND)),
            Act::Reject => Ok(Settle::Reject),
            Act::DeadLetter => Ok(Settle::DeadLetter("it says so".to_owned())),
        }
    }
}

/// The acts at the deliveries of one message. The last one is final.
fn script() -> impl Strategy<Value = Vec<Act>> {
    let goes_on = prop_oneof![Just(Act::Requeue), Just(Act::RequeueLater)];
    let ends = prop_oneof![
        4 => Just(Act::Ack),
        1 => Just(Act::Fail),
        1 => Just(Act::Panic),
        1 => Just(Act::Reject),
        1 => Just(Act::DeadLetter),
    ];
    (prop::collection::vec(goes_on, 0..3), ends).prop_map(|(mut acts, last)| {
        acts.push(last);
        acts
    })
}

#[derive(Clone, Debug)]
struct Program {
    scripts: Vec<Vec<Act>>,
    concurrency: usize,
    prefetch: u32,
    in_futures: bool,
    in_a_task: bool,
    /// The number of handler calls after which the worker is stopped. Else it drains.
    stop_after: Option<usize>,
}

fn program() -> impl Strategy<Value = Program> {
    (
        prop::collection::vec(script(), 1..20),
        1..4_usize,
        1..10_u32,
        any::<bool>(),
        any::<bool>(),
        prop::option::of(0..30_usize),
    )
        .prop_map(
            |(scripts, concurrency, prefetch, in_futures, in_a_task, stop_after)| Program {
                scripts,
                concurrency,
                prefetch,
                in_futures,
                in_a_task,
                stop_after,
            },
        )
}

/// The deliveries of each message that its handler has seen, in order.
type Seen = Arc<Mutex<HashMap<usize, Vec<u32>>>>;

fn worker(broker: &Broker, program: &Program, seen: &Seen) -> Worker<usize> {
    let scripts = program.scripts.clone();
    let seen = Arc::clone(seen);
    let act = move |id: usize, delivery: u32| {
        seen.lock().unwrap().entry(id).or_default().push(delivery);
        // An act that panics does it in `into_result`, so panic hooks print little.
        scripts[id][delivery as usize]
    };
    let builder = broker
        .worker::<usize>(&tasks())
        .concurrency(program.concurrency)
        .prefetch(program.prefetch);
    match program.in_futures {
        false => builder.handler(move |id, context| act(*id, context.acquired_count())),
        true => builder.handler_async(move |job, context| {
            let done = act(*job, context.acquired_count());
            async move { done }
        }),
    }
}

fn tasks() -> Queue {
    Queue::new("tasks")
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead")
}

fn run(broker: &Broker, clock: &ManualClock, program: &Program, seen: &Seen) -> WorkerReport {
    let worker = worker(broker, program, seen);
    let stop_handle = worker.stop_handle().unwrap();
    let running = match program.in_a_task {
        false => worker.spawn().unwrap(),
        true => {
            // A drain needs a handle, so a task is only stopped.
            let running = thread::spawn(move || crate::common::block_on(worker.run_async()));
            let most_calls = program.stop_after.unwrap_or(usize::MAX);
            advance_until(clock, || {
                calls(seen) >= most_calls || is_done(broker, program, seen)
            });
            stop_handle.stop();
            return running.join().unwrap().unwrap();
        }
    };
    if let Some(calls_before) = program.stop_after {
        advance_until(clock, || {
            calls(seen) >= calls_before || is_done(broker, program, seen)
        });
        running.stop();
        return running.join();
    }
    let draining = thread::spawn(move || running.stop_and_drain(Duration::MAX));
    advance_until(clock, || draining.is_finished());
    draining.join().unwrap()
}

fn calls(seen: &Seen) -> usize {
    seen.lock().unwrap().values().map(Vec::len).sum()
}

/// Whether every handler was called as often as the scripts say, and nothing is unsettled.
fn is_done(broker: &Broker, program: &Program, seen: &Seen) -> bool {
    let called = program.scripts.iter().map(Vec::len).sum::<usize>();
    let tasks = &broker.snapshot().unwrap().vhosts[0];
    let tasks = tasks.queues.iter().find(|queue| &*queue.name == "tasks");
    calls(seen) == called && tasks.is_some_and(|tasks| tasks.unsettled.messages == 0)
}

/// The ids of the ready messages of a queue.
fn sorted_rest(broker: &Broker, queue: &str) -> Vec<usize> {
    let rest = rest::<usize>(broker, queue).into_iter();
    let mut ids: Vec<_> = rest.map(|(id, _)| id).collect();
    ids.sort_unstable();
    ids
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn each_message_goes_the_way_of_its_script_once(program in program()) {
        let (broker, clock) = on_a_manual_clock();
        broker.declare(&Queue::new("dead")).unwrap();
        let producer = broker.producer::<usize>(&tasks()).unwrap();
        let _ = producer.publish_batch(0..program.scripts.len());
        let seen = Seen::default();
        let report = run(&broker, &clock, &program, &seen);
        let seen = seen.lock().unwrap();

        // Each delivery was seen once, and one after the other.
        for (id, deliveries) in &*seen {
            let expected: Vec<_> = (0..deliveries.len() as u32).collect();
            prop_assert_eq!(deliveries, &expected, "message {}", id);
        }
        // A message is done, dead, or still there.
        clock.advance(10 * SECOND);
        let (dead, left) = (sorted_rest(&broker, "dead"), sorted_rest(&broker, "tasks"));
        let last = |id: usize| {
            let deliveries = seen.get(&id).map_or(0, Vec::len);
            deliveries.checked_sub(1).map(|last| program.scripts[id][last])
        };
        let all = 0..program.scripts.len();
        let is_dead = |id: &usize| last(*id).is_some_and(Act::is_dead);
        let is_left = |id: &usize| !last(*id).is_some_and(Act::is_final);
        let expected_dead: Vec<_> = all.clone().filter(is_dead).collect();
        let expected_left: Vec<_> = all.filter(is_left).collect();
        prop_assert_eq!(dead, expected_dead);
        prop_assert_eq!(&left, &expected_left);

        let counts = report.counts;
        let acted = |which: fn(&Act) -> bool| {
            let acts = seen.iter().flat_map(|(id, all)| &program.scripts[*id][..all.len()]);
            acts.filter(|act| which(act)).count() as u64
        };
        prop_assert_eq!(counts.handled, acted(|_| true));
        prop_assert_eq!(counts.acked, acted(|act| *act == Act::Ack));
        prop_assert_eq!(counts.requeued, acted(|act| !act.is_final()));
        prop_assert_eq!(counts.rejected, acted(|act| act.is_dead()));
        prop_assert_eq!(counts.failed, acted(|act| *act == Act::Fail));
        prop_assert_eq!(counts.panicked, acted(|act| *act == Act::Panic));
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
