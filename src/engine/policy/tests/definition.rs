//! The checks of a definition, of a pattern and of a name.

use super::*;

/// A policy without settings.
fn empty() -> Policy {
    Policy::new("p", "")
}

fn refused_setting(key: &str, value: impl Into<FieldValue>) -> String {
    refusal(key, set(empty().setting(key, value)))
}

/// Whether a setting is refused since its key is none.
fn unrecognised(key: &str, value: impl Into<FieldValue>) -> bool {
    refused_setting(key, value).contains("not recognised")
}

#[test]
fn every_key_of_rabbitmq_is_accepted() {
    let policy = empty()
        .setting("alternate-exchange", "")
        .setting("consumer-disconnected-timeout", 0)
        .setting("consumer-timeout", 0)
        .setting("dead-letter-exchange", "")
        .setting("dead-letter-routing-key", "")
        .setting("dead-letter-strategy", "at-least-once")
        .setting("delayed-retry-max", 1)
        .setting("delayed-retry-min", 1)
        .setting("delayed-retry-type", "all")
        .setting("delivery-limit", -1)
        .setting("expires", 1)
        .setting("initial-cluster-size", 0)
        .setting("max-age", "7D")
        .setting("max-in-memory-bytes", 0)
        .setting("max-in-memory-length", 0)
        .setting("max-length", 0)
        .setting("max-length-bytes", 5_000_000_000_i64)
        .setting("message-ttl", i64::MAX)
        .setting("overflow", "block")
        .setting("queue-leader-locator", "balanced")
        .setting("queue-mode", "lazy")
        .setting("queue-version", 2)
        .setting("stream-filter-size-bytes", 16)
        .setting("stream-max-segment-size-bytes", 1)
        .setting("target-group-size", 1);
    assert_eq!(set(policy), Ok(()));
}

#[test]
fn a_value_of_the_wrong_type_or_range_is_refused_in_rabbitmqs_words() {
    for (key, value, text) in [
        (
            "alternate-exchange",
            1.into(),
            "1 is not a valid alternate exchange name, expected text of at most 255 bytes",
        ),
        (
            "dead-letter-exchange",
            true.into(),
            "true is not a valid dead letter exchange name, expected text of at most 255 bytes",
        ),
        (
            "dead-letter-routing-key",
            FieldValue::from(1.5),
            "1.5 is not a valid dead letter routing key, expected text",
        ),
        (
            "consumer-timeout",
            FieldValue::from(-5),
            "-5 is not a valid consumer timeout, expected a whole number, 0 or more",
        ),
        (
            "consumer-disconnected-timeout",
            FieldValue::from("a"),
            "<<\"a\">> is not a valid consumer disconnected timeout, expected a whole number, 0 or more",
        ),
        (
            "dead-letter-strategy",
            FieldValue::from("bogus"),
            "<<\"bogus\">> is not a valid dead letter strategy, expected at-most-once or at-least-once",
        ),
        (
            "delayed-retry-type",
            FieldValue::from("bogus"),
            "<<\"bogus\">> is not a valid delayed retry type. Must be one of: all, failed, returned, disabled",
        ),
        (
            "delayed-retry-min",
            FieldValue::from(0),
            "0 is not a valid delayed retry minimum delay. Must be a positive integer",
        ),
        (
            "delayed-retry-max",
            FieldValue::from("5"),
            "<<\"5\">> is not a valid delayed retry maximum delay. Must be a positive integer",
        ),
        (
            "delivery-limit",
            FieldValue::from("x"),
            "<<\"x\">> is not a valid delivery limit, expected a whole number, where a negative one means no limit",
        ),
        (
            "queue-master-locator",
            FieldValue::from("client-local"),
            "use of deprecated queue-master-locator argument is not permitted",
        ),
        (
            "stream-filter-size-bytes",
            FieldValue::from(15),
            "15 is not a valid filter size. Valid range is 16-255, expected a whole number from 16 to 255",
        ),
        (
            "target-group-size",
            FieldValue::from(0),
            "0 is not a valid qq target count value, expected a whole number, 1 or more",
        ),
        (
            "expires",
            FieldValue::from(0),
            "0 is not a valid queue expiry, expected a whole number of milliseconds, 1 or more",
        ),
        (
            "max-length",
            FieldValue::from("5"),
            "<<\"5\">> is not a valid maximum length, expected a whole number, 0 or more",
        ),
        (
            "max-length-bytes",
            FieldValue::from(5.0),
            "5.0 is not a valid maximum length in bytes, expected a whole number, 0 or more",
        ),
        (
            "message-ttl",
            FieldValue::from(-1),
            "-1 is not a valid message TTL, expected a whole number of milliseconds, 0 or more",
        ),
        (
            "overflow",
            FieldValue::from("drop-tail"),
            "<<\"drop-tail\">> is not a valid overflow value, expected drop-head, reject-publish, reject-publish-dlx or block",
        ),
        (
            "queue-mode",
            FieldValue::from("busy"),
            "<<\"busy\">> is not a valid queue-mode value, expected default or lazy",
        ),
        (
            "queue-version",
            FieldValue::from(3),
            "3 is not a valid queue-version value, expected 1 or 2",
        ),
        (
            "max-age",
            FieldValue::from("0D"),
            "<<\"0D\">> is not a valid max age, expected a whole number above 0 and one of Y, M, D, h, m, s",
        ),
    ] {
        assert_eq!(refused_setting(key, value), text);
    }
    for age in ["7", "D", "7DD", "-7D", "7 D", "", "7é"] {
        assert!(refused_setting("max-age", age).contains("not a valid max age"));
    }
}

