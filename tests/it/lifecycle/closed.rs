//! Waiting for the end of a connection.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use leveret::{Broker, CancelReason, Connection, Credentials, Permissions, Result, User};

#[test]
fn every_end_of_a_connection_wakes_who_waits_for_it_with_its_reason() -> Result {
    type End = fn(Broker, Connection);
    let ends: [(CancelReason, End); 6] = [
        (CancelReason::ConnectionClosed, |_, it| it.close().unwrap()),
        (CancelReason::ConnectionClosed, |_, it| drop(it)),
        (CancelReason::VhostDeleted, |broker, _it| {
            broker.delete_vhost("test").unwrap()
        }),
        (CancelReason::UserDeleted, |broker, _it| {
            broker.delete_user("ada").unwrap()
        }),
        (CancelReason::ShutDown, |broker, _it| {
            drop(broker.shutdown(Duration::ZERO).unwrap());
        }),
        (CancelReason::BrokerDropped, |broker, it| {
            drop(broker);
            assert!(!it.is_open());
        }),
    ];
    for (reason, end) in ends {
        let broker = Broker::new();
        broker.create_vhost("test")?;
        broker.add_user(User::new("ada").password("ada"))?;
        broker.set_permissions("test", "ada", &Permissions::all())?;
        let connection = broker.connect("test", Credentials::new("ada", "ada"))?;
        assert!(connection.is_open());
        assert_eq!(connection.close_reason(), None);
        let mut closed = pin!(connection.closed());
        let late = connection.closed();
        let mut context = Context::from_waker(Waker::noop());
        assert!(closed.as_mut().poll(&mut context).is_pending());
        let events = connection.events();
        let reading = thread::spawn(move || events.recv().map(drop));
        end(broker, connection);
        assert_eq!(closed.poll(&mut context), Poll::Ready(reason));
        assert_eq!(pin!(late).poll(&mut context), Poll::Ready(reason));
        match reading.join().unwrap() {
            Err(leveret::RecvError::Cancelled(seen)) => assert_eq!(seen, reason),
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

#[test]
fn a_thread_that_waits_for_a_close_is_woken_and_learns_the_first_reason() -> Result {
    let broker = Broker::new();
    let connection = broker.connect("/", Credentials::guest())?;
    let waiting = thread::spawn({
        let connection = connection.clone();
        move || connection.wait_closed()
    });
    assert_eq!(connection.wait_closed_timeout(Duration::ZERO), None);
    connection.close()?;
    assert_eq!(waiting.join().unwrap(), CancelReason::ConnectionClosed);
    drop(broker);
    assert_eq!(connection.wait_closed(), CancelReason::ConnectionClosed);
    let at_once = connection.wait_closed_timeout(Duration::ZERO);
    assert_eq!(at_once, Some(CancelReason::ConnectionClosed));
    Ok(())
}
