use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Makes a message to the default exchange die in `queue`, whose dead letter routing key is `d`.
fn die(properties: &Properties, queue: &str, reason: DeathReason) -> Properties {
    die_with(properties, queue, reason, queue, Some("d"))
}

fn die_with(
    properties: &Properties,
    queue: &str,
    reason: DeathReason,
    routing_key: &str,
    dead_letter_routing_key: Option<&str>,
) -> Properties {
    let death = Death {
        reason,
        queue: &name(queue),
        exchange: &Name::empty(),
        routing_key,
        dead_letter_routing_key,
        time: UNIX_EPOCH + Duration::from_millis(5_900),
    };
    with_death_recorded(properties, &death)
}

fn array<const N: usize>(keys: [&str; N]) -> FieldValue {
    FieldValue::Array(keys.map(FieldValue::from).to_vec())
}

/// Queue, reason and count of each record.
fn deaths(properties: &Properties) -> Vec<(String, String, i64)> {
    let text = |death: &FieldTable, field| death.get(field).unwrap().as_str().unwrap().to_owned();
    let deaths = properties.header_value("x-death").unwrap();
    deaths
        .as_array()
        .unwrap()
        .iter()
        .map(|death| death.as_table().unwrap())
        .map(|death| {
            let count = death.get("count").unwrap().as_i64().unwrap();
            (text(death, "queue"), text(death, "reason"), count)
        })
        .collect()
}

fn entry(queue: &str, reason: DeathReason, count: i64) -> (String, String, i64) {
    (queue.to_owned(), reason.to_string(), count)
}

fn published(x_death: impl Into<FieldValue>) -> Properties {
    Properties::new().header("x-death", x_death)
}

fn closes(properties: &Properties, queue: &str) -> bool {
    closes_cycle(properties.headers.as_ref(), &name(queue))
}

use DeathReason::{DeliveryLimit, Expired, MaxLen, Rejected};

#[test]
fn a_reason_prints_and_is_written_as_on_the_wire() {
    for reason in [DeliveryLimit, Expired, MaxLen, Rejected] {
        let json = serde_json::to_string(&reason).unwrap();
        assert_eq!(json, format!("\"{reason}\""));
        assert_eq!(serde_json::from_str::<DeathReason>(&json).unwrap(), reason);
    }
    assert_eq!(DeliveryLimit.to_string(), "delivery_limit");
}

#[test]
fn a_first_death_is_recorded_with_the_types_of_rabbitmq() {
    let death = Death {
        reason: Rejected,
        queue: &name("q"),
        exchange: &name("amq.direct"),
        routing_key: "k",
        dead_letter_routing_key: Some("d"),
        time: UNIX_EPOCH + Duration::from_millis(5_900),
    };
    let record = FieldTable::new()
        .with("count", FieldValue::Long(1))
        .with("reason", "rejected")
        .with("queue", "q")
        .with("time", FieldValue::Timestamp(5))
        .with("exchange", "amq.direct")
        .with("routing-keys", array(["k"]));
    assert_eq!(
        with_death_recorded(&Properties::new(), &death),
        Properties::new()
            .header("x-first-death-reason", "rejected")
            .header("x-first-death-queue", "q")
            .header("x-first-death-exchange", "amq.direct")
            .header("x-death", FieldValue::Array(vec![record.into()]))
    );
}

#[test]
fn properties_and_headers_are_kept() {
    let properties = Properties::new()
        .content_type("a/b")
        .priority(2)
        .persistent()
        .header("k", "v");
    let mut buried = die(&properties, "q", MaxLen);
    assert_eq!(buried.header_value("k"), Some(&"v".into()));
    buried
        .headers_mut()
        .retain(|name, _| !name.starts_with("x-"));
    assert_eq!(buried, properties);
}

#[test]
fn any_death_takes_the_expiration_and_its_record_keeps_it() {
    let buried = die(&Properties::new().expiration("60000"), "q", Rejected);
    assert_eq!(buried.expiration, None);
    let record = |properties: &Properties| {
        let deaths = properties.header_value("x-death").unwrap();
        deaths.as_array().unwrap()[0].as_table().unwrap().clone()
    };
    assert_eq!(
        record(&buried).get("original-expiration"),
        Some(&"60000".into())
    );
    let without = die(&Properties::new(), "q", Expired);
    assert!(!record(&without).contains_key("original-expiration"));
}

