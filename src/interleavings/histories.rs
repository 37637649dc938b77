//! Publishing to an exchange with a history against bindings and deletions.

use super::*;
use crate::model::{descriptions::Exchange, field_value::FieldTable};

fn room() -> Exchange {
    Exchange::recent_history("room").history_length(10)
}

fn sorted(broker: &Broker, queue: &str) -> Vec<u32> {
    let mut there = ids(&rest(broker, queue));
    there.sort_unstable();
    there
}

#[test]
fn a_new_binding_gets_each_message_once_by_its_route_or_by_the_history() {
    explore(|| {
        let broker = Broker::new();
        broker.declare(&queue().bind(room(), "")).unwrap();
        broker.declare(&Queue::new("p")).unwrap();
        let producer = broker.producer::<u32>(&room()).unwrap();
        producer.publish(0).unwrap();
        let channel = channel(&broker);
        let binding = thread::spawn(move || {
            let bound = channel.queue_bind("p", "room", "", FieldTable::new());
            bound.unwrap();
            channel
        });
        (1..3).for_each(|id| {
            producer.publish(id).unwrap();
        });
        drop(binding.join().unwrap());
        producer.publish(3).unwrap();
        assert_eq!(ids(&rest(&broker, "q")), [0, 1, 2, 3]);
        assert_eq!(sorted(&broker, "p"), [0, 1, 2, 3]);
    });
}

#[test]
fn two_publishers_and_a_binding_lose_nothing_and_double_nothing() {
    explore(|| {
        let broker = Broker::new();
        broker.declare(&room()).unwrap();
        let publishing = [0, 1].map(|id| {
            let producer = broker.producer::<u32>(&room()).unwrap();
            thread::spawn(move || {
                producer.publish(id).unwrap();
            })
        });
        broker.declare(&queue().bind(room(), "")).unwrap();
        publishing.map(|thread| thread.join().unwrap());
        assert_eq!(sorted(&broker, "q"), [0, 1]);
    });
}

#[test]
fn a_deleted_exchange_leaves_no_kept_message_behind() {
    explore(|| {
        let tracker = Tracker::default();
        let broker = Broker::new();
        let exchange = room();
        broker.declare(&exchange).unwrap();
        let producer = broker.producer::<Shared>(&exchange).unwrap();
        let alive = tracker.0.clone();
        let payload = Shared { alive };
        let deleting = thread::spawn({
            let (broker, exchange) = (broker.clone(), exchange.clone());
            move || broker.delete(&exchange).unwrap()
        });
        let published = producer.publish(payload);
        deleting.join().unwrap();
        if let Err(refused) = published {
            assert!(refused.error().is_not_found());
        }
        drop((producer, broker));
        tracker.assert_all_dropped();
    });
}

/// A payload of which there can be several handles.
#[derive(serde::Serialize, serde::Deserialize)]
struct Shared {
    #[serde(skip)]
    alive: Arc<()>,
}
