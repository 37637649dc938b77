//! Logins, their limits, and their end.

use leveret::{
    Broker, CancelReason, Credentials, Error, Permissions, Queue, RecvError, User, UserLimits,
    VhostLimits,
};

use super::{add_user, broker_of_ada, login, publish};
use crate::common::PATIENCE;

const REFUSED: &str = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. \
                       For details see the broker logfile.";

fn text(result: leveret::Result<leveret::Connection>) -> String {
    result.map(drop).unwrap_err().to_string()
}

#[test]
fn a_refused_login_does_not_tell_whether_the_user_exists() {
    let broker = Broker::new();
    add_user(&broker, "ada", &Permissions::all());
    broker.add_user(User::new("no password")).unwrap();
    for (name, password) in [
        ("ada", "wrong"),
        ("ada", ""),
        ("Ada", "ada"),
        ("nobody", "nobody"),
        ("nobody", ""),
        ("no password", ""),
        ("", ""),
    ] {
        // Also where there is no such virtual host.
        for vhost in ["/", "nowhere"] {
            let error = broker
                .connect(vhost, Credentials::new(name, password))
                .unwrap_err();
            assert!(matches!(error, Error::LoginRefused { .. }));
            assert_eq!(error.to_string(), REFUSED);
            assert_eq!(error.reply_code(), Some(403));
        }
    }
}

#[test]
fn a_user_connects_where_there_are_permissions_even_empty_ones() {
    let broker = Broker::new();
    broker.create_vhost("tests").unwrap();
    let ada = User::new("ada").password("ada").tag("administrator");
    broker.add_user(ada).unwrap();
    let connect = |vhost| broker.connect(vhost, Credentials::new("ada", "ada"));
    let refused = "NOT_ALLOWED - access to vhost 'tests' refused for user 'ada'";
    assert_eq!(text(connect("tests")), refused);
    let nowhere = "NOT_ALLOWED - vhost nowhere not found";
    assert_eq!(text(connect("nowhere")), nowhere);
    broker
        .set_permissions("tests", "ada", &Permissions::none())
        .unwrap();
    assert_eq!(connect("tests").unwrap().vhost(), "tests");
    assert_eq!(connect("/").unwrap_err().reply_code(), Some(530));
}

#[test]
fn guest_has_all_permissions_in_a_new_vhost_as_long_as_there_is_guest() {
    let broker = Broker::new();
    broker.create_vhost("one").unwrap();
    drop(broker.connect("one", Credentials::guest()).unwrap());
    broker.delete_user("guest").unwrap();
    broker.create_vhost("two").unwrap();
    assert_eq!(broker.permissions("one").unwrap(), []);
    assert_eq!(broker.permissions("two").unwrap(), []);
    // The program itself may do everything without any user.
    let two = broker.vhost("two").unwrap();
    two.declare(&Queue::new("q")).unwrap();
    // A user of this name who comes later has no permissions.
    broker
        .add_user(User::new("guest").password("guest"))
        .unwrap();
    let refused = broker.connect("one", Credentials::guest());
    assert_eq!(refused.unwrap_err().reply_code(), Some(530));
}

#[test]
fn a_user_of_the_builder_is_an_administrator_with_all_permissions_in_the_root() {
    let broker = Broker::builder()
        .user("ada", "one")
        .user("ada", "two")
        .user("guest", "three")
        .build();
    let ada = broker.user("ada").unwrap();
    assert_eq!(ada.tag_list(), ["administrator"]);
    let permissions = broker.user_permissions("ada").unwrap();
    assert_eq!(permissions.len(), 1);
    assert_eq!(permissions[0].1, Permissions::all());
    let connect = |name, password| broker.connect("/", Credentials::new(name, password));
    assert!(connect("ada", "one").is_err() && connect("guest", "guest").is_err());
    assert!(connect("ada", "two").is_ok() && connect("guest", "three").is_ok());
}

