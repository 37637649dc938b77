//! The patterns of permissions. Their syntax has tests beside its code.

use leveret::{Error, Permission, Permissions, Queue, TopicPermissions};
use proptest::prelude::*;

use super::{assert_denied, broker_of_ada, publish};
use crate::common::cases;

#[test]
fn a_pattern_is_anywhere_in_a_name_byte_by_byte_and_case_counts() {
    for (pattern, fitting, other) in [
        ("q", "xqx", "Q"),
        ("^q", "q-1", "my-q"),
        ("q$", "my-q", "q1"),
        ("^a|b$", "ax", "bx"),
        ("", "", "q"),
        (".*", "anything", ""),
        ("^k..se$", "käse", "kase"),
        (r"^(?!amq\.)", "orders", "amq.gen"),
    ] {
        let (_broker, connection) = broker_of_ada(&Permissions::new(pattern, "", ""));
        if !fitting.is_empty() {
            connection.declare(&Queue::new(fitting)).unwrap();
        }
        if !other.is_empty() && !other.starts_with("amq.") {
            let refused = connection.declare(&Queue::new(other));
            assert_denied(refused, Permission::Configure, other);
        }
    }
}

#[test]
fn a_match_that_takes_too_many_steps_refuses() {
    let (_broker, connection) = broker_of_ada(&Permissions::new("(a|b|ab)*(?>c)", "", ""));
    let long = "ab".repeat(127);
    assert_denied(
        connection.declare(&Queue::new(&*long)),
        Permission::Configure,
        &long,
    );
    connection.declare(&Queue::new("abc")).unwrap();
}

#[test]
fn line_ends_in_a_name_do_not_change_what_is_permitted() {
    let (_broker, connection) = broker_of_ada(&Permissions::new("^q$", "", ""));
    connection.declare(&Queue::new("\rq\n")).unwrap();
    let refused = connection.declare(&Queue::new("q\nx"));
    assert_denied(refused, Permission::Configure, "qx");
}

#[test]
fn a_pattern_that_does_not_compile_is_refused_when_it_is_set_and_changes_nothing() {
    let (broker, connection) = broker_of_ada(&Permissions::all());
    for permissions in [
        Permissions::new("(", ".*", ".*"),
        Permissions::new(".*", "(", ".*"),
        Permissions::new(".*", ".*", "("),
    ] {
        let error = broker
            .set_permissions("/", "ada", &permissions)
            .unwrap_err();
        let text = "the regular expression '(' does not compile: missing closing parenthesis at 1";
        assert_eq!(error.to_string(), text);
        assert!(matches!(error, Error::InvalidPattern(fault) if fault.pattern() == "("));
    }
    let topic = TopicPermissions::new("amq.topic", "^{username}(", ".*");
    let error = broker
        .set_topic_permissions("/", "ada", &topic)
        .unwrap_err();
    assert!(matches!(error, Error::InvalidPattern(fault) if fault.pattern() == "^{username}("));
    assert_eq!(
        broker.user_permissions("ada").unwrap()[0].1,
        Permissions::all()
    );
    assert_eq!(broker.user_topic_permissions("ada").unwrap(), []);
    connection.declare(&Queue::new("q")).unwrap();
}

proptest! {
    #![proptest_config(cases())]

    /// A user may have any name: it is no part of the expression.
    #[test]
    fn the_variables_stand_for_the_letters_of_the_names(
        name in "[ -~äß]{1,12}",
        other in "[ -~]{1,12}",
    ) {
        let broker = leveret::Broker::new();
        broker.create_vhost(&other).unwrap();
        broker.add_user(leveret::User::new(&name).password("p")).unwrap();
        broker.set_permissions(&other, &name, &Permissions::all()).unwrap();
        let topic = TopicPermissions::new("amq.topic", "^{username}.{vhost}$", "");
        broker.set_topic_permissions(&other, &name, &topic).unwrap();
        let credentials = leveret::Credentials::new(&name, "p");
        let channel = broker.connect(&other, credentials).unwrap().open_channel().unwrap();
        let own = format!("{name}|{other}");
        prop_assert_eq!(publish(&channel, "amq.topic", &own), Ok(()));
        let refused = publish(&channel, "amq.topic", &format!("{name}||{other}"));
        prop_assert_eq!(refused.unwrap_err().reply_code(), Some(403));
    }
}