#[test]
fn the_latest_death_comes_first_and_turns_the_others_round() {
    let once = die(&Properties::new(), "a", Rejected);
    let twice = die(&once, "b", Rejected);
    assert_eq!(
        deaths(&twice),
        [entry("b", Rejected, 1), entry("a", Rejected, 1)]
    );
    let back = die(&twice, "a", Rejected);
    assert_eq!(
        deaths(&back),
        [entry("a", Rejected, 2), entry("b", Rejected, 1)]
    );
    let other_reason = die(&back, "a", Expired);
    assert_eq!(
        deaths(&other_reason),
        [
            entry("a", Expired, 1),
            entry("b", Rejected, 1),
            entry("a", Rejected, 2)
        ]
    );
    let first = |name| other_reason.header_value(name).cloned();
    assert_eq!(first("x-first-death-queue"), Some("a".into()));
    assert_eq!(first("x-first-death-reason"), Some("rejected".into()));
}

#[test]
fn a_published_record_goes_on_counting_and_has_no_first_death() {
    let record = FieldTable::new()
        .with("queue", "q")
        .with("reason", "rejected")
        .with("count", 1)
        .with("time", FieldValue::Timestamp(1));
    let properties = published(FieldValue::Array(vec![record.into()]));
    let buried = die(&properties, "q", Rejected);
    assert_eq!(deaths(&buried), [entry("q", Rejected, 2)]);
    assert_eq!(buried.header_value("x-first-death-queue"), None);
    let deaths = buried.header_value("x-death").unwrap();
    let record = deaths.as_array().unwrap()[0].as_table().unwrap();
    assert_eq!(record.get("count"), Some(&FieldValue::Long(2)));
    assert_eq!(record.get("time"), Some(&FieldValue::Timestamp(1)));
}

#[test]
fn a_record_that_is_not_an_array_is_replaced() {
    for malformed in [
        "not a list".into(),
        FieldValue::Void,
        FieldTable::new().into(),
    ] {
        let buried = die(&published(malformed), "q", Rejected);
        assert_eq!(deaths(&buried), [entry("q", Rejected, 1)]);
    }
}

#[test]
fn published_first_death_headers_are_overwritten() {
    let properties = Properties::new().header("x-first-death-queue", "forged");
    let buried = die(&properties, "q", Rejected);
    assert_eq!(
        buried.header_value("x-first-death-queue"),
        Some(&"q".into())
    );
}

#[test]
fn records_without_a_count_are_counted() {
    let record = FieldTable::from([("queue", "q"), ("reason", "expired")]);
    let properties = published(FieldValue::Array(vec![record.into(); 3]));
    assert_eq!(
        deaths(&die(&properties, "q", Expired)),
        [entry("q", Expired, 4)]
    );
}

#[test]
fn a_count_does_not_overflow() {
    let record = FieldTable::from([("queue", "q"), ("reason", "expired")]).with("count", i64::MAX);
    let properties = published(FieldValue::Array(vec![record.into()]));
    assert_eq!(
        deaths(&die(&properties, "q", Expired)),
        [entry("q", Expired, i64::MAX)]
    );
}

#[test]
fn cc_keys_are_recorded_and_dropped_only_if_the_queue_gives_a_key() {
    let properties = Properties::new()
        .header("CC", array(["c1", "c2"]))
        .header("keep", 1);
    let keys = |properties: &Properties| {
        let deaths = properties.header_value("x-death").unwrap();
        let record = deaths.as_array().unwrap()[0].as_table().unwrap();
        record.get("routing-keys").unwrap().clone()
    };
    let given = die_with(&properties, "q", Rejected, "k", Some("d"));
    assert_eq!(keys(&given), array(["k", "c1", "c2"]));
    assert_eq!(given.header_value("CC"), None);
    assert_eq!(given.header_value("keep"), Some(&1.into()));
    let own = die_with(&properties, "q", Rejected, "k", None);
    assert_eq!(keys(&own), array(["k", "c1", "c2"]));
    assert_eq!(own.header_value("CC"), Some(&array(["c1", "c2"])));
}

#[test]
fn a_dead_letter_is_routed_by_the_given_key_or_by_all_its_own() {
    let properties = Properties::new().header("CC", array(["c"]));
    let bcc = ["b".to_owned()];
    let queue = name("q");
    let mut death = Death {
        reason: Rejected,
        queue: &queue,
        exchange: &Name::empty(),
        routing_key: "k",
        dead_letter_routing_key: None,
        time: UNIX_EPOCH,
    };
    assert_eq!(routing_keys(&death, &properties, &bcc), ["k", "c", "b"]);
    assert_eq!(routing_keys(&death, &Properties::new(), &[]), ["k"]);
    let buried = with_death_recorded(&properties, &death);
    assert_eq!(routing_keys(&death, &buried, &bcc), ["k", "c", "b"]);
    death.dead_letter_routing_key = Some("");
    assert_eq!(routing_keys(&death, &properties, &bcc), [""]);
}

