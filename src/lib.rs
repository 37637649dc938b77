//! A message broker that runs inside your program. It has RabbitMQ's model and behaviour. It works
//! between threads and tasks, without a server and without encoding.
//!
//! *It is* a library with exchanges, bindings, queues, acknowledgements and redelivery. Tests
//! compare it with recordings of a real RabbitMQ. *It is not* a server: no message leaves the
//! process. It is not a store: the messages are lost when the process ends. It is not a runtime:
//! blocking calls and futures work with any runtime, or with none.
//!
//! # Hello, world!
//!
//! ```
//! use leveret::Broker;
//!
//! let broker = Broker::new();
//! let producer = broker.producer::<String>("hello")?;
//! let consumer = broker.consumer::<String>("hello")?;
//!
//! producer.publish("Hello World!".to_owned())?;
//! let delivery = consumer.recv()?;
//! assert_eq!(*delivery, "Hello World!");
//! delivery.ack()?; // the queue keeps the message until this call
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! # The model
//!
//! ```text
//!                      routing key        binding keys
//!  Producer ── publish ────────▶ Exchange ─┬─ "*.error" ─▶ Queue ─┬─▶ Consumer
//!                                          │                      └─▶ Consumer
//!                                          └─ "#" ───────▶ Queue ───▶ Consumer
//! ```
//!
//! Each queue gets its own copy of a message. Consumers of the same queue share its messages: each
//! message goes to one of them.
//!
//! A producer publishes to an [`Exchange`]. The exchange routes the message to every [`Queue`] that
//! a binding leads to, one copy each. [`Broker::producer`] takes an exchange or a queue. For a
//! queue it uses the *default exchange*, where the routing key is the queue's name. An exchange can
//! also be bound to an exchange. Exchanges, queues and bindings belong to a virtual host
//! ([`Broker::create_vhost`]). Simple programs need only the predeclared virtual host, `/`.
//!
//! `Exchange` and `Queue` are descriptions: plain values that can be serialized. The first use of a
//! description declares it. A second declaration with the same properties does nothing. A
//! declaration with other properties fails, and the error names the field. A queue without a name
//! is a new queue at each use; [`Broker::declare`] returns its description with the generated name.
//!
//! A plain name opens a queue. `broker.consumer::<Task>("tasks")` uses the existing queue, whatever
//! its properties. It declares a missing queue as `Queue::new("tasks")`. `broker.producer("tasks")`
//! means the queue as well, not an exchange. [`Queue::existing`] requires that the queue exists.
//!
//! | exchange | a binding matches |
//! |---|---|
//! | [`direct`](Exchange::direct) | a routing key equal to the binding key |
//! | [`fanout`](Exchange::fanout) | every message |
//! | [`topic`](Exchange::topic) | routing keys of dot-separated words, where `*` is one word and `#` any number of words |
//! | [`headers`](Exchange::headers) | messages whose headers have the binding's arguments: `x-match` requires all or any of them |
//! | [`delayed`](Exchange::delayed) | as in the exchange type that it is declared with; the exchange can delay a message first |
//!
//! [`Broker::route`] returns the queues that a message would reach.
//!
//! ```
//! use leveret::{Broker, Exchange, Queue};
//!
//! let broker = Broker::new();
//! let logs = Exchange::topic("logs");
//! broker.declare(&Queue::new("errors").bind(&logs, "*.error"))?;
//! broker.declare(&Queue::new("all").bind(&logs, "#"))?;
//!
//! let publisher = broker.producer::<String>(&logs)?;
//! assert_eq!(publisher.publish_to("disk.error", "full".to_owned())?.routed, 2);
//! assert_eq!(publisher.publish_to("disk.info", "fine".to_owned())?.routed, 1);
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! # Acknowledgement and redelivery
//!
//! A [`Delivery`] owns its message. [`ack`](Delivery::ack), [`nack`](Delivery::nack) and
//! [`reject`](Delivery::reject) consume it, so that a second settlement does not compile. A
//! delivery may be dropped unsettled, by an early return, `?` or a panic. The message then returns
//! to its original position in the queue, marked as redelivered.
//!
//! ```
//! use leveret::{Broker, Queue, Requeue};
//!
//! let broker = Broker::new();
//! broker.declare(&Queue::new("dead"))?;
//! let tasks = Queue::new("tasks")
//!     .delivery_limit(1) // one redelivery; after that the message is dead-lettered
//!     .dead_letter_exchange("")
//!     .dead_letter_routing_key("dead");
//! broker.producer::<String>(&tasks)?.publish("sweep".to_owned())?;
//!
//! let consumer = broker.consumer::<String>("tasks")?;
//! drop(consumer.recv()?);
//! let again = consumer.recv()?;
//! assert!(again.info().redelivered());
//! again.nack(Requeue::Yes)?;
//! assert_eq!(*broker.consumer::<String>("dead")?.recv()?, "sweep");
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! [`Requeue::After`] requeues a message after a delay. A consumer built with
//! [`auto_ack`](ConsumerBuilder::auto_ack) settles a message when it receives it. Delivery is then
//! at most once, instead of at least once.
//!
//! # Prefetch
//!
//! A queue delivers messages to a consumer in advance, up to the consumer's *prefetch*. The
//! prefetch is the number of unsettled messages that the consumer may hold. A prefetch of 1 gives
//! fair dispatch: a busy worker gets no further message. A large prefetch is fast. The default is
//! 256; [`prefetch`](ConsumerBuilder::prefetch) sets another number. A requeued message does not
//! overtake messages that the same consumer already holds.
//!
//! The limits of a queue ([`Queue::max_length`]) count only ready messages. So `max_length(4)` and
//! one consumer with the default prefetch hold 260 messages; with a prefetch of 1 they hold 5.
//!
//! A message that a consumer has in advance expires as in the queue. If a consumer is stuck,
//! [`Consumer::return_unseen`] or [`Broker::return_unseen`] gives what it has not received to
//! others. [`Consumer::pause`] does so as well, and the consumer then gets nothing until it is
//! resumed.
//!
//! ```
//! use leveret::Broker;
//!
//! let broker = Broker::new();
//! let producer = broker.producer::<u32>("tasks")?;
//! let a = broker.consumer_builder::<u32>("tasks").prefetch(1).build()?;
//! let b = broker.consumer_builder::<u32>("tasks").prefetch(1).build()?;
//! for task in 1..=3 {
//!     producer.publish(task)?;
//! }
//! let _long = a.recv()?; // task 1: `a` is busy from now on
//! for task in [2, 3] {
//!     let short = b.recv()?;
//!     assert_eq!(*short, task);
//!     short.ack()?;
//! }
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! # Publish results
//!
//! [`Producer::publish`] has routed the message when it returns. [`Published`] reports how many
//! queues took the message and how many refused it. A publish fails if one of these holds:
//!
//! * The message is invalid.
//! * No queue took the message, and at least one refused it.
//! * The message is *mandatory*, and it was routed to no queue.
//!
//! [`PublishError`] then gives the payload back. A producer made for a queue is mandatory; a
//! producer made for an exchange is not. In RabbitMQ, publisher confirms and returns serve this
//! purpose. A [`Channel`] has them too, as [`Event`](channel::Event)s; its negative confirm says
//! that at least one queue refused the message.
//!
//! ```
//! use leveret::{Broker, Overflow, Queue};
//!
//! let broker = Broker::new();
//! let small = Queue::new("small").max_length(1).overflow(Overflow::RejectPublish);
//! let producer = broker.producer::<String>(&small)?;
//! assert_eq!(producer.publish("first".to_owned())?.routed, 1);
//! let refused = producer.publish("second".to_owned()).unwrap_err();
//! assert_eq!(refused.into_inner(), "second");
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! With [`Overflow::Block`] the publisher waits for room instead. The other queues of the message
//! have it at once. Publishers are served first come first served. A [`Budget`] limits the total
//! bytes of several queues, or of a whole virtual host. It refuses publishers or lets them wait.
//!
//! # Waiting
//!
//! | | waits | does not wait | waits for a limited time | future |
//! |---|---|---|---|---|
//! | [`Consumer`] | [`recv`](Consumer::recv) | [`try_recv`](Consumer::try_recv) | [`recv_timeout`](Consumer::recv_timeout) | [`recv_async`](Consumer::recv_async) |
//! | [`Consumer`], many messages | [`iter`](Consumer::iter) | [`try_iter`](Consumer::try_iter) | [`recv_batch`](Consumer::recv_batch) | [`stream`][stream], [`recv_batch_async`](Consumer::recv_batch_async) |
//! | [`SimpleQueue`] | [`get`](SimpleQueue::get) | [`try_get`](SimpleQueue::try_get) | [`get_timeout`](SimpleQueue::get_timeout) | [`get_async`](SimpleQueue::get_async) |
//! | [`Events`](channel::Events) of a channel | [`recv`](channel::Events::recv) | [`try_recv`](channel::Events::try_recv) | [`recv_timeout`](channel::Events::recv_timeout) | [`recv_async`](channel::Events::recv_async) |
//! | [`Select`] | [`select`](Select::select) | [`try_select`](Select::try_select) | [`select_timeout`](Select::select_timeout) | [`select_async`](Select::select_async) |
//! | [`Producer`], while a queue is full | [`publish`](Producer::publish), [`publish_to`](Producer::publish_to), [`publish_message`](Producer::publish_message), [`publish_batch`](Producer::publish_batch) | [`try_publish`](Producer::try_publish), [`try_publish_to`](Producer::try_publish_to), [`try_publish_message`](Producer::try_publish_message), [`try_publish_batch`](Producer::try_publish_batch) | [`publish_timeout`](Producer::publish_timeout), [`publish_to_timeout`](Producer::publish_to_timeout), [`publish_message_timeout`](Producer::publish_message_timeout), [`publish_batch_timeout`](Producer::publish_batch_timeout) | [`publish_async`](Producer::publish_async), [`publish_to_async`](Producer::publish_to_async), [`publish_message_async`](Producer::publish_message_async), [`publish_batch_async`](Producer::publish_batch_async) |
//! | [`SimpleQueue`], while it is full | [`put`](SimpleQueue::put), [`put_message`](SimpleQueue::put_message) | [`try_put`](SimpleQueue::try_put), [`try_put_message`](SimpleQueue::try_put_message) | [`put_timeout`](SimpleQueue::put_timeout), [`put_message_timeout`](SimpleQueue::put_message_timeout) | [`put_async`](SimpleQueue::put_async), [`put_message_async`](SimpleQueue::put_message_async) |
//! | [`Channel`], while a queue is full | [`basic_publish`](Channel::basic_publish) | [`try_basic_publish`](Channel::try_basic_publish) | [`basic_publish_timeout`](Channel::basic_publish_timeout) | [`basic_publish_async`](Channel::basic_publish_async) |
//! | [`Channel`], for confirms | [`wait_for_confirms`](Channel::wait_for_confirms) | [`try_wait_for_confirms`](Channel::try_wait_for_confirms) | [`wait_for_confirms_timeout`](Channel::wait_for_confirms_timeout) | [`wait_for_confirms_async`](Channel::wait_for_confirms_async) |
//! | [`Ticks`] | [`recv`](Ticks::recv) | [`try_recv`](Ticks::try_recv) | [`recv_timeout`](Ticks::recv_timeout) | [`recv_async`](Ticks::recv_async) |
//! | the end of a [`Broker`] | [`shutdown`](Broker::shutdown) with `Duration::MAX` | `shutdown` with `Duration::ZERO` | [`shutdown`](Broker::shutdown) | [`shutdown_async`](Broker::shutdown_async) |
//!
//! An empty queue and a time-out have error types of their own ([`TryRecvError`],
//! [`RecvTimeoutError`]); `?` turns both into [`Error`]. Threads and tasks can share one consumer.
//!
//! A future that is dropped before it is ready has taken nothing. One that was polled and is kept
//! without being polled again holds its place among the waiters, and the message or the room that
//! it was woken for: poll it or drop it.
//!
//! [`Consumer::into_crossbeam`] turns a consumer into a receiver of a crossbeam channel, for code
//! that waits for channels. Streams need the feature `stream`, which is on by default.
//!
//! # Ends and failures
//!
//! | event | effect |
//! |---|---|
//! | a [`Delivery`] is dropped | its message returns to its position, marked as redelivered |
//! | a worker panics | its deliveries are dropped, with the same effect |
//! | a [`Consumer`] is dropped or [cancelled](Consumer::cancel) | messages delivered to it but not yet received return unmarked; received deliveries stay valid |
//! | a [`Channel`] is closed | its consumers end; its unsettled messages return, marked as redelivered |
//! | a [`Connection`] is closed | its channels and consumers end; then its exclusive queues are deleted |
//! | a queue is deleted | its messages are lost; waiting receivers get [`CancelReason::QueueDeleted`]; settling its deliveries does nothing |
//! | a broker [shuts down](Broker::shutdown) | publishes from outside are refused; consumers finish their work, and may publish meanwhile (a task by [`delivery.producer(&producer)`](Delivery::producer)); the report counts what was delivered, dropped and left |
//! | the last [`Broker`] clone is dropped | all queues and consumers end; all waiting threads and tasks are woken; every other handle returns [`Error::BrokerDropped`] |
//! | a message does not decode | the receiver gets [`RecvError::Decode`]; dropping it rejects the message, so that it causes no endless loop; [`on_decode_error`](ConsumerBuilder::on_decode_error) lets the consumer go on instead |
//!
//! # Workers
//!
//! [`Broker::worker`] runs a handler for each message, on threads or in a task. The result of the
//! handler settles the message. The module [`worker`] has the settings, and [`guide::recipes`]
//! retries, graceful stops and tokio.
//!
//! [`spawn`](worker::Worker::spawn) uses threads, and [`run_async`](worker::Worker::run_async) one
//! task that holds many handlers at a time. [`guide::recipes`] has retries, graceful stops, tokio
//! and axum, and bounded memory.
//!
//! # Typed payloads
//!
//! Every type that serde can serialize and deserialize is a [`Payload`]. In memory the value itself
//! travels. The broker encodes it when a consumer of another type receives it. The encoding is
//! JSON, unless the producer has another [codec](codec::Codec): `MsgPack`, `Cbor`, or one of these
//! compressed by `Gzip` or `Zstd`, each with a feature of its own (`msgpack`, `cbor`, `gzip`,
//! `zstd`).
//!
//! ```
//! use leveret::{Broker, Local};
//!
//! #[derive(Debug, serde::Serialize, serde::Deserialize)]
//! struct Task { id: u64 }
//!
//! let broker = Broker::new();
//! let _ = broker.producer::<Task>("tasks")?.publish_batch([Task { id: 7 }, Task { id: 8 }]);
//!
//! let task = broker.consumer::<Task>("tasks")?.recv()?;
//! let task = task.ack_into().expect("one queue, so not shared");
//! assert_eq!(task.id, 7);
//!
//! let json = broker.consumer::<serde_json::Value>("tasks")?.recv()?;
//! assert_eq!(*json, serde_json::json!({"id": 8}));
//!
//! // `Local` carries a value that has no encoding.
//! broker.producer::<Local<fn() -> u32>>("jobs")?.publish(Local(|| 42))?;
//! assert_eq!(broker.consumer::<Local<fn() -> u32>>("jobs")?.recv()?(), 42);
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! # RPC
//!
//! A request names a queue for the reply and a correlation id. The complete program, with time-outs
//! and bad requests, is `examples/rpc.rs`.
//!
//! ```
//! use leveret::{Broker, Message, Queue};
//!
//! let broker = Broker::new();
//! let server = broker.worker::<u32>("double");
//! let _server = server.handler(|number, context| context.reply(number * 2)).spawn()?;
//! let replies = broker.consumer::<u32>(&Queue::temporary())?;
//! let request = Message::new(21_u32).reply_to(replies.queue().to_string()).correlation_id("1");
//! broker.producer::<u32>("double")?.publish_message(request)?;
//! assert_eq!(*replies.recv()?, 42);
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! # Retries and schedules
//!
//! [`Producer::retry`] publishes again what full queues refuse, as a [`Backoff`] says.
//! [`Broker::every`] publishes a message again and again, or makes [`Ticks`] for code of your own.
//! With the feature `cron`, `Broker::cron` does so at the times of a cron expression. All of them
//! follow the broker's clock.
//!
//! ```
//! use leveret::{Backoff, Broker, ManualClock};
//! use std::time::Duration;
//!
//! let clock = ManualClock::new();
//! let broker = Broker::builder().clock(clock.clone()).build();
//! let second = Duration::from_secs(1);
//! let backoff = Backoff::new(second).max_attempts(5);
//! let orders = broker.producer::<u32>("orders")?.retry(backoff);
//! orders.publish(1)?; // tries again if the queue is full
//!
//! let chores = broker.producer::<String>("chores")?;
//! let schedule = broker.every(60 * second).publish(&chores, || "sweep".to_owned())?;
//! clock.advance(3_600 * second);
//! assert_eq!(broker.purge("chores")?, 60);
//! # drop(schedule);
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! # Durability
//!
//! There is none yet. `durable` and `persistent` are recorded, compared and shown. Neither survives
//! the process.
//!
//! # AMQP's methods
//!
//! A [`Channel`] has the methods of AMQP 0-9-1 under their own names, and one ordered stream of
//! events. A [`Connection`] opens it. The types of its options are in the module [`channel`].
//!
//! ```
//! use leveret::channel::{AckMode, Multiple, PublishOptions};
//! use leveret::{Broker, Credentials, Properties, Queue};
//!
//! let broker = Broker::new();
//! let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
//! channel.queue_declare(&Queue::new("q"))?;
//! channel.basic_publish("", "q", "hello", Properties::new(), PublishOptions::new())?;
//! let delivery = channel.basic_get("q", AckMode::Manual)?.expect("one message");
//! assert_eq!(&*delivery.body()?, b"hello");
//! channel.basic_ack(delivery.delivery_tag(), Multiple::No)?;
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! # Looking inside
//!
//! [`Broker::snapshot`] shows queues, exchanges and bindings with their counts. [`Broker::delayed`]
//! lists and cancels delayed messages. [`Connection::redrive`] moves dead letters back, and
//! [`Connection::set_policy`] sets a [`Policy`]; [`Broker::vhost`] gives the connection.
//!
//! # Testing
//!
//! The module [`testing`][testing] has a broker for tests, on a clock that the test advances. It
//! knows exactly when all work is done, captures every publish, and injects faults. It runs tasks
//! on the thread of the test, in the same order each time. It needs the feature `testing`, which is
//! off by default.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # fn main() -> leveret::Result {
//! use leveret::testing::TestBroker;
//!
//! let test = TestBroker::new();
//! let doubling = test.worker::<u32>("requests").handler(|request, context| {
//!     let replies = context.producer_to::<u32>("replies")?;
//!     replies.publish(request * 2).map(drop).map_err(leveret::Error::from)
//! });
//! test.spawn(doubling.run_async());
//! test.producer::<u32>("requests")?.publish(21)?;
//! test.run_until_settled().unwrap();
//! test.published::<u32>("", "replies").assert_count(1).assert_any(|reply| **reply == 42);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # Threads and locks
//!
//! Every handle is `Send`. Producers, consumers and channels are `Sync` as well and can be shared.
//! Give each thread its own clone of a [`Producer`]: each clone remembers the routes that it has
//! used. Each queue has one lock with a short critical section, and a publish enters it once. The
//! broker holds no lock while your code runs, so that a waker, a `Drop` or a clock may call the
//! broker. Time comes from a [`Clock`]; a [`ManualClock`] can replace it. The broker never polls.
//!
//! # The source, folder by folder
//!
//! A folder imports only from the folders below it; a test checks that.
//!
//! ```text
//! 8  testing     the test kit: a broker on a manual clock, captured publishes, faults, tasks
//! 7  management  snapshots, redrive, delayed messages
//! 6  patterns    workers and their middlewares, schedules
//! 5  handles     broker, producer, consumer, simple queue, select
//! 4  session     the gate, publishers, subscribers, connections, channels, the broker's core
//! 3  engine      exchanges, queues, policies; above them the virtual host
//! 2  message     properties, headers, payloads, codecs, the envelope
//! 1  runtime     locks, waiting, clocks, timers, panics of user code
//! 0  model       names, bytes, field values, errors, descriptions, arguments: plain values
//! ```
//!
//! # Differences from RabbitMQ
//!
//! Errors close no channel or connection. Durable queues do not survive the process. Refusal is per
//! queue. Typed consumers have a prefetch. Quorum queues are classic queues. [`guide::differences`]
//! is the complete list.
//!
//! # More
//!
//! * [`guide::design`]: the reasons for the design, and how to work on the code
//! * [`guide::recipes`]: retry, graceful stop, tokio and axum, testing, bounded memory
//! * [`guide::differences`]: every difference from RabbitMQ, with a test that shows it
//! * [`guide::compare`]: leveret beside kombu, tokio's channels, crossbeam and RabbitMQ
//! * [`guide::performance`]: the cost of a message, the limits, and the changes that were tried
//!
#![cfg_attr(feature = "stream", doc = "[stream]: Consumer::stream")]
#![cfg_attr(not(feature = "stream"), doc = "[stream]: Consumer")]
#![cfg_attr(feature = "testing", doc = "[testing]: crate::testing")]
#![cfg_attr(not(feature = "testing"), doc = "[testing]: ManualClock")]
#![forbid(unsafe_code)]
#![deny(
    missing_docs,
    missing_debug_implementations,
    rustdoc::broken_intra_doc_links
)]
#![deny(clippy::unwrap_used, clippy::expect_used)]
#![warn(unreachable_pub)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod engine;
mod handles;
#[cfg(all(test, shuttle))]
mod interleavings;
mod management;
mod message;
mod model;
mod patterns;
mod runtime;
mod session;
#[cfg(feature = "testing")]
pub mod testing;

