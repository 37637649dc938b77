//! Redriving while the filter panics, while others use the queue, and over several pages.

use std::{panic, thread, time::Duration};

use leveret::{
    Broker, Budget, Connection, Error, FieldTable, FieldValue, Message, Overflow, Properties,
    Queue, QueueSnapshot, Requeue, Result, Selection,
};
use proptest::prelude::*;

use crate::common::{assert_conserved, cases, on_a_manual_clock, rest};

fn counts(broker: &Broker, name: &str) -> QueueSnapshot {
    let snapshot = broker.snapshot().unwrap();
    let mut queues = snapshot.vhosts[0].queues.iter();
    queues.find(|queue| *queue.name == *name).unwrap().clone()
}

/// Dead-letters the numbers from 0 up to `count` in the queue "tasks", without a failed delivery.
/// They are in the queue "dead" then.
fn with_dead_letters(dead: Queue, count: u32) -> (Broker, Connection, Queue) {
    let (broker, _) = on_a_manual_clock();
    broker.declare(&Budget::new("b", 1 << 20)).unwrap();
    let dead = broker.declare(&dead.budget("b")).unwrap();
    let tasks = Queue::new("tasks").dead_letter_exchange("");
    let tasks = tasks.dead_letter_routing_key("dead");
    let tasks = broker.simple_queue::<u32>(&tasks).unwrap();
    for number in 0..count {
        let message = Message::new(number).header("number", i64::from(number));
        let message = message.priority((number % 4) as u8);
        tasks.put_message(message).unwrap();
        tasks.get().unwrap().nack(Requeue::No).unwrap();
    }
    let vhost = broker.vhost("/").unwrap();
    (broker, vhost, dead)
}

fn number(properties: &Properties) -> u32 {
    let number = properties.header_value("number").and_then(|n| n.as_i64());
    number.unwrap().try_into().unwrap()
}

#[test]
fn a_filter_that_panics_leaves_what_is_not_moved_in_its_place() {
    for accident in [0, 1, 5, 9] {
        let (broker, vhost, dead) = with_dead_letters(Queue::new("dead"), 10);
        let filter = |properties: &Properties| {
            if number(properties) == accident {
                panic::resume_unwind(Box::new("a filter's accident"));
            }
            true
        };
        let redrive = Selection::all().filter(filter);
        let redriven = vhost.redrive(&dead, redrive);
        assert_eq!(redriven, Err(Error::Panicked("the filter")));
        let counts = counts(&broker, "dead");
        assert_eq!(counts.ready.messages, u64::from(10 - accident));
        assert_eq!(counts.moved.messages, u64::from(accident));
        assert_eq!(counts.unsettled.messages, 0);
        assert_conserved(&counts);
        assert_eq!(broker.budget("b").unwrap().used, counts.ready.bytes);
        let left: Vec<_> = (accident..10).map(|number| (number, false)).collect();
        assert_eq!(rest::<u32>(&broker, "dead"), left);
        let moved: Vec<_> = (0..accident).map(|number| (number, false)).collect();
        assert_eq!(rest::<u32>(&broker, "tasks"), moved);
        assert!(!broker.shutdown(Duration::ZERO).unwrap().timed_out);
    }
}

#[test]
fn others_have_the_queue_while_the_filter_runs() -> Result {
    let (broker, vhost, dead) = with_dead_letters(Queue::new("dead"), 10);
    let others = broker.simple_queue::<u32>(&dead)?;
    let mut seen = Vec::new();
    let filter = |properties: &Properties| {
        let number = number(properties);
        seen.push(number);
        match number {
            0 => assert_eq!(others.len().unwrap(), 10),
            // Another consumer takes what is being looked at, and the next one.
            2 => {
                assert_eq!(others.len().unwrap(), 8);
                for expected in [2, 3] {
                    let delivery = others.get().unwrap();
                    assert_eq!(*delivery, expected);
                    delivery.ack().unwrap();
                }
            }
            // This one comes back, and is moved.
            4 => drop(others.get().unwrap()),
            _ => {}
        }
        number < 6
    };
    assert_eq!(vhost.redrive(&dead, Selection::all().filter(filter))?, 4);
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let home: Vec<u32> = rest(&broker, "tasks").into_iter().map(|(n, _)| n).collect();
    assert_eq!(home, [0, 1, 4, 5]);
    assert_conserved(&counts(&broker, "dead"));
    assert_eq!(others.len().unwrap(), 4);
    Ok(())
}

