//! A login in two steps: the credentials first, and the virtual host later.

use leveret::{Broker, ConnectionOptions, Credentials, Error, Permissions, User, UserLimits};

use super::add_user;

fn ada(broker: &Broker) -> leveret::AuthenticatedUser {
    broker.authenticate(Credentials::new("ada", "ada")).unwrap()
}

fn connect(broker: &Broker, user: &leveret::AuthenticatedUser, vhost: &str) -> Result<(), String> {
    let connected = broker.connect_as(user, vhost, ConnectionOptions::new());
    connected.map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_refused_login_names_the_mechanism_of_the_client() {
    let broker = Broker::new();
    add_user(&broker, "ada", &Permissions::all());
    for mechanism in ["PLAIN", "AMQPLAIN", "RABBIT-CR-DEMO"] {
        for (name, password) in [("ada", "wrong"), ("ada", ""), ("eve", "eve")] {
            let credentials = Credentials::new(name, password).mechanism(mechanism);
            let error = broker.authenticate(credentials).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "ACCESS_REFUSED - Login was refused using authentication mechanism {mechanism}. \
                     For details see the broker logfile."
                )
            );
            assert_eq!(error.reply_code(), Some(403));
        }
    }
    let named = broker.authenticate(Credentials::new("ada", "ada").mechanism("AMQPLAIN"));
    assert_eq!(named.unwrap().mechanism(), "AMQPLAIN");
}

#[test]
fn a_user_who_has_logged_in_is_refused_a_virtual_host_in_the_words_of_rabbitmq() {
    let broker = Broker::new();
    add_user(&broker, "ada", &Permissions::all());
    broker.create_vhost("other").unwrap();
    let ada = ada(&broker);
    assert_eq!(connect(&broker, &ada, "/"), Ok(()));
    for (vhost, text) in [
        ("nowhere", "NOT_ALLOWED - vhost nowhere not found"),
        (
            "other",
            "NOT_ALLOWED - access to vhost 'other' refused for user 'ada'",
        ),
    ] {
        assert_eq!(connect(&broker, &ada, vhost), Err(text.to_owned()));
    }
    // A change since the login counts.
    broker
        .set_permissions("other", "ada", &Permissions::all())
        .unwrap();
    assert_eq!(connect(&broker, &ada, "other"), Ok(()));
    broker
        .set_user_limits("ada", UserLimits::new().max_connections(0))
        .unwrap();
    let limit = connect(&broker, &ada, "/").unwrap_err();
    assert!(
        limit.starts_with("NOT_ALLOWED - connection refused for user 'ada'"),
        "{limit}"
    );
}

#[test]
fn a_user_without_a_password_connects_by_the_word_of_the_program_only() {
    let broker = Broker::new();
    broker.add_user(User::new("sensor")).unwrap();
    broker
        .set_permissions("/", "sensor", &Permissions::all())
        .unwrap();
    assert!(broker.authenticate(Credentials::new("sensor", "")).is_err());
    let sensor = broker
        .authenticate(Credentials::external("sensor"))
        .unwrap();
    let connection = broker
        .connect_as(&sensor, "/", ConnectionOptions::new())
        .unwrap();
    assert_eq!(
        (&**connection.user(), sensor.mechanism()),
        ("sensor", "EXTERNAL")
    );
    let connected = broker.connect("/", Credentials::external("sensor"));
    assert!(connected.is_ok());
    let unknown = broker
        .authenticate(Credentials::external("eve"))
        .unwrap_err();
    assert!(
        unknown.to_string().contains("mechanism EXTERNAL"),
        "{unknown}"
    );
}

#[test]
fn a_login_ends_with_its_user_and_counts_in_its_broker_only() {
    let (broker, other) = (Broker::new(), Broker::new());
    for broker in [&broker, &other] {
        add_user(broker, "ada", &Permissions::all());
    }
    let before = ada(&broker);
    assert!(
        connect(&other, &before, "/")
            .unwrap_err()
            .contains("Login was refused")
    );
    broker.delete_user("ada").unwrap();
    assert!(
        connect(&broker, &before, "/")
            .unwrap_err()
            .contains("Login was refused")
    );
    add_user(&broker, "ada", &Permissions::all());
    assert!(
        connect(&broker, &before, "/")
            .unwrap_err()
            .contains("Login was refused")
    );
    let after = ada(&broker);
    assert_eq!(connect(&broker, &after, "/"), Ok(()));
    broker.shutdown(std::time::Duration::ZERO).unwrap();
    let ended = broker.connect_as(&after, "/", ConnectionOptions::new());
    assert_eq!(ended.unwrap_err(), Error::ShutDown);
}
