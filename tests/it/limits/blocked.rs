//! Publishers that wait for room, and the other ends of their wait: the end of the queue, channel,
//! connection or broker.
//!
//! No test needs a publisher to wait before the end comes. A publisher that is late finds the end,
//! and returns the same error.

use std::{
    pin::pin,
    sync::mpsc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use leveret::{
    Broker, Budget, Error, Message, Overflow, Policy, Producer, Properties, Queue, Result,
    channel::PublishOptions,
};

use crate::common::{Alarm, HOUR, after_a_full_prefetch, block_on, connect};

/// A queue with room for one message, which is full.
fn full(broker: &Broker) -> Result<Queue> {
    let queue = Queue::new("full").max_length(1).overflow(Overflow::Block);
    broker.producer::<u32>(&queue)?.publish(0)?;
    Ok(queue)
}

/// A queue whose budget is spent.
fn spent(broker: &Broker) -> Result<Queue> {
    broker.declare(&Budget::new("b", 1).block())?;
    let queue = Queue::new("spent").budget("b");
    broker.producer::<u32>(&queue)?.publish(0)?;
    Ok(queue)
}

const PLACES: [fn(&Broker) -> Result<Queue>; 2] = [full, spent];

/// Publishes in each blocking form, each on a thread of its own. Returns their errors and messages.
fn blocked(producer: &Producer<u32>, end: impl FnOnce()) -> Vec<(Error, Option<u32>)> {
    type Form = fn(&Producer<u32>) -> Option<(Error, Option<u32>)>;
    let forms: [Form; 4] = [
        |producer| Some(producer.publish(7).err()?.into_parts()),
        |producer| Some(producer.publish_timeout(7, HOUR).err()?.into_parts()),
        |producer| {
            let (error, message) = producer
                .publish_message(Message::new(7))
                .err()?
                .into_parts();
            Some((error, message.map(Message::into_payload)))
        },
        |producer| {
            let sent = producer.publish_message_timeout(Message::new(7), HOUR);
            let (error, message) = sent.err()?.into_parts();
            Some((error, message.map(Message::into_payload)))
        },
    ];
    thread::scope(|scope| {
        let threads = forms.map(|form| scope.spawn(move || form(producer)));
        end();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap().expect("an error"))
            .collect()
    })
}

#[test]
fn a_blocking_queue_lets_its_publisher_wait_for_room() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue)?;
    producer.publish(1)?;
    let refused = producer.try_publish(2).unwrap_err();
    assert!(matches!(refused.error(), Error::Refused { .. }));
    assert_eq!(refused.into_inner(), Some(2));
    let late = producer
        .publish_timeout(3, Duration::from_millis(1))
        .unwrap_err();
    assert!(matches!(late.error(), Error::Timeout));

    let (published, has_published) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let done = producer.publish(4).map(|published| published.routed);
        let _ = published.send(());
        done
    });
    assert!(has_published.try_recv().is_err());
    let gets = broker.simple_queue::<u32>(&queue)?;
    let first = gets.get()?;
    assert_eq!(*first, 1);
    first.ack()?;
    assert_eq!(waiting.join().unwrap().unwrap(), 1);
    assert_eq!(*gets.get()?, 4);
    Ok(())
}

#[test]
fn a_publisher_that_waits_gets_its_message_back_when_the_queue_is_deleted() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<String>(&queue)?;
    producer.publish("in".to_owned())?;
    let waiting = thread::spawn(move || producer.publish("wait".to_owned()).unwrap_err());
    broker.delete(&queue)?;
    let error = waiting.join().unwrap();
    assert_eq!(error.error().reply_code(), Some(312));
    assert_eq!(error.into_inner().as_deref(), Some("wait"));
    Ok(())
}

#[test]
fn a_connection_that_closes_wakes_its_publishers_and_gives_their_messages_back() -> Result {
    for place in PLACES {
        let broker = Broker::new();
        let queue = place(&broker)?;
        let connection = connect(&broker)?;
        let producer = connection.producer::<u32>(&queue)?;
        let ends = blocked(&producer, || connection.close().unwrap());
        assert_eq!(ends, vec![(Error::ConnectionClosed, Some(7)); 4]);
        assert_eq!(broker.purge(&queue)?, 1);
    }
    Ok(())
}

#[test]
fn a_task_that_waits_for_room_is_woken_by_the_end_of_its_connection() -> Result {
    for place in PLACES {
        let broker = Broker::new();
        let queue = place(&broker)?;
        let connection = connect(&broker)?;
        let producer = connection.producer::<u32>(&queue)?;
        let alarm = Alarm::new();
        let mut publishing = pin!(producer.publish_async(7));
        assert!(alarm.poll(publishing.as_mut()).is_pending());
        assert!(alarm.poll(publishing.as_mut()).is_pending());
        assert!(!alarm.has_rung());
        // Dropping the last handle closes the connection. A producer does not keep it open.
        drop(connection);
        assert!(alarm.has_rung());
        let Poll::Ready(Err(refused)) = alarm.poll(publishing) else {
            panic!("it still waits");
        };
        assert_eq!(refused.into_parts(), (Error::ConnectionClosed, Some(7)));
    }
    Ok(())
}

