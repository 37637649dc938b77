//! Receiving many messages at once.

use std::{sync::Arc, time::Duration};

use super::{Consumer, shown};
use crate::{
    message::{envelope::Envelope, payload::Payload},
    runtime::waiter,
    session::{delivery::Delivery, receive::RecvError},
};

impl<T: Payload> Consumer<T> {
    /// Receives up to `max` messages: as soon as there are that many, or after `wait` those that came, maybe none.
    ///
    /// A message that does not decode ends the batch before it, and comes as an error of the next call.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), if there is no message before it.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new();
    /// let queue = Queue::new("q");
    /// broker.producer::<u32>(&queue)?.publish_batch(0..5);
    /// let batch = broker.consumer::<u32>(&queue)?.recv_batch(10, Duration::ZERO)?;
    /// assert_eq!(batch.len(), 5);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn recv_batch(&self, max: usize, wait: Duration) -> Result<Vec<Delivery<T>>, RecvError> {
        let time = self.queues[0].subscriber.vhost().time().clone();
        let deadline = time.deadline(wait);
        let mut batch = Vec::new();
        loop {
            self.take_open(max, &mut batch);
            if batch.len() >= max {
                return Ok(batch);
            }
            let (member, envelope) = match waiter::wait_any(&self.queues, self.turn(), deadline) {
                None => return Ok(batch),
                Some((member, Ok(envelope))) => (&self.queues[member], envelope),
                Some((_, Err(_))) if !batch.is_empty() => return Ok(batch),
                Some((_, Err(reason))) => return Err(RecvError::Cancelled(reason)),
            };
            let size = envelope.size();
            match self.decode(member, envelope) {
                Ok(delivery) => {
                    shown(member, || size);
                    batch.push(delivery);
                }
                Err(undecoded) if batch.is_empty() => {
                    shown(member, || size);
                    return Err(RecvError::Decode(undecoded));
                }
                Err(undecoded) => {
                    if let Some(envelope) = undecoded.unread() {
                        member.subscriber.put_back(envelope);
                    }
                    return Ok(batch);
                }
            }
        }
    }

    /// Takes what there is of the run at hand, until the batch has `max` messages: as long as each has the very value in it that was sent,
    /// which is nearly always.
    fn take_open(&self, max: usize, batch: &mut Vec<Delivery<T>>) {
        let [member] = &*self.queues else {
            return;
        };
        let Some(mut run) = member.subscriber.run() else {
            return;
        };
        let open = |envelope: &&Envelope| Delivery::<T>::is_open(envelope, &self.codecs);
        let most = run.iter().take(max.saturating_sub(batch.len()));
        let count = most.take_while(open).count();
        let source = member.subscriber.origin();
        // Shown by this, as one.
        let bytes = match source.auto_ack {
            true => run.iter().take(count).map(Envelope::size).sum(),
            false => 0,
        };
        batch.extend(
            run.drain(..count)
                .map(|envelope| Delivery::whole(Arc::clone(source), envelope)),
        );
        drop(run);
        if source.auto_ack && count > 0 {
            // What is acknowledged on delivery is not settled again.
            let _ = source.ack(count as u64, bytes, None);
        }
    }
}
