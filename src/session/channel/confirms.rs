//! Publisher confirms of a channel: what is under way, and waiting until it is confirmed.

use std::{fmt, future::Future, sync::Arc, task::Poll, time::Duration};

use super::{
    Channel, ChannelCore, ChannelState, PublishMode,
    events::{Confirm, ConfirmOutcome, Event},
};
use crate::{
    engine::vhost::Published,
    model::error::{Error, Result},
    runtime::waiter::{self, Ticket, WaitList, Waiting, Wake},
};

/// What a channel in confirm mode remembers.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    /// How many messages were published, which is the number of the latest.
    published: u64,
    /// Those that are not confirmed yet: no more than threads are publishing.
    under_way: Vec<u64>,
    /// One was refused since somebody waited last.
    nacked: bool,
    /// Those who wait until some are confirmed.
    waiting: WaitList,
}

impl Confirms {
    /// One more message is published; returns its number.
    pub(super) fn begin(&mut self) -> u64 {
        self.published += 1;
        self.under_way.push(self.published);
        self.published
    }

    fn end(&mut self, number: u64, outcome: ConfirmOutcome) -> Vec<Wake> {
        self.under_way.retain(|other| *other != number);
        self.nacked |= outcome == ConfirmOutcome::Nack;
        self.waiting.take_all()
    }

    /// Whether all messages up to `number` are confirmed.
    fn is_over(&self, number: u64) -> bool {
        self.under_way.iter().all(|other| *other > number)
    }

    /// Nack if a message was nacked since the last look.
    fn take_outcome(&mut self) -> ConfirmOutcome {
        match std::mem::take(&mut self.nacked) {
            true => ConfirmOutcome::Nack,
            false => ConfirmOutcome::Ack,
        }
    }

    /// Those who wait, as the channel closes.
    pub(super) fn close(mut self) -> Vec<Wake> {
        self.waiting.take_all()
    }
}

/// A message in confirm mode between its number and its confirm, which comes when this is dropped: negative, unless the
/// message was published.
pub(super) struct UnderWay<'a> {
    pub(super) core: &'a ChannelCore,
    pub(super) number: u64,
    pub(super) outcome: ConfirmOutcome,
}

impl UnderWay<'_> {
    pub(super) fn confirm(mut self, published: Published) {
        if published.refused == 0 {
            self.outcome = ConfirmOutcome::Ack;
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.core.lock();
        let reader = state.send(Event::Confirm(Confirm {
            delivery_tag: self.number,
            multiple: false,
            outcome: self.outcome,
        }));
        let waiting = match &mut state.mode {
            PublishMode::Confirm(confirms) => confirms.end(self.number, self.outcome),
            // It is closed.
            PublishMode::Plain | PublishMode::Tx(_) => Vec::new(),
        };
        drop(state);
        for wake in reader.into_iter().chain(waiting) {
            wake.wake();
        }
    }
}

/// The confirms of all messages up to one.
struct UpTo {
    core: Arc<ChannelCore>,
    number: u64,
}

impl waiter::Waitable for UpTo {
    type Output = Result<ConfirmOutcome>;

    fn attempt(&self, ticket: Option<Ticket<'_>>) -> Poll<Result<ConfirmOutcome>> {
        let mut state = match self.core.open() {
            Ok(state) => state,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let Ok(confirms) = state.confirms() else {
            return Poll::Ready(Err(Error::not_confirming()));
        };
        if confirms.is_over(self.number) {
            return Poll::Ready(Ok(confirms.take_outcome()));
        }
        if let Some(ticket) = ticket {
            confirms.waiting.register(ticket);
        }
        Poll::Pending
    }

    fn with_waiters(&self, f: &mut dyn FnMut(&mut WaitList)) {
        match self.core.lock().confirms() {
            Ok(confirms) => f(&mut confirms.waiting),
            // Whoever waited was woken when the channel closed.
            Err(_) => f(&mut WaitList::default()),
        }
    }
}

impl ChannelState {
    fn confirms(&mut self) -> Result<&mut Confirms> {
        match &mut self.mode {
            PublishMode::Confirm(confirms) => Ok(confirms),
            PublishMode::Plain | PublishMode::Tx(_) => Err(Error::not_confirming()),
        }
    }
}

impl Channel {
    /// Turns publisher confirms on (`confirm.select`, a RabbitMQ extension), for good: every message published from
    /// now on is confirmed by an [`Event::Confirm`]. Again is the same as once.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] on a transactional channel, and the errors of a closed channel.
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::{ConfirmOutcome, Event, PublishOptions}, Overflow, Properties, Queue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::new("small").max_length(1).overflow(Overflow::RejectPublish))?;
    /// channel.confirm_select()?;
    /// for body in ["first", "second"] {
    ///     channel.basic_publish("", "small", body, Properties::new(), PublishOptions::new())?;
    /// }
    /// let events = channel.events();
    /// for outcome in [ConfirmOutcome::Ack, ConfirmOutcome::Nack] {
    ///     assert!(matches!(events.try_recv()?, Event::Confirm(confirm) if confirm.outcome == outcome));
    /// }
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn confirm_select(&self) -> Result {
        let mut state = self.core().open()?;
        match state.mode {
            PublishMode::Tx(_) => Err(Error::confirm_in_tx_mode()),
            PublishMode::Confirm(_) => Ok(()),
            PublishMode::Plain => {
                state.mode = PublishMode::Confirm(Confirms::default());
                Ok(())
            }
        }
    }

