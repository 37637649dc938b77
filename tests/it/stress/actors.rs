//! The actions of the threads.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use leveret::{
    Broker, CancelHandle, Channel, Consumer, Credentials, Delivery, Exchange, Producer, Queue,
    Requeue,
    channel::{AckMode, ConsumeOptions, Event},
};

use super::{
    book::{Book, Hook, Load},
    random::Random,
};

const QUEUES: [&str; 3] = ["safe", "wild", "wilder"];
const STEPS: usize = 250;
const PUBLISHES: usize = 1_500;
const BRIEFLY: Duration = Duration::from_micros(300);

/// The state that all threads share.
pub struct Stage {
    broker: Broker,
    book: Arc<Book>,
    /// A queue that is never purged or deleted.
    pub safe: String,
    held: Mutex<Held>,
}

/// Deliveries and consumers that any thread may settle or drop.
#[derive(Default)]
struct Held {
    deliveries: Vec<Delivery<Load>>,
    consumers: Vec<Consumer<Load>>,
}

impl Stage {
    pub fn new(broker: &Broker, book: &Arc<Book>) -> Stage {
        for name in QUEUES {
            broker.declare(&Queue::new(name)).unwrap();
        }
        Stage {
            broker: broker.clone(),
            book: Arc::clone(book),
            safe: QUEUES[0].to_owned(),
            held: Mutex::default(),
        }
    }

    fn take_delivery(&self) -> Option<Delivery<Load>> {
        self.held.lock().unwrap().deliveries.pop()
    }

    fn put_delivery(&self, delivery: Delivery<Load>) {
        self.held.lock().unwrap().deliveries.push(delivery);
    }

    /// Drops all deliveries and consumers that were put aside. A drop may put more aside, so it
    /// repeats this until none is left.
    pub fn let_go(&self) {
        loop {
            let held = std::mem::take(&mut *self.held.lock().unwrap());
            if held.deliveries.is_empty() && held.consumers.is_empty() {
                return;
            }
        }
    }

    /// Takes and settles the remaining messages, also those that a payload's drop publishes.
    pub fn drain(&self) {
        let queues = QUEUES.map(|name| self.broker.simple_queue::<Load>(name).unwrap());
        while let Some(delivery) = queues.iter().find_map(|queue| queue.try_get().ok()) {
            self.settle(delivery);
        }
    }

    fn settle(&self, delivery: Delivery<Load>) {
        let id = delivery.id;
        delivery.ack().unwrap();
        self.book.settled(id);
    }

    /// Settles the delivery in one of many ways, or leaves it unsettled.
    fn finish(&self, delivery: Delivery<Load>, random: &mut Random) {
        let id = delivery.id;
        match random.below(16) {
            0 => drop(delivery),
            1 => delivery.nack(Requeue::Yes).unwrap(),
            2 => {
                delivery.reject().unwrap();
                self.book.settled(id);
            }
            3 => {
                drop(delivery.ack_into());
                self.book.settled(id);
            }
            4 => {
                let panicked = catch_unwind(AssertUnwindSafe(move || {
                    let _delivery = delivery;
                    // The panic is part of the test, so it skips the panic hook and prints nothing.
                    resume_unwind(Box::new("an accident"));
                }));
                assert!(panicked.is_err());
            }
            5 => self.put_delivery(delivery),
            6 => {
                delivery.nack(Requeue::After(BRIEFLY)).unwrap();
            }
            _ => self.settle(delivery),
        }
    }

