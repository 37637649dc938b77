//! Settling by delivery tag: acknowledge, reject, recover.

use std::{collections::BTreeMap, sync::Arc};

use super::{Channel, ChannelCore, Multiple, PublishMode};
use crate::{
    message::envelope::Envelope,
    model::error::{Error, Result},
    session::unacked::{DeliveryOrigin, Requeue, Unacked},
};

/// How deliveries are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settlement {
    Ack,
    Otherwise(Requeue),
}

impl ChannelCore {
    /// Settles deliveries that were taken out of the ledger.
    ///
    /// As RabbitMQ does, for each queue and consumer at once, in the order of their names.
    pub(super) fn settle(&self, how: Settlement, taken: impl IntoIterator<Item = Unacked>) {
        let mut groups: BTreeMap<_, (Arc<DeliveryOrigin>, Vec<Envelope>)> = BTreeMap::new();
        for (source, envelope) in taken.into_iter().filter_map(|mut held| held.release()) {
            let key = (
                source.queue.name().clone(),
                source.consumer_tag.clone(),
                Arc::as_ptr(&source.queue),
                // Its tag may have been another consumer's before.
                source.consumer.as_ref().map(|(id, _)| *id),
            );
            let (_, envelopes) = groups.entry(key).or_insert_with(|| (source, Vec::new()));
            envelopes.push(envelope);
        }
        for (source, envelopes) in groups.into_values() {
            match how {
                Settlement::Ack => {
                    let sizes = envelopes.iter().map(Envelope::size);
                    let bytes = sizes.fold(0, u64::wrapping_add);
                    // A channel is never remote: this does not fail.
                    let _ = source.ack(envelopes.len() as u64, bytes, None);
                }
                Settlement::Otherwise(requeue) => {
                    let _ = source.nack_batch(envelopes, requeue);
                }
            }
        }
    }
}