pub use crate::{
    engine::{
        policy::{ApplyTo, Policy},
        vhost::{Published, QueueDeclared},
    },
    handles::{
        broker::{Broker, BrokerBuilder, Credentials},
        consumer::{CancelHandle, Consumer, ConsumerBuilder, DecodeErrorPolicy, Iter},
        declare::Declare,
        producer::{Destination, Producer, ProducerBuilder, PublishError},
        select::{Select, SelectError, Selected},
        simple_queue::SimpleQueue,
    },
    management::{
        delayed_messages::{Delayed, DelayedId, DelayedMessage, DelayedMessages},
        redrive::Redrive,
        snapshot::{
            BindingSnapshot, BudgetSnapshot, ExchangeSnapshot, PolicySnapshot, QueueSnapshot,
            Snapshot, VhostSnapshot,
        },
    },
    message::{
        headers::x_death::DeathReason,
        outgoing::Message,
        payload::{Local, LocalArc, Payload},
        properties::{Properties, PropertyList},
    },
    model::{
        backoff::Backoff,
        bytes::Bytes,
        descriptions::{Binding, Budget, BudgetPolicy, Exchange, Overflow, Queue},
        error::{
            CancelReason, CodecError, EntityKind, Error, Inequivalent, InvalidCron, Precondition,
            Resource, Result, ScheduleError, Scope,
        },
        exchange_kind::ExchangeKind,
        field_value::{FieldTable, FieldValue, TableTooDeep},
        message_totals::MessageTotals,
        name::{Name, NameTooLong},
    },
    patterns::schedule::{MissedTickBehavior, Schedule, ScheduleBuilder, ScheduleCounts, Ticks},
    runtime::clock::{Clock, ManualClock, SystemClock},
    session::{
        broker_core::{DrainedQueue, RemainingExchange, RemainingQueue, ShutdownReport},
        channel::Channel,
        connection::Connection,
        delivery::Delivery,
        delivery_info::DeliveryInfo,
        receive::{RecvError, RecvTimeoutError, TryRecvError},
        unacked::Requeue,
        undecoded::Undecoded,
    },
};
pub use crate::{
    message::codec,
    patterns::{middleware, worker},
    session::channel,
};

/// Pages beside the reference: recipes, design, differences from RabbitMQ, comparison, performance.
///
/// The examples on these pages run as doc tests.
pub mod guide {
    #[doc = include_str!("guide/compare.md")]
    pub mod compare {}

    #[doc = include_str!("guide/design.md")]
    pub mod design {}

    #[doc = include_str!("guide/differences.md")]
    pub mod differences {}

    #[doc = include_str!("guide/performance.md")]
    pub mod performance {}

    #[doc = include_str!("guide/recipes.md")]
    pub mod recipes {}
}

/// Runs the examples of the README as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
