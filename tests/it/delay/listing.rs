//! Listing and cancelling delayed messages.

use std::{
    collections::HashSet,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use leveret::{Error, Local, Message, Precondition, Queue, QueueSnapshot, Requeue};

use crate::common::{assert_conserved, connect, share_of};

use super::*;

fn q() -> Queue {
    Queue::new("q")
}

/// Publishes numbers as text to a queue. Each pair is a number and its delay in milliseconds.
fn delay(broker: &Broker, queue: &Queue, messages: &[(u32, u64)]) -> Result {
    let producer = broker.producer::<u32>(queue)?;
    for (number, delay) in messages {
        let message = Message::new(*number).deliver_after(ms(*delay));
        producer.publish_message(message.message_id(number.to_string()))?;
    }
    Ok(())
}

/// The message ids, in the order of the list.
fn listed(delayed: &leveret::Delayed) -> Vec<String> {
    let ids = delayed
        .iter()
        .map(|message| message.properties().message_id.clone());
    ids.map(Option::unwrap_or_default).collect()
}

fn counts(broker: &Broker, queue: &str) -> Result<QueueSnapshot> {
    let queues = broker.snapshot()?.vhosts.remove(0).queues;
    Ok(queues
        .into_iter()
        .find(|known| known.name == queue)
        .expect("it is there"))
}

#[test]
fn messages_are_listed_by_due_time_and_then_by_arrival() -> Result {
    let (broker, clock) = on_a_manual_clock();
    delay(
        &broker,
        &q(),
        &[(3, 30), (1, 10), (2, 20), (4, 30), (5, 20)],
    )?;
    let delayed = broker.delayed(q())?;
    assert_eq!(listed(&delayed), ["1", "2", "5", "3", "4"]);
    assert_eq!(delayed.len(), 5);
    clock.advance(ms(15));
    assert_eq!(listed(&delayed), ["2", "5", "3", "4"]);
    let due: Vec<_> = (&delayed)
        .into_iter()
        .map(|message| message.due_in())
        .collect();
    assert_eq!(due, [ms(5), ms(5), ms(15), ms(15)]);
    Ok(())
}

#[test]
fn a_message_returned_with_a_delay_is_listed_and_can_be_cancelled() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let mailbox = broker.simple_queue::<u32>(&q())?;
    mailbox.put(7)?;
    mailbox.get()?.nack(Requeue::After(ms(10)))?;
    let delayed = broker.delayed(q())?;
    let seen = delayed.iter().next().expect("one waits");
    assert!(seen.redelivered());
    assert_eq!(
        (seen.acquired_count(), seen.due_in(), seen.size()),
        (1, ms(10), 4)
    );
    assert!(delayed.cancel(seen.id()));
    clock.advance(ms(10));
    assert!(mailbox.is_empty().unwrap());
    let counts = counts(&broker, "q")?;
    assert_eq!((counts.purged.messages, counts.delayed.messages), (1, 0));
    assert_conserved(&counts);
    Ok(())
}

#[test]
fn a_message_is_cancelled_once_and_not_after_it_became_ready() -> Result {
    let (broker, clock) = on_a_manual_clock();
    delay(&broker, &q(), &[(1, 10), (2, 20)])?;
    delay(&broker, &Queue::new("other"), &[(1, 10), (2, 20)])?;
    let delayed = broker.delayed(q())?;
    let ids: Vec<_> = delayed.iter().map(|message| message.id()).collect();
    assert!(
        !broker.delayed(Queue::new("other"))?.cancel(ids[0]),
        "another queue's"
    );
    clock.advance(ms(10));
    assert!(!delayed.cancel(ids[0]), "it is ready");
    assert!(delayed.cancel(ids[1]));
    assert!(!delayed.cancel(ids[1]), "it is gone");
    clock.advance(ms(10));
    assert_eq!(broker.simple_queue::<u32>(&q())?.len()?, 1);
    assert_eq!(broker.delayed(Queue::new("other"))?.len(), 0);
    Ok(())
}

#[test]
fn a_filter_selects_the_cancelled_messages_and_may_use_the_broker() -> Result {
    let (broker, clock) = on_a_manual_clock();
    delay(&broker, &q(), &[(1, 10), (2, 20), (3, 30), (4, 40)])?;
    let delayed = broker.delayed(q())?;
    let mut seen = Vec::new();
    let cancelled = delayed.cancel_if(|message| {
        let id = message.properties().message_id.clone().unwrap_or_default();
        assert!(delayed.iter().any(|other| other.id() == message.id()));
        if id == "1" {
            broker.producer::<u32>(&q()).unwrap().publish(9).unwrap();
        }
        let even = id.parse::<u32>().unwrap().is_multiple_of(2);
        seen.push(id);
        even
    });
    assert_eq!(
        (cancelled, seen),
        (2, ["1", "2", "3", "4"].map(String::from).to_vec())
    );
    assert_eq!(listed(&delayed), ["1", "3"]);
    clock.advance(ms(40));
    assert_eq!(counts(&broker, "q")?.ready.messages, 3);
    assert_conserved(&counts(&broker, "q")?);
    Ok(())
}

