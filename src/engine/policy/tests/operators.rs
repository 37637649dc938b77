//! The limits of operators.

use super::*;
use crate::model::descriptions::DelayedRetryKind;

#[test]
fn an_operator_lowers_every_limit_of_a_policy_and_raises_none() {
    const LIMITS: [&str; 4] = ["max-length", "max-length-bytes", "message-ttl", "expires"];
    for (user, operator) in [(20, 10), (10, 20)] {
        let of = |value: i64| {
            let policy = Policy::new("p", "");
            LIMITS
                .iter()
                .fold(policy, |policy, limit| policy.setting(*limit, value))
        };
        let mut policies = policies([of(user)]);
        policies.set_operator(of(operator)).unwrap();
        assert_eq!(
            effective(&policies),
            QueueArguments {
                max_length: Some(10),
                max_length_bytes: Some(10),
                message_ttl: Some(Duration::from_millis(10)),
                expires: Some(Duration::from_millis(10)),
                ..QueueArguments::default()
            }
        );
    }
}

#[test]
fn of_two_words_the_operators_applies() {
    let policy = |overflow, kind| {
        Policy::new("p", "")
            .setting("overflow", overflow)
            .setting("delayed-retry-type", kind)
            .setting("delayed-retry-min", 1)
    };
    let mut policies = policies([policy("drop-head", "all")]);
    policies
        .set_operator(policy("reject-publish", "failed"))
        .unwrap();
    let quorum = policies.effective_queue(&quorum::declared(&[]), "q");
    assert_eq!(quorum.overflow, Some(Overflow::RejectPublish));
    assert_eq!(quorum.delayed_retry.kind, Some(DelayedRetryKind::Failed));
    // A classic queue prefers the overflow of its arguments to all policies.
    let classic = declared(FieldTable::from([("x-overflow", "drop-head")]));
    let classic = policies.effective_queue(&classic, "q");
    assert_eq!(classic.overflow, Some(Overflow::DropHead));
}

#[test]
fn an_operator_lengthens_the_minimum_of_a_delayed_retry_and_shortens_its_maximum() {
    let policy = |min, max| {
        Policy::new("p", "")
            .setting("delayed-retry-type", "all")
            .setting("delayed-retry-min", min)
            .setting("delayed-retry-max", max)
    };
    for (user, operator) in [((10, 90), (20, 80)), ((20, 80), (10, 90))] {
        let mut policies = policies([policy(user.0, user.1)]);
        policies
            .set_operator(policy(operator.0, operator.1))
            .unwrap();
        let retry = policies
            .effective_queue(&quorum::declared(&[]), "q")
            .delayed_retry;
        assert_eq!(retry.min, Some(Duration::from_millis(20)));
        assert_eq!(retry.max, Some(Duration::from_millis(80)));
    }
}

#[test]
fn an_operator_policy_with_a_key_that_a_queue_does_not_support_does_not_apply_to_it() {
    let mut policies = policies([]);
    let operator = Policy::new("p", "")
        .setting("max-length", 1)
        .setting("delivery-limit", 3);
    policies.set_operator(operator).unwrap();
    assert_eq!(policies.matching_operator(CLASSIC, "q"), None);
    assert!(policies.matching_operator(QUORUM, "q").is_some());
}
