//! A message broker that lives inside your program: RabbitMQ's model and behaviour, between threads and tasks, without a
//! server and without encoding a byte.
//!
//! *It is* a library with exchanges, bindings, queues, acknowledgements and redelivery, checked against recordings of a real
//! RabbitMQ. *It is not* a server (nothing crosses the process's border), not a store (what is in memory when the process ends
//! is gone), and not a runtime (blocking calls and futures work with any, or with none).
//!
//! # Hello, world!
//!
//! ```
//! use leveret::{Broker, Queue};
//!
//! let broker = Broker::new();
//! let hello = Queue::new("hello"); // a description: declared when it is first used
//! let producer = broker.producer::<String>(&hello)?;
//! let consumer = broker.consumer::<String>(&hello)?;
//!
//! producer.publish("Hello World!".to_owned())?;
//! let delivery = consumer.recv()?;
//! assert_eq!(*delivery, "Hello World!");
//! delivery.ack()?; // only now does the queue forget it
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! # The model
//!
//! ```text
//!                      routing key         binding keys
//!  Producer ── publish ────────▶ Exchange ─┬─ "*.error" ──▶ Queue ──▶ Consumer
//!                                          │                  ├─────▶ Consumer   share a queue: each message to one of them
//!                                          └─ "#" ────────▶ Queue ──▶ Consumer   a queue of its own: a copy of each message
//! ```
//!
//! A producer never publishes to a queue but to an [`Exchange`], which puts the message into every [`Queue`] that a binding leads
//! to, one copy each. [`Broker::producer`] takes either: for a queue it uses the *default exchange*, where the routing key is the
//! queue's name. Exchanges can be bound to exchanges. All of it belongs to a virtual host ([`Broker::create_vhost`]), of which
//! simple programs need only the one that is there, `/`.
//!
//! `Exchange` and `Queue` are descriptions: plain values that can be serialized. Using one declares it; declaring it again does
//! nothing; declaring it with other properties is an error that names the field. A queue without a name is a new queue at each
//! use; [`Broker::declare`] returns it named.
//!
//! | exchange | a binding matches |
//! |---|---|
//! | [`direct`](Exchange::direct) | the routing key that equals its key |
//! | [`fanout`](Exchange::fanout) | everything |
//! | [`topic`](Exchange::topic) | keys of words with dots between, where `*` is one word and `#` any number |
//! | [`headers`](Exchange::headers) | messages whose headers have its arguments: `x-match` says all or any of them |
//! | [`delayed`](Exchange::delayed) | what it matches for the type that it had; a message may wait in it first |
//!
//! [`Broker::route`] tells which queues a message would reach.
//!
//! ```
//! use leveret::{Broker, Exchange, Queue};
//!
//! let broker = Broker::new();
//! let logs = Exchange::topic("logs");
//! let errors = broker.declare(&Queue::new("errors").bind(&logs, "*.error"))?;
//! let all = broker.declare(&Queue::new("all").bind(&logs, "#"))?;
//!
//! let publisher = broker.producer::<String>(&logs)?;
//! assert_eq!(publisher.publish_to("disk.error", "full".to_owned())?.routed, 2);
//! assert_eq!(publisher.publish_to("disk.info", "fine".to_owned())?.routed, 1);
//! assert_eq!(broker.simple_queue::<String>(&errors)?.len(), 1);
//! assert_eq!(broker.simple_queue::<String>(&all)?.len(), 2);
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! # Acknowledgement and redelivery
//!
//! A [`Delivery`] owns its message. [`ack`](Delivery::ack), [`nack`](Delivery::nack) and [`reject`](Delivery::reject) consume it, so
//! that settling twice does not compile. A delivery that is dropped unsettled (an early return, `?`, a panic) gives the message
//! back to the same queue at its original position, marked as redelivered.
//!
//! ```
//! use leveret::{Broker, Queue, Requeue};
//!
//! let broker = Broker::new();
//! let dead = broker.declare(&Queue::new("dead"))?;
//! let tasks = Queue::new("tasks")
//!     .delivery_limit(1) // may come back once; then it goes where dead letters go
//!     .dead_letter_exchange("")
//!     .dead_letter_routing_key("dead");
//! broker.producer::<String>(&tasks)?.publish("sweep".to_owned())?;
//!
//! let consumer = broker.consumer::<String>(&tasks)?;
//! drop(consumer.recv()?);
//! let again = consumer.recv()?;
//! assert!(again.info().redelivered());
//! again.nack(Requeue::Yes)?;
//! assert_eq!(*broker.consumer::<String>(&dead)?.recv()?, "sweep");
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! [`Requeue::After`] returns a message after a time. A consumer built with [`auto_ack`](ConsumerBuilder::auto_ack) settles a
//! message when it is received: at most once, instead of at least once.
//!
//! # Prefetch
//!
//! A queue hands messages to a consumer before they are asked for, up to its *prefetch*: the number it may hold unsettled. One
//! is fair dispatch (a busy worker is given nothing more); a large one is fast. It is 256 unless
//! [`prefetch`](ConsumerBuilder::prefetch) says otherwise. What has been handed over is not overtaken: a message that comes back
//! to a consumer with a large prefetch comes after those that the consumer has been handed already.
//!
//! ```
//! use leveret::{Broker, Queue};
//!
//! let broker = Broker::new();
//! let tasks = Queue::new("tasks");
//! let producer = broker.producer::<u32>(&tasks)?;
//! let a = broker.consumer_builder::<u32>(&tasks).prefetch(1).build()?;
//! let b = broker.consumer_builder::<u32>(&tasks).prefetch(1).build()?;
//! for task in 1..=3 {
//!     producer.publish(task)?;
//! }
//! let _long = a.recv()?; // 1: `a` is busy from now on
//! for task in [2, 3] {
//!     let short = b.recv()?;
//!     assert_eq!(*short, task);
//!     short.ack()?;
//! }
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! # What became of a message
//!
//! [`Producer::publish`] has done its work when it returns: [`Published`] says how many queues took the message and how many
//! refused it. It fails if it is invalid, if no queue took the message and one refused it, or if the message is *mandatory* and no
//! queue was on its way; then [`PublishError`] gives the payload back. A producer made for a queue is mandatory, one made for an
//! exchange is not. This is what RabbitMQ's publisher confirms and returns are for; on a [`Channel`] they are there as well, as
//! [`Event`]s.
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
//! With [`Overflow::Block`] the publisher waits for room instead. A [`Budget`] limits the bytes of several queues, or of a whole virtual
//! host, together, in either way.
//!
//! # To wait or not to wait
//!
//! | | waits | does not | waits so long | future |
//! |---|---|---|---|---|
//! | [`Consumer`] | [`recv`](Consumer::recv), [`iter`](Consumer::iter) | [`try_recv`](Consumer::try_recv) | [`recv_timeout`](Consumer::recv_timeout), [`recv_batch`](Consumer::recv_batch) | [`recv_async`](Consumer::recv_async) |
//! | [`SimpleQueue`] | [`get`](SimpleQueue::get) | [`try_get`](SimpleQueue::try_get) | [`get_timeout`](SimpleQueue::get_timeout) | [`get_async`](SimpleQueue::get_async) |
//! | [`Events`] of a channel | [`recv`](Events::recv) | [`try_recv`](Events::try_recv) | [`recv_timeout`](Events::recv_timeout) | [`recv_async`](Events::recv_async) |
//! | [`Select`] | [`select`](Select::select) | [`try_select`](Select::try_select) | [`select_timeout`](Select::select_timeout) | |
//!
//! An empty queue and a time-out are values of an error type of their own ([`TryRecvError`], [`RecvTimeoutError`]); `?` turns them
//! into [`Error`]. One consumer serves threads and tasks at once.
//!
//! # What happens when ...
//!
//! | | |
//! |---|---|
//! | a [`Delivery`] is dropped | its message returns to its place, marked as redelivered |
//! | a worker panics | the same: its deliveries are dropped |
//! | a [`Consumer`] is dropped or [cancelled](Consumer::cancel) | what it was handed and nobody received returns unmarked; deliveries in somebody's hands stay valid |
//! | a [`Channel`] is closed | its consumers end; what it has not settled returns, marked |
//! | a [`Connection`] is closed | its channels and consumers end; then its exclusive queues are deleted |
//! | a queue is deleted | its messages are gone; receivers that wait get [`CancelReason::QueueDeleted`]; settling its deliveries does nothing |
//! | the last [`Broker`] clone is dropped | everything ends; who waits is woken; every other handle says [`Error::ShutDown`] |
//! | a message does not decode | it comes as [`RecvError::Decode`]; dropped, it is rejected, so that no loop spins on it |
//!
//! # Typed payloads
//!
//! Every type that serde can serialize and deserialize is a [`Payload`]. In memory the value itself travels; it is encoded (as
//! JSON, unless the producer has another [codec](codec::Codec)) when a consumer of another type receives it.
//!
//! ```
//! use leveret::{Broker, Local, Queue};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Task { id: u64 }
//!
//! let broker = Broker::new();
//! let tasks = Queue::new("tasks");
//! broker.producer::<Task>(&tasks)?.publish(Task { id: 7 })?;
//! broker.producer::<Task>(&tasks)?.publish(Task { id: 8 })?;
//! assert_eq!(broker.consumer::<Task>(&tasks)?.recv()?.ack_into().map_err(|_| "shared").unwrap().id, 7);
//! assert_eq!(*broker.consumer::<serde_json::Value>(&tasks)?.recv()?, serde_json::json!({"id": 8}));
//!
//! // What cannot be encoded travels as `Local`.
//! let jobs = Queue::new("jobs");
//! broker.producer::<Local<fn() -> u32>>(&jobs)?.publish(Local(|| 42))?;
//! assert_eq!(broker.consumer::<Local<fn() -> u32>>(&jobs)?.recv()?(), 42);
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! # RPC
//!
//! A request names a queue for the reply and a correlation id; the server answers through the default exchange. The whole of it,
//! with time-outs and bad requests, is `examples/rpc.rs`.
//!
//! ```
//! use leveret::{Broker, Exchange, Message, Queue};
//!
//! let broker = Broker::new();
//! let requests = Queue::new("double");
//! let replies = broker.consumer::<u32>(&Queue::temporary())?;
//! let request = Message::new(21_u32).reply_to(replies.queue().to_string()).correlation_id("1");
//! broker.producer::<u32>(&requests)?.publish_message(request)?;
//!
//! let server = broker.consumer::<u32>(&requests)?;
//! let request = server.recv()?;
//! let asked = request.info().properties();
//! let reply = Message::new(*request * 2).correlation_id(asked.correlation_id.clone().unwrap_or_default());
//! let reply = reply.routing_key(asked.reply_to.clone().unwrap_or_default());
//! broker.producer::<u32>(&Exchange::existing(""))?.publish_message(reply)?;
//! request.ack()?;
//!
//! assert_eq!(*replies.recv()?, 42);
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! # Durability
//!
//! There is none yet. `durable` and `persistent` are recorded, compared and shown, and survive nothing.
//!
//! # Threads and locks
//!
//! Every handle is `Send`; producers, consumers and channels are `Sync` as well and can be
//! shared. Give each thread its own clone of a [`Producer`]; it remembers the routes that it has used. Each queue is one short
//! critical section, which a publish enters once. No lock is held while code of yours runs, so that a waker, a `Drop` or a clock may
//! call the broker. Time is a [`Clock`] that can be replaced by a [`ManualClock`]. Nothing polls.
//!
//! # The source, folder by folder
//!
//! A folder imports only from the folders below it; a test checks that.
//!
//! ```text
//! 6  management  snapshots, redrive, delayed messages
//! 5  handles     broker, producer, consumer, simple queue, select
//! 4  session     deliveries, subscribers, channels, connections
//! 3  engine      exchanges, queues, policies; above them the virtual host
//! 2  message     properties, headers, payloads, codecs, the envelope
//! 1  runtime     locks, waiting, clocks, timers, panics of user code
//! 0  model       names, bytes, field values, errors, descriptions, arguments: plain values
//! ```
//!
//! # Differences from RabbitMQ
//!
//! Errors close nothing, durable survives nothing, refusal is per queue, typed consumers have a prefetch, quorum queues are classic
//! ones. The list is [`guide::differences`].
//!
//! # More
//!
//! * [`guide::design`]: why it is as it is, and how to work on it
//! * [`guide::differences`]: every deviation from RabbitMQ, with a test that shows it
//! * [`guide::compare`]: beside kombu, tokio's channels, crossbeam and RabbitMQ
//! * [`guide::performance`]: what a message costs, where the time goes, and what was tried
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
mod runtime;
mod session;

