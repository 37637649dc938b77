//! The time of single messages: from publish to receive, and from a request to its reply. The two
//! threads are pinned to two cores.
//!
//! In the *hot* rows the next message follows at once, so both threads are awake. In the *idle*
//! rows both threads have slept before each message. Most of that time is the system's time to wake
//! a core.
//!
//! The pinning prevents a third case, in which both threads run on one core.

use std::{
    hint,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use core_affinity::CoreId;
use crossbeam_channel::unbounded;
use leveret::{Broker, Consumer, Exchange, Message, Producer, Queue};
use serde::{Deserialize, Serialize};

use super::{
    cores::{self, pinned},
    group::Group,
    options::Options,
};

/// The pause of both threads before each message of the idle rows. It is long enough for their
/// spinning to end and for their cores to sleep.
const REST: Duration = Duration::from_millis(2);

/// The message type.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Stamp {
    id: u64,
    /// Nanoseconds since the start of the run.
    at: u64,
}

/// One run: a number of messages, with a pause before each.
#[derive(Clone, Copy)]
pub struct Run {
    pub messages: u64,
    pub rest: Option<Duration>,
}

impl Run {
    /// The ids of the messages. Each comes after the pause.
    fn ids(self) -> impl Iterator<Item = u64> {
        (1..=self.messages).inspect(move |_| {
            if let Some(rest) = self.rest {
                thread::sleep(rest);
            }
        })
    }
}

pub fn groups(options: &Options) -> Vec<Group> {
    // The run pins its two threads to two cores, so it needs them.
    let Some(cores) = cores::two() else {
        println!("no latency rows: they need two cores, and threads that can be pinned");
        return Vec::new();
    };
    let regimes = [
        ("hot", options.size(200, 20_000), None, 1.5),
        ("idle", options.size(5, 100), Some(REST), 1.15),
    ];
    let mut groups = Vec::new();
    for (regime, messages, rest, goal) in regimes {
        let run = Run { messages, rest };
        groups.push(
            Group::latency(format!("one-way-{regime}"))
                .times("raw", None, move || raw_one_way(run, cores))
                .times("leveret", Some(goal), move || one_way(run, cores)),
        );
        groups.push(
            Group::latency(format!("rpc-{regime}"))
                .times("raw", None, move || raw_call(run, cores))
                .times("leveret", Some(goal), move || call(run, cores)),
        );
    }
    groups
}

/// Sends each message after the one before has arrived, so no message waits in a queue.
fn send_stamps(run: Run, began: Instant, arrived: &AtomicU64, send: impl Fn(Stamp)) {
    for id in run.ids() {
        while arrived.load(SeqCst) < id - 1 {
            hint::spin_loop();
        }
        let at = began.elapsed().as_nanos() as u64;
        send(Stamp { id, at });
    }
}

/// Receives all messages. Returns the time of each.
fn receive_stamps(
    run: Run,
    began: Instant,
    arrived: &AtomicU64,
    mut receive: impl FnMut(&mut dyn FnMut(Stamp)),
) -> Vec<Duration> {
    let mut times = Vec::with_capacity(run.messages as usize);
    for id in 1..=run.messages {
        receive(&mut |stamp| {
            let now = began.elapsed().as_nanos() as u64;
            assert_eq!(stamp.id, id);
            times.push(Duration::from_nanos(now.saturating_sub(stamp.at)));
        });
        arrived.store(id, SeqCst);
    }
    times
}

fn raw_one_way(run: Run, cores: [CoreId; 2]) -> Vec<Duration> {
    let (sender, receiver) = unbounded::<Stamp>();
    let arrived = Arc::new(AtomicU64::new(0));
    let (seen, began) = (Arc::clone(&arrived), Instant::now());
    let send = move || {
        send_stamps(run, began, &seen, |stamp| {
            sender.send(stamp).expect("the receiver is there");
        });
    };
    pinned(cores, send, move || {
        receive_stamps(run, began, &arrived, |got| {
            got(receiver.recv().expect("the sender is there"));
        })
    })
}

/// Through an exchange and a queue, received and then acknowledged.
fn one_way(run: Run, cores: [CoreId; 2]) -> Vec<Duration> {
    let broker = Broker::new();
    let (producer, consumer) = hop::<Stamp>(&broker, "one-way");
    let arrived = Arc::new(AtomicU64::new(0));
    let (seen, began) = (Arc::clone(&arrived), Instant::now());
    let send = move || {
        send_stamps(run, began, &seen, |stamp| {
            let published = producer.publish(stamp).expect("the broker is there");
            assert_eq!(published.routed, 1);
        });
    };
    pinned(cores, send, move || {
        receive_stamps(run, began, &arrived, |got| {
            let delivery = consumer.recv().expect("the broker is there");
            got(*delivery);
            delivery.ack().expect("the broker is there");
        })
    })
}

pub fn raw_call(run: Run, cores: [CoreId; 2]) -> Vec<Duration> {
    let (request, requests) = unbounded::<u64>();
    let (reply, replies) = unbounded::<u64>();
    let serve = move || {
        for id in requests {
            reply.send(id).expect("the caller is there");
        }
    };
    pinned(cores, serve, move || {
        let mut times = Vec::with_capacity(run.messages as usize);
        for id in run.ids() {
            let began = Instant::now();
            request.send(id).expect("the server is there");
            let reply = replies.recv().expect("the server is there");
            times.push(began.elapsed());
            assert_eq!(reply, id);
        }
        times
    })
}

/// A request through an exchange and a queue, and its reply through another exchange and queue.
/// Both have a correlation id and are acknowledged.
pub fn call(run: Run, cores: [CoreId; 2]) -> Vec<Duration> {
    let broker = Broker::new();
    let (request, requests) = hop::<u64>(&broker, "requests");
    let (reply, replies) = hop::<u64>(&broker, "replies");
    let serve = move || {
        for _ in 0..run.messages {
            let delivery = requests.recv().expect("the broker is there");
            let correlation = delivery
                .info()
                .properties()
                .correlation_id
                .clone()
                .expect("a request has one");
            let message = Message::new(*delivery).correlation_id(correlation);
            reply.publish_message(message).expect("the broker is there");
            delivery.ack().expect("the broker is there");
        }
    };
    pinned(cores, serve, move || {
        let mut times = Vec::with_capacity(run.messages as usize);
        for id in run.ids() {
            let began = Instant::now();
            let correlation = id.to_string();
            let message = Message::new(id).correlation_id(correlation.as_str());
            request
                .publish_message(message)
                .expect("the broker is there");
            let delivery = replies.recv().expect("the broker is there");
            let matches = delivery.info().properties().correlation_id.as_deref()
                == Some(correlation.as_str());
            assert!(matches && *delivery == id);
            delivery.ack().expect("the broker is there");
            times.push(began.elapsed());
        }
        times
    })
}

/// A direct exchange and a queue with this name, with a producer and a consumer.
fn hop<T: leveret::Payload>(broker: &Broker, name: &str) -> (Producer<T>, Consumer<T>) {
    let exchange = Exchange::direct(name);
    let queue = Queue::new(name).bind(&exchange, name);
    let consumer = broker.consumer(&queue).expect("the queue is free");
    let producer = broker
        .producer_builder(&exchange)
        .routing_key(name)
        .build()
        .expect("the exchange is there");
    (producer, consumer)
}
