//! The arguments of quorum queues.

use super::*;

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
