//! Every way to publish in every form: blocking, without waiting, for a limited time, as a future.

use std::{future::Future, pin::Pin, task::Poll, thread, time::Duration};

use leveret::{
    Broker, Channel, Error, Exchange, Message, Overflow, Producer, Properties, Queue, Result,
    SimpleQueue, channel::PublishOptions,
};

use crate::common::{Alarm, HOUR, channel_of};

const SHORT: Duration = Duration::from_millis(1);

/// The handles that publish to the full blocking queue "q".
#[derive(Clone)]
struct Handles {
    producer: Producer<u32>,
    /// Publishes to the default exchange.
    any: Producer<u32>,
    mailbox: SimpleQueue<u32>,
    channel: Channel,
}

fn handles(broker: &Broker) -> Result<Handles> {
    let queue = Queue::new("q").max_length(1).overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue)?;
    producer.publish(0)?;
    Ok(Handles {
        producer,
        any: broker.producer(Exchange::existing(""))?,
        mailbox: broker.simple_queue(&queue)?,
        channel: channel_of(broker)?,
    })
}

/// A message with a correlation id, which has no short way into the queue.
fn request() -> Message<u32> {
    Message::new(7).correlation_id("request-1")
}

type Outcome = std::result::Result<usize, Error>;

/// Returns the error without the payload, which must be the one that was given.
macro_rules! outcome {
    ($sent:expr) => {
        match $sent {
            Ok(published) => Ok(published.routed),
            Err(refused) => {
                let (error, given) = refused.into_parts();
                assert_eq!(given, Some(7));
                Err(error)
            }
        }
    };
    (message $sent:expr) => {
        match $sent {
            Ok(published) => Ok(published.routed),
            Err(refused) => {
                let (error, given) = refused.into_parts();
                assert_eq!(given, Some(request()));
                Err(error)
            }
        }
    };
    (batch $sent:expr) => {{
        let mut sent = $sent;
        assert_eq!(sent.len(), 1);
        outcome!(sent.next().unwrap())
    }};
    (channel $sent:expr) => {
        $sent.map(|outcome| outcome.published.routed)
    };
}

fn plain() -> (Properties, PublishOptions) {
    (Properties::new(), PublishOptions::new())
}

#[test]
fn no_try_form_waits() -> Result {
    type Form = fn(&Handles) -> Outcome;
    let forms: [Form; 7] = [
        |to| outcome!(to.producer.try_publish(7)),
        |to| outcome!(to.any.try_publish_to("q", 7)),
        |to| outcome!(message to.producer.try_publish_message(request())),
        |to| outcome!(batch to.producer.try_publish_batch([7])),
        |to| outcome!(to.mailbox.try_put(7)),
        |to| outcome!(message to.mailbox.try_put_message(request())),
        |to| {
            let (properties, options) = plain();
            outcome!(channel to.channel.try_basic_publish("", "q", "m", properties, options))
        },
    ];
    for (number, form) in forms.iter().enumerate() {
        let broker = Broker::new();
        let to = handles(&broker)?;
        let refused = form(&to);
        assert_eq!(
            refused,
            Err(Error::Refused {
                queue: "q".parse()?,
                dead_lettered: false
            }),
            "{number}"
        );
        assert_eq!(broker.purge("q")?, 1);
        assert_eq!(form(&to), Ok(1), "{number}");
    }
    Ok(())
}

#[test]
fn every_timeout_form_waits_for_its_time() -> Result {
    type Form = fn(&Handles, Duration) -> Outcome;
    let forms: [Form; 7] = [
        |to, time| outcome!(to.producer.publish_timeout(7, time)),
        |to, time| outcome!(to.any.publish_to_timeout("q", 7, time)),
        |to, time| outcome!(message to.producer.publish_message_timeout(request(), time)),
        |to, time| outcome!(batch to.producer.publish_batch_timeout([7], time)),
        |to, time| outcome!(to.mailbox.put_timeout(7, time)),
        |to, time| outcome!(message to.mailbox.put_message_timeout(request(), time)),
        |to, time| {
            let (properties, options) = plain();
            let channel = &to.channel;
            let sent = channel.basic_publish_timeout("", "q", "m", properties, options, time);
            outcome!(channel sent)
        },
    ];
    for (number, form) in forms.iter().enumerate() {
        let broker = Broker::new();
        let to = handles(&broker)?;
        assert_eq!(form(&to, SHORT), Err(Error::Timeout), "{number}");
        thread::scope(|scope| {
            let publishing = scope.spawn(|| form(&to, HOUR));
            to.mailbox.get().unwrap().ack().unwrap();
            assert_eq!(publishing.join().unwrap(), Ok(1), "{number}");
        });
    }
    Ok(())
}

