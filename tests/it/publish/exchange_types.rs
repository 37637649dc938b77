//! The exchange types of RabbitMQ's plugins: consistent hash, random, recent history.

use std::{collections::BTreeMap, sync::Barrier, thread};

use leveret::{
    Binding, Broker, Error, Exchange, ExchangeKind, FieldTable, HashOn, Local, ManualClock,
    Message, Name, Properties, Queue, Result,
};

use crate::common::{SECOND, advance_until};

fn drain(broker: &Broker, queue: &str) -> Vec<u32> {
    let queue = broker.simple_queue::<u32>(queue).unwrap();
    std::iter::from_fn(|| {
        let message = queue.try_get().ok()?;
        let number = *message;
        message.ack().unwrap();
        Some(number)
    })
    .collect()
}

/// The queue that has the only message of all queues. Takes it.
fn only(broker: &Broker, queues: &[&str]) -> String {
    let found: Vec<_> = queues
        .iter()
        .filter(|queue| !drain(broker, queue).is_empty())
        .collect();
    assert_eq!(found.len(), 1);
    (*found[0]).to_owned()
}

#[test]
fn a_producer_follows_each_change_of_a_consistent_hash_exchange() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::consistent_hash("x");
    let producer = broker.producer::<u32>(&exchange)?;
    let names = ["a", "b", "c", "d"];
    let connection = broker.connect("/", leveret::Credentials::guest())?;
    let channel = connection.open_channel()?;
    for name in names {
        broker.declare(&Queue::new(name))?;
    }
    let changes = [
        ("a", "1", true),
        ("b", "2", true),
        ("c", "1", true),
        ("b", "2", false),
        ("d", "5", true),
        ("a", "1", false),
    ];
    for (queue, weight, bind) in changes {
        match bind {
            true => channel.queue_bind(queue, "x", weight, FieldTable::new())?,
            false => channel.queue_unbind(queue, "x", weight, FieldTable::new())?,
        }
        // Twice, so that the second publish goes by the remembered route.
        for number in (0..40).chain(0..40) {
            let key = format!("key {number}");
            let expected = broker.route(&exchange, &key, &FieldTable::new())?;
            producer.publish_to(&key, number)?;
            assert_eq!([Name::new(only(&broker, &names))?][..], expected[..]);
        }
    }
    Ok(())
}

#[test]
fn a_producer_with_fixed_properties_is_hashed_by_them() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::consistent_hash("x").hash_on(HashOn::CorrelationId);
    for queue in ["a", "b", "c", "d"] {
        broker.declare(&Queue::new(queue).binding(Binding::weighted(&exchange, 1)))?;
    }
    let by_message = broker.producer::<u32>(&exchange)?;
    let mut used = BTreeMap::new();
    for number in 0..40 {
        let id = format!("order {number}");
        let properties = Properties::new().correlation_id(&*id);
        let fixed = broker
            .producer_builder::<u32>(&exchange)
            .properties(properties)
            .build()?;
        fixed.publish(1)?;
        let queue = only(&broker, &["a", "b", "c", "d"]);
        for key in ["", "another key"] {
            let message = Message::new(1).correlation_id(&*id).routing_key(key);
            by_message.publish_message(message)?;
            assert_eq!(only(&broker, &["a", "b", "c", "d"]), queue);
        }
        *used.entry(queue).or_insert(0) += 1;
    }
    assert_eq!(used.len(), 4);
    Ok(())
}

#[test]
fn a_transaction_is_hashed_by_the_properties_of_each_message() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::consistent_hash("x").hash_on(HashOn::MessageId);
    for queue in ["a", "b"] {
        broker.declare(&Queue::new(queue).binding(Binding::weighted(&exchange, 1)))?;
    }
    let connection = broker.connect("/", leveret::Credentials::guest())?;
    let (plain, tx) = (connection.open_channel()?, connection.open_channel()?);
    tx.tx_select()?;
    for number in 0..20 {
        let properties = Properties::new().message_id(format!("id {number}"));
        let options = leveret::channel::PublishOptions::new();
        plain.basic_publish("x", "k", "1", properties.clone(), options)?;
        let expected = only(&broker, &["a", "b"]);
        tx.basic_publish("x", "k", "1", properties, options)?;
        tx.tx_commit()?;
        assert_eq!(only(&broker, &["a", "b"]), expected);
    }
    Ok(())
}

#[test]
fn a_random_exchange_gives_each_binding_its_share() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::random("x");
    broker.declare(
        &Queue::new("twice")
            .bind(&exchange, "a")
            .bind(&exchange, "b"),
    )?;
    broker.declare(&Queue::new("once").bind(&exchange, ""))?;
    let producer = broker.producer::<u32>(&exchange)?;
    for number in 0..3_000 {
        assert_eq!(producer.publish(number)?.routed, 1);
    }
    let (twice, once) = (drain(&broker, "twice").len(), drain(&broker, "once").len());
    assert_eq!(twice + once, 3_000);
    assert!((1_800..2_200).contains(&twice), "{twice}");
    Ok(())
}

#[test]
fn the_types_have_kinds_and_show_in_a_snapshot() -> Result {
    let broker = Broker::new();
    for (exchange, kind) in [
        (Exchange::consistent_hash("a"), ExchangeKind::ConsistentHash),
        (Exchange::random("b"), ExchangeKind::Random),
        (Exchange::recent_history("c"), ExchangeKind::RecentHistory),
        (Exchange::local_random("d"), ExchangeKind::LocalRandom),
        (Exchange::modulus_hash("e"), ExchangeKind::ModulusHash),
    ] {
        broker.declare(&exchange)?;
        let snapshot = broker.snapshot()?;
        let mut shown = snapshot.vhosts[0].exchanges.iter();
        let shown = shown.find(|shown| *shown.name == *exchange.name());
        let shown = shown.unwrap();
        assert_eq!((shown.kind, &*shown.exchange_type), (kind, kind.as_str()));
        let has_history = kind == ExchangeKind::RecentHistory;
        assert_eq!(shown.history.is_some(), has_history);
    }
    Ok(())
}

