//! Messages that are moved while the disk fails.

#[cfg(feature = "testing")]
use std::sync::{Arc, Mutex};

use super::*;
use crate::management::selection::Selection;
#[cfg(feature = "testing")]
use crate::session::publisher::{Attempt, Course, Tap};

const BOTH: [&str; 2] = ["from", "to"];

/// A broker on this disk, with the messages 0 to 2 in the durable queue `from`.
fn filled(disk: &FakeDisk) -> Broker {
    let broker = open(disk).unwrap();
    fill(&broker);
    broker
}

fn fill(broker: &Broker) {
    let [from, to] = BOTH.map(|name| Queue::new(name).durable());
    broker.declare(&to).unwrap();
    let producer = broker.producer::<Order>(&from).unwrap();
    for number in 0..3 {
        let message = Message::new(Order(number)).persistent();
        producer.publish_message(message).unwrap();
    }
}

/// How many messages are in each queue.
fn ready(broker: &Broker) -> [u64; 2] {
    let snapshot = broker.snapshot().unwrap();
    BOTH.map(|name| {
        let queue = snapshot.queue(name).unwrap();
        assert_eq!(queue.accounted_for(), queue.taken_in);
        queue.messages()
    })
}

// The push put the message into the other queue, and the wait for the disk failed. The move took
// the failure for a refusal and returned the message to its own queue, so that both had it.
#[test]
fn a_move_whose_sync_fails_leaves_the_message_in_one_queue_of_the_broker_that_goes_on() {
    type Move = fn(&Broker) -> Result;
    let moves: [Move; 2] = [
        |broker| {
            let moved = broker.move_messages("from", "to", Selection::all());
            moved.map(drop)
        },
        |broker| {
            let first = broker.peek("from", 1)?[0].id().expect("it is ready");
            broker.move_message("from", first, "to").map(drop)
        },
    ];
    for each in moves {
        let disk = FakeDisk::new(u64::MAX);
        let broker = filled(&disk);
        disk.fail();
        let failed = each(&broker);
        assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
        assert_eq!(ready(&broker), [2, 1]);
        // Now the store is known to fail, and nothing is moved at all.
        let failed = each(&broker);
        assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
        assert_eq!(ready(&broker), [2, 1]);
        drop(broker);
        let broker = open(&disk.after_power_loss(|_| 0)).unwrap();
        assert_eq!(ready(&broker), [3, 0], "the disk never had the move");
    }
}

// The publish of a tapped connection waits for the disk by itself. Its failure was taken for a
// refusal, so that both queues had the message.
#[cfg(feature = "testing")]
#[test]
fn a_move_that_a_tap_sees_leaves_the_message_in_one_queue_too() {
    let disk = FakeDisk::new(u64::MAX);
    let ends = Arc::new(Ends::default());
    let core = open_core(&disk).unwrap();
    let broker = Broker::start(core.tapped(Arc::clone(&ends) as Arc<dyn Tap>));
    fill(&broker);
    let connection = broker.connect("/", Credentials::guest()).unwrap();
    let moved = connection.move_messages("from", "to", Selection::first(1));
    assert_eq!(moved.unwrap().moved, 1);
    disk.fail();
    let failed = connection.move_messages("from", "to", Selection::all());
    assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
    assert_eq!(ready(&broker), [1, 2]);
    let ends = ends.0.lock().unwrap();
    assert!(matches!(**ends, [Ok(_), Err(Error::Store(_))]), "{ends:?}");
}

/// How the publishes that a tap has seen have ended.
#[cfg(feature = "testing")]
#[derive(Default)]
struct Ends(Mutex<Vec<Result<Published>>>);

#[cfg(feature = "testing")]
impl Tap for Ends {
    fn begin(&self, _: Attempt<'_>) -> Course {
        Course::default()
    }

    fn end(&self, _: u64, outcome: Result<Published>) {
        self.0.lock().unwrap().push(outcome);
    }

    fn fail(&self, _: Attempt<'_>, error: Error) {
        self.0.lock().unwrap().push(Err(error));
    }
}
