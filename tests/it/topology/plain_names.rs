//! A plain name opens a queue: the existing one as it is, or a new one like `Queue::new`.

use leveret::{Broker, Channel, Connection, Queue, Requeue, Result};

use crate::common::{connect, in_time, on_a_manual_clock};

/// A queue that no plain description declares again.
fn peculiar() -> Queue {
    Queue::new("q")
        .durable()
        .max_length(5)
        .message_ttl(crate::common::HOUR)
        .dead_letter_exchange("")
        .dead_letter_routing_key("dead")
}

/// The verbs that take a plain name and open a queue. Each answers for a broker, a connection and a
/// channel.
macro_rules! open_by_every_verb {
    ($host:expr, $name:expr) => {{
        let (host, name) = ($host, $name);
        let results: [(&str, Result); 8] = [
            ("consumer", host.consumer::<u32>(name).map(drop)),
            ("String", host.consumer::<u32>(name.to_owned()).map(drop)),
            (
                "builder",
                host.consumer_builder::<u32>(name).build().map(drop),
            ),
            (
                "also",
                host.consumer_builder::<u32>("first")
                    .also(name)
                    .build()
                    .map(drop),
            ),
            ("producer", host.producer::<u32>(name).map(drop)),
            (
                "builder",
                host.producer_builder::<u32>(name).build().map(drop),
            ),
            ("simple_queue", host.simple_queue::<u32>(name).map(drop)),
            (
                "String",
                host.simple_queue::<u32>(name.to_owned()).map(drop),
            ),
        ];
        results
    }};
}

struct Hosts {
    broker: Broker,
    connection: Connection,
    channel: Channel,
}

fn new_hosts() -> Result<Hosts> {
    let broker = Broker::new();
    let connection = connect(&broker)?;
    let channel = connection.open_channel()?;
    Ok(Hosts {
        broker,
        connection,
        channel,
    })
}

#[test]
fn a_plain_name_uses_the_existing_queue_as_it_is() -> Result {
    let hosts = new_hosts()?;
    hosts.broker.declare(&peculiar())?;
    for results in [
        open_by_every_verb!(&hosts.broker, "q"),
        open_by_every_verb!(&hosts.connection, "q"),
        open_by_every_verb!(&hosts.channel, "q"),
    ] {
        for (verb, result) in results {
            assert_eq!(result, Ok(()), "{verb}");
        }
    }
    // It is still the queue that was declared.
    hosts.broker.declare(&peculiar())?;
    let other = hosts.broker.declare(&Queue::new("q")).unwrap_err();
    assert!(other.is_inequivalent(), "{other}");
    Ok(())
}

#[test]
fn a_plain_name_that_is_missing_declares_a_queue_without_properties() -> Result {
    macro_rules! each {
        ($($verb:literal: |$host:ident| $call:expr),+ $(,)?) => {$(
            let hosts = new_hosts()?;
            for index in 0..3 {
                match index {
                    0 => { let $host = &hosts.broker; drop($call?) }
                    1 => { let $host = &hosts.connection; drop($call?) }
                    _ => { let $host = &hosts.channel; drop($call?) }
                }
                hosts.broker.declare(&Queue::existing("q"))?;
                let same = hosts.broker.declare(&Queue::new("q"));
                assert!(same.is_ok(), "{}: {same:?}", $verb);
                let durable = hosts.broker.declare(&Queue::new("q").durable());
                assert!(durable.unwrap_err().is_inequivalent(), "{}", $verb);
                hosts.broker.delete(&Queue::new("q"))?;
            }
        )+};
    }
    each!(
        "consumer": |host| host.consumer::<u32>("q"),
        "also": |host| host.consumer_builder::<u32>("first").also("q").build(),
        "producer": |host| host.producer::<u32>("q"),
        "producer_builder": |host| host.producer_builder::<u32>("q").build(),
        "simple_queue": |host| host.simple_queue::<u32>("q"),
    );
    Ok(())
}

#[test]
fn a_verb_that_only_looks_declares_nothing() -> Result {
    let hosts = new_hosts()?;
    for missing in [
        hosts.broker.purge("q").map(drop),
        hosts.connection.purge("q").map(drop),
        hosts.channel.purge("q").map(drop),
        hosts.broker.delayed("q").map(drop),
        hosts.connection.delayed("q").map(drop),
        hosts.channel.delayed("q").map(drop),
        hosts.broker.declare(&Queue::existing("q")).map(drop),
    ] {
        assert!(missing.unwrap_err().is_not_found());
    }
    Ok(())
}

#[test]
fn purge_and_delayed_take_a_plain_name_whatever_the_properties() -> Result {
    let (broker, _clock) = on_a_manual_clock();
    broker.declare(&peculiar())?;
    let producer = broker.producer::<u32>("q")?;
    producer.publish(1)?;
    producer.publish(2)?;
    producer.publish(3)?;
    let first = broker.simple_queue::<u32>("q")?.try_get()?;
    first.nack(Requeue::After(crate::common::SECOND))?;
    let delayed = broker.delayed("q")?;
    assert_eq!(delayed.len(), 1);
    assert_eq!(broker.purge("q")?, 2);
    assert_eq!(delayed.cancel_all(), 1);
    Ok(())
}

#[test]
fn a_producer_by_plain_name_means_the_queue() -> Result {
    let broker = Broker::new();
    // An exchange of the same name is something else.
    broker.declare(&leveret::Exchange::fanout("q"))?;
    broker.declare(&Queue::new("bound").bind("q", ""))?;
    let producer = broker.producer::<u32>("q")?;
    assert_eq!(
        (
            producer.exchange().as_str(),
            producer.routing_key().as_str()
        ),
        ("", "q")
    );
    assert_eq!(producer.publish(1)?.routed, 1);
    assert_eq!(broker.simple_queue::<u32>("q")?.len()?, 1);
    assert_eq!(broker.simple_queue::<u32>("bound")?.len()?, 0);
    // It is mandatory, as every producer for a queue is.
    broker.delete(&Queue::new("q"))?;
    assert_eq!(
        producer.publish(2).unwrap_err().error().reply_code(),
        Some(312)
    );
    Ok(())
}

#[test]
fn line_breaks_of_a_name_are_removed_by_every_verb_that_declares() {
    let done: Option<Result> = in_time(|| {
        let broker = Broker::new();
        let consumer = broker.consumer::<u32>("a\nb")?;
        assert_eq!(consumer.queue().as_str(), "ab");
        broker.producer::<u32>("a\r\nb")?.publish(1)?;
        broker.simple_queue::<u32>("a\nb")?.put(2)?;
        let described = broker.consumer::<u32>(&Queue::new("a\nb"))?;
        assert_eq!(described.queue().as_str(), "ab");
        assert_eq!(*consumer.try_recv()?, 1);
        assert_eq!(*consumer.try_recv()?, 2);
        Ok(())
    });
    assert_eq!(done, Some(Ok(())));
}