#[test]
fn no_task_stops_its_thread_while_it_waits_for_room() -> Result {
    type Task<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;
    type Form = for<'a> fn(&'a Handles) -> Task<'a>;
    let forms: [Form; 7] = [
        |to| Box::pin(async { outcome!(to.producer.publish_async(7).await) }),
        |to| Box::pin(async { outcome!(to.any.publish_to_async("q", 7).await) }),
        |to| {
            let sent = to.producer.publish_message_async(request());
            Box::pin(async { outcome!(message sent.await) })
        },
        |to| Box::pin(async { outcome!(batch to.producer.publish_batch_async([7]).await) }),
        |to| Box::pin(async { outcome!(to.mailbox.put_async(7).await) }),
        |to| {
            let sent = to.mailbox.put_message_async(request());
            Box::pin(async { outcome!(message sent.await) })
        },
        |to| {
            let (properties, options) = plain();
            let sent = to
                .channel
                .basic_publish_async("", "q", "m", properties, options);
            Box::pin(async { outcome!(channel sent.await) })
        },
    ];
    for (number, form) in forms.iter().enumerate() {
        let broker = Broker::new();
        let to = handles(&broker)?;
        let alarm = Alarm::new();
        let mut dropped = form(&to);
        assert!(alarm.poll(dropped.as_mut()).is_pending(), "{number}");
        let mut waiting = form(&to);
        assert!(alarm.poll(waiting.as_mut()).is_pending(), "{number}");
        drop(dropped);
        to.mailbox.get()?.ack()?;
        assert!(alarm.has_rung(), "{number}");
        assert_eq!(alarm.poll(waiting.as_mut()), Poll::Ready(Ok(1)), "{number}");
        assert_eq!(to.mailbox.len().unwrap(), 1, "{number}");

        let mut ended = form(&to);
        assert!(alarm.poll(ended.as_mut()).is_pending(), "{number}");
        broker.shutdown(Duration::ZERO)?;
        assert!(alarm.has_rung(), "{number}");
        assert_eq!(
            alarm.poll(ended.as_mut()),
            Poll::Ready(Err(Error::ShutDown)),
            "{number}"
        );
    }
    Ok(())
}

#[test]
fn a_batch_waits_for_room_in_its_middle_and_keeps_its_order() -> Result {
    let broker = Broker::new();
    let queue = Queue::new("q").max_length(3).overflow(Overflow::Block);
    let producer = broker.producer::<u32>(&queue)?;
    let mailbox = broker.simple_queue::<u32>(&queue)?;
    let results = producer.try_publish_batch(0..5);
    let failed: Vec<u32> = results
        .filter_map(|result| result.err()?.into_inner())
        .collect();
    assert_eq!(failed, [3, 4]);

    let alarm = Alarm::new();
    let mut publishing = Box::pin(producer.publish_batch_async(failed));
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    mailbox.get()?.ack()?;
    assert!(alarm.has_rung());
    assert!(alarm.poll(publishing.as_mut()).is_pending());
    mailbox.get()?.ack()?;
    match alarm.poll(publishing.as_mut()) {
        Poll::Ready(results) => assert!(results.iter().all(Result::is_ok)),
        Poll::Pending => panic!("there is room"),
    }
    for number in 2..5 {
        let delivery = mailbox.get()?;
        assert_eq!(*delivery, number);
        delivery.ack()?;
    }

    // The time limit is for the whole batch. Payloads with room are published all the same.
    let results = producer.publish_batch_timeout(5..10, SHORT);
    let published = results.iter().map(Result::is_ok);
    assert!(published.eq([true, true, true, false, false]));
    Ok(())
}
