//! Consumers that serve the first of their queues that has a message.

use std::{pin::pin, thread};

use leveret::{Broker, Consumer, Result, Select, TryRecvError};

use crate::common::{Alarm, block_on};

const QUEUES: [&str; 3] = ["first", "second", "third"];

fn strict(broker: &Broker) -> Consumer<u32> {
    let [first, second, third] = QUEUES;
    let builder = broker.consumer_builder(first).also(second).also(third);
    builder.strict_order().build().unwrap()
}

/// Puts the numbers `10 * place` and `10 * place + 1` into each queue, the last queue first.
fn fill(broker: &Broker) {
    for (place, queue) in QUEUES.iter().enumerate().rev() {
        let tens = 10 * place as u32;
        let _ = broker
            .producer(*queue)
            .unwrap()
            .publish_batch([tens, tens + 1]);
    }
}

const IN_ORDER: [u32; 6] = [0, 1, 10, 11, 20, 21];

#[test]
fn the_first_queue_that_has_messages_is_served_first_in_every_form_of_receiving() -> Result {
    type Receive = fn(&Consumer<u32>) -> u32;
    let forms: [Receive; 5] = [
        |consumer| *consumer.recv().unwrap(),
        |consumer| *consumer.try_recv().unwrap(),
        |consumer| *consumer.recv_timeout(std::time::Duration::ZERO).unwrap(),
        |consumer| *block_on(consumer.recv_async()).unwrap(),
        |consumer| *consumer.recv_batch(1, std::time::Duration::ZERO).unwrap()[0],
    ];
    for receive in forms {
        let broker = Broker::new();
        let [first, second, third] = QUEUES;
        let builder = broker.consumer_builder(first).also(second).also(third);
        let consumer = builder.strict_order().auto_ack().build()?;
        fill(&broker);
        let received: Vec<_> = (0..6).map(|_| receive(&consumer)).collect();
        assert_eq!(received, IN_ORDER);
    }
    Ok(())
}

#[test]
fn a_message_of_an_earlier_queue_overtakes_those_that_wait_in_later_ones() -> Result {
    let broker = Broker::new();
    let consumer = strict(&broker);
    fill(&broker);
    for expected in [0, 1, 10] {
        let delivery = consumer.recv()?;
        assert_eq!(*delivery, expected);
        delivery.ack()?;
    }
    broker.producer("first")?.publish(2_u32)?;
    let received: Vec<_> = consumer.try_iter().collect::<Result<_, _>>()?;
    assert!(
        received
            .iter()
            .map(|delivery| **delivery)
            .eq([2, 11, 20, 21])
    );
    Ok(())
}

#[test]
fn a_receiver_that_a_later_queue_has_woken_takes_from_the_earlier_one() -> Result {
    let broker = Broker::new();
    let consumer = strict(&broker);
    let alarm = Alarm::new();
    let mut first = pin!(consumer.recv_async());
    let mut second = pin!(consumer.recv_async());
    assert!(alarm.poll(first.as_mut()).is_pending());
    assert!(alarm.poll(second.as_mut()).is_pending());
    broker.producer("third")?.publish(20_u32)?;
    broker.producer("first")?.publish(0_u32)?;
    // The wake of the third queue is passed on to the other receiver.
    let first = block_on(first)?;
    assert_eq!((*first, *block_on(second)?), (0, 20));
    Ok(())
}

#[test]
fn a_thread_that_waits_gets_each_message() -> Result {
    let broker = Broker::new();
    let consumer = strict(&broker);
    let receiving = thread::spawn(move || {
        let mut received: Vec<u32> = (0..6)
            .map(|_| {
                let delivery = consumer.recv().unwrap();
                let number = *delivery;
                delivery.ack().unwrap();
                number
            })
            .collect();
        received.sort_unstable();
        received
    });
    fill(&broker);
    assert_eq!(receiving.join().unwrap(), IN_ORDER);
    Ok(())
}

#[test]
fn a_later_queue_is_served_while_the_whole_prefetch_of_the_earlier_one_is_held() -> Result {
    let broker = Broker::new();
    let builder = broker.consumer_builder("first").also("second");
    let consumer = builder.strict_order().prefetch(1).build()?;
    fill(&broker);
    let held = consumer.recv()?;
    assert_eq!((*held, *consumer.recv()?), (0, 10));
    held.ack()?;
    assert_eq!(*consumer.recv()?, 1);
    Ok(())
}

#[test]
fn a_select_keeps_the_order_of_a_strict_consumer_and_serves_the_others_in_turn() -> Result {
    let broker = Broker::new();
    let consumer = strict(&broker);
    let other = broker.consumer::<u32>("other")?;
    let _ = broker.producer("other")?.publish_batch(100..106);
    fill(&broker);
    let mut select = Select::new();
    let a = select.recv(&consumer);
    select.recv(&other);
    let mut received = (Vec::new(), Vec::new());
    for _ in 0..12 {
        let selected = select.select();
        let (delivery, list) = match selected.index() == a {
            true => (selected.recv(&consumer)?, &mut received.0),
            false => (selected.recv(&other)?, &mut received.1),
        };
        list.push(*delivery);
        delivery.ack()?;
        assert!(received.0.len().abs_diff(received.1.len()) <= 1);
    }
    assert_eq!(received.0, IN_ORDER);
    assert!(matches!(consumer.try_recv(), Err(TryRecvError::Empty)));
    Ok(())
}

#[test]
fn a_select_that_a_later_queue_has_woken_takes_from_the_earlier_one() -> Result {
    let broker = Broker::new();
    let consumer = strict(&broker);
    let alarm = Alarm::new();
    let mut select = Select::new();
    select.recv(&consumer);
    {
        let mut selecting = pin!(select.select_async());
        assert!(alarm.poll(selecting.as_mut()).is_pending());
        broker.producer("second")?.publish(10_u32)?;
        broker.producer("first")?.publish(0_u32)?;
        assert_eq!(*block_on(selecting).recv(&consumer)?, 0);
    }
    Ok(())
}
