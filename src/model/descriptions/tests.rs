use super::*;
use crate::model::field_value::FieldTable;

fn argument(queue: &Queue, name: &str) -> Option<FieldValue> {
    queue.argument_table().get(name).cloned()
}

#[test]
fn typed_setters_write_the_arguments_that_rabbitmq_reads() {
    let queue = Queue::new("q")
        .message_ttl(Duration::from_secs(60))
        .expires(Duration::from_secs(5_000_000))
        .max_length(10)
        .max_length_bytes(u64::MAX)
        .overflow(Overflow::RejectPublishDlx)
        .dead_letter_exchange("d")
        .dead_letter_routing_key("k")
        .max_priority(255)
        .single_active_consumer()
        .classic_delivery_limit(3)
        .lazy();
    let expected = FieldTable::from([
        ("x-message-ttl", FieldValue::Int(60_000)),
        ("x-expires", FieldValue::Long(5_000_000_000)),
        ("x-max-length", FieldValue::Int(10)),
        ("x-max-length-bytes", FieldValue::Long(i64::MAX)),
        ("x-overflow", "reject-publish-dlx".into()),
        ("x-dead-letter-exchange", "d".into()),
        ("x-dead-letter-routing-key", "k".into()),
        ("x-max-priority", FieldValue::Int(255)),
        ("x-single-active-consumer", true.into()),
        ("x-leveret-delivery-limit", FieldValue::Int(3)),
        ("x-queue-mode", "lazy".into()),
    ]);
    assert_eq!(queue.argument_table(), &expected);
}

#[test]
fn times_are_rounded_up_to_whole_milliseconds() {
    let ttl = |time| argument(&Queue::new("q").message_ttl(time), "x-message-ttl");
    assert_eq!(ttl(Duration::ZERO), Some(0.into()));
    assert_eq!(ttl(Duration::from_nanos(1)), Some(1.into()));
    assert_eq!(ttl(Duration::from_micros(1_500)), Some(2.into()));
    assert_eq!(ttl(Duration::MAX), Some(i64::MAX.into()));
}

#[test]
fn arguments_are_added_to_those_of_the_setters_and_the_last_one_wins() {
    let queue = Queue::new("q")
        .max_length(1)
        .arguments([("x-max-length", 2), ("x-other", 3)])
        .arguments(FieldTable::from([("x-third", 4)]));
    assert_eq!(argument(&queue, "x-max-length"), Some(2.into()));
    assert_eq!(queue.argument_table().len(), 3);
    assert_eq!(
        argument(&queue.max_length(5), "x-max-length"),
        Some(5.into())
    );
}

#[test]
fn descriptions_survive_a_round_trip_through_json_and_leave_out_what_is_unset() {
    let logs = Exchange::topic("logs").durable().alternate("lost");
    let queue = Queue::new("errors")
        .exclusive_flag()
        .max_length(3)
        .bind(&logs, "*.error")
        .bind_with("amq.headers", "", [("x-match", "any")]);
    let json = serde_json::to_string(&queue).unwrap();
    assert_eq!(serde_json::from_str::<Queue>(&json).unwrap(), queue);
    assert_eq!(
        serde_json::to_value(Queue::new("q")).unwrap(),
        serde_json::json!({"name": "q"})
    );
    assert_eq!(
        serde_json::to_value(&logs).unwrap(),
        serde_json::json!({
            "name": "logs",
            "type": "topic",
            "durable": true,
            "arguments": {"alternate-exchange": "lost"},
        })
    );
    assert!(serde_json::from_str::<Queue>(r#"{"name": "q", "durabel": true}"#).is_err());
}

#[test]
fn a_plain_name_opens_a_queue_and_means_an_exchange_that_exists() {
    let opened = Queue::from("q");
    assert!(opened.is_open() && !opened.is_passive());
    let bound = opened.clone().bind("x", "k");
    assert_eq!(bound.of_new_queue(), Queue::new(""));
    assert_eq!(bound.of_new_queue().named("q"), Queue::new("q"));
    assert_eq!(Queue::from(&String::from("q")), opened);
    let text = serde_json::to_string(&opened).unwrap();
    assert_eq!(serde_json::from_str::<Queue>(&text).unwrap(), opened);
    let exchange = Exchange::from(String::from("x"));
    assert!(exchange.is_passive() && exchange.kind().is_empty());
    assert_eq!(
        Queue::new("q").bind("x", "k").bindings()[0].source(),
        &exchange
    );
}

#[test]
fn a_nameless_queue_is_looked_up_once_it_has_a_name() {
    let described = Queue::exclusive().bind(Exchange::fanout("x"), "");
    assert!(described.is_exclusive() && described.name().is_empty() && !described.is_auto_delete());
    assert!(Queue::temporary().is_auto_delete());
    let declared = described.declared_as(&crate::model::name::Name::new("amq.gen-1").unwrap());
    assert_eq!(declared.name(), "amq.gen-1");
    assert!(declared.is_passive() && declared.bindings().is_empty());
}

#[test]
fn every_overflow_word_is_read_back() {
    for overflow in [
        Overflow::DropHead,
        Overflow::RejectPublish,
        Overflow::RejectPublishDlx,
        Overflow::Block,
    ] {
        assert_eq!(Overflow::from_word(overflow.as_str()), Some(overflow));
        assert_eq!(serde_json::to_value(overflow).unwrap(), overflow.as_str());
    }
    assert_eq!(Overflow::from_word("drop-tail"), None);
}
