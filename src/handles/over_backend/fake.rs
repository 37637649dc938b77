//! [`Fake`], a backend for tests. Its connection to the engine can be delayed and lost.
//!
//! The engine is another broker, which the backend calls by the methods of AMQP. A thread runs the
//! operations and completes them later. It completes operations that arrived together in reverse
//! order.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::{
    engine::{
        access::Access,
        queue::Move,
        vhost::{Published, QueueDeclared, Refusal, VhostSettings, VirtualHost},
    },
    handles::broker::{Broker, Credentials},
    model::{
        descriptions::{Exchange, Queue},
        error::{CancelReason, Error, Result},
        name::Name,
    },
    runtime::{
        clock::Time,
        completion::{Completer, Completion, completion},
        timers::Timers,
    },
    session::{
        backend::{
            Backend, Confirmation, Got, Inbound, Outbound, RemoteConsumer, RemoteInbox,
            RemoteSettlement,
        },
        callers::Callers,
        channel::{
            AckMode, Channel, ChannelDelivery, ConfirmOutcome, ConsumeOptions, Event, IfEmpty,
            IfUnused, Multiple, PublishOptions, QosScope,
        },
        connection::{Connection, ConnectionAbout, ConnectionOptions},
        events::EventStream,
        publisher::NotPublished,
        requeue::Requeue,
    },
};

/// Runs an operation, and returns the function that completes it for its caller.
type Operation = Box<dyn FnOnce() -> Box<dyn FnOnce() + Send> + Send>;

enum Job {
    Run(Operation),
    /// Waits until the sender is dropped.
    Hold(Receiver<()>),
}

/// A connection to an engine.
pub(super) struct Fake {
    connection: Connection,
    publishing: Channel,
    consuming: Channel,
    jobs: Sender<Job>,
    lost: Arc<AtomicBool>,
    /// The engine takes no publishes.
    blocked: AtomicBool,
    next: AtomicU64,
    consumers: Arc<Mutex<Consumers>>,
    /// Called before each settlement.
    before_settle: Mutex<Option<Box<dyn Fn() + Send>>>,
    /// The queue of the dead letters that this program publishes itself.
    dead_letters: Mutex<Option<Name>>,
}

#[derive(Default)]
struct Consumers {
    inboxes: HashMap<String, Arc<RemoteInbox>>,
    tags: HashMap<u64, String>,
}

impl Fake {
    /// Connects to `server`.
    pub(super) fn connect(server: &Broker) -> Arc<Fake> {
        let connection = server.connect("/", Credentials::guest()).unwrap();
        let (publishing, consuming) = (
            connection.open_channel().unwrap(),
            connection.open_channel().unwrap(),
        );
        publishing.confirm_select().unwrap();
        let lost = Arc::new(AtomicBool::new(false));
        let consumers = Arc::new(Mutex::new(Consumers::default()));
        let (jobs, received) = unbounded();
        thread::spawn({
            let lost = Arc::clone(&lost);
            move || run(&received, &lost)
        });
        thread::spawn({
            let (channel, consumers) = (consuming.clone(), Arc::clone(&consumers));
            let events = channel.events();
            // The thread must not keep the channel open.
            drop(channel);
            let nacks = consuming.clone();
            move || forward(&events, &nacks, &consumers)
        });
        Arc::new(Fake {
            connection,
            publishing,
            consuming,
            jobs,
            lost,
            blocked: AtomicBool::new(false),
            next: AtomicU64::new(1),
            consumers,
            before_settle: Mutex::default(),
            dead_letters: Mutex::default(),
        })
    }

    /// Has `call` called before each settlement.
    pub(super) fn before_settle(&self, call: impl Fn() + Send + 'static) {
        *self.before_settle.lock().unwrap() = Some(Box::new(call));
    }

    /// Has the queues be known to have their dead letters in this one.
    pub(super) fn bury_in(&self, queue: &str) {
        *self.dead_letters.lock().unwrap() = Some(Name::new(queue).unwrap());
    }

