//! Consumers that settle messages that do not decode themselves.

use std::{
    future::Future,
    panic,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use leveret::{
    Broker, Consumer, DecodeErrorPolicy, Local, Queue, RecvTimeoutError, Result, Select,
    TryRecvError,
};

use crate::common::{Alarm, SECOND, block_on, on_a_manual_clock, queue, rest};

/// Its dead letters go to `dead`.
fn dying() -> Queue {
    queue()
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead")
}

/// A consumer of numbers with this policy, and the number of messages that it has inspected.
fn consumer(broker: &Broker, policy: DecodeErrorPolicy) -> (Consumer<u32>, Arc<AtomicU32>) {
    broker.declare(&Queue::new("dead")).unwrap();
    let inspected = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&inspected);
    let builder = broker
        .consumer_builder::<u32>(dying())
        .on_decode_error(policy);
    let builder = builder.inspect_decode_errors(move |undecoded| {
        assert_eq!(undecoded.info().queue(), "q");
        count.fetch_add(1, SeqCst);
    });
    (builder.build().unwrap(), inspected)
}

fn publish_words(broker: &Broker, count: usize) {
    let words = broker.producer(dying()).unwrap();
    let _ = words.publish_batch((0..count).map(|_| "word".to_owned()));
}

/// Two words, then 7, then a word, then 8.
fn publish_both(broker: &Broker) {
    let numbers = broker.producer::<u32>(dying()).unwrap();
    publish_words(broker, 2);
    numbers.publish(7).unwrap();
    publish_words(broker, 1);
    numbers.publish(8).unwrap();
}

/// Receives two numbers and acknowledges them.
type Receive = fn(Consumer<u32>) -> Vec<u32>;

fn ack(delivery: leveret::Delivery<u32>) -> u32 {
    let number = *delivery;
    delivery.ack().unwrap();
    number
}

const FORMS: [(&str, Receive); 12] = [
    ("recv", |consumer| {
        (0..2).map(|_| ack(consumer.recv().unwrap())).collect()
    }),
    ("try_recv", |consumer| {
        (0..2).map(|_| ack(consumer.try_recv().unwrap())).collect()
    }),
    ("recv_timeout", |consumer| {
        (0..2)
            .map(|_| ack(consumer.recv_timeout(Duration::ZERO).unwrap()))
            .collect()
    }),
    ("recv_async", |consumer| {
        (0..2)
            .map(|_| ack(block_on(consumer.recv_async()).unwrap()))
            .collect()
    }),
    ("recv_batch", |consumer| {
        consumer
            .recv_batch(2, Duration::ZERO)
            .unwrap()
            .map(ack)
            .collect()
    }),
    ("recv_batch that waits", |consumer| {
        consumer.recv_batch(2, SECOND).unwrap().map(ack).collect()
    }),
    ("recv_batch_async", |consumer| {
        let batch = block_on(consumer.recv_batch_async(2, Duration::ZERO)).unwrap();
        batch.map(ack).collect()
    }),
    ("iter", |consumer| {
        consumer
            .iter()
            .take(2)
            .map(|found| ack(found.unwrap()))
            .collect()
    }),
    ("try_iter", |consumer| {
        consumer
            .try_iter()
            .map(|found| ack(found.unwrap()))
            .collect()
    }),
    ("select", |consumer| {
        let mut select = Select::new();
        select.recv(&consumer);
        let mut numbers = vec![ack(select.select().recv(&consumer).unwrap())];
        drop(select.select()); // it returns to the consumer
        numbers.push(ack(select.try_select().unwrap().recv(&consumer).unwrap()));
        numbers
    }),
    ("select_async", |consumer| {
        let mut select = Select::new();
        select.recv(&consumer);
        (0..2)
            .map(|_| ack(block_on(select.select_async()).recv(&consumer).unwrap()))
            .collect()
    }),
    ("into_crossbeam", |consumer| {
        consumer.into_crossbeam().iter().take(2).map(ack).collect()
    }),
];