    /// User code that calls the broker from inside the broker.
    fn hook(self: &Arc<Self>, random: &mut Random) -> Option<Hook> {
        let stage = Arc::downgrade(self);
        let choice = random.below(12);
        (choice < 3).then(|| -> Hook {
            Box::new(move || {
                let Some(stage) = stage.upgrade() else { return };
                match choice {
                    0 => {
                        let producer = stage.broker.producer::<Load>(&Queue::new(&stage.safe));
                        if let Ok(producer) = producer {
                            publish(&stage, &producer, &stage.safe, None);
                        }
                    }
                    1 => {
                        if let Some(delivery) = stage.take_delivery() {
                            stage.settle(delivery);
                        }
                    }
                    _ => {
                        let consumer = stage.held.lock().unwrap().consumers.pop();
                        drop(consumer);
                    }
                }
            })
        })
    }
}

fn publish(stage: &Stage, producer: &Producer<Load>, queue: &str, hook: Option<Hook>) {
    if let Err(refused) = producer.publish(stage.book.load(queue, hook)) {
        stage
            .book
            .refused(refused.into_inner().expect("no disk has failed"));
    }
}

/// Publishes to all queues.
pub fn producer(stage: &Arc<Stage>, mut random: Random) -> impl FnOnce() + Send + use<> {
    let stage = Arc::clone(stage);
    move || {
        let producers = QUEUES.map(|name| {
            let to_default = stage
                .broker
                .producer_builder::<Load>(&Exchange::existing(""));
            (
                name,
                to_default.routing_key(name).mandatory().build().unwrap(),
            )
        });
        for _ in 0..PUBLISHES {
            let (name, producer) = random.pick(&producers);
            let hook = stage.hook(&mut random);
            publish(&stage, producer, name, hook);
        }
    }
}

/// Consumes from the safe queue until it is stopped.
pub fn patient(stage: &Arc<Stage>, prefetch: u32) -> (CancelHandle, impl FnOnce() + Send + use<>) {
    let stage = Arc::clone(stage);
    let queue = Queue::new(&stage.safe);
    let builder = stage.broker.consumer_builder::<Load>(&queue);
    let consumer = builder.prefetch(prefetch).build().unwrap();
    (consumer.cancel_handle(), move || {
        for delivery in consumer.iter() {
            stage.settle(delivery.unwrap());
        }
    })
}

/// One producer and one consumer of a queue of their own. First deliveries come in the order of
/// publishing.
pub fn ordered_pair(
    stage: &Arc<Stage>,
    n: usize,
    mut random: Random,
) -> impl FnOnce() + Send + use<> {
    const COUNT: u64 = 2_000;
    let queue = Queue::new(format!("pair {n}"));
    let producer = stage.broker.producer::<u64>(&queue).unwrap();
    let builder = stage.broker.consumer_builder::<u64>(&queue);
    let consumer = builder
        .prefetch([1, 2, 7, 64][random.below(4)])
        .build()
        .unwrap();
    move || {
        let publishing = thread::spawn(move || {
            for id in 0..COUNT {
                producer.publish(id).unwrap();
            }
        });
        let mut fresh = 0;
        let mut acked = vec![false; COUNT as usize];
        while acked.iter().any(|acked| !acked) {
            let delivery = consumer.recv().unwrap();
            if !delivery.info().redelivered() {
                assert_eq!(*delivery, fresh, "out of order");
                fresh += 1;
            }
            if random.one_in(8) {
                drop(delivery);
            } else {
                let id = *delivery as usize;
                assert!(!std::mem::replace(&mut acked[id], true), "{id} came twice");
                delivery.ack().unwrap();
            }
        }
        publishing.join().unwrap();
    }
}

/// Calls all operations, in random order.
pub fn chaos(stage: &Arc<Stage>, mut random: Random) -> impl FnOnce() + Send + use<> {
    let stage = Arc::clone(stage);
    move || {
        for _ in 0..STEPS {
            match random.below(12) {
                0..=3 => consume(&stage, &mut random),
                4 | 5 => speak_amqp(&stage, &mut random),
                6 => get(&stage, &mut random),
                7 => drop(stage.broker.purge(Queue::new("wild"))),
                8 => {
                    stage.broker.delete(&Queue::new("wilder")).unwrap();
                    stage.broker.declare(&Queue::new("wilder")).unwrap();
                }
                9 => come_and_go(&stage, &mut random),
                10 => give_up_waiting(&stage, &mut random),
                _ => {
                    if let Some(delivery) = stage.take_delivery() {
                        stage.finish(delivery, &mut random);
                    }
                }
            }
        }
    }
}

