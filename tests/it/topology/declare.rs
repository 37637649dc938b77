//! Declaring, and the effect of a declaration on later ones.

use std::time::Duration;

use leveret::{
    Broker, Error, Exchange, Message, Queue, Result, TryRecvError,
    channel::{IfEmpty, IfUnused},
};

use crate::common::{connect, on_a_manual_clock, queue};

#[test]
fn inequivalent_declarations_name_the_field() {
    let broker = Broker::new();
    broker.declare(&queue()).unwrap();
    let error = broker.producer::<u32>(&queue().durable()).unwrap_err();
    match error {
        Error::Inequivalent(difference) => assert_eq!(difference.field, "durable"),
        other => panic!("{other}"),
    }
    let exchange = Exchange::topic("x");
    broker.declare(&exchange).unwrap();
    let error = broker.declare(&Exchange::fanout("x")).unwrap_err();
    assert!(error.is_inequivalent(), "{error}");
}

#[test]
fn a_failed_declaration_leaves_nothing_half_done() -> Result {
    let unknown = Exchange::new("unknown", "no-such-kind");
    for (wrong, code) in [(Exchange::existing("missing"), 404), (unknown, 406)] {
        let broker = Broker::new();
        let made = Exchange::direct("made");
        let half = queue().bind(&made, "k").bind(&wrong, "k");
        let error = broker.declare(&half).unwrap_err();
        assert_eq!(error.reply_code(), Some(code), "{error}");
        for known in [
            broker.declare(&Queue::existing("q")).map(drop),
            broker.declare(&Exchange::existing("made")).map(drop),
        ] {
            assert!(known.unwrap_err().is_not_found());
        }
    }
    Ok(())
}

#[test]
fn durable_is_remembered_and_survives_nothing() -> Result {
    let queue = Queue::new("q").durable();
    let before = Broker::new();
    let message = Message::new(1_u32).persistent();
    assert_eq!(
        before
            .producer::<u32>(&queue)?
            .publish_message(message)?
            .routed,
        1
    );
    assert!(
        before
            .declare(&Queue::new("q"))
            .unwrap_err()
            .is_inequivalent()
    );
    drop(before);
    let after = Broker::new();
    assert!(
        after
            .declare(&Queue::existing("q"))
            .unwrap_err()
            .is_not_found()
    );
    Ok(())
}

#[test]
fn an_argument_of_another_type_is_refused_only_for_a_new_queue() -> Result {
    let broker = Broker::new();
    let quorum = Queue::quorum("q");
    let foreign = quorum.clone().argument("x-max-priority", 5);
    let error = broker.declare(&foreign).unwrap_err();
    assert_eq!(error.reply_code(), Some(406));
    broker.declare(&quorum)?;
    broker.declare(&foreign)?;
    Ok(())
}

#[test]
fn a_quorum_queue_is_deleted_without_conditions_only() -> Result {
    let broker = Broker::new();
    let channel = connect(&broker)?.open_channel()?;
    channel.queue_declare(&Queue::quorum("q"))?;
    for (unused, empty, flag) in [
        (IfUnused::Yes, IfEmpty::No, "if-unused"),
        (IfUnused::No, IfEmpty::Yes, "if-empty"),
        (IfUnused::Yes, IfEmpty::Yes, "if-unused"),
    ] {
        let error = channel.queue_delete("q", unused, empty).unwrap_err();
        assert_eq!(error.reply_code(), Some(540));
        assert!(error.to_string().contains(flag), "{error}");
        assert_eq!(channel.queue_delete("missing", unused, empty)?, 0);
    }
    channel.queue_delete("q", IfUnused::No, IfEmpty::No)?;
    assert!(
        channel
            .queue_declare_passive("q")
            .unwrap_err()
            .is_not_found()
    );
    Ok(())
}

#[test]
fn only_its_connection_uses_an_exclusive_queue() {
    let broker = Broker::new();
    let ours = connect(&broker).unwrap();
    let theirs = connect(&broker).unwrap();
    let exclusive = ours.declare(&Queue::exclusive()).unwrap();
    let errors = [
        theirs.consumer::<u32>(&exclusive).map(drop).unwrap_err(),
        theirs.purge(&exclusive).map(drop).unwrap_err(),
        theirs.delete(&exclusive).unwrap_err(),
        theirs.declare(&exclusive).map(drop).unwrap_err(),
        theirs
            .simple_queue::<u32>(&exclusive)
            .map(drop)
            .unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.reply_code(), Some(405), "{error}");
    }
    let consumer = ours.consumer::<u32>(&exclusive).unwrap();
    // Every connection may publish to the queue through the default exchange.
    let anybody = theirs
        .producer_builder::<u32>(&leveret::Exchange::existing(""))
        .routing_key(exclusive.name())
        .mandatory()
        .build()
        .unwrap();
    anybody.publish(7).unwrap();
    assert_eq!(*consumer.recv().unwrap(), 7);
}

#[test]
fn a_get_prolongs_the_life_of_an_expiring_queue() {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::new("q").expires(Duration::from_secs(10));
    let simple = broker.simple_queue::<u32>(&queue).unwrap();
    for _ in 0..3 {
        clock.advance(Duration::from_secs(6));
        assert!(matches!(simple.try_get(), Err(TryRecvError::Empty)));
    }
}
