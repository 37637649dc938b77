//! The public side of a stream of events.

#[cfg(feature = "amqp")]
use std::collections::VecDeque;
use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    slice,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{ChannelDelivery, Event, EventStream};
use crate::{
    model::error::CancelReason,
    runtime::{
        sync::Mutex,
        waiter::{self, TaskWait, Waitable, Waiting},
    },
    session::{
        receive::{RecvError, RecvTimeoutError, TryRecvError},
        unacked::DeliveryOrigin,
    },
};

/// The item of a stream of events: an [`Event`], or an event with the number of its channel. No
/// other type implements it.
pub trait StreamItem: From<(u16, Event)> + private::Sealed {}

mod private {
    use super::Event;

    pub trait Sealed {
        fn event(&self) -> &Event;
    }
}

impl private::Sealed for Event {
    fn event(&self) -> &Event {
        self
    }
}

impl StreamItem for Event {}

impl private::Sealed for (u16, Event) {
    fn event(&self) -> &Event {
        &self.1
    }
}

impl StreamItem for (u16, Event) {}

impl From<(u16, Event)> for Event {
    fn from((_, event): (u16, Event)) -> Event {
        event
    }
}

/// The end of a stream that is read. When the last one is dropped, so are the unread events.
///
/// A channel must not own it. Events hold payloads, which run user code when they are dropped. The
/// last reference to a channel may be dropped under the lock of a queue.
pub(crate) struct StreamEnd(Arc<EventStream>);

impl StreamEnd {
    pub(crate) fn new(stream: &Arc<EventStream>) -> Arc<StreamEnd> {
        Arc::new(StreamEnd(Arc::clone(stream)))
    }
}

impl Drop for StreamEnd {
    fn drop(&mut self) {
        drop(self.0.take_all());
    }
}

/// A stream of events: that [of a channel](crate::Channel::events), or that [of a
/// connection](crate::Connection::events), whose items also have the number of the channel.
///
/// Clones read from the same stream: each event comes to one of them.
///
/// # If dropped
/// Nothing happens. The events stay in the channel or connection for the next reader.
///
/// # Examples
/// ```
/// use leveret::{
///     channel::{ConsumeOptions, Event, PublishOptions},
///     Properties, Queue, RecvError, RecvTimeoutError, TryRecvError,
/// };
/// # use leveret::{Broker, Credentials};
/// # let broker = Broker::new();
/// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
/// # use std::time::Duration;
/// channel.queue_declare(&Queue::new("q"))?;
/// channel.basic_consume("q", ConsumeOptions::new())?;
/// let events = channel.events();
/// assert!(matches!(events.try_recv(), Err(TryRecvError::Empty)));
/// assert!(matches!(events.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout)));
/// channel.basic_publish("", "q", "hello", Properties::new(), PublishOptions::new())?;
/// assert!(matches!(events.recv()?, Event::Delivery(_)));
/// channel.close()?;
/// assert!(matches!(events.recv(), Err(RecvError::Cancelled(_))));
/// # Ok::<(), leveret::Error>(())
/// ```
pub struct Events<E: StreamItem = Event> {
    end: Arc<StreamEnd>,
    /// The task of [`poll_recv`](Self::poll_recv). No user code runs under its lock.
    polling: Mutex<TaskWait>,
    item: PhantomData<fn() -> E>,
}

impl<E: StreamItem> Events<E> {
    pub(crate) fn new(end: &Arc<StreamEnd>) -> Events<E> {
        Events {
            end: Arc::clone(end),
            polling: Mutex::default(),
            item: PhantomData,
        }
    }

    fn stream(&self) -> &Arc<EventStream> {
        &self.end.0
    }

    /// Takes the next event. It waits if there is none.
    ///
    /// # Errors
    /// [`RecvError::Cancelled`] if the channel or connection is closed and all its events have been
    /// read.
    pub fn recv(&self) -> Result<E, RecvError> {
        match self.stream().next_taken_over() {
            Some(event) => Ok(noted(event)),
            None => self.recv_next(),
        }
    }

