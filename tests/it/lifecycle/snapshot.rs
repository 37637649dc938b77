//! Snapshots while queues are declared, filled and deleted.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use leveret::{Broker, Budget, Exchange, Queue, Result, Snapshot};

use crate::common::{assert_conserved, share_of};

/// Takes snapshots while `change` runs.
fn look_beside(
    broker: &Broker,
    change: impl FnOnce() -> Result + Send,
    look: impl Fn(&Snapshot) + Sync,
) -> Result {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| -> Result {
            while !done.load(SeqCst) {
                look(&broker.snapshot()?);
            }
            Ok(())
        });
        let changed = change();
        done.store(true, SeqCst);
        looking.join().unwrap()?;
        changed
    })
}

/// The counts of each queue add up, and each binding leads to a queue of the snapshot.
fn assert_whole(snapshot: &Snapshot) {
    let vhost = &snapshot.vhosts[0];
    vhost.queues.iter().for_each(assert_conserved);
    let names: BTreeSet<&str> = vhost.queues.iter().map(|queue| &*queue.name).collect();
    for binding in &vhost.bindings {
        assert!(names.contains(&*binding.destination), "{binding:?}");
    }
}

#[test]
fn a_snapshot_beside_a_deletion_adds_up() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::fanout("x");
    let queues = ["a", "b", "c"].map(|name| Queue::new(name).bind(&exchange, ""));
    let change = || {
        for _ in 0..share_of(1_000) {
            for queue in &queues {
                broker.declare(queue)?;
            }
            let producer = broker.producer::<u32>(&exchange)?;
            let consumer = broker.consumer::<u32>(&queues[0])?;
            for number in 0..10 {
                producer.publish(number)?;
            }
            let held = consumer.recv()?;
            consumer.recv()?.ack()?;
            consumer.recv()?.reject()?;
            for queue in &queues {
                broker.delete(queue)?;
            }
            drop(held);
        }
        Ok(())
    };
    look_beside(&broker, change, assert_whole)
}

/// Nothing is published here, so the use of the budget is exact at each moment.
#[test]
fn a_budget_beside_a_deletion_is_the_sum_of_its_queues() -> Result {
    let broker = Broker::new();
    broker.declare(&Budget::new("jobs", 1 << 30))?;
    let queues: Vec<_> = (0..share_of(2_000))
        .map(|number| Queue::new(format!("q{number}")).budget("jobs"))
        .collect();
    for queue in &queues {
        broker.producer::<u64>(queue)?.publish(7)?;
    }
    let change = || queues.iter().try_for_each(|queue| broker.delete(queue));
    look_beside(&broker, change, |snapshot| {
        assert_whole(snapshot);
        let vhost = &snapshot.vhosts[0];
        let sum: u64 = vhost.queues.iter().map(|queue| queue.ready.bytes).sum();
        assert_eq!(vhost.budgets[0].used, sum);
    })
}
