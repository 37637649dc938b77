mod equivalence;
mod quorum;

use super::{trigger::TriggerArguments, *};
use crate::model::{
    descriptions::{DeadLetterStrategy, DelayedRetryKind, Exchange, Overflow, Queue, Trigger},
    error::{Error, Result},
    field_value::{FieldTable, FieldValue},
    name::Name,
};
use std::time::Duration;

fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

fn parse(arguments: FieldTable) -> Result<QueueArguments> {
    QueueArguments::parse(&arguments, &name("q"), &name("/"))
}

fn parse_one(argument: &str, value: impl Into<FieldValue>) -> Result<QueueArguments> {
    parse(FieldTable::new().with(argument, value))
}

/// The text of an error after RabbitMQ's fixed beginning. The error must be a 406.
fn refusal(argument: &str, value: impl Into<FieldValue>) -> String {
    let error = parse_one(argument, value).unwrap_err();
    assert_eq!(error.reply_code(), Some(406), "{error}");
    let start =
        format!("PRECONDITION_FAILED - invalid arg '{argument}' for queue 'q' in vhost '/'");
    let text = error.to_string();
    text.strip_prefix(&start)
        .unwrap_or_else(|| panic!("{text}"))
        .to_owned()
}

#[test]
fn every_argument_is_read() {
    let queue = Queue::new("q")
        .budget("b")
        .message_ttl(Duration::from_secs(60))
        .expires(Duration::from_secs(61))
        .max_length(10)
        .max_length_bytes(1000)
        .overflow(Overflow::Block)
        .dead_letter_exchange("d")
        .dead_letter_routing_key("k")
        .max_priority(3)
        .single_active_consumer()
        .classic_delivery_limit(4)
        .trigger("start", Trigger::Depth(5))
        .lazy()
        .argument("x-unknown", FieldValue::Void);
    let expected = QueueArguments {
        policies: None,
        stream: StreamArguments::default(),
        budget: Some(name("b")),
        consumer_timeout: None,
        dead_letter_exchange: Some(name("d")),
        dead_letter_routing_key: Some("k".into()),
        dead_letter_strategy: None,
        durability: None,
        delayed_retry: DelayedRetry::default(),
        delivery_limit: Some(4),
        expires: Some(Duration::from_secs(61)),
        max_length: Some(10),
        max_length_bytes: Some(1000),
        max_priority: Some(3),
        message_ttl: Some(Duration::from_secs(60)),
        overflow: Some(Overflow::Block),
        queue_type: QueueType::Classic,
        single_active_consumer: true,
        trigger: Some(TriggerArguments {
            initiation_queue: name("start"),
            trigger: Trigger::Depth(5),
        }),
    };
    assert_eq!(parse(queue.argument_table().clone()).unwrap(), expected);
    assert_eq!(parse(FieldTable::new()).unwrap(), QueueArguments::default());
}

#[test]
fn integers_may_have_any_width_and_nothing_else_is_an_integer() {
    for value in [
        FieldValue::Octet(100),
        FieldValue::Short(100),
        FieldValue::Long(100),
        FieldValue::UnsignedInt(100),
    ] {
        assert_eq!(
            parse_one("x-expires", value).unwrap().expires,
            Some(Duration::from_millis(100))
        );
    }
    assert_eq!(
        refusal("x-message-ttl", "100"),
        ": \"expected integer, got longstr\""
    );
    assert_eq!(
        refusal("x-message-ttl", true),
        ": \"expected integer, got bool\""
    );
    assert_eq!(
        refusal("x-max-length", 1.5),
        ": \"expected integer, got double\""
    );
}

