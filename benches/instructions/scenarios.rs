//! The measured scenarios. Each scenario has steps. A step is a function that is never inlined, so
//! callgrind sees it.
//!
//! Most steps return their result as they got it. Unpacking a large result would count moves that
//! are not the library's.
//!
//! A cycle publishes some messages and takes them all out again, so the broker ends as it was
//! before.

mod channel;
#[cfg(feature = "durable")]
mod durable;
#[cfg(feature = "amqp")]
mod wire;

use crate::item;

/// The messages in a cycle. The number is lower than the prefetch limit.
pub const CYCLE: u64 = 64;

pub struct Scenario {
    pub name: &'static str,
    /// The module of its functions.
    pub module: &'static str,
    /// The functions of the module, each called once for every message, or once for every cycle. A
    /// step of two functions has a `+` between their names.
    pub steps: &'static [&'static str],
    /// Runs this number of cycles.
    pub run: fn(u64),
}

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "message",
        module: "message",
        steps: &["publish", "receive+look", "acknowledge"],
        run: message::run,
    },
    Scenario {
        name: "permitted",
        module: "message",
        steps: &["publish"],
        run: permitted::run,
    },
    Scenario {
        name: "floor",
        module: "floor",
        steps: &["send", "receive"],
        run: floor::run,
    },
    Scenario {
        name: "direct",
        module: "direct",
        steps: &["publish_to"],
        run: direct::run,
    },
    Scenario {
        name: "fanout",
        module: "fanout",
        steps: &["publish"],
        run: fanout::run,
    },
    Scenario {
        name: "batch",
        module: "batch",
        steps: &["publish", "receive", "acknowledge"],
        run: batch::run,
    },
    Scenario {
        name: "priority",
        module: "message",
        steps: &["publish", "receive+look", "acknowledge"],
        run: features::run_with_priorities,
    },
    Scenario {
        name: "budget",
        module: "message",
        steps: &["publish", "receive+look", "acknowledge"],
        run: features::run_with_budget,
    },
    Scenario {
        name: "channel",
        module: "channel",
        steps: &["basic_publish", "basic_get", "basic_ack"],
        run: channel::run,
    },
    Scenario {
        name: "consume",
        module: "channel",
        steps: &["basic_publish", "recv", "basic_ack"],
        run: channel::run_with_consumer,
    },
    Scenario {
        name: "credit",
        module: "channel",
        steps: &["basic_publish", "recv", "basic_ack"],
        run: channel::run_with_prefetch,
    },
    Scenario {
        name: "simple_queue",
        module: "simple_queue",
        steps: &["put", "get"],
        run: simple_queue::run,
    },
    Scenario {
        name: "stream",
        module: "message",
        steps: &["publish"],
        run: stream::run,
    },
    Scenario {
        name: "reader",
        module: "stream",
        steps: &["receive"],
        run: stream::run,
    },
    Scenario {
        name: "task",
        module: "task",
        steps: &["publish", "receive"],
        run: task::run,
    },
    Scenario {
        name: "worker",
        module: "worker",
        steps: &["by_hand", "worker", "middleware", "ordered"],
        run: worker::run,
    },
    Scenario {
        name: "notification",
        module: "notification",
        steps: &["publish+receive", "notify+handle"],
        run: notification::run,
    },
    Scenario {
        name: "rpc",
        module: "rpc",
        steps: &["short", "endpoint"],
        run: rpc::run,
    },
    #[cfg(feature = "durable")]
    Scenario {
        name: "durable",
        module: "durable",
        steps: &["publish", "receive", "acknowledge"],
        run: durable::run,
    },
    #[cfg(feature = "durable")]
    Scenario {
        name: "memory_queue",
        module: "message",
        steps: &["publish", "receive+look", "acknowledge"],
        run: |cycles| message::run_on(&durable::Folder::new().broker(), cycles),
    },
    #[cfg(feature = "amqp")]
    Scenario {
        name: "wire",
        module: "wire",
        steps: &["publish", "deliver", "acknowledge"],
        run: wire::run,
    },
    #[cfg(feature = "amqp")]
    Scenario {
        name: "wire_properties",
        module: "wire",
        steps: &["publish", "deliver", "acknowledge"],
        run: wire::run_with_properties,
    },
];

