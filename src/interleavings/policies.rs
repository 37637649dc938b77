//! Changes of the policies against declarations, deletions and publishes.

use super::*;
use crate::{engine::policy::Policy, model::descriptions::Exchange};

fn one() -> Policy {
    Policy::new("one", "^[qx]$")
        .setting("max-length", 1)
        .setting("alternate-exchange", "unrouted")
}

#[test]
fn a_queue_that_is_declared_beside_a_new_policy_gets_it() {
    explore(|| {
        let broker = Broker::new();
        let root = broker.vhost("/").unwrap();
        let setting = thread::spawn(move || root.set_policy(one()).unwrap());
        let producer = broker.producer::<u32>(&queue()).unwrap();
        setting.join().unwrap();
        for id in 0..3 {
            producer.publish(id).unwrap();
        }
        assert_eq!(ids(&rest(&broker, "q")), [2]);
    });
}

#[test]
fn an_exchange_that_is_declared_beside_a_new_policy_gets_it() {
    explore(|| {
        let broker = Broker::new();
        let unrouted = Exchange::fanout("unrouted");
        broker
            .declare(&Queue::new("u").bind(&unrouted, ""))
            .unwrap();
        let root = broker.vhost("/").unwrap();
        let setting = thread::spawn(move || root.set_policy(one()).unwrap());
        let producer = broker.producer::<u32>(&Exchange::direct("x")).unwrap();
        let before = producer.publish(0).unwrap().routed;
        setting.join().unwrap();
        assert_eq!(producer.publish(1).unwrap().routed, 1);
        assert_eq!(rest(&broker, "u").len(), before + 1);
    });
}

#[test]
fn a_queue_that_is_deleted_and_declared_anew_beside_a_change_has_the_last_policy() {
    explore(|| {
        let broker = Broker::new();
        broker.declare(&queue()).unwrap();
        let root = broker.vhost("/").unwrap();
        root.set_policy(one()).unwrap();
        let changing = thread::spawn(move || {
            assert!(root.clear_policy("one").unwrap());
            let two = one().setting("max-length", 2);
            root.set_policy(two).unwrap();
        });
        broker.delete(&queue()).unwrap();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        changing.join().unwrap();
        for id in 0..4 {
            producer.publish(id).unwrap();
        }
        assert_eq!(ids(&rest(&broker, "q")), [2, 3]);
    });
}