#[test]
fn every_form_of_receiving_skips_what_does_not_decode() {
    for (policy, dead) in [(DecodeErrorPolicy::Reject, 3), (DecodeErrorPolicy::Ack, 0)] {
        for (form, receive) in FORMS {
            let broker = Broker::new();
            let (consumer, inspected) = consumer(&broker, policy);
            publish_both(&broker);
            assert_eq!(receive(consumer), [7, 8], "{form}");
            assert_eq!(inspected.load(SeqCst), 3, "{form}");
            assert_eq!(rest::<String>(&broker, "dead").len(), dead, "{form}");
            assert_eq!(rest::<String>(&broker, "q"), [], "{form}");
        }
    }
}

#[cfg(feature = "stream")]
#[test]
fn a_stream_skips_what_does_not_decode() {
    use futures_core::Stream;
    let broker = Broker::new();
    let (consumer, inspected) = consumer(&broker, DecodeErrorPolicy::Ack);
    publish_both(&broker);
    let mut stream = consumer.into_stream();
    let mut next = || block_on(std::future::poll_fn(|cx| pin!(&mut stream).poll_next(cx)));
    let numbers: Vec<_> = (0..2).map(|_| ack(next().unwrap().unwrap())).collect();
    assert_eq!((numbers, inspected.load(SeqCst)), (vec![7, 8], 3));
}

#[test]
fn a_consumer_of_several_queues_skips_in_each_of_them() -> Result {
    let broker = Broker::new();
    let builder = broker.consumer_builder::<u32>("a").also("b");
    let consumer = builder.on_decode_error(DecodeErrorPolicy::Ack).build()?;
    for queue in ["a", "b"] {
        broker.producer(queue)?.publish("word".to_owned())?;
        broker.producer(queue)?.publish(7_u32)?;
    }
    let received: Vec<_> = consumer.try_iter().collect::<Result<_, _>>()?;
    assert_eq!(received.len(), 2);
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    Ok(())
}

#[test]
fn by_default_the_receiver_gets_it_and_the_inspector_sees_it_once() -> Result {
    let broker = Broker::new();
    let (consumer, inspected) = consumer(&broker, DecodeErrorPolicy::default());
    broker.producer(dying())?.publish(7_u32)?;
    publish_words(&broker, 1);
    // The batch ends before it, and then the next one returns it.
    assert_eq!(consumer.recv_batch(2, SECOND)?.len(), 1);
    assert_eq!(inspected.load(SeqCst), 0);
    assert!(consumer.recv_batch(1, SECOND).is_err() || consumer.recv_batch(1, SECOND).is_err());
    assert_eq!(inspected.load(SeqCst), 1);
    Ok(())
}

#[test]
fn a_receive_that_does_not_wait_ends_though_others_keep_publishing() -> Result {
    let (broker, _clock) = on_a_manual_clock();
    // The inspector publishes one more word for each that is skipped.
    let words = broker.producer::<String>(dying())?;
    let builder = broker.consumer_builder::<u32>(dying()).prefetch(0);
    let builder = builder.on_decode_error(DecodeErrorPolicy::Ack);
    let publish = words.clone();
    let builder = builder.inspect_decode_errors(move |_| {
        publish.publish("another".to_owned()).unwrap();
    });
    let consumer = builder.build()?;
    let _ = words.publish_batch((0..40).map(|_| "word".to_owned()));
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    let timed_out = consumer.recv_timeout(Duration::ZERO);
    assert!(matches!(timed_out, Err(RecvTimeoutError::Timeout)));
    assert_eq!(consumer.recv_batch(5, Duration::ZERO)?.len(), 0);
    assert_eq!(consumer.try_iter().count(), 0);
    assert!(block_on(consumer.recv_batch_async(5, Duration::ZERO))?.is_empty());
    let mut select = Select::new();
    select.recv(&consumer);
    assert!(select.try_select().is_err());
    Ok(())
}

#[test]
fn a_task_that_skips_many_messages_lets_others_run_meanwhile() -> Result {
    let broker = Broker::new();
    let (consumer, inspected) = consumer(&broker, DecodeErrorPolicy::Reject);
    publish_words(&broker, 100);
    broker.producer(dying())?.publish(7_u32)?;
    let alarm = Alarm::new();
    let mut receiving = pin!(consumer.recv_async());
    let mut polls = 0;
    let delivery = loop {
        polls += 1;
        match alarm.poll(receiving.as_mut()) {
            Poll::Ready(delivery) => break delivery?,
            Poll::Pending => assert!(alarm.has_rung()),
        }
    };
    assert_eq!((*delivery, inspected.load(SeqCst)), (7, 100));
    assert!((2..=10).contains(&polls), "{polls}");
    Ok(())
}

