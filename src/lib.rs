#![cfg_attr(feature = "stream", doc = "[stream]: Consumer::stream")]
#![cfg_attr(not(feature = "stream"), doc = "[stream]: Consumer")]
#![cfg_attr(feature = "durable", doc = "[durability]: crate::guide::durability")]
#![cfg_attr(not(feature = "durable"), doc = "[durability]: Queue::durability")]
#![cfg_attr(feature = "amqp", doc = "[amqp]: crate::amqp")]
#![cfg_attr(not(feature = "amqp"), doc = "[amqp]: Channel")]
#![cfg_attr(feature = "testing", doc = "[testing]: crate::testing")]
#![cfg_attr(not(feature = "testing"), doc = "[testing]: ManualClock")]
#![doc = ""]
#![doc = include_str!("guide/front_page.md")]
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
mod protocol;
#[cfg(feature = "rabbitmq")]
mod remote;
mod runtime;
mod session;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "durable")]
pub use crate::handles::broker::DurableBrokerBuilder;
#[cfg(feature = "tracing")]
pub use crate::message::headers::trace_context::{InvalidTraceContext, TraceContext};
#[cfg(feature = "amqp")]
pub use crate::protocol::amqp;
pub use crate::{
    engine::{
        policy::{ApplyTo, Policy},
        router::{BindingRules, Router, RouterBinding, RouterMessage},
        tap::{TapDirection, TapFilter, TappedMessage},
        vhost::{Published, QueueDeclared},
    },
    handles::{
        broker::{Broker, BrokerBuilder, Credentials},
        consumer::{CancelHandle, Consumer, ConsumerBuilder, DecodeErrorPolicy, Iter},
        declare::Declare,
        producer::{Destination, Producer, ProducerBuilder, PublishError, PublishResults},
        reader::{Entries, Entry, EntryInfo, Reader, ReaderBuilder},
        select::{Select, SelectError, Selected},
        simple_queue::SimpleQueue,
    },
    management::{
        dashboard::Dashboard,
        definitions::{
            DEFINITIONS_SCHEMA, ExportOptions, Exported, ImportOptions, ImportReport,
            RabbitMqVersion, Remark, RemarkKind,
        },
        delayed_messages::{Delayed, DelayedId, DelayedMessage, DelayedMessages},
        export::{ExportedMessage, ExportedMessages},
        messages::{Browse, MessageId, MessageOutcome},
        moves::Moved,
        selection::Selection,
        snapshot::{
            BindingSnapshot, BudgetSnapshot, ChannelSnapshot, ConnectionSnapshot, ConsumerSnapshot,
            ExchangeRates, ExchangeSnapshot, ExchangeStats, MessageStats, PolicySnapshot,
            QueueRates, QueueSnapshot, QueueTotals, Rates, ReaderSnapshot, Snapshot, StoreSnapshot,
            StreamSnapshot, VhostSnapshot, VhostTotals,
        },
    },
    message::{
        headers::x_death::DeathReason,
        outgoing::Message,
        payload::{Local, LocalArc, Payload, Serializable},
        properties::{Properties, PropertyList},
    },
    model::{
        access::{
            HashingAlgorithm, PasswordHash, Permissions, TopicPermissions, User, UserLimits,
            VhostLimits, VhostMetadata,
        },
        backoff::Backoff,
        broker_event::{BrokerEvent, EventKind},
        bytes::Bytes,
        death_counts::DeathCounts,
        descriptions::{
            AliasQueue, AliasTarget, Binding, Budget, BudgetPolicy, DeadLetterStrategy,
            DelayedRetryKind, Durability, Exchange, HashOn, ModelQueue, Offset, Overflow, Queue,
            QueueLimits, Trigger, TriggerMessage,
        },
        disk_alarm::{DiskAlarm, OnDiskAlarm},
        error::{
            CancelReason, CodecError, DefinitionsError, EntityKind, Error, Inequivalent,
            InvalidCron, InvalidPattern, Permission, PermissionDenied, Precondition, Resource,
            Result, ScheduleError, Scope, StoreError, StoreErrorKind,
        },
        exchange_kind::ExchangeKind,
        explanation::{
            ExplainedBinding, ExplainedDestination, ExplainedExchange, ExplainedQueue, Explanation,
            HeaderCondition, MatchReason, QueueOutlook,
        },
        field_value::{FieldTable, FieldValue, TableTooDeep},
        message_totals::MessageTotals,
        name::{Name, NameTooLong},
        slow_consumer::SlowConsumerPolicy,
    },
    patterns::schedule::{MissedTickBehavior, Schedule, ScheduleBuilder, ScheduleCounts, Ticks},
    runtime::clock::{Clock, ManualClock, SystemClock},
    session::{
        batch::Batch,
        broker_core::{
            AuthenticatedUser, DrainedQueue, RemainingExchange, RemainingQueue, ShutdownReport,
        },
        channel::Channel,
        connection::{Connection, ConnectionOptions},
        delivery::Delivery,
        delivery_info::DeliveryInfo,
        feed::Feed,
        receive::{RecvError, RecvTimeoutError, TryRecvError},
        requeue::Requeue,
        undecoded::Undecoded,
    },
};
#[cfg(feature = "rabbitmq")]
pub use crate::{handles::broker::RabbitMqBuilder, remote::rabbitmq::Unconfirmed};
pub use crate::{
    message::codec,
    model::octets,
    patterns::{control, middleware, notify, rpc, worker},
    session::channel,
};

