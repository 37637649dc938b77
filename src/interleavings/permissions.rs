//! Changes of permissions against remembered routes, logins and deletions of users.

use super::*;
use crate::{
    model::{
        access::{Permissions, TopicPermissions, User},
        descriptions::Exchange,
        error::Error,
    },
    runtime::sync::atomic::{AtomicBool, Ordering::SeqCst},
    session::connection::Connection,
};

/// A broker with the queue `q` and the user `ada`.
fn setting(permissions: &Permissions) -> (Broker, Connection) {
    let broker = Broker::new();
    broker.declare(&queue()).unwrap();
    broker.add_user(User::new("ada").password("ada")).unwrap();
    broker.set_permissions("/", "ada", permissions).unwrap();
    let connection = login(&broker).unwrap();
    (broker, connection)
}

fn login(broker: &Broker) -> crate::model::error::Result<Connection> {
    broker.connect("/", Credentials::new("ada", "ada"))
}

/// Publishes while another thread takes the right away, and counts what is published. No publish
/// that begins after the change succeeds.
fn revoke_beside(
    broker: Broker,
    publish: impl Fn(u32) -> Result<(), Error>,
    revoke: impl FnOnce(&Broker) + Send + 'static,
) -> (Broker, usize) {
    let revoked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&revoked);
    let revoking = thread::spawn(move || {
        revoke(&broker);
        revoked.store(true, SeqCst);
        broker
    });
    let mut published = 0;
    for id in 1..4 {
        let was_revoked = seen.load(SeqCst);
        match publish(id) {
            Ok(()) => {
                assert!(!was_revoked, "an old right was used");
                published += 1;
            }
            Err(error) => assert_eq!(error.reply_code(), Some(403)),
        }
    }
    let broker = revoking.join().unwrap();
    assert_eq!(publish(4).unwrap_err().reply_code(), Some(403));
    (broker, published)
}

/// Patterns for everything: `.*`, which is not tried, and another one.
const EVERYTHING: [&str; 2] = [".*", "^"];

fn all(pattern: &str) -> Permissions {
    Permissions::new(pattern, pattern, pattern)
}

#[test]
fn no_publish_by_a_remembered_route_begins_after_the_right_is_revoked() {
    for pattern in EVERYTHING {
        explore(move || {
            let (broker, connection) = setting(&all(pattern));
            let producer = connection.producer::<u32>(&queue()).unwrap();
            producer.publish(0).unwrap();
            let publish = |id| match producer.publish(id) {
                Ok(_) => Ok(()),
                Err(error) => Err(error.into_parts().0),
            };
            let (broker, published) = revoke_beside(broker, publish, move |broker| {
                let none = Permissions::new(pattern, "", pattern);
                broker.set_permissions("/", "ada", &none).unwrap();
            });
            assert_eq!(rest(&broker, "q").len(), published + 1);
        });
    }
}

#[test]
fn a_route_that_is_found_beside_a_change_is_not_remembered_with_the_old_right() {
    explore(|| {
        let (broker, connection) = setting(&Permissions::all());
        let exchange = Exchange::topic("x");
        let bound = Queue::new("p").bind(&exchange, "#");
        broker.declare(&bound).unwrap();
        let producer = connection
            .producer::<u32>(&Exchange::existing("x"))
            .unwrap();
        let publish = |id| match producer.publish_to("k", id) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.into_parts().0),
        };
        let (broker, published) = revoke_beside(broker, publish, |broker| {
            let none = TopicPermissions::new("x", "^other$", ".*");
            broker.set_topic_permissions("/", "ada", &none).unwrap();
        });
        assert_eq!(rest(&broker, "p").len(), published);
    });
}

#[test]
fn no_connection_of_a_user_is_open_after_the_deletion() {
    explore(|| {
        let (broker, before) = setting(&Permissions::all());
        let deleting = thread::spawn({
            let broker = broker.clone();
            move || broker.delete_user("ada").unwrap()
        });
        let beside = login(&broker);
        deleting.join().unwrap();
        for connection in [Ok(before), beside] {
            match connection {
                Ok(connection) => {
                    let error = connection.open_channel().unwrap_err();
                    assert!(matches!(error, Error::UserDeleted { .. }), "{error}");
                }
                Err(error) => assert_eq!(error, Error::login_refused("PLAIN")),
            }
        }
    });
}

#[test]
fn a_deleted_user_leaves_no_permissions_behind() {
    explore(|| {
        let (broker, _) = setting(&Permissions::none());
        let deleting = thread::spawn({
            let broker = broker.clone();
            move || broker.delete_user("ada").unwrap()
        });
        match broker.set_permissions("/", "ada", &Permissions::all()) {
            Ok(()) => {}
            Err(error) => assert!(error.is_not_found()),
        }
        deleting.join().unwrap();
        let users = broker.permissions("/").unwrap();
        assert!(users.iter().all(|(user, _)| *user != "ada"));
    });
}

#[test]
fn a_limit_of_connections_holds_for_logins_at_the_same_time() {
    explore(|| {
        let (broker, open) = setting(&Permissions::all());
        drop(open);
        let limits = crate::model::access::UserLimits::new().max_connections(1);
        broker.set_user_limits("ada", limits).unwrap();
        let other = thread::spawn({
            let broker = broker.clone();
            move || login(&broker)
        });
        let own = login(&broker);
        let both = [own, other.join().unwrap()];
        assert_eq!(both.iter().filter(|login| login.is_ok()).count(), 1);
        drop(both);
        login(&broker).unwrap();
    });
}
