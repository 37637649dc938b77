//! Publisher confirms of a channel: the unconfirmed messages, and waiting for their confirms.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    future::Future,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use super::{Channel, ChannelCore, ChannelState, Confirm, ConfirmOutcome, PublishMode};
use crate::{
    engine::{store::Synced, vhost::Published},
    model::error::{Error, Result},
    runtime::waiter::{self, Ticket, WaitList, Waiting, Wake},
};

/// The state of a channel in confirm mode.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    /// The count of messages with a number, which is also the latest number.
    confirmed: u64,
    /// The count of publishes that have begun.
    begun: u64,
    /// The publishes that have not ended, each by the count at its begin: those of threads and
    /// tasks, and those whose messages are not on disk yet. They are in order, and end in about
    /// that order.
    under_way: VecDeque<u64>,
    /// The numbers of messages that are not on disk yet, and so have no confirm.
    unconfirmed: BTreeSet<u64>,
    /// A message was refused since the last wait.
    nacked: bool,
    /// The waiters for confirms.
    waiting: WaitList,
}

impl Confirms {
    /// Counts one more publish.
    pub(super) fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.under_way.push_back(self.begun);
        self.begun
    }

    /// Gives a message the next number.
    fn next_number(&mut self) -> u64 {
        self.confirmed += 1;
        self.confirmed
    }

    /// Ends a publish. Its message gets the next number if it has an outcome.
    fn end(&mut self, publish: u64, outcome: Option<ConfirmOutcome>) -> Option<Confirm> {
        let number = outcome.map(|_| self.next_number());
        self.end_numbered(publish, number.zip(outcome))
    }

    /// Counts a publish that has ended, and whose message was accepted.
    fn confirm_at_once(&mut self) -> Option<Confirm> {
        self.begun += 1;
        Some(Confirm {
            delivery_tag: self.next_number(),
            multiple: false,
            outcome: ConfirmOutcome::Ack,
        })
    }

    /// Ends a publish. Its message may have a number and an outcome.
    fn end_numbered(
        &mut self,
        publish: u64,
        confirm: Option<(u64, ConfirmOutcome)>,
    ) -> Option<Confirm> {
        if let Ok(place) = self.under_way.binary_search(&publish) {
            self.under_way.remove(place);
        }
        let (delivery_tag, outcome) = confirm?;
        self.unconfirmed.remove(&delivery_tag);
        self.nacked |= outcome == ConfirmOutcome::Nack;
        Some(Confirm {
            delivery_tag,
            multiple: false,
            outcome,
        })
    }

    /// The number of messages without a confirm.
    pub(super) fn unconfirmed(&self) -> usize {
        self.under_way.len()
    }

    /// How many messages were published so far.
    pub(super) fn published(&self) -> u64 {
        self.begun
    }

    /// Whether every message before this one has its confirm.
    fn covers_all(&self, confirm: &Confirm) -> bool {
        let first = self.unconfirmed.first();
        first.is_none_or(|number| *number > confirm.delivery_tag)
    }

    /// Whether all publishes up to this one have ended.
    fn is_over(&self, publish: u64) -> bool {
        self.under_way.front().is_none_or(|first| *first > publish)
    }

    /// `Nack` if a message was refused since the last call.
    fn take_outcome(&mut self) -> ConfirmOutcome {
        match std::mem::take(&mut self.nacked) {
            true => ConfirmOutcome::Nack,
            false => ConfirmOutcome::Ack,
        }
    }

    /// The waiters for confirms, to be woken as the channel closes.
    pub(super) fn close(mut self) -> Vec<Wake> {
        self.waiting.take_all()
    }
}

/// A publish in confirm mode that has not ended.
///
/// # If dropped
/// The publish ends. Its message was given up, and has no number and no confirm.
pub(super) struct UnderWay<'a> {
    core: &'a Arc<ChannelCore>,
    publish: u64,
    /// Whether it has ended, or another thread ends it.
    is_over: bool,
}

