//! The shutdown of a broker that is the client of an engine outside of this process.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use super::{SECOND, fake::Fake};
use crate::{
    handles::{
        broker::{Broker, Credentials},
        consumer::Consumer,
    },
    model::{
        descriptions::Queue,
        error::{Error, Result},
        name::Name,
    },
    session::{
        backend::{Connected, Engine},
        broker_core::BrokerCore,
        delivery::Delivery,
        delivery_info::DeliveryInfo,
        requeue::Requeue,
    },
};

/// An engine with one connection.
struct FakeEngine(Arc<Fake>, Name);

impl Engine for FakeEngine {
    fn vhost(&self) -> &Name {
        &self.1
    }

    fn connect(&self, _: &str, _: Option<&Credentials>) -> Result<Connected> {
        Ok(Connected {
            backend: Arc::clone(&self.0) as _,
            user: Name::new("guest")?,
        })
    }
}

/// A broker that is a client of an engine.
fn client_of(fake: &Arc<Fake>) -> Broker {
    let engine = FakeEngine(Arc::clone(fake), Name::new("/").unwrap());
    Broker::start(BrokerCore::start_remote(Arc::new(engine)).unwrap())
}

#[test]
fn a_shutdown_waits_until_the_engine_has_each_settlement() {
    for settle in [Delivery::<u32>::ack, Delivery::<u32>::reject] {
        let server = Broker::new();
        let fake = Fake::connect(&server);
        let client = client_of(&fake);
        let consumer = client.consumer::<u32>("q").unwrap();
        server.producer::<u32>("q").unwrap().publish(1).unwrap();
        let delivery = consumer.recv_timeout(SECOND).unwrap();
        let (begin, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        fake.before_settle(move || {
            begin.send(()).unwrap();
            // The shutdown has the time to end too early.
            let is_over = ended.recv_timeout(Duration::from_millis(50));
            assert_eq!(is_over, Err(mpsc::RecvTimeoutError::Timeout));
        });
        let settling = thread::spawn(move || settle(delivery));
        begun.recv().unwrap();
        assert!(!client.shutdown(SECOND).unwrap().timed_out);
        // Late, or not at all.
        let _ = end.send(());
        assert_eq!(settling.join().unwrap(), Ok(()));
        drop((consumer, client));
        assert_eq!(server.purge("q").unwrap(), 0);
    }
}

/// A client of `server` with a consumer of the queue `q`, and with a delivery of it. The client
/// publishes its dead letter itself, to the queue `dead`.
fn with_a_dead_letter(server: &Broker) -> (Arc<Fake>, Broker, Consumer<u32>, DeliveryInfo) {
    let fake = Fake::connect(server);
    let client = client_of(&fake);
    client.declare(&Queue::new("dead")).unwrap();
    fake.bury_in("dead");
    let consumer = client.consumer::<u32>("q").unwrap();
    server.producer::<u32>("q").unwrap().publish(1).unwrap();
    let mut info = consumer.recv_timeout(SECOND).unwrap().into_info();
    info.add_header("x-why", "a test");
    (fake, client, consumer, info)
}

#[test]
fn a_shutdown_waits_for_a_dead_letter_that_this_program_publishes() {
    let server = Broker::new();
    let (fake, client, _consumer, mut info) = with_a_dead_letter(&server);
    let held = fake.hold();
    info.nack(Requeue::No).unwrap();
    let (end, ended) = mpsc::channel();
    let ending = thread::spawn(move || {
        let report = client.shutdown(SECOND).unwrap();
        end.send(()).unwrap();
        report.timed_out
    });
    // The shutdown has the time to end too early.
    let is_over = ended.recv_timeout(Duration::from_millis(50));
    assert_eq!(is_over, Err(mpsc::RecvTimeoutError::Timeout));
    drop(held);
    assert!(!ending.join().unwrap());
    assert_eq!(server.purge("q").unwrap(), 0);
    assert_eq!(server.purge("dead").unwrap(), 1);
}

#[test]
fn a_shutdown_waits_for_no_dead_letter_of_a_lost_connection() {
    let server = Broker::new();
    let (fake, client, _consumer, mut info) = with_a_dead_letter(&server);
    fake.lose();
    assert_eq!(info.nack(Requeue::No), Err(Error::ConnectionClosed));
    assert!(!client.shutdown(SECOND).unwrap().timed_out);
    assert_eq!(server.purge("q").unwrap(), 1);
    assert_eq!(server.purge("dead").unwrap(), 0);
}
