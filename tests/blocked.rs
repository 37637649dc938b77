//! Publishers that wait for room, and what ends their wait besides room: the end of whatever they publish by.
//!
//! None of the tests waits for a publisher to be asleep: one that comes to the end too late finds it, and says the same.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use leveret::{
    Broker, Budget, Connection, Credentials, Error, Message, Overflow, Policy, Producer,
    Properties, PublishOptions, Queue, Result,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// A queue with room for one message, which is taken.
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

fn connect(broker: &Broker) -> Result<Connection> {
    broker.connect("/", Credentials::guest())
}

/// Publishes in each form that blocks, each on a thread of its own; what comes of it.
fn blocked(producer: &Producer<u32>, end: impl FnOnce()) -> Vec<(Error, u32)> {
    type Form = fn(&Producer<u32>) -> Option<(Error, u32)>;
    let forms: [Form; 4] = [
        |producer| Some(producer.publish(7).err()?.into_parts()),
        |producer| Some(producer.publish_timeout(7, HOUR).err()?.into_parts()),
        |producer| {
            let (error, message) = producer
                .publish_message(Message::new(7))
                .err()?
                .into_parts();
            Some((error, message.into_payload()))
        },
        |producer| {
            let sent = producer.publish_message_timeout(Message::new(7), HOUR);
            let (error, message) = sent.err()?.into_parts();
            Some((error, message.into_payload()))
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
fn a_connection_that_closes_wakes_its_publishers_and_gives_their_messages_back() -> Result {
    for place in PLACES {
        let broker = Broker::new();
        let queue = place(&broker)?;
        let connection = connect(&broker)?;
        let producer = connection.producer::<u32>(&queue)?;
        let ends = blocked(&producer, || connection.close().unwrap());
        assert_eq!(ends, vec![(Error::ConnectionClosed, 7); 4]);
        assert_eq!(broker.purge(&queue)?, 1);
    }
    Ok(())
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_task_that_waits_for_room_is_woken_by_the_end_of_its_connection() -> Result {
    for place in PLACES {
        let broker = Broker::new();
        let queue = place(&broker)?;
        let connection = connect(&broker)?;
        let producer = connection.producer::<u32>(&queue)?;
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&flag));
        let mut publishing = pin!(producer.publish_async(7));
        let mut context = Context::from_waker(&waker);
        assert!(publishing.as_mut().poll(&mut context).is_pending());
        assert!(publishing.as_mut().poll(&mut context).is_pending());
        assert!(!flag.0.load(SeqCst));
        // The last handle closes it; a producer does not keep it open.
        drop(connection);
        assert!(flag.0.load(SeqCst));
        let Poll::Ready(Err(refused)) = publishing.poll(&mut context) else {
            panic!("it still waits");
        };
        assert_eq!(refused.into_parts(), (Error::ConnectionClosed, 7));
    }
    Ok(())
}

#[test]
fn another_connections_end_and_a_dropped_task_are_nothing_to_a_publisher() -> Result {
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
            assert_eq!(blocked(&producer, || {}), vec![(Error::ShutDown, 7); 4]);
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
            vec![(Error::ShutDown, 7); 4]
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
fn a_blocking_queue_without_any_room_is_refused_and_a_policy_leaves_room_for_one() -> Result {
    let broker = Broker::new();
    let blocking = Queue::new("q").overflow(Overflow::Block);
    for (none, argument) in [
        (blocking.clone().max_length(0), "x-max-length"),
        (blocking.clone().max_length_bytes(0), "x-max-length-bytes"),
    ] {
        let error = broker.declare(&none).unwrap_err();
        assert_eq!(error.reply_code(), Some(406));
        assert!(
            error.to_string().contains(&format!("'{argument}'")),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .ends_with("expected 1 or more where x-overflow is block")
        );
    }
    // Without waiting it is what it is in RabbitMQ: whoever is not served at once is dropped or refused.
    broker.declare(&Queue::new("dropping").max_length(0))?;
    broker
        .vhost("/")?
        .set_policy(Policy::new("none", "^q$").setting("max-length", 0))?;
    let producer = broker.producer::<u32>(&blocking)?;
    producer.try_publish(1)?;
    assert!(producer.try_publish(2).is_err());
    assert_eq!(broker.purge(&blocking)?, 1);
    Ok(())
}

#[test]
fn the_name_for_direct_replies_is_no_queue_to_a_typed_consumer() {
    let broker = Broker::new();
    let replies = Queue::new("amq.rabbitmq.reply-to").auto_delete();
    assert!(broker.consumer::<u32>(&replies).unwrap_err().is_not_found());
}
