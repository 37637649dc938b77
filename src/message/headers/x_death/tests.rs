use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::message::properties::Properties;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A message as a client has published it.
fn published(properties: Properties) -> Meta {
    Meta {
        properties,
        ..Meta::default()
    }
}

fn with_x_death(x_death: impl Into<FieldValue>) -> Meta {
    published(Properties::new().header("x-death", x_death))
}

fn plain() -> Meta {
    Meta::default()
}

/// Makes a message to the default exchange die in `queue`, whose dead letter routing key is `d`.
fn die(meta: &Meta, queue: &str, reason: DeathReason) -> Meta {
    die_with(meta, queue, reason, queue, Some("d"))
}

fn die_with(
    meta: &Meta,
    queue: &str,
    reason: DeathReason,
    routing_key: &str,
    dead_letter_routing_key: Option<&str>,
) -> Meta {
    let death = Death {
        reason,
        queue: &name(queue),
        exchange: &Name::empty(),
        routing_key,
        dead_letter_routing_key,
        time: UNIX_EPOCH + Duration::from_millis(5_900),
    };
    death.bury(meta)
}

fn array<const N: usize>(keys: [&str; N]) -> FieldValue {
    FieldValue::Array(keys.map(FieldValue::from).to_vec())
}

/// The records, the latest first.
fn records(meta: &Meta) -> Vec<&FieldTable> {
    let deaths = meta.properties.header_value("x-death").unwrap();
    let deaths = deaths.as_array().unwrap().iter();
    deaths.map(|death| death.as_table().unwrap()).collect()
}

/// Queue, reason and count of each record.
fn deaths(meta: &Meta) -> Vec<(String, String, i64)> {
    let text = |death: &FieldTable, field| death.get(field).unwrap().as_str().unwrap().to_owned();
    records(meta)
        .into_iter()
        .map(|death| {
            let count = death.get("count").unwrap().as_i64().unwrap();
            (text(death, "queue"), text(death, "reason"), count)
        })
        .collect()
}

fn entry(queue: &str, reason: DeathReason, count: i64) -> (String, String, i64) {
    (queue.to_owned(), reason.to_string(), count)
}

fn header<'a>(meta: &'a Meta, name: &str) -> Option<&'a FieldValue> {
    meta.properties.header_value(name)
}

fn closes(buried: &Meta, queue: &str) -> bool {
    closes_cycle(buried, &name(queue))
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
        death.bury(&plain()).properties,
        Properties::new()
            .header("x-first-death-reason", "rejected")
            .header("x-first-death-queue", "q")
            .header("x-first-death-exchange", "amq.direct")
            .header("x-last-death-reason", "rejected")
            .header("x-last-death-queue", "q")
            .header("x-last-death-exchange", "amq.direct")
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
    let mut buried = die(&published(properties.clone()), "q", MaxLen).properties;
    assert_eq!(buried.header_value("k"), Some(&"v".into()));
    buried
        .headers_mut()
        .retain(|name, _| !name.starts_with("x-"));
    assert_eq!(buried, properties);
}

#[test]
fn any_death_takes_the_expiration_and_its_record_keeps_it() {
    let expiring = published(Properties::new().expiration("60000"));
    let buried = die(&expiring, "q", Rejected);
    assert_eq!(buried.properties.expiration, None);
    assert_eq!(
        records(&buried)[0].get("original-expiration"),
        Some(&"60000".into())
    );
    let without = die(&plain(), "q", Expired);
    assert!(!records(&without)[0].contains_key("original-expiration"));
}

#[test]
fn the_latest_death_comes_first_and_the_others_stay_in_order() {
    let once = die(&plain(), "a", Rejected);
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
            entry("a", Rejected, 2),
            entry("b", Rejected, 1)
        ]
    );
}