impl Channel {
    /// Acknowledges a delivery (`basic.ack`), or with `multiple` every unsettled one up to it; of tag 0, all.
    ///
    /// In a transaction it takes effect when committed.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] for a tag that is not that of an unsettled delivery of this channel; nothing is
    /// acknowledged then. And the errors of a closed channel.
    ///
    /// # Examples
    /// ```
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// # use leveret::channel::{AckMode, Multiple};
    /// # use leveret::{channel::PublishOptions, Properties, Queue};
    /// # channel.queue_declare(&Queue::new("q"))?;
    /// # for body in ["first", "second"] {
    /// #     channel.basic_publish("", "q", body, Properties::new(), PublishOptions::new())?;
    /// # }
    /// # for _ in 0..2 {
    /// #     channel.basic_get("q", AckMode::Manual)?;
    /// # }
    /// // Tags 1 and 2 were delivered.
    /// channel.basic_ack(2, Multiple::Yes)?;
    /// let error = channel.basic_ack(1, Multiple::No).unwrap_err(); // it was settled with 2
    /// assert_eq!(error.to_string(), "PRECONDITION_FAILED - unknown delivery tag 1");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn basic_ack(&self, delivery_tag: u64, multiple: Multiple) -> Result {
        self.settle(delivery_tag, multiple, Settlement::Ack)
    }

    /// Gives a delivery up (`basic.nack`, a RabbitMQ extension), or with `multiple` every unsettled one up to it.
    ///
    /// # Errors
    /// As [`basic_ack`](Self::basic_ack).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::{AckMode, Multiple}, Requeue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// # use leveret::{channel::PublishOptions, Properties, Queue};
    /// # channel.queue_declare(&Queue::new("q"))?;
    /// # for body in ["first", "second"] {
    /// #     channel.basic_publish("", "q", body, Properties::new(), PublishOptions::new())?;
    /// # }
    /// # for _ in 0..2 {
    /// #     channel.basic_get("q", AckMode::Manual)?;
    /// # }
    /// // Tags 1 and 2 were delivered.
    /// channel.basic_nack(2, Multiple::Yes, Requeue::Yes)?; // both, back to their places
    /// let again = channel.basic_get("q", AckMode::Auto)?.expect("two are ready");
    /// assert!(again.redelivered());
    /// assert_eq!(&*again.body()?, b"first");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn basic_nack(&self, delivery_tag: u64, multiple: Multiple, requeue: Requeue) -> Result {
        self.settle(delivery_tag, multiple, Settlement::Otherwise(requeue))
    }

    /// Gives one delivery up (`basic.reject`).
    ///
    /// # Errors
    /// As [`basic_ack`](Self::basic_ack).
    ///
    /// # Examples
    /// ```
    /// use leveret::Requeue;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// # use leveret::channel::AckMode;
    /// # use leveret::{channel::PublishOptions, Properties, Queue};
    /// # channel.queue_declare(&Queue::new("q"))?;
    /// # for body in ["first", "second"] {
    /// #     channel.basic_publish("", "q", body, Properties::new(), PublishOptions::new())?;
    /// # }
    /// # for _ in 0..2 {
    /// #     channel.basic_get("q", AckMode::Manual)?;
    /// # }
    /// // Tags 1 and 2 were delivered.
    /// channel.basic_reject(1, Requeue::No)?; // dropped: the queue has no dead letter exchange
    /// channel.basic_reject(2, Requeue::Yes)?;
    /// assert_eq!(channel.queue_purge("q")?, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn basic_reject(&self, delivery_tag: u64, requeue: Requeue) -> Result {
        self.settle(delivery_tag, Multiple::No, Settlement::Otherwise(requeue))
    }

    fn settle(&self, tag: u64, multiple: Multiple, how: Settlement) -> Result {
        let core = self.core();
        let mut state = core.open()?;
        let taken = state.ledger.take(tag, multiple == Multiple::Yes)?;
        if let PublishMode::Tx(tx) = &mut state.mode {
            tx.settle(how, taken);
            return Ok(());
        }
        let relieved = state.ledger.release(taken.iter().map(|(_, held)| held));
        drop(state);
        core.settle(how, taken.into_iter().map(|(_, held)| held));
        core.resume(relieved);
        Ok(())
    }

    /// Returns everything unsettled on this channel to its place (`basic.recover`), marked as redelivered. What was
    /// settled in a transaction and not committed is not affected.
    ///
    /// # Errors
    /// [`Error::NotImplemented`] for [`Requeue::No`], as in RabbitMQ, and the errors of a closed channel.
    ///
    /// # Examples
    /// ```
    /// use leveret::Requeue;
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// # use leveret::channel::AckMode;
    /// # use leveret::{channel::PublishOptions, Properties, Queue};
    /// # channel.queue_declare(&Queue::new("q"))?;
    /// # for body in ["first", "second"] {
    /// #     channel.basic_publish("", "q", body, Properties::new(), PublishOptions::new())?;
    /// # }
    /// # for _ in 0..2 {
    /// #     channel.basic_get("q", AckMode::Manual)?;
    /// # }
    /// // Tags 1 and 2 were delivered.
    /// channel.basic_recover(Requeue::Yes)?;
    /// assert_eq!(channel.queue_purge("q")?, 2);
    /// assert_eq!(channel.basic_recover(Requeue::No).unwrap_err().reply_code(), Some(540));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn basic_recover(&self, requeue: Requeue) -> Result {
        if requeue == Requeue::No {
            return Err(Error::recover_without_requeue());
        }
        let core = self.core();
        let mut state = core.open()?;
        let taken = state.ledger.take_all();
        let relieved = state.ledger.release(taken.iter().map(|(_, held)| held));
        drop(state);
        core.settle(
            Settlement::Otherwise(requeue),
            taken.into_iter().map(|(_, held)| held),
        );
        core.resume(relieved);
        Ok(())
    }
}
