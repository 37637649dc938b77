//! Where a publish goes, and what comes back if it goes nowhere.

use leveret::{
    Binding, Broker, Credentials, Error, Exchange, FieldTable, FieldValue, IfUnused, Message,
    Overflow, Producer, Properties, Queue,
};

use super::{queue, rest};

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
    assert_eq!(refused.payload(), "hello");
    assert_eq!(
        refused.to_string(),
        "NO_ROUTE - no queue is bound to exchange 'x' for routing key 'nowhere'"
    );
    let message = Message::new("hello".to_owned())
        .routing_key("elsewhere")
        .header("k", 7)
        .priority(3);
    let refused = producer.publish_message(message).unwrap_err().into_inner();
    assert_eq!(refused.payload(), "hello");
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
fn a_producer_sees_every_change_of_the_topology_at_once() {
    let broker = Broker::new();
    let connection = broker.connect("/", Credentials::guest()).unwrap();
    let channel = connection.open_channel().unwrap();
    for kind in ["direct", "fanout", "topic", "headers"] {
        let exchange = Exchange::new(format!("x.{kind}"), kind);
        let second = Exchange::fanout(format!("second.{kind}"));
        broker.declare(&queue()).unwrap();
        broker.declare(&second).unwrap();
        let producer = broker
            .producer_builder::<u32>(&exchange)
            .routing_key("k")
            .build()
            .unwrap();
        let routed = || producer.publish(1).unwrap().routed;
        let none = FieldTable::new;
        assert_eq!(routed(), 0, "{kind}");
        channel
            .queue_bind("q", exchange.name(), "k", none())
            .unwrap();
        assert_eq!(routed(), 1, "bind {kind}");
        channel
            .queue_unbind("q", exchange.name(), "k", none())
            .unwrap();
        assert_eq!(routed(), 0, "unbind {kind}");
        // By way of another exchange, whose bindings change.
        channel
            .exchange_bind(second.name(), exchange.name(), "k", none())
            .unwrap();
        assert_eq!(routed(), 0, "exchange bind {kind}");
        channel.queue_bind("q", second.name(), "", none()).unwrap();
        assert_eq!(routed(), 1, "bind behind {kind}");
        broker.delete(&queue()).unwrap();
        assert_eq!(routed(), 0, "queue deleted {kind}");
        broker.declare(&queue()).unwrap();
        assert_eq!(routed(), 0, "queue declared, not bound {kind}");
        channel.queue_bind("q", second.name(), "", none()).unwrap();
        assert_eq!(routed(), 1, "bound again {kind}");
        channel
            .exchange_delete(second.name(), IfUnused::No)
            .unwrap();
        assert_eq!(routed(), 0, "exchange behind deleted {kind}");
        broker.delete(&exchange).unwrap();
        assert!(
            producer.publish(1).unwrap_err().error().is_not_found(),
            "{kind}"
        );
        broker.declare(&exchange).unwrap();
        channel
            .queue_bind("q", exchange.name(), "k", none())
            .unwrap();
        assert_eq!(routed(), 1, "declared anew {kind}");
        broker.delete(&queue()).unwrap();
    }
}

#[test]
fn a_producer_for_a_queue_finds_the_new_one_of_that_name() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    producer.publish(1).unwrap();
    broker.delete(&queue()).unwrap();
    assert!(producer.publish(2).is_err());
    broker.declare(&queue()).unwrap();
    producer.publish(3).unwrap();
    assert_eq!(rest::<u32>(&broker, "q"), [(3, false)]);
}

#[test]
fn an_alternate_exchange_takes_what_no_binding_took_from_when_it_is_there() {
    let broker = Broker::new();
    let main = Exchange::direct("main").alternate("spare");
    let producer = broker.producer::<u32>(&main).unwrap();
    assert_eq!(producer.publish(1).unwrap().routed, 0);
    let spare = Exchange::fanout("spare");
    broker.declare(&queue().bind(&spare, "")).unwrap();
    assert_eq!(producer.publish(2).unwrap().routed, 1);
    broker.delete(&spare).unwrap();
    assert_eq!(producer.publish(3).unwrap().routed, 0);
    assert_eq!(rest::<u32>(&broker, "q"), [(2, false)]);
}