#[test]
fn the_headers_of_the_first_death_stay_and_those_of_the_last_move_on() {
    let buried = die(&die(&plain(), "a", Rejected), "b", Expired);
    for (name, value) in [
        ("x-first-death-queue", "a"),
        ("x-first-death-reason", "rejected"),
        ("x-last-death-queue", "b"),
        ("x-last-death-reason", "expired"),
    ] {
        assert_eq!(header(&buried, name), Some(&value.into()));
    }
}

#[test]
fn a_record_of_a_client_is_replaced_and_closes_no_cycle() {
    let record = FieldTable::new()
        .with("queue", "q")
        .with("reason", "expired")
        .with("count", 7_i64)
        .with("time", FieldValue::Timestamp(1));
    let forged = with_x_death(FieldValue::Array(vec![record.into()]));
    assert_eq!(last_queue(&forged), None);
    let same = die(&forged, "q", Expired);
    assert_eq!(deaths(&same), [entry("q", Expired, 1)]);
    assert_eq!(last_queue(&same), Some("q"));
    let elsewhere = die(&forged, "other", Expired);
    assert_eq!(deaths(&elsewhere), [entry("other", Expired, 1)]);
    assert!(!closes(&elsewhere, "q"));
}

#[test]
fn published_death_headers_are_overwritten() {
    for forged in ["x-first-death-queue", "x-last-death-queue"] {
        let properties = Properties::new().header(forged, "forged");
        let alone = die(&published(properties.clone()), "q", Rejected);
        assert_eq!(header(&alone, forged), Some(&"q".into()));
        let records = FieldValue::Array(vec![FieldTable::from([("queue", "q")]).into()]);
        let beside = published(properties.header("x-death", records));
        let beside = die(&beside, "q", Rejected);
        assert_eq!(header(&beside, forged), Some(&"q".into()));
    }
}

#[test]
fn cc_keys_are_recorded_and_kept_and_route_only_until_a_queue_gives_a_key() {
    let cc = published(
        Properties::new()
            .header("CC", array(["c1", "c2"]))
            .header("keep", 1),
    );
    let keys = |meta: &Meta| records(meta)[0].get("routing-keys").unwrap().clone();
    let own = die_with(&cc, "q", Rejected, "k", None);
    assert_eq!(keys(&own), array(["k", "c1", "c2"]));
    assert_eq!(header(&own, "CC"), Some(&array(["c1", "c2"])));
    assert!(routing_keys("k", &own).eq(["k", "c1", "c2"]));
    let given = die_with(&own, "r", Rejected, "k", Some("d"));
    assert_eq!(keys(&given), array(["k", "c1", "c2"]));
    assert_eq!(header(&given, "CC"), Some(&array(["c1", "c2"])));
    assert_eq!(header(&given, "keep"), Some(&1.into()));
    assert!(routing_keys("d", &given).eq(["d"]));
    let later = die_with(&given, "d", Rejected, "d", None);
    assert_eq!(keys(&later), array(["d"]));
    assert!(routing_keys("d", &later).eq(["d"]));
}

#[test]
fn bcc_keys_are_taken_out_of_the_recorded_keys_one_by_one() {
    let recorded = |key, cc: &[&str], bcc: &[&str]| {
        let cc: Vec<FieldValue> = cc.iter().map(|&key| key.into()).collect();
        let meta = Meta {
            bcc: bcc.iter().map(|&key| key.to_owned()).collect(),
            ..published(Properties::new().header("CC", cc))
        };
        let buried = die_with(&meta, "q", Rejected, key, Some("d"));
        let again = die_with(&buried, "d", Rejected, "d", Some("e"));
        let keys = |record: &FieldTable| record.get("routing-keys").unwrap().clone();
        let records = records(&again);
        (keys(records[1]), keys(records[0]))
    };
    assert_eq!(recorded("k", &[], &["b"]), (array(["k"]), array(["d"])));
    assert_eq!(
        recorded("k", &["c"], &["k"]),
        (array(["c", "k"]), array(["d"]))
    );
    assert_eq!(
        recorded("k", &["c", "e"], &["c", "c"]),
        (array(["k", "e", "c"]), array(["d"]))
    );
    // The key of the queue is among those of `BCC`.
    assert_eq!(recorded("k", &[], &["d"]), (array(["k"]), array([])));
}

