//! A publish to several queues, some of which are full and block: the others have the message at
//! once, and the publish waits for the full ones in the order of the route.

use std::{task::Poll, thread, time::Duration};

use leveret::{
    Broker, Error, Exchange, FieldValue, Local, Message, Overflow, Producer, Properties, Queue,
    Result,
    channel::{ConfirmOutcome, Event, PublishOptions},
};

use crate::common::{Alarm, HOUR, SECOND, block_on, connect, on_a_manual_clock};

/// The queues "a" to "d" of a fanout exchange. "b" and "d" block, and are full.
fn setting(broker: &Broker) -> Result<(Exchange, Producer<u32>)> {
    let exchange = Exchange::fanout("x");
    for name in ["a", "b", "c", "d"] {
        let queue = Queue::new(name).bind(&exchange, "");
        let full = ["b", "d"].contains(&name);
        broker.declare(&match full {
            true => queue.max_length(1).overflow(Overflow::Block),
            false => queue,
        })?;
        if full {
            broker.producer::<u32>(name)?.publish(0)?;
        }
    }
    let producer = broker.producer::<u32>(&exchange)?;
    Ok((exchange, producer))
}

/// Takes all messages of a queue.
fn all(broker: &Broker, queue: &str) -> Vec<u32> {
    let found = crate::common::rest::<u32>(broker, queue);
    found.into_iter().map(|(value, _)| value).collect()
}

/// A header with one more routing key.
fn keys(key: &str) -> Vec<FieldValue> {
    vec![key.into()]
}

fn lengths(broker: &Broker) -> [usize; 4] {
    ["a", "b", "c", "d"].map(|name| broker.simple_queue::<u32>(name).unwrap().len().unwrap())
}

#[test]
fn the_queues_with_room_have_the_message_at_once_and_the_others_in_their_order() -> Result {
    let broker = Broker::new();
    let (_, producer) = setting(&broker)?;
    let alarm = Alarm::new();
    let mut publishing = Box::pin(producer.publish_async(1));
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    assert_eq!(lengths(&broker), [1, 1, 1, 1]);
    assert_eq!((all(&broker, "a"), all(&broker, "c")), (vec![1], vec![1]));

    // It waits for "b", and holds no place in "d" meanwhile.
    assert_eq!(all(&broker, "d"), [0]);
    assert!(!alarm.has_rung());
    broker.producer::<u32>("d")?.try_publish(7)?;
    assert_eq!(all(&broker, "b"), [0]);
    assert!(alarm.has_rung());
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    assert_eq!(all(&broker, "b"), [1]);

    // Now it waits for "d", and holds no place in "b" any more.
    broker.producer::<u32>("b")?.try_publish(8)?;
    assert_eq!(all(&broker, "d"), [7]);
    assert!(alarm.has_rung());
    let published = block_on(publishing).unwrap();
    assert_eq!((published.routed, published.refused), (4, 0));
    assert_eq!(all(&broker, "d"), [1]);
    assert_eq!((all(&broker, "a"), all(&broker, "c")), (vec![], vec![]));
    Ok(())
}

#[test]
fn a_blocked_thread_lets_the_other_subscribers_have_the_message() -> Result {
    let broker = Broker::new();
    let (_, producer) = setting(&broker)?;
    let fast = broker.simple_queue::<u32>("c")?;
    thread::scope(|scope| {
        let publishing = scope.spawn(|| producer.publish(1).unwrap().routed);
        assert_eq!(*fast.get().unwrap(), 1);
        for full in ["b", "d"] {
            broker.purge(full).unwrap();
        }
        assert_eq!(publishing.join().unwrap(), 4);
    });
    Ok(())
}

#[test]
fn a_publish_that_does_not_wait_counts_the_full_queues_as_refused() -> Result {
    let broker = Broker::new();
    let (_, producer) = setting(&broker)?;
    let published = producer.try_publish(1)?;
    assert_eq!((published.routed, published.refused), (2, 2));
    let published = producer.try_publish_to("any", 2)?;
    assert_eq!((published.routed, published.refused), (2, 2));
    let published = producer.try_publish_message(Message::new(3).priority(1))?;
    assert_eq!((published.routed, published.refused), (2, 2));
    assert_eq!(lengths(&broker), [3, 1, 3, 1]);
    Ok(())
}

