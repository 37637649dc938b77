//! [`Consumer::into_crossbeam`], which feeds a channel of crossbeam.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread,
};

use crossbeam_channel::{Receiver, Select, SendError, Sender, bounded};

use super::{Consumer, ConsumerQueue, shown};
use crate::{
    message::{
        envelope::{Envelope, SettledMessage},
        payload::Payload,
    },
    runtime::waiter::{TaskWait, Waiting},
    session::{delivery::Delivery, subscriber::EndOf},
};

const THREAD_NAME: &str = "leveret-crossbeam";

impl<T: Payload> Consumer<T> {
    /// Turns the consumer into a receiver of a crossbeam channel, for its `select!` and for code
    /// that takes a channel.
    ///
    /// A thread hands the messages over, one at a time. The channel has no buffer: a message counts
    /// as received when a receiver has taken it. With
    /// [`auto_ack`](crate::ConsumerBuilder::auto_ack) it is acknowledged then. The other messages
    /// wait in the queue, or with the consumer in advance. The thread sleeps while nothing happens.
    ///
    /// - A message that does not decode is rejected: it is dead-lettered if its queue has a dead
    ///   letter exchange, and counted as dropped if not. With
    ///   [`DecodeErrorPolicy::Ack`](crate::DecodeErrorPolicy::Ack) it is acknowledged instead. To
    ///   see such messages, use [`iter`](Self::iter) or
    ///   [`inspect_decode_errors`](crate::ConsumerBuilder::inspect_decode_errors).
    /// - When the consumer ends, the receiver is disconnected. The [`CancelHandle`] that was made
    ///   before has the reason.
    /// - When the last receiver is dropped while a message waits for it, the consumer is cancelled
    ///   at once. Otherwise this happens when the next message arrives, since crossbeam tells a
    ///   sender only then. Messages that were not received return to their places in the queue,
    ///   unmarked. To end an idle consumer at once, use its [`CancelHandle`].
    /// - The message that the thread hands over, at most one, has left the queue. Until a receiver
    ///   takes it or the consumer ends, it does not expire, and `return_unseen` does not return it.
    ///   The other messages expire and return as those of any consumer.
    /// - A receive that does not wait, such as `try_recv`, may miss a message that is just being
    ///   handed over.
    /// - While the broker shuts down, a handler on another thread publishes with a producer of its
    ///   delivery.
    /// - If the system cannot start a thread, the consumer is cancelled at once.
    ///
    /// [`CancelHandle`]: crate::CancelHandle
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    ///
    /// let broker = Broker::new();
    /// let _ = broker.producer::<u32>("q")?.publish_batch([1, 2, 3]);
    /// let receiver = broker.consumer::<u32>("q")?.into_crossbeam();
    /// let stop = crossbeam_channel::never::<()>();
    /// crossbeam_channel::select! {
    ///     recv(receiver) -> delivery => delivery.expect("the consumer lives").ack()?,
    ///     recv(stop) -> _ => {}
    /// }
    /// let sum: u32 = receiver.iter().take(2).map(|delivery| *delivery).sum();
    /// assert_eq!(sum, 5);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use = "the consumer is cancelled when the receiver is dropped"]
    pub fn into_crossbeam(self) -> Receiver<Delivery<T>> {
        let (sender, receiver) = bounded(0);
        let thread = thread::Builder::new().name(THREAD_NAME.into());
        // If it cannot start, the consumer and the sender are dropped with the closure.
        let _ = thread.spawn(move || {
            Feeder::new(&self, &sender).run();
            // The messages are back in their queues before the receivers see the end.
            drop(self);
            drop(sender);
        });
        receiver
    }
}

/// Hands messages from a consumer to a channel.
struct Feeder<'a, T: Payload> {
    consumer: &'a Consumer<T>,
    sender: &'a Sender<Delivery<T>>,
    /// Gets an item when the consumer has a message or has ended.
    bell: Receiver<()>,
    waker: Waker,
}

/// Wakes the thread by an item in a channel, so that it can wait for a receiver as well.
struct Bell(Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // If there is an item already, the thread wakes as well.
        let _ = self.0.try_send(());
    }
}

impl<'a, T: Payload> Feeder<'a, T> {
    fn new(consumer: &'a Consumer<T>, sender: &'a Sender<Delivery<T>>) -> Feeder<'a, T> {
        let (ring, bell) = bounded(1);
        Feeder {
            consumer,
            sender,
            bell,
            waker: Waker::from(Arc::new(Bell(ring))),
        }
    }

    /// Runs until the consumer has ended, or until all receivers are gone.
    fn run(&self) {
        let mut wait = TaskWait::default();
        let mut context = Context::from_waker(&self.waker);
        loop {
            match self.consumer.poll_taken(&mut wait, &mut context) {
                Poll::Pending => drop(self.bell.recv()),
                Poll::Ready((place, Ok(envelope))) => {
                    let queue = &self.consumer.queues[place];
                    if !self.hand_over(queue, envelope, &mut context) {
                        return;
                    }
                }
                Poll::Ready((_, Err(_))) => return,
            }
        }
    }

    /// Waits for a receiver and hands it the message. `false` if all receivers are gone.
    fn hand_over(
        &self,
        queue: &ConsumerQueue,
        envelope: Envelope,
        context: &mut Context<'_>,
    ) -> bool {
        let message = SettledMessage::of(&envelope);
        let mut delivery = match self.consumer.decode(queue, envelope) {
            Ok(delivery) => delivery,
            Err(undecoded) => {
                shown(queue, || message);
                // One that would be returned is dropped, and thereby rejected.
                drop(self.consumer.on_decode_error.apply(undecoded));
                return true;
            }
        };
        let mut end = Waiting::new(EndOf(&queue.subscriber));
        loop {
            if Pin::new(&mut end).poll(context).is_ready() {
                give_back(queue, delivery);
                return true;
            }
            let mut select = Select::new();
            select.send(self.sender);
            let bell = select.recv(&self.bell);
            let operation = select.select();
            if operation.index() == bell {
                let _ = operation.recv(&self.bell);
                continue;
            }
            delivery.show();
            return match operation.send(self.sender, delivery) {
                Ok(()) => {
                    shown(queue, || message);
                    true
                }
                Err(SendError(delivery)) => {
                    give_back(queue, delivery);
                    false
                }
            };
        }
    }
}

/// Returns a message that was not received.
fn give_back<T: Payload>(queue: &ConsumerQueue, delivery: Delivery<T>) {
    if let Some(envelope) = delivery.unread() {
        queue.subscriber.put_back(envelope);
    }
}
