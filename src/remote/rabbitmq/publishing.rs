//! Publishes and their confirms.
//!
//! A publish is sent by the thread that publishes, so that publishes have the order of the calls.
//! The driver of the link waits for the confirms.

use std::{
    collections::VecDeque,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::{
    FutureExt,
    stream::{FuturesUnordered, Next, StreamExt},
};
use lapin::{
    BasicProperties, Channel, Confirmation as LapinConfirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::{
    consuming, fault,
    fields::{checked, to_properties},
    link::{Link, Live},
    returned::Returned,
    settings::Unconfirmed,
};
use crate::{
    engine::vhost::{Published, Refusal},
    model::error::Error,
    runtime::{
        completion::{Completer, Completion, completion},
        sync::Mutex,
    },
    session::{
        backend::{Confirmation, Outbound},
        publisher::NotPublished,
    },
};

/// A publish that is sent or confirmed. It does nothing until it is polled.
pub(super) type Sending = Pin<Box<dyn Future<Output = Sent> + Send>>;

/// A publish that the server has confirmed, or that has failed.
pub(super) struct Sent {
    pub(super) publish: Publish,
    pub(super) outcome: lapin::Result<LapinConfirmation>,
}

/// A message to be published.
pub(super) struct Publish {
    /// The place in the order of all publishes.
    number: u64,
    pub(super) message: Outbound,
    exchange: ShortString,
    routing_key: ShortString,
    pub(super) properties: BasicProperties,
    completer: Completer<Confirmation>,
}

impl Publish {
    fn fail(self, error: Error) {
        self.completer.complete(Err(NotPublished::Invalid(error)));
    }

    /// Ends it with what the server says.
    fn settle(self, outcome: &LapinConfirmation, is_returned: bool) {
        let is_refused = matches!(outcome, LapinConfirmation::Nack(_));
        self.completer
            .complete(match (is_returned, self.message.mandatory) {
                (true, true) => Err(NotPublished::NoRoute),
                (true, false) => Ok(Published::default()),
                (false, _) if is_refused => Err(NotPublished::Refused {
                    by: Refusal {
                        // The server does not tell the queue.
                        queue: match self.message.routing_key.is_empty() {
                            true => self.message.exchange,
                            false => self.message.routing_key,
                        },
                        dead_lettered: false,
                    },
                    refused: 1,
                }),
                (false, _) => Ok(Published::to_one()),
            });
    }
}

/// Where publishes go.
pub(super) struct Publisher {
    /// A leaf lock.
    way: Mutex<Way>,
    sent: UnboundedSender<Sending>,
}

struct Way {
    next: u64,
    state: State,
}

enum State {
    Open(Channel),
    /// There is no channel now. The error is that of a lost connection.
    Waiting(VecDeque<Publish>, Option<Error>),
    Ended,
}

impl Publisher {
    pub(super) fn new(sent: UnboundedSender<Sending>) -> Publisher {
        Publisher {
            way: Mutex::new(Way {
                next: 0,
                state: State::Waiting(VecDeque::new(), None),
            }),
            sent,
        }
    }

    /// Publishes a message, now or when there is a channel again.
    pub(super) fn publish(
        &self,
        message: Outbound,
        unconfirmed: Unconfirmed,
    ) -> Completion<Confirmation> {
        let (completer, completion) = completion();
        let made = to_properties(&message.properties).and_then(|properties| {
            let names = (checked(&message.exchange)?, checked(&message.routing_key)?);
            Ok((properties, names))
        });
        let (properties, (exchange, routing_key)) = match made {
            Ok(made) => made,
            Err(error) => {
                completer.complete(Err(NotPublished::Invalid(error)));
                return completion;
            }
        };
        let failed = {
            let mut way = self.way.lock();
            let publish = Publish {
                number: way.next,
                message,
                exchange,
                routing_key,
                properties,
                completer,
            };
            way.next += 1;
            match &mut way.state {
                State::Open(channel) => {
                    self.start(channel, publish);
                    None
                }
                State::Waiting(_, Some(error)) if unconfirmed == Unconfirmed::GiveBack => {
                    Some((publish, error.clone()))
                }
                State::Waiting(waiting, _) => {
                    waiting.push_back(publish);
                    None
                }
                State::Ended => Some((publish, Error::ConnectionClosed)),
            }
        };
        if let Some((publish, error)) = failed {
            publish.fail(error);
        }
        completion
    }

    /// Sends a message, and has the driver wait for its confirm.
    fn start(&self, channel: &Channel, publish: Publish) {
        let mut sending: Sending = Box::pin(send(channel.clone(), publish));
        // The first poll puts the message into line at the client. It waits for nothing.
        let mut context = Context::from_waker(Waker::noop());
        let sending = match sending.as_mut().poll(&mut context) {
            Poll::Pending => sending,
            Poll::Ready(sent) => Box::pin(ready(sent)),
        };
        // The driver lives as long as the link.
        let _ = self.sent.send(sending);
    }

    /// Has publishes wait for a channel.
    pub(super) fn suspend(&self, fault: Option<Error>) {
        let state = &mut self.way.lock().state;
        match state {
            State::Open(_) => *state = State::Waiting(VecDeque::new(), fault),
            State::Waiting(_, known) => *known = fault.or(known.take()),
            State::Ended => {}
        }
    }

    /// The channel of publishes, if it is open.
    pub(super) fn channel(&self) -> Option<Channel> {
        match &self.way.lock().state {
            State::Open(channel) => Some(channel.clone()),
            State::Waiting(..) | State::Ended => None,
        }
    }

    /// Sends what has waited, in order, and then every publish at once.
    fn open(&self, channel: Channel) {
        let mut way = self.way.lock();
        if let State::Waiting(waiting, _) = &mut way.state {
            for publish in waiting.drain(..) {
                self.start(&channel, publish);
            }
            way.state = State::Open(channel);
        }
    }
}

async fn send(channel: Channel, publish: Publish) -> Sent {
    // Also for messages that are not mandatory: the outcome tells then that no queue has them.
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties = publish.properties.clone();
    let (exchange, key) = (publish.exchange.clone(), publish.routing_key.clone());
    let body = &publish.message.body;
    let sending = channel.basic_publish(exchange, key, options, body, properties);
    let outcome = match sending.await {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    Sent { publish, outcome }
}

impl Link {
    /// Opens the channel of publishes on a connection. Those that were under way when an error
    /// ended the last channel are sent first, one by one, so that the guilty one shows.
    ///
    /// # Errors
    /// Those of a lost connection.
    pub(super) async fn open_publisher(
        self: &Arc<Self>,
        live: &Live,
        unsettled: &mut Unsettled,
    ) -> lapin::Result<()> {
        let mut channel = self.publishing_channel(live).await?;
        while let Some(publish) = unsettled.suspects.pop_front() {
            // Among those under way, it is not lost if this future is dropped.
            unsettled.push(Box::pin(send(channel.clone(), publish)));
            let Some(Sent { publish, outcome }) = unsettled.next().await else {
                break;
            };
            match outcome {
                Ok(confirmation) => {
                    let is_returned = has_returned(&confirmation);
                    publish.settle(&confirmation, is_returned);
                }
                Err(error) if fault::is_own_fault(&error) => {
                    publish.fail(fault::of_operation(&error, &live.address));
                    channel = self.publishing_channel(live).await?;
                }
                Err(error) => {
                    unsettled.suspects.push_front(publish);
                    return Err(error);
                }
            }
        }
        unsettled.channel = Some(channel.clone());
        unsettled.returned = Returned::default();
        self.publisher.open(channel);
        Ok(())
    }

    async fn publishing_channel(self: &Arc<Self>, live: &Live) -> lapin::Result<Channel> {
        let channel = live.connection.create_channel().await?;
        let options = ConfirmSelectOptions::default();
        channel.confirm_select(options).await?;
        consuming::take_replies(self, &channel).await?;
        Ok(channel)
    }
}

fn has_returned(confirmation: &LapinConfirmation) -> bool {
    match confirmation {
        LapinConfirmation::Ack(message) | LapinConfirmation::Nack(message) => message.is_some(),
        LapinConfirmation::NotRequested => false,
    }
}

/// The publishes that wait for their confirms. The driver alone has them.
#[derive(Default)]
pub(super) struct Unsettled {
    sending: FuturesUnordered<Sending>,
    /// Those that have ended while all were awaited.
    ended: Vec<Sent>,
    /// The channel that they are on.
    channel: Option<Channel>,
    returned: Returned,
    /// Those whose connection or channel is lost.
    failed: Vec<Publish>,
    /// Those of a channel or a connection that was closed because of one of them.
    suspects: VecDeque<Publish>,
}

/// How long the client may take to give up on publishes after the end of a connection.
const GIVE_UP: Duration = Duration::from_secs(5);

impl Unsettled {
    pub(super) fn push(&mut self, sending: Sending) {
        self.sending.push(sending);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sending.is_empty()
    }

    pub(super) fn next(&mut self) -> Next<'_, FuturesUnordered<Sending>> {
        self.sending.next()
    }

    /// Settles a publish, and all others that have ended. If an error of one has closed their
    /// channel, there is another channel afterwards.
    ///
    /// # Errors
    /// That of a lost connection.
    pub(super) async fn settle(
        &mut self,
        link: &Arc<Link>,
        live: &Live,
        sent: &mut UnboundedReceiver<Sending>,
        first: Sent,
    ) -> lapin::Result<()> {
        let Some(error) = self.settle_ended(first) else {
            return Ok(());
        };
        if !live.is_up() {
            return Err(error);
        }
        link.publisher.suspend(None);
        self.collect(sent).await;
        self.suspect();
        link.open_publisher(live, self).await
    }

    /// Settles a publish, and all others that have ended by now. Returns the error of those that
    /// failed, if there are any.
    fn settle_ended(&mut self, first: Sent) -> Option<lapin::Error> {
        let mut ended = vec![first];
        self.drain_ended(&mut ended);
        if !self.sending.is_empty() || ended.len() > 1 {
            // The server confirms several messages at once, and the client then tells the outcomes
            // one by one, under a lock. A returned message may be with any of these outcomes. So
            // all of them must be here: this call needs the same lock, and waits for no message.
            if let Some(channel) = &self.channel {
                let _ = channel.wait_for_confirms().now_or_never();
            }
            self.drain_ended(&mut ended);
        }
        self.settle_all(ended)
    }

    fn drain_ended(&mut self, ended: &mut Vec<Sent>) {
        while let Some(Some(sent)) = self.sending.next().now_or_never() {
            ended.push(sent);
        }
    }

    fn settle_all(&mut self, mut ended: Vec<Sent>) -> Option<lapin::Error> {
        for Sent { outcome, .. } in &mut ended {
            if let Ok(
                LapinConfirmation::Ack(message @ Some(_))
                | LapinConfirmation::Nack(message @ Some(_)),
            ) = outcome
            {
                self.returned.extend(message.take());
            }
        }
        if !self.returned.is_empty() {
            ended.sort_unstable_by_key(|sent| sent.publish.number);
        }
        let mut failure = None;
        for Sent { publish, outcome } in ended {
            match outcome {
                Ok(confirmation) => {
                    let is_returned = self.returned.take(&publish);
                    publish.settle(&confirmation, is_returned);
                }
                Err(error) => {
                    self.failed.push(publish);
                    failure = Some(error);
                }
            }
        }
        if self.sending.is_empty() {
            // No publish is left that could claim them.
            self.returned = Returned::default();
        }
        failure
    }

    /// Waits until every publish under way has ended. No channel is open, and so none begins.
    pub(super) async fn collect(&mut self, sent: &mut UnboundedReceiver<Sending>) {
        while let Ok(sending) = sent.try_recv() {
            self.sending.push(sending);
        }
        // Publishes that have ended are kept if this future is dropped.
        let collecting = async {
            while let Some(sent) = self.sending.next().await {
                self.ended.push(sent);
            }
        };
        // Those that never end are dropped, which their callers notice.
        let _ = tokio::time::timeout(GIVE_UP, collecting).await;
        self.sending = FuturesUnordered::new();
        self.channel = None;
        let ended = std::mem::take(&mut self.ended);
        self.settle_all(ended);
    }

    /// One of the failed publishes is to blame.
    fn suspect(&mut self) {
        self.failed.sort_unstable_by_key(|publish| publish.number);
        self.suspects.extend(self.failed.drain(..));
    }

    /// Puts failed publishes in front of those that wait, or gives them back.
    pub(super) fn requeue(&mut self, link: &Link, error: &Error) {
        let mut failed = std::mem::take(&mut self.failed);
        failed.sort_unstable_by_key(|publish| publish.number);
        if link.settings.unconfirmed == Unconfirmed::GiveBack {
            let all = failed.into_iter().chain(self.suspects.drain(..));
            let waiting = link.publisher.take_waiting();
            all.chain(waiting)
                .for_each(|publish| publish.fail(error.clone()));
            return;
        }
        link.publisher.wait_first(failed);
    }

    /// Gives everything back.
    pub(super) fn end(&mut self, link: &Link) {
        let failed = std::mem::take(&mut self.failed);
        let all = failed.into_iter().chain(self.suspects.drain(..));
        let waiting = link.publisher.end();
        all.chain(waiting)
            .for_each(|publish| publish.fail(Error::ConnectionClosed));
    }
}

impl Publisher {
    /// Puts publishes in front of those that wait.
    fn wait_first(&self, publishes: Vec<Publish>) {
        if let State::Waiting(waiting, _) = &mut self.way.lock().state {
            for publish in publishes.into_iter().rev() {
                waiting.push_front(publish);
            }
        }
    }

    fn take_waiting(&self) -> VecDeque<Publish> {
        match &mut self.way.lock().state {
            State::Waiting(waiting, _) => std::mem::take(waiting),
            State::Open(_) | State::Ended => VecDeque::new(),
        }
    }

    fn end(&self) -> VecDeque<Publish> {
        let mut way = self.way.lock();
        match std::mem::replace(&mut way.state, State::Ended) {
            State::Waiting(waiting, _) => waiting,
            State::Open(_) | State::Ended => VecDeque::new(),
        }
    }
}