#[test]
fn a_filter_that_panics_harms_nothing() -> Result {
    let (broker, _) = on_a_manual_clock();
    delay(&broker, &q(), &[(1, 10), (2, 20)])?;
    let delayed = broker.delayed(q())?;
    let cancelling = AssertUnwindSafe(|| {
        delayed.cancel_if(|message| match message.due_in() == ms(10) {
            true => true,
            false => panic::resume_unwind(Box::new("a filter's accident")),
        })
    });
    assert!(panic::catch_unwind(cancelling).is_err());
    assert_eq!(delayed.len(), 2);
    assert_eq!(delayed.cancel_all(), 2);
    assert_conserved(&counts(&broker, "q")?);
    Ok(())
}

#[test]
fn a_message_that_became_ready_while_the_filter_ran_is_not_cancelled() -> Result {
    let (broker, clock) = on_a_manual_clock();
    delay(&broker, &q(), &[(1, 10), (2, 20)])?;
    let delayed = broker.delayed(q())?;
    let cancelled = delayed.cancel_if(|_| {
        clock.advance(ms(5));
        true
    });
    // The first message was already due when the filter returned its answer for the second one.
    assert_eq!((cancelled, delayed.len()), (1, 0));
    assert_eq!(broker.simple_queue::<u32>(&q())?.len()?, 1);
    Ok(())
}

#[test]
fn a_cancelled_payload_is_dropped_without_a_lock() -> Result {
    struct Nosy(
        Broker,
        #[expect(dead_code, reason = "it shows when it goes")] Arc<()>,
    );

    impl Drop for Nosy {
        fn drop(&mut self) {
            let delayed = self.0.delayed(Queue::new("q")).unwrap();
            delayed.cancel_if(|_| false);
            self.0.snapshot().unwrap();
        }
    }

    let (broker, _) = on_a_manual_clock();
    let alive = Arc::new(());
    let producer = broker.producer::<Local<Nosy>>(&q())?;
    for delay in 1..=3 {
        let payload = Local(Nosy(broker.clone(), Arc::clone(&alive)));
        producer.publish_message(Message::new(payload).deliver_after(ms(delay)))?;
    }
    let delayed = broker.delayed(q())?;
    let first = delayed.iter().next().expect("three wait").id();
    assert!(delayed.cancel(first));
    assert_eq!(delayed.cancel_if(|message| message.due_in() == ms(2)), 1);
    assert_eq!(delayed.cancel_all(), 1);
    assert_eq!(Arc::strong_count(&alive), 1);
    Ok(())
}

#[test]
fn the_messages_of_a_delayed_exchange_are_listed_and_cancelled_there() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let exchange = Exchange::fanout("x").delayed();
    let consumer = broker.consumer::<String>(&Queue::new("q").bind(&exchange, ""))?;
    let producer = broker.producer::<String>(&exchange)?;
    for (text, delay) in [("b", 20), ("a", 10), ("c", 30)] {
        let message = Message::new(text.to_owned())
            .routing_key(text)
            .delay(ms(delay));
        producer.publish_message(message)?;
    }
    let delayed = broker.delayed(&exchange)?;
    let seen: Vec<_> = delayed
        .iter()
        .map(|message| {
            (
                message.routing_key().to_owned(),
                message.due_in(),
                message.exchange().clone(),
            )
        })
        .collect();
    let named = |key: &str, due| (key.to_owned(), ms(due), "x".parse().unwrap());
    assert_eq!(seen, [named("a", 10), named("b", 20), named("c", 30)]);
    assert_eq!(delayed.cancel_if(|message| message.routing_key() == "b"), 1);
    assert_eq!(kept_back(&broker, &exchange)?, (2, 2));
    clock.advance(ms(30));
    assert_eq!(all(&consumer), ["a", "c"]);
    Ok(())
}

