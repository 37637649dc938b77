//! Conditions on the fields of notifications.

use leveret::{
    Broker, Error, FieldTable, FieldValue,
    notify::{Condition, MemoryDriver, Notification, NotificationFilter, Priority},
};
use serde_json::{Value, json};

/// A notification with this payload.
fn notification(payload: Value) -> Notification<Value> {
    let broker = Broker::new();
    let memory = MemoryDriver::default();
    let notifier = broker.notifier("local.7").driver("memory", memory.clone());
    notifier
        .build()
        .unwrap()
        .error("order.lost", payload)
        .unwrap();
    memory.take().remove(0)
}

#[test]
fn a_regular_expression_matches_anywhere_unless_it_is_anchored() {
    let it = notification(Value::Null);
    let cases = [
        ("local", true),
        ("^local", true),
        (r"\.7$", true),
        ("^7", false),
        ("^local$", false),
        ("^(?!remote)", true),
        ("", true),
    ];
    for (pattern, expected) in cases {
        let filter = NotificationFilter::new().publisher_id(pattern).unwrap();
        assert_eq!(filter.matches(&it, None), expected, "{pattern}");
    }
    let filter = |pattern| NotificationFilter::new().event_type(pattern).unwrap();
    assert!(filter("^order").matches(&it, None) && !filter("^lost").matches(&it, None));
}

#[test]
fn a_payload_is_reached_by_json_pointers_and_compared_by_value() {
    let it = notification(json!({
        "state": "active", "count": 3, "share": 0.5, "big": u64::MAX, "ok": true, "none": null,
        "lines": [{"price": 7}, {"price": 8.0}], "a/b": 1,
    }));
    let matches = |text| Condition::matches(text).unwrap();
    let cases: [(&str, Condition, bool); 25] = [
        ("/state", "active".into(), true),
        ("/state", "act".into(), false),
        ("/state", matches("^act"), true),
        ("/state", matches("^tive"), false),
        ("/count", 3.into(), true),
        ("/count", 3.0.into(), true),
        ("/count", "3".into(), false),
        ("/count", matches("^3$"), true),
        ("/count", Condition::at_least(3), true),
        ("/count", Condition::at_least(3.5), false),
        ("/count", Condition::at_most(3), true),
        ("/share", Condition::at_most(0.4), false),
        ("/share", 0.5.into(), true),
        ("/big", u64::MAX.into(), true),
        ("/big", (u64::MAX - 1).into(), false),
        ("/ok", true.into(), true),
        ("/ok", false.into(), false),
        ("/ok", matches("true"), true),
        ("/none", Condition::Exists, true),
        ("/none", Value::Null.into(), true),
        ("/missing", Condition::Exists, false),
        ("/lines/1/price", 8.into(), true),
        ("/lines", json!([{"price": 7.0}, {"price": 8}]).into(), true),
        ("/a~1b", 1.into(), true),
        ("/state", Condition::at_least(0), false),
    ];
    for (pointer, condition, expected) in cases {
        let text = format!("{pointer}: {condition:?}");
        let filter = NotificationFilter::new().payload(pointer, condition);
        assert_eq!(filter.matches(&it, None), expected, "{text}");
    }
}

#[test]
fn all_conditions_must_hold() {
    let it = notification(json!({"a": 1, "b": 2}));
    let both = |a: i32, b: i32| NotificationFilter::new().payload("/a", a).payload("/b", b);
    assert!(NotificationFilter::new().matches(&it, None));
    assert!(both(1, 2).matches(&it, None));
    assert!(!both(1, 1).matches(&it, None) && !both(2, 2).matches(&it, None));
}

#[test]
fn a_typed_payload_is_filtered_as_its_json() {
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Order {
        lines: Vec<u32>,
    }
    let broker = Broker::new();
    let memory = MemoryDriver::<Order>::default();
    let notifier = broker.notifier("shop").driver("memory", memory.clone());
    let order = Order { lines: vec![7, 8] };
    notifier.build().unwrap().info("order.paid", order).unwrap();
    let it = memory.take().remove(0);
    let filter = |price: u32| NotificationFilter::new().payload("/lines/1", price);
    assert!(filter(8).matches(&it, None) && !filter(7).matches(&it, None));
}