pub fn run(name: &str, cycles: u64) {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
    (scenario.expect("a scenario's name").run)(cycles);
}

/// A typed producer and consumer at one queue.
mod message {
    use leveret::{
        Broker, Consumer, Delivery, Producer, PublishError, Published, Queue, RecvError,
    };

    use super::CYCLE;
    use crate::item::{Item, Plain};

    pub fn run(cycles: u64) {
        run_on(&Broker::new(), cycles);
    }

    pub fn run_on(broker: &Broker, cycles: u64) {
        let queue = Queue::new("instructions");
        let producer = broker.producer(&queue).expect("a new queue");
        run_between(broker, &queue, producer, cycles);
    }

    pub fn run_between(broker: &Broker, queue: &Queue, producer: Producer<Plain>, cycles: u64) {
        let consumer = broker.consumer(queue).expect("the queue is free");
        for _ in 0..cycles {
            for id in 0..CYCLE {
                let published = publish(&producer, id).expect("the broker is there");
                assert_eq!(published.routed, 1);
            }
            for id in 0..CYCLE {
                let delivery = receive(&consumer).expect("the broker is there");
                assert_eq!(look(&delivery), id);
                acknowledge(delivery).expect("the broker is there");
            }
        }
    }

    #[inline(never)]
    pub fn publish(producer: &Producer<Plain>, id: u64) -> Result<Published, PublishError<Plain>> {
        producer.publish(Plain::make(id))
    }

    #[inline(never)]
    fn receive(consumer: &Consumer<Plain>) -> Result<Delivery<Plain>, RecvError> {
        consumer.recv()
    }

    #[inline(never)]
    fn look(delivery: &Delivery<Plain>) -> u64 {
        delivery.id
    }

    #[inline(never)]
    fn acknowledge(delivery: Delivery<Plain>) -> leveret::Result {
        delivery.ack()
    }
}

/// The same publish into a stream, and a reader.
mod stream {
    use leveret::{Broker, Entry, Offset, Queue, Reader, RecvError};

    use super::{CYCLE, message::publish};
    use crate::item::Plain;

    pub fn run(cycles: u64) {
        let broker = Broker::new();
        let stream = Queue::stream("instructions");
        let producer = broker.producer(&stream).expect("a new stream");
        let reader = broker.reader(&stream).from(Offset::First);
        let reader = reader.build().expect("the stream is there");
        for _ in 0..cycles {
            for id in 0..CYCLE {
                let published = publish(&producer, id).expect("the broker is there");
                assert_eq!(published.routed, 1);
            }
            for id in 0..CYCLE {
                let entry = receive(&reader).expect("the broker is there");
                assert_eq!(entry.id, id);
            }
        }
    }

    #[inline(never)]
    fn receive(reader: &Reader<Plain>) -> Result<Entry<Plain>, RecvError> {
        reader.recv()
    }
}

/// The same publish, by a user whose permissions are regular expressions. They are asked once.
mod permitted {
    use leveret::{Broker, Credentials, Permissions, Queue, User};

    use super::{CYCLE, message::publish};

    pub fn run(cycles: u64) {
        let broker = Broker::new();
        let queue = broker.declare(&Queue::new("instructions"));
        let queue = queue.expect("a new queue");
        let user = User::new("ada").password("secret");
        broker.add_user(user).expect("a new user");
        let own = Permissions::new("^ins", "^amq.default$", "");
        broker
            .set_permissions("/", "ada", &own)
            .expect("the user is there");
        let connection = broker.connect("/", Credentials::new("ada", "secret"));
        let connection = connection.expect("the user is known");
        let producer = connection.producer(&queue).expect("it is permitted");
        for _ in 0..cycles {
            for id in 0..CYCLE {
                let published = publish(&producer, id).expect("the broker is there");
                assert_eq!(published.routed, 1);
            }
            broker.purge(&queue).expect("the queue is there");
        }
    }
}

/// The same value through a bare channel.
mod floor {
    use crossbeam_channel::{Receiver, Sender, unbounded};

    use super::CYCLE;
    use crate::item::{Item, Plain};

    pub fn run(cycles: u64) {
        let (sender, receiver) = unbounded();
        for _ in 0..cycles {
            for id in 0..CYCLE {
                send(&sender, id);
            }
            for id in 0..CYCLE {
                receive(&receiver, id);
            }
        }
    }

