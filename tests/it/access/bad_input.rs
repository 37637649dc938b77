//! Bad input of the administration: each has its error, and changes nothing.

use leveret::{
    Broker, Error, Permissions, Result, TopicPermissions, User, UserLimits, VhostLimits,
    VhostMetadata,
};

/// A call, and the beginning of its error.
type Case = (&'static str, fn(&Broker) -> Result<bool>, &'static str);

fn done<T>(result: Result<T>) -> Result<bool> {
    result.map(|_| true)
}

const CASES: &[Case] = &[
    (
        "a user who exists",
        |it| done(it.add_user(User::new("guest"))),
        "PRECONDITION_FAILED - user 'guest' already exists",
    ),
    (
        "a user without a name",
        |it| done(it.add_user(User::new("").password("p"))),
        "PRECONDITION_FAILED - user cannot be an empty string",
    ),
    (
        "a user without a name that is put",
        |it| done(it.put_user(User::new(""))),
        "PRECONDITION_FAILED - user cannot be an empty string",
    ),
    (
        "a user with a long name",
        |it| done(it.add_user(User::new("x".repeat(256)))),
        "SYNTAX_ERROR - a name has at most 255 bytes",
    ),
    (
        "deleting nobody",
        |it| done(it.delete_user("nobody")),
        "NOT_FOUND - no user 'nobody'",
    ),
    (
        "the password of nobody",
        |it| done(it.change_password("nobody", "p")),
        "NOT_FOUND - no user 'nobody'",
    ),
    (
        "no password of nobody",
        |it| done(it.clear_password("nobody")),
        "NOT_FOUND - no user 'nobody'",
    ),
    (
        "the tags of nobody",
        |it| done(it.set_user_tags("nobody", ["management"])),
        "NOT_FOUND - no user 'nobody'",
    ),
    (
        "the limits of nobody",
        |it| done(it.set_user_limits("nobody", UserLimits::new())),
        "NOT_FOUND - no user 'nobody'",
    ),
    (
        "nobody",
        |it| done(it.user("nobody")),
        "NOT_FOUND - no user 'nobody'",
    ),
    (
        "the permissions of nobody",
        |it| done(it.set_permissions("/", "nobody", &Permissions::all())),
        "NOT_FOUND - no user 'nobody'",
    ),
    (
        "permissions nowhere",
        |it| done(it.set_permissions("nowhere", "guest", &Permissions::all())),
        "NOT_FOUND - no vhost 'nowhere'",
    ),
    (
        "no permissions nowhere",
        |it| it.clear_permissions("nowhere", "guest"),
        "NOT_FOUND - no vhost 'nowhere'",
    ),
    (
        "a list nowhere",
        |it| done(it.permissions("nowhere")),
        "NOT_FOUND - no vhost 'nowhere'",
    ),
    (
        "a list of nobody",
        |it| done(it.user_permissions("nobody")),
        "NOT_FOUND - no user 'nobody'",
    ),
    (
        "topic permissions of nobody",
        |it| {
            let topic = TopicPermissions::new("amq.topic", "", "");
            done(it.set_topic_permissions("/", "nobody", &topic))
        },
        "NOT_FOUND - no user 'nobody'",
    ),
    (
        "topic permissions nowhere",
        |it| {
            let topic = TopicPermissions::new("amq.topic", "", "");
            done(it.set_topic_permissions("nowhere", "guest", &topic))
        },
        "NOT_FOUND - no vhost 'nowhere'",
    ),
    (
        "topic permissions for no exchange",
        |it| {
            let topic = TopicPermissions::new("nope", "", "");
            done(it.set_topic_permissions("/", "guest", &topic))
        },
        "NOT_FOUND - no exchange 'nope' in vhost '/'",
    ),
    (
        "topic lists nowhere",
        |it| done(it.topic_permissions("nowhere")),
        "NOT_FOUND - no vhost 'nowhere'",
    ),
    (
        "topic lists of nobody",
        |it| done(it.user_topic_permissions("nobody")),
        "NOT_FOUND - no user 'nobody'",
    ),
    (
        "limits nowhere",
        |it| done(it.set_vhost_limits("nowhere", VhostLimits::new())),
        "NOT_FOUND - no vhost 'nowhere'",
    ),
    (
        "no limits nowhere",
        |it| done(it.vhost_limits("nowhere")),
        "NOT_FOUND - no vhost 'nowhere'",
    ),
    (
        "metadata nowhere",
        |it| done(it.set_vhost_metadata("nowhere", VhostMetadata::new())),
        "NOT_FOUND - no vhost 'nowhere'",
    ),
    (
        "an unknown queue type",
        |it| {
            let metadata = VhostMetadata::new()
                .description("d")
                .default_queue_type("lazy");
            done(it.set_vhost_metadata("/", metadata))
        },
        "PRECONDITION_FAILED - invalid default queue type 'lazy'",
    ),
];