#[test]
fn a_name_that_no_user_can_have_adds_no_user_of_the_builder() {
    let builder = Broker::builder().user("", "p").user("x".repeat(256), "p");
    let broker = builder.build();
    assert_eq!(broker.users().unwrap().len(), 1);
    broker.connect("/", Credentials::guest()).map(drop).unwrap();
}

#[test]
fn deleting_a_user_closes_the_connections_of_that_user_only() {
    let (broker, connection) = broker_of_ada(&Permissions::all());
    add_user(&broker, "bob", &Permissions::all());
    let bobs = login(&broker, "bob");
    let exclusive = connection.declare(&Queue::exclusive()).unwrap();
    let channel = connection.open_channel().unwrap();
    let consumer = connection.consumer::<u32>("q").unwrap();
    let producer = connection.producer::<u32>("q").unwrap();
    producer.publish(1).unwrap();
    let held = consumer.recv().unwrap();

    broker.delete_user("ada").unwrap();
    let deleted = || Error::UserDeleted {
        user: "ada".parse().unwrap(),
    };
    assert_eq!(deleted().reply_code(), Some(320));
    assert!(deleted().is_closed());
    assert_eq!(connection.open_channel().unwrap_err(), deleted());
    assert_eq!(connection.close().unwrap_err(), deleted());
    assert_eq!(
        channel.queue_declare(&Queue::new("n")).unwrap_err(),
        deleted()
    );
    assert_eq!(publish(&channel, "", "q").unwrap_err(), deleted());
    assert_eq!(producer.publish(2).unwrap_err().error(), &deleted());
    match consumer.recv_timeout(PATIENCE) {
        Err(leveret::RecvTimeoutError::Cancelled(reason)) => {
            assert_eq!(reason, CancelReason::UserDeleted);
        }
        other => panic!("{other:?}"),
    }
    assert!(broker.purge(&exclusive).unwrap_err().is_not_found());
    // As with every connection that closes, its deliveries can still be settled.
    held.ack().unwrap();
    drop(bobs.open_channel().unwrap());
    assert_eq!(broker.user_permissions("bob").unwrap().len(), 1);
    assert!(broker.user_permissions("ada").unwrap_err().is_not_found());
    assert_eq!(broker.permissions("/").unwrap().len(), 2);
}

#[test]
fn the_deletion_of_a_user_wakes_who_waits() {
    let (broker, connection) = broker_of_ada(&Permissions::all());
    let consumer = connection.consumer::<u32>("q").unwrap();
    let waiting = std::thread::spawn(move || consumer.recv().map(drop));
    broker.delete_user("ada").unwrap();
    let ended = waiting.join().unwrap();
    assert!(matches!(
        ended,
        Err(RecvError::Cancelled(CancelReason::UserDeleted))
    ));
}

#[test]
fn a_password_or_a_tag_that_changes_leaves_connections_open() {
    let (broker, connection) = broker_of_ada(&Permissions::all());
    broker.change_password("ada", "new").unwrap();
    broker.set_user_tags("ada", ["monitoring"]).unwrap();
    connection.declare(&Queue::new("q")).unwrap();
    let old = broker.connect("/", Credentials::new("ada", "ada"));
    assert!(matches!(old.unwrap_err(), Error::LoginRefused { .. }));
    drop(broker.connect("/", Credentials::new("ada", "new")).unwrap());
}

#[test]
fn an_impersonator_stays_one_until_the_next_login() {
    let (broker, _connection) = broker_of_ada(&Permissions::all());
    broker.declare(&Queue::new("q")).unwrap();
    broker.set_user_tags("ada", ["impersonator"]).unwrap();
    let claim = |connection: &leveret::Connection| {
        let channel = connection.open_channel().unwrap();
        let properties = leveret::Properties::new().user_id("bob");
        let options = leveret::channel::PublishOptions::new();
        channel.basic_publish("", "q", "m", properties, options)
    };
    let before = login(&broker, "ada");
    claim(&before).unwrap();
    broker.set_user_tags("ada", Vec::<String>::new()).unwrap();
    claim(&before).unwrap();
    let error = claim(&login(&broker, "ada")).unwrap_err();
    let text =
        "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'ada'";
    assert_eq!(error.to_string(), text);
    broker
        .set_user_tags("ada", ["Impersonator", "administrator"])
        .unwrap();
    assert_eq!(
        claim(&login(&broker, "ada")).unwrap_err().reply_code(),
        Some(406)
    );
}

