//! Users, permissions, limits and the metadata of virtual hosts.
//!
//! The recordings `access-*` of `tests/conformance` show which operation asks for what, and in
//! which order. The tests of the gate show it for every verb.

mod bad_input;
mod decisions;
mod logins;
mod passwords;
mod patterns;
mod revoked;
mod two_steps;
mod vhosts;
mod ways_around;

use leveret::{
    Broker, Channel, Connection, Credentials, Error, FieldTable, Permission, Permissions,
    Properties, User,
    channel::{IfEmpty, IfUnused, PublishOptions},
};

/// Adds a user whose password is the name, with these permissions in `/`.
pub fn add_user(broker: &Broker, name: &str, permissions: &Permissions) {
    broker.add_user(User::new(name).password(name)).unwrap();
    broker.set_permissions("/", name, permissions).unwrap();
}

/// A connection of the user to `/`.
pub fn login(broker: &Broker, name: &str) -> Connection {
    broker.connect("/", Credentials::new(name, name)).unwrap()
}

/// A broker with the user `ada`, and a connection of hers.
pub fn broker_of_ada(permissions: &Permissions) -> (Broker, Connection) {
    let broker = Broker::new();
    add_user(&broker, "ada", permissions);
    let connection = login(&broker, "ada");
    (broker, connection)
}

pub fn publish(channel: &Channel, exchange: &str, key: &str) -> leveret::Result {
    let (properties, options) = (Properties::new(), PublishOptions::new());
    let published = channel.basic_publish(exchange, key, "m", properties, options);
    published.map(drop)
}

pub fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> leveret::Result {
    channel.queue_bind(queue, exchange, key, FieldTable::new())
}

pub fn delete_queue(channel: &Channel, queue: &str) -> leveret::Result {
    let deleted = channel.queue_delete(queue, IfUnused::No, IfEmpty::No);
    deleted.map(drop)
}

/// What a refusal says: the permission and the name.
pub fn denied(error: &Error) -> Option<(Permission, String)> {
    match error {
        Error::PermissionDenied(denied) => {
            let name = match &denied.topic {
                Some(topic) => format!("{}#{topic}", denied.resource.name),
                None => denied.resource.name.to_string(),
            };
            Some((denied.permission, name))
        }
        _ => None,
    }
}

#[track_caller]
pub fn assert_denied<T: std::fmt::Debug>(
    result: leveret::Result<T>,
    permission: Permission,
    name: &str,
) {
    let error = result.expect_err("it is permitted");
    assert_eq!(
        denied(&error),
        Some((permission, name.to_owned())),
        "{error}"
    );
}
