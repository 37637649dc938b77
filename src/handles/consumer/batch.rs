//! [`Consumer::recv_batch`] and its future, which receive many messages at once.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use super::{Consumer, ConsumerQueue, MOST_SKIPS, Skips, shown};
use crate::{
    message::{
        envelope::{Envelope, SettledMessage},
        payload::Payload,
    },
    runtime::{
        time_out::Until,
        waiter::{self, TaskWait},
    },
    session::{batch::Batch, delivery::Delivery, receive::RecvError, spare_handle::SpareHandles},
};

impl<T: Payload> Consumer<T> {
    /// Receives up to `max` messages. Waits at most `wait` for them.
    ///
    /// The method returns when it has `max` messages. When the time is over, it returns the
    /// messages that have arrived, possibly none.
    ///
    /// A batch holds at most the [`prefetch`](crate::ConsumerBuilder::prefetch) of the consumer,
    /// from each of its queues. If a batch has messages and the consumer holds its whole prefetch,
    /// the method does not wait for more. A call that begins so waits for a settlement by another
    /// thread, and returns an empty batch when the time is over.
    ///
    /// The batch ends before a message that does not decode. The next call returns that message as
    /// an error. With another [policy](crate::ConsumerBuilder::on_decode_error) such a message is
    /// skipped.
    ///
    /// # Errors
    /// The errors of [`recv`](Self::recv), if the batch would be empty.
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new();
    /// let _ = broker.producer::<u32>("q")?.publish_batch(0..5);
    /// let batch = broker.consumer::<u32>("q")?.recv_batch(10, Duration::ZERO)?;
    /// assert_eq!(batch.len(), 5);
    /// batch.ack_all()?;
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn recv_batch(&self, max: usize, wait: Duration) -> Result<Batch<T>, RecvError> {
        let mut batch = self.collect_batch(max, wait)?.complete();
        // Their times begin together, when the caller gets them.
        let is_plain = |queue: &ConsumerQueue| queue.subscriber.origin().shows_plainly();
        if !self.queues.iter().all(is_plain) {
            batch.show();
        }
        Ok(batch)
    }

    fn collect_batch(&self, max: usize, wait: Duration) -> Result<Batch<T>, RecvError> {
        let time = self.queues[0].subscriber.time().clone();
        let deadline = time.deadline(wait);
        let mut skips = Skips::default();
        let mut batch = Batch::new();
        loop {
            self.take_open(max, &mut batch);
            if batch.len() >= max {
                return Ok(batch);
            }
            // Nothing more comes before a settlement, so what is there already is taken.
            let taken = match !batch.is_empty() && self.is_at_prefetch() {
                true => waiter::try_any(&self.queues, self.turn()),
                false => self.wait_until(deadline),
            };
            let (queue, envelope) = match taken {
                None => return Ok(batch),
                Some((place, Ok(envelope))) => (&self.queues[place], envelope),
                Some((_, Err(_))) if !batch.is_empty() => return Ok(batch),
                Some((_, Err(reason))) => return Err(RecvError::Cancelled(reason)),
            };
            let message = SettledMessage::of(&envelope);
            match self.decode(queue, envelope) {
                Ok(delivery) => {
                    shown(queue, || message);
                    batch.push(delivery);
                }
                Err(undecoded) if batch.is_empty() || self.skips() => {
                    shown(queue, || message);
                    if let Some(mut undecoded) = self.on_decode_error.apply(undecoded) {
                        undecoded.show();
                        return Err(RecvError::Decode(undecoded));
                    }
                    if !self.may_skip(deadline, &mut skips) {
                        return Ok(batch);
                    }
                }
                Err(undecoded) => {
                    if let Some(envelope) = undecoded.unread() {
                        queue.subscriber.put_back(envelope);
                    }
                    return Ok(batch);
                }
            }
        }
    }

    /// Same as [`recv_batch`](Self::recv_batch), for a task. The time begins with the first poll.
    /// The prefetch limits a batch in the same way.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has received nothing: the messages of its batch
    /// are the next ones to be received. For a future that is kept without being polled, see
    /// [`recv_async`](Self::recv_async); it also keeps the messages of its batch.
    ///
    /// # Errors
    /// The errors of [`recv_batch`](Self::recv_batch).
    ///
    /// # Examples
    /// ```
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// use leveret::Broker;
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new();
    /// let _ = broker.producer::<u32>("q")?.publish_batch(0..5);
    /// let consumer = broker.consumer::<u32>("q")?;
    /// let mut receiving = pin!(consumer.recv_batch_async(10, Duration::ZERO));
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// match receiving.as_mut().poll(&mut context) {
    ///     Poll::Ready(batch) => assert_eq!(batch?.len(), 5),
    ///     Poll::Pending => unreachable!("the time is over"),
    /// }
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn recv_batch_async(
        &self,
        max: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Batch<T>, RecvError>> + Send + '_ {
        RecvBatch {
            consumer: self,
            max,
            limit: wait,
            end: None,
            skips: Skips::default(),
            batch: Vec::new(),
            wait: TaskWait::default(),
        }
    }

