//! Consumers are paused and resumed while others publish and receive.

use super::*;
use crate::{handles::select::Select, message::outgoing::Message, runtime::clock::ManualClock};

#[test]
fn what_a_paused_consumer_has_goes_to_the_one_that_receives() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let paused = Arc::new(broker.consumer::<u32>(&queue()).unwrap());
        let other = broker.consumer::<u32>(&queue()).unwrap();
        let pausing = thread::spawn({
            let paused = Arc::clone(&paused);
            move || paused.pause()
        });
        let publishing = thread::spawn(move || {
            (0..2).for_each(|id| assert_eq!(producer.publish(id).unwrap().routed, 1));
        });
        // It waits for both, so one that stayed with the paused consumer would be missed.
        let received = [(); 2].map(|()| {
            let delivery = other.recv().unwrap();
            assert!(!delivery.info().redelivered());
            let id = *delivery;
            delivery.ack().unwrap();
            id
        });
        assert_eq!(sorted(received.to_vec()), [0, 1]);
        join([pausing, publishing]);
        drop(paused);
        assert_eq!(rest(&broker, "q"), []);
    });
}

#[test]
fn a_receiver_that_waits_is_woken_by_the_end_of_the_pause() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = Arc::new(broker.consumer::<u32>(&queue()).unwrap());
        let receiving = thread::spawn({
            let consumer = Arc::clone(&consumer);
            move || {
                let delivery = block_on(consumer.recv_async()).unwrap();
                let id = *delivery;
                delivery.ack().unwrap();
                id
            }
        });
        let publishing = thread::spawn(move || producer.publish(7).map(|_| ()).unwrap());
        consumer.pause();
        consumer.resume();
        publishing.join().unwrap();
        assert_eq!(receiving.join().unwrap(), 7);
    });
}

#[test]
fn a_message_that_is_given_back_during_a_pause_does_not_stay_with_the_consumer() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = Arc::new(broker.consumer::<u32>(&queue()).unwrap());
        producer.publish(7).unwrap();
        let pausing = thread::spawn({
            let consumer = Arc::clone(&consumer);
            move || consumer.pause()
        });
        let mut select = Select::new();
        select.recv(&consumer);
        drop(select.try_select());
        pausing.join().unwrap();
        assert_eq!(rest(&broker, "q"), [(7, false)]);
    });
}

#[test]
fn of_a_pause_and_a_resume_one_takes_effect_at_all_queues() {
    explore(|| {
        let broker = Broker::new();
        let builder = broker.consumer_builder::<u32>("a").also("b");
        let consumer = Arc::new(builder.build().unwrap());
        let pausing = thread::spawn({
            let consumer = Arc::clone(&consumer);
            move || consumer.pause()
        });
        consumer.resume();
        pausing.join().unwrap();
        for queue in ["a", "b"] {
            let producer = broker.producer::<u32>(queue).unwrap();
            producer.publish(7).unwrap();
        }
        let received = consumer.try_iter().count();
        assert_eq!(received, if consumer.is_paused() { 0 } else { 2 });
    });
}

#[test]
fn a_strict_receiver_that_takes_from_an_earlier_queue_passes_its_wake_on() {
    explore(|| {
        let broker = Broker::new();
        let builder = broker.consumer_builder::<u32>("a").also("b");
        let consumer = Arc::new(builder.strict_order().build().unwrap());
        let receiving = [(); 2].map(|()| {
            let consumer = Arc::clone(&consumer);
            thread::spawn(move || {
                let delivery = consumer.recv().unwrap();
                let id = *delivery;
                delivery.ack().unwrap();
                id
            })
        });
        for (queue, id) in [("b", 1), ("a", 0)] {
            let producer = broker.producer::<u32>(queue).unwrap();
            producer.publish(id).unwrap();
        }
        assert_eq!(sorted(join(receiving)), [0, 1]);
    });
}

#[test]
fn a_message_that_is_first_after_the_end_of_a_pause_expires_in_time() {
    explore(|| {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(clock.clone()).build();
        let queue = queue().dead_letter_exchange("");
        let queue = queue.dead_letter_routing_key("expired");
        let expired = broker.simple_queue::<u32>("expired").unwrap();
        let producer = broker.producer::<u32>(&queue).unwrap();
        let builder = broker.consumer_builder::<u32>(&queue);
        let consumer = Arc::new(builder.prefetch(1).build().unwrap());
        consumer.pause();
        producer.publish(0).unwrap();
        let resuming = thread::spawn({
            let consumer = Arc::clone(&consumer);
            move || consumer.resume()
        });
        let time = Duration::from_millis(10);
        producer
            .publish_message(Message::new(1).expiration(time))
            .unwrap();
        resuming.join().unwrap();
        clock.advance(time);
        // Without a timer it would stay behind the message that the consumer has.
        assert_eq!(*expired.get().unwrap(), 1);
        assert_eq!(*consumer.recv().unwrap(), 0);
    });
}