    /// A connection of typed handles over this backend.
    pub(super) fn handles(self: &Arc<Self>) -> Connection {
        self.handles_at(Time::default())
    }

    /// As [`handles`](Self::handles), with a clock of its own in this process.
    pub(super) fn handles_at(self: &Arc<Self>, time: Time) -> Connection {
        let timers = Arc::new(Timers::new(time.clone()));
        let name = Name::new("/").unwrap();
        let settings = VhostSettings {
            always_encode: true,
            ..VhostSettings::default()
        };
        let vhost = VirtualHost::new(name, time, timers, Arc::default(), settings, None).unwrap();
        let backend = Arc::clone(self) as Arc<dyn Backend>;
        let user = Name::new("guest").unwrap();
        let about = ConnectionAbout {
            mechanism: Some("PLAIN".into()),
            connected_at: std::time::UNIX_EPOCH,
            options: ConnectionOptions::default(),
        };
        Connection::open(&vhost, 1, (user, Access::All), about, Some(backend), None)
    }

    /// Delays all operations until the guard is dropped.
    pub(super) fn hold(&self) -> Sender<()> {
        let (guard, released) = unbounded();
        self.jobs.send(Job::Hold(released)).unwrap();
        guard
    }

    /// Has the engine say that it takes no publishes.
    pub(super) fn block(&self) {
        self.blocked.store(true, SeqCst);
    }

    /// Loses the connection. Operations that have not completed never complete, and the engine
    /// requeues its deliveries.
    pub(super) fn lose(&self) {
        if self.lost.swap(true, SeqCst) {
            return;
        }
        self.connection.close().unwrap();
        let inboxes = std::mem::take(&mut self.consumers.lock().unwrap().inboxes);
        for inbox in inboxes.into_values() {
            inbox.cancelled(CancelReason::ConnectionClosed);
        }
    }

    fn start<T: Send + 'static>(
        &self,
        operation: impl FnOnce() -> T + Send + 'static,
    ) -> Completion<T> {
        let (completer, completion): (Completer<T>, _) = completion();
        let job: Operation = Box::new(move || {
            let outcome = operation();
            Box::new(move || completer.complete(outcome))
        });
        if !self.lost.load(SeqCst) {
            self.jobs.send(Job::Run(job)).unwrap();
        }
        completion
    }

    fn on_channel<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Channel) -> Result<T> + Send + 'static,
    ) -> Completion<Result<T>> {
        let channel = self.publishing.clone();
        self.start(move || operation(&channel))
    }
}

/// Runs jobs, and completes jobs that arrived together in reverse order. After a lost connection it
/// drops them.
fn run(jobs: &Receiver<Job>, lost: &AtomicBool) {
    while let Ok(first) = jobs.recv() {
        let mut completions = Vec::new();
        for job in std::iter::once(first).chain(jobs.try_iter()) {
            match job {
                Job::Hold(released) => drop(released.recv()),
                Job::Run(_) if lost.load(SeqCst) => {}
                Job::Run(operation) => completions.push(operation()),
            }
        }
        for complete in completions.into_iter().rev() {
            complete();
        }
    }
}

/// Forwards the deliveries of the engine to the inboxes of their consumers.
fn forward(
    events: &crate::session::channel::Events,
    channel: &Channel,
    consumers: &Mutex<Consumers>,
) {
    while let Ok(event) = events.recv() {
        match event {
            Event::Delivery(delivery) => {
                let inbox = {
                    let consumers = consumers.lock().unwrap();
                    consumers.inboxes.get(&**delivery.consumer_tag()).cloned()
                };
                let delivered = inbox.map(|inbox| inbox.deliver(inbound(&delivery)));
                if !matches!(delivered, Some(Ok(()))) {
                    let tag = delivery.delivery_tag();
                    let _ = channel.basic_cancel(delivery.consumer_tag());
                    let _ = channel.basic_nack(tag, Multiple::No, Requeue::Yes);
                }
            }
            Event::Cancelled {
                consumer_tag,
                reason,
            } => {
                let inbox = consumers.lock().unwrap().inboxes.remove(&*consumer_tag);
                if let Some(inbox) = inbox {
                    inbox.cancelled(reason);
                }
            }
            _ => {}
        }
    }
}

