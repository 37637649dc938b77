//! Messages that wait for a wake-up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{self, Waker},
    time::Duration,
};

use leveret::{
    Broker, Local,
    worker::{
        Before, Context, Middleware, Outcome, Settle, Wakeup, WakeupHandle, Worker, WorkerEnd,
    },
};

use crate::common::{HOUR, PATIENCE, rest};

/// Holds up the messages until it is open.
#[derive(Default)]
struct Gate {
    is_open: AtomicBool,
    asked: AtomicUsize,
    told: AtomicUsize,
    requeued: AtomicUsize,
}

/// Hands out the handle of each wait.
#[derive(Clone)]
struct Held(Arc<Gate>, mpsc::Sender<WakeupHandle>);

impl Middleware for Held {
    fn before(&self, _: &Context<'_>) -> Before {
        self.0.asked.fetch_add(1, SeqCst);
        if self.0.is_open.load(SeqCst) {
            return Before::Go;
        }
        let wakeup = Wakeup::new();
        self.1.send(wakeup.handle()).unwrap();
        Before::WaitFor(wakeup)
    }

    fn after(&self, _: &Context<'_>, outcome: &mut Outcome) {
        self.0.told.fetch_add(1, SeqCst);
        if outcome.settle != Settle::Ack {
            self.0.requeued.fetch_add(1, SeqCst);
        }
    }
}

fn held() -> (Held, Arc<Gate>, mpsc::Receiver<WakeupHandle>) {
    let (sender, handles) = mpsc::channel();
    let gate = Arc::new(Gate::default());
    (Held(Arc::clone(&gate), sender), gate, handles)
}

type Number = Local<u32>;

/// One worker for each kind of handler, each with a queue of its own.
fn kinds(broker: &Broker, held: &Held) -> Vec<(&'static str, Worker<Number>)> {
    let worker = |queue| broker.worker::<Number>(queue).middleware(held.clone());
    vec![
        ("called", worker("called").handler(|_, _| ())),
        (
            "limited",
            worker("limited").timeout(HOUR).handler(|_, _| ()),
        ),
        ("task", worker("task").handler_async(|_, _| async {})),
        ("owned", worker("owned").handler_owned(|_, _| ())),
    ]
}

#[test]
fn a_middleware_is_asked_again_when_the_message_is_woken() {
    let broker = Broker::new();
    let (held, gate, handles) = held();
    for (queue, worker) in kinds(&broker, &held) {
        let worker = worker.spawn().unwrap();
        broker
            .producer::<Number>(queue)
            .unwrap()
            .publish(Local(7))
            .unwrap();
        let first = handles.recv().unwrap();
        assert!(first.wake());
        assert!(!first.wake() && !first.pass() && !first.is_waiting());
        // It is closed still.
        let second = handles.recv().unwrap();
        gate.is_open.store(true, SeqCst);
        assert!(second.is_waiting() && second.wake());
        let counts = worker.stop_and_drain(PATIENCE).counts;
        assert_eq!((counts.handled, counts.acked), (1, 1), "{queue}");
        assert_eq!(gate.asked.swap(0, SeqCst), 3);
        assert_eq!(gate.told.swap(0, SeqCst), 1);
        gate.is_open.store(false, SeqCst);
    }
}

#[test]
fn a_message_that_passes_goes_on_to_the_next_middleware_without_another_question() {
    let broker = Broker::new();
    let (outer, outer_gate, outer_handles) = held();
    let (inner, inner_gate, inner_handles) = held();
    for (queue, worker) in [
        (
            "called",
            broker
                .worker::<u32>("called")
                .middleware(outer.clone())
                .middleware(inner.clone())
                .handler(|_, _| ()),
        ),
        (
            "task",
            broker
                .worker::<u32>("task")
                .middleware(outer)
                .middleware(inner)
                .handler_async(|_, _| async {}),
        ),
    ] {
        let worker = worker.spawn().unwrap();
        broker.producer(queue).unwrap().publish(7).unwrap();
        assert!(outer_handles.recv().unwrap().pass());
        assert!(inner_handles.recv().unwrap().pass());
        assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 1);
        for gate in [&outer_gate, &inner_gate] {
            assert_eq!(gate.asked.swap(0, SeqCst), 1);
            assert_eq!(gate.told.swap(0, SeqCst), 1);
        }
    }
}

