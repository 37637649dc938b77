//! Partitions: the orders of a customer go to one queue, in order, and a new queue takes its share.
//!
//! A consistent-hash exchange chooses the queue by a hash of the routing key, here the customer.
//! Each queue has one active consumer, so that the orders of a customer are handled one after the
//! other. `cargo run --example partitions` prints
//!
//! ```text
//! orders of 300 customers
//! partition 0: 142 customers
//! partition 1: 158 customers
//! with a third partition, of the double weight:
//! partition 0: 71 customers
//! partition 1: 94 customers
//! partition 2: 135 customers
//! no customer has moved between the old partitions
//! the orders of customer 7 are in order: 0, 1, 2
//! ```

use std::collections::BTreeMap;

use leveret::{Binding, Broker, Exchange, FieldTable, Name, Queue, Result};

fn main() -> Result {
    let broker = Broker::new();
    let orders = Exchange::consistent_hash("orders");
    let partition = |number: u32, weight: u32| {
        let queue = Queue::new(format!("partition {number}")).single_active_consumer();
        queue.binding(Binding::weighted(&orders, weight))
    };
    let customers: Vec<String> = (0..300)
        .map(|number| format!("customer {number}"))
        .collect();
    let of_customer = |customer: &String| -> Result<Name> {
        let queues = broker.route(&orders, customer, &FieldTable::new())?;
        Ok(queues[0].clone())
    };
    let spread = || -> Result<BTreeMap<Name, u32>> {
        let mut counts = BTreeMap::new();
        for customer in &customers {
            *counts.entry(of_customer(customer)?).or_insert(0) += 1;
        }
        counts
            .iter()
            .for_each(|(queue, count)| println!("{queue}: {count} customers"));
        Ok(counts)
    };

    println!("orders of {} customers", customers.len());
    for number in 0..2 {
        broker.declare(&partition(number, 1))?;
    }
    assert_eq!(spread()?.len(), 2);
    let before: Vec<Name> = customers.iter().map(of_customer).collect::<Result<_>>()?;

    println!("with a third partition, of the double weight:");
    broker.declare(&partition(2, 2))?;
    assert_eq!(spread()?.len(), 3);
    for (customer, old) in customers.iter().zip(&before) {
        let new = of_customer(customer)?;
        assert!(new == *old || *new == *"partition 2");
    }
    println!("no customer has moved between the old partitions");

    let producer = broker.producer::<u32>(&orders)?;
    for number in 0..3 {
        for customer in &customers {
            producer.publish_to(customer, number)?;
        }
    }
    let mine = &customers[7];
    let consumer = broker.consumer::<u32>(&*of_customer(mine)?)?;
    let mut numbers = Vec::new();
    while let Ok(order) = consumer.try_recv() {
        if order.info().routing_key() == mine.as_str() {
            numbers.push(order.to_string());
        }
        order.ack()?;
    }
    println!("the orders of {mine} are in order: {}", numbers.join(", "));
    assert_eq!(numbers, ["0", "1", "2"]);
    Ok(())
}