#[test]
fn numbers_outside_their_range_are_refused() {
    assert_eq!(
        refusal("x-message-ttl", -1),
        ": {value_negative,-1}, expected 0 or more"
    );
    assert_eq!(
        refusal("x-expires", 0),
        ": {value_zero,0}, expected 1 or more"
    );
    assert!(refusal("x-expires", -10).contains("{value_negative,-10}"));
    assert!(
        refusal("x-message-ttl", 315_360_000_001_i64).contains("{value_too_large,315360000001}")
    );
    assert!(refusal("x-max-length", -1).contains("{value_negative,-1}"));
    assert!(refusal("x-max-length-bytes", -1).contains("{value_negative,-1}"));
    assert!(refusal("x-max-priority", -1).contains("{value_negative,-1}"));
    assert!(refusal("x-max-priority", 256).contains("{max_value_exceeded,256}"));
    assert!(refusal("x-queue-version", 1).contains("unsupported queue version '1'"));
    assert!(refusal("x-queue-version", 3).contains("unsupported queue version '3'"));
    assert!(refusal("x-leveret-delivery-limit", -2).contains("{value_negative,-2}"));
    assert_eq!(
        parse_one("x-message-ttl", 0).unwrap().message_ttl,
        Some(Duration::ZERO)
    );
    assert_eq!(
        parse_one("x-message-ttl", 4_294_967_295_i64)
            .unwrap()
            .message_ttl,
        Some(Duration::from_millis(4_294_967_295))
    );
    assert_eq!(parse_one("x-max-length", 0).unwrap().max_length, Some(0));
    assert_eq!(
        parse_one("x-max-priority", 255).unwrap().max_priority,
        Some(255)
    );
}

#[test]
fn words_and_flags_are_checked() {
    assert!(refusal("x-overflow", 1).contains("{unacceptable_type,signedint}"));
    assert!(refusal("x-overflow", "drop-tail").contains("invalid_overflow"));
    assert!(parse_one("x-queue-mode", "busy").is_ok());
    assert!(parse_one("x-queue-type", "").is_ok());
    assert!(refusal("x-single-active-consumer", "true").contains("{unacceptable_type,longstr}"));
    assert!(
        !parse_one("x-single-active-consumer", false)
            .unwrap()
            .single_active_consumer
    );
    assert!(refusal("x-queue-type", "rotating").contains("unsupported queue type 'rotating'"));
    let stream = parse_one("x-queue-type", "stream").unwrap();
    assert_eq!(stream.queue_type, QueueType::Stream);
}

#[test]
fn a_dead_letter_exchange_is_text_and_its_routing_key_needs_it() {
    let error = parse_one("x-dead-letter-exchange", 133).unwrap_err();
    assert_eq!(
        error.to_string(),
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'"
    );
    assert!(refusal("x-dead-letter-routing-key", "k").contains("routing_key_but_no_dlx_defined"));
    let arguments = parse(FieldTable::from([
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", "d"),
    ]))
    .unwrap();
    assert_eq!(arguments.dead_letter_exchange, Some(Name::empty()));
    assert!(parse_one("x-dead-letter-exchange", "x".repeat(256)).is_err());
}

#[test]
fn arguments_of_other_queue_types_are_refused_and_unknown_ones_are_not() {
    assert_eq!(
        refusal("x-max-age", "1D"),
        " of queue type rabbit_classic_queue"
    );
    assert_eq!(
        refusal("x-quorum-initial-group-size", 3),
        " of queue type rabbit_classic_queue"
    );
    let quorum = |argument: &str, value: FieldValue| {
        parse(FieldTable::from([
            ("x-queue-type", "quorum".into()),
            (argument, value),
        ]))
    };
    assert_eq!(
        quorum("x-delivery-limit", 2.into()).unwrap().queue_type,
        QueueType::Quorum
    );
    let text = quorum("x-max-priority", 2.into()).unwrap_err().to_string();
    assert!(
        text.ends_with("of queue type rabbit_quorum_queue"),
        "{text}"
    );
    assert!(
        parse(FieldTable::from([
            ("x-ha-policy", "all"),
            ("anything", "else")
        ]))
        .is_ok()
    );
}