    #[inline(never)]
    fn send(sender: &Sender<Plain>, id: u64) {
        sender.send(Plain::make(id)).expect("a receiver is there");
    }

    #[inline(never)]
    fn receive(receiver: &Receiver<Plain>, id: u64) {
        assert_eq!(receiver.recv().expect("a sender is there").id, id);
    }
}

/// Through a direct exchange, with a routing key for each message.
mod direct {
    use leveret::{Broker, Exchange, Producer, PublishError, Published, Queue};

    use super::CYCLE;
    use crate::item::{Item, Plain};

    pub fn run(cycles: u64) {
        let broker = Broker::new();
        let exchange = Exchange::direct("instructions");
        let queue = Queue::new("instructions").bind(&exchange, "key");
        let consumer = broker.consumer(&queue).expect("the queue is free");
        let producer = broker.producer(&exchange).expect("the exchange is there");
        for _ in 0..cycles {
            for id in 0..CYCLE {
                let published = publish_to(&producer, "key", id);
                assert_eq!(published.expect("the broker is there").routed, 1);
            }
            for id in 0..CYCLE {
                super::take(&consumer, id);
            }
        }
    }

    #[inline(never)]
    fn publish_to(
        producer: &Producer<Plain>,
        key: &str,
        id: u64,
    ) -> Result<Published, PublishError<Plain>> {
        producer.publish_to(key, Plain::make(id))
    }
}

/// Through a fanout exchange to several queues, each with one consumer.
mod fanout {
    use leveret::{Broker, Consumer, Exchange, Producer, Queue};

    use super::CYCLE;
    use crate::item::{Item, Plain};

    const QUEUES: usize = 4;

    pub fn run(cycles: u64) {
        let broker = Broker::new();
        let exchange = Exchange::fanout("instructions");
        let consumers: Vec<Consumer<Plain>> = (0..QUEUES)
            .map(|number| Queue::new(format!("instructions-{number}")).bind(&exchange, ""))
            .map(|queue| broker.consumer(&queue).expect("the queue is free"))
            .collect();
        let producer = broker.producer(&exchange).expect("the exchange is there");
        for _ in 0..cycles {
            for id in 0..CYCLE {
                publish(&producer, id);
            }
            for consumer in &consumers {
                for id in 0..CYCLE {
                    super::take(consumer, id);
                }
            }
        }
    }

    #[inline(never)]
    fn publish(producer: &Producer<Plain>, id: u64) {
        let published = producer.publish(Plain::make(id));
        assert_eq!(published.expect("the broker is there").routed, QUEUES);
    }
}

/// Many messages at once. Each step is called once for a cycle.
mod batch {
    use std::time::Duration;

    use leveret::{Batch, Broker, Consumer, Producer, PublishResults, Queue};

    use super::CYCLE;
    use crate::item::{Item, Plain};

    pub fn run(cycles: u64) {
        let broker = Broker::new();
        let queue = Queue::new("instructions");
        let producer = broker.producer(&queue).expect("a new queue");
        let consumer = broker.consumer(&queue).expect("the queue is free");
        for _ in 0..cycles {
            let published = publish(&producer);
            assert!(published.iter().all(Result::is_ok));
            let batch = receive(&consumer);
            assert!(batch.iter().map(|delivery| delivery.id).eq(0..CYCLE));
            acknowledge(batch).expect("the broker is there");
        }
    }

    #[inline(never)]
    fn publish(producer: &Producer<Plain>) -> PublishResults<Plain> {
        producer.publish_batch((0..CYCLE).map(Plain::make))
    }

    #[inline(never)]
    fn receive(consumer: &Consumer<Plain>) -> Batch<Plain> {
        let batch = consumer.recv_batch(CYCLE as usize, Duration::ZERO);
        batch.expect("the broker is there")
    }

    #[inline(never)]
    fn acknowledge(batch: Batch<Plain>) -> leveret::Result {
        batch.ack_all()
    }
}

/// The same messages, through queues that do more.
mod features {
    use leveret::{Broker, Budget, Properties, Queue};

    use super::message;

    pub fn run_with_priorities(cycles: u64) {
        let broker = Broker::new();
        let queue = Queue::new("instructions").max_priority(4);
        let producer = broker
            .producer_builder(&queue)
            .properties(Properties::new().priority(2))
            .build()
            .expect("a new queue");
        message::run_between(&broker, &queue, producer, cycles);
    }

