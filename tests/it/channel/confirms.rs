//! Waiting for the confirms of a channel.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, JoinHandle},
    time::Duration,
};

use leveret::{
    Broker, Channel, Error, Exchange, FieldTable, Overflow, Properties, Published, Queue, Result,
    channel::{ConfirmOutcome, Event, PublishOptions, PublishOutcome},
};

use crate::common::channel_of;

fn publish(channel: &Channel, exchange: &str, key: &str) -> Result {
    channel.basic_publish(exchange, key, "m", Properties::new(), PublishOptions::new())?;
    Ok(())
}

#[test]
fn a_wait_for_confirms_reports_a_nack_once() -> Result {
    let broker = Broker::new();
    let channel = channel_of(&broker)?;
    let small = Queue::new("small")
        .max_length(1)
        .overflow(Overflow::RejectPublish);
    channel.queue_declare(&small)?;
    channel.confirm_select()?;
    assert_eq!(channel.wait_for_confirms()?, ConfirmOutcome::Ack);
    publish(&channel, "", "small")?;
    publish(&channel, "", "nowhere")?; // unroutable, and acknowledged all the same
    assert_eq!(channel.wait_for_confirms()?, ConfirmOutcome::Ack);
    publish(&channel, "", "small")?;
    publish(&channel, "", "nowhere")?;
    assert_eq!(channel.wait_for_confirms()?, ConfirmOutcome::Nack);
    assert_eq!(channel.wait_for_confirms()?, ConfirmOutcome::Ack);
    // The confirms are also events, in the order of the sequence numbers. The waits take none away.
    let events = channel.events();
    let outcomes: Vec<_> = std::iter::from_fn(|| match events.try_recv() {
        Ok(Event::Confirm(confirm)) => {
            Some((confirm.delivery_tag, confirm.multiple, confirm.outcome))
        }
        _ => None,
    })
    .collect();
    let expected = [
        (2, true, ConfirmOutcome::Ack),
        (3, false, ConfirmOutcome::Nack),
        (4, false, ConfirmOutcome::Ack),
    ];
    assert_eq!(outcomes, expected);
    Ok(())
}

#[test]
fn only_a_channel_in_confirm_mode_has_confirms_to_wait_for() -> Result {
    let broker = Broker::new();
    let (plain, tx) = (channel_of(&broker)?, channel_of(&broker)?);
    tx.tx_select()?;
    for channel in [plain, tx] {
        let error = channel.wait_for_confirms().unwrap_err();
        let text = "PRECONDITION_FAILED - channel is not in confirm mode";
        assert_eq!(
            (error.reply_code(), error.to_string()),
            (Some(406), text.to_owned())
        );
        assert_eq!(channel.try_wait_for_confirms(), Err(error.clone()));
        assert_eq!(
            channel.wait_for_confirms_timeout(Duration::ZERO),
            Err(error.clone())
        );
        let mut context = Context::from_waker(Waker::noop());
        let polled = pin!(channel.wait_for_confirms_async()).poll(&mut context);
        assert_eq!(polled, Poll::Ready(Err(error)));
        channel.close()?;
        assert_eq!(channel.wait_for_confirms(), Err(Error::ChannelClosed));
    }
    Ok(())
}

#[test]
fn a_delayed_message_is_confirmed_when_it_is_kept_back() -> Result {
    let broker = Broker::new();
    let channel = channel_of(&broker)?;
    channel.exchange_declare(&Exchange::fanout("x").delayed())?;
    channel.confirm_select()?;
    let late = Properties::new().header("x-delay", 60_000);
    channel.basic_publish("x", "", "m", late, PublishOptions::new())?;
    assert_eq!(channel.try_wait_for_confirms()?, Some(ConfirmOutcome::Ack));
    Ok(())
}