fn inbound(delivery: &ChannelDelivery) -> Inbound {
    Inbound {
        delivery: delivery.delivery_tag(),
        exchange: delivery.exchange(),
        routing_key: Name::new(delivery.routing_key()).unwrap(),
        redelivered: delivery.redelivered(),
        properties: delivery.properties().clone(),
        body: delivery.body().unwrap(),
    }
}

/// Publishes in confirm mode. The events with the result have arrived when `basic_publish` returns.
fn publish(channel: &Channel, message: Outbound) -> Confirmation {
    let Outbound {
        exchange,
        routing_key,
        mandatory,
        properties,
        body,
        ..
    } = message;
    let options = match mandatory {
        true => PublishOptions::new().mandatory(),
        false => PublishOptions::new(),
    };
    channel
        .basic_publish(&exchange, &routing_key, body, properties, options)
        .map_err(NotPublished::Invalid)?;
    let mut returned = false;
    loop {
        match channel.events().try_recv() {
            Ok(Event::Return(_)) => returned = true,
            Ok(Event::Confirm(confirm)) => {
                return match confirm.outcome {
                    ConfirmOutcome::Ack if returned => Err(NotPublished::NoRoute),
                    ConfirmOutcome::Ack => Ok(Published::to_one()),
                    ConfirmOutcome::Nack => Err(NotPublished::Refused {
                        by: Refusal {
                            queue: routing_key,
                            dead_lettered: false,
                        },
                        refused: 1,
                    }),
                };
            }
            Ok(_) => {}
            Err(_) => return Err(NotPublished::Invalid(Error::ConnectionClosed)),
        }
    }
}

impl Backend for Fake {
    fn tell(&self, _: &Arc<EventStream>) {}

    fn serve(&self, _: &Arc<Callers>) {}

    fn check_up(&self) -> Result {
        match self.lost.load(SeqCst) {
            true => Err(Error::ConnectionClosed),
            false => Ok(()),
        }
    }

    fn check_unblocked(&self) -> Result {
        match self.blocked.load(SeqCst) {
            true => Err(Error::ResourceError("blocked".into())),
            false => Ok(()),
        }
    }

    fn declare_exchange(&self, exchange: &Exchange) -> Completion<Result<()>> {
        let exchange = exchange.clone();
        self.on_channel(move |channel| channel.declare(&exchange).map(drop))
    }

    fn declare_queue(&self, queue: &Queue) -> Completion<Result<QueueDeclared>> {
        let queue = queue.clone();
        self.on_channel(move |channel| {
            let declared = channel.declare(&queue)?;
            channel.queue_declare_passive(declared.name())
        })
    }

    fn delete_exchange(&self, name: &str) -> Completion<Result<()>> {
        let name = name.to_owned();
        self.on_channel(move |channel| channel.exchange_delete(&name, IfUnused::No))
    }

    fn delete_queue(&self, name: &str) -> Completion<Result<u64>> {
        let name = name.to_owned();
        self.on_channel(move |channel| channel.queue_delete(&name, IfUnused::No, IfEmpty::No))
    }

    fn ready_len(&self, queue: &Name) -> Completion<Result<usize>> {
        let queue = queue.clone();
        self.on_channel(move |channel| {
            let declared = channel.queue_declare_passive(&queue)?;
            Ok(declared.message_count as usize)
        })
    }

    fn purge(&self, queue: &Name, _: bool) -> Completion<Result<u64>> {
        let queue = queue.clone();
        self.on_channel(move |channel| channel.queue_purge(&queue))
    }

