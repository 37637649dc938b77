mod definition;
mod operators;
mod quorum;

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::model::{
    arguments::{ExchangeArguments, QueueArguments, QueueType},
    descriptions::Overflow,
    error::Result,
    field_value::FieldValue,
    name::Name,
};

const CLASSIC: Subject = Subject::Queue(QueueType::Classic);
const QUORUM: Subject = Subject::Queue(QueueType::Quorum);
const STREAM: Subject = Subject::Queue(QueueType::Stream);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn policies<const N: usize>(list: [Policy; N]) -> Policies {
    let mut policies = Policies::new(&name("/"), None);
    for policy in list {
        policies.set(policy).unwrap();
    }
    policies
}

fn declared(arguments: FieldTable) -> Arc<QueueArguments> {
    Arc::new(QueueArguments::parse(&arguments, &name("q"), &name("/")).unwrap())
}

/// The effective arguments of the queue `q`, without the names of the policies.
fn effective_of(policies: &Policies, declared: &Arc<QueueArguments>) -> QueueArguments {
    QueueArguments {
        policies: None,
        ..QueueArguments::clone(&policies.effective_queue(declared, "q"))
    }
}

/// The effective arguments of the queue `q`, declared without arguments.
fn effective(policies: &Policies) -> QueueArguments {
    effective_of(policies, &Arc::default())
}

fn applied(policies: &Policies, subject: Subject, to: &str) -> Option<String> {
    Some(policies.matching(subject, to)?.name.clone())
}

fn set(policy: Policy) -> Result {
    Policies::new(&name("/"), None).set(policy)
}

/// The text of an error after RabbitMQ's fixed beginning. The error must be a 406.
fn refusal(key: &str, result: Result) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.reply_code(), Some(406), "{error}");
    let start = format!("PRECONDITION_FAILED - invalid arg '{key}' for policy 'p' in vhost '/': ");
    let text = error.to_string();
    text.strip_prefix(&start)
        .unwrap_or_else(|| panic!("{text}"))
        .to_owned()
}

#[test]
fn a_policy_is_written_as_in_rabbitmqs_definitions_and_reads_back() {
    let policy = Policy::new("p", "^q")
        .apply_to(ApplyTo::Exchanges)
        .priority(-3)
        .setting("alternate-exchange", "ae");
    let json = serde_json::to_value(&policy).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "name": "p", "pattern": "^q", "apply-to": "exchanges", "priority": -3,
            "definition": {"alternate-exchange": "ae"}
        })
    );
    assert_eq!(serde_json::from_value::<Policy>(json).unwrap(), policy);
    let short = r#"{"name": "p", "pattern": "", "definition": {"max-length": 1}}"#;
    assert_eq!(
        serde_json::from_str::<Policy>(short).unwrap(),
        Policy::new("p", "").setting("max-length", 1)
    );
    for apply_to in [
        ApplyTo::All,
        ApplyTo::ClassicQueues,
        ApplyTo::Exchanges,
        ApplyTo::Queues,
        ApplyTo::QuorumQueues,
        ApplyTo::Streams,
    ] {
        let json = serde_json::to_string(&apply_to).unwrap();
        assert_eq!(json, format!("\"{apply_to}\""));
    }
}

#[test]
fn a_policy_applies_to_what_has_its_pattern_anywhere_in_its_name() {
    let policies = policies([
        Policy::new("mid", "mid").setting("max-length", 1),
        Policy::new("tied", "^t-.*-end$").setting("max-length", 1),
    ]);
    let applied = |to| applied(&policies, CLASSIC, to);
    assert_eq!(applied("a-mid-b").as_deref(), Some("mid"));
    assert_eq!(applied("t-x-end").as_deref(), Some("tied"));
    assert_eq!(applied("at-x-end"), None);
    assert_eq!(applied(""), None);
}