#[test]
fn a_quorum_queue_is_durable_shared_and_permanent() {
    let check = |queue: Queue| {
        let queue = queue.argument("x-queue-type", "quorum");
        let arguments = parse(queue.argument_table().clone()).unwrap();
        arguments
            .check_properties(&queue, &name("q"), &name("/"))
            .map_err(|error| error.to_string())
    };
    let refused = |property| {
        Err(format!(
            "PRECONDITION_FAILED - invalid property '{property}' for queue 'q' in vhost '/'"
        ))
    };
    assert_eq!(check(Queue::new("q").durable()), Ok(()));
    assert_eq!(check(Queue::new("q")), refused("non-durable"));
    assert_eq!(
        check(Queue::new("q").durable().exclusive_flag()),
        refused("exclusive-owner")
    );
    assert_eq!(
        check(Queue::new("q").durable().auto_delete()),
        refused("auto-delete")
    );
    assert!(
        QueueArguments::default()
            .check_properties(&Queue::exclusive(), &name("q"), &name("/"))
            .is_ok()
    );
}

#[test]
fn a_consumer_priority_is_an_integer_of_any_size() {
    let parse = |table: FieldTable| {
        ConsumerArguments::parse(&table, QueueType::Classic, &name("q"), &name("/"))
    };
    assert_eq!(parse(FieldTable::new()).unwrap().priority, 0);
    assert_eq!(
        parse(FieldTable::from([("x-priority", 1_099_511_627_776_i64)]))
            .unwrap()
            .priority,
        1_099_511_627_776
    );
    assert_eq!(
        parse(FieldTable::from([("x-priority", FieldValue::Octet(-1))]))
            .unwrap()
            .priority,
        -1
    );
    for wrong in [FieldValue::Bool(true), FieldValue::Double(1.5)] {
        assert_eq!(
            parse(FieldTable::from([("x-priority", wrong)]))
                .unwrap_err()
                .reply_code(),
            Some(406)
        );
    }
    // RabbitMQ 3.10 knew this one.
    assert!(parse(FieldTable::from([("x-cancel-on-ha-failover", "yes")])).is_ok());
}

#[test]
fn a_consumer_of_a_quorum_queue_may_have_a_timeout_and_only_streams_have_offsets() {
    let parse = |queue_type, argument: &str, value: FieldValue| {
        let table = FieldTable::from([(argument, value)]);
        ConsumerArguments::parse(&table, queue_type, &name("q"), &name("/"))
    };
    let text = |result: Result<ConsumerArguments>| result.unwrap_err().to_string();
    let timeout = |value: FieldValue| parse(QueueType::Quorum, "x-consumer-timeout", value);
    assert_eq!(
        timeout(1500.into()).unwrap().timeout,
        Some(Duration::from_millis(1500))
    );
    assert_eq!(
        timeout(0.into()).unwrap().timeout,
        Some(Duration::from_millis(0))
    );
    assert!(
        text(timeout((-1).into()))
            .contains("'x-consumer-timeout' for queue 'q' in vhost '/': {value_negative,-1}")
    );
    assert!(text(timeout("5".into())).ends_with("\"expected integer, got longstr\""));
    for (queue_type, module) in [
        (QueueType::Classic, "rabbit_classic_queue"),
        (QueueType::Quorum, "rabbit_quorum_queue"),
    ] {
        for argument in [
            "x-stream-offset",
            "x-stream-filter",
            "x-stream-match-unfiltered",
        ] {
            assert_eq!(
                text(parse(queue_type, argument, "first".into())),
                format!(
                    "PRECONDITION_FAILED - invalid arg '{argument}' for queue 'q' in vhost '/' of \
                     queue type {module}"
                )
            );
        }
    }
    let of_classic = parse(QueueType::Classic, "x-consumer-timeout", "5".into());
    assert!(text(of_classic).ends_with("of queue type rabbit_classic_queue"));
}

#[test]
fn an_alternate_exchange_is_text() {
    let parse = |table: FieldTable| ExchangeArguments::parse(&table, &name("x"), &name("/"));
    assert_eq!(
        parse(FieldTable::from([("alternate-exchange", "a")]))
            .unwrap()
            .alternate_exchange,
        Some(name("a"))
    );
    let error = parse(FieldTable::from([("alternate-exchange", 12)])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'x' in vhost '/'"
    );
    assert!(parse(FieldTable::from([("whatever", 1)])).is_ok());
}