/// Pages beside the reference: recipes, access, definitions, design, RabbitMQ as the engine,
/// differences from RabbitMQ 4.3, changes since RabbitMQ 3.x, comparison, performance, pages for
/// programs that come from other brokers; durability with the feature `durable`.
///
/// The examples on these pages run as doc tests.
pub mod guide {
    #[doc = include_str!("guide/access.md")]
    pub mod access {}

    #[doc = include_str!("guide/coming_from_activemq.md")]
    pub mod coming_from_activemq {}

    #[doc = include_str!("guide/coming_from_ibm_mq.md")]
    pub mod coming_from_ibm_mq {}

    #[doc = include_str!("guide/coming_from_jms.md")]
    pub mod coming_from_jms {}

    #[doc = include_str!("guide/coming_from_kafka.md")]
    pub mod coming_from_kafka {}

    #[doc = include_str!("guide/coming_from_rocketmq.md")]
    pub mod coming_from_rocketmq {}

    #[doc = include_str!("guide/compare.md")]
    pub mod compare {}

    #[doc = include_str!("guide/definitions.md")]
    pub mod definitions {}

    #[doc = include_str!("guide/design.md")]
    pub mod design {}

    #[doc = include_str!("guide/differences.md")]
    pub mod differences {}

    #[cfg(feature = "durable")]
    #[doc = include_str!("guide/durability.md")]
    pub mod durability {}

    #[doc = include_str!("guide/performance.md")]
    pub mod performance {}

    #[doc = include_str!("guide/rabbitmq.md")]
    pub mod rabbitmq {}

    #[doc = include_str!("guide/rabbitmq_3.md")]
    pub mod rabbitmq_3 {}

    #[cfg_attr(feature = "testing", doc = "[test-broker]: crate::testing::TestBroker")]
    #[cfg_attr(not(feature = "testing"), doc = "[test-broker]: crate::ManualClock")]
    #[cfg_attr(
        feature = "testing",
        doc = "[settled]: crate::testing::TestBroker::wait_settled"
    )]
    #[cfg_attr(not(feature = "testing"), doc = "[settled]: crate::ManualClock")]
    #[doc = ""]
    #[doc = include_str!("guide/recipes.md")]
    pub mod recipes {}

    #[doc = include_str!("guide/watching.md")]
    pub mod watching {}
}

/// Runs the examples of the README as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