#[test]
fn a_publish_whose_time_is_over_is_ok_if_any_queue_has_the_message() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (_, producer) = setting(&broker)?;
    thread::scope(|scope| {
        let publishing = scope.spawn(|| producer.publish_timeout(1, SECOND));
        while lengths(&broker) != [1, 1, 1, 1] {
            thread::yield_now();
        }
        // "d" has room when the time is over, and "b" has not.
        broker.purge("d").unwrap();
        while !publishing.is_finished() {
            clock.advance(SECOND);
        }
        let published = publishing.join().unwrap().unwrap();
        assert_eq!((published.routed, published.refused), (3, 1));
    });
    assert_eq!(all(&broker, "d"), [1]);
    broker.producer::<u32>("d")?.publish(0)?;

    // No queue has it.
    for name in ["a", "c"] {
        broker.delete(&Queue::existing(name))?;
    }
    let short = Duration::from_nanos(1);
    let (sender, sent) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| sender.send(producer.publish_timeout(2, short)));
        let refused = loop {
            clock.advance(SECOND);
            if let Ok(refused) = sent.try_recv() {
                break refused.unwrap_err();
            }
        };
        assert_eq!(refused.into_parts(), (Error::Timeout, Some(2)));
    });
    Ok(())
}

#[test]
fn a_dropped_future_leaves_the_message_in_the_queues_that_have_it() -> Result {
    let broker = Broker::new();
    let (_, producer) = setting(&broker)?;
    let alarm = Alarm::new();
    let mut publishing = Box::pin(producer.publish_message_async(Message::new(1).priority(3)));
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    broker.purge("b")?;
    drop(publishing);
    assert_eq!(lengths(&broker), [1, 0, 1, 1]);
    // It has left the place in "b" to others.
    broker.producer::<u32>("b")?.try_publish(2)?;
    Ok(())
}

#[test]
fn a_publish_that_is_ended_is_ok_if_any_queue_has_the_message() -> Result {
    for only_full in [false, true] {
        let broker = Broker::new();
        let (exchange, _) = setting(&broker)?;
        if only_full {
            for name in ["a", "c"] {
                broker.delete(&Queue::existing(name))?;
            }
        }
        let connection = connect(&broker)?;
        let producer = connection.producer::<u32>(&exchange)?;
        let alarm = Alarm::new();
        let mut publishing = Box::pin(producer.publish_async(1));
        assert!(alarm.poll(publishing.as_mut()).is_pending());
        // The closed connection has the first say: nothing more is published on its behalf.
        connection.close()?;
        broker.purge("b")?;
        assert!(alarm.has_rung());
        match (only_full, block_on(publishing)) {
            (false, Ok(published)) => assert_eq!((published.routed, published.refused), (2, 2)),
            (true, Err(refused)) => {
                assert_eq!(refused.into_parts(), (Error::ConnectionClosed, Some(1)))
            }
            (_, other) => panic!("{other:?}"),
        }
        assert!(all(&broker, "b").is_empty());
    }
    Ok(())
}

#[test]
fn a_shutdown_ends_the_wait_and_the_queues_that_have_the_message_keep_it() -> Result {
    let broker = Broker::new();
    let (_, producer) = setting(&broker)?;
    let work = broker.simple_queue::<u32>("a")?;
    thread::scope(|scope| {
        let publishing = scope.spawn(|| producer.publish(1));
        let held = work.get().unwrap();
        assert_eq!(*held, 1);
        let shutting_down = scope.spawn(|| broker.shutdown(HOUR));
        let published = publishing.join().unwrap().unwrap();
        assert_eq!((published.routed, published.refused), (2, 2));
        held.ack().unwrap();
        shutting_down.join().unwrap().unwrap();
    });
    Ok(())
}

#[test]
fn a_queue_that_is_deleted_meanwhile_is_skipped_and_no_queue_gets_the_message_twice() -> Result {
    let broker = Broker::new();
    let (exchange, producer) = setting(&broker)?;
    let alarm = Alarm::new();
    let mut publishing = Box::pin(producer.publish_async(1));
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    broker.delete(&Queue::existing("b"))?;
    assert!(alarm.has_rung());
    // Another queue has the name now, and another one is bound. The publish keeps its route.
    broker.declare(&Queue::new("b").bind(&exchange, ""))?;
    broker.declare(&Queue::new("e").bind(&exchange, ""))?;
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    // An unbound queue of the route gets the message all the same.
    let channel = connect(&broker)?.open_channel()?;
    channel.queue_unbind("d", "x", "", Default::default())?;
    assert_eq!(all(&broker, "d"), [0]);
    let published = block_on(publishing).unwrap();
    assert_eq!((published.routed, published.refused), (3, 0));
    assert_eq!(lengths(&broker), [1, 0, 1, 1]);
    assert!(all(&broker, "e").is_empty());
    Ok(())
}

