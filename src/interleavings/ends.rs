//! Publishing against the end of the receiver: drop, cancel, close, delete and shutdown.

use std::time::Duration;

use super::*;
use crate::{
    model::error::{CancelReason, Error},
    runtime::clock::ManualClock,
    session::receive::RecvError,
};

#[test]
fn publishing_against_the_drop_of_a_consumer_loses_and_doubles_nothing() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = broker.consumer::<u32>(&queue()).unwrap();
        let publishing = thread::spawn(move || {
            for id in 0..3 {
                producer.publish(id).unwrap();
            }
        });
        let receiving = thread::spawn(move || match consumer.try_recv() {
            Ok(delivery) => {
                let id = *delivery;
                delivery.ack().unwrap();
                vec![id]
            }
            Err(TryRecvError::Empty) => Vec::new(),
            Err(error) => panic!("{error}"),
        });
        publishing.join().unwrap();
        let acked = receiving.join().unwrap();
        let rest = rest(&broker, "q");
        assert_eq!([acked, ids(&rest)].concat(), [0, 1, 2]);
        assert!(rest.iter().all(|(_, redelivered)| !redelivered));
    });
}

#[test]
fn publishing_against_a_cancel_loses_nothing_and_wakes_the_receiver() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = broker
            .consumer_builder::<u32>(&queue())
            .prefetch(2)
            .build()
            .unwrap();
        let stopper = consumer.cancel_handle();
        let receiving = thread::spawn(move || work(&consumer));
        let publishing = thread::spawn(move || {
            for id in 0..3 {
                producer.publish(id).unwrap();
            }
        });
        stopper.cancel();
        let acked = receiving.join().unwrap();
        publishing.join().unwrap();
        let rest = rest(&broker, "q");
        assert_eq!([acked, ids(&rest)].concat(), [0, 1, 2]);
        assert!(rest.iter().all(|(_, redelivered)| !redelivered));
    });
}

#[test]
fn publishing_against_the_deletion_of_the_queue_ends_every_message_somewhere() {
    explore(|| {
        let tracker = Tracker::default();
        let broker = Broker::new();
        let producer = broker.producer::<Tracked>(&queue()).unwrap();
        let consumer = broker.consumer::<Tracked>(&queue()).unwrap();
        let publishing = thread::spawn({
            let tracker = tracker.clone();
            move || {
                (0..2)
                    .filter(|id| match producer.publish(tracker.payload(*id)) {
                        Ok(published) => {
                            assert_eq!(published.routed, 1);
                            true
                        }
                        Err(refused) => {
                            assert!(matches!(refused.error(), Error::NoRoute { .. }));
                            assert_eq!(refused.payload().unwrap().0.0, *id);
                            false
                        }
                    })
                    .collect::<Vec<_>>()
            }
        });
        let receiving = thread::spawn(move || {
            let mut acked = Vec::new();
            loop {
                match consumer.recv() {
                    Ok(delivery) => {
                        acked.push(delivery.0.0);
                        delivery.ack().unwrap();
                    }
                    Err(RecvError::Cancelled(reason)) => {
                        assert_eq!(reason, CancelReason::QueueDeleted);
                        return acked;
                    }
                    Err(RecvError::Decode(undecoded)) => panic!("{undecoded}"),
                }
            }
        });
        broker.delete(&queue()).unwrap();
        let published = publishing.join().unwrap();
        let acked = receiving.join().unwrap();
        assert!(acked.iter().all(|id| published.contains(id)));
        assert!(acked.is_sorted() && acked.len() <= published.len());
        drop(broker);
        tracker.assert_all_dropped();
    });
}

#[test]
fn a_publish_finds_the_new_queue_behind_a_deleted_one() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let renewing = thread::spawn({
            let broker = broker.clone();
            move || {
                broker.delete(&queue()).unwrap();
                broker.declare(&queue()).unwrap();
            }
        });
        let first = producer.publish(0).is_ok();
        renewing.join().unwrap();
        producer.publish(1).unwrap();
        let rest = ids(&rest(&broker, "q"));
        assert!(rest == [1] || first && rest == [0, 1], "{rest:?}");
    });
}

#[test]
fn closing_a_connection_against_publishing_returns_unacknowledged_messages() {
    explore(|| {
        let broker = Broker::new();
        broker.declare(&queue()).unwrap();
        let connection = broker.connect("/", Credentials::guest()).unwrap();
        let theirs = connection.producer::<u32>(&queue()).unwrap();
        let ours = broker.producer::<u32>(&queue()).unwrap();
        let consumer = connection.consumer::<u32>(&queue()).unwrap();
        let receiving = thread::spawn(move || work(&consumer));
        let publishing = thread::spawn(move || {
            ours.publish(0).unwrap();
            match theirs.publish(1) {
                Ok(_) => vec![0, 1],
                Err(refused) => {
                    assert_eq!(refused.into_parts(), (Error::ConnectionClosed, Some(1)));
                    vec![0]
                }
            }
        });
        connection.close().unwrap();
        let published = publishing.join().unwrap();
        let acked = receiving.join().unwrap();
        assert_eq!([acked, ids(&rest(&broker, "q"))].concat(), published);
    });
}

