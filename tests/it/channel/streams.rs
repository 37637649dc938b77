//! Streams of events: that of a channel, and that of a connection with many channels.

use std::{
    pin::pin,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering::SeqCst},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use leveret::{
    Broker, CancelReason, Channel, Connection, Error, Overflow, Properties, Queue, RecvError,
    Result, TryRecvError,
    channel::{
        AckMode, ChannelOptions, Confirm, ConfirmOutcome, ConsumeOptions, Event, IfEmpty, IfUnused,
        PublishOptions,
    },
};

use crate::common::{channel_of, connect};

fn publish(channel: &Channel, key: &str, body: &str) -> Result {
    let (body, properties) = (body.to_owned(), Properties::new());
    channel.basic_publish("", key, body, properties, PublishOptions::new())?;
    Ok(())
}

/// A channel with a consumer of a queue of its own. Its events go to the connection.
fn consuming(connection: &Connection, queue: &str) -> Result<Channel> {
    let channel = connection.open_channel_with(ChannelOptions::new().events_to_connection())?;
    channel.queue_declare(&Queue::new(queue))?;
    channel.basic_consume(queue, ConsumeOptions::new())?;
    Ok(channel)
}

fn body_of(event: &Event) -> String {
    match event {
        Event::Delivery(delivery) => delivery.body().unwrap().as_str().unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// Counts its wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

#[test]
fn one_reader_gets_the_events_of_all_channels_of_a_connection_in_broker_order() -> Result {
    let broker = Broker::new();
    let connection = connect(&broker)?;
    let (first, second) = (consuming(&connection, "a")?, consuming(&connection, "b")?);
    first.confirm_select()?;
    publish(&first, "b", "1")?;
    publish(&second, "a", "2")?;
    publish(&second, "b", "3")?;
    second.queue_delete("b", IfUnused::No, IfEmpty::No)?;
    let mut events = Vec::new();
    assert_eq!(connection.events().drain_into(&mut events, usize::MAX), 5);
    let seen: Vec<_> = events
        .iter()
        .map(|(number, event)| match event {
            Event::Confirm(_) => (*number, "confirm".to_owned()),
            Event::Cancelled { .. } => (*number, "cancelled".to_owned()),
            delivery => (*number, body_of(delivery)),
        })
        .collect();
    let expected = [
        (2, "1"),
        (1, "confirm"),
        (1, "2"),
        (2, "3"),
        (2, "cancelled"),
    ];
    assert_eq!(
        seen,
        expected.map(|(number, what)| (number, what.to_owned()))
    );
    // The channels' own streams have none of them.
    assert!(matches!(
        first.events().try_recv(),
        Err(TryRecvError::Empty)
    ));
    Ok(())
}

#[test]
fn the_stream_of_a_connection_ends_with_it_after_its_last_event() -> Result {
    let broker = Broker::new();
    let connection = connect(&broker)?;
    let channel = consuming(&connection, "a")?;
    let events = connection.events();
    publish(&channel, "a", "1")?;
    connection.close()?;
    let (number, event) = events.recv()?;
    assert_eq!((number, &*body_of(&event)), (1, "1"));
    let end = events.recv().unwrap_err();
    assert!(matches!(
        end,
        RecvError::Cancelled(CancelReason::ConnectionClosed)
    ));

    let idle = connect(&broker)?;
    let events = idle.events();
    let waiting = thread::spawn(move || events.recv().unwrap_err());
    broker.delete_vhost("/")?;
    let end = waiting.join().unwrap();
    assert!(matches!(
        end,
        RecvError::Cancelled(CancelReason::VhostDeleted)
    ));
    Ok(())
}

#[test]
fn a_number_can_be_used_again_and_brings_no_old_events() -> Result {
    let broker = Broker::new();
    let connection = connect(&broker)?;
    let (first, other) = (consuming(&connection, "a")?, consuming(&connection, "b")?);
    publish(&other, "a", "old")?;
    publish(&other, "b", "kept")?;
    first.close()?;
    let options = ChannelOptions::new().number(1).events_to_connection();
    let again = connection.open_channel_with(options)?;
    publish(&again, "b", "new")?;
    let events = connection.events();
    for expected in ["kept", "new"] {
        let (number, event) = events.try_recv()?;
        assert_eq!((number, &*body_of(&event)), (2, expected));
    }
    assert!(matches!(events.try_recv(), Err(TryRecvError::Empty)));
    // The message of the old event is back in its queue.
    let back = again
        .basic_get("a", AckMode::Auto)?
        .expect("it was unsettled");
    assert!(back.redelivered());
    Ok(())
}

#[test]
fn a_channel_has_the_number_that_its_options_say() -> Result {
    let broker = Broker::new();
    let connection = connect(&broker)?;
    let open = |number| connection.open_channel_with(ChannelOptions::new().number(number));
    let (last, second) = (open(u16::MAX)?, open(2)?);
    assert_eq!((last.number(), second.number()), (u16::MAX, 2));
    let chosen = [connection.open_channel()?, connection.open_channel()?];
    assert_eq!(chosen.map(|channel| channel.number()), [1, 3]);
    let in_use = open(2).unwrap_err();
    assert_eq!(
        (in_use.reply_code(), in_use.to_string()),
        (
            Some(504),
            "CHANNEL_ERROR - second 'channel.open' seen".to_owned()
        )
    );
    assert!(matches!(open(0), Err(Error::ChannelError(_))));
    // A refused channel takes nothing from the one that has the number.
    publish(&second, "nowhere", "")?;
    second.close()?;
    assert_eq!(open(2)?.number(), 2);
    Ok(())
}

#[test]
fn a_polled_stream_wakes_the_task_of_the_last_poll() -> Result {
    let broker = Broker::new();
    let channel = channel_of(&broker)?;
    channel.queue_declare(&Queue::new("q"))?;
    channel.basic_consume("q", ConsumeOptions::new().auto_ack())?;
    let events = channel.events();
    let (first, second) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    for wakes in [&first, &second] {
        let waker = Waker::from(Arc::clone(wakes));
        assert!(
            events
                .poll_recv(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    publish(&channel, "q", "1")?;
    publish(&channel, "q", "2")?;
    assert_eq!((first.count(), second.count()), (0, 1));
    let mut context = Context::from_waker(Waker::noop());
    for expected in ["1", "2"] {
        match events.poll_recv(&mut context) {
            Poll::Ready(Ok(event)) => assert_eq!(body_of(&event), expected),
            other => panic!("{other:?}"),
        }
    }
    assert!(events.poll_recv(&mut context).is_pending());
    channel.close()?;
    let end = events.poll_recv(&mut context).map(|event| event.is_err());
    assert_eq!(end, Poll::Ready(true));
    Ok(())
}

#[test]
fn a_polled_handle_that_is_dropped_hands_its_wake_on() -> Result {
    let broker = Broker::new();
    let channel = channel_of(&broker)?;
    channel.queue_declare(&Queue::new("q"))?;
    channel.basic_consume("q", ConsumeOptions::new().auto_ack())?;
    let polled = channel.events();
    let mut context = Context::from_waker(Waker::noop());
    assert!(polled.poll_recv(&mut context).is_pending());
    let other = channel.events();
    let mut waiting = pin!(other.recv_async());
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    assert!(
        waiting
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    publish(&channel, "q", "1")?;
    assert_eq!(wakes.count(), 0);
    drop(polled);
    assert_eq!(wakes.count(), 1);
    assert!(waiting.poll(&mut context).is_ready());
    Ok(())
}

#[test]
fn confirms_that_are_not_read_are_joined_where_their_order_permits() -> Result {
    let broker = Broker::new();
    let channel = channel_of(&broker)?;
    let small = Queue::new("small").max_length(256);
    channel.queue_declare(&small.overflow(Overflow::RejectPublish))?;
    channel.confirm_select()?;
    for _ in 0..258 {
        publish(&channel, "small", "m")?;
    }
    let mandatory = PublishOptions::new().mandatory();
    channel.basic_publish("", "nowhere", "m", Properties::new(), mandatory)?;
    publish(&channel, "nowhere", "m")?;
    let mut events = Vec::new();
    channel.events().drain_into(&mut events, usize::MAX);
    let seen: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Confirm(Confirm {
                delivery_tag,
                multiple,
                outcome,
                ..
            }) => Some((*delivery_tag, *multiple, *outcome)),
            Event::Return(_) => None,
            other => panic!("{other:?}"),
        })
        .collect();
    // A return comes before the confirm of its message.
    let expected = [
        Some((256, true, ConfirmOutcome::Ack)),
        Some((258, true, ConfirmOutcome::Nack)),
        None,
        Some((260, true, ConfirmOutcome::Ack)),
    ];
    assert_eq!(seen, expected);
    // One that was read is not changed any more.
    publish(&channel, "nowhere", "m")?;
    assert!(matches!(
        channel.events().recv_timeout(Duration::ZERO)?,
        Event::Confirm(Confirm {
            delivery_tag: 261,
            multiple: false,
            ..
        })
    ));
    Ok(())
}