#[test]
fn a_queue_where_the_message_never_died_closes_no_cycle() {
    assert!(!closes(&Properties::new(), "q"));
    assert!(!closes(&published("text"), "q"));
    assert!(!closes(&die(&Properties::new(), "q", Expired), "other"));
}

#[test]
fn a_cycle_without_a_rejection_is_closed() {
    let once = die(&Properties::new(), "a", Expired);
    assert!(closes(&once, "a"));
    let twice = die(&once, "b", MaxLen);
    assert!(closes(&twice, "a"));
    assert!(closes(&twice, "b"));
    assert!(!closes(&twice, "c"));
}

#[test]
fn a_rejection_anywhere_in_the_cycle_keeps_it_open() {
    let rejected = die(&Properties::new(), "a", Rejected);
    assert!(!closes(&rejected, "a"));
    let passed_on = die(&rejected, "b", Expired);
    assert!(!closes(&passed_on, "a"));
    // The rejection is before the cycle that b closes.
    assert!(closes(&passed_on, "b"));
    let between = die(&die(&rejected, "b", Rejected), "c", Expired);
    assert!(!closes(&die(&between, "a", Expired), "b"));
}

#[test]
fn an_entry_that_only_a_client_can_have_written_keeps_a_cycle_open() {
    let record = FieldTable::from([("queue", "q"), ("reason", "expired")]);
    let properties = published(FieldValue::Array(vec![1.into(), record.into()]));
    assert!(!closes(&properties, "q"));
    let buried = die(&properties, "q", MaxLen);
    assert!(closes(&buried, "q"));
}

fn reason() -> impl Strategy<Value = DeathReason> {
    prop_oneof![
        Just(DeliveryLimit),
        Just(Expired),
        Just(MaxLen),
        Just(Rejected)
    ]
}

fn queue() -> impl Strategy<Value = String> {
    "[a-d]"
}

/// Values that clients might send as `x-death`, most of them nearly right.
fn any_value() -> impl Strategy<Value = FieldValue> {
    let leaf = prop_oneof![
        Just(FieldValue::Void),
        any::<i64>().prop_map(FieldValue::Long),
        any::<i16>().prop_map(FieldValue::Short),
        "[a-d]|rejected|expired".prop_map(FieldValue::from),
        "[a-d]".prop_map(|text| FieldValue::Bytes(text.into_bytes())),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let field = prop_oneof![Just("queue"), Just("reason"), Just("count"), Just("time")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(FieldValue::Array),
            prop::collection::vec((field, inner), 0..5)
                .prop_map(|fields| fields.into_iter().collect::<FieldTable>().into()),
        ]
    })
}

proptest! {

    #![proptest_config(crate::model::test_cases::cases())]

    #[test]
    fn the_records_are_the_distinct_deaths_with_their_numbers_the_others_turned_round(
        history in prop::collection::vec((queue(), reason()), 1..20)
    ) {
        let mut properties = Properties::new();
        let mut model: Vec<(String, String, i64)> = Vec::new();
        for (queue, reason) in &history {
            properties = die(&properties, queue, *reason);
            model.reverse();
            let known = model.iter().position(|(q, r, _)| q == queue && *r == reason.as_str());
            let count = known.map_or(0, |at| model.remove(at).2);
            model.insert(0, entry(queue, *reason, count + 1));
        }
        prop_assert_eq!(deaths(&properties), model);
        let first = properties.header_value("x-first-death-queue");
        prop_assert_eq!(first, Some(&history[0].0.as_str().into()));
    }

    #[test]
    fn a_rejected_message_may_go_anywhere_and_any_other_not_where_it_was(
        history in prop::collection::vec((queue(), reason()), 1..20), target in queue()
    ) {
        let properties = history
            .iter()
            .fold(Properties::new(), |properties, (queue, reason)| {
                die(&properties, queue, *reason)
            });
        let (last, reason) = &history[history.len() - 1];
        let closed = closes(&properties, &target);
        if *reason == Rejected || history.iter().all(|(queue, _)| *queue != target) {
            prop_assert!(!closed);
        } else if *last == target || history.iter().all(|(_, reason)| *reason != Rejected) {
            prop_assert!(closed);
        }
    }

    #[test]
    fn whatever_a_client_sends_the_latest_death_is_on_record(
        x_death in any_value(), queue in queue(), reason in reason()
    ) {
        let buried = die(&published(x_death), &queue, reason);
        let deaths = buried.header_value("x-death").and_then(FieldValue::as_array).unwrap();
        prop_assert!(is_same(&deaths[0], &name(&queue), reason));
        prop_assert!(deaths[0].as_table().unwrap().get("count").unwrap().as_i64().is_some());
        prop_assert_eq!(closes(&buried, &queue), reason != Rejected);
    }
}