#[test]
fn a_policy_applies_to_the_kind_of_thing_it_is_for() {
    let of_kind = |apply_to| {
        let policy = Policy::new("p", "").apply_to(apply_to);
        let policies = policies([policy.setting("max-length-bytes", 1)]);
        [Subject::Exchange, CLASSIC, QUORUM, STREAM]
            .map(|subject| policies.matching(subject, "x").is_some())
    };
    assert_eq!(of_kind(ApplyTo::All), [true; 4]);
    assert_eq!(of_kind(ApplyTo::Exchanges), [true, false, false, false]);
    assert_eq!(of_kind(ApplyTo::Queues), [false, true, true, true]);
    assert_eq!(of_kind(ApplyTo::ClassicQueues), [false, true, false, false]);
    assert_eq!(of_kind(ApplyTo::QuorumQueues), [false, false, true, false]);
    assert_eq!(of_kind(ApplyTo::Streams), [false, false, false, true]);
}

/// Each setting was given to a RabbitMQ 4.3.6 in a policy of its own, for a stream.
#[test]
fn the_settings_that_keep_a_policy_off_a_stream_are_those_of_rabbitmq() {
    let applies = |setting: (&str, FieldValue)| {
        let policies = policies([Policy::new("p", "").setting(setting.0, setting.1)]);
        applied(&policies, STREAM, "s").is_some()
    };
    for setting in [
        ("dead-letter-exchange", "x".into()),
        ("dead-letter-routing-key", "x".into()),
        ("dead-letter-strategy", "at-most-once".into()),
        ("delivery-limit", 3.into()),
        ("expires", 60_000.into()),
        ("max-in-memory-bytes", 5.into()),
        ("max-in-memory-length", 5.into()),
        ("max-length", 5.into()),
        ("message-ttl", 60_000.into()),
        ("overflow", "drop-head".into()),
        ("queue-mode", "lazy".into()),
        ("target-group-size", 1.into()),
    ] {
        assert!(!applies(setting.clone()), "{setting:?}");
    }
    for setting in [
        ("alternate-exchange", "x".into()),
        ("consumer-disconnected-timeout", 60_000.into()),
        ("consumer-timeout", 60_000.into()),
        ("delayed-retry-max", 1_000.into()),
        ("delayed-retry-min", 1_000.into()),
        ("initial-cluster-size", 1.into()),
        ("max-age", "1h".into()),
        ("max-length-bytes", 100_000_000.into()),
        ("queue-leader-locator", "client-local".into()),
        ("queue-version", 2.into()),
        ("stream-filter-size-bytes", 16.into()),
        ("stream-max-segment-size-bytes", 1_000_000.into()),
    ] {
        assert!(applies(setting.clone()), "{setting:?}");
    }
}

#[test]
fn only_the_policy_of_the_highest_priority_applies() {
    let policies = policies([
        Policy::new("low", "^q")
            .priority(1)
            .setting("max-length", 1),
        Policy::new("high", "^q")
            .priority(5)
            .setting("message-ttl", 60_000),
        Policy::new("highest", "^other")
            .priority(9)
            .setting("max-length", 2),
    ]);
    assert_eq!(
        effective(&policies),
        QueueArguments {
            message_ttl: Some(Duration::from_secs(60)),
            ..QueueArguments::default()
        }
    );
}

#[test]
fn among_equal_priorities_the_alphabet_decides() {
    let policy = |name| Policy::new(name, "").setting("max-length", 1);
    for order in [["a", "b"], ["b", "a"]] {
        let policies = policies(order.map(policy));
        assert_eq!(applied(&policies, CLASSIC, "q").as_deref(), Some("a"));
        let listed: Vec<_> = policies.iter(PolicyKind::User).collect();
        let names: Vec<_> = listed.iter().map(|(policy, _)| &*policy.name).collect();
        assert_eq!(names, ["a", "b"]);
    }
}

