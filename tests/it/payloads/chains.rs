//! Payloads that hold handles, whose messages hold handles again. A drop of the first is a list of
//! drops, not a recursion.

use std::{any::Any, sync::mpsc, thread};

use leveret::{Broker, Delivery, Exchange, Local, Overflow, Queue};
use serde::{Deserialize, Serialize};

type Link = Local<Box<dyn Any + Send>>;

/// More links than a recursion could have on the stack of [`on_a_small_stack`].
const LINKS: usize = 4_000;

fn on_a_small_stack(code: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(128 << 10);
    thread.spawn(code).unwrap().join().unwrap();
}

fn link<T: Send + 'static>(value: T) -> Link {
    Local(Box::new(value))
}

/// A chain: each queue is deleted with its consumer, and has a message that holds the next
/// consumer.
fn chain_of_consumers(broker: &Broker) -> Link {
    (0..LINKS).fold(link(()), |next, _| {
        let queue = broker.declare(&Queue::temporary()).unwrap();
        broker.producer(&queue).unwrap().publish(next).unwrap();
        link(broker.consumer::<Link>(&queue).unwrap())
    })
}

#[test]
fn a_chain_of_consumers_in_messages_needs_no_stack() {
    let broker = Broker::new();
    let chain = chain_of_consumers(&broker);
    on_a_small_stack(move || drop(chain));
    assert!(broker.snapshot().unwrap().vhosts[0].queues.is_empty());
}

#[test]
fn a_chain_of_consumers_goes_with_its_first_queue() {
    let broker = Broker::new();
    let queue = broker.declare(&Queue::new("q")).unwrap();
    let chain = chain_of_consumers(&broker);
    broker.producer(&queue).unwrap().publish(chain).unwrap();
    let other = broker.clone();
    on_a_small_stack(move || {
        other.purge(Queue::new("q")).unwrap();
    });
    assert_eq!(broker.snapshot().unwrap().vhosts[0].queues.len(), 1);
}

#[test]
fn a_chain_of_brokers_in_messages_needs_no_stack() {
    let chain = (0..LINKS).fold(link(()), |next, _| {
        let broker = Broker::new();
        broker.producer("q").unwrap().publish(next).unwrap();
        link(broker)
    });
    on_a_small_stack(move || drop(chain));
}

#[test]
fn a_chain_of_deliveries_in_deliveries_needs_no_stack() {
    let broker = Broker::new();
    let producer = broker.producer::<Link>("q").unwrap();
    let consumer = broker.consumer_builder::<Link>("q").auto_ack().build();
    let consumer = consumer.unwrap();
    let deliver = |payload: Link| -> Delivery<Link> {
        producer.publish(payload).unwrap();
        consumer.recv().unwrap()
    };
    let chain = (0..LINKS).fold(link(()), |next, _| link(deliver(next)));
    on_a_small_stack(move || drop(chain));
}

#[test]
fn a_chain_of_channels_in_messages_needs_no_stack() {
    let broker = Broker::new();
    let chain = (0..LINKS).fold(link(()), |next, _| {
        let connection = crate::common::connect(&broker).unwrap();
        let queue = connection.declare(&Queue::exclusive()).unwrap();
        connection.producer(&queue).unwrap().publish(next).unwrap();
        link(connection)
    });
    on_a_small_stack(move || drop(chain));
    assert!(broker.snapshot().unwrap().vhosts[0].queues.is_empty());
}

/// A payload whose drop uses the broker.
struct Last(Option<Box<dyn FnOnce() + Send>>);

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(last) = self.0.take() {
            last();
        }
    }
}

#[test]
fn a_payload_may_publish_and_receive_in_its_drop() {
    /// Its drop is code of its own.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Noted(u32);
    impl Drop for Noted {
        fn drop(&mut self) {
            self.0 = 0;
        }
    }
    let broker = Broker::new();
    let exchange = Exchange::fanout("x");
    for name in ["a", "b"] {
        let small = Queue::new(name)
            .max_length(1)
            .overflow(Overflow::RejectPublish);
        broker.declare(&small.bind(&exchange, "")).unwrap();
    }
    let (done, finished) = mpsc::channel();
    let other = broker.clone();
    let last = Last(Some(Box::new(move || {
        let producer = other.producer::<Noted>(&exchange).unwrap();
        assert_eq!(producer.publish(Noted(1)).unwrap().routed, 2);
        // Both queues refuse a copy, and the payload comes back whole.
        assert_eq!(
            producer.publish(Noted(2)).unwrap_err().into_inner(),
            Some(Noted(2))
        );
        let [a, b] = ["a", "b"].map(|name| other.simple_queue::<Noted>(name).unwrap());
        a.get().unwrap().ack().unwrap();
        let whole = b.get().unwrap().ack_into();
        done.send(whole == Ok(Noted(1))).unwrap();
    })));
    let payloads = broker.simple_queue::<Local<Last>>("payloads").unwrap();
    payloads.put(Local(last)).ok().unwrap();
    payloads.get().unwrap().ack().unwrap();
    assert_eq!(finished.try_recv(), Ok(true));
}
