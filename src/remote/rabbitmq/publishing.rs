//! Publishes, on their way to the server.
//!
//! A publish is sent by the thread that publishes, so that publishes have the order of the calls.
//! The driver of the link waits for the confirms.
//!
//! Requests and streams of replies have a channel of their own, on which the replies to them come.
//! So the replies are not lost when the server closes the channel of the other publishes, because
//! the exchange of one is gone.

use std::{
    collections::VecDeque,
    future::{Future, ready},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
};

use lapin::{
    BasicProperties, Channel, Confirmation as LapinConfirmation, options::BasicPublishOptions,
    types::ShortString,
};
use tokio::sync::{
    Notify,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::{
    fields::{checked, to_properties},
    settings::Unconfirmed,
};
use crate::{
    engine::vhost::{Published, REPLY_TO, Refusal},
    model::error::{Error, Result},
    runtime::{
        completion::{Completer, Completion, completion},
        sync::Mutex,
    },
    session::{
        backend::{Confirmation, Outbound},
        callers::Callers,
        publisher::NotPublished,
    },
};

/// A publish that is sent or confirmed. It does nothing until it is polled.
pub(super) type Sending = Pin<Box<dyn Future<Output = Sent> + Send>>;

/// A publish that the server has confirmed, or that has failed.
pub(super) struct Sent {
    pub(super) publish: Box<Publish>,
    pub(super) outcome: lapin::Result<LapinConfirmation>,
}

/// A message to be published.
pub(super) struct Publish {
    /// The place in the order of all publishes.
    pub(super) number: u64,
    pub(super) message: Outbound,
    /// It fails when the connection is lost.
    pub(super) gives_back: bool,
    /// It is a request, which its caller waits for.
    is_request: bool,
    completer: Completer<Confirmation>,
}

/// What the client sends of a message beside its body. The client takes it, so it is made again if
/// the message is sent again.
pub(super) struct Head {
    exchange: ShortString,
    routing_key: ShortString,
    pub(super) properties: BasicProperties,
}

impl Head {
    /// The expiration is shortened by the time that the message has waited here.
    ///
    /// # Errors
    /// [`Error::InvalidName`] and the errors of properties that AMQP cannot have.
    pub(super) fn of(message: &Outbound) -> Result<Head> {
        let properties = to_properties(&message.properties)?;
        Ok(Head {
            exchange: checked(&message.exchange)?,
            routing_key: checked(&message.routing_key)?,
            properties: match &message.expires {
                Some(expires) => properties.with_expiration(expires.expiration().into()),
                None => properties,
            },
        })
    }
}

/// A message that is about to be sent. It is boxed, as for [`send`].
type WithHead = (Box<Publish>, Head);

impl Publish {
    /// Fails if there is no head of the message.
    pub(super) fn with_head(self) -> Option<WithHead> {
        match Head::of(&self.message) {
            Ok(head) => Some((Box::new(self), head)),
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    pub(super) fn fail(self, error: Error) {
        self.completer.complete(Err(NotPublished::Invalid(error)));
    }

    /// Whether it is a direct reply. RabbitMQ 3.10 returns each of them, also if it arrives.
    fn is_direct_reply(&self) -> bool {
        let rest = self.message.routing_key.strip_prefix(REPLY_TO);
        self.message.exchange.is_empty() && rest.is_some_and(|rest| rest.starts_with('.'))
    }

    /// Ends it with what the server says.
    pub(super) fn settle(self, outcome: &LapinConfirmation, is_returned: bool) {
        let is_mandatory = self.message.mandatory && !self.is_direct_reply();
        let is_refused = matches!(outcome, LapinConfirmation::Nack(_));
        self.completer.complete(match (is_returned, is_mandatory) {
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

/// Where publishes go: one of the channels of publishes.
pub(super) struct Publisher {
    /// Before the lock of the callers.
    way: Mutex<Way>,
    sent: UnboundedSender<Sending>,
    /// Told when a publish waits.
    waits: Notify,
    /// Those who wait for the replies that come on the same channel, once they are known. None on
    /// the channel of the other publishes.
    callers: OnceLock<Arc<Callers>>,
}

struct Way {
    next: u64,
    state: State,
}

enum State {
    Open(Arc<Channel>),
    /// There is no channel now. The error is that of a lost connection.
    Waiting(VecDeque<Publish>, Option<Error>),
    Ended,
}

impl Publisher {
    /// The driver gets the publishes that are sent.
    pub(super) fn new() -> (Publisher, UnboundedReceiver<Sending>) {
        let (sent, receiver) = unbounded_channel();
        let publisher = Publisher {
            way: Mutex::new(Way {
                next: 0,
                state: State::Waiting(VecDeque::new(), None),
            }),
            sent,
            waits: Notify::new(),
            callers: OnceLock::new(),
        };
        (publisher, receiver)
    }

    /// Takes the messages of these callers.
    pub(super) fn serve(&self, callers: &Arc<Callers>) {
        // Set once, when the connection is made.
        let _ = self.callers.set(Arc::clone(callers));
    }

    pub(super) fn callers(&self) -> Option<&Arc<Callers>> {
        self.callers.get()
    }

    /// Whether a message is that of a caller.
    pub(super) fn is_for(&self, message: &Outbound) -> bool {
        let callers = self.callers();
        callers.is_some_and(|callers| callers.key_of(&message.properties).is_some())
    }

    /// Waits until a publish waits for a channel.
    pub(super) async fn waiting(&self) {
        self.waits.notified().await;
    }

    /// Publishes a message, now or when there is a channel again.
    pub(super) fn publish(
        &self,
        message: Outbound,
        unconfirmed: Unconfirmed,
    ) -> Completion<Confirmation> {
        let (publish, completion) = self.make(message, unconfirmed);
        self.hand_over(publish);
        completion
    }

    /// As [`publish`](Self::publish), for messages that follow one another. The client sends them
    /// in large pieces, and the driver is woken once.
    pub(super) fn publish_all(
        &self,
        messages: Vec<Outbound>,
        unconfirmed: Unconfirmed,
    ) -> Vec<Completion<Confirmation>> {
        let made = messages.into_iter().map(|it| self.make(it, unconfirmed));
        let (publishes, completions): (Vec<_>, _) = made.unzip();
        self.hand_over(publishes.into_iter().flatten());
        completions
    }

    /// `None` if the message cannot be published. The completion tells why.
    fn make(
        &self,
        message: Outbound,
        unconfirmed: Unconfirmed,
    ) -> (Option<WithHead>, Completion<Confirmation>) {
        let (completer, completion) = completion();
        let callers = self.callers();
        let publish = Publish {
            number: 0,
            gives_back: unconfirmed == Unconfirmed::GiveBack || !message.waits,
            is_request: callers.is_some_and(|it| it.is_request(&message.properties)),
            message,
            completer,
        };
        (publish.with_head(), completion)
    }

    /// Sends the messages, or has them wait for a channel.
    fn hand_over(&self, publishes: impl IntoIterator<Item = WithHead>) {
        let (mut started, mut failed) = (Vec::new(), Vec::new());
        let mut way = self.way.lock();
        for (mut publish, head) in publishes {
            publish.number = way.next;
            way.next += 1;
            match &mut way.state {
                State::Open(channel) => started.extend(self.start(channel, publish, head)),
                State::Waiting(_, Some(error)) if publish.gives_back => {
                    let error = error.clone();
                    failed.push((publish, error));
                }
                State::Waiting(waiting, _) => {
                    waiting.push_back(*publish);
                    self.waits.notify_one();
                }
                State::Ended => failed.push((publish, Error::ConnectionClosed)),
            }
        }
        self.await_confirms(started);
        drop(way);
        for (publish, error) in failed {
            publish.fail(error);
        }
    }

    /// Sends a message. `None` if its caller has gone.
    fn start(&self, channel: &Arc<Channel>, publish: Box<Publish>, head: Head) -> Option<Sending> {
        if let Some(callers) = self.callers() {
            match callers.key_of(&publish.message.properties) {
                Some(key) => callers.sent(key),
                // The caller has gone while its request waited.
                None if publish.is_request => return None,
                // A stream that has ended. The replies are for a caller elsewhere.
                None => {}
            }
        }
        let mut sending: Sending = Box::pin(send(Arc::clone(channel), publish, head));
        // The first poll puts the message into line at the client. It waits for nothing.
        let mut context = Context::from_waker(Waker::noop());
        match sending.as_mut().poll(&mut context) {
            Poll::Pending => Some(sending),
            Poll::Ready(sent) => Some(Box::pin(ready(sent))),
        }
    }

    /// Sends a message that has waited. `None` if that failed, or if its caller has gone.
    fn start_later(&self, channel: &Arc<Channel>, publish: Publish) -> Option<Sending> {
        let (publish, head) = publish.with_head()?;
        self.start(channel, publish, head)
    }

    /// Has the driver wait for the confirms of messages that were sent.
    fn await_confirms(&self, started: Vec<Sending>) {
        for sending in started {
            // The driver lives as long as the link.
            let _ = self.sent.send(sending);
        }
    }

    /// Waits until the driver has all messages that the client has by now.
    pub(super) fn wait_for_hand_over(&self) {
        drop(self.way.lock());
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

    /// There is a connection again. The channel is opened when a publish waits for it.
    pub(super) fn resume(&self) {
        if let State::Waiting(waiting, fault) = &mut self.way.lock().state {
            *fault = None;
            if !waiting.is_empty() {
                self.waits.notify_one();
            }
        }
    }

    /// Whether there is no channel.
    pub(super) fn is_closed(&self) -> bool {
        !matches!(self.way.lock().state, State::Open(_))
    }

    /// Sends what has waited, in order, and then every publish at once.
    pub(super) fn open(&self, channel: Arc<Channel>) {
        let mut way = self.way.lock();
        if let State::Waiting(waiting, _) = &mut way.state {
            let waiting = waiting.drain(..);
            let started = waiting.flat_map(|publish| self.start_later(&channel, publish));
            self.await_confirms(started.collect());
            way.state = State::Open(channel);
        }
    }
}

/// Publishes on a channel, and waits for the confirm. The publish is boxed, since a future has room
/// for its arguments twice.
pub(super) async fn send(channel: Arc<Channel>, publish: Box<Publish>, head: Head) -> Sent {
    // Also for messages that are not mandatory: the outcome tells then that no queue has them.
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let Head {
        exchange,
        routing_key: key,
        properties,
    } = head;
    let body = &publish.message.body;
    let sending = channel.basic_publish(exchange, key, options, body, properties);
    let outcome = match sending.await {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    Sent { publish, outcome }
}

impl Publisher {
    /// Puts publishes in front of those that wait.
    pub(super) fn wait_first(&self, publishes: Vec<Publish>) {
        if let State::Waiting(waiting, _) = &mut self.way.lock().state {
            for publish in publishes.into_iter().rev() {
                waiting.push_front(publish);
            }
        }
    }

    /// Takes those that wait and fail when the connection is lost.
    pub(super) fn take_given_back(&self) -> Vec<Publish> {
        match &mut self.way.lock().state {
            State::Waiting(waiting, _) => {
                let all = std::mem::take(waiting);
                let (given_back, kept): (Vec<_>, Vec<_>) =
                    all.into_iter().partition(|publish| publish.gives_back);
                *waiting = kept.into();
                given_back
            }
            State::Open(_) | State::Ended => Vec::new(),
        }
    }

    /// Takes all that wait.
    pub(super) fn take_waiting(&self) -> VecDeque<Publish> {
        match &mut self.way.lock().state {
            State::Waiting(waiting, _) => std::mem::take(waiting),
            State::Open(_) | State::Ended => VecDeque::new(),
        }
    }

    pub(super) fn end(&self) -> VecDeque<Publish> {
        let mut way = self.way.lock();
        match std::mem::replace(&mut way.state, State::Ended) {
            State::Waiting(waiting, _) => waiting,
            State::Open(_) | State::Ended => VecDeque::new(),
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        message::properties::Properties,
        model::{bytes::Bytes, name::Name},
        runtime::clock::{ManualClock, Time},
        session::backend::Expires,
    };

    #[test]
    fn a_message_that_has_waited_for_a_connection_expires_as_soon_as_without() {
        let clock = ManualClock::new();
        let time = Time::new(clock.clone());
        let expires = Expires::new(time.now() + Duration::from_secs(5), &time);
        let message = Outbound {
            exchange: Name::empty(),
            routing_key: Name::new("q").unwrap(),
            mandatory: false,
            waits: true,
            properties: Properties::new().expiration("5000"),
            body: Bytes::default(),
            expires: Some(expires),
        };
        let (publisher, _sent) = Publisher::new();
        let _completion = publisher.publish(message, Unconfirmed::SendAgain);
        clock.advance(Duration::from_secs(3));
        let publish = publisher.take_waiting().pop_front().unwrap();
        let expiration = |publish: &Publish| {
            let Head { properties, .. } = Head::of(&publish.message).unwrap();
            properties.expiration().clone().unwrap()
        };
        assert_eq!(expiration(&publish).as_str(), "2000");
        clock.advance(Duration::from_secs(3));
        assert_eq!(expiration(&publish).as_str(), "0");
    }
}