#[test]
fn setting_replaces_and_clearing_uncovers_the_next() {
    let mut policies = policies([
        Policy::new("p", "").priority(2).setting("max-length", 1),
        Policy::new("next", "").setting("max-length", 3),
    ]);
    policies
        .set(Policy::new("p", "").priority(1).setting("max-length", 2))
        .unwrap();
    assert_eq!(policies.iter(PolicyKind::User).count(), 2);
    assert_eq!(effective(&policies).max_length, Some(2));
    assert!(policies.clear("p"));
    assert!(!policies.clear("p"));
    assert_eq!(effective(&policies).max_length, Some(3));
    assert!(policies.clear("next"));
    assert_eq!(effective(&policies), QueueArguments::default());
}

#[test]
fn a_refused_policy_leaves_the_one_it_would_replace() {
    let mut policies = policies([Policy::new("p", "").setting("max-length", 1)]);
    assert!(policies.set(Policy::new("p", "(")).is_err());
    assert!(
        policies
            .set(Policy::new("p", "").setting("frob", 1))
            .is_err()
    );
    assert_eq!(effective(&policies).max_length, Some(1));
}

#[test]
fn names_are_taken_from_the_arguments_first_and_each_for_itself() {
    let policies = policies([Policy::new("p", "")
        .setting("dead-letter-exchange", "policy-x")
        .setting("dead-letter-routing-key", "policy-key")
        .setting("overflow", "reject-publish")]);
    let without = effective(&policies);
    assert_eq!(without.dead_letter_exchange, Some(name("policy-x")));
    assert_eq!(
        without.dead_letter_routing_key.as_deref(),
        Some("policy-key")
    );
    assert_eq!(without.overflow, Some(Overflow::RejectPublish));

    let arguments = FieldTable::from([
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", "d"),
        ("x-overflow", "drop-head"),
    ]);
    let both = declared(arguments);
    assert_eq!(effective_of(&policies, &both), *both);

    let exchange_only = declared(FieldTable::from([("x-dead-letter-exchange", "x")]));
    let mixed = policies.effective_queue(&exchange_only, "q");
    assert_eq!(mixed.dead_letter_exchange, Some(name("x")));
    assert_eq!(mixed.dead_letter_routing_key.as_deref(), Some("policy-key"));
}

#[test]
fn a_dead_letter_key_without_an_exchange_means_nothing() {
    let policies = policies([Policy::new("p", "").setting("dead-letter-routing-key", "k")]);
    assert_eq!(effective(&policies), QueueArguments::default());
}

#[test]
fn of_numbers_the_lower_wins() {
    let policies = policies([Policy::new("p", "")
        .setting("max-length", 1)
        .setting("max-length-bytes", 30)
        .setting("message-ttl", 40)
        .setting("expires", 50)]);
    let arguments = declared(FieldTable::from([
        ("x-max-length", 2),
        ("x-max-length-bytes", 20),
        ("x-message-ttl", 50),
        ("x-max-priority", 3),
    ]));
    assert_eq!(
        effective_of(&policies, &arguments),
        QueueArguments {
            max_length: Some(1),
            max_length_bytes: Some(20),
            message_ttl: Some(Duration::from_millis(40)),
            expires: Some(Duration::from_millis(50)),
            max_priority: Some(3),
            ..QueueArguments::default()
        }
    );
}

#[test]
fn an_operator_lowers_what_policies_and_arguments_say() {
    let mut policies = policies([Policy::new("p", "")
        .setting("max-length", 10)
        .setting("message-ttl", 5)
        .setting("dead-letter-exchange", "x")]);
    let operator = Policy::new("p", "^q")
        .setting("max-length", 7)
        .setting("message-ttl", 9)
        .setting("expires", 1_000);
    policies.set_operator(operator.clone()).unwrap();
    assert_eq!(policies.matching_operator(CLASSIC, "q"), Some(&operator));
    assert!(policies.iter(PolicyKind::Operator).eq([(&operator, 0)]));
    let expected = QueueArguments {
        max_length: Some(7),
        message_ttl: Some(Duration::from_millis(5)),
        expires: Some(Duration::from_secs(1)),
        dead_letter_exchange: Some(name("x")),
        ..QueueArguments::default()
    };
    assert_eq!(effective(&policies), expected);
    assert!(policies.clear("p"));
    let alone = effective(&policies);
    assert_eq!(alone.max_length, Some(7));
    assert_eq!(alone.dead_letter_exchange, None);
    let other = declared(FieldTable::from([("x-max-length", 8)]));
    assert_eq!(policies.effective_queue(&other, "other"), other);
    assert!(policies.clear_operator("p"));
    assert!(!policies.clear_operator("p"));
    assert_eq!(effective(&policies), QueueArguments::default());
}