#[test]
fn a_publish_returns_what_its_events_say() -> Result {
    let broker = Broker::new();
    let channel = channel_of(&broker)?;
    for queue in ["small", "large"] {
        let full_at_one = Queue::new(queue).max_length(1);
        channel.queue_declare(&full_at_one.overflow(Overflow::RejectPublish))?;
        channel.queue_bind(queue, "amq.fanout", "", FieldTable::new())?;
    }
    let publish = |exchange: &str, options| {
        let published = channel.basic_publish(exchange, "", "m", Properties::new(), options)?;
        let Published {
            routed, refused, ..
        } = published.published;
        let PublishOutcome {
            returned,
            number,
            confirmed,
            ..
        } = published;
        Ok::<_, Error>(((routed, refused), returned, number, confirmed))
    };
    let (plain, mandatory) = (PublishOptions::new(), PublishOptions::new().mandatory());
    assert_eq!(publish("amq.fanout", plain)?, ((2, 0), false, None, None));
    channel.queue_purge("small")?;
    assert_eq!(publish("amq.topic", plain)?, ((0, 0), false, None, None));
    assert_eq!(publish("amq.topic", mandatory)?, ((0, 0), true, None, None));
    channel.confirm_select()?;
    let (ack, nack) = (Some(ConfirmOutcome::Ack), Some(ConfirmOutcome::Nack));
    assert_eq!(
        publish("amq.fanout", plain)?,
        ((1, 1), false, Some(1), nack)
    );
    assert_eq!(
        publish("amq.fanout", plain)?,
        ((0, 2), false, Some(2), nack)
    );
    assert_eq!(
        publish("amq.topic", mandatory)?,
        ((0, 0), true, Some(3), ack)
    );
    // A message that was given up has no number.
    let given_up = channel.try_basic_publish("", "small", "m", Properties::new(), plain);
    assert!(matches!(given_up, Err(Error::Refused { .. })));
    let (none, key) = (Properties::new(), "nowhere");
    let timed = channel.basic_publish_timeout("", key, "m", none.clone(), plain, Duration::ZERO)?;
    assert_eq!((timed.number, timed.confirmed), (Some(4), ack));
    let mut context = Context::from_waker(Waker::noop());
    let async_form = pin!(channel.basic_publish_async("", key, "m", none, plain));
    match async_form.poll(&mut context) {
        Poll::Ready(outcome) => assert_eq!(outcome?.number, Some(5)),
        Poll::Pending => panic!("there is nothing to wait for"),
    }
    // In a transaction nothing has happened yet.
    let channel = channel_of(&broker)?;
    channel.tx_select()?;
    let later = channel.basic_publish("", "large", "m", Properties::new(), plain)?;
    assert_eq!(later, PublishOutcome::default());
    Ok(())
}

/// A task's waker. It blocks the thread that calls it until the test lets that thread continue.
struct Gate {
    reached: Sender<()>,
    go: Mutex<Receiver<()>>,
}

impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        self.reached.send(()).unwrap();
        self.go.lock().unwrap().recv().unwrap();
    }
}

/// A message that another thread is publishing. It is in its queue and not yet confirmed.
struct UnderWay {
    broker: Broker,
    channel: Channel,
    go: Sender<()>,
    publishing: JoinHandle<Result>,
}

fn under_way() -> Result<UnderWay> {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let consumer = broker.consumer::<Vec<u8>>(&queue)?;
    let channel = channel_of(&broker)?;
    channel.confirm_select()?;
    let ((reached, at), (go, going)) = (self::channel(), self::channel());
    let gate = Waker::from(Arc::new(Gate {
        reached,
        go: Mutex::new(going),
    }));
    let mut receiving = Box::pin(consumer.recv_async());
    assert!(
        receiving
            .as_mut()
            .poll(&mut Context::from_waker(&gate))
            .is_pending()
    );
    let publishing = thread::spawn({
        let channel = channel.clone();
        move || publish(&channel, "", "q")
    });
    at.recv().unwrap();
    drop(receiving);
    Ok(UnderWay {
        broker,
        channel,
        go,
        publishing,
    })
}

#[test]
fn a_message_that_another_thread_is_publishing_is_waited_for() -> Result {
    let UnderWay {
        broker: _broker,
        channel,
        go,
        publishing,
    } = under_way()?;
    assert_eq!(channel.try_wait_for_confirms()?, None);
    let brief = Duration::from_millis(1);
    assert_eq!(
        channel.wait_for_confirms_timeout(brief),
        Err(Error::Timeout)
    );
    let mut waiting = pin!(channel.wait_for_confirms_async());
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    let blocked = thread::spawn({
        let channel = channel.clone();
        move || channel.wait_for_confirms()
    });
    go.send(()).unwrap();
    assert_eq!(blocked.join().unwrap(), Ok(ConfirmOutcome::Ack));
    publishing.join().unwrap()?;
    assert_eq!(
        waiting.poll(&mut context),
        Poll::Ready(Ok(ConfirmOutcome::Ack))
    );
    Ok(())
}

#[test]
fn a_wait_is_woken_when_the_channel_or_the_broker_ends() -> Result {
    type End = fn(&UnderWay);
    let ends: [(End, Error); 2] = [
        (
            |under_way| under_way.channel.close().unwrap(),
            Error::ChannelClosed,
        ),
        (
            |under_way| drop(under_way.broker.shutdown(Duration::ZERO).unwrap()),
            Error::ShutDown,
        ),
    ];
    for (end, expected) in ends {
        let under_way = under_way()?;
        let mut waiting = pin!(under_way.channel.wait_for_confirms_async());
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        let blocked = thread::spawn({
            let channel = under_way.channel.clone();
            move || channel.wait_for_confirms()
        });
        end(&under_way);
        assert_eq!(blocked.join().unwrap(), Err(expected.clone()));
        assert_eq!(waiting.poll(&mut context), Poll::Ready(Err(expected)));
        under_way.go.send(()).unwrap();
        under_way.publishing.join().unwrap()?;
    }
    Ok(())
}
