//! The end of connections and virtual hosts.

use std::thread;

use leveret::{
    Broker, CancelReason, Credentials, Error, Overflow, Queue, RecvError, Result, Scope,
};

use crate::common::{channel_of, connect};

#[test]
fn the_implicit_connection_is_not_closed_by_one_of_its_users() -> Result {
    let broker = Broker::new();
    let refused = broker.vhost("/")?.close().unwrap_err();
    assert_eq!(refused.reply_code(), Some(530));
    broker.declare(&Queue::new("q"))?;
    Ok(())
}

#[test]
fn users_of_a_deleted_virtual_host_get_an_error() -> Result {
    let broker = Broker::new();
    broker.create_vhost("v")?;
    let connection = broker.connect("v", Credentials::guest())?;
    let channel = connection.open_channel()?;
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = connection.producer::<u32>(&queue)?;
    let mailbox = connection.simple_queue::<u32>(&Queue::new("empty"))?;
    producer.publish(0)?;
    let (publishing, getting) = thread::scope(|scope| {
        let publishing = scope.spawn(|| producer.publish(1));
        let getting = scope.spawn(|| mailbox.get().map(drop));
        broker.delete_vhost("v").unwrap();
        (publishing.join().unwrap(), getting.join().unwrap())
    });
    let deleted = Error::VhostDeleted {
        vhost: "v".parse()?,
    };
    assert_eq!(
        deleted.to_string(),
        "CONNECTION_FORCED - vhost 'v' is deleted"
    );
    assert_eq!(
        (deleted.reply_code(), deleted.scope()),
        (Some(320), Scope::Connection)
    );
    assert!(deleted.is_closed());
    assert_eq!(
        publishing.unwrap_err().into_parts(),
        (deleted.clone(), Some(1))
    );
    let reason = CancelReason::VhostDeleted;
    assert!(matches!(getting, Err(RecvError::Cancelled(told)) if told == reason));
    assert!(matches!(channel.events().recv(), Err(RecvError::Cancelled(told)) if told == reason));
    assert_eq!(channel.close(), Err(deleted.clone()));
    assert_eq!(connection.open_channel().unwrap_err(), deleted);
    // The broker and its other virtual hosts continue, and a new virtual host may have the name.
    broker.create_vhost("v")?;
    assert_eq!(
        broker
            .vhost("v")?
            .producer::<u32>(&queue)?
            .publish(1)?
            .routed,
        1
    );
    Ok(())
}

#[test]
fn a_returning_connection_leaves_no_exclusive_queue_behind() {
    let broker = Broker::new();
    for _ in 0..200 {
        let connection = connect(&broker).unwrap();
        let other = connection.clone();
        let declaring =
            thread::spawn(move || other.declare(&Queue::new("mine").exclusive_flag()).ok());
        let _ = connection.close();
        declaring.join().unwrap();
        let channel = channel_of(&broker).unwrap();
        let error = channel.queue_declare_passive("mine").unwrap_err();
        assert!(error.is_not_found(), "{error}");
    }
}