#[test]
fn an_exchange_gets_an_alternate_unless_it_was_declared_with_one() {
    let policies = policies([Policy::new("p", "^x-").setting("alternate-exchange", "ae")]);
    let with = |alternate: Option<&str>| ExchangeArguments {
        alternate_exchange: alternate.map(name),
    };
    let effective = |declared, to| policies.effective_exchange(&declared, to);
    assert_eq!(effective(with(None), "x-1"), with(Some("ae")));
    assert_eq!(effective(with(Some("own")), "x-1"), with(Some("own")));
    assert_eq!(effective(with(None), "y"), with(None));
}

/// Random definitions of limits. A definition may have the same key several times.
fn limits() -> impl Strategy<Value = FieldTable> {
    let keys = ["max-length-bytes", "expires", "max-length", "message-ttl"];
    prop::collection::vec((prop::sample::select(keys.to_vec()), 1..20_i32), 1..5)
        .prop_map(|entries| entries.into_iter().collect())
}

proptest! {

    #![proptest_config(crate::model::test_cases::cases())]

    #[test]
    fn each_limit_is_the_lowest_that_argument_policy_and_operator_give(
        argument in limits(), policy in limits(), operator in limits()
    ) {
        let mut policies = policies([Policy::new("p", "").definition(policy.clone())]);
        policies.set_operator(Policy::new("o", "").definition(operator.clone())).unwrap();
        let arguments = argument.iter().map(|(key, value)| (format!("x-{key}"), value.clone()));
        let effective = policies.effective_queue(&declared(arguments.collect()), "q");
        let lowest = |key| {
            [&argument, &policy, &operator]
                .into_iter()
                .filter_map(|table| table.get(key)?.as_i64())
                .min()
                .map(|lowest| lowest as u64)
        };
        prop_assert_eq!(effective.max_length_bytes, lowest("max-length-bytes"));
        prop_assert_eq!(effective.expires, lowest("expires").map(Duration::from_millis));
        prop_assert_eq!(effective.max_length, lowest("max-length"));
        prop_assert_eq!(effective.message_ttl, lowest("message-ttl").map(Duration::from_millis));
    }

    #[test]
    fn the_policy_that_applies_is_the_first_by_priority_and_name_in_any_order_of_setting(
        list in prop::collection::vec(("[a-e]", "[pq]?", -2..3_i64), 0..12), to in "[pq]{0,2}"
    ) {
        let mut policies = policies([]);
        let mut model = std::collections::BTreeMap::new();
        for (name, pattern, priority) in list {
            let policy = Policy::new(&name, pattern).priority(priority).setting("max-length", 1);
            policies.set(policy.clone()).unwrap();
            model.insert(name, policy);
        }
        let expected = model
            .values()
            .filter(|policy| to.contains(&policy.pattern))
            .min_by_key(|policy| -policy.priority);
        prop_assert_eq!(policies.matching(CLASSIC, &to), expected);
    }

    #[test]
    fn no_pattern_and_no_value_panics(
        pattern in "\\PC{0,12}",
        key in "[a-z-]{0,20}",
        text in "\\PC{0,8}",
    ) {
        let _ = set(Policy::new("p", pattern).setting(key, text.clone()));
        let _ = set(Policy::new("p", "").setting("max-age", text));
    }
}
