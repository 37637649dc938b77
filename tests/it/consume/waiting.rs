//! A waiting receiver is woken, and a receiver that stops waiting takes no message with it.

use std::{pin::pin, time::Duration};

use leveret::{Broker, Consumer, Message, Queue, TryRecvError};

use crate::common::{Alarm, SECOND, after_a_full_prefetch, block_on, on_a_manual_clock, queue};

#[test]
fn a_future_that_is_dropped_has_taken_nothing() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    let alarm = Alarm::new();
    {
        let mut abandoned = pin!(consumer.recv_async());
        assert!(alarm.poll(abandoned.as_mut()).is_pending());
        producer.publish(7).unwrap();
        assert!(alarm.has_rung());
    }
    assert_eq!(*block_on(consumer.recv_async()).unwrap(), 7);
}

#[test]
fn a_woken_future_that_is_dropped_wakes_the_next() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let consumer = broker.consumer::<u32>(&queue()).unwrap();
    let (first_alarm, second_alarm) = (Alarm::new(), Alarm::new());
    let mut first = Box::pin(consumer.recv_async());
    let mut second = Box::pin(consumer.recv_async());
    assert!(first_alarm.poll(first.as_mut()).is_pending());
    assert!(second_alarm.poll(second.as_mut()).is_pending());
    producer.publish(7).unwrap();
    assert!(first_alarm.has_rung() && !second_alarm.has_rung());
    drop(first);
    assert!(second_alarm.has_rung());
    assert_eq!(*block_on(second).unwrap(), 7);
}

#[test]
fn a_consumer_that_goes_wakes_as_many_getters_as_it_leaves_messages() {
    let ends: [fn(Consumer<u32>); 2] = [drop, |consumer| consumer.cancel()];
    for end in ends {
        let broker = Broker::new();
        let mailbox = broker.simple_queue::<u32>("q").unwrap();
        let consumer = broker.consumer::<u32>(&queue()).unwrap();
        mailbox.put(0).unwrap();
        mailbox.put(1).unwrap();
        let alarms = [Alarm::new(), Alarm::new()];
        let mut gets = [(); 2].map(|()| Box::pin(mailbox.get_async()));
        for (alarm, get) in alarms.iter().zip(&mut gets) {
            assert!(alarm.poll(get.as_mut()).is_pending());
        }
        end(consumer);
        assert!(alarms.iter().all(|alarm| alarm.has_rung()));
        let got = gets.map(|get| block_on(get).unwrap());
        assert_eq!([*got[0], *got[1]], [0, 1]);
    }
}

#[test]
fn credit_returns_with_a_delivery_that_is_settled_after_others_were_taken_away() {
    // The consumer is out of credit while one message is ready. A purge then removes this message.
    // A settlement after that must return credit, although no message is ready.
    let broker = Broker::new();
    let (producer, consumer, mut held) = after_a_full_prefetch(&broker, &queue());
    assert_eq!(broker.purge(queue()).unwrap(), 1);
    held.pop().unwrap().ack().unwrap();
    let alarm = Alarm::new();
    let mut next = pin!(consumer.recv_async());
    assert!(alarm.poll(next.as_mut()).is_pending());
    producer.publish(17).unwrap();
    assert!(alarm.has_rung(), "it has credit for one, and waits");
    assert_eq!(*block_on(next).unwrap(), 17);
}

#[test]
fn a_receiver_with_credit_gets_the_messages_after_an_expired_backlog() {
    let (broker, clock) = on_a_manual_clock();
    let queue = Queue::new("q");
    let producer = broker.producer::<u32>(&queue).unwrap();
    let consumer = broker
        .consumer_builder::<u32>(&queue)
        .prefetch(16)
        .build()
        .unwrap();
    for number in 0..16 {
        producer.publish(number).unwrap();
    }
    producer
        .publish_message(Message::new(16).expiration(SECOND))
        .unwrap();
    let mut held: Vec<_> = (0..16).map(|_| consumer.recv().unwrap()).collect();
    held.remove(0).ack().unwrap();
    clock.advance(Duration::from_secs(2));
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    let alarm = Alarm::new();
    let mut next = pin!(consumer.recv_async());
    assert!(alarm.poll(next.as_mut()).is_pending());
    producer.publish(17).unwrap();
    assert!(alarm.has_rung());
    assert_eq!(*block_on(next).unwrap(), 17);
}

#[test]
fn a_second_receiver_is_served_with_the_first_settlement() {
    let broker = Broker::new();
    let producer = broker.producer::<u32>(&queue()).unwrap();
    let builder = broker.consumer_builder::<u32>(&queue());
    let consumer = builder.prefetch(16).build().unwrap();
    // Two receivers wait. One message wakes one of them, and the consumer then holds that message.
    let alarms = [Alarm::new(), Alarm::new()];
    let mut receivers = [(); 2].map(|()| Box::pin(consumer.recv_async()));
    for (alarm, receiver) in alarms.iter().zip(&mut receivers) {
        assert!(alarm.poll(receiver.as_mut()).is_pending());
    }
    producer.publish(0).unwrap();
    let [first, second] = receivers;
    assert!(alarms[0].has_rung() && !alarms[1].has_rung());
    let held = block_on(first).unwrap();
    consumer.set_prefetch(1);
    consumer.set_prefetch(8);
    consumer.set_prefetch(1);
    producer.publish(1).unwrap();
    assert!(!alarms[1].has_rung(), "one is held, and no more may be");
    held.ack().unwrap();
    assert!(alarms[1].has_rung());
    assert_eq!(*block_on(second).unwrap(), 1);
}