#[test]
fn the_context_and_the_metadata_have_conditions_too() {
    let it = notification(Value::Null);
    let mut context = FieldTable::new();
    context.insert("user", "ada");
    context.insert("admin", true);
    let user = |name: &str| NotificationFilter::new().context("/user", name);
    assert!(user("ada").matches(&it, Some(&context)));
    assert!(!user("eve").matches(&it, Some(&context)));
    assert!(!user("ada").matches(&it, None));
    let admin = NotificationFilter::new().context("/admin", true);
    assert!(admin.matches(&it, Some(&context)));

    let metadata = |pointer: &str, condition: Condition| {
        NotificationFilter::new()
            .metadata(pointer, condition)
            .matches(&it, None)
    };
    assert_eq!(it.priority, Priority::Error);
    assert!(metadata("/priority", "error".into()));
    assert!(metadata("/message_id", it.message_id.to_string().into()));
    assert!(metadata("/timestamp", Condition::at_least(1_700_000_000)));
    assert!(!metadata("/publisher_id", Condition::Exists));
}

#[test]
fn the_fields_of_a_context_are_compared_by_their_values() {
    let it = notification(Value::Null);
    let mut inner = FieldTable::new();
    inner.insert("level", FieldValue::UnsignedOctet(3));
    let mut context = FieldTable::new();
    context.insert("small", FieldValue::Short(-7));
    context.insert("large", i64::MAX);
    context.insert("share", 0.5);
    context.insert("inner", FieldValue::Table(inner));
    context.insert("roles", vec![FieldValue::from("a"), FieldValue::from("b")]);
    context.insert("since", FieldValue::Timestamp(5));
    context.insert(
        "price",
        FieldValue::Decimal {
            scale: 2,
            value: -150,
        },
    );
    context.insert("key", FieldValue::Bytes(vec![1, 255]));
    context.insert("none", FieldValue::Void);
    let cases: [(&str, Condition, bool); 15] = [
        ("/since", 5.into(), true),
        ("/price", (-1.5).into(), true),
        ("/price", Condition::at_least(0), false),
        ("/key", "01ff".into(), true),
        ("/none", Value::Null.into(), true),
        ("/none", false.into(), false),
        ("/small", (-7).into(), true),
        ("/small", Condition::at_most(-8), false),
        ("/large", i64::MAX.into(), true),
        ("/large", (i64::MAX - 1).into(), false),
        ("/share", 0.5.into(), true),
        ("/inner/level", Condition::at_least(3), true),
        ("/inner/level", 4.into(), false),
        ("/roles/1", "b".into(), true),
        ("/roles/2", Condition::Exists, false),
    ];
    for (pointer, condition, expected) in cases {
        let text = format!("{pointer}: {condition:?}");
        let filter = NotificationFilter::new().context(pointer, condition);
        assert_eq!(filter.matches(&it, Some(&context)), expected, "{text}");
    }
}

#[test]
fn a_payload_whose_serialization_panics_meets_no_condition() {
    #[derive(Clone, serde::Deserialize)]
    struct Bomb;
    impl serde::Serialize for Bomb {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("the serialization of a payload");
        }
    }
    let broker = Broker::new();
    let memory = MemoryDriver::<Bomb>::default();
    let notifier = broker.notifier("shop").driver("memory", memory.clone());
    notifier.build().unwrap().info("order.paid", Bomb).unwrap();
    let it = memory.take().remove(0);
    assert!(
        !NotificationFilter::new()
            .payload("", Condition::Exists)
            .matches(&it, None)
    );
    assert!(
        NotificationFilter::new()
            .publisher_id("shop")
            .unwrap()
            .matches(&it, None)
    );
}

#[test]
fn an_invalid_pattern_is_an_error_of_the_crate() {
    fn filter(pattern: &str) -> leveret::Result<NotificationFilter> {
        Ok(NotificationFilter::new().publisher_id(pattern)?)
    }
    assert!(filter("^local").is_ok());
    let error = filter("(").unwrap_err();
    assert!(matches!(&error, Error::InvalidPattern(it) if it.pattern() == "("));
    assert_eq!(error.reply_code(), None);
    assert!(
        error
            .to_string()
            .starts_with("the regular expression '(' does not compile")
    );
}

#[test]
fn a_filter_that_does_not_compile_says_so_and_a_match_that_takes_too_long_is_none() {
    let error = NotificationFilter::new().event_type("a(b").unwrap_err();
    assert_eq!(error.pattern(), "a(b");
    assert!(error.to_string().contains("does not compile"), "{error}");
    assert!(Condition::matches("[").is_err());
    // A small text, and a large pattern.
    let calls = (0..30).map(|at| format!(r"(?<g{at}>\g<g{0}>\g<g{0}>)", at + 1));
    let growing = format!("{}(?<g30>(?=a)a)", calls.collect::<String>());
    assert!(Condition::matches(&growing).is_err());
    // Each way of dividing the text is tried, with a reference that never matches.
    let hard = Condition::matches(r"^(a|a)*\1b$").unwrap();
    let it = notification(json!("a".repeat(40)));
    assert!(
        !NotificationFilter::new()
            .payload("", hard)
            .matches(&it, None)
    );
}