    /// Waits until every message that was published on this channel before is confirmed. `true` if all are acknowledged;
    /// `false` if one was refused (a negative confirm) since the last such wait, or since confirms were turned on.
    ///
    /// The confirms of a message are there when its [`basic_publish`](Self::basic_publish) returns, so that only messages that
    /// other threads are just publishing are waited for. Each confirm is an [`Event::Confirm`] as well, and stays in the
    /// stream until it is read.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] unless the channel is in [confirm mode](Self::confirm_select), and the errors of a closed
    /// channel, also if it closes meanwhile.
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::{ConfirmOutcome, PublishOptions}, Overflow, Properties, Queue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::new("small").max_length(1).overflow(Overflow::RejectPublish))?;
    /// assert_eq!(channel.wait_for_confirms().unwrap_err().reply_code(), Some(406)); // not in confirm mode yet
    /// channel.confirm_select()?;
    /// let publish = |body: &str| channel.basic_publish("", "small", body.to_owned(), Properties::new(), PublishOptions::new());
    /// publish("first")?;
    /// assert_eq!(channel.wait_for_confirms()?, ConfirmOutcome::Ack);
    /// publish("second")?;
    /// assert_eq!(channel.wait_for_confirms()?, ConfirmOutcome::Nack); // no room for it
    /// assert_eq!(channel.wait_for_confirms()?, ConfirmOutcome::Ack); // nothing since
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn wait_for_confirms(&self) -> Result<ConfirmOutcome> {
        // Without a deadline the wait ends with the confirms or with the channel.
        waiter::wait(&self.up_to_now()?, None).unwrap_or(Err(Error::Timeout))
    }

    /// As [`wait_for_confirms`](Self::wait_for_confirms), but never waits: `None` if a message is not confirmed yet.
    ///
    /// # Errors
    /// As [`wait_for_confirms`](Self::wait_for_confirms).
    ///
    /// # Examples
    /// ```
    /// use leveret::channel::ConfirmOutcome;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.confirm_select()?;
    /// assert_eq!(channel.try_wait_for_confirms()?, Some(ConfirmOutcome::Ack)); // nothing was published
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn try_wait_for_confirms(&self) -> Result<Option<ConfirmOutcome>> {
        match waiter::Waitable::attempt(&self.up_to_now()?, None) {
            Poll::Ready(confirmed) => confirmed.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// As [`wait_for_confirms`](Self::wait_for_confirms), but waits at most `timeout`, by the broker's clock.
    ///
    /// # Errors
    /// As [`wait_for_confirms`](Self::wait_for_confirms), and [`Error::Timeout`] if a message is not confirmed in time.
    ///
    /// # Examples
    /// ```
    /// use leveret::channel::ConfirmOutcome;
    /// # use leveret::{Broker, Credentials};
    /// # use std::time::Duration;
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.confirm_select()?;
    /// assert_eq!(channel.wait_for_confirms_timeout(Duration::from_secs(1))?, ConfirmOutcome::Ack);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn wait_for_confirms_timeout(&self, timeout: Duration) -> Result<ConfirmOutcome> {
        let deadline = self.core().vhost().time().deadline(timeout);
        waiter::wait(&self.up_to_now()?, deadline).unwrap_or(Err(Error::Timeout))
    }

    /// As [`wait_for_confirms`](Self::wait_for_confirms), for a task; needs no particular runtime. Messages published before this call
    /// are waited for.
    ///
    /// # If dropped
    /// A future that is dropped before it is ready has changed nothing.
    ///
    /// # Errors
    /// As [`wait_for_confirms`](Self::wait_for_confirms).
    ///
    /// # Examples
    /// ```
    /// use leveret::channel::ConfirmOutcome;
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.confirm_select()?;
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// assert_eq!(pin!(channel.wait_for_confirms_async()).poll(&mut context), Poll::Ready(Ok(ConfirmOutcome::Ack)));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn wait_for_confirms_async(
        &self,
    ) -> impl Future<Output = Result<ConfirmOutcome>> + Send + use<> {
        let waiting = self.up_to_now().map(Waiting::new);
        async move { waiting?.await }
    }

    fn up_to_now(&self) -> Result<UpTo> {
        let core = Arc::clone(self.core());
        let number = core.open()?.confirms()?.published;
        Ok(UpTo { core, number })
    }
}

impl fmt::Debug for UpTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpTo")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
