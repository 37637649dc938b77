//! Bad publishes, and the order in which the faults of one message are found.

use std::time::Duration;

use leveret::{
    Error, Exchange, Message, Producer, Properties, Queue, Result, channel::PublishOptions,
};

use super::{Stage, Ways, by_each};
use crate::common::{block_on, queue};

const SECOND: Duration = Duration::from_secs(1);

type PlainPublish = (&'static str, fn(&Producer<u32>) -> Result);

/// Every way to publish a payload.
pub const PUBLISHES: &[PlainPublish] = &[
    ("publish", |producer| done(producer.publish(1))),
    ("publish_to", |producer| done(producer.publish_to("k", 1))),
    ("publish_to its own key", |producer| {
        done(producer.publish_to(producer.routing_key(), 1))
    }),
    ("try_publish", |producer| done(producer.try_publish(1))),
    ("publish_timeout", |producer| {
        done(producer.publish_timeout(1, SECOND))
    }),
    ("publish_async", |producer| {
        done(block_on(producer.publish_async(1)))
    }),
    ("publish_batch", |producer| {
        done(producer.publish_batch([1, 2]).nth(1).unwrap())
    }),
];

type MessagePublish = (&'static str, fn(&Producer<u32>, Message<u32>) -> Result);

/// Every way to publish a message.
pub const MESSAGE_PUBLISHES: &[MessagePublish] = &[
    ("publish_message", |producer, message| {
        done(producer.publish_message(message))
    }),
    ("try_publish_message", |producer, message| {
        done(producer.try_publish_message(message))
    }),
    ("publish_message_timeout", |producer, message| {
        done(producer.publish_message_timeout(message, SECOND))
    }),
];

fn done<R, E: Into<Error>>(result: Result<R, E>) -> Result {
    result.map(drop).map_err(E::into)
}

/// Publishes to an exchange by every way. `end` comes between making a producer and its publish.
fn publish_by_every_way(ways: &mut Ways, exchange: &'static str, end: fn(&Stage) -> Result) {
    let producer = |stage: &Stage| {
        let builder = stage
            .connection
            .producer_builder::<u32>(&Exchange::existing(exchange))
            .routing_key("k");
        builder.build()
    };
    for (way, publish) in PUBLISHES {
        for warm in [false, true] {
            ways.by(*way, |stage| {
                let producer = producer(stage).unwrap();
                if warm {
                    // The producer remembers a route, if there is one.
                    let _ = producer.publish(0);
                }
                end(stage).unwrap();
                publish(&producer)
            });
        }
    }
    for (way, publish) in MESSAGE_PUBLISHES {
        ways.by(*way, |stage| {
            let producer = producer(stage).unwrap();
            end(stage).unwrap();
            publish(&producer, Message::new(1))
        });
    }
    publish_by_channel(ways, exchange, end, &Properties::new());
}

type Mode = (&'static str, fn(&Stage) -> Result);

const MODES: &[Mode] = &[
    ("basic_publish", |_| Ok(())),
    ("basic_publish with confirms", |stage| {
        stage.channel.confirm_select()
    }),
    ("basic_publish in a transaction", |stage| {
        stage.channel.tx_select()
    }),
];

fn publish_by_channel(
    ways: &mut Ways,
    exchange: &str,
    end: fn(&Stage) -> Result,
    properties: &Properties,
) {
    for (way, select) in MODES {
        for mandatory in [false, true] {
            let options = match mandatory {
                true => PublishOptions::new().mandatory(),
                false => PublishOptions::new(),
            };
            ways.by(*way, |stage| {
                select(stage).unwrap();
                end(stage).unwrap();
                let channel = &stage.channel;
                channel.basic_publish(exchange, "k", "1", properties.clone(), options)
            });
        }
    }
}

#[test]
fn a_publish_to_a_missing_exchange() {
    let mut ways = Ways::after(|stage| stage.broker.declare(&Exchange::direct("x")).map(drop));
    publish_by_every_way(&mut ways, "x", |stage| {
        stage.broker.delete(&Exchange::existing("x"))
    });
    by_each!(ways, "producer_builder": |host| {
        host.delete(&Exchange::existing("x")).unwrap();
        host.producer_builder::<u32>(&Exchange::existing("x")).build()
    });
    ways.all_fail_with(404, "NOT_FOUND - no exchange 'x' in vhost '/'");
}

#[test]
fn a_publish_to_an_internal_exchange() {
    let inner = |stage: &Stage| {
        let inner = Exchange::fanout("inner").internal();
        stage.broker.declare(&inner).map(drop)
    };
    let mut ways = Ways::after(inner);
    publish_by_every_way(&mut ways, "inner", |_| Ok(()));
    ways.all_fail_with(
        403,
        "ACCESS_REFUSED - cannot publish to internal exchange 'inner' in vhost '/'",
    );
}

#[test]
fn a_mandatory_publish_to_a_deleted_queue() {
    let mut ways = Ways::after(|stage| stage.broker.declare(&queue()).map(drop));
    for (way, publish) in PUBLISHES {
        if *way != "publish_to" {
            ways.by(*way, |stage| {
                let producer = stage.connection.producer::<u32>("q").unwrap();
                producer.publish(0).unwrap();
                stage.other.delete(&queue()).unwrap();
                publish(&producer)
            });
        }
    }
    for (way, publish) in MESSAGE_PUBLISHES {
        ways.by(*way, |stage| {
            let producer = stage.connection.producer::<u32>("q").unwrap();
            stage.other.delete(&queue()).unwrap();
            publish(&producer, Message::new(1))
        });
    }
    ways.by("put", |stage| {
        let simple = stage.connection.simple_queue::<u32>("q").unwrap();
        stage.other.delete(&queue()).unwrap();
        simple.put(1)
    });
    ways.by("put_message", |stage| {
        let simple = stage.connection.simple_queue::<u32>("q").unwrap();
        stage.other.delete(&queue()).unwrap();
        simple.put_message(Message::new(1))
    });
    ways.all_fail_with(
        312,
        "NO_ROUTE - no queue is bound to exchange '' for routing key 'q'",
    );
}

/// The text of a fault, and the properties with it.
type Fault = (&'static str, fn(Properties) -> Properties);

/// Faults of a message that its properties alone have, in the order in which RabbitMQ finds them.
/// The scenarios `own-publish-checks` record the order.
fn faults() -> [Fault; 5] {
    [
        (
            "PRECONDITION_FAILED - fast reply consumer does not exist",
            |properties| properties.reply_to("amq.rabbitmq.reply-to"),
        ),
        (
            "PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
            |properties| properties.expiration("soon"),
        ),
        (
            "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}",
            |properties| properties.header("CC", "q"),
        ),
        (
            "PRECONDITION_FAILED - invalid message: \
             {unacceptable_type_in_header,\"BCC\",signedint}",
            |properties| properties.header("BCC", 1),
        ),
        (
            "PRECONDITION_FAILED - user_id property set to 'mallory' but authenticated user was \
             'guest'",
            |properties| properties.user_id("mallory"),
        ),
    ]
}

/// Publishes a message with bad properties by every way, to exchanges of every type.
fn publish_bad_properties(ways: &mut Ways, properties: &Properties) {
    for exchange in ["", "amq.direct", "amq.fanout", "amq.headers", "amq.topic"] {
        for (way, publish) in MESSAGE_PUBLISHES {
            ways.by(format!("{way} to '{exchange}'"), |stage| {
                let exchange = Exchange::existing(exchange);
                let producer = match exchange.name() {
                    "" => stage.connection.producer(Queue::new("k")),
                    _ => stage.connection.producer(&exchange),
                };
                let message = Message::new(1).properties(properties.clone());
                publish(&producer.unwrap(), message)
            });
        }
        publish_by_channel(ways, exchange, |_| Ok(()), properties);
    }
    ways.by("put_message", |stage| {
        let simple = stage.connection.simple_queue::<u32>("k").unwrap();
        simple.put_message(Message::new(1).properties(properties.clone()))
    });
}

#[test]
fn a_message_with_one_fault_or_with_two() {
    let faults = faults();
    for (index, (text, fault)) in faults.iter().enumerate() {
        let mut ways = Ways::new();
        publish_bad_properties(&mut ways, &fault(Properties::new()));
        for (_, later) in &faults[index + 1..] {
            publish_bad_properties(&mut ways, &later(fault(Properties::new())));
        }
        ways.all_fail_with(406, text);
    }
}

#[test]
fn an_exchange_that_cannot_be_published_to_is_found_before_bad_properties() {
    for (_, fault) in faults() {
        let properties = fault(Properties::new());
        let set_up = |stage: &Stage| {
            stage.broker.declare(&Exchange::direct("gone"))?;
            let inner = Exchange::fanout("inner").internal();
            stage.broker.declare(&inner).map(drop)
        };
        let delete: fn(&Stage) -> Result = |stage| stage.broker.delete(&Exchange::existing("gone"));
        let keep: fn(&Stage) -> Result = |_| Ok(());
        for (exchange, end, code, text) in [
            (
                "gone",
                delete,
                404,
                "NOT_FOUND - no exchange 'gone' in vhost '/'",
            ),
            (
                "inner",
                keep,
                403,
                "ACCESS_REFUSED - cannot publish to internal exchange 'inner' in vhost '/'",
            ),
        ] {
            let mut ways = Ways::after(set_up);
            for (way, publish) in MESSAGE_PUBLISHES {
                ways.by(*way, |stage| {
                    let to = Exchange::existing(exchange);
                    let producer = stage.connection.producer(&to).unwrap();
                    end(stage).unwrap();
                    publish(&producer, Message::new(1).properties(properties.clone()))
                });
            }
            publish_by_channel(&mut ways, exchange, end, &properties);
            ways.all_fail_with(code, text);
        }
    }
}

#[test]
fn the_properties_of_a_producer_are_checked_when_it_is_made() {
    let faults = faults();
    // Routing headers are checked when a message is routed.
    for index in [0, 1, 4] {
        let (text, fault) = faults[index];
        let mut ways = Ways::new();
        by_each!(ways, "producer_builder": |host| {
            let builder = host.producer_builder::<u32>(&queue());
            let built = builder.properties(fault(Properties::new())).build();
            let known = host.declare(&Queue::existing("q"));
            assert!(known.unwrap_err().is_not_found(), "a bad producer declared its queue");
            built
        });
        ways.all_fail_with(406, text);
    }
    for index in [2, 3] {
        let (text, fault) = faults[index];
        let mut ways = Ways::new();
        for (way, publish) in PUBLISHES {
            ways.by(*way, |stage| {
                let builder = stage.connection.producer_builder::<u32>("k");
                let producer = builder.properties(fault(Properties::new())).build();
                publish(&producer.unwrap())
            });
        }
        ways.all_fail_with(406, text);
    }
}