#[test]
fn connections_count_until_they_are_closed_or_dropped() {
    let (broker, first) = broker_of_ada(&Permissions::all());
    let connect = || broker.connect("/", Credentials::new("ada", "ada"));
    broker
        .set_user_limits("ada", UserLimits::new().max_connections(2))
        .unwrap();
    let second = connect().unwrap();
    let reached =
        "NOT_ALLOWED - connection refused for user 'ada': user connection limit (2) is reached";
    assert_eq!(text(connect()), reached);
    second.close().unwrap();
    let second = connect().unwrap();
    drop(second);
    let second = connect().unwrap();
    assert_eq!(text(connect()), reached);
    // What exceeds a lower limit stays.
    broker
        .set_user_limits("ada", UserLimits::new().max_connections(0))
        .unwrap();
    drop(first.open_channel().unwrap());
    drop(first);
    drop(second);
    let none = "NOT_ALLOWED - connection refused for user 'ada': user connection limit (0) is \
                reached";
    assert_eq!(text(connect()), none);
    broker
        .set_user_limits("ada", UserLimits::new().max_connections(-1))
        .unwrap();
    drop(connect().unwrap());
}

#[test]
fn a_refused_login_counts_for_no_limit() {
    let broker = Broker::new();
    broker.create_vhost("tests").unwrap();
    add_user(&broker, "ada", &Permissions::all());
    broker
        .set_user_limits("ada", UserLimits::new().max_connections(1))
        .unwrap();
    for _ in 0..3 {
        let refused = broker.connect("tests", Credentials::new("ada", "ada"));
        let text = "NOT_ALLOWED - access to vhost 'tests' refused for user 'ada'";
        assert_eq!(self::text(refused), text);
    }
    drop(login(&broker, "ada"));
}

#[test]
fn the_connections_of_a_vhost_are_limited() {
    let broker = Broker::new();
    add_user(&broker, "ada", &Permissions::all());
    broker
        .set_vhost_limits("/", VhostLimits::new().max_connections(1))
        .unwrap();
    let guests = broker.connect("/", Credentials::guest()).unwrap();
    let connect = || broker.connect("/", Credentials::new("ada", "ada"));
    let reached =
        "NOT_ALLOWED - access to vhost '/' refused for user 'ada': connection limit (1) is reached";
    assert_eq!(text(connect()), reached);
    guests.close().unwrap();
    let ada = connect().unwrap();
    assert_eq!(connect().unwrap_err().reply_code(), Some(530));
    drop(ada);
    broker.set_vhost_limits("/", VhostLimits::new()).unwrap();
    let _both = (connect().unwrap(), connect().unwrap());
}

#[test]
fn channels_count_over_all_connections_of_a_user() {
    let (broker, first) = broker_of_ada(&Permissions::all());
    let second = login(&broker, "ada");
    broker
        .set_user_limits("ada", UserLimits::new().max_channels(2))
        .unwrap();
    let one = first.open_channel().unwrap();
    let two = second.open_channel().unwrap();
    let error = first.open_channel().unwrap_err();
    let text = "NOT_ALLOWED - number of channels opened for user 'ada' has reached the maximum \
                allowed user limit of 2";
    assert_eq!(error.to_string(), text);
    one.close().unwrap();
    let one = first.open_channel().unwrap();
    assert!(second.open_channel().is_err());
    // A connection that closes takes its channels along, once.
    second.close().unwrap();
    drop(two);
    let three = first.open_channel().unwrap();
    assert!(first.open_channel().is_err());
    drop((one, three));
    drop(first.open_channel().unwrap());
}
