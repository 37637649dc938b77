use super::*;
use crate::model::{
    descriptions::{DeadLetterStrategy, DelayedRetryKind, Exchange, Overflow, Queue},
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

fn redeclare(current: &Queue, received: &Queue) -> Result {
    check_queue_equivalence(current, received, &name("q"), &name("/"))
}

fn inequivalent_field(result: Result) -> String {
    match result.unwrap_err() {
        Error::Inequivalent(difference) => difference.field,
        other => panic!("{other}"),
    }
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
        .lazy()
        .argument("x-unknown", FieldValue::Void);
    let expected = QueueArguments {
        budget: Some(name("b")),
        consumer_timeout: None,
        dead_letter_exchange: Some(name("d")),
        dead_letter_routing_key: Some("k".into()),
        dead_letter_strategy: None,
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
    assert_eq!(
        parse_one("x-queue-type", "stream")
            .unwrap_err()
            .reply_code(),
        Some(540)
    );
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
fn a_consumer_of_a_quorum_queue_may_have_a_timeout_and_no_consumer_has_arguments_of_streams() {
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

#[test]
fn a_queue_redeclared_with_another_flag_is_inequivalent_and_with_another_exclusive_locked() {
    let plain = Queue::new("q");
    assert!(redeclare(&plain, &plain).is_ok());
    assert_eq!(
        redeclare(&plain, &plain.clone().durable())
            .unwrap_err()
            .to_string(),
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'"
    );
    assert_eq!(
        inequivalent_field(redeclare(&plain.clone().auto_delete(), &plain)),
        "auto_delete"
    );
    let exclusive = plain.clone().exclusive_flag();
    assert_eq!(
        redeclare(&plain, &exclusive).unwrap_err().reply_code(),
        Some(405)
    );
    assert_eq!(
        redeclare(&exclusive, &plain).unwrap_err().reply_code(),
        Some(405)
    );
    // An exclusive queue is never durable, whatever its description says.
    assert!(redeclare(&exclusive, &exclusive.clone().durable()).is_ok());
}

#[test]
fn known_arguments_are_compared_by_value_and_unknown_ones_are_not() {
    let queue = |argument: &str, value: FieldValue| Queue::new("q").argument(argument, value);
    let plain = Queue::new("q");
    assert!(
        redeclare(
            &queue("x-max-length", 5.into()),
            &queue("x-max-length", FieldValue::Long(5))
        )
        .is_ok()
    );
    assert_eq!(
        redeclare(
            &queue("x-max-length", 5.into()),
            &queue("x-max-length", 6.into())
        )
        .unwrap_err()
        .to_string(),
        "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received '6' but current is '5'"
    );
    assert_eq!(
        redeclare(&plain, &queue("x-max-length", 6.into()))
            .unwrap_err()
            .to_string(),
        "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': \
         received the value '6' of type 'signedint' but current is none"
    );
    assert!(redeclare(&queue("x-whatever", 1.into()), &plain).is_ok());
    assert!(redeclare(&plain, &queue("x-queue-type", "classic".into())).is_ok());
    assert!(redeclare(&queue("x-queue-type", "classic".into()), &plain).is_ok());
    assert_eq!(
        redeclare(&queue("x-queue-type", "quorum".into()), &plain)
            .unwrap_err()
            .to_string(),
        "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': \
         received 'classic' but current is 'quorum'"
    );
    for (argument, default) in [
        ("x-queue-mode", "default"),
        ("x-overflow", "drop-head"),
        ("x-queue-type", "quorum"),
        ("x-queue-type", ""),
    ] {
        assert_eq!(
            inequivalent_field(redeclare(&plain, &queue(argument, default.into()))),
            argument
        );
    }
}

#[test]
fn every_known_argument_of_a_quorum_queue_is_compared_and_those_of_other_types_are_not() {
    let quorum = Queue::quorum("q");
    for (argument, value) in [
        ("x-delivery-limit", FieldValue::from(20)),
        ("x-delayed-retry-type", "disabled".into()),
        ("x-delayed-retry-min", 1.into()),
        ("x-consumer-timeout", 1.into()),
        ("x-consumer-disconnected-timeout", 1.into()),
        ("x-dead-letter-strategy", "at-most-once".into()),
        ("x-quorum-initial-group-size", 1.into()),
        ("x-max-in-memory-length", 5.into()),
        ("x-queue-leader-locator", "balanced".into()),
    ] {
        let other = quorum.clone().argument(argument, value);
        assert_eq!(inequivalent_field(redeclare(&quorum, &other)), argument);
    }
    let with = |argument: &str, value: FieldValue| quorum.clone().argument(argument, value);
    assert!(redeclare(&quorum, &with("x-max-age", "1h".into())).is_ok());
    assert!(redeclare(&quorum, &with("x-max-priority", 5.into())).is_ok());
    let narrow = with("x-delivery-limit", FieldValue::Octet(5));
    assert!(redeclare(&with("x-delivery-limit", 5.into()), &narrow).is_ok());
}

#[test]
fn exchanges_are_compared_by_type_flags_and_alternate_exchange() {
    let redeclare = |current: &Exchange, received: &Exchange| {
        check_exchange_equivalence(current, received, &name("x"), &name("/"))
    };
    let plain = Exchange::direct("x");
    assert!(redeclare(&plain, &plain.clone().argument("whatever", "foo")).is_ok());
    assert_eq!(
        redeclare(&plain, &Exchange::topic("x"))
            .unwrap_err()
            .to_string(),
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received 'topic' but current is 'direct'"
    );
    assert_eq!(
        inequivalent_field(redeclare(&plain, &plain.clone().durable())),
        "durable"
    );
    assert_eq!(
        inequivalent_field(redeclare(&plain, &plain.clone().auto_delete())),
        "auto_delete"
    );
    assert_eq!(
        inequivalent_field(redeclare(&plain, &plain.clone().internal())),
        "internal"
    );
    assert_eq!(
        inequivalent_field(redeclare(&plain, &plain.clone().alternate("a"))),
        "alternate-exchange"
    );
    assert!(redeclare(&plain.clone().alternate("a"), &plain.clone().alternate("a")).is_ok());
}

fn quorum(arguments: &[(&str, FieldValue)]) -> Result<QueueArguments> {
    let table: FieldTable = arguments.iter().cloned().collect();
    parse(table.with("x-queue-type", "quorum"))
}

#[test]
fn every_argument_of_a_quorum_queue_is_read() {
    let queue = Queue::quorum("q")
        .delivery_limit(4)
        .delayed_retry(
            DelayedRetryKind::All,
            Duration::from_secs(1),
            Duration::from_secs(2),
        )
        .consumer_timeout(Duration::from_secs(3))
        .dead_letter_exchange("d")
        .dead_letter_strategy(DeadLetterStrategy::AtLeastOnce);
    let arguments = parse(queue.argument_table().clone()).unwrap();
    let expected = QueueArguments {
        consumer_timeout: Some(Duration::from_secs(3)),
        dead_letter_exchange: Some(name("d")),
        dead_letter_strategy: Some(DeadLetterStrategy::AtLeastOnce),
        delayed_retry: DelayedRetry {
            kind: Some(DelayedRetryKind::All),
            min: Some(Duration::from_secs(1)),
            max: Some(Duration::from_secs(2)),
        },
        delivery_limit: Some(4),
        queue_type: QueueType::Quorum,
        ..QueueArguments::default()
    };
    assert_eq!(arguments, expected);
    assert!(queue.is_durable());
    let unlimited = Queue::quorum("q").unlimited_deliveries();
    let unlimited = parse(unlimited.argument_table().clone()).unwrap();
    assert_eq!(unlimited.delivery_limit, Some(u64::MAX));
}

#[test]
fn the_delivery_limit_and_the_delayed_retry_of_a_quorum_queue_are_never_refused() {
    let limit = |value: FieldValue| {
        quorum(&[("x-delivery-limit", value)])
            .unwrap()
            .delivery_limit
    };
    assert_eq!(limit(0.into()), Some(0));
    assert_eq!(limit((-7).into()), Some(u64::MAX));
    for value in ["5".into(), FieldValue::Double(2.5), true.into()] {
        assert_eq!(limit(value), None);
    }
    let retry = |arguments: &[(&str, FieldValue)]| quorum(arguments).unwrap().delayed_retry;
    for kind in ["bogus".into(), 5.into(), FieldValue::Void] {
        assert_eq!(
            retry(&[("x-delayed-retry-type", kind)]),
            DelayedRetry::default()
        );
    }
    assert_eq!(
        retry(&[
            ("x-delayed-retry-min", (-5).into()),
            ("x-delayed-retry-max", "5".into())
        ]),
        DelayedRetry {
            min: Some(Duration::ZERO),
            ..DelayedRetry::default()
        }
    );
}

#[test]
fn values_are_checked_before_arguments_of_other_types() {
    let text = |arguments: &[(&str, FieldValue)]| quorum(arguments).unwrap_err().to_string();
    // The order of the checks is RabbitMQ's, not that of the table.
    assert!(
        text(&[
            ("x-max-age", "1h".into()),
            ("x-overflow", "bogus".into()),
            ("x-expires", 0.into()),
        ])
        .contains("{value_zero,0}")
    );
    assert!(
        text(&[("x-max-age", "1h".into()), ("x-overflow", "bogus".into())])
            .contains("invalid_overflow")
    );
    // The value of an argument of another type is not looked at.
    assert!(
        text(&[("x-max-priority", "high".into())]).ends_with("of queue type rabbit_quorum_queue")
    );
    for (argument, value, reason) in [
        (
            "x-consumer-timeout",
            FieldValue::from(-1),
            "{value_negative,-1}",
        ),
        (
            "x-consumer-disconnected-timeout",
            (-1).into(),
            "{value_negative,-1}",
        ),
        ("x-max-in-memory-length", (-1).into(), "{value_negative,-1}"),
        ("x-quorum-initial-group-size", 0.into(), "{value_zero,0}"),
        (
            "x-dead-letter-strategy",
            "bogus".into(),
            "invalid_dlx_strategy",
        ),
        (
            "x-dead-letter-strategy",
            5.into(),
            "{unacceptable_type,signedint}",
        ),
        (
            "x-queue-leader-locator",
            "bogus".into(),
            "invalid_queue_locator_arg",
        ),
    ] {
        assert!(text(&[(argument, value)]).contains(reason), "{argument}");
    }
}
