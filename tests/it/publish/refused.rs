//! Messages that come back to the publisher because no queue takes them.

use leveret::{
    Broker, Error, Exchange, FieldValue, Message, Overflow, Producer, Properties, Queue, Result,
};

use crate::common::queue;

/// Checks that a refused or unroutable message comes back with all its parts.
fn comes_back_as_it_was(message: Message<String>, producer: &Producer<String>) {
    let given = message.clone();
    let refused = producer.publish_message(message).unwrap_err();
    assert_eq!(refused.into_inner(), Some(given));
}

#[test]
fn a_refused_message_comes_back_whole() {
    let broker = Broker::new();
    let producer = broker
        .producer_builder::<String>(&Exchange::direct("x"))
        .routing_key("nowhere")
        .mandatory()
        .build()
        .unwrap();
    let refused = producer.publish("hello".into()).unwrap_err();
    assert_eq!(refused.payload(), Some(&"hello".to_owned()));
    assert_eq!(
        refused.to_string(),
        "NO_ROUTE - no queue is bound to exchange 'x' for routing key 'nowhere'"
    );
    let message = Message::new("hello".to_owned())
        .routing_key("elsewhere")
        .header("k", 7)
        .priority(3);
    let refused = producer.publish_message(message).unwrap_err().into_inner();
    assert_eq!(refused.unwrap().payload(), "hello");
    let long = "k".repeat(300);
    let refused = producer.publish_to(&long, "hello".into()).unwrap_err();
    assert_eq!(refused.error().reply_code(), Some(502));
    assert_eq!(Error::from(refused).reply_code(), Some(502));
}

#[test]
fn a_producer_for_a_queue_is_mandatory_and_one_for_an_exchange_is_not() {
    let broker = Broker::new();
    let to_queue = broker.producer::<u32>(&queue()).unwrap();
    let to_exchange = broker.producer::<u32>(&Exchange::fanout("x")).unwrap();
    broker.delete(&queue()).unwrap();
    assert!(matches!(
        to_queue.publish(1).unwrap_err().error(),
        Error::NoRoute { .. }
    ));
    assert_eq!(to_exchange.publish(1).unwrap().routed, 0);
    let optional = Message::new(1).not_mandatory();
    assert_eq!(to_queue.publish_message(optional).unwrap().routed, 0);
    let mandatory = Message::new(1).mandatory();
    assert!(to_exchange.publish_message(mandatory).is_err());
}

#[test]
fn a_refused_message_comes_back_to_the_publisher() -> Result {
    let broker = Broker::new();
    let full = Queue::new("full")
        .max_length(1)
        .overflow(Overflow::RejectPublish);
    let producer = broker.producer::<String>(&full)?;
    assert_eq!(producer.publish("first".to_owned())?.routed, 1);
    let error = producer.publish("second".to_owned()).unwrap_err();
    assert!(matches!(error.error(), Error::Refused { .. }));
    assert_eq!(error.into_inner().as_deref(), Some("second"));

    broker.delete(&full)?;
    let error = producer.publish("third".to_owned()).unwrap_err();
    assert_eq!(error.error().reply_code(), Some(312));
    assert_eq!(error.into_inner().as_deref(), Some("third"));
    Ok(())
}

#[test]
fn refusal_is_per_queue() -> Result {
    let broker = Broker::new();
    let news = Exchange::fanout("news");
    let full = Queue::new("full")
        .max_length(0)
        .overflow(Overflow::RejectPublish);
    broker.declare(&full.bind(&news, ""))?;
    broker.declare(&Queue::new("free").bind(&news, ""))?;
    let published = broker.producer::<u32>(&news)?.publish(1)?;
    assert_eq!((published.routed, published.refused), (1, 1));
    Ok(())
}

#[test]
fn a_message_that_comes_back_has_the_properties_it_was_given() {
    let broker = Broker::new();
    let nowhere = Exchange::direct("nowhere");
    let producer = broker
        .producer_builder(&nowhere)
        .mandatory()
        .build()
        .unwrap();
    let plain = || Message::new("m".to_owned()).routing_key("k");
    let hidden = FieldValue::Array(vec!["b".into()]);
    comes_back_as_it_was(plain(), &producer);
    comes_back_as_it_was(plain().priority(3), &producer);
    comes_back_as_it_was(
        plain().properties(
            Properties::new()
                .content_type("text/csv")
                .correlation_id("1"),
        ),
        &producer,
    );
    comes_back_as_it_was(plain().header("k", 1).header("BCC", hidden), &producer);
    // The broker refuses this message before routing, because a property is invalid.
    comes_back_as_it_was(
        plain().properties(Properties::new().user_id("somebody else")),
        &producer,
    );

    let full = Queue::new("full")
        .max_length(0)
        .overflow(Overflow::RejectPublish);
    let producer = broker.producer(&full).unwrap();
    comes_back_as_it_was(plain().routing_key("full").header("k", "v"), &producer);
}

#[test]
fn a_message_for_another_user_is_refused() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let properties = leveret::Properties::new().user_id("ada");
    let refused = producer
        .publish_message(Message::new(1).properties(properties))
        .unwrap_err();
    assert_eq!(refused.error().reply_code(), Some(406));
    assert_eq!(refused.into_inner().unwrap().into_payload(), 1);
}

#[test]
fn a_mandatory_message_all_of_whose_queues_refuse_comes_back() {
    let broker = Broker::new();
    let graves = Queue::new("graves");
    let fanout = leveret::Exchange::fanout("x");
    let buried = broker.consumer::<Vec<String>>(&graves).unwrap();
    for name in ["a", "b"] {
        let queue = Queue::new(name)
            .max_length(0)
            .overflow(Overflow::RejectPublishDlx)
            .dead_letter_exchange("")
            .dead_letter_routing_key("graves")
            .bind(&fanout, "");
        broker.declare(&queue).unwrap();
    }
    let producer = broker.producer::<Vec<String>>(&fanout).unwrap();
    let error = producer.publish(vec!["x".to_owned()]).unwrap_err();
    let expected = Error::Refused {
        queue: "a".parse().unwrap(),
        dead_lettered: true,
    };
    assert_eq!(error.error(), &expected);
    assert_eq!(error.into_inner().unwrap(), ["x"]);
    for _ in 0..2 {
        let delivery = buried.try_recv().unwrap();
        assert_eq!(*delivery, ["x"]);
        let content_type = delivery.info().properties().content_type.as_deref();
        assert_eq!(content_type, Some("application/json"));
        delivery.ack().unwrap();
    }
}

#[test]
fn a_refused_message_comes_back_although_a_history_keeps_it() {
    let broker = Broker::new();
    let room = Exchange::recent_history("room");
    let full = Queue::new("full")
        .max_length(0)
        .overflow(Overflow::RejectPublish);
    broker.declare(&full.bind(&room, "")).unwrap();
    let names = broker.producer::<String>(&room).unwrap();
    let refused = names.publish("Ada".to_owned()).unwrap_err();
    assert!(matches!(refused.error(), Error::Refused { .. }));
    assert_eq!(refused.into_inner().as_deref(), Some("Ada"));
    let message = Message::new(vec![7_u32]).message_id("m");
    let numbers = broker.producer::<Vec<u32>>(&room).unwrap();
    let refused = numbers.publish_message(message.clone()).unwrap_err();
    assert_eq!(refused.into_inner(), Some(message));
}