#[test]
fn brokers_connections_and_channels_return_the_same_routes_and_errors() -> Result {
    let (broker, _) = on_a_manual_clock();
    let connection = connect(&broker)?;
    let channel = connection.open_channel()?;
    delay(&broker, &q(), &[(1, 10)])?;
    assert_eq!(
        (connection.delayed(q())?.len(), channel.delayed(q())?.len()),
        (1, 1)
    );
    assert!(
        broker
            .delayed(Queue::new("none"))
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        broker
            .delayed(Exchange::existing("none"))
            .unwrap_err()
            .is_not_found()
    );
    match broker
        .delayed(Exchange::existing("amq.fanout"))
        .unwrap_err()
    {
        Error::PreconditionFailed(precondition) => {
            assert!(matches!(*precondition, Precondition::NotDelayed(_)));
        }
        other => panic!("{other}"),
    }
    let mine = connection.declare(&Queue::exclusive())?;
    assert_eq!(broker.delayed(&mine).unwrap_err().reply_code(), Some(405));
    connection.close()?;
    assert_eq!(
        connection.delayed(q()).unwrap_err(),
        Error::ConnectionClosed
    );
    Ok(())
}

#[test]
fn nothing_is_listed_at_a_queue_that_is_gone() -> Result {
    let (broker, _) = on_a_manual_clock();
    delay(&broker, &q(), &[(1, 10)])?;
    let delayed = broker.delayed(q())?;
    let id = delayed.iter().next().expect("one waits").id();
    broker.delete(&q())?;
    delay(&broker, &q(), &[(2, 10)])?;
    assert!(delayed.is_empty() && delayed.iter().next().is_none());
    assert_eq!((delayed.cancel(id), delayed.cancel_all()), (false, 0));
    assert!(
        !broker.delayed(q())?.cancel(id),
        "its successor has none of that name"
    );
    Ok(())
}

#[test]
fn a_long_list_is_whole_even_if_it_is_changed_while_it_is_read() -> Result {
    let (broker, _) = on_a_manual_clock();
    let messages: Vec<_> = (0..2_000)
        .map(|number| (number, 10 + u64::from(number % 7)))
        .collect();
    delay(&broker, &q(), &messages)?;
    let delayed = broker.delayed(q())?;
    let mut seen = HashSet::new();
    for message in &delayed {
        assert!(seen.insert(message.id()), "twice");
        let number = message.properties().message_id.clone().unwrap_or_default();
        if number.ends_with('5') {
            assert!(delayed.cancel(message.id()));
        }
    }
    assert_eq!((seen.len(), delayed.len()), (2_000, 1_800));
    assert_eq!(delayed.cancel_if(|_| true), 1_800);
    assert_conserved(&counts(&broker, "q")?);
    Ok(())
}

/// The number of messages in each of the two places, so a million in all. Debug builds use fewer
/// because they are slow.
const MANY: u32 = match cfg!(debug_assertions) {
    true => 40_000,
    false => 500_000,
};

#[test]
fn a_million_wait_in_a_queue_and_in_an_exchange_and_come_in_order() -> Result {
    let many = share_of(MANY);
    let (broker, clock) = on_a_manual_clock();
    let exchange = Exchange::fanout("x").delayed();
    let producer = broker.producer::<u32>(&q())?;
    let delaying = broker.producer::<u32>(&exchange)?;
    let routed = broker.simple_queue::<u32>(&Queue::new("routed").bind(&exchange, ""))?;
    // The publishing order is unrelated to the order of the due times.
    for number in 0..many {
        let due = (number.wrapping_mul(2_654_435_761)) % 3_600_000;
        let message = Message::new(due).deliver_after(ms(due.into()));
        producer.publish_message(message)?;
        let message = Message::new(due).delay(ms(u64::from(due) + 1));
        delaying.publish_message(message)?;
    }
    let (queued, kept) = (broker.delayed(q())?, broker.delayed(&exchange)?);
    let late = |message: &leveret::DelayedMessage| message.due_in() > ms(1_800_000);
    let cancelled = (queued.cancel_if(late), kept.cancel_if(|_| false));
    assert_eq!(cancelled.1, 0);
    clock.advance(ms(3_600_001));
    let mailbox = broker.simple_queue::<u32>(&q())?;
    assert_eq!(
        (mailbox.len().unwrap() as u64, routed.len().unwrap() as u32),
        (u64::from(many) - cancelled.0, many)
    );
    for mailbox in [mailbox, routed] {
        let mut before = 0;
        while let Ok(delivery) = mailbox.try_get() {
            assert!(before <= *delivery);
            before = *delivery;
            delivery.ack()?;
        }
    }
    assert_conserved(&counts(&broker, "q")?);
    assert_conserved(&counts(&broker, "routed")?);
    Ok(())
}
