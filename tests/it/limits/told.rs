//! A connection is told when its publishes wait for room. One that knows no waiting is refused the
//! queues that make it wait.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Waker},
};

use leveret::{
    ApplyTo, Broker, Budget, Connection, ConnectionOptions, Credentials, Overflow, Policy,
    Properties, Queue, Result, TryRecvError,
    channel::{AckMode, BlockedReason, ChannelOptions, Event, Events, PublishOptions},
};

use crate::common::connect;

/// What the connection is told: the reason that it waits for, or that it waits no more.
fn told(events: &Events<(u16, Event)>) -> Option<Option<BlockedReason>> {
    match events.try_recv() {
        Ok((0, Event::Blocked { reason })) => Some(Some(reason)),
        Ok((0, Event::Unblocked)) => Some(None),
        Err(TryRecvError::Empty) => None,
        other => panic!("{other:?}"),
    }
}

fn is_pending(publish: Pin<&mut impl Future>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    publish.poll(&mut context).is_pending()
}

#[test]
fn a_connection_is_told_when_a_publish_waits_for_room_in_a_queue_and_when_it_goes_on() -> Result {
    let broker = Broker::new();
    let connection = connect(&broker)?;
    let (channel, events) = (connection.open_channel()?, connection.events());
    let full = Queue::new("q").max_length(1).overflow(Overflow::Block);
    channel.queue_declare(&full)?;
    let (none, options) = (Properties::new(), PublishOptions::new());
    channel.basic_publish("", "q", "1", none.clone(), options)?;
    assert_eq!(told(&events), None);
    // A publish that does not wait is none.
    assert!(
        channel
            .try_basic_publish("", "q", "2", none.clone(), options)
            .is_err()
    );
    assert_eq!(told(&events), None);
    let mut second = pin!(channel.basic_publish_async("", "q", "2", none.clone(), options));
    assert!(is_pending(second.as_mut()));
    assert_eq!(told(&events), Some(Some(BlockedReason::QueueFull)));
    {
        // Another one waits too, on a typed producer, and is given up.
        let producer = connection.producer::<Vec<u8>>("q")?;
        let mut third = pin!(producer.publish_async(b"3".to_vec()));
        assert!(is_pending(third.as_mut()));
    }
    assert_eq!(told(&events), None);
    channel.basic_get("q", AckMode::Auto)?;
    assert!(!is_pending(second.as_mut()));
    assert_eq!(told(&events), Some(None));
    // One that comes and goes between two reads is not told.
    {
        let mut brief = pin!(channel.basic_publish_async("", "q", "3", none, options));
        assert!(is_pending(brief.as_mut()));
    }
    assert_eq!(told(&events), None);
    // Other connections hear nothing of it.
    let other = connect(&broker)?;
    assert_eq!(told(&other.events()), None);
    Ok(())
}

#[test]
fn a_blocking_budget_is_told_as_low_memory() -> Result {
    let broker = Broker::new();
    broker.declare(&Budget::new("b", 10).block().whole_vhost())?;
    let connection = connect(&broker)?;
    let options = ChannelOptions::new().events_to_connection();
    let channel = connection.open_channel_with(options)?;
    channel.queue_declare(&Queue::new("q"))?;
    let (none, options) = (Properties::new(), PublishOptions::new());
    channel.basic_publish("", "q", "0123456789", none.clone(), options)?;
    let mut waiting = pin!(channel.basic_publish_async("", "q", "x", none, options));
    assert!(is_pending(waiting.as_mut()));
    let events = connection.events();
    assert_eq!(told(&events), Some(Some(BlockedReason::Budget)));
    assert_eq!(BlockedReason::Budget.to_string(), "low on memory");
    channel.queue_purge("q")?;
    assert!(!is_pending(waiting.as_mut()));
    assert_eq!(told(&events), Some(None));
    Ok(())
}

fn without_block(broker: &Broker) -> Result<Connection> {
    let user = broker.authenticate(Credentials::guest())?;
    broker.connect_as(&user, "/", ConnectionOptions::new().refuse_overflow_block())
}

#[test]
fn a_connection_that_refuses_block_declares_no_queue_that_lets_publishers_wait() -> Result {
    let broker = Broker::new();
    let connection = without_block(&broker)?;
    let channel = connection.open_channel()?;
    let blocking = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let refused = |queue: &Queue| {
        let error = channel.queue_declare(queue).unwrap_err();
        assert_eq!(error.reply_code(), Some(406));
        error.to_string()
    };
    let text = "PRECONDITION_FAILED - invalid arg 'x-overflow' for queue 'q' in vhost '/': \
                invalid_overflow";
    assert_eq!(refused(&blocking), text);
    assert!(connection.producer::<u32>(&blocking).is_err());
    assert!(connection.consumer::<u32>(&blocking).is_err());
    assert!(broker.purge("q").unwrap_err().is_not_found());
    // One that is there already: to declare it is refused, and to ask for it is not.
    broker.declare(&blocking)?;
    assert_eq!(refused(&blocking), text);
    channel.queue_declare_passive("q")?;
    // By a policy, of a user or an operator.
    for (name, operator) in [("by.user", false), ("by.operator", true)] {
        let policy = Policy::new(name, format!("^{name}$"))
            .setting("overflow", "block")
            .apply_to(ApplyTo::Queues);
        let policy = policy.setting("max-length", 1);
        let set = match operator {
            true => broker.vhost("/")?.set_operator_policy(policy),
            false => broker.vhost("/")?.set_policy(policy),
        };
        set?;
        assert!(refused(&Queue::new(name)).ends_with("invalid_overflow"));
    }
    let other = Queue::new("fine")
        .max_length(1)
        .overflow(Overflow::RejectPublish);
    channel.queue_declare(&other)?;
    // Other connections may declare it.
    connect(&broker)?.declare(&Queue::new("by.user"))?;
    Ok(())
}