#[test]
fn unknown_keys_and_an_empty_definition_are_refused() {
    let text = refused_setting("frob", 1);
    assert!(
        text.starts_with("[{<<\"frob\">>,1}] are not recognised policy settings"),
        "{text}"
    );
    // All together, after those with invalid values.
    let policy = empty()
        .setting("y", "b")
        .setting("x", 1)
        .setting("max-length", 1);
    let text = refusal("x", set(policy.clone()));
    assert!(
        text.starts_with(
            "[{<<\"x\">>,1},{<<\"y\">>,<<\"b\">>}] are not recognised policy settings"
        ),
        "{text}"
    );
    assert!(refusal("expires", set(policy.setting("expires", 0))).contains("queue expiry"));
    // RabbitMQ 3.10 had mirrored queues, which 4.0 removed.
    assert!(unrecognised("ha-mode", "all"));
    assert!(unrecognised("max-priority", 3));
    // The name of an argument is not the key of a setting.
    assert!(unrecognised("x-max-length", 1));
    assert_eq!(refusal("definition", set(empty())), "no policy provided");
    let long = Policy::new("p".repeat(256), "").setting("max-length", 1);
    assert_eq!(set(long).unwrap_err().reply_code(), Some(502));
}

#[test]
fn an_operator_policy_may_hold_few_keys() {
    let mut policies = policies([]);
    let mut set = |key: &str| policies.set_operator(empty().setting(key, 1));
    for key in [
        "delayed-retry-max",
        "delayed-retry-min",
        "delivery-limit",
        "expires",
        "max-in-memory-bytes",
        "max-length",
        "queue-version",
        "target-group-size",
    ] {
        assert_eq!(set(key), Ok(()));
    }
    let text = refusal("queue-master-locator", set("queue-master-locator"));
    assert_eq!(
        text,
        "use of deprecated queue-master-locator argument is not permitted"
    );
    for key in ["consumer-timeout", "consumer-disconnected-timeout"] {
        assert!(set(key).is_err());
    }
    let text = refusal("ha-sync-batch-size", set("ha-sync-batch-size"));
    assert!(
        text.contains(
            "not recognised policy settings, an operator policy may hold delayed-retry-max"
        ),
        "{text}"
    );
    assert!(set("dead-letter-exchange").is_err());
}

#[test]
fn a_pattern_that_does_not_compile_is_refused_with_the_reason() {
    let refused = |pattern| {
        refusal(
            "pattern",
            set(Policy::new("p", pattern).setting("max-length", 1)),
        )
    };
    for (pattern, reason) in [
        ("a(", "Opening parenthesis without closing parenthesis"),
        ("*a", "Target"),
        (r"(?=a)\1", "back reference"),
    ] {
        let refused = refused(pattern);
        let start = "pattern should be regular expression but is invalid: ";
        assert!(
            refused.starts_with(start) && refused.contains(reason),
            "{refused}"
        );
    }
}