impl<'a> UnderWay<'a> {
    /// `publish` is from [`Confirms::begin`].
    pub(super) fn new(core: &'a Arc<ChannelCore>, publish: u64) -> UnderWay<'a> {
        UnderWay {
            core,
            publish,
            is_over: false,
        }
    }

    /// Ends the publish, and sends the confirm of its message: now, or when it is on disk. Returns
    /// the number of the message and its confirm, if that is sent now.
    pub(super) fn confirm(
        mut self,
        published: Published,
        synced: Option<Synced>,
    ) -> (Option<u64>, Option<ConfirmOutcome>) {
        let outcome = match published.refused {
            0 => ConfirmOutcome::Ack,
            _ => ConfirmOutcome::Nack,
        };
        self.is_over = true;
        let (core, publish) = (self.core, self.publish);
        let Some(synced) = synced else {
            let confirm = core.end_publish(|confirms| confirms.end(publish, Some(outcome)));
            return match confirm {
                Some(confirm) => (Some(confirm.delivery_tag), Some(outcome)),
                None => (None, None),
            };
        };
        let mut state = core.lock();
        let PublishMode::Confirm(confirms) = &mut state.mode else {
            return (None, None);
        };
        let number = confirms.next_number();
        confirms.unconfirmed.insert(number);
        drop(state);
        let core = Arc::downgrade(core);
        synced.then(move |synced| {
            let outcome = match synced {
                Ok(()) => outcome,
                Err(_) => ConfirmOutcome::Nack,
            };
            if let Some(core) = core.upgrade() {
                core.end_publish(|confirms| {
                    confirms.end_numbered(publish, Some((number, outcome)))
                });
            }
        });
        (Some(number), None)
    }
}

impl ChannelCore {
    /// Ends a publish by `end`, sends its confirm, and wakes those who wait for it. `None` without
    /// a confirm, or if the channel is closed.
    fn end_publish(&self, end: impl FnOnce(&mut Confirms) -> Option<Confirm>) -> Option<Confirm> {
        let mut state = self.lock();
        let PublishMode::Confirm(confirms) = &mut state.mode else {
            return None;
        };
        let confirm = end(confirms);
        let covers_all = confirm.is_some_and(|confirm| confirms.covers_all(&confirm));
        let waiting = confirms.waiting.take_all();
        let reader = confirm.and_then(|confirm| state.send_confirm(confirm, covers_all));
        drop(state);
        for wake in reader.into_iter().chain(waiting) {
            wake.wake();
        }
        confirm
    }
}

impl ChannelCore {
    /// Confirms a message whose publish has ended before anyone could wait for it. Returns its
    /// number; `None` if the channel is closed.
    pub(super) fn confirm_at_once(&self) -> Option<u64> {
        let confirm = self.end_publish(Confirms::confirm_at_once)?;
        Some(confirm.delivery_tag)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let publish = self.publish;
            self.core
                .end_publish(|confirms| confirms.end(publish, None));
        }
    }
}