    pub fn run_with_budget(cycles: u64) {
        let broker = Broker::new();
        let budget = Budget::new("instructions", 1 << 40).block();
        broker.declare(&budget).expect("a new budget");
        let queue = Queue::new("instructions").budget("instructions");
        let producer = broker.producer(&queue).expect("a new queue");
        message::run_between(&broker, &queue, producer, cycles);
    }
}

/// A simple queue as a mailbox.
mod simple_queue {
    use leveret::{Broker, Delivery, PublishError, Published, RecvError, SimpleQueue};

    use super::CYCLE;
    use crate::item::{Item, Plain};

    pub fn run(cycles: u64) {
        let broker = Broker::new();
        let queue = broker.simple_queue("instructions").expect("a new queue");
        for _ in 0..cycles {
            for id in 0..CYCLE {
                let published = put(&queue, id).expect("the broker is there");
                assert_eq!(published.routed, 1);
            }
            for id in 0..CYCLE {
                let delivery = get(&queue).expect("the broker is there");
                assert_eq!(delivery.id, id);
                delivery.ack().expect("the broker is there");
            }
        }
    }

    #[inline(never)]
    fn put(queue: &SimpleQueue<Plain>, id: u64) -> Result<Published, PublishError<Plain>> {
        queue.put(Plain::make(id))
    }

    #[inline(never)]
    fn get(queue: &SimpleQueue<Plain>) -> Result<Delivery<Plain>, RecvError> {
        queue.get()
    }
}

/// The forms for tasks, when they are ready at once.
mod task {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use leveret::{Broker, Consumer, Delivery, Producer};

    use super::CYCLE;
    use crate::item::{Item, Plain};

    pub fn run(cycles: u64) {
        let broker = Broker::new();
        let producer = broker.producer("instructions").expect("a new queue");
        let consumer = broker.consumer("instructions");
        let consumer = consumer.expect("the queue is free");
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..cycles {
            for id in 0..CYCLE {
                publish(&producer, id, &mut context);
            }
            for id in 0..CYCLE {
                let delivery = receive(&consumer, &mut context);
                assert_eq!(delivery.id, id);
                delivery.ack().expect("the broker is there");
            }
        }
    }

    fn ready<F: Future>(future: F, context: &mut Context<'_>) -> F::Output {
        match pin!(future).poll(context) {
            Poll::Ready(output) => output,
            Poll::Pending => unreachable!("it does not wait"),
        }
    }

    #[inline(never)]
    fn publish(producer: &Producer<Plain>, id: u64, context: &mut Context<'_>) {
        let published = ready(producer.publish_async(Plain::make(id)), context);
        assert_eq!(published.expect("the broker is there").routed, 1);
    }

    #[inline(never)]
    fn receive(consumer: &Consumer<Plain>, context: &mut Context<'_>) -> Delivery<Plain> {
        ready(consumer.recv_async(), context).expect("the broker is there")
    }
}