#[test]
fn a_producer_of_a_closed_connection_publishes_nothing() {
    let broker = Broker::new();
    broker.declare(&queue()).unwrap();
    let connection = broker.connect("/", Credentials::guest()).unwrap();
    let producer = connection.producer::<u32>(&queue()).unwrap();
    let by_key = connection
        .producer::<u32>(&Exchange::direct("amq.direct").passive())
        .unwrap();
    producer.publish(1).unwrap();
    by_key.publish_to("q", 1).unwrap();
    connection.close().unwrap();
    // Its route is remembered, and still right.
    assert_eq!(
        producer.publish(2).unwrap_err().into_parts(),
        (Error::ConnectionClosed, 2)
    );
    assert_eq!(
        by_key.publish_to("q", 2).unwrap_err().into_parts(),
        (Error::ConnectionClosed, 2)
    );
    assert_eq!(rest::<u32>(&broker, "q"), [(1, false)]);
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
    assert_eq!(refused.into_inner().into_payload(), 1);
}

#[test]
fn inequivalent_declarations_name_the_field() {
    let broker = Broker::new();
    broker.declare(&queue()).unwrap();
    let error = broker.producer::<u32>(&queue().durable()).unwrap_err();
    match error {
        Error::Inequivalent(difference) => assert_eq!(difference.field, "durable"),
        other => panic!("{other}"),
    }
    let exchange = Exchange::topic("x");
    broker.declare(&exchange).unwrap();
    let error = broker.declare(&Exchange::fanout("x")).unwrap_err();
    assert!(error.is_inequivalent(), "{error}");
}

#[test]
fn a_failed_declaration_leaves_nothing_half_done() {
    let broker = Broker::new();
    let fine = Exchange::fanout("fine");
    let wrong = Exchange::new("wrong", "no-such-kind");
    let error = broker
        .declare(&queue().bind(&fine, "").bind(&wrong, ""))
        .unwrap_err();
    assert_eq!(error.reply_code(), Some(503));
    assert!(
        broker
            .declare(&Queue::existing("q"))
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        broker
            .declare(&Exchange::fanout("fine").passive())
            .unwrap_err()
            .is_not_found()
    );
}

#[test]
fn a_batch_longer_than_a_run_arrives_whole_and_in_order() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let results = producer.publish_batch(0..1_000);
    assert_eq!(results.len(), 1_000);
    assert!(
        results
            .into_iter()
            .all(|result| result.unwrap().routed == 1)
    );
    assert_eq!(left(&broker), (0..1_000).collect::<Vec<u32>>());
}

#[test]
fn each_payload_of_a_batch_to_a_deleted_queue_comes_back() {
    let broker = Broker::new();
    let producer = broker.producer::<String>(&queue()).unwrap();
    producer.publish("first".to_owned()).unwrap();
    broker.delete(&queue()).unwrap();
    let batch = ["a", "b", "c"].map(str::to_owned);
    let back = producer.publish_batch(batch.clone()).into_iter();
    let back: Vec<_> = back
        .map(|result| result.unwrap_err().into_parts())
        .collect();
    assert!(
        back.iter()
            .all(|(error, _)| error.reply_code() == Some(312))
    );
    assert!(back.into_iter().map(|(_, payload)| payload).eq(batch));
}

#[test]
fn a_batch_finds_the_queue_that_took_the_place_of_a_deleted_one() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    producer.publish_batch([1]);
    broker.delete(&queue()).unwrap();
    broker.declare(&queue()).unwrap();
    assert!(producer.publish_batch([2, 3]).iter().all(Result::is_ok));
    assert_eq!(left(&broker), [2, 3]);
}

#[test]
fn of_a_batch_that_is_too_long_for_its_queue_the_rest_is_refused_one_by_one() {
    let broker = Broker::new();
    let short = queue().max_length(2).overflow(Overflow::RejectPublish);
    let producer = broker.producer::<u32>(&short).unwrap();
    let refused: Vec<u32> = producer
        .publish_batch(0..5)
        .into_iter()
        .filter_map(|result| Some(result.err()?.into_inner()))
        .collect();
    assert_eq!(refused, [2, 3, 4]);
    assert_eq!(left(&broker), [0, 1]);
}

#[test]
fn of_a_batch_a_queue_that_drops_its_head_keeps_the_last() {
    let broker = Broker::new();
    let ring = queue().max_length(3);
    let producer = broker.producer::<u32>(&ring).unwrap();
    assert!(producer.publish_batch(0..200).iter().all(Result::is_ok));
    assert_eq!(left(&broker), [197, 198, 199]);
}