    #[inline(never)]
    fn recv_next(&self) -> Result<E, RecvError> {
        // Without a deadline the wait ends with an event or with the stream.
        let event = waiter::wait(self.stream(), None).unwrap_or(Err(CancelReason::ChannelClosed));
        read(event).map_err(RecvError::Cancelled)
    }

    /// Takes the next event if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is no event now; [`TryRecvError::Cancelled`] as for
    /// [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<E, TryRecvError> {
        match self.stream().attempt(None) {
            Poll::Ready(event) => read(event).map_err(TryRecvError::Cancelled),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Takes the next event. It waits at most `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] if no event came in time; [`RecvTimeoutError::Cancelled`] as
    /// for [`recv`](Self::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<E, RecvTimeoutError> {
        let deadline = self.stream().time().deadline(timeout);
        match waiter::wait(self.stream(), deadline) {
            Some(event) => read(event).map_err(RecvTimeoutError::Cancelled),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// The same as [`recv`](Self::recv), as a future for any runtime.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has taken no event. One that was polled and is
    /// kept without being polled again may hold back the wake for one event: poll it or drop it.
    ///
    /// # Errors
    /// [`RecvError::Cancelled`] as for [`recv`](Self::recv).
    pub fn recv_async(&self) -> impl Future<Output = Result<E, RecvError>> + Send + use<E> {
        // The end keeps the unread events while the future waits.
        let (end, event) = (
            Arc::clone(&self.end),
            Waiting::new(Arc::clone(self.stream())),
        );
        async move {
            let event = event.await;
            drop(end);
            read(event).map_err(RecvError::Cancelled)
        }
    }

    /// Takes the next event, or has the task woken when there is one. The last poll of this handle
    /// counts: it wakes one task at a time. Each clone is a handle of its own.
    ///
    /// Read until it is pending. The task may be woken once for several events.
    ///
    /// # If dropped
    /// A handle that is dropped wakes its task no more, and hands a wake on to the next reader.
    ///
    /// # Errors
    /// [`RecvError::Cancelled`] as for [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::Event, Properties, Queue};
    /// # use leveret::{channel::{ConsumeOptions, PublishOptions}, Broker, Credentials};
    /// # use std::task::{Context, Poll, Waker};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// # channel.queue_declare(&Queue::new("q"))?;
    /// # channel.basic_consume("q", ConsumeOptions::new())?;
    /// let events = channel.events();
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// assert!(events.poll_recv(&mut context).is_pending());
    /// channel.basic_publish("", "q", "hello", Properties::new(), PublishOptions::new())?;
    /// assert!(matches!(events.poll_recv(&mut context), Poll::Ready(Ok(Event::Delivery(_)))));
    /// assert!(events.poll_recv(&mut context).is_pending());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<Result<E, RecvError>> {
        let sources = slice::from_ref(self.stream());
        let mut task = std::mem::take(&mut *self.polling.lock());
        let polled = task.poll(sources, 0, context);
        if task.is_registered() {
            // Another thread may have polled meanwhile.
            let mut other = std::mem::replace(&mut *self.polling.lock(), task);
            other.leave(sources);
        }
        polled.map(|(_, event)| read(event).map_err(RecvError::Cancelled))
    }

    /// Moves up to `max` events that are there into `events`, a `Vec` or a `VecDeque`, and returns
    /// how many there were. Events that come meanwhile stay. It takes the locks of the stream once.
    ///
    /// It does not tell an empty stream from an ended one: [`try_recv`](Self::try_recv) and
    /// [`poll_recv`](Self::poll_recv) do.
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::PublishOptions, Properties};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// for key in ["a", "b", "c"] {
    ///     let mandatory = PublishOptions::new().mandatory();
    ///     channel.basic_publish("amq.direct", key, "unroutable", Properties::new(), mandatory)?;
    /// }
    /// let mut returned = Vec::new();
    /// assert_eq!(channel.events().drain_into(&mut returned, 2), 2);
    /// assert_eq!(channel.events().drain_into(&mut returned, 2), 1);
    /// assert_eq!(returned.len(), 3);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn drain_into<C>(&self, events: &mut C, max: usize) -> usize
    where
        C: Extend<E>,
        for<'a> &'a C: IntoIterator<Item = &'a E>,
    {
        let mut drain = |most| {
            let mut drained = Reads::default();
            let count = self.stream().drain_into(events, most, |event| {
                if let Event::Delivery(delivery) = event {
                    drained.add(delivery);
                }
            });
            (count, drained)
        };
        let (mut count, first) = drain(max);
        if count > 0 && count < max {
            // The queues may have more for these consumers.
            first.serve();
            let (others, second) = drain(max - count);
            count += others;
            drop(second);
        }
        drop(first);
        if count == 0 {
            return 0;
        }
        let total = (&*events).into_iter().count();
        for item in (&*events).into_iter().skip(total - count) {
            if let Event::Delivery(delivery) = item.event() {
                delivery.show_taps();
            }
        }
        count
    }
}

/// Notes the read of a delivery, outside of all locks.
fn read<E: StreamItem>(event: Result<(u16, Event), CancelReason>) -> Result<E, CancelReason> {
    event.map(noted)
}

#[inline(always)]
fn noted<E: StreamItem>(event: (u16, Event)) -> E {
    if let Event::Delivery(delivery) = &event.1 {
        delivery.note_read();
    }
    event.into()
}

/// For a session of a wire protocol.
#[cfg(feature = "amqp")]
impl Events<(u16, Event)> {
    /// Gives the first unread events to `run`, which is empty. It moves none of them, and it gives
    /// none only if there are none. The caller notes the reads, by [`note_reads`].
    pub(crate) fn take_run(&self, run: &mut VecDeque<(u16, Event)>) {
        self.stream().take_run(run);
    }

    /// The number of unread events.
    pub(crate) fn unread(&self) -> usize {
        self.stream().len()
    }
}

/// Notes the reads of the deliveries among some events, outside of all locks. Those of one consumer
/// in a row are noted together. Runs user code (wakers).
#[cfg(feature = "amqp")]
pub(crate) fn note_reads<'a>(events: impl Iterator<Item = &'a Event>) {
    let mut run: Option<(&Arc<DeliveryOrigin>, u64)> = None;
    for event in events {
        let Event::Delivery(delivery) = event else {
            continue;
        };
        let Some(origin) = delivery.origin() else {
            continue;
        };
        match &mut run {
            Some((last, count)) if Arc::ptr_eq(last, origin) => *count += 1,
            _ => {
                let before = run.replace((origin, 1));
                before
                    .into_iter()
                    .for_each(|(last, count)| last.note_read(count));
            }
        }
    }
    run.into_iter()
        .for_each(|(last, count)| last.note_read(count));
}

/// The deliveries that were read at once, by their consumers.
///
/// # If dropped
/// The reads are noted, outside of all locks. Runs user code (wakers).
#[derive(Default)]
struct Reads(Vec<(Arc<DeliveryOrigin>, u64)>);

impl Reads {
    fn add(&mut self, delivery: &ChannelDelivery) {
        let Some(origin) = delivery.origin() else {
            return;
        };
        match self.0.last_mut() {
            Some((last, count)) if Arc::ptr_eq(last, origin) => *count += 1,
            _ => self.0.push((Arc::clone(origin), 1)),
        }
    }

    /// Has the queues hand over what they have for these consumers, outside of all locks.
    fn serve(&self) {
        self.0.iter().for_each(|(origin, _)| origin.serve());
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        for (origin, count) in self.0.drain(..) {
            origin.note_read(count);
        }
    }
}

impl<E: StreamItem> Clone for Events<E> {
    fn clone(&self) -> Events<E> {
        Events::new(&self.end)
    }
}

impl<E: StreamItem> Drop for Events<E> {
    fn drop(&mut self) {
        let mut task = std::mem::take(self.polling.get_mut());
        task.leave(slice::from_ref(&self.end.0));
    }
}

impl<E: StreamItem> fmt::Debug for Events<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("waiting", &self.stream().len())
            .finish_non_exhaustive()
    }
}