pub use crate::message::codec;
pub use crate::{
    engine::{
        policy::{ApplyTo, Policy},
        vhost::{Published, QueueDeclared},
    },
    handles::{
        broker::{
            Broker, BrokerBuilder, Credentials, RemainingExchange, RemainingQueue, ShutdownReport,
        },
        consumer::{CancelHandle, Consumer, ConsumerBuilder},
        declare::Declare,
        producer::{Destination, Producer, ProducerBuilder, PublishError},
        select::{Select, SelectError, Selected},
        simple_queue::SimpleQueue,
    },
    management::{
        delayed_messages::{Delayed, DelayedId, DelayedMessage, DelayedMessages},
        redrive::Redrive,
        snapshot::{
            BindingSnapshot, BudgetSnapshot, ExchangeSnapshot, QueueSnapshot, Snapshot,
            VhostSnapshot,
        },
    },
    message::{
        headers::x_death::DeathReason,
        outgoing::Message,
        payload::{Local, LocalArc, Payload},
        properties::{Properties, PropertyList},
    },
    model::{
        bytes::Bytes,
        descriptions::{Binding, Budget, BudgetPolicy, Exchange, Overflow, Queue},
        error::{
            CancelReason, CodecError, EntityKind, Error, Inequivalent, Precondition, Resource,
            Result, Scope,
        },
        exchange_kind::ExchangeKind,
        field_value::{FieldTable, FieldValue},
        message_totals::MessageTotals,
        name::Name,
    },
    runtime::clock::{Clock, ManualClock, SystemClock},
    session::{
        channel::{
            AckMode, Channel, ChannelDelivery, Confirm, ConfirmOutcome, ConsumeOptions, Event,
            Events, IfEmpty, IfUnused, PublishOptions, Returned,
        },
        connection::Connection,
        delivery::Delivery,
        delivery_info::DeliveryInfo,
        receive::{RecvError, RecvTimeoutError, TryRecvError},
        unacked::Requeue,
        undecoded::Undecoded,
    },
};

/// Pages beside the reference: why it is so, where it differs, and what else there is. Their programs run with the tests.
pub mod guide {
    #[doc = include_str!("guide/compare.md")]
    pub mod compare {}

    #[doc = include_str!("guide/design.md")]
    pub mod design {}

    #[doc = include_str!("guide/differences.md")]
    pub mod differences {}

    #[doc = include_str!("guide/performance.md")]
    pub mod performance {}
}

/// Runs the programs of the README as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