/// The end of all publishes up to this one.
struct UpTo {
    core: Arc<ChannelCore>,
    publish: u64,
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
        if confirms.is_over(self.publish) {
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
            // The channel is closed, and all waiters were woken when it closed.
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
    /// Turns publisher confirms on, for the rest of the channel's life. Every message published
    /// from now on is confirmed by an [`Event::Confirm`](crate::channel::Event::Confirm). A second
    /// call has no effect.
    ///
    /// # RabbitMQ
    /// `confirm.select` (RabbitMQ's extension of AMQP 0-9-1).
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] on a transactional channel, and the errors of [a closed
    /// channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::channel::{ConfirmOutcome, Event, PublishOptions};
    /// use leveret::{Overflow, Properties, Queue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// let small = Queue::new("small").max_length(1).overflow(Overflow::RejectPublish);
    /// channel.queue_declare(&small)?;
    /// channel.confirm_select()?;
    /// for body in ["first", "second"] {
    ///     channel.basic_publish("", "small", body, Properties::new(), PublishOptions::new())?;
    /// }
    /// let events = channel.events();
    /// for outcome in [ConfirmOutcome::Ack, ConfirmOutcome::Nack] {
    ///     let event = events.try_recv()?;
    ///     assert!(matches!(event, Event::Confirm(confirm) if confirm.outcome == outcome));
    /// }
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn confirm_select(&self) -> Result {
        let core = self.core();
        let mut state = core.open()?;
        match state.mode {
            PublishMode::Tx(_) => Err(Error::confirm_in_tx_mode()),
            PublishMode::Confirm(_) => Ok(()),
            PublishMode::Plain => {
                state.mode = PublishMode::Confirm(Confirms::default());
                state.serve_all_at_once();
                drop(state);
                core.serve_consumers();
                Ok(())
            }
        }
    }

    /// Waits until every message that was published on this channel before is confirmed.
    ///
    /// The result is [`ConfirmOutcome::Nack`] if a message was refused since the last such wait, or
    /// since confirms were turned on. Otherwise it is [`ConfirmOutcome::Ack`].
    ///
    /// The confirm of a message is there when its [`basic_publish`](Self::basic_publish) returns.
    /// The wait is therefore only for messages that other threads or tasks are publishing at this
    /// time, also for those that wait for room in a queue. Each confirm is also an
    /// [`Event::Confirm`](crate::channel::Event::Confirm). It stays in the stream until it is read.
    ///
    /// # RabbitMQ
    /// `waitForConfirms` of RabbitMQ's Java client; other clients have it by similar names.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] unless the channel is in [confirm mode](Self::confirm_select),
    /// and the errors of [a closed channel](Channel#errors-of-a-closed-channel), also if it closes
    /// during the wait.
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::{ConfirmOutcome, PublishOptions}, Overflow, Properties, Queue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// let small = Queue::new("small").max_length(1).overflow(Overflow::RejectPublish);
    /// channel.queue_declare(&small)?;
    /// let error = channel.wait_for_confirms().unwrap_err(); // not in confirm mode yet
    /// assert_eq!(error.reply_code(), Some(406));
    /// channel.confirm_select()?;
    /// let publish = |body: &str| {
    ///     let (body, properties) = (body.to_owned(), Properties::new());
    ///     channel.basic_publish("", "small", body, properties, PublishOptions::new())
    /// };
    /// publish("first")?;
    /// assert_eq!(channel.wait_for_confirms()?, ConfirmOutcome::Ack);
    /// publish("second")?;
    /// assert_eq!(channel.wait_for_confirms()?, ConfirmOutcome::Nack); // the queue is full
    /// assert_eq!(channel.wait_for_confirms()?, ConfirmOutcome::Ack); // no new message
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn wait_for_confirms(&self) -> Result<ConfirmOutcome> {
        // Without a deadline the wait ends with the confirms or with the channel.
        waiter::wait(&self.up_to_now()?, None).unwrap_or(Err(Error::Timeout))
    }

    /// The same as [`wait_for_confirms`](Self::wait_for_confirms) without waiting: `None` if a
    /// message is not confirmed yet.
    ///
    /// # RabbitMQ
    /// As for [`wait_for_confirms`](Self::wait_for_confirms).
    ///
    /// # Errors
    /// The errors of [`wait_for_confirms`](Self::wait_for_confirms).
    ///
    /// # Examples
    /// ```
    /// use leveret::channel::ConfirmOutcome;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.confirm_select()?;
    /// // No message was published.
    /// assert_eq!(channel.try_wait_for_confirms()?, Some(ConfirmOutcome::Ack));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn try_wait_for_confirms(&self) -> Result<Option<ConfirmOutcome>> {
        match waiter::Waitable::attempt(&self.up_to_now()?, None) {
            Poll::Ready(confirmed) => confirmed.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// The same as [`wait_for_confirms`](Self::wait_for_confirms), with a wait of at most `timeout`
    /// by the broker's clock.
    ///
    /// # RabbitMQ
    /// `waitForConfirms` with a time-out, as RabbitMQ's Java client has it.
    ///
    /// # Errors
    /// The errors of [`wait_for_confirms`](Self::wait_for_confirms), and [`Error::Timeout`] if a
    /// message is not confirmed in time.
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

    /// The same as [`wait_for_confirms`](Self::wait_for_confirms), as a future for any runtime. It
    /// waits for the messages that were published before this call.
    ///
    /// # If dropped
    /// A future that is dropped before it is ready has no effect.
    ///
    /// # RabbitMQ
    /// As for [`wait_for_confirms`](Self::wait_for_confirms).
    ///
    /// # Errors
    /// The errors of [`wait_for_confirms`](Self::wait_for_confirms).
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
    /// let confirmed = pin!(channel.wait_for_confirms_async()).poll(&mut context);
    /// assert_eq!(confirmed, Poll::Ready(Ok(ConfirmOutcome::Ack)));
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
        let publish = core.open()?.confirms()?.begun;
        Ok(UpTo { core, publish })
    }
}

impl fmt::Debug for UpTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpTo")
            .field("publish", &self.publish)
            .finish_non_exhaustive()
    }
}