#[test]
fn a_dead_letter_is_routed_by_the_given_key_or_by_all_its_own() {
    let meta = Meta {
        bcc: vec!["b".to_owned()],
        ..published(Properties::new().header("CC", array(["c"])))
    };
    let queue = name("q");
    let mut death = Death {
        reason: Rejected,
        queue: &queue,
        exchange: &Name::empty(),
        routing_key: "k",
        dead_letter_routing_key: None,
        time: UNIX_EPOCH,
    };
    assert_eq!(death.routing_keys(&meta), ["k", "c", "b"]);
    assert_eq!(death.routing_keys(&plain()), ["k"]);
    let buried = death.bury(&meta);
    assert_eq!(death.routing_keys(&buried), ["k", "c", "b"]);
    death.dead_letter_routing_key = Some("");
    assert_eq!(death.routing_keys(&meta), [""]);
}

#[test]
fn a_queue_where_the_message_never_died_closes_no_cycle() {
    assert!(!closes(&plain(), "q"));
    assert!(!closes(&die(&plain(), "q", Expired), "other"));
}

#[test]
fn a_cycle_without_a_rejection_is_closed() {
    let once = die(&plain(), "a", Expired);
    assert!(closes(&once, "a"));
    let twice = die(&once, "b", MaxLen);
    assert!(closes(&twice, "a"));
    assert!(closes(&twice, "b"));
    assert!(!closes(&twice, "c"));
}

#[test]
fn a_rejection_anywhere_in_the_cycle_keeps_it_open() {
    let rejected = die(&plain(), "a", Rejected);
    assert!(!closes(&rejected, "a"));
    let passed_on = die(&rejected, "b", Expired);
    assert!(!closes(&passed_on, "a"));
    // The rejection is before the cycle that b closes.
    assert!(closes(&passed_on, "b"));
    let between = die(&die(&rejected, "b", Rejected), "c", Expired);
    assert!(!closes(&die(&between, "a", Expired), "b"));
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
    fn the_records_are_the_distinct_deaths_with_their_numbers_the_latest_first(
        history in prop::collection::vec((queue(), reason()), 1..20)
    ) {
        let mut meta = plain();
        let mut model: Vec<(String, String, i64)> = Vec::new();
        for (queue, reason) in &history {
            meta = die(&meta, queue, *reason);
            let known = model.iter().position(|(q, r, _)| q == queue && *r == reason.as_str());
            let count = known.map_or(0, |at| model.remove(at).2);
            model.insert(0, entry(queue, *reason, count + 1));
        }
        prop_assert_eq!(deaths(&meta), model);
        prop_assert_eq!(last_queue(&meta), history.last().map(|(queue, _)| queue.as_str()));
        let first = header(&meta, "x-first-death-queue");
        prop_assert_eq!(first, Some(&history[0].0.as_str().into()));
    }

    #[test]
    fn a_rejected_message_may_go_anywhere_and_any_other_not_where_it_was(
        history in prop::collection::vec((queue(), reason()), 1..20), target in queue()
    ) {
        let meta = history
            .iter()
            .fold(plain(), |meta, (queue, reason)| die(&meta, queue, *reason));
        let (last, reason) = &history[history.len() - 1];
        let closed = closes(&meta, &target);
        if *reason == Rejected || history.iter().all(|(queue, _)| *queue != target) {
            prop_assert!(!closed);
        } else if *last == target || history.iter().all(|(_, reason)| *reason != Rejected) {
            prop_assert!(closed);
        }
    }

    #[test]
    fn whatever_a_client_sends_counts_for_nothing(
        x_death in any_value(), queue in queue(), reason in reason()
    ) {
        let buried = die(&with_x_death(x_death), &queue, reason);
        prop_assert_eq!(buried.properties, die(&plain(), &queue, reason).properties);
    }
}