fn consume(stage: &Arc<Stage>, random: &mut Random) {
    let auto_ack = random.one_in(6);
    let mut builder = stage
        .broker
        .consumer_builder::<Load>(&Queue::new(*random.pick(&QUEUES)))
        .prefetch(*random.pick(&[0, 1, 3, 20]))
        .priority(random.below(3) as i32);
    if random.one_in(3) {
        builder = builder.also(Queue::new(*random.pick(&QUEUES)));
    }
    if auto_ack {
        builder = builder.auto_ack();
    }
    // Another thread may delete the queue between its declaration and the subscription.
    let Ok(consumer) = builder.build() else {
        return;
    };
    for _ in 0..random.below(30) {
        let received = match random.below(3) {
            0 => consumer.try_recv().ok(),
            1 => consumer.recv_timeout(BRIEFLY).ok(),
            _ => {
                let batch = consumer.recv_batch(3, BRIEFLY).into_iter().flatten();
                for delivery in batch {
                    match auto_ack {
                        true => stage.book.settled(delivery.id),
                        false => stage.finish(delivery, random),
                    }
                }
                continue;
            }
        };
        match received {
            Some(delivery) if auto_ack => stage.book.settled(delivery.id),
            Some(delivery) => stage.finish(delivery, random),
            None => {}
        }
    }
    match random.below(3) {
        0 => consumer.cancel(),
        // A consumer that no thread reads must not keep its messages from others forever. So it is
        // put aside, and dropped later.
        1 => stage.held.lock().unwrap().consumers.push(consumer),
        _ => {}
    }
}

fn speak_amqp(stage: &Arc<Stage>, random: &mut Random) {
    let connection = stage.broker.connect("/", Credentials::guest()).unwrap();
    let channel = connection.open_channel().unwrap();
    let prefetch = *random.pick(&[0, 1, 5]);
    channel
        .basic_qos(0, prefetch, random.one_in(2).into())
        .unwrap();
    let transactional = random.one_in(3);
    if transactional {
        channel.tx_select().unwrap();
    }
    for _ in 0..=random.below(2) {
        drop(channel.basic_consume(QUEUES[random.below(3)], ConsumeOptions::new()));
    }
    let mut open = Open::default();
    for _ in 0..random.below(40) {
        match random.below(4) {
            0 => {
                let queue = *random.pick(&QUEUES);
                if let Ok(Some(got)) = channel.basic_get(queue, AckMode::Manual) {
                    open.note(&got);
                }
            }
            _ => match channel.events().recv_timeout(BRIEFLY) {
                Ok(Event::Delivery(delivery)) => open.note(&delivery),
                Ok(_) => {}
                Err(_) => continue,
            },
        }
        if random.one_in(2) {
            open.settle_some(stage, &channel, random, transactional);
        }
    }
    match random.below(4) {
        0 => channel.close().unwrap(),
        1 => connection.close().unwrap(),
        2 => channel.basic_recover(Requeue::Yes).unwrap(),
        _ => {}
    }
}

/// The deliveries that were read from a channel.
#[derive(Default)]
struct Open {
    /// The tag and id of each unsettled delivery, in the order of the tags.
    unsettled: Vec<(u64, u64)>,
    seen: Vec<u64>,
}

impl Open {
    fn note(&mut self, delivery: &leveret::channel::ChannelDelivery) {
        let body = delivery.body().unwrap();
        let load: Load = serde_json::from_slice(&body).unwrap();
        self.seen.push(delivery.delivery_tag());
        self.unsettled.push((delivery.delivery_tag(), load.id));
        self.unsettled.sort_unstable();
    }