#[test]
fn a_message_that_dies_again_at_once_is_moved_once() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let dead = broker.declare(&Queue::new("dead"))?;
    let tasks = Queue::new("tasks").message_ttl(Duration::ZERO);
    let tasks = tasks
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    let producer = broker.producer::<u32>(&tasks)?;
    for number in 0..300 {
        producer.publish(number)?;
    }
    clock.advance(Duration::from_secs(1));
    assert_eq!(broker.vhost("/")?.redrive(&dead, Selection::all())?, 300);
    clock.advance(Duration::from_secs(1));
    let again: Vec<u32> = rest(&broker, "dead").into_iter().map(|(n, _)| n).collect();
    assert_eq!(again, (0..300).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn a_redrive_beside_a_consumer_moves_each_message_or_leaves_it_to_the_consumer() {
    let (broker, vhost, dead) = with_dead_letters(Queue::new("dead"), 1_000);
    let others = broker.simple_queue::<u32>(&dead).unwrap();
    let taker = thread::spawn(move || {
        let mut taken = Vec::new();
        while let Ok(delivery) = others.try_get() {
            taken.push(*delivery);
            delivery.ack().unwrap();
        }
        taken
    });
    let moved = vhost.redrive(&dead, Selection::all()).unwrap();
    let mut all = taker.join().unwrap();
    let home = rest::<u32>(&broker, "tasks");
    assert_eq!(home.len() as u64, moved);
    all.extend(home.into_iter().map(|(number, _)| number));
    all.sort_unstable();
    assert_eq!(all, (0..1_000).collect::<Vec<_>>());
    assert_conserved(&counts(&broker, "dead"));
    assert_eq!(broker.budget("b").unwrap().used, 0);
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_redrive_goes_in_the_order_of_delivery_and_keeps_the_places_of_the_others(
        count in 0..700_u32,
        priorities: bool,
        returned in 0..20_usize,
        most in prop_oneof![Just(usize::MAX), 0..300_usize],
        modulus in 1..5_u32,
    ) {
        let dead = Queue::new("dead");
        let dead = if priorities { dead.max_priority(3) } else { dead };
        let (broker, vhost, dead) = with_dead_letters(dead, count);
        let others = broker.simple_queue::<u32>(&dead).unwrap();
        let held: Vec<_> = (0..returned).map_while(|_| others.try_get().ok()).collect();
        let marked: Vec<u32> = held.iter().map(|delivery| **delivery).collect();
        drop(held);
        let mut line: Vec<u32> = (0..count).collect();
        if priorities {
            line.sort_by_key(|number| std::cmp::Reverse(number % 4));
        }
        let chosen = |number: &u32| number.is_multiple_of(modulus);
        let moved: Vec<u32> = line.iter().copied().filter(chosen).take(most).collect();
        let mut seen = Vec::new();
        let which = Selection::first(most).filter(|properties| {
            seen.push(number(properties));
            chosen(&number(properties))
        });
        prop_assert_eq!(vhost.redrive(&dead, which).unwrap(), moved.len() as u64);
        prop_assert_eq!(&seen[..], &line[..seen.len()]);
        let kept = line.iter().filter(|number| !moved.contains(number));
        let kept: Vec<_> = kept.map(|number| (*number, marked.contains(number))).collect();
        prop_assert_eq!(rest::<u32>(&broker, "dead"), kept);
        let home: Vec<u32> = rest(&broker, "tasks").into_iter().map(|(n, _)| n).collect();
        prop_assert_eq!(home, moved);
        assert_conserved(&counts(&broker, "dead"));
    }
}

#[test]
fn a_dead_letter_stays_where_it_is_if_its_home_is_full_and_lets_publishers_wait() -> Result {
    let broker = Broker::new();
    let dead = broker.declare(&Queue::new("dead"))?;
    let tasks = Queue::new("tasks").max_length(1).overflow(Overflow::Block);
    let tasks = tasks
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead");
    let tasks = broker.simple_queue::<u32>(&tasks)?;
    for number in 0..2 {
        tasks.put(number)?;
        tasks.get()?.nack(Requeue::No)?;
    }
    let vhost = broker.vhost("/")?;
    assert_eq!(vhost.redrive(&dead, Selection::all())?, 1);
    assert_eq!(
        (tasks.len().unwrap(), rest::<u32>(&broker, "dead")),
        (1, vec![(1, false)])
    );
    Ok(())
}

#[test]
fn a_message_that_a_client_calls_dead_is_not_moved() -> Result {
    let (broker, vhost, dead) = with_dead_letters(Queue::new("dead"), 1);
    let record = FieldTable::from([("queue", "tasks"), ("reason", "rejected")]);
    let deaths = FieldValue::Array(vec![record.into()]);
    let forged = Message::new(7).header("x-death", deaths);
    broker.producer::<u32>(&dead)?.publish_message(forged)?;
    assert_eq!(vhost.redrive(&dead, Selection::all())?, 1);
    assert_eq!(counts(&broker, "dead").ready.messages, 1);
    Ok(())
}