#[test]
fn an_inspector_that_panics_or_receives_itself_changes_nothing() -> Result {
    let broker = Broker::new();
    let builder = broker.consumer_builder::<u32>(dying());
    let builder = builder.on_decode_error(DecodeErrorPolicy::Reject);
    let inside = broker.consumer::<u32>("inside")?;
    let builder = builder.inspect_decode_errors(move |_| {
        inside.recv().unwrap().ack().unwrap();
        panic::resume_unwind(Box::new("an accident in user code"));
    });
    let consumer = builder.build()?;
    let _ = broker.producer("inside")?.publish_batch(0..3_u32);
    publish_both(&broker);
    for number in [7, 8] {
        assert_eq!(ack(consumer.recv()?), number);
    }
    assert_eq!(rest::<u32>(&broker, "inside"), []);
    Ok(())
}

#[test]
fn an_inspector_whose_drop_panics_harms_nobody() -> Result {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic::resume_unwind(Box::new("an accident in user code"));
        }
    }
    let broker = Broker::new();
    let bomb = Bomb;
    let builder = broker.consumer_builder::<u32>(queue());
    let consumer = builder.inspect_decode_errors(move |_| {
        let _ = &bomb;
    });
    drop(consumer.build()?);
    Ok(())
}

#[test]
fn with_auto_ack_a_skipped_message_is_acknowledged_and_not_dead_lettered() -> Result {
    let broker = Broker::new();
    let dead = broker.simple_queue::<String>("dead")?;
    let builder = broker.consumer_builder::<u32>(dying()).auto_ack();
    let consumer = builder.on_decode_error(DecodeErrorPolicy::Reject).build()?;
    publish_both(&broker);
    let mut select = Select::new();
    select.recv(&consumer);
    // A message that is selected and not received is not acknowledged.
    drop(select.select());
    assert_eq!(*consumer.recv()?, 7);
    assert_eq!(*consumer.recv()?, 8);
    assert!(dead.is_empty().unwrap());
    let counts = broker.snapshot()?.vhosts.remove(0).queues;
    let counts = counts
        .into_iter()
        .find(|queue| &*queue.name == "q")
        .unwrap();
    assert_eq!((counts.acked.messages, counts.unsettled.messages), (5, 0));
    Ok(())
}

#[test]
fn a_local_value_that_was_selected_early_returns_whole() -> Result {
    type Job = Local<Box<dyn FnOnce() -> u32 + Send>>;
    let broker = Broker::new();
    let builder = broker.consumer_builder::<Job>(queue());
    let consumer = builder.on_decode_error(DecodeErrorPolicy::Reject).build()?;
    broker
        .producer::<Job>(queue())?
        .publish(Local(Box::new(|| 42)))?;
    let mut select = Select::new();
    select.recv(&consumer);
    drop(select.select());
    let job = select.select().recv(&consumer)?;
    assert!(!job.info().redelivered());
    assert_eq!(job.ack_into().ok().unwrap().0(), 42);
    Ok(())
}

#[test]
fn a_blocked_receiver_skips_and_goes_on_waiting() -> Result {
    let broker = Broker::new();
    let (consumer, _) = consumer(&broker, DecodeErrorPolicy::Reject);
    let receiving = thread::spawn(move || ack(consumer.recv().unwrap()));
    publish_both(&broker);
    assert_eq!(receiving.join().unwrap(), 7);
    Ok(())
}

#[test]
fn a_future_that_is_dropped_has_settled_only_what_it_has_skipped() -> Result {
    let broker = Broker::new();
    let (consumer, _) = consumer(&broker, DecodeErrorPolicy::Ack);
    publish_both(&broker);
    let mut batch = Box::pin(consumer.recv_batch_async(3, Duration::MAX));
    let mut context = Context::from_waker(Waker::noop());
    assert!(batch.as_mut().poll(&mut context).is_pending());
    drop(batch);
    drop(consumer);
    assert_eq!(rest::<u32>(&broker, "q"), [(7, false), (8, false)]);
    Ok(())
}