/// A worker beside a loop that is written by hand, for the messages of a cycle.
mod worker {
    use std::{
        future::Future,
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering::Relaxed},
        },
        task::{Context, Waker},
    };

    use leveret::{
        Broker, Consumer, Producer,
        worker::{Chain, Middleware, WorkerBuilder, WorkerReport},
    };

    use super::CYCLE;
    use crate::item::{Item, Plain};

    /// The cycles whose messages are worked off together. A worker waits only after the last one,
    /// and a loop by hand not at all.
    const BACKLOG: u64 = 20;
    const PREFETCH: u32 = 2 * (BACKLOG * CYCLE) as u32;

    type Running = Pin<Box<dyn Future<Output = leveret::Result<WorkerReport>>>>;

    struct Nothing;

    impl Middleware for Nothing {}

    pub fn run(cycles: u64) {
        let broker = Broker::new();
        let seen = Arc::new(AtomicU64::new(0));
        let consumer = broker.consumer_builder("by hand").prefetch(PREFETCH);
        let consumer = consumer.build().expect("a new queue");
        let mut plain = start(broker.worker("plain"), &seen);
        let three = broker.worker("middleware");
        let three = three.middleware(Nothing).middleware(Nothing);
        let mut three = start(three.middleware(Nothing), &seen);
        let mut by_key = start_ordered(broker.worker("ordered"), &seen);
        let producers = ["by hand", "plain", "middleware", "ordered"];
        let producers = producers.map(|queue| broker.producer(queue).expect("the queue is there"));
        let rounds = cycles.div_ceil(BACKLOG);
        for _ in 0..rounds {
            for producer in &producers {
                publish(producer);
            }
            by_hand(&consumer, &seen);
            worker(&mut plain);
            middleware(&mut three);
            ordered(&mut by_key);
        }
        assert_eq!(seen.load(Relaxed), 4 * rounds * BACKLOG * CYCLE);
    }

    fn start<C: Chain>(worker: WorkerBuilder<Plain, C>, seen: &Arc<AtomicU64>) -> Running {
        let seen = Arc::clone(seen);
        let worker = worker.prefetch(PREFETCH);
        let worker = worker.handler(move |item, _| see(item, &seen));
        let mut running = Box::pin(worker.run_async());
        assert!(poll(running.as_mut()));
        running
    }

    fn start_ordered(worker: WorkerBuilder<Plain>, seen: &Arc<AtomicU64>) -> Running {
        let seen = Arc::clone(seen);
        let worker = worker.prefetch(PREFETCH).ordered_by(|item| item.id % 8);
        let worker = worker.handler(move |item, _| see(item, &seen));
        let mut running = Box::pin(worker.run_async());
        assert!(poll(running.as_mut()));
        running
    }

    fn publish(producer: &Producer<Plain>) {
        for id in 0..BACKLOG * CYCLE {
            producer
                .publish(Plain::make(id))
                .expect("the broker is there");
        }
    }

    #[inline(always)]
    fn see(item: &Plain, seen: &AtomicU64) {
        assert!(item.id < BACKLOG * CYCLE);
        seen.store(seen.load(Relaxed) + 1, Relaxed);
    }

    /// Polls until the worker waits. Returns whether it runs.
    fn poll(mut running: Pin<&mut dyn Future<Output = leveret::Result<WorkerReport>>>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        // It yields once in a cycle.
        (0..=BACKLOG).all(|_| running.as_mut().poll(&mut context).is_pending())
    }

    #[inline(never)]
    fn by_hand(consumer: &Consumer<Plain>, seen: &AtomicU64) {
        for _ in 0..BACKLOG * CYCLE {
            let delivery = consumer.recv().expect("the broker is there");
            see(&delivery, seen);
            delivery.ack().expect("the broker is there");
        }
    }

    #[inline(never)]
    fn worker(running: &mut Running) {
        assert!(poll(running.as_mut()));
    }

    #[inline(never)]
    fn middleware(running: &mut Running) {
        assert!(poll(running.as_mut()));
    }

    #[inline(never)]
    fn ordered(running: &mut Running) {
        assert!(poll(running.as_mut()));
    }
}

/// A notification, from its making to the end of its handler, beside a struct with the same fields
/// that is published, received and acknowledged.
mod notification {
    use std::{
        borrow::Cow,
        future::Future,
        pin::Pin,
        task::{Context, Waker},
        time::SystemTime,
    };

    use leveret::{
        Broker, Consumer, Exchange, Name, Producer, Queue,
        notify::{Listener, ListenerReport, Notifier, Priority},
    };
    use serde::{Deserialize, Serialize};

    use super::CYCLE;

    /// The fields of a notification.
    #[derive(Serialize, Deserialize)]
    struct Same {
        message_id: (u64, u64),
        publisher_id: Name,
        event_type: Cow<'static, str>,
        priority: Priority,
        timestamp: SystemTime,
        payload: u64,
    }

    type Running = Pin<Box<dyn Future<Output = leveret::Result<ListenerReport>>>>;

    pub fn run(cycles: u64) {
        let broker = Broker::new();
        let exchange = Exchange::topic("events");
        let queue = Queue::new("q").bind(&exchange, "events.info");
        let consumer = broker.consumer(&queue).expect("a new queue");
        let producer = broker.producer(&exchange).expect("the exchange is there");
        let publisher = Name::new("shop").expect("a short name");
        let listener = broker.listener::<u64>().on(Priority::Info, |it, _| {
            assert!(it.payload < CYCLE);
        });
        let mut listening: Running =
            Box::pin(Listener::run_async(listener.build().expect("one endpoint")));
        let notifier = broker
            .notifier("shop")
            .build()
            .expect("the exchange is there");
        poll(&mut listening);
        for _ in 0..cycles {
            for id in 0..CYCLE {
                publish(&producer, &publisher, id);
            }
            for id in 0..CYCLE {
                receive(&consumer, id);
            }
            for id in 0..CYCLE {
                notify(&notifier, id);
            }
            handle(&mut listening);
        }
    }