    fn get(&self, queue: &Name, _: bool) -> Completion<Result<Option<Got>>> {
        let (queue, channel) = (queue.clone(), self.consuming.clone());
        self.start(move || {
            let got = channel.basic_get(&queue, AckMode::Manual)?;
            Ok(got.map(|got| {
                let channel = channel.clone();
                Got::new(inbound(&got), move |delivery| {
                    let _ = channel.basic_nack(delivery, Multiple::No, Requeue::Yes);
                })
            }))
        })
    }

    fn publish(&self, message: Outbound) -> Completion<Confirmation> {
        let channel = self.publishing.clone();
        self.start(move || publish(&channel, message))
    }

    fn subscribe(
        &self,
        consumer: RemoteConsumer,
        inbox: Arc<RemoteInbox>,
    ) -> Completion<Result<u64>> {
        let number = self.next.fetch_add(1, SeqCst);
        let tag = match consumer.tag.is_empty() {
            true => format!("ctag-{number}"),
            false => consumer.tag.to_string(),
        };
        let (channel, consumers) = (self.consuming.clone(), Arc::clone(&self.consumers));
        let cancelled = tag.clone();
        self.start(move || {
            let mut options = ConsumeOptions::new()
                .tag(tag.clone())
                .priority(consumer.priority as i32);
            if consumer.exclusive {
                options = options.exclusive();
            }
            if let Some(timeout) = consumer.timeout {
                let millis = timeout.as_millis() as i64;
                options = options.argument("x-consumer-timeout", millis);
            }
            {
                let mut consumers = consumers.lock().unwrap();
                consumers.inboxes.insert(tag.clone(), Arc::clone(&inbox));
                consumers.tags.insert(number, tag);
            }
            let prefetch = consumer.prefetch as u16;
            channel.basic_qos(0, prefetch, QosScope::Consumer)?;
            channel.basic_consume(&consumer.queue, options)?;
            // Its receiver may have gone meanwhile, and does not know the number.
            if inbox.is_closed() {
                channel.basic_cancel(&cancelled)?;
            }
            Ok(number)
        })
    }

    fn cancel(&self, consumer: u64) {
        let tag = {
            let mut consumers = self.consumers.lock().unwrap();
            let tag = consumers.tags.remove(&consumer).unwrap();
            consumers.inboxes.remove(&tag);
            tag
        };
        // After a lost connection this fails, since the consumers have ended with it.
        let _ = self.consuming.basic_cancel(&tag);
    }

    fn settle(&self, delivery: u64, settlement: RemoteSettlement) -> Result {
        if let Some(call) = &*self.before_settle.lock().unwrap() {
            call();
        }
        if self.lost.load(SeqCst) {
            return Err(Error::ConnectionClosed);
        }
        match settlement {
            RemoteSettlement::Ack => self.consuming.basic_ack(delivery, Multiple::No),
            RemoteSettlement::Requeue => {
                self.consuming
                    .basic_nack(delivery, Multiple::No, Requeue::Yes)
            }
            RemoteSettlement::Reject => self.consuming.basic_reject(delivery, Requeue::No),
        }
    }

    fn dead_letters_of(&self, _: &Name) -> Option<(Name, Option<Name>)> {
        let queue = self.dead_letters.lock().unwrap().clone();
        queue.map(|queue| (Name::empty(), Some(queue)))
    }

    fn replace(&self, delivery: u64, message: Outbound, under_way: Move) -> Result {
        self.check_up()?;
        let (publishing, consuming) = (self.publishing.clone(), self.consuming.clone());
        drop(self.start(move || {
            publish(&publishing, message).unwrap_or_else(|_| panic!("it is not published"));
            consuming.basic_ack(delivery, Multiple::No).unwrap();
            drop(under_way);
        }));
        Ok(())
    }

    fn close(&self) {
        self.lose();
    }
}
