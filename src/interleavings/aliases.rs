//! Publishing to an alias against its new target.

use super::*;
use crate::model::descriptions::{AliasQueue, Exchange};

fn to(queue: &str) -> AliasQueue {
    AliasQueue::of_queue("alias", queue)
}

fn setting() -> Broker {
    let broker = Broker::new();
    for queue in ["old", "new"] {
        broker.declare(&Queue::new(queue)).unwrap();
    }
    broker.declare(&to("old")).unwrap();
    broker
}

/// Publishes beside a change of the alias, and after it.
fn repoint_beside_publishes(broker: &Broker, alias: AliasQueue) {
    let producer = broker.producer::<u32>("alias").unwrap();
    // Now the route is remembered.
    producer.publish(0).unwrap();
    let repointing = thread::spawn({
        let broker = broker.clone();
        move || broker.repoint(&alias).unwrap()
    });
    for id in 1..3 {
        assert_eq!(producer.publish(id).unwrap().routed, 1);
    }
    repointing.join().unwrap();
    producer.publish(3).unwrap();
    let (old, new) = (ids(&rest(broker, "old")), ids(&rest(broker, "new")));
    assert!(old.first() == Some(&0) && new.last() == Some(&3));
    assert_eq!([old, new].concat(), [0, 1, 2, 3]);
}

#[test]
fn each_publish_goes_to_the_old_target_or_the_new_one_and_later_ones_to_the_new_one() {
    explore(|| repoint_beside_publishes(&setting(), to("new")));
}

#[test]
fn a_target_that_is_an_exchange_changes_as_a_queue_does() {
    explore(|| {
        let broker = setting();
        let exchange = Exchange::fanout("x");
        broker
            .declare(&Queue::new("new").bind(&exchange, ""))
            .unwrap();
        let alias = AliasQueue::of_exchange("alias", "x");
        repoint_beside_publishes(&broker, alias);
        let back = thread::spawn({
            let broker = broker.clone();
            move || broker.repoint(&to("old")).unwrap()
        });
        let producer = broker.producer::<u32>("alias").unwrap();
        producer.publish(4).unwrap();
        back.join().unwrap();
        producer.publish(5).unwrap();
        let (new, old) = (ids(&rest(&broker, "new")), ids(&rest(&broker, "old")));
        assert!(old.ends_with(&[5]));
        assert_eq!([new, old].concat(), [4, 5]);
    });
}

#[test]
fn an_alias_that_is_deleted_beside_a_publish_loses_nothing_that_was_routed() {
    explore(|| {
        let broker = setting();
        let producer = broker.producer::<u32>("alias").unwrap();
        let deleting = thread::spawn({
            let broker = broker.clone();
            move || broker.delete(&to("old")).unwrap()
        });
        let publish = |id| producer.publish(id).map_or(0, |published| published.routed);
        let routed: usize = (0..2).map(publish).sum();
        deleting.join().unwrap();
        assert_eq!(publish(2), 0);
        let there = ids(&rest(&broker, "old"));
        assert_eq!(there, (0..routed as u32).collect::<Vec<_>>());
    });
}

/// Both would close the cycle, so one of them is refused.
#[test]
fn two_changes_at_once_make_no_cycle() {
    explore(|| {
        let broker = setting();
        broker
            .declare(&AliasQueue::of_queue("other", "new"))
            .unwrap();
        let other = thread::spawn({
            let broker = broker.clone();
            move || {
                broker
                    .repoint(&AliasQueue::of_queue("other", "alias"))
                    .is_ok()
            }
        });
        let one = broker.repoint(&to("other")).is_ok();
        let other = other.join().unwrap();
        assert!(one != other);
        assert_eq!(
            broker
                .producer::<u32>("alias")
                .unwrap()
                .publish(0)
                .unwrap()
                .routed,
            1
        );
    });
}