    fn poll(listening: &mut Running) {
        let mut context = Context::from_waker(Waker::noop());
        // A worker yields once in a cycle.
        for _ in 0..2 {
            assert!(listening.as_mut().poll(&mut context).is_pending());
        }
    }

    #[inline(never)]
    fn publish(producer: &Producer<Same>, publisher: &Name, id: u64) {
        let same = Same {
            message_id: (7, id),
            publisher_id: publisher.clone(),
            event_type: "order.paid".into(),
            priority: Priority::Info,
            timestamp: SystemTime::now(),
            payload: id,
        };
        let published = producer.publish_to("events.info", same);
        assert_eq!(published.expect("the broker is there").routed, 1);
    }

    #[inline(never)]
    fn receive(consumer: &Consumer<Same>, id: u64) {
        let delivery = consumer.recv().expect("the broker is there");
        assert_eq!(delivery.payload, id);
        delivery.ack().expect("the broker is there");
    }

    #[inline(never)]
    fn notify(notifier: &Notifier<u64>, id: u64) {
        let notified = notifier.info("order.paid", id);
        assert_eq!(notified.expect("the broker is there").routed, 1);
    }

    #[inline(never)]
    fn handle(listening: &mut Running) {
        poll(listening);
    }
}

/// A call from its making to its reply, with a server that waits for it: of a queue, and of a topic
/// with an endpoint.
mod rpc {
    use std::{
        future::Future,
        pin::{Pin, pin},
        task::{Context, Poll, Waker},
    };

    use leveret::{
        Broker,
        rpc::{Client, Endpoint, RpcError, Server, ServerReport, Target},
    };

    use super::CYCLE;

    type Running = Pin<Box<dyn Future<Output = Result<ServerReport, RpcError>>>>;

    pub fn run(cycles: u64) {
        let broker = Broker::new();
        let start = |target: Target, method: &'static str| {
            let endpoint = Endpoint::new().method(method, |id: u64, _| id + 1);
            let server = Server::new(&broker, target.clone()).endpoint(endpoint);
            let mut running: Running = Box::pin(server.run_async());
            serve(&mut running);
            (running, Client::new(&broker, target))
        };
        let (mut of_queue, queue) = start(Target::queue("increment"), "");
        let (mut of_topic, topic) = start(Target::topic("numbers"), "increment");
        for _ in 0..cycles {
            for id in 0..CYCLE {
                short(&queue, &mut of_queue, id);
            }
            for id in 0..CYCLE {
                endpoint(&topic, &mut of_topic, id);
            }
        }
    }

    fn serve(running: &mut Running) {
        let mut context = Context::from_waker(Waker::noop());
        assert!(running.as_mut().poll(&mut context).is_pending());
    }

    #[inline(always)]
    fn call(client: &Client, method: &'static str, running: &mut Running, id: u64) {
        let mut context = Context::from_waker(Waker::noop());
        let mut call = pin!(client.call_async::<u64>(method, id));
        assert!(call.as_mut().poll(&mut context).is_pending());
        serve(running);
        // A server yields once in a while.
        serve(running);
        match call.as_mut().poll(&mut context) {
            Poll::Ready(reply) => assert_eq!(reply, Ok(id + 1)),
            Poll::Pending => unreachable!("the server has replied"),
        }
    }

    #[inline(never)]
    fn short(client: &Client, running: &mut Running, id: u64) {
        call(client, "", running, id);
    }

    #[inline(never)]
    fn endpoint(client: &Client, running: &mut Running, id: u64) {
        call(client, "increment", running, id);
    }
}

/// Takes the message out again. It is not counted.
fn take(consumer: &leveret::Consumer<item::Plain>, id: u64) {
    let delivery = consumer.recv().expect("the broker is there");
    assert_eq!(delivery.id, id);
    delivery.ack().expect("the broker is there");
}
