//! Redeclarations.

use super::*;

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
