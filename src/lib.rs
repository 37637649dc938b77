//! A message broker that lives inside your program.
#![forbid(unsafe_code)]
#![deny(
    missing_docs,
    missing_debug_implementations,
    rustdoc::broken_intra_doc_links
)]
#![deny(clippy::unwrap_used, clippy::expect_used)]
#![warn(unreachable_pub)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod arguments;
mod broker;
mod bytes;
mod clock;
pub mod codec;
mod consumer;
#[allow(dead_code, reason = "the virtual host carries dead letters")]
mod dead_letter;
mod declare;
mod descriptions;
mod envelope;
mod error;
mod exchange;
mod field_value;
mod handles;
#[cfg(all(test, shuttle))]
mod interleavings;
mod message;
mod name;
mod payload;
#[allow(dead_code, reason = "the virtual host applies policies")]
mod policy;
mod producer;
mod properties;
mod queue;
mod redrive;
mod select;
#[allow(dead_code, reason = "publishing reads the keys")]
mod sender_selected;
mod session;
mod simple_queue;
mod snapshot;
mod sync;
mod timers;
mod user_code;
mod vhost;
mod waiter;

pub use crate::{
    broker::{Broker, BrokerBuilder, Credentials, LeftOver, ShutdownReport},
    bytes::Bytes,
    clock::{Clock, ManualClock, SystemClock},
    consumer::{Consumer, ConsumerBuilder, Stopper},
    dead_letter::DeathReason,
    declare::Declare,
    descriptions::{Binding, Exchange, Overflow, Queue},
    error::{
        CancelReason, CodecError, Entity, Error, Inequivalent, Precondition, Resource, Result,
        Scope,
    },
    exchange::ExchangeKind,
    field_value::{FieldTable, FieldValue},
    handles::Mailbox,
    message::Message,
    name::Name,
    payload::{Local, LocalArc, Payload},
    policy::{ApplyTo, Policy},
    producer::{Destination, Producer, ProducerBuilder, PublishError},
    properties::{Properties, PropertyList},
    redrive::Redrive,
    select::{NotReady, Select, Selected},
    session::{
        channel::{
            AckMode, Channel, ChannelDelivery, Confirm, ConsumeOptions, Event, Events, IfEmpty,
            IfUnused, Outcome, PublishOptions, Returned,
        },
        connection::Connection,
        delivery::{Delivery, DeliveryInfo, Undecoded},
        held::Requeue,
        receive::{RecvError, RecvTimeoutError, TryRecvError},
    },
    simple_queue::SimpleQueue,
    snapshot::{
        BindingSnapshot, ExchangeSnapshot, Quantity, QueueSnapshot, Snapshot, VhostSnapshot,
    },
    vhost::{Published, QueueDeclared},
};