#[test]
fn dropping_the_broker_wakes_all_waiting_threads() {
    explore(|| {
        let tracker = Tracker::default();
        let broker = Broker::new();
        let producer = broker.producer::<Tracked>(&queue()).unwrap();
        let consumer = broker.consumer::<Tracked>(&queue()).unwrap();
        let task = broker.consumer::<u32>(&Queue::new("task")).unwrap();
        let mailbox = broker.simple_queue::<u32>("mailbox").unwrap();
        let channel = channel(&broker);
        let events = channel.events();
        let threads = [
            thread::spawn(move || {
                loop {
                    match consumer.recv() {
                        Ok(delivery) => drop(delivery.ack()),
                        Err(RecvError::Cancelled(reason)) => return reason,
                        Err(RecvError::Decode(undecoded)) => panic!("{undecoded}"),
                    }
                }
            }),
            thread::spawn(move || match block_on(task.recv_async()) {
                Err(RecvError::Cancelled(reason)) => reason,
                other => panic!("{other:?}"),
            }),
            thread::spawn(move || match mailbox.get() {
                Err(RecvError::Cancelled(reason)) => reason,
                other => panic!("{other:?}"),
            }),
            thread::spawn(move || match events.recv() {
                Err(RecvError::Cancelled(reason)) => reason,
                other => panic!("{other:?}"),
            }),
        ];
        let publishing = thread::spawn({
            let tracker = tracker.clone();
            move || drop(producer.publish(tracker.payload(0)))
        });
        drop(broker);
        assert_eq!(join(threads), [CancelReason::BrokerDropped; 4]);
        publishing.join().unwrap();
        assert!(matches!(channel.close(), Err(Error::BrokerDropped)));
        tracker.assert_all_dropped();
    });
}

#[test]
fn a_delivery_dropped_while_its_consumer_is_cancelled_returns_to_its_place_once() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = broker.consumer::<u32>(&queue()).unwrap();
        for id in 0..3 {
            producer.publish(id).unwrap();
        }
        let (first, second) = (consumer.recv().unwrap(), consumer.recv().unwrap());
        let threads = [
            thread::spawn(move || drop(second)),
            thread::spawn(move || drop(consumer)),
            thread::spawn(move || drop(first)),
        ];
        join(threads);
        assert_eq!(rest(&broker, "q"), [(0, true), (1, true), (2, false)]);
    });
}

#[test]
fn a_delivery_settled_while_its_queue_is_deleted_is_settled_once() {
    explore(|| {
        let tracker = Tracker::default();
        let broker = Broker::new();
        let producer = broker.producer::<Tracked>(&queue()).unwrap();
        let consumer = broker.consumer::<Tracked>(&queue()).unwrap();
        for id in 0..3 {
            producer.publish(tracker.payload(id)).unwrap();
        }
        let deliveries = [(); 2].map(|()| consumer.recv().unwrap());
        let [acked, dropped] = deliveries;
        let threads = [
            thread::spawn(move || acked.ack().unwrap()),
            thread::spawn(move || drop(dropped)),
            thread::spawn({
                let broker = broker.clone();
                move || broker.delete(&queue()).unwrap()
            }),
        ];
        join(threads);
        drop(consumer);
        tracker.assert_all_dropped();
    });
}

#[test]
fn an_auto_delete_queue_is_not_taken_from_under_a_new_consumer() {
    explore(|| {
        let broker = Broker::new();
        let fleeting = queue().auto_delete();
        let old = broker.consumer::<u32>(&fleeting).unwrap();
        let leaving = thread::spawn(move || drop(old));
        // If the queue is deleted between its declaration and the consumer's subscription, the
        // broker declares it again.
        let consumer = broker.consumer::<u32>(&fleeting).unwrap();
        leaving.join().unwrap();
        let producer = broker.producer::<u32>(&Queue::existing("q")).unwrap();
        producer.publish(7).unwrap();
        let delivery = consumer.recv().unwrap();
        assert_eq!(*delivery, 7);
        delivery.ack().unwrap();
        drop(consumer);
        assert!(
            broker
                .declare(&Queue::existing("q"))
                .unwrap_err()
                .is_not_found()
        );
    });
}

#[test]
fn an_exclusive_queue_does_not_outlive_its_connection() {
    explore(|| {
        let broker = Broker::new();
        let connection = broker.connect("/", Credentials::guest()).unwrap();
        let declaring = thread::spawn({
            let connection = connection.clone();
            move || connection.declare(&queue().exclusive_flag()).is_ok()
        });
        let channel = connection.open_channel();
        let by_channel = thread::spawn(move || {
            drop(
                channel
                    .and_then(|channel| channel.queue_declare(&Queue::new("c").exclusive_flag())),
            );
        });
        connection.close().unwrap();
        declaring.join().unwrap();
        by_channel.join().unwrap();
        for name in ["q", "c"] {
            let error = broker.declare(&Queue::existing(name)).unwrap_err();
            assert!(error.is_not_found(), "{error}");
        }
    });
}

#[test]
fn a_shutdown_waits_for_unsettled_deliveries_and_no_longer() {
    explore(|| {
        let broker = Broker::builder().clock(ManualClock::new()).build();
        let mailbox = broker.simple_queue::<u32>("mailbox").unwrap();
        mailbox.put(0).unwrap();
        mailbox.put(1).unwrap();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = broker.consumer::<u32>(&queue()).unwrap();
        producer.publish(2).unwrap();
        let (got, rejected) = (mailbox.get().unwrap(), mailbox.get().unwrap());
        let held = consumer.recv().unwrap();
        let threads = [
            thread::spawn(move || got.ack().unwrap_or_default()),
            thread::spawn(move || rejected.reject().unwrap_or_default()),
            thread::spawn(move || held.ack().unwrap_or_default()),
        ];
        // The clock stands still. If the shutdown waited for anything else, it would never return.
        let report = broker.shutdown(Duration::from_secs(1)).unwrap();
        assert!(!report.timed_out && report.queues.is_empty(), "{report:?}");
        join(threads);
        assert!(consumer.recv().is_err());
    });
}
