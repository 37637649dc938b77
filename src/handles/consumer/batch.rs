//! [`Consumer::recv_batch`], which receives many messages at once.

use std::{sync::Arc, time::Duration};

use super::{Consumer, shown};
use crate::{
    message::{envelope::Envelope, payload::Payload},
    session::{delivery::Delivery, receive::RecvError},
};

impl<T: Payload> Consumer<T> {
    /// Receives up to `max` messages. Waits at most `wait` for them.
    ///
    /// The method returns when it has `max` messages. When the time is over, it returns the
    /// messages that have arrived, possibly none.
    ///
    /// The batch ends before a message that does not decode. The next call returns that message as
    /// an error.
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
    /// broker.producer::<u32>("q")?.publish_batch(0..5);
    /// let batch = broker.consumer::<u32>("q")?.recv_batch(10, Duration::ZERO)?;
    /// assert_eq!(batch.len(), 5);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn recv_batch(&self, max: usize, wait: Duration) -> Result<Vec<Delivery<T>>, RecvError> {
        let time = self.queues[0].subscriber.time().clone();
        let deadline = time.deadline(wait);
        let mut batch = Vec::new();
        loop {
            self.take_open(max, &mut batch);
            if batch.len() >= max {
                return Ok(batch);
            }
            let (queue, envelope) = match self.wait_until(deadline) {
                None => return Ok(batch),
                Some((place, Ok(envelope))) => (&self.queues[place], envelope),
                Some((_, Err(_))) if !batch.is_empty() => return Ok(batch),
                Some((_, Err(reason))) => return Err(RecvError::Cancelled(reason)),
            };
            let size = envelope.size();
            match self.decode(queue, envelope) {
                Ok(delivery) => {
                    shown(queue, || size);
                    batch.push(delivery);
                }
                Err(undecoded) if batch.is_empty() => {
                    shown(queue, || size);
                    return Err(RecvError::Decode(undecoded));
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

    /// Moves messages from the current run to the batch, until the batch has `max` messages.
    ///
    /// It stops before a message that must be decoded. Nearly all messages carry the value that was
    /// sent, and need no decoding.
    fn take_open(&self, max: usize, batch: &mut Vec<Delivery<T>>) {
        let [queue] = &*self.queues else {
            return;
        };
        let Some(mut run) = queue.subscriber.run() else {
            return;
        };
        let open = |envelope: &&Envelope| Delivery::<T>::is_open(envelope, &self.codecs);
        let most = run.iter().take(max.saturating_sub(batch.len()));
        let count = most.take_while(open).count();
        let origin = queue.subscriber.origin();
        origin.note_receiver();
        // With auto-ack, the messages are acknowledged together.
        let bytes = match origin.auto_ack {
            true => run.iter().take(count).map(Envelope::size).sum(),
            false => 0,
        };
        batch.extend(
            run.drain(..count)
                .map(|envelope| Delivery::whole(Arc::clone(origin), envelope)),
        );
        drop(run);
        if origin.auto_ack && count > 0 {
            // A message that is acknowledged on delivery is not settled again.
            let _ = origin.ack(count as u64, bytes, None);
        }
    }
}