#[test]
fn a_publish_whose_only_queues_are_deleted_looks_for_another_route() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::fanout("x");
    let blocking = |name| {
        let queue = Queue::new(name).max_length(1).overflow(Overflow::Block);
        queue.bind(&exchange, "")
    };
    for name in ["b", "d"] {
        broker.declare(&blocking(name))?;
        broker.producer::<u32>(name)?.publish(0)?;
    }
    let producer = broker.producer::<u32>(&exchange)?;
    let alarm = Alarm::new();
    let mut publishing = Box::pin(producer.publish_async(1));
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    broker.declare(&Queue::new("new").bind(&exchange, ""))?;
    for name in ["b", "d"] {
        broker.delete(&Queue::existing(name))?;
    }
    assert!(alarm.has_rung());
    assert_eq!(block_on(publishing).unwrap().routed, 1);
    assert_eq!(all(&broker, "new"), [1]);
    Ok(())
}

#[test]
fn a_payload_that_cannot_be_shared_waits_for_one_queue_and_is_refused_by_two() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::fanout("x");
    let queue = Queue::new("b").max_length(1).overflow(Overflow::Block);
    broker.declare(&queue.bind(&exchange, ""))?;
    let producer = broker.producer::<Local<Box<u32>>>(&exchange)?;
    producer.publish(Local(Box::new(0)))?;
    let alarm = Alarm::new();
    let mut publishing = Box::pin(producer.publish_async(Local(Box::new(1))));
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    broker.declare(&Queue::new("a").bind(&exchange, ""))?;
    let refused = producer.publish(Local(Box::new(2))).unwrap_err();
    assert!(matches!(
        refused.error(),
        Error::NotShareable { queues: 2, .. }
    ));
    assert_eq!(refused.payload(), Some(&Local(Box::new(2))));
    assert_eq!(broker.purge("b")?, 1);
    assert_eq!(block_on(publishing).unwrap().routed, 1);
    assert_eq!((broker.purge("a")?, broker.purge("b")?), (0, 1));
    Ok(())
}

#[test]
fn the_payload_comes_back_whole_after_a_wait_for_several_queues() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::fanout("x");
    for (name, overflow) in [
        ("b", Overflow::Block),
        ("c", Overflow::RejectPublish),
        ("d", Overflow::Block),
    ] {
        let queue = Queue::new(name).max_length(1).overflow(overflow);
        broker.declare(&queue.bind(&exchange, ""))?;
        broker.producer::<String>(name)?.publish("in".to_owned())?;
    }
    let producer = broker.producer::<String>(&exchange)?;
    let refused = producer.try_publish("out".to_owned()).unwrap_err();
    assert!(matches!(refused.error(), Error::Refused { queue, .. } if **queue == *"c"));
    let late = producer.publish_timeout(refused.into_inner().unwrap(), Duration::from_millis(1));
    assert_eq!(
        late.unwrap_err().into_parts(),
        (Error::Timeout, Some("out".to_owned()))
    );
    Ok(())
}

#[test]
fn a_delayed_message_needs_no_room_among_the_ready_ones() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let (_, producer) = setting(&broker)?;
    let later = Message::new(1).deliver_after(SECOND);
    assert_eq!(producer.publish_message(later)?.routed, 4);
    assert_eq!(lengths(&broker), [0, 1, 0, 1]);
    // When it is due, it waits for room where there is none.
    clock.advance(SECOND);
    assert_eq!(lengths(&broker), [1, 1, 1, 1]);
    assert_eq!(
        (all(&broker, "a"), all(&broker, "b")),
        (vec![1], vec![0, 1])
    );
    Ok(())
}

#[test]
fn a_publish_is_ok_if_a_delayed_exchange_has_the_message_and_a_full_queue_refuses_it() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let exchange = Exchange::fanout("x");
    let full = Queue::new("full").bind(&exchange, "");
    let full = full.max_length(1).overflow(Overflow::RejectPublish);
    let later = Exchange::fanout("later").delayed().bind(&exchange, "");
    broker.declare(&Queue::new("q").bind(&later, ""))?;
    broker.producer::<u32>(&full)?.publish(0)?;
    let producer = broker.producer::<u32>(&exchange)?;
    let published = producer.publish_message(Message::new(1).header("x-delay", 1_000))?;
    assert_eq!(
        (published.routed, published.refused, published.delayed),
        (0, 1, 1)
    );
    clock.advance(SECOND);
    assert_eq!(all(&broker, "q"), [1]);
    Ok(())
}