#[test]
fn a_blocked_publisher_survives_the_end_of_another_connection_and_a_dropped_task() -> Result {
    let broker = Broker::new();
    let queue = full(&broker)?;
    let producer = connect(&broker)?.producer::<u32>(&queue)?;
    assert_eq!(
        producer.publish(7).unwrap_err().error(),
        &Error::ConnectionClosed
    );
    let producer = broker.producer::<u32>(&queue)?;
    let mut context = Context::from_waker(Waker::noop());
    let mut publishing = pin!(producer.publish_async(7));
    assert!(publishing.as_mut().poll(&mut context).is_pending());
    {
        let mut dropped = pin!(producer.publish_async(8));
        assert!(dropped.as_mut().poll(&mut context).is_pending());
    }
    connect(&broker)?.close()?;
    assert!(publishing.as_mut().poll(&mut context).is_pending());
    assert_eq!(broker.purge(&queue)?, 1);
    assert!(matches!(publishing.poll(&mut context), Poll::Ready(Ok(_))));
    Ok(())
}

#[test]
fn a_shutdown_wakes_publishers_before_it_waits_for_consumers() -> Result {
    for place in PLACES {
        let broker = Broker::new();
        let queue = place(&broker)?;
        let producer = broker.producer::<u32>(&queue)?;
        let work = broker.simple_queue::<u32>("work")?;
        work.put(0)?;
        let held = work.get()?;
        thread::scope(|scope| {
            let shutting_down = scope.spawn(|| broker.shutdown(HOUR));
            assert_eq!(
                blocked(&producer, || {}),
                vec![(Error::ShutDown, Some(7)); 4]
            );
            held.ack().unwrap();
            assert!(!shutting_down.join().unwrap().unwrap().timed_out);
        });
    }
    Ok(())
}

#[test]
fn the_end_of_the_broker_wakes_publishers() -> Result {
    for place in PLACES {
        let broker = Broker::new();
        let queue = place(&broker)?;
        let producer = broker.producer::<u32>(&queue)?;
        assert_eq!(
            blocked(&producer, || drop(broker)),
            vec![(Error::BrokerDropped, Some(7)); 4]
        );
    }
    Ok(())
}

#[test]
fn a_channel_that_waits_for_room_is_woken_by_its_own_end_and_by_its_connections() -> Result {
    for place in PLACES {
        for whole_connection in [false, true] {
            let broker = Broker::new();
            let queue = place(&broker)?;
            let connection = connect(&broker)?;
            let channel = connection.open_channel()?;
            let publish = || {
                let options = PublishOptions::new();
                channel.basic_publish("", queue.name(), "m", Properties::new(), options)
            };
            let (ended, expected) = thread::scope(|scope| {
                let publishing = scope.spawn(publish);
                let expected = match whole_connection {
                    true => connection.close().map(|()| Error::ConnectionClosed),
                    false => channel.close().map(|()| Error::ChannelClosed),
                };
                (publishing.join().unwrap(), expected)
            });
            assert_eq!(ended, Err(expected?));
            assert_eq!(broker.purge(&queue)?, 1);
        }
    }
    Ok(())
}

#[test]
fn a_blocked_publisher_goes_on_when_a_receiver_makes_room_quietly() {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let (producer, consumer, mut held) = after_a_full_prefetch(&broker, &queue);
    let alarm = Alarm::new();
    let mut publishing = pin!(producer.publish_async(17));
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    held.remove(0).ack().unwrap();
    // The consumer takes the last ready message.
    consumer.recv().unwrap().ack().unwrap();
    assert!(alarm.has_rung());
    assert_eq!(block_on(publishing).unwrap().routed, 1);
}

#[test]
fn a_blocked_publisher_goes_on_when_a_policy_lifts_the_limit() {
    let broker = Broker::new();
    let producer = broker
        .producer::<u32>(&Queue::new("q").overflow(Overflow::Block))
        .unwrap();
    let root = broker.vhost("/").unwrap();
    root.set_policy(Policy::new("one", ".*").setting("max-length", 1))
        .unwrap();
    producer.publish(0).unwrap();
    let alarm = Alarm::new();
    let mut publishing = pin!(producer.publish_async(1));
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    root.clear_policy("one").unwrap();
    assert!(alarm.has_rung());
    assert_eq!(block_on(publishing).unwrap().routed, 1);
}

#[test]
fn the_deletion_of_a_queue_wakes_its_blocked_publishers() -> Result {
    for place in PLACES {
        let broker = Broker::new();
        let queue = place(&broker)?;
        let producer = broker.producer::<u32>(&queue)?;
        let alarms = [Alarm::new(), Alarm::new()];
        let mut first = pin!(producer.publish_async(7));
        let mut second = pin!(producer.publish_async(8));
        assert!(alarms[0].poll(first.as_mut()).is_pending());
        assert!(alarms[1].poll(second.as_mut()).is_pending());
        broker.delete(&queue)?;
        assert!(alarms.iter().all(|alarm| alarm.has_rung()));
        for (alarm, publish) in alarms.iter().zip([first, second]) {
            assert!(matches!(alarm.poll(publish), Poll::Ready(Err(_))));
        }
    }
    Ok(())
}
