//! Declaring, using and deleting entities leaves no memory behind. The test runs in a process of
//! its own because it counts all bytes of its process.

use leveret::{Broker, Exchange, Queue, Requeue, Result};
use stats_alloc::Region;

use crate::alone::{ALLOCATOR, alone};

/// Declares, binds, publishes, consumes, returns and deletes, under names that are used only once.
fn cycle(broker: &Broker, number: u64) -> Result {
    let exchange = Exchange::topic(format!("exchange-{number}"));
    let queue = Queue::new(format!("queue-{number}")).bind(&exchange, "a.*");
    let producer = broker.producer::<u64>(&exchange)?;
    let consumer = broker.consumer::<u64>(&queue)?;
    for id in [number, number + 1] {
        assert_eq!(producer.publish_to("a.b", id)?.routed, 1);
    }
    consumer.recv()?.nack(Requeue::Yes)?;
    let delivery = consumer.recv()?;
    delivery.ack()?;
    // The second message is dropped with the queue.
    broker.delete(&queue)?;
    broker.delete(&exchange)
}

/// A broker keeps the names of up to 4,096 exchanges of published messages. After this number of
/// cycles it holds all of them.
const BEFORE: u64 = 5_000;

const CYCLES: u64 = 2_000;

const NAME: &str = concat!(
    module_path!(),
    "::a_churned_broker_ends_with_the_memory_it_began_with"
);

#[test]
fn a_churned_broker_ends_with_the_memory_it_began_with() {
    alone(NAME, || churn().unwrap());
}

fn churn() -> Result {
    let broker = Broker::new();
    for number in 0..BEFORE {
        cycle(&broker, number)?;
    }
    let region = Region::new(&ALLOCATOR);
    for number in BEFORE..BEFORE + CYCLES {
        cycle(&broker, number)?;
    }
    let change = region.change();
    let (taken, given) = (change.bytes_allocated, change.bytes_deallocated);
    assert!(
        taken > 1_000 * CYCLES as usize,
        "{taken} bytes: it counts nothing"
    );
    // A table may have changed its size during the cycles. One lost byte in each cycle would exceed
    // this limit.
    let left = taken.saturating_sub(given);
    assert!(
        left < CYCLES as usize,
        "{left} bytes are left of {CYCLES} cycles"
    );
    Ok(())
}
