//! Several threads that wait for the same messages, with and without a time limit.

use std::time::Duration;

use super::*;
use crate::{
    handles::select::Select,
    model::error::CancelReason,
    runtime::clock::ManualClock,
    session::receive::{RecvError, RecvTimeoutError},
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn gets_against_puts_take_each_message_once() {
    explore(|| {
        let broker = Broker::new();
        let simple = broker.simple_queue::<u32>("q").unwrap();
        let getting = [(); 2].map(|()| {
            let simple = simple.clone();
            thread::spawn(move || {
                let delivery = simple.get().unwrap();
                let id = *delivery;
                delivery.ack().unwrap();
                id
            })
        });
        let putting = [0, 1].map(|id| {
            let simple = simple.clone();
            thread::spawn(move || {
                simple.put(id).unwrap();
            })
        });
        assert_eq!(sorted(join(getting)), [0, 1]);
        join(putting);
        assert!(simple.is_empty().unwrap());
    });
}

#[test]
fn a_consumer_that_goes_wakes_as_many_getters_as_it_leaves_messages() {
    explore(|| {
        let broker = Broker::new();
        let simple = broker.simple_queue::<u32>("q").unwrap();
        let consumer = broker.consumer::<u32>(&queue()).unwrap();
        simple.put(0).unwrap();
        simple.put(1).unwrap();
        let getting = [(); 2].map(|()| {
            let simple = simple.clone();
            thread::spawn(move || {
                let delivery = simple.get().unwrap();
                let id = *delivery;
                delivery.ack().unwrap();
                id
            })
        });
        drop(consumer);
        assert_eq!(sorted(join(getting)), [0, 1]);
    });
}

#[test]
fn two_receivers_of_one_consumer_share_its_runs() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = Arc::new(broker.consumer::<u32>(&queue()).unwrap());
        let receiving = [(); 2].map(|()| {
            let consumer = consumer.clone();
            thread::spawn(move || {
                [(); 2].map(|()| {
                    let delivery = consumer.recv().unwrap();
                    let id = *delivery;
                    delivery.ack().unwrap();
                    id
                })
            })
        });
        for id in 0..4 {
            producer.publish(id).unwrap();
        }
        assert_eq!(sorted(join(receiving).concat()), [0, 1, 2, 3]);
    });
}

#[test]
fn a_thread_and_a_task_that_gives_up_share_a_consumer() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = Arc::new(broker.consumer::<u32>(&queue()).unwrap());
        let blocked = thread::spawn({
            let consumer = consumer.clone();
            move || *consumer.recv().unwrap()
        });
        let given_up = thread::spawn(move || {
            let waker = Waker::from(Flag::new());
            let polled = {
                let mut future = pin!(consumer.recv_async());
                let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
                thread::yield_now();
                polled
            };
            match polled {
                Poll::Ready(delivery) => drop(delivery.unwrap()),
                Poll::Pending => {}
            }
        });
        producer.publish(0).unwrap();
        assert_eq!(blocked.join().unwrap(), 0);
        given_up.join().unwrap();
    });
}

#[test]
fn a_selected_message_that_is_not_received_goes_to_another_receiver() {
    explore(|| {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = Arc::new(broker.consumer::<u32>(&queue()).unwrap());
        let selecting = thread::spawn({
            let consumer = consumer.clone();
            move || {
                let mut select = Select::new();
                select.recv(&*consumer);
                drop(select.try_select());
            }
        });
        let receiving = thread::spawn(move || {
            let delivery = consumer.recv().unwrap();
            (*delivery, delivery.info().redelivered())
        });
        producer.publish(0).unwrap();
        selecting.join().unwrap();
        assert_eq!(receiving.join().unwrap(), (0, false));
    });
}

#[test]
fn a_consumer_of_two_queues_ends_for_all_its_receivers_when_both_are_gone() {
    explore(|| {
        let broker = Broker::new();
        let (a, b) = (Queue::new("a"), Queue::new("b"));
        let consumer = broker.consumer_builder::<u32>(&a).also(&b).build().unwrap();
        let consumer = Arc::new(consumer);
        let receiving = [(); 2].map(|()| {
            let consumer = consumer.clone();
            thread::spawn(move || match consumer.recv() {
                Err(RecvError::Cancelled(reason)) => reason,
                other => panic!("{other:?}"),
            })
        });
        let deleting = thread::spawn({
            let broker = broker.clone();
            move || broker.delete(&a).unwrap()
        });
        broker.delete(&b).unwrap();
        deleting.join().unwrap();
        assert_eq!(join(receiving), [CancelReason::QueueDeleted; 2]);
    });
}

#[test]
fn a_consumer_of_two_queues_hears_of_either_while_the_other_goes() {
    explore(|| {
        let broker = Broker::new();
        let (a, b) = (Queue::new("a"), Queue::new("b"));
        let producer = broker.producer::<u32>(&b).unwrap();
        let consumer = broker.consumer_builder::<u32>(&a).also(&b).build().unwrap();
        let receiving = thread::spawn(move || *consumer.recv().unwrap());
        let deleting = thread::spawn({
            let broker = broker.clone();
            move || broker.delete(&a).unwrap()
        });
        producer.publish(0).unwrap();
        assert_eq!(receiving.join().unwrap(), 0);
        deleting.join().unwrap();
    });
}

#[test]
fn a_time_out_on_a_manual_clock_and_a_message_at_once_lose_neither() {
    explore(|| {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(clock.clone()).build();
        let producer = broker.producer::<u32>(&queue()).unwrap();
        let consumer = broker.consumer::<u32>(&queue()).unwrap();
        let receiving = thread::spawn(move || match consumer.recv_timeout(SECOND) {
            Ok(delivery) => {
                let id = *delivery;
                delivery.ack().unwrap();
                vec![id]
            }
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(error) => panic!("{error}"),
        });
        let advancing = thread::spawn({
            let clock = clock.clone();
            move || clock.advance(SECOND)
        });
        producer.publish(0).unwrap();
        advancing.join().unwrap();
        // The wait may have begun after the first advance.
        clock.advance(SECOND);
        let acked = receiving.join().unwrap();
        assert_eq!([acked, ids(&rest(&broker, "q"))].concat(), [0]);
    });
}

#[test]
fn a_getter_whose_time_is_over_leaves_the_message_to_the_patient_one() {
    explore(|| {
        let clock = ManualClock::new();
        let broker = Broker::builder().clock(clock.clone()).build();
        let simple = broker.simple_queue::<u32>("q").unwrap();
        let hasty = thread::spawn({
            let simple = simple.clone();
            move || simple.get_timeout(SECOND).is_ok_and(|d| d.ack().is_ok())
        });
        let patient = thread::spawn({
            let simple = simple.clone();
            move || simple.get().unwrap().ack().unwrap()
        });
        let advancing = thread::spawn(move || clock.advance(SECOND));
        simple.put(0).unwrap();
        simple.put(1).unwrap();
        patient.join().unwrap();
        advancing.join().unwrap();
        // The getter with the time limit has got a message, or one message is left.
        assert!(hasty.join().unwrap() || simple.len().unwrap() == 1);
    });
}
