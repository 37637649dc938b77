//! Publishers that wait for room, against the events that make room or end the wait.

use super::*;
use crate::{
    handles::producer::Producer,
    model::{descriptions::Overflow, error::Error},
    session::connection::Connection,
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
            assert_eq!(refused.into_parts(), (error.clone(), id));
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
        assert_eq!(taken + mailbox.len(), 2 + usize::from(left_in));
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
