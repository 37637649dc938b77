//! The typed handles at their edges: each test is named as the sentence it proves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "typed/deliveries.rs"]
mod deliveries;
#[path = "typed/payloads.rs"]
mod payloads;
#[path = "typed/publishing.rs"]
mod publishing;
#[path = "typed/receiving.rs"]
mod receiving;
#[path = "typed/routing.rs"]
mod routing;

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use leveret::{Broker, Payload, Queue, TryRecvError};

fn queue() -> Queue {
    Queue::new("q")
}

/// What is ready, with the redelivered flags, in order; takes it away.
fn rest<T: Payload + Clone>(broker: &Broker, name: &str) -> Vec<(T, bool)> {
    let queue = broker.simple_queue::<T>(&Queue::existing(name)).unwrap();
    std::iter::from_fn(|| match queue.try_get() {
        Ok(delivery) => {
            let found = (T::clone(&delivery), delivery.info().redelivered());
            delivery.ack().unwrap();
            Some(found)
        }
        Err(TryRecvError::Empty) => None,
        Err(error) => panic!("{error}"),
    })
    .collect()
}

/// A waker that notes that it was woken, and unparks the thread that made it.
struct Alarm {
    rung: AtomicBool,
    thread: Thread,
}

impl Alarm {
    fn new() -> Arc<Alarm> {
        Arc::new(Alarm {
            rung: AtomicBool::new(false),
            thread: thread::current(),
        })
    }

    fn has_rung(&self) -> bool {
        self.rung.swap(false, SeqCst)
    }

    fn poll<F: Future>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(self));
        future.poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, SeqCst);
        self.thread.unpark();
    }
}

/// All that running a future takes.
fn block_on<F: Future>(future: F) -> F::Output {
    let alarm = Alarm::new();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = alarm.poll(future.as_mut()) {
            return output;
        }
        while !alarm.has_rung() {
            thread::park();
        }
    }
}
