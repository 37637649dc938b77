//! The start of a subscriber: its options, and the subscriber before its queue has added it.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use super::{Subscriber, SubscriberOwner};
use crate::{
    engine::{
        queue::{ConsumerId, Credit, InboxOwner, QueueCore, SubscribeRequest, SubscribedBy},
        vhost::VirtualHost,
    },
    model::{
        arguments::StreamReading, error::Result, name::Name, slow_consumer::SlowConsumerPolicy,
    },
    runtime::sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    session::{
        backend::{Backend, RemoteInbox},
        holding::Holders,
        recv_backoff::RecvBackoff,
        remote_origin::RemoteOrigin,
        unacked::DeliveryOrigin,
    },
};

/// The options of a typed consumer.
#[derive(Clone, Debug)]
pub(crate) struct SubscriberOptions {
    pub(crate) tag: Name,
    pub(crate) prefetch: u32,
    pub(crate) priority: i64,
    pub(crate) exclusive: bool,
    pub(crate) auto_ack: bool,
    /// Whether tasks receive, which share their threads with other tasks.
    pub(crate) in_tasks: bool,
    /// The size in bytes of most of its messages.
    pub(crate) expected_size: u64,
    /// Whether the consumer is paused, at all its queues.
    pub(crate) paused: Arc<AtomicBool>,
    /// How long a delivery may stay unsettled. `None` leaves it to the queue.
    pub(crate) timeout: Option<Duration>,
    pub(crate) on_slow: SlowConsumerPolicy,
    /// Whether each message that is received has a span.
    #[cfg(feature = "tracing")]
    pub(crate) is_traced: bool,
}

/// A subscriber that is not added to its queue yet.
pub(crate) struct NewSubscriber {
    number: u64,
    tag: Name,
    auto_ack: bool,
    in_tasks: bool,
    credit: Arc<Credit>,
    paused: Arc<AtomicBool>,
    owner: Weak<dyn SubscriberOwner>,
}

impl NewSubscriber {
    /// The subscriber and its parameters for the queue.
    ///
    /// # Errors
    /// [`Error::InvalidName`](crate::Error::InvalidName) for an invalid tag.
    pub(crate) fn new(
        vhost: &VirtualHost,
        by: &Arc<SubscribedBy>,
        owner: Weak<dyn SubscriberOwner>,
        options: &SubscriberOptions,
    ) -> Result<(NewSubscriber, SubscribeRequest)> {
        let number = vhost.next_number();
        let tag = match options.tag.is_empty() {
            true => Name::new(format!("amq.ctag-{number:x}"))?,
            false => options.tag.clone(),
        };
        let credit = Arc::new(Credit::new(options.expected_size));
        if options.auto_ack {
            credit.show_specially();
        }
        #[cfg(feature = "tracing")]
        if options.is_traced {
            credit.trace();
        }
        // Asked again when it has started: a tap that comes meanwhile does not find it.
        credit.set_tapped(vhost.taps().is_read());
        let request = SubscribeRequest {
            tag: tag.clone(),
            by: Arc::clone(by),
            group: vhost.new_group(),
            priority: options.priority,
            prefetch: options.prefetch,
            // A message in the inbox is not delivered yet. An auto-ack consumer acknowledges it on
            // receive.
            auto_ack: false,
            exclusive: options.exclusive,
            paused: options.paused.load(SeqCst),
            timeout: options.timeout,
            reading: StreamReading::default(),
            credit: Arc::clone(&credit),
            on_slow: options.on_slow,
        };
        let new = NewSubscriber {
            number,
            tag,
            auto_ack: options.auto_ack,
            in_tasks: options.in_tasks,
            credit,
            paused: Arc::clone(&options.paused),
            owner,
        };
        Ok((new, request))
    }

    /// The subscriber, after the queue has added it as the consumer `id`.
    pub(crate) fn started(
        self,
        vhost: &Arc<VirtualHost>,
        queue: Arc<QueueCore>,
        id: ConsumerId,
        remote: Option<(Arc<dyn Backend>, Arc<RemoteInbox>)>,
    ) -> Arc<Subscriber> {
        let credit = self.credit;
        let holders = match self.in_tasks {
            true => Holders::in_tasks(self.auto_ack),
            false => Holders::new(self.auto_ack),
        };
        let holders = holders.of(&queue);
        let make_origin = |subscriber: &Weak<Subscriber>| DeliveryOrigin {
            vhost: Arc::clone(vhost),
            account: queue.account_of_deliveries().cloned(),
            queue,
            consumer: remote.is_none().then(|| (id, Arc::clone(&credit))),
            consumer_tag: self.tag,
            auto_ack: self.auto_ack,
            remote: remote
                .map(|(backend, inbox)| Box::new(RemoteOrigin::new(backend, inbox, (id, credit)))),
            overdue: None,
            subscriber: Weak::clone(subscriber),
            channel: None,
            first_exchange: OnceLock::new(),
            holders,
        };
        let subscriber = Arc::new_cyclic(|subscriber| Subscriber {
            number: self.number,
            id,
            origin: Arc::new(make_origin(subscriber)),
            owner: self.owner,
            run: Mutex::default(),
            backoff: RecvBackoff::new(),
            paused: self.paused,
            ended: OnceLock::new(),
        });
        let inbox_owner: Weak<dyn InboxOwner> = Arc::downgrade(&subscriber) as _;
        subscriber.queue().set_inbox_owner(id, inbox_owner);
        subscriber.origin.note_taps();
        subscriber
    }
}
