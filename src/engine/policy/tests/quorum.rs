//! The settings that only quorum queues have, and the policies that fit a type of queue.

use super::*;
use crate::model::{
    arguments::DelayedRetry,
    descriptions::{DeadLetterStrategy, DelayedRetryKind},
};

/// The arguments of a quorum queue.
pub(super) fn declared(arguments: &[(&str, FieldValue)]) -> Arc<QueueArguments> {
    let table: FieldTable = arguments.iter().cloned().collect();
    super::declared(table.with("x-queue-type", "quorum"))
}

fn effective(policy: Policy, arguments: &[(&str, FieldValue)]) -> QueueArguments {
    super::effective_of(&policies([policy]), &declared(arguments))
}

fn millis(millis: u64) -> Option<Duration> {
    Some(Duration::from_millis(millis))
}

#[test]
fn a_policy_sets_everything_that_a_quorum_queue_has() {
    let policy = Policy::new("p", "")
        .setting("consumer-timeout", 5)
        .setting("dead-letter-strategy", "at-least-once")
        .setting("delayed-retry-type", "failed")
        .setting("delayed-retry-min", 10)
        .setting("delayed-retry-max", 30)
        .setting("delivery-limit", 50);
    assert_eq!(
        effective(policy, &[]),
        QueueArguments {
            consumer_timeout: millis(5),
            dead_letter_strategy: Some(DeadLetterStrategy::AtLeastOnce),
            delayed_retry: DelayedRetry {
                kind: Some(DelayedRetryKind::Failed),
                min: millis(10),
                max: millis(30),
            },
            delivery_limit: Some(50),
            queue_type: QueueType::Quorum,
            ..QueueArguments::default()
        }
    );
}

#[test]
fn a_classic_queue_has_no_timeout_and_no_delayed_retry_by_a_policy_that_applies_to_it() {
    let policy = Policy::new("p", "")
        .setting("consumer-timeout", 5)
        .setting("delayed-retry-type", "all")
        .setting("delayed-retry-min", 10)
        .setting("max-length", 7);
    let classic = QueueArguments {
        max_length: Some(7),
        ..QueueArguments::default()
    };
    assert_eq!(super::effective(&policies([policy])), classic);
}

#[test]
fn of_two_limits_the_lower_wins_and_a_negative_one_is_the_highest() {
    let limit = |policy: i32, argument: i32| {
        let policy = Policy::new("p", "").setting("delivery-limit", policy);
        effective(policy, &[("x-delivery-limit", argument.into())]).delivery_limit
    };
    assert_eq!(limit(3, 5), Some(3));
    assert_eq!(limit(5, 3), Some(3));
    assert_eq!(limit(-1, 3), Some(3));
    assert_eq!(limit(3, -1), Some(3));
    assert_eq!(limit(-1, -1), Some(u64::MAX));
    let policy = Policy::new("p", "")
        .setting("consumer-timeout", 5)
        .setting("delayed-retry-min", 10)
        .setting("delayed-retry-max", 30);
    let arguments = |timeout: i32, min: i32, max: i32| {
        [
            ("x-consumer-timeout", timeout.into()),
            ("x-delayed-retry-min", min.into()),
            ("x-delayed-retry-max", max.into()),
        ]
    };
    for (arguments, timeout, min, max) in [
        (arguments(4, 9, 29), 4, 9, 29),
        (arguments(6, 11, 31), 5, 10, 30),
    ] {
        let effective = effective(policy.clone(), &arguments);
        assert_eq!(effective.consumer_timeout, millis(timeout));
        assert_eq!(effective.delayed_retry.min, millis(min));
        assert_eq!(effective.delayed_retry.max, millis(max));
    }
}

#[test]
fn of_two_words_the_policys_applies_except_for_dead_letters() {
    let policy = Policy::new("p", "")
        .setting("dead-letter-exchange", "policy-x")
        .setting("dead-letter-strategy", "at-least-once")
        .setting("delayed-retry-type", "disabled")
        .setting("overflow", "reject-publish");
    let arguments = [
        ("x-dead-letter-exchange", FieldValue::from("own-x")),
        ("x-dead-letter-strategy", "at-most-once".into()),
        ("x-delayed-retry-type", "all".into()),
        ("x-overflow", "drop-head".into()),
    ];
    let effective = effective(policy, &arguments);
    assert_eq!(effective.dead_letter_exchange, Some(name("own-x")));
    assert_eq!(
        effective.dead_letter_strategy,
        Some(DeadLetterStrategy::AtMostOnce)
    );
    assert_eq!(
        effective.delayed_retry.kind,
        Some(DelayedRetryKind::Disabled)
    );
    assert_eq!(effective.overflow, Some(Overflow::RejectPublish));
}

#[test]
fn the_settings_of_a_delayed_retry_must_fit_together() {
    let refused = |key, policy| refusal(key, set(policy));
    let of = |kind: &str| Policy::new("p", "").setting("delayed-retry-type", kind);
    assert_eq!(
        refused("delayed-retry-min", of("all")),
        "delayed-retry-min is required when delayed-retry-type is all"
    );
    assert_eq!(set(of("disabled")), Ok(()));
    let delays = |min, max| {
        Policy::new("p", "")
            .setting("delayed-retry-max", max)
            .setting("delayed-retry-min", min)
    };
    assert_eq!(
        refused("delayed-retry-max", delays(300, 100)),
        "delayed-retry-max (100) must not be smaller than delayed-retry-min (300)"
    );
    assert_eq!(set(delays(100, 100)), Ok(()));
}

#[test]
fn a_policy_with_a_key_that_a_queue_does_not_support_gives_way_to_the_next() {
    let with = |key: &str, value: FieldValue| {
        let policies = policies([
            Policy::new("first", "")
                .priority(1)
                .setting("max-length", 5)
                .setting(key, value),
            Policy::new("second", "").setting("max-length", 7),
        ]);
        [Subject::Exchange, CLASSIC, QUORUM]
            .map(|subject| policies.matching(subject, "x").unwrap().name.clone())
    };
    for (key, value) in [
        ("delivery-limit", FieldValue::from(1)),
        ("dead-letter-strategy", "at-most-once".into()),
        ("max-in-memory-length", 1.into()),
        ("max-in-memory-bytes", 1.into()),
        ("target-group-size", 1.into()),
    ] {
        assert_eq!(with(key, value), ["first", "second", "first"], "{key}");
    }
    assert_eq!(
        with("queue-mode", "lazy".into()),
        ["first", "first", "second"]
    );
    for (key, value) in [
        ("max-age", FieldValue::from("1h")),
        ("stream-max-segment-size-bytes", 1.into()),
        ("initial-cluster-size", 1.into()),
    ] {
        assert_eq!(with(key, value), ["first", "second", "second"], "{key}");
    }
    for (key, value) in [
        ("consumer-timeout", FieldValue::from(1)),
        ("delayed-retry-min", 1.into()),
        ("queue-version", 2.into()),
        ("stream-filter-size-bytes", 16.into()),
        ("alternate-exchange", "x".into()),
    ] {
        assert_eq!(with(key, value), ["first"; 3], "{key}");
    }
}