#[test]
fn further_routing_keys_and_alternate_exchanges_lead_to_blocking_queues_as_well() -> Result {
    let broker = Broker::new();
    let (_, _) = setting(&broker)?;
    let alternate = Exchange::fanout("x");
    let exchange = Exchange::direct("y").alternate(alternate.name());
    broker.declare(&Queue::new("other").bind(&exchange, "other"))?;
    let producer = broker.producer::<u32>(&exchange)?;
    let published = producer.try_publish_to("unknown", 1)?;
    assert_eq!((published.routed, published.refused), (2, 2));
    let copies = Message::new(2)
        .routing_key("other")
        .header("CC", keys("unknown"));
    assert_eq!(producer.try_publish_message(copies)?.routed, 1);

    let to_queues = broker.producer::<u32>(&Exchange::existing(""))?;
    let copies = Message::new(3).routing_key("b");
    let copies = copies.header("CC", keys("a")).header("BCC", keys("d"));
    let alarm = Alarm::new();
    let mut publishing = Box::pin(to_queues.publish_message_async(copies));
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    assert_eq!(all(&broker, "a"), [1, 3]);
    for full in ["b", "d"] {
        assert_eq!(all(&broker, full), [0]);
        assert!(alarm.has_rung());
        let _ = alarm.poll(publishing.as_mut());
        assert_eq!(all(&broker, full), [3]);
    }
    Ok(())
}

#[test]
fn a_channel_confirms_a_message_when_its_last_queue_has_it_or_has_refused_it() -> Result {
    let broker = Broker::new();
    setting(&broker)?;
    let channel = connect(&broker)?.open_channel()?;
    channel.confirm_select()?;
    let events = channel.events();
    let publish = |body: &str| {
        let (properties, options) = (Properties::new(), PublishOptions::new());
        channel.basic_publish_async("x", "", body.to_owned(), properties, options)
    };
    let alarm = Alarm::new();
    let mut publishing = Box::pin(publish("first"));
    assert_eq!(alarm.poll(publishing.as_mut()), Poll::Pending);
    assert_eq!(lengths(&broker), [1, 1, 1, 1]);
    assert!(events.try_recv().is_err());
    assert_eq!(channel.try_wait_for_confirms()?, None);
    // A message that is given up has no number.
    let mut dropped = Box::pin(publish("dropped"));
    assert_eq!(alarm.poll(dropped.as_mut()), Poll::Pending);
    drop(dropped);
    for full in ["b", "d"] {
        broker.purge(full)?;
        let _ = alarm.poll(publishing.as_mut());
    }
    let (properties, options) = (Properties::new(), PublishOptions::new());
    channel.try_basic_publish("x", "", "second", properties.clone(), options)?;
    let full = channel.try_basic_publish("", "b", "third", properties.clone(), options);
    assert_eq!(
        full,
        Err(Error::Refused {
            queue: "b".parse()?,
            dead_lettered: false
        })
    );
    let short = Duration::from_millis(1);
    let late = channel.basic_publish_timeout("", "b", "fourth", properties.clone(), options, short);
    assert_eq!(late, Err(Error::Timeout));
    channel.basic_publish_timeout("", "a", "fifth", properties, options, short)?;
    let confirms = std::iter::from_fn(|| match events.try_recv() {
        Ok(Event::Confirm(confirm)) => Some((confirm.delivery_tag, confirm.outcome)),
        _ => None,
    });
    let expected = [
        ConfirmOutcome::Ack,
        ConfirmOutcome::Nack,
        ConfirmOutcome::Ack,
    ];
    assert!(confirms.eq((1..).zip(expected)));
    Ok(())
}

#[test]
fn a_commit_does_not_wait_and_takes_no_queue_over_its_limit() -> Result {
    let broker = Broker::new();
    setting(&broker)?;
    let channel = connect(&broker)?.open_channel()?;
    channel.tx_select()?;
    channel.basic_publish("x", "", "m", Properties::new(), PublishOptions::new())?;
    let error = channel.tx_commit().unwrap_err();
    assert_eq!(error.reply_code(), Some(406));
    assert_eq!(lengths(&broker), [1, 1, 1, 1]);
    Ok(())
}
