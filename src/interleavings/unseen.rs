//! Messages that a consumer has in advance are taken back while others receive.

use super::*;

/// Acknowledges everything that comes until it is cancelled.
fn drain(consumer: &Consumer<u32>) -> Vec<u32> {
    let ids = consumer.iter().map(|delivery| {
        let delivery = delivery.unwrap();
        let id = *delivery;
        delivery.ack().unwrap();
        id
    });
    ids.collect()
}

#[test]
fn what_is_taken_back_from_a_consumer_that_receives_is_neither_lost_nor_doubled() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = Arc::new(broker.consumer::<u32>(&queue()).unwrap());
        let receiving = thread::spawn({
            let consumer = Arc::clone(&consumer);
            move || drain(&consumer)
        });
        let taking_back = thread::spawn({
            let consumer = Arc::clone(&consumer);
            move || consumer.return_unseen()
        });
        for id in 0..3 {
            producer.publish(id).unwrap();
        }
        taking_back.join().unwrap();
        // The receiver gets everything, whether it waited or not when the messages returned.
        let mailbox = broker.simple_queue::<u32>(&queue()).unwrap();
        while !mailbox.is_empty().unwrap() {
            thread::yield_now();
        }
        consumer.cancel();
        let mut ids = receiving.join().unwrap();
        ids.extend(rest(&broker, "q").into_iter().map(|(id, _)| id));
        assert_eq!(sorted(ids), [0, 1, 2]);
    });
}

#[test]
fn what_is_taken_back_by_the_queue_goes_to_the_consumer_that_waits() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let stuck = broker.consumer::<u32>(&queue()).unwrap();
        for id in 0..2 {
            producer.publish(id).unwrap();
        }
        let healthy = broker.consumer::<u32>(&queue()).unwrap();
        let receiving = thread::spawn(move || {
            [(); 3].map(|()| {
                let delivery = healthy.recv().unwrap();
                let id = *delivery;
                delivery.ack().unwrap();
                id
            })
        });
        let publishing = thread::spawn(move || producer.publish(2).map(drop).unwrap());
        broker.return_unseen("q").unwrap();
        publishing.join().unwrap();
        // The third message may have gone to the stuck consumer if it was published before.
        broker.return_unseen("q").unwrap();
        assert_eq!(sorted(receiving.join().unwrap().to_vec()), [0, 1, 2]);
        drop(stuck);
        assert_eq!(rest(&broker, "q"), []);
    });
}