    /// Moves messages from the current run to the batch, until the batch has `max` messages.
    ///
    /// It stops before a message that must be decoded, and before one that has expired. Nearly all
    /// messages carry the value that was sent, and need no decoding.
    fn take_open(&self, max: usize, batch: &mut Batch<T>) {
        let [queue] = &*self.queues else {
            return;
        };
        let origin = queue.subscriber.origin();
        let now = queue.subscriber.now();
        // Before the run, which is a lock: this may drop handles to another origin.
        let mut handles = SpareHandles::of(origin);
        let Some(mut run) = queue.subscriber.run() else {
            return;
        };
        let open = |envelope: &&Envelope| {
            envelope.deadline() > now && Delivery::<T>::is_open(envelope, &self.codecs)
        };
        let most = run.iter().take(max.saturating_sub(batch.len()));
        let count = most.take_while(open).count();
        origin.note_receiver(|| run.len() as u64);
        // With auto-ack, the messages are acknowledged together.
        let mut bytes = 0;
        if origin.auto_ack {
            for message in run.iter().take(count).map(SettledMessage::of) {
                bytes += message.size;
                origin.forget_settled(|| message);
                origin.ack_shown(&message);
            }
        }
        batch.extend(
            run.drain(..count)
                .map(|envelope| Delivery::whole(handles.next(origin), envelope)),
        );
        drop(run);
        if origin.auto_ack && count > 0 {
            // A message that is acknowledged on delivery is not settled again.
            let _ = origin.ack(count as u64, bytes, None);
        }
    }
}

/// The future of [`Consumer::recv_batch_async`].
struct RecvBatch<'a, T: Payload> {
    consumer: &'a Consumer<T>,
    max: usize,
    limit: Duration,
    /// The end of the time, once the future has waited. It is `None` inside if it never comes.
    end: Option<Option<Until<'a>>>,
    skips: Skips,
    /// The messages so far, with the indices of their queues. They are not shown yet.
    batch: Vec<(usize, Delivery<T>)>,
    wait: TaskWait,
}

impl<T: Payload> RecvBatch<'_, T> {
    /// Whether the time is over.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        if self.limit.is_zero() {
            return true;
        }
        let subscriber = &self.consumer.queues[0].subscriber;
        match self.end.get_or_insert_with(|| subscriber.after(self.limit)) {
            Some(end) => Pin::new(end).poll(context).is_ready(),
            None => false,
        }
    }

    /// Whether nothing can be added to the messages of the batch before a settlement.
    fn is_full(&self) -> bool {
        !self.batch.is_empty() && self.consumer.is_at_prefetch()
    }

    /// The messages of the batch, which are shown now.
    fn finish(&mut self) -> Batch<T> {
        let queues = &self.consumer.queues;
        self.wait.leave(queues);
        let mut batch = Batch::new();
        batch.extend(self.batch.drain(..).map(|(place, mut delivery)| {
            shown(&queues[place], || delivery.info().as_settled());
            delivery.show();
            delivery
        }));
        batch.complete()
    }
}

// No field is pinned.
impl<T: Payload> Unpin for RecvBatch<'_, T> {}

impl<T: Payload> Future for RecvBatch<'_, T> {
    type Output = Result<Batch<T>, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let consumer = self.consumer;
        let mut skipped = 0;
        while self.batch.len() < self.max {
            let (place, taken) = match consumer.poll_taken(&mut self.wait, context) {
                Poll::Ready(taken) => taken,
                Poll::Pending if self.is_full() || self.is_over(context) => break,
                Poll::Pending => return Poll::Pending,
            };
            let queue = &consumer.queues[place];
            let envelope = match taken {
                Ok(envelope) => envelope,
                Err(_) if !self.batch.is_empty() => break,
                Err(reason) => return Poll::Ready(Err(RecvError::Cancelled(reason))),
            };
            let message = SettledMessage::of(&envelope);
            match consumer.decode(queue, envelope) {
                Ok(delivery) => self.batch.push((place, delivery)),
                Err(undecoded) if self.batch.is_empty() || consumer.skips() => {
                    shown(queue, || message);
                    if let Some(mut undecoded) = consumer.on_decode_error.apply(undecoded) {
                        undecoded.show();
                        return Poll::Ready(Err(RecvError::Decode(undecoded)));
                    }
                    if self.is_over(context) && !self.skips.go_on(|| consumer.within_reach()) {
                        break;
                    }
                    skipped += 1;
                    if skipped == MOST_SKIPS {
                        // Polled again soon, after others have run.
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Err(undecoded) => {
                    if let Some(envelope) = undecoded.unread() {
                        queue.subscriber.put_back(envelope);
                    }
                    break;
                }
            }
        }
        Poll::Ready(Ok(self.finish()))
    }
}

impl<T: Payload> Drop for RecvBatch<'_, T> {
    fn drop(&mut self) {
        let queues = &self.consumer.queues;
        self.wait.leave(queues);
        // The last one goes to the front first, so that they keep their order.
        while let Some((place, delivery)) = self.batch.pop() {
            if let Some(envelope) = delivery.unread() {
                queues[place].subscriber.put_back(envelope);
            }
        }
    }
}
