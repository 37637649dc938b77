//! The methods of a channel on consumers, and `basic.get`.

use std::sync::{Arc, OnceLock, Weak};

use super::{
    AckMode, Channel, ChannelDelivery, ConsumeOptions, QosScope, ledger::ConsumerSlot,
    sink::ChannelSink,
};
use crate::{
    engine::{
        queue::{Credit, DeliveryTarget, QueueCore, SubscribeRequest},
        vhost::{OnGet, REPLY_TO, Requester, is_address},
    },
    model::{
        arguments::{ConsumerArguments, QueueType},
        descriptions::names,
        error::{EntityKind, Error, Result},
        name::Name,
        slow_consumer::SlowConsumerPolicy,
    },
    session::{
        events::{DeliveredFrom, DeliveryReader},
        holding::Holders,
        unacked::{DeliveryOrigin, Unacked},
    },
};

/// How many unsettled messages a consumer of a quorum queue may hold if its channel sets no limit,
/// as in RabbitMQ.
const QUORUM_PREFETCH: u32 = 2_000;

impl Channel {
    /// Limits the number of unsettled deliveries; 0 means no limit.
    ///
    /// With [`QosScope::Consumer`] the limit holds for each consumer that starts afterwards, and
    /// the common limit of the channel is removed. With [`QosScope::Channel`] the limit holds for
    /// all consumers of the channel together. A lower limit takes no delivery back.
    ///
    /// Without a limit a consumer of a quorum queue holds at most 2,000 deliveries, as in RabbitMQ.
    /// There the limit also is how many messages a consumer with auto-ack gets before another
    /// consumer has a turn.
    ///
    /// # RabbitMQ
    /// `basic.qos` (AMQP 0-9-1), with RabbitMQ's meaning of `global`.
    ///
    /// # Errors
    /// [`Error::NotImplemented`] for a prefetch size other than 0, as in RabbitMQ, and the errors
    /// of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::{ConsumeOptions, Event, Multiple, QosScope}, TryRecvError};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// # use leveret::{channel::PublishOptions, Properties, Queue};
    /// # channel.queue_declare(&Queue::new("q"))?;
    /// # for body in ["first", "second"] {
    /// #     channel.basic_publish("", "q", body, Properties::new(), PublishOptions::new())?;
    /// # }
    /// // Two messages are ready in the queue "q".
    /// channel.basic_qos(0, 1, QosScope::Consumer)?;
    /// channel.basic_consume("q", ConsumeOptions::new())?;
    /// let events = channel.events();
    /// assert!(matches!(events.try_recv()?, Event::Delivery(_)));
    /// assert!(matches!(events.try_recv(), Err(TryRecvError::Empty)));
    /// channel.basic_ack(1, Multiple::No)?;
    /// assert!(matches!(events.try_recv()?, Event::Delivery(_)));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn basic_qos(&self, prefetch_size: u32, prefetch_count: u16, scope: QosScope) -> Result {
        if prefetch_size != 0 {
            return Err(Error::prefetch_size(prefetch_size));
        }
        // The deliveries that are due count.
        self.core().serve_consumers();
        let mut state = self.core().open()?;
        let limit = match scope {
            QosScope::Channel => prefetch_count,
            QosScope::Consumer => {
                state.prefetch = prefetch_count;
                0
            }
        };
        let relieved = state.ledger.set_limit(u32::from(limit));
        drop(state);
        self.core().resume(relieved);
        Ok(())
    }

    /// Starts a consumer and returns its tag. Each message that the queue delivers to it is an
    /// [`Event::Delivery`](crate::channel::Event::Delivery).
    ///
    /// An empty queue name stands for the queue declared last on this channel. The queue
    /// `amq.rabbitmq.reply-to` stands for direct replies to this channel.
    ///
    /// # RabbitMQ
    /// `basic.consume` (AMQP 0-9-1), with RabbitMQ's direct reply-to.
    ///
    /// # Errors
    /// - [`Error::NotFound`] for an unknown queue.
    /// - [`Error::NoDeclaredQueue`] for an empty queue name, if this channel has declared no queue.
    /// - [`Error::ResourceLocked`] if the queue is exclusive to another connection.
    /// - [`Error::AccessRefused`] if the queue has an exclusive consumer, or if it has any consumer
    ///   and this one asks to be exclusive.
    /// - [`Error::NotAllowed`] for a tag that is in use on this channel.
    /// - [`Error::PreconditionFailed`] for an invalid argument, for a second consumer of
    ///   `amq.rabbitmq.reply-to`, for one without `auto_ack`, and for a consumer of the address
    ///   that replies are sent to, and for a consumer of a stream on a channel without a prefetch.
    /// - [`Error::InvalidName`] for a name or tag over 255 bytes.
    /// - [`Error::NotImplemented`] for a quorum queue, if the channel has a common limit
    ///   ([`QosScope::Channel`]), and for a consumer of a stream with `auto_ack`.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::{ConsumeOptions, Event, PublishOptions}, Properties};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// # use leveret::Queue;
    /// # channel.queue_declare(&Queue::new("q"))?;
    /// let tag = channel.basic_consume("q", ConsumeOptions::new().tag("worker"))?;
    /// assert_eq!(tag, "worker");
    /// channel.basic_publish("", "q", "hello", Properties::new(), PublishOptions::new())?;
    /// match channel.events().recv()? {
    ///     Event::Delivery(delivery) => assert_eq!(delivery.consumer_tag(), &tag),
    ///     other => panic!("{other:?}"),
    /// }
    /// let error = channel.basic_consume("q", ConsumeOptions::new().tag("worker")).unwrap_err();
    /// assert_eq!(error.reply_code(), Some(530)); // the tag is in use
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn basic_consume(&self, queue: &str, options: ConsumeOptions) -> Result<Name> {
        let core = self.core();
        let current = self.current_queue()?;
        let name = Name::of_entity(self.expand(queue, &current)?)?;
        if name == REPLY_TO {
            return self.consume_replies(&options);
        }
        if is_address(&name) {
            core.gate().check_get(&name)?;
            return Err(self.address_consumed(&name, &options));
        }
        let tag = self.reserve(&options.tag)?;
        let consumed = self.start_consumer(&name, &tag, &options);
        let mut state = core.lock();
        match &consumed {
            // If the queue or the channel ended in the meantime, the slot is gone and the tag is
            // free.
            Ok(origin) => {
                if let Some(slot) = state.ledger.consumers.get_mut(&tag) {
                    *slot = ConsumerSlot::Consumer(Arc::clone(origin));
                }
            }
            Err(_) => {
                state.ledger.consumers.remove(&tag);
            }
        }
        let (closed, shows_order) = (state.closed.is_some(), state.shows_order());
        if shows_order {
            state.serve_all_at_once();
        }
        drop(state);
        let origin = consumed?;
        if shows_order {
            // One that was being made at the same time was not told before.
            core.serve_consumers();
        }
        if closed {
            core.remove_consumers(vec![origin], Vec::new());
        }
        Ok(tag)
    }

    /// The error of a consumer that names an address of replies.
    fn address_consumed(&self, address: &Name, options: &ConsumeOptions) -> Error {
        let vhost = self.core().vhost().name();
        // The queue type of an address takes none of the arguments that other types take.
        let known = [names::PRIORITY, names::STREAM_OFFSET].into_iter();
        let mut given = known.filter(|known| options.arguments.contains_key(known));
        if let Some(argument) = given.next() {
            return Error::unsupported_argument(argument, address, vhost, "rabbit_volatile_queue");
        }
        let state = self.core().lock();
        let own = state.replies_to.as_ref().map(|(_, own)| own);
        let is_second = own.is_some_and(|own| own == address);
        drop(state);
        Error::volatile_consumer(is_second, address, vhost)
    }

    /// Starts the reply consumer of the channel (RabbitMQ's direct reply-to).
    fn consume_replies(&self, options: &ConsumeOptions) -> Result<Name> {
        let core = self.core();
        if !options.auto_ack {
            return Err(Error::reply_consumer_cannot_acknowledge());
        }
        if core.open()?.replies_to.is_some() {
            return Err(Error::reply_consumer_already_set());
        }
        let tag = self.reserve(&options.tag)?;
        let requester: Weak<dyn Requester> = self.downgrade();
        let name = core.vhost().add_requester(requester)?;
        let mut state = core.lock();
        state.ledger.consumers.remove(&tag);
        if state.replies_to.is_none() && state.closed.is_none() {
            state.replies_to = Some((tag.clone(), name));
            return Ok(tag);
        }
        drop(state);
        core.vhost().forget_requester(&name);
        Err(Error::reply_consumer_already_set())
    }

    fn reserve(&self, tag: &str) -> Result<Name> {
        let core = self.core();
        let mut state = core.open()?;
        let tag = match tag {
            "" => loop {
                let tag = Name::new(format!("amq.ctag-{:x}", core.vhost().next_number()))?;
                if !state.ledger.consumers.contains_key(&tag) {
                    break tag;
                }
            },
            tag => Name::new(tag)?,
        };
        let replies = state
            .replies_to
            .as_ref()
            .is_some_and(|(used, _)| *used == tag);
        if replies || state.ledger.consumers.contains_key(&tag) {
            return Err(Error::consumer_tag_in_use(&tag));
        }
        state
            .ledger
            .consumers
            .insert(tag.clone(), ConsumerSlot::Reserved);
        if state.shows_order() {
            state.serve_all_at_once();
            drop(state);
            core.serve_consumers();
        }
        Ok(tag)
    }

    fn start_consumer(
        &self,
        name: &Name,
        tag: &Name,
        options: &ConsumeOptions,
    ) -> Result<Arc<DeliveryOrigin>> {
        let core = self.core();
        let vhost = core.vhost();
        options.arguments.check_depth()?;
        let queue = core.gate().consumed_queue(name)?;
        let queue_type = queue.queue_type();
        let arguments =
            ConsumerArguments::parse(&options.arguments, queue_type, name, vhost.name())?;
        let prefetch = self.prefetch_of(&queue, options)?;
        if queue_type == QueueType::Quorum {
            // Its deliveries have to be settled in time.
            queue.set_timed();
        }
        let credit = Arc::new(Credit::new(0));
        if core.lock().shows_order() {
            credit.serve_at_once();
        }
        // Asked again when it has started: a tap that comes meanwhile does not find it.
        credit.set_tapped(vhost.taps().is_read());
        let request = SubscribeRequest {
            tag: tag.clone(),
            by: core.gate().subscribed_by(Some(core.number)),
            group: core.group,
            priority: arguments.priority,
            prefetch,
            auto_ack: options.auto_ack,
            exclusive: options.exclusive,
            paused: false,
            timeout: arguments.timeout,
            reading: arguments.reading,
            credit: Arc::clone(&credit),
            on_slow: SlowConsumerPolicy::Wait,
        };
        let mut made = None;
        let subscribed = vhost.subscribe(&queue, request, |id| {
            let origin = Arc::new(DeliveryOrigin {
                vhost: Arc::clone(vhost),
                queue: Arc::clone(&queue),
                consumer: Some((id, credit)),
                consumer_tag: tag.clone(),
                account: queue.account_of_deliveries().cloned(),
                auto_ack: options.auto_ack,
                remote: None,
                overdue: None,
                subscriber: Weak::new(),
                channel: Some(Arc::clone(&core.reading) as Arc<dyn DeliveryReader>),
                first_exchange: OnceLock::new(),
                holders: Holders::new(options.auto_ack).of(&queue),
            });
            let sink = ChannelSink {
                core: self.downgrade(),
                origin: Arc::downgrade(&origin),
            };
            made = Some(origin);
            DeliveryTarget::Push(Arc::new(sink))
        });
        subscribed?;
        let made = made.ok_or_else(|| Error::not_found(EntityKind::Queue, name, vhost.name()))?;
        made.note_taps();
        Ok(made)
    }

    /// How many unsettled messages a new consumer may hold.
    fn prefetch_of(&self, queue: &QueueCore, options: &ConsumeOptions) -> Result<u32> {
        let core = self.core();
        let (name, vhost) = (queue.name(), core.vhost().name());
        let state = core.lock();
        let prefetch = u32::from(state.prefetch);
        match queue.queue_type() {
            QueueType::Classic if options.auto_ack => Ok(0),
            QueueType::Classic => Ok(prefetch),
            QueueType::Quorum if state.ledger.has_limit() => Err(Error::global_qos(name, vhost)),
            QueueType::Quorum if prefetch == 0 => Ok(QUORUM_PREFETCH),
            // With auto-ack it limits how many messages are delivered at once.
            QueueType::Quorum => Ok(prefetch),
            // A common limit is that of each consumer.
            QueueType::Stream => match prefetch.max(state.ledger.limit()) {
                0 => Err(Error::stream_prefetch(name, vhost)),
                _ if options.auto_ack => Err(Error::stream_auto_ack(name, vhost)),
                prefetch => Ok(prefetch),
            },
        }
    }

    /// Ends a consumer. Its unsettled deliveries stay with the channel, can be settled, and count
    /// against the common limit of the channel. Those of a quorum queue return in time, as before.
    /// An unknown tag is no error.
    ///
    /// # RabbitMQ
    /// `basic.cancel` (AMQP 0-9-1).
    ///
    /// # Errors
    /// The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::channel::{ConsumeOptions, Multiple};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// # use leveret::{channel::PublishOptions, Properties, Queue};
    /// # channel.queue_declare(&Queue::new("q"))?;
    /// # for body in ["first", "second"] {
    /// #     channel.basic_publish("", "q", body, Properties::new(), PublishOptions::new())?;
    /// # }
    /// // Two messages are ready in the queue "q".
    /// let tag = channel.basic_consume("q", ConsumeOptions::new())?;
    /// channel.basic_cancel(&tag)?;
    /// channel.basic_ack(2, Multiple::Yes)?; // the deliveries are still unsettled
    /// assert_eq!(channel.queue_declare_passive("q")?.consumer_count, 0);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn basic_cancel(&self, consumer_tag: &str) -> Result {
        let core = self.core();
        let mut state = core.open()?;
        if let Some((_, name)) = state.replies_to.take_if(|(tag, _)| **tag == *consumer_tag) {
            drop(state);
            core.vhost().forget_requester(&name);
            return Ok(());
        }
        let origin = match state.ledger.consumers.get(consumer_tag) {
            Some(ConsumerSlot::Consumer(origin)) => Arc::clone(origin),
            Some(ConsumerSlot::Reserved) | None => return Ok(()),
        };
        state.ledger.consumers.remove(consumer_tag);
        drop(state);
        core.remove_consumers(vec![Arc::clone(&origin)], Vec::new());
        // The queue delivers no more, so that none are made again.
        let spare_handles = core.lock().ledger.spare_handles.forget(&origin);
        drop(spare_handles);
        Ok(())
    }

    /// Gets the next ready message; `None` if there is none. An empty queue name stands for the
    /// queue declared last on this channel.
    ///
    /// # RabbitMQ
    /// `basic.get` (AMQP 0-9-1). `None` is `basic.get-empty`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] for an unknown queue.
    /// - [`Error::NoDeclaredQueue`] for an empty name, if this channel has declared no queue.
    /// - [`Error::ResourceLocked`] if the queue is exclusive to another connection.
    /// - [`Error::SingleActiveConsumer`] for a quorum queue with a single active consumer.
    /// - [`Error::NotImplemented`] for the address of direct replies.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::channel::{AckMode, Multiple};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// # use leveret::{channel::PublishOptions, Properties, Queue};
    /// # channel.queue_declare(&Queue::new("q"))?;
    /// # for body in ["first", "second"] {
    /// #     channel.basic_publish("", "q", body, Properties::new(), PublishOptions::new())?;
    /// # }
    /// // Two messages are ready in the queue "q".
    /// let first = channel.basic_get("q", AckMode::Manual)?.expect("two are ready");
    /// assert_eq!((first.delivery_tag(), first.message_count()), (1, 1));
    /// channel.basic_ack(first.delivery_tag(), Multiple::No)?;
    /// let second = channel.basic_get("q", AckMode::Auto)?.expect("one is ready");
    /// assert_eq!(&*second.body()?, b"second"); // it is settled already
    /// assert!(channel.basic_get("q", AckMode::Auto)?.is_none());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn basic_get(&self, queue: &str, ack: AckMode) -> Result<Option<ChannelDelivery>> {
        let core = self.core();
        let (name, last) = self.got_name(queue)?;
        let vhost = core.vhost();
        let queue = core.gate().got_queue(&name)?;
        vhost.check_gets(&queue)?;
        let origin = match last.filter(|last| last.queue == queue) {
            Some(last) => last,
            None => {
                let origin = DeliveryOrigin::gets(vhost, &queue, false);
                core.open()?.last_get = Some(Arc::clone(&origin));
                origin
            }
        };
        core.note_receiver();
        // Their tags come before that of this one.
        core.serve_consumers();
        let on_get = match ack {
            AckMode::Auto => OnGet::Acknowledge,
            AckMode::Manual => OnGet::KeepUnacked,
        };
        let got = vhost.get(&queue, on_get, |mut envelope, left| {
            // The delivery gets its tag and its entry before the queue delivers anything else to
            // this channel.
            let mut channel = core.lock();
            if ack == AckMode::Manual || channel.closed.is_some() {
                origin.holders.count_get();
            }
            if channel.closed.is_some() {
                let unacked = Unacked::new(Arc::clone(&origin), envelope);
                return (Err(unacked), OnGet::KeepUnacked);
            }
            let delivery_tag = channel.ledger.next_tag();
            let mut shown = match ack {
                AckMode::Auto => Some(envelope),
                AckMode::Manual => {
                    let copy = envelope.share().ok();
                    let origin = Arc::clone(&origin);
                    channel.ledger.enter(delivery_tag, origin, envelope);
                    copy
                }
            };
            if let Some(envelope) = shown.as_mut().filter(|_| queue.is_quorum()) {
                envelope.show_counts();
            }
            let delivery = ChannelDelivery {
                from: DeliveredFrom::Queue {
                    left: u32::try_from(left).unwrap_or(u32::MAX),
                    origin: Arc::clone(&origin),
                },
                delivery_tag,
                envelope: shown,
            };
            (Ok(delivery), on_get)
        });
        match got {
            None => Ok(None),
            Some(Ok(delivery)) => {
                delivery.show_taps();
                Ok(Some(delivery))
            }
            // The channel closed in the meantime. The message returns, like all unsettled
            // deliveries.
            Some(Err(unacked)) => {
                drop(unacked);
                core.check_open().map(|()| None)
            }
        }
    }

    /// The name of the queue of a get, and the origin of the last get.
    fn got_name(&self, queue: &str) -> Result<(Name, Option<Arc<DeliveryOrigin>>)> {
        let state = self.core().open()?;
        let last = state.last_get.clone();
        let name = match &last {
            Some(last) if !queue.is_empty() && *last.queue.name() == *queue => {
                last.queue.name().clone()
            }
            _ => Name::of_entity(self.expand(queue, &state.current_queue)?)?,
        };
        Ok((name, last))
    }
}
