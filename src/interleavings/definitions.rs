//! Imports of definitions against one another, and against what else changes virtual hosts.

use super::*;
use crate::model::{
    access::{TopicPermissions, User},
    descriptions::Exchange,
};

/// A file with an exchange, two queues and a binding in each of these virtual hosts.
fn file(vhosts: [&str; 2]) -> String {
    let listed = vhosts.map(|vhost| format!(r#"{{"name": "{vhost}"}}"#));
    let exchanges =
        vhosts.map(|vhost| format!(r#"{{"name": "x", "vhost": "{vhost}", "type": "topic"}}"#));
    let queues = vhosts.map(|vhost| {
        format!(r#"{{"name": "q", "vhost": "{vhost}"}}, {{"name": "r", "vhost": "{vhost}"}}"#)
    });
    let bindings = vhosts.map(|vhost| {
        format!(
            r#"{{"source": "x", "vhost": "{vhost}", "destination": "q",
                "destination_type": "queue", "routing_key": "k"}}"#
        )
    });
    format!(
        r#"{{"vhosts": [{}], "exchanges": [{}], "queues": [{}], "bindings": [{}]}}"#,
        listed.join(","),
        exchanges.join(","),
        queues.join(","),
        bindings.join(",")
    )
}

#[test]
fn imports_into_the_same_virtual_hosts_end_in_any_order() {
    explore(|| {
        let broker = Broker::new();
        let other = broker.clone();
        let importing = thread::spawn(move || other.import_definitions(file(["b", "a"])).unwrap());
        let one = broker.import_definitions(file(["a", "b"])).unwrap();
        let other = importing.join().unwrap();
        assert_eq!(one.vhosts + other.vhosts, 2);
        assert_eq!(one.queues + other.queues, 4);
        assert_eq!(broker.vhosts().unwrap(), ["/", "a", "b"]);
    });
}

#[test]
fn no_one_sees_a_part_of_an_import() {
    explore(|| {
        let broker = Broker::new();
        broker.create_vhost("a").unwrap();
        let other = broker.clone();
        let importing = thread::spawn(move || {
            other.import_definitions(file(["a", "b"])).unwrap();
        });
        let snapshot = broker.snapshot().unwrap();
        let seen = |name: &str| {
            let mut vhosts = snapshot.vhosts.iter();
            let vhost = vhosts.find(|vhost| vhost.name == name)?;
            Some((vhost.queues.len(), vhost.bindings.len()))
        };
        let (a, b) = (seen("a"), seen("b"));
        assert!(a == Some((0, 0)) || a == Some((2, 1)), "{a:?}");
        assert!(b.is_none() || b == Some((2, 1)), "{b:?}");
        importing.join().unwrap();
    });
}

#[test]
fn an_import_and_the_administration_of_the_same_things_do_not_block_each_other() {
    explore(|| {
        let broker = Broker::new();
        broker.create_vhost("a").unwrap();
        broker.add_user(User::new("ada").password("p")).unwrap();
        let root = broker.vhost("a").unwrap();
        root.declare(&Exchange::topic("x").durable()).unwrap();
        let other = broker.clone();
        let importing = thread::spawn(move || {
            other.import_definitions(file(["a", "b"])).unwrap();
        });
        let topics = TopicPermissions::new("x", "", "");
        broker.set_topic_permissions("a", "ada", &topics).unwrap();
        broker.create_vhost("b").unwrap();
        let gone = broker.clone();
        let deleting = thread::spawn(move || drop(gone.delete_user("ada")));
        importing.join().unwrap();
        deleting.join().unwrap();
        assert!(broker.vhost("b").unwrap().delete(&Queue::new("q")).is_ok());
    });
}