#[test]
fn a_wake_up_before_the_wait_is_not_lost() {
    struct WokenAtOnce(AtomicUsize);

    impl Middleware for WokenAtOnce {
        fn before(&self, _: &Context<'_>) -> Before {
            let wakeup = Wakeup::new();
            let asked = self.0.fetch_add(1, SeqCst);
            let handle = wakeup.handle();
            assert!(match asked {
                0 => handle.wake(),
                _ => handle.pass(),
            });
            Before::WaitFor(wakeup)
        }
    }

    let broker = Broker::new();
    broker.producer("numbers").unwrap().publish(7).unwrap();
    let worker = broker.worker::<u32>("numbers");
    let worker = worker.middleware(WokenAtOnce(AtomicUsize::new(0)));
    let worker = worker.handler(|_, _| ()).spawn().unwrap();
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.acked, 1);
}

#[test]
fn a_stop_ends_the_wait_and_the_message_returns() {
    let broker = Broker::new();
    let (held, gate, handles) = held();
    for (queue, worker) in kinds(&broker, &held) {
        let worker = worker.spawn().unwrap();
        let producer = broker.producer::<Number>(queue).unwrap();
        producer.publish(Local(7)).unwrap();
        let handle = handles.recv().unwrap();
        worker.stop();
        let report = worker.join();
        assert_eq!(
            (report.end, report.counts.requeued),
            (WorkerEnd::Stopped, 1)
        );
        assert!(!handle.is_waiting() && !handle.wake() && !handle.pass());
        let left = broker.simple_queue::<Number>(queue).unwrap();
        assert_eq!(left.get().unwrap().ack_into().unwrap().0, 7);
    }
    assert_eq!(gate.told.load(SeqCst), 0, "it has let no message pass");
}

#[test]
fn a_deadline_of_a_drain_ends_the_wait() {
    let broker = Broker::new();
    let (held, _gate, handles) = held();
    let worker = broker.worker::<u32>("numbers").middleware(held);
    let worker = worker.handler(|_, _| ()).spawn().unwrap();
    broker.producer("numbers").unwrap().publish(7).unwrap();
    let handle = handles.recv().unwrap();
    let report = worker.stop_and_drain(Duration::ZERO);
    assert_eq!(report.end, WorkerEnd::TimedOut);
    let numbers = broker.simple_queue::<u32>("numbers").unwrap();
    let returned = numbers.get().unwrap();
    assert_eq!((*returned, returned.info().redelivered()), (7, true));
    returned.ack().unwrap();
    assert!(!handle.wake());
}

#[test]
fn a_task_that_is_dropped_returns_its_message_and_tells_those_that_let_it_pass() {
    for passes in [false, true] {
        let broker = Broker::new();
        let (held, gate, handles) = held();
        broker.producer("numbers").unwrap().publish(7).unwrap();
        let worker = broker.worker::<u32>("numbers").middleware(held);
        let worker = worker.handler_async(|_, _| async {});
        let mut running = Box::pin(worker.run_async());
        let mut context = task::Context::from_waker(Waker::noop());
        while gate.asked.load(SeqCst) == 0 {
            assert!(running.as_mut().poll(&mut context).is_pending());
        }
        let handle = handles.recv().unwrap();
        assert!(!passes || handle.pass());
        drop(running);
        assert!(!handle.wake());
        let told = usize::from(passes);
        assert_eq!(gate.told.load(SeqCst), told);
        assert_eq!(gate.requeued.load(SeqCst), told);
        assert_eq!(rest::<u32>(&broker, "numbers"), [(7, true)]);
    }
}

#[test]
fn a_wake_up_that_a_middleware_around_it_discards_waits_for_nothing() {
    struct Impatient(Held);

    impl Middleware for Impatient {
        fn before(&self, context: &Context<'_>) -> Before {
            match self.0.before(context) {
                Before::WaitFor(_) => Before::Settle(Settle::Reject),
                other => other,
            }
        }
    }

    let broker = Broker::new();
    let (held, _gate, handles) = held();
    let worker = broker.worker::<u32>("numbers").middleware(Impatient(held));
    let worker = worker.handler(|_, _| ()).spawn().unwrap();
    broker.producer("numbers").unwrap().publish(7).unwrap();
    assert_eq!(worker.stop_and_drain(PATIENCE).counts.rejected, 1);
    assert!(!handles.recv().unwrap().pass());
}
