//! Snapshots while others publish, settle, declare and delete.

use super::*;
use crate::{management::snapshot::VhostSnapshot, model::descriptions::Exchange};

/// Takes a snapshot and checks each queue of it: no message is lost or counted twice. Each binding
/// and each consumer belongs to a queue that is listed.
fn checked(broker: &Broker) -> VhostSnapshot {
    let mut snapshot = broker.snapshot().unwrap();
    let vhost = snapshot.vhosts.remove(0);
    for queue in &vhost.queues {
        assert_eq!(queue.accounted_for(), queue.taken_in, "{}", queue.name);
    }
    for binding in vhost.bindings.iter().filter(|binding| binding.to_queue) {
        assert!(vhost.queue(&binding.destination).is_some());
    }
    for consumer in &vhost.consumers {
        assert!(vhost.queue(&consumer.queue).is_some());
    }
    vhost
}

#[test]
fn each_queue_of_a_snapshot_beside_publishes_and_acks_accounts_for_its_messages() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let mailbox = broker.simple_queue::<u32>("q").unwrap();
        let working = thread::spawn(move || {
            for id in 0..2 {
                producer.publish(id).unwrap();
                mailbox.try_get().unwrap().ack().unwrap();
            }
        });
        let first = checked(&broker);
        let second = checked(&broker);
        working.join().unwrap();
        let last = checked(&broker);
        let taken_in = |vhost: &VhostSnapshot| vhost.queue("q").unwrap().taken_in.messages;
        let all = [&first, &second, &last].map(taken_in);
        assert!(all.is_sorted(), "{all:?}");
        assert_eq!(all[2], 2);
    });
}

#[test]
fn a_snapshot_beside_deletions_and_declarations_has_whole_queues_and_totals_that_never_fall() {
    explore(|| {
        let broker = Broker::new();
        let exchange = Exchange::fanout("x");
        let [p, q] = ["p", "q"].map(|name| Queue::new(name).bind(&exchange, ""));
        broker.declare(&p).unwrap();
        broker.declare(&q).unwrap();
        broker
            .producer::<u32>(&exchange)
            .unwrap()
            .publish(1)
            .unwrap();
        let changing = thread::spawn({
            let (broker, q) = (broker.clone(), q.clone());
            move || {
                let held = broker.simple_queue::<u32>(&q).unwrap().try_get().unwrap();
                broker.delete(&q).unwrap();
                held.ack().unwrap();
                broker.declare(&q).unwrap();
            }
        });
        let looks = [checked(&broker), checked(&broker)];
        changing.join().unwrap();
        let last = checked(&broker);
        for vhost in looks.iter().chain([&last]) {
            assert_eq!(vhost.queue("p").unwrap().ready.messages, 1);
            assert_eq!(vhost.totals.message_stats().publish, 2);
        }
        let gets = [&looks[0], &looks[1], &last].map(|vhost| vhost.totals.message_stats().get);
        assert!(gets.is_sorted(), "{gets:?}");
        assert_eq!(last.queue("q").unwrap().messages(), 0);
        assert_eq!(last.bindings.len(), 2);
    });
}