#[test]
fn a_batch_with_a_measure_and_a_codec_of_its_own_carries_both() {
    let broker = Broker::builder().always_encode().build();
    let builder = broker.producer_builder::<String>(&queue());
    let producer = builder
        .sized_by(|text| text.len() as u64 + 100)
        .build()
        .unwrap();
    producer.publish_batch(["Ada".to_owned()]);
    let got = broker.simple_queue::<String>("q").unwrap();
    let delivery = got.try_get().unwrap();
    assert_eq!((delivery.as_str(), delivery.info().size()), ("Ada", 103));
    assert_eq!(
        delivery.info().type_name(),
        std::any::type_name::<leveret::Bytes>()
    );
}

/// The numbers that are ready, in order.
fn left(broker: &Broker) -> Vec<u32> {
    rest(broker, "q")
        .into_iter()
        .map(|(number, _)| number)
        .collect()
}

/// What a refused or unroutable message is given back with.
fn comes_back_as_it_was(message: Message<String>, producer: &Producer<String>) {
    let given = message.clone();
    let refused = producer.publish_message(message).unwrap_err();
    assert_eq!(refused.into_inner(), given);
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
    // Not even looked at: the property itself is wrong.
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
fn a_message_without_properties_of_its_own_has_those_of_its_producer() {
    let broker = Broker::new();
    let queue = Queue::new("q");
    let properties = Properties::new().priority(4).app_id("gate");
    let producer = broker
        .producer_builder(&queue)
        .properties(properties)
        .build()
        .unwrap();
    let consumer = broker.consumer::<String>(&queue).unwrap();
    producer.publish("a".to_owned()).unwrap();
    producer
        .publish_message(Message::new("b".to_owned()))
        .unwrap();
    producer
        .publish_message(Message::new("c".to_owned()).priority(1))
        .unwrap();
    let received = [4, 4, 1].map(|priority| (Some(priority), (priority == 4).then_some("gate")));
    for (priority, app_id) in received {
        let delivery = consumer.recv().unwrap();
        let properties = delivery.info().properties();
        assert_eq!(properties.priority, priority);
        assert_eq!(properties.app_id.as_deref(), app_id);
        assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
    }
}

#[test]
fn the_headers_of_a_producer_route_its_messages() {
    let broker = Broker::new();
    let exchange = Exchange::headers("by-headers");
    let red = FieldTable::from([("colour", "red")]);
    let binding = Binding::new(&exchange, "").argument("colour", "red");
    broker.declare(&Queue::new("red").binding(binding)).unwrap();
    let builder = broker.producer_builder::<u32>(&exchange);
    let producer = builder
        .properties(Properties::new().headers(red))
        .build()
        .unwrap();
    assert_eq!(producer.publish(1).unwrap().routed, 1);
    assert_eq!(producer.publish_to("any", 2).unwrap().routed, 1);
    assert_eq!(producer.publish_message(Message::new(3)).unwrap().routed, 1);
    assert!(
        producer
            .publish_batch([4, 5])
            .iter()
            .all(|published| published.as_ref().unwrap().routed == 1)
    );
    assert_eq!(
        producer
            .publish_message(Message::new(6).header("colour", "blue"))
            .unwrap()
            .routed,
        0
    );
}

#[test]
fn a_producer_may_select_further_queues_for_all_its_messages() {
    let broker = Broker::new();
    for name in ["own", "copy", "hidden"] {
        broker.declare(&Queue::new(name)).unwrap();
    }
    let keys = |key: &str| FieldValue::Array(vec![key.into()]);
    let headers = FieldTable::from([("CC", keys("copy")), ("BCC", keys("hidden"))]);
    let builder = broker.producer_builder::<u32>(&Queue::new("own"));
    let producer = builder
        .properties(Properties::new().headers(headers))
        .build()
        .unwrap();
    assert_eq!(producer.publish(1).unwrap().routed, 3);
    assert_eq!(producer.publish_message(Message::new(2)).unwrap().routed, 3);
    let got = broker.simple_queue::<u32>("hidden").unwrap().get().unwrap();
    assert_eq!(got.info().properties().header_value("BCC"), None);
    assert_eq!(
        got.info().properties().header_value("CC"),
        Some(&keys("copy"))
    );
}