fn everything(broker: &Broker) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?}",
        broker.users().unwrap(),
        broker.permissions("/").unwrap(),
        broker.topic_permissions("/").unwrap(),
        broker.vhost_limits("/").unwrap(),
        broker.vhost_metadata("/").unwrap(),
    )
}

#[test]
fn each_has_its_error_and_changes_nothing() {
    let broker = Broker::new();
    let before = everything(&broker);
    for (case, call, text) in CASES {
        let error = call(&broker).expect_err(case);
        assert!(error.to_string().starts_with(text), "{case}: {error}");
        assert_eq!(everything(&broker), before, "{case}");
    }
}

#[test]
fn what_is_cleared_need_not_be_there() {
    let broker = Broker::new();
    // As in RabbitMQ, a user who does not exist has nothing to be cleared.
    for user in ["nobody", "guest"] {
        assert_eq!(broker.clear_topic_permissions("/", user, None), Ok(false));
        let exchange = Some("no such exchange");
        assert_eq!(
            broker.clear_topic_permissions("/", user, exchange),
            Ok(false)
        );
    }
    assert_eq!(broker.clear_permissions("/", "nobody"), Ok(false));
    assert_eq!(broker.clear_permissions("/", "guest"), Ok(true));
    assert_eq!(broker.clear_permissions("/", "guest"), Ok(false));
}

#[test]
fn limits_are_known_names_and_whole_numbers() {
    let vhost = |text| serde_json::from_str::<VhostLimits>(text);
    let user = |text| serde_json::from_str::<UserLimits>(text);
    assert_eq!(vhost(r#"{"max-queues": -1}"#).unwrap().max_queues, Some(-1));
    assert_eq!(vhost("{}").unwrap(), VhostLimits::new());
    for text in [
        r#"{"max-exchanges": 1}"#,
        r#"{"max-queues": "three"}"#,
        r#"{"max-queues": 1.5}"#,
        r#"{"max-channels": 1}"#,
    ] {
        assert!(vhost(text).is_err(), "{text}");
    }
    for text in [r#"{"max-queues": 1}"#, r#"{"max-channels": "x"}"#] {
        assert!(user(text).is_err(), "{text}");
    }
    let limits = UserLimits::new().max_channels(2);
    assert_eq!(
        serde_json::to_string(&limits).unwrap(),
        r#"{"max-channels":2}"#
    );
}

#[test]
fn a_broker_that_is_shut_down_administrates_nothing() {
    let broker = Broker::new();
    broker.shutdown(std::time::Duration::ZERO).unwrap();
    for result in [
        done(broker.users()),
        done(broker.user("guest")),
        done(broker.add_user(User::new("ada"))),
        done(broker.put_user(User::new("ada"))),
        done(broker.delete_user("guest")),
        done(broker.change_password("guest", "p")),
        done(broker.set_permissions("/", "guest", &Permissions::all())),
        broker.clear_permissions("/", "guest"),
        done(broker.permissions("/")),
        done(broker.vhost_limits("/")),
        done(broker.set_vhost_limits("/", VhostLimits::new())),
    ] {
        assert_eq!(result, Err(Error::ShutDown));
    }
}