    fn settle_some(
        &mut self,
        stage: &Stage,
        channel: &Channel,
        random: &mut Random,
        transactional: bool,
    ) {
        if self.unsettled.is_empty() {
            return;
        }
        let at = random.below(self.unsettled.len());
        let (tag, _) = self.unsettled[at];
        // A settlement with `multiple` must cover exactly the known deliveries. After a get, events
        // with lower tags may still be unread.
        let known = self.seen.iter().filter(|seen| **seen <= tag).count() as u64 == tag;
        let multiple = known && random.one_in(2);
        let chosen: Vec<_> = match multiple {
            true => self.unsettled.drain(..=at).collect(),
            false => vec![self.unsettled.remove(at)],
        };
        let away = match random.below(4) {
            0 => {
                channel
                    .basic_nack(tag, multiple.into(), Requeue::Yes)
                    .unwrap();
                false
            }
            1 => {
                channel
                    .basic_nack(tag, multiple.into(), Requeue::No)
                    .unwrap();
                true
            }
            _ => {
                channel.basic_ack(tag, multiple.into()).unwrap();
                true
            }
        };
        if transactional {
            if random.one_in(3) {
                // After the rollback all deliveries are unsettled again, and may be settled in
                // another way.
                channel.tx_rollback().unwrap();
                self.unsettled.extend(chosen);
                self.unsettled.sort_unstable();
                return;
            }
            channel.tx_commit().unwrap();
        }
        if away {
            for (_, id) in chosen {
                stage.book.settled(id);
            }
        }
    }
}

fn get(stage: &Arc<Stage>, random: &mut Random) {
    let Ok(queue) = stage.broker.simple_queue::<Load>(*random.pick(&QUEUES)) else {
        return;
    };
    for _ in 0..random.below(10) {
        if let Ok(delivery) = queue.get_timeout(BRIEFLY) {
            stage.finish(delivery, random);
        }
    }
}

/// A connection with an exclusive queue. Its end deletes the queue, whatever other threads do.
fn come_and_go(stage: &Arc<Stage>, random: &mut Random) {
    let connection = stage.broker.connect("/", Credentials::guest()).unwrap();
    let queue = connection.declare(&Queue::exclusive()).unwrap();
    let producer = connection.producer::<Load>(&queue).unwrap();
    let consumer = connection.consumer::<Load>(&queue).unwrap();
    let receiving = thread::spawn({
        let stage = Arc::clone(stage);
        let mut random = random.fork();
        move || {
            for delivery in consumer.iter() {
                stage.finish(delivery.unwrap(), &mut random);
            }
        }
    });
    for _ in 0..random.below(20) {
        let hook = stage.hook(random);
        publish(stage, &producer, queue.name(), hook);
    }
    drop(connection);
    receiving.join().unwrap();
}

/// A waker that calls the broker.
struct Caller(Mutex<Option<Hook>>);

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        let hook = self.0.lock().unwrap().take();
        if let Some(hook) = hook {
            hook();
        }
    }
}

/// Polls a future once and drops it, whether or not it was woken.
fn give_up_waiting(stage: &Arc<Stage>, random: &mut Random) {
    let name = *random.pick(&QUEUES);
    let Ok(consumer) = stage.broker.consumer::<Load>(&Queue::new(name)) else {
        return;
    };
    let caller = Arc::new(Caller(Mutex::new(stage.hook(random))));
    for _ in 0..random.below(10) {
        let waker = Waker::from(Arc::clone(&caller));
        let polled = {
            let mut next = pin!(consumer.recv_async());
            let polled = next.as_mut().poll(&mut Context::from_waker(&waker));
            thread::yield_now();
            polled
        };
        if let std::task::Poll::Ready(Ok(delivery)) = polled {
            stage.finish(delivery, random);
        }
    }
}
