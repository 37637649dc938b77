//! Publishers that wait for room, against the events that make room or end the wait.

use super::*;
use crate::{
    handles::producer::Producer,
    model::{
        descriptions::{Exchange, Overflow},
        error::Error,
    },
    session::{channel::Event, connection::Connection},
};

fn full(broker: &Broker) -> Queue {
    let queue = queue().max_length(1).overflow(Overflow::Block);
    broker.producer::<u32>(&queue).unwrap().publish(0).unwrap();
    queue
}

fn connect(broker: &Broker) -> Connection {
    broker.connect("/", Credentials::guest()).unwrap()
}

/// Publishes on another thread. The thread returns whether the message got in. If not, the publish
/// must have failed with `error`.
fn publish(producer: Producer<u32>, id: u32, error: Error) -> JoinHandle<bool> {
    thread::spawn(move || match producer.publish(id) {
        Ok(published) => published.routed == 1,
        Err(refused) => {
            assert_eq!(refused.into_parts(), (error.clone(), Some(id)));
            false
        }
    })
}

#[test]
fn room_and_the_end_of_the_connection_let_a_publisher_in_or_send_it_away() {
    explore(|| {
        let broker = Broker::new();
        let queue = full(&broker);
        let connection = connect(&broker);
        let publishing = publish(
            connection.producer(&queue).unwrap(),
            1,
            Error::ConnectionClosed,
        );
        let closing = thread::spawn(move || connection.close().unwrap());
        let purged = broker.purge(&queue).unwrap();
        let got_in = publishing.join().unwrap();
        closing.join().unwrap();
        let rest = rest(&broker, "q").len() as u64;
        assert_eq!(purged + rest, 1 + u64::from(got_in));
    });
}

#[test]
fn a_publisher_that_goes_with_its_connection_leaves_the_room_to_the_next() {
    explore(|| {
        let broker = Broker::new();
        let queue = full(&broker);
        let connection = connect(&broker);
        let leaving = publish(
            connection.producer(&queue).unwrap(),
            1,
            Error::ConnectionClosed,
        );
        let staying = publish(broker.producer(&queue).unwrap(), 2, Error::ShutDown);
        let closing = thread::spawn(move || connection.close().unwrap());
        let mut taken = 0;
        // The loop takes messages until the staying publisher has got in, so it never waits in
        // vain.
        let mailbox = broker.simple_queue::<u32>(&queue).unwrap();
        loop {
            let delivery = mailbox.get().unwrap();
            let id = *delivery;
            delivery.ack().unwrap();
            taken += 1;
            if id == 2 {
                break;
            }
        }
        assert!(staying.join().unwrap());
        closing.join().unwrap();
        let left_in = leaving.join().unwrap();
        assert_eq!(taken + mailbox.len().unwrap(), 2 + usize::from(left_in));
    });
}

#[test]
fn a_shutdown_lets_no_publisher_wait() {
    explore(|| {
        let broker = Broker::new();
        let queue = full(&broker);
        let publishing = publish(broker.producer(&queue).unwrap(), 1, Error::ShutDown);
        let mailbox = broker.simple_queue::<u32>(&queue).unwrap();
        let held = mailbox.get().unwrap();
        broker.producer::<u32>(&queue).unwrap().try_publish(2).ok();
        let settling = thread::spawn(move || {
            // The message is settled only after the publisher has returned, and the shutdown waits
            // for the settlement.
            publishing.join().unwrap();
            held.ack().ok();
        });
        broker.shutdown(std::time::Duration::MAX).unwrap();
        settling.join().unwrap();
    });
}

#[test]
fn two_publishers_and_a_consumer_at_the_bound_never_exceed_it() {
    explore(|| {
        let broker = Broker::new();
        let queue = full(&broker);
        let publishing = [1, 2].map(|id| {
            let producer = broker.producer(&queue).unwrap();
            publish(producer, id, Error::ShutDown)
        });
        let mailbox = broker.simple_queue::<u32>(&queue).unwrap();
        let mut taken = Vec::new();
        for _ in 0..3 {
            let delivery = mailbox.get().unwrap();
            taken.push(*delivery);
            assert!(mailbox.len().unwrap() <= 1);
            delivery.ack().unwrap();
        }
        assert!(join(publishing).into_iter().all(|got_in| got_in));
        assert_eq!((taken[0], sorted(taken)), (0, vec![0, 1, 2]));
    });
}