#[test]
fn invalid_weights_are_refused_and_change_nothing() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::consistent_hash("x");
    for weight in ["0", "", "one"] {
        let queue = Queue::new("q").bind(&exchange, weight);
        let error = broker.declare(&queue).unwrap_err();
        assert_eq!(error.reply_code(), Some(406));
    }
    assert!(broker.snapshot()?.vhosts[0].queues.is_empty());
    Ok(())
}

#[test]
fn a_history_is_in_the_snapshot_and_ends_with_its_exchange() -> Result {
    let broker = Broker::new();
    let room = Exchange::recent_history("room").history_length(2);
    let producer = broker.producer::<u32>(&room)?;
    let history = || {
        let snapshot = broker.snapshot().unwrap();
        let mut exchanges = snapshot.vhosts[0].exchanges.iter();
        exchanges.find_map(|exchange| exchange.history)
    };
    assert_eq!(history().unwrap().messages, 0);
    (0..5).try_for_each(|number| producer.publish(number).map(drop).map_err(Error::from))?;
    assert_eq!(history().unwrap().messages, 2);
    broker.delete(&room)?;
    broker.declare(&room)?;
    assert_eq!(history().unwrap().messages, 0);
    broker.declare(&Queue::new("q").bind(&room, ""))?;
    assert!(drain(&broker, "q").is_empty());
    Ok(())
}

#[test]
fn what_cannot_be_copied_cannot_be_kept() -> Result {
    let broker = Broker::new();
    let room = Exchange::recent_history("room");
    let producer = broker.producer::<Local<u32>>(&room)?;
    let error = producer.publish(Local(7)).unwrap_err();
    assert!(matches!(error.error(), Error::NotShareable { .. }));
    assert_eq!(error.into_inner(), Some(Local(7)));
    let queue = broker.simple_queue::<Local<u32>>(&Queue::new("q").bind(&room, ""))?;
    producer.publish_message(Message::new(Local(8)).keep_out_of_history())?;
    assert_eq!(queue.try_get()?.0, 8);
    Ok(())
}

#[test]
fn the_time_to_live_of_a_kept_message_begins_in_its_queue() -> Result {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let room = Exchange::recent_history("room");
    let producer = broker.producer::<u32>(&room)?;
    producer.publish_message(Message::new(7).expiration(SECOND))?;
    clock.advance(10 * SECOND);
    let queue = Queue::new("q").bind(&room, "");
    broker.declare(&queue)?;
    let q = broker.simple_queue::<u32>(&queue)?;
    assert_eq!(q.len().unwrap(), 1);
    advance_until(&clock, || q.is_empty().unwrap());
    Ok(())
}

#[test]
fn a_kept_message_can_be_delayed_and_dead_lettered() -> Result {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let room = Exchange::recent_history("room").delayed();
    broker.declare(
        &Queue::new("source")
            .dead_letter_exchange("room")
            .max_length(0),
    )?;
    let producer = broker.producer::<u32>(&room)?;
    producer.publish_message(Message::new(1).delay(SECOND))?;
    broker.producer::<u32>("source")?.publish(2)?;
    broker.declare(&Queue::new("early").bind(&room, ""))?;
    assert_eq!(drain(&broker, "early"), [2]);
    clock.advance(SECOND);
    advance_until(&clock, || {
        !broker
            .simple_queue::<u32>("early")
            .unwrap()
            .is_empty()
            .unwrap()
    });
    broker.declare(&Queue::new("late").bind(&room, ""))?;
    assert_eq!(drain(&broker, "late"), [2, 1]);
    Ok(())
}

#[test]
fn each_queue_gets_each_message_once_however_bindings_and_publishes_meet() {
    const MESSAGES: u32 = 2_000;
    let broker = Broker::new();
    let room = Exchange::recent_history("room").history_length(u64::from(MESSAGES));
    broker.declare(&room).unwrap();
    let queues: Vec<String> = (0..40).map(|number| format!("q{number}")).collect();
    let start = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let producer = broker.producer::<u32>(&room).unwrap();
            start.wait();
            for number in 0..MESSAGES {
                producer.publish(number).unwrap();
            }
        });
        start.wait();
        for queue in &queues {
            broker.declare(&Queue::new(queue).bind(&room, "")).unwrap();
        }
    });
    for queue in &queues {
        let mut messages = drain(&broker, queue);
        messages.sort_unstable();
        assert!(messages.into_iter().eq(0..MESSAGES), "{queue}");
    }
}

#[test]
fn a_kept_message_that_leads_nowhere_is_dropped() -> Result {
    let broker = Broker::new();
    let room = Exchange::recent_history("room");
    broker.producer::<u32>(&room)?.publish(1)?;
    let by_key = Exchange::direct("by key").bind(&room, "");
    broker.declare(&by_key)?;
    broker.declare(&Queue::new("q").bind(&by_key, "key"))?;
    assert!(drain(&broker, "q").is_empty());
    broker.producer::<u32>(&room)?.publish_to("key", 2)?;
    assert_eq!(drain(&broker, "q"), [2]);
    Ok(())
}
