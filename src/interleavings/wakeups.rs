//! Messages that wait for a wake-up, against the wake-up and the stop.

use super::*;
use crate::{
    patterns::worker::{Before, Context, Middleware, Outcome, Wakeup, WakeupHandle},
    runtime::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

/// Holds up the messages until it is open.
#[derive(Clone, Default)]
struct Gate(Arc<State>);

#[derive(Default)]
struct State {
    held: Mutex<(bool, Vec<WakeupHandle>)>,
    /// The messages that it has let pass, and of whose outcomes it was not told.
    inside: AtomicUsize,
}

impl Middleware for Gate {
    fn before(&self, _: &Context<'_>) -> Before {
        let mut held = self.0.held.lock();
        if held.0 {
            self.0.inside.fetch_add(1, SeqCst);
            return Before::Go;
        }
        let wakeup = Wakeup::new();
        held.1.push(wakeup.handle());
        Before::WaitFor(wakeup)
    }

    fn after(&self, _: &Context<'_>, _: &mut Outcome) {
        self.0.inside.fetch_sub(1, SeqCst);
    }
}

impl Gate {
    /// Has the messages asked again, or lets them pass.
    fn open(&self, passes: bool) {
        let held = {
            let mut held = self.0.held.lock();
            held.0 = true;
            std::mem::take(&mut held.1)
        };
        for handle in held {
            match passes {
                true if handle.pass() => {
                    self.0.inside.fetch_add(1, SeqCst);
                }
                true => {}
                false => {
                    handle.wake();
                }
            }
        }
    }
}

#[test]
fn no_wake_up_is_lost() {
    for passes in [false, true] {
        explore(move || {
            let broker = Broker::new();
            let gate = Gate::default();
            let worker = broker.worker::<u32>(&queue()).middleware(gate.clone());
            let worker = worker.handler(|_, _| ()).spawn().unwrap();
            let producer = broker.producer::<u32>(&queue()).unwrap();
            let opening = thread::spawn(move || gate.open(passes));
            producer.publish(7).unwrap();
            let report = worker.stop_and_drain(Duration::MAX);
            assert_eq!(report.counts.acked, 1);
            opening.join().unwrap();
        });
    }
}

#[test]
fn a_stop_against_a_wake_up_handles_the_message_or_returns_it() {
    for is_task in [false, true] {
        explore(move || {
            let broker = Broker::new();
            let gate = Gate::default();
            let worker = broker.worker::<u32>(&queue()).middleware(gate.clone());
            let worker = match is_task {
                false => worker.handler(|_, _| ()),
                true => worker.handler_async(|_, _| async {}),
            };
            let worker = worker.spawn().unwrap();
            let producer = broker.producer::<u32>(&queue()).unwrap();
            producer.publish(7).unwrap();
            let opening = thread::spawn({
                let gate = gate.clone();
                move || gate.open(true)
            });
            worker.stop();
            let counts = worker.join().counts;
            opening.join().unwrap();
            assert_eq!(counts.acked + rest(&broker, "q").len() as u64, 1);
            assert_eq!(gate.0.inside.load(SeqCst), 0);
        });
    }
}