#[test]
fn a_future_that_is_dropped_as_it_is_woken_gives_its_place_to_the_next() {
    explore(|| {
        let broker = Broker::new();
        let queue = full(&broker);
        let dropping = broker.producer::<u32>(&queue).unwrap();
        let mut dropped = Box::pin(dropping.publish_async(1));
        let waker = Waker::from(Flag::new());
        let mut context = Context::from_waker(&waker);
        assert!(dropped.as_mut().poll(&mut context).is_pending());
        // It stands behind the dropped one.
        let waiting = publish(broker.producer(&queue).unwrap(), 2, Error::ShutDown);
        let mailbox = broker.simple_queue::<u32>(&queue).unwrap();
        let taking = thread::spawn(move || {
            mailbox.get().unwrap().ack().unwrap();
            mailbox
        });
        drop(dropped);
        assert!(waiting.join().unwrap());
        let mailbox = taking.join().unwrap();
        assert_eq!((mailbox.len().unwrap(), *mailbox.get().unwrap()), (1, 2));
    });
}

#[test]
fn a_message_that_comes_back_and_a_publisher_share_one_place() {
    explore(|| {
        let broker = Broker::new();
        let queue = full(&broker);
        let publishing = publish(broker.producer(&queue).unwrap(), 1, Error::ShutDown);
        let mailbox = broker.simple_queue::<u32>(&queue).unwrap();
        drop(mailbox.get().unwrap());
        let mut taken = Vec::new();
        for _ in 0..2 {
            let delivery = mailbox.get().unwrap();
            taken.push(*delivery);
            delivery.ack().unwrap();
        }
        assert!(publishing.join().unwrap());
        assert_eq!((sorted(taken), mailbox.len().unwrap()), (vec![0, 1], 0));
    });
}

#[test]
fn a_publish_to_two_full_queues_ends_when_both_have_had_room() {
    explore(|| {
        let broker = Broker::new();
        let exchange = Exchange::fanout("x");
        let queues = ["a", "b"].map(|name| {
            let queue = Queue::new(name).max_length(1).overflow(Overflow::Block);
            let queue = broker.declare(&queue.bind(&exchange, "")).unwrap();
            broker.producer::<u32>(&queue).unwrap().publish(0).unwrap();
            queue
        });
        let publishers = [1, 2].map(|id| {
            let producer = broker.producer::<u32>(&exchange).unwrap();
            thread::spawn(move || producer.publish(id).unwrap().routed)
        });
        let takers = queues.map(|queue| {
            let mailbox = broker.simple_queue::<u32>(&queue).unwrap();
            thread::spawn(move || {
                let take = || {
                    let delivery = mailbox.get().unwrap();
                    let id = *delivery;
                    delivery.ack().unwrap();
                    id
                };
                sorted((0..3).map(|_| take()).collect())
            })
        });
        assert_eq!(join(publishers), [2, 2]);
        assert_eq!(join(takers), [[0, 1, 2], [0, 1, 2]]);
    });
}

#[test]
fn a_deleted_queue_and_a_publish_to_two_queues_leave_the_message_in_the_other() {
    explore(|| {
        let broker = Broker::new();
        let exchange = Exchange::fanout("x");
        broker
            .declare(&Queue::new("fast").bind(&exchange, ""))
            .unwrap();
        let queue = full(&broker).bind(&exchange, "");
        broker.declare(&queue).unwrap();
        let producer = broker.producer::<u32>(&exchange).unwrap();
        let publishing = thread::spawn(move || producer.publish(1).unwrap());
        broker.delete(&queue).unwrap();
        let published = publishing.join().unwrap();
        assert_eq!((published.routed, published.refused), (1, 0));
        assert_eq!(ids(&rest(&broker, "fast")), [1]);
    });
}

#[test]
fn a_connection_whose_publishes_wait_is_told_so_and_told_the_end() {
    explore(|| {
        let broker = Broker::new();
        let queue = full(&broker);
        let connection = connect(&broker);
        let publishing = [1, 2].map(|id| {
            let producer = connection.producer(&queue).unwrap();
            publish(producer, id, Error::ConnectionClosed)
        });
        let events = connection.events();
        let reading = thread::spawn(move || {
            let mut read = Vec::new();
            for _ in 0..2 {
                events.drain_into(&mut read, 1);
            }
            read
        });
        let queue = broker.simple_queue::<u32>(&queue).unwrap();
        let get = |_| {
            let delivery = queue.get().unwrap();
            let id = *delivery;
            delivery.ack().unwrap();
            id
        };
        let mut got: Vec<u32> = (0..3).map(get).collect();
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2]);
        assert_eq!(join(publishing), [true, true]);
        let mut read = reading.join().unwrap();
        connection.events().drain_into(&mut read, usize::MAX);
        // They take turns, and the last one is the end of the wait.
        let is_blocked = |(_, event): &(u16, Event)| matches!(event, Event::Blocked { .. });
        let states: Vec<bool> = read.iter().map(is_blocked).collect();
        assert!(states.len() % 2 == 0, "{read:?}");
        assert!(
            states.chunks(2).all(|pair| pair == [true, false]),
            "{read:?}"
        );
    });
}
