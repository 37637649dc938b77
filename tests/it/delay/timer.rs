//! The timer of a queue, which many publishers set to different times.

use std::{
    cell::Cell,
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use leveret::{Broker, Clock, Delayed, Exchange, Message, Queue, Requeue, Result, SystemClock};

use super::ms;
use crate::common::{PATIENCE, on_a_manual_clock, queue, share_of};

/// A clock that stops one thread, once: the publisher that has put its message into a queue and has
/// not set the timer of the queue yet.
#[derive(Clone)]
struct Hold(Arc<Shared>);

struct Shared {
    /// The delayed messages of the queue, and how many there are when the publisher is to stop.
    stop: OnceLock<(Delayed, usize)>,
    /// Whether the publisher has stopped, or has come to its end without a stop.
    stopped: Sender<bool>,
    go_on: Mutex<Receiver<()>>,
}

thread_local! {
    /// Whether the thread is to stop at its next look at the clock.
    static STOPS: Cell<bool> = const { Cell::new(false) };
}

impl Clock for Hold {
    fn now(&self) -> Instant {
        if STOPS.replace(false) {
            let has_it = |(delayed, most): &(Delayed, usize)| delayed.len() == *most;
            match self.0.stop.get().is_some_and(has_it) {
                true => {
                    self.0.stopped.send(true).unwrap();
                    self.0.go_on.lock().unwrap().recv().unwrap();
                }
                false => STOPS.set(true),
            }
        }
        Instant::now()
    }

    fn system_now(&self) -> SystemTime {
        SystemClock.system_now()
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold")
    }
}

#[test]
fn a_publisher_that_is_held_up_loses_no_timer_of_its_queue() -> Result {
    let ((stopped, has_stopped), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel());
    let hold = Hold(Arc::new(Shared {
        stop: OnceLock::new(),
        stopped,
        go_on: Mutex::new(goes_on),
    }));
    let broker = Broker::builder().clock(hold.clone()).build();
    let exchange = Exchange::fanout("x");
    let first = broker.declare(&Queue::new("first").bind(&exchange, ""))?;
    // The clock is read for this queue when the first one has the message.
    broker.declare(
        &Queue::new("second")
            .message_ttl(PATIENCE)
            .bind(&exchange, ""),
    )?;
    let producer = broker.producer::<u32>(&first)?;
    let consumer = broker.consumer_builder::<u32>(&first).auto_ack().build()?;
    let message = |due: u32| Message::new(due).deliver_after(ms(due.into()));
    producer.publish_message(message(40))?;
    producer.publish_message(message(200))?;
    let other = broker.simple_queue::<u32>("other")?;
    other.put_message(message(60))?;
    assert!(hold.0.stop.set((broker.delayed(&first)?, 3)).is_ok());
    let to_both = broker.producer::<u32>(&exchange)?;
    let held = thread::spawn(move || {
        STOPS.set(true);
        to_both.publish_message(message(20)).unwrap();
        hold.0.stopped.send(false).unwrap();
    });
    let held_up = has_stopped.recv().unwrap();
    let mut came = vec![*consumer.recv_timeout(PATIENCE)?];
    // When this message comes, the timer thread has done all work of the time before.
    other.get_timeout(PATIENCE).unwrap().ack()?;
    if held_up {
        go_on.send(()).unwrap();
    }
    held.join().unwrap();
    came.push(*consumer.recv_timeout(PATIENCE)?);
    came.push(*consumer.recv_timeout(PATIENCE)?);
    came.sort_unstable();
    assert_eq!(came, [20, 40, 200]);
    Ok(())
}

#[test]
fn short_delays_of_many_publishers_all_end() -> Result {
    const PUBLISHERS: u32 = 8;
    let each = share_of(40_000) / PUBLISHERS;
    let broker = Broker::new();
    let consumer = broker.consumer::<u64>(&queue())?;
    let publishing: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let producer = broker.producer::<u64>(&queue()).unwrap();
            thread::spawn(move || {
                let mut random = u64::from(publisher) + 1;
                let mut sum = 0_u64;
                for _ in 0..each {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let delay = Duration::from_micros(1 + random % 3_000);
                    let message = Message::new(random).deliver_after(delay);
                    producer.publish_message(message).unwrap();
                    sum = sum.wrapping_add(random);
                }
                sum
            })
        })
        .collect();
    let (mut received, mut acked) = (0_u64, 0);
    while acked < PUBLISHERS * each {
        let delivery = consumer.recv_timeout(PATIENCE)?;
        if *delivery % 4 == 0 && !delivery.info().redelivered() {
            delivery.nack(Requeue::After(Duration::from_micros(500)))?;
            continue;
        }
        received = received.wrapping_add(*delivery);
        acked += 1;
        delivery.ack()?;
    }
    let sent = publishing.into_iter().map(|thread| thread.join().unwrap());
    assert_eq!(received, sent.fold(0, u64::wrapping_add));
    assert!(broker.delayed(queue())?.is_empty());
    Ok(())
}

#[test]
fn more_messages_than_one_run_of_a_delayed_exchange_are_all_routed_in_order() -> Result {
    let (broker, clock) = on_a_manual_clock();
    let exchange = Exchange::fanout("x").delayed();
    broker.declare(&queue().bind(&exchange, ""))?;
    let producer = broker.producer::<u32>(&exchange)?;
    for id in 0..600 {
        producer.publish_message(Message::new(id).delay(ms(5)))?;
    }
    clock.advance(ms(5));
    let consumer = broker.consumer_builder::<u32>(&queue()).prefetch(0);
    let consumer = consumer.build()?;
    let came: Vec<u32> = std::iter::from_fn(|| consumer.try_recv().ok())
        .map(|delivery| *delivery)
        .take(600)
        .collect();
    assert!(came.into_iter().eq(0..600));
    Ok(())
}
