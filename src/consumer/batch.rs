//! Receiving many messages at once.

use std::{collections::VecDeque, time::Duration};

use super::{Consumer, shown};
use crate::{
    envelope::Envelope,
    payload::Payload,
    session::{delivery::Delivery, receive::RecvError, subscription::Subscription},
    waiter,
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
        let time = self.members[0].subscription.vhost().time().clone();
        let deadline = time.deadline(wait);
        let mut batch = Vec::new();
        while batch.len() < max {
            let (member, first) = match waiter::wait_any(&self.members, self.turn(), deadline) {
                None => break,
                Some((member, Ok(envelope))) => (member, envelope),
                Some((_, Err(_))) if !batch.is_empty() => break,
                Some((_, Err(reason))) => return Err(RecvError::Cancelled(reason)),
            };
            let member = &self.members[member];
            let subscription = &member.subscription;
            let mut taken = Taken {
                subscription,
                envelopes: VecDeque::from([first]),
            };
            subscription.take_some(max - batch.len(), &mut taken.envelopes);
            batch.reserve(taken.envelopes.len());
            while let Some(envelope) = taken.envelopes.pop_front() {
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
                            taken.envelopes.push_front(envelope);
                        }
                        return Ok(batch);
                    }
                }
            }
        }
        Ok(batch)
    }
}

/// Messages taken for a batch. Those that do not come into it go back in their order, even if a decoder panics.
struct Taken<'a> {
    subscription: &'a Subscription,
    envelopes: VecDeque<Envelope>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.envelopes.is_empty() {
            self.subscription.untake(self.envelopes.drain(..));
        }
    }
}
