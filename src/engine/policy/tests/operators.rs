//! The limits of operators.

use super::*;

#[test]
fn an_operator_lowers_every_limit_of_a_policy_and_raises_none() {
    const LIMITS: [&str; 5] = [
        "max-length",
        "max-length-bytes",
        "message-ttl",
        "expires",
        "delivery-limit",
    ];
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
                delivery_limit: Some(10),
                ..QueueArguments::default()
            }
        );
    }
}
