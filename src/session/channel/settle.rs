//! Settling by delivery tag: acknowledge, reject, recover.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use super::{
    Channel, ChannelCore, ChannelState, Multiple, PublishMode,
    ledger::{self, entries},
};
use crate::{
    engine::queue::Cause,
    message::envelope::Envelope,
    model::error::{Error, Result},
    session::{
        requeue::Requeue,
        unacked::{DeliveryOrigin, Unacked},
    },
};

/// The way to settle deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settlement {
    Ack,
    Otherwise(Requeue, Cause),
}

/// The deliveries that are settled together.
#[derive(Clone, Copy, Debug)]
enum Tags {
    /// The one with this tag.
    One(u64),
    /// All up to the one with this tag, which is there. 0 stands for all.
    UpTo(u64),
    /// All up to this tag.
    #[cfg_attr(
        not(feature = "amqp"),
        expect(dead_code, reason = "for a wire protocol")
    )]
    AllUpTo(u64),
}

/// When a queue that waits for an acknowledgement is told of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Now,
    /// By the next [`Awaiting::tell`].
    #[cfg(feature = "amqp")]
    Later,
}

/// A queue that waits for acknowledgements and is not told of the last ones yet: the consumer that
/// these are of.
///
/// # If dropped
/// The queue is told. Runs user code (wakers).
#[derive(Default)]
pub(crate) struct Awaiting(Option<Arc<DeliveryOrigin>>);

impl Drop for Awaiting {
    fn drop(&mut self) {
        self.tell();
    }
}

impl Awaiting {
    /// Tells the queue. Runs user code (wakers).
    #[inline]
    pub(crate) fn tell(&mut self) {
        if let Some(origin) = self.0.take() {
            origin.notify();
        }
    }
}

impl Settlement {
    /// Settles a delivery that was taken out of the ledger.
    fn settle_one(self, mut unacked: Unacked) {
        match self {
            Settlement::Ack => unacked.ack_by_tag(),
            Settlement::Otherwise(..) => {
                if let Some((origin, envelope)) = unacked.release() {
                    self.settle_group(&origin, vec![envelope]);
                }
            }
        }
    }

    /// Settles deliveries of one origin.
    fn settle_group(self, origin: &DeliveryOrigin, envelopes: Vec<Envelope>) {
        // As above, this does not fail.
        let _ = match self {
            Settlement::Ack => {
                envelopes
                    .iter()
                    .for_each(|envelope| origin.forget(envelope));
                let sizes = envelopes.iter().map(Envelope::size);
                let bytes = sizes.fold(0, u64::wrapping_add);
                origin.ack(envelopes.len() as u64, bytes, None)
            }
            Settlement::Otherwise(requeue, cause) => origin.nack_batch(envelopes, requeue, cause),
        };
    }
}

impl ChannelCore {
    /// Settles deliveries that were taken out of the ledger.
    ///
    /// As in RabbitMQ the deliveries of one queue and consumer are settled together, in the order
    /// of the names of queues and consumers. Each get is settled alone, before those.
    pub(super) fn settle(&self, how: Settlement, taken: Vec<(u64, ledger::Entry)>) {
        let mut groups: BTreeMap<_, (Arc<DeliveryOrigin>, Vec<Envelope>)> = BTreeMap::new();
        for (tag, origin, mut envelopes) in runs(taken) {
            let is_get = origin.consumer.is_none() && origin.overdue.is_none();
            let key = (
                origin.queue.name().clone(),
                origin.consumer_tag.clone(),
                is_get.then_some(tag),
                Arc::as_ptr(&origin.queue),
                // Another consumer may have had the same tag before, and the queue may have taken
                // some of the deliveries back.
                origin.consumer.as_ref().map(|(id, _)| *id),
                origin.overdue,
            );
            match groups.entry(key) {
                Entry::Vacant(group) => {
                    group.insert((origin, envelopes));
                }
                Entry::Occupied(mut group) => group.get_mut().1.append(&mut envelopes),
            }
        }
        for (origin, envelopes) in groups.into_values() {
            how.settle_group(&origin, envelopes);
        }
    }
}

/// The messages of deliveries that follow one another and come from one consumer, with their origin
/// and the tag of the first. Each get is a run of its own.
fn runs(taken: Vec<(u64, ledger::Entry)>) -> Vec<(u64, Arc<DeliveryOrigin>, Vec<Envelope>)> {
    let mut runs: Vec<(u64, Arc<DeliveryOrigin>, Vec<Envelope>)> = Vec::new();
    for (tag, mut entry) in taken {
        let Some((origin, envelope)) = entry.unacked.release() else {
            continue;
        };
        match runs.last_mut() {
            Some((_, of, run)) if of.consumer.is_some() && Arc::ptr_eq(of, &origin) => {
                run.push(envelope);
            }
            _ => runs.push((tag, origin, vec![envelope])),
        }
    }
    runs
}

impl Channel {
    /// Acknowledges the delivery with this tag.
    ///
    /// With [`Multiple::Yes`] it acknowledges all unsettled deliveries up to the tag. The tag 0
    /// then stands for all unsettled deliveries of the channel.
    ///
    /// In a transaction the acknowledgement takes effect at the commit.
    ///
    /// # RabbitMQ
    /// `basic.ack` (AMQP 0-9-1). An unknown tag is an error here and closes nothing.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] if no unsettled delivery of this channel has the tag, and the
    /// errors of [a closed channel](Channel#errors-of-a-closed-channel). Nothing is acknowledged
    /// then.
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
    /// // The delivery with tag 1 was settled too.
    /// let error = channel.basic_ack(1, Multiple::No).unwrap_err();
    /// assert_eq!(error.to_string(), "PRECONDITION_FAILED - unknown delivery tag 1");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn basic_ack(&self, delivery_tag: u64, multiple: Multiple) -> Result {
        self.settle(delivery_tag, multiple, Settlement::Ack)
    }

    /// Rejects the delivery with this tag. The message is requeued, dead-lettered or dropped, as
    /// [`Requeue`] says. Only [`Requeue::Failed`] counts a failed delivery.
    ///
    /// With [`Multiple::Yes`] it rejects all unsettled deliveries up to the tag. The tag 0 then
    /// stands for all unsettled deliveries of the channel.
    ///
    /// # RabbitMQ
    /// `basic.nack` (RabbitMQ's extension of AMQP 0-9-1). [`Requeue::After`] is an addition of
    /// leveret.
    ///
    /// # Errors
    /// The errors of [`basic_ack`](Self::basic_ack).
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
    /// channel.basic_nack(2, Multiple::Yes, Requeue::Yes)?; // both messages are requeued
    /// let again = channel.basic_get("q", AckMode::Auto)?.expect("two are ready");
    /// assert!(again.redelivered());
    /// assert_eq!(&*again.body()?, b"first");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn basic_nack(&self, delivery_tag: u64, multiple: Multiple, requeue: Requeue) -> Result {
        let how = Settlement::Otherwise(requeue, Cause::Returned);
        self.settle(delivery_tag, multiple, how)
    }

    /// Rejects one delivery. The message is requeued, dead-lettered or dropped, as [`Requeue`]
    /// says. Its delivery has failed in each case: [`Requeue::Yes`] means [`Requeue::Failed`] here.
    ///
    /// # RabbitMQ
    /// `basic.reject` (AMQP 0-9-1). [`Requeue::After`] is an addition of leveret.
    ///
    /// # Errors
    /// The errors of [`basic_ack`](Self::basic_ack).
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
        let how = Settlement::Otherwise(requeue, Cause::Failed);
        self.settle(delivery_tag, Multiple::No, how)
    }

    /// Acknowledges all deliveries up to this tag. There may be none.
    #[cfg(feature = "amqp")]
    pub(crate) fn ack_all_up_to(&self, tag: u64) -> Result {
        self.settle_now(Tags::AllUpTo(tag), Settlement::Ack)
    }

    /// Returns or rejects all deliveries up to this tag. There may be none.
    #[cfg(feature = "amqp")]
    pub(crate) fn nack_all_up_to(&self, tag: u64, requeue: Requeue) -> Result {
        let how = Settlement::Otherwise(requeue, Cause::Returned);
        self.settle_now(Tags::AllUpTo(tag), how)
    }

    fn settle(&self, tag: u64, multiple: Multiple, how: Settlement) -> Result {
        let tags = match multiple {
            Multiple::Yes => Tags::UpTo(tag),
            Multiple::No => Tags::One(tag),
        };
        match self.settle_now(tags, how) {
            // The delivery may not be here yet, since the channel is served late.
            Err(Error::PreconditionFailed(_)) => {
                self.core().serve_consumers();
                self.settle_now(tags, how)
            }
            settled => settled,
        }
    }

    /// As [`basic_ack`](Self::basic_ack) of one delivery. But a queue that waits for it is not
    /// told: the caller tells it by [`Awaiting::tell`] before it does anything else. So a queue is
    /// told once for many acknowledgements of one consumer.
    #[cfg(feature = "amqp")]
    #[inline]
    pub(crate) fn ack_ahead(&self, tag: u64, awaiting: &mut Awaiting) -> Result {
        self.settle_tags(Tags::One(tag), Settlement::Ack, awaiting, Told::Later)
    }

    fn settle_now(&self, tags: Tags, how: Settlement) -> Result {
        if let Tags::UpTo(0) = tags {
            self.core().serve_consumers();
        }
        self.settle_tags(tags, how, &mut Awaiting::default(), Told::Now)
    }

    #[inline]
    fn settle_tags(
        &self,
        tags: Tags,
        how: Settlement,
        awaiting: &mut Awaiting,
        told: Told,
    ) -> Result {
        let core = self.core();
        let mut state = core.open()?;
        if let (Tags::One(tag), Some(origin)) = (tags, &awaiting.0)
            && !state.ledger.is_of(tag, origin)
        {
            drop(state);
            awaiting.tell();
            state = core.open()?;
        }
        let ChannelState { ledger, mode, .. } = &mut *state;
        let taken = match (tags, &mut *mode) {
            (Tags::One(tag), PublishMode::Plain | PublishMode::Confirm(_)) => {
                let mut taken = ledger.take_one(tag)?;
                let relieved = ledger.release([&taken]);
                let counted = match how {
                    Settlement::Ack => taken.unacked.release_to_count(),
                    Settlement::Otherwise(..) => None,
                };
                if let Some((origin, size)) = counted {
                    // It is the handle of a later delivery.
                    let unneeded = match origin.count_ack(size) {
                        true if awaiting.0.is_none() => awaiting.0.replace(origin),
                        _ => ledger.spare_handles.keep(origin),
                    };
                    drop(state);
                    drop(unneeded);
                    // Before the payload is dropped, which may take long.
                    if told == Told::Now || !relieved.is_empty() {
                        awaiting.tell();
                    }
                } else {
                    drop(state);
                    how.settle_one(taken.unacked);
                }
                core.resume(relieved);
                return Ok(());
            }
            (Tags::One(tag), PublishMode::Tx(_)) => vec![(tag, ledger.take_one(tag)?)],
            (Tags::UpTo(tag), _) => ledger.take_up_to(tag)?,
            (Tags::AllUpTo(tag), _) => ledger.take_all_up_to(tag),
        };
        if let PublishMode::Tx(tx) = mode {
            tx.settle(how, taken);
            return Ok(());
        }
        let relieved = ledger.release(entries(&taken));
        drop(state);
        core.settle(how, taken);
        core.resume(relieved);
        Ok(())
    }

    /// Requeues all unsettled deliveries of this channel, as [`Requeue`] says. With
    /// [`Requeue::Yes`] they return to their queues marked as redelivered, and have not failed.
    /// Deliveries that were settled in a transaction without a commit are not affected.
    ///
    /// # RabbitMQ
    /// `basic.recover` (AMQP 0-9-1) with `requeue`. [`Requeue::After`] is an addition of leveret.
    ///
    /// # Errors
    /// [`Error::NotImplemented`] for [`Requeue::No`], as in RabbitMQ, and the errors of [a closed
    /// channel](Channel#errors-of-a-closed-channel).
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
        core.serve_consumers();
        let mut state = core.open()?;
        let taken = state.ledger.take_all();
        let relieved = state.ledger.release(entries(&taken));
        drop(state);
        let how = Settlement::Otherwise(requeue, Cause::Returned);
        core.settle(how, taken);
        core.resume(relieved);
        Ok(())
    }
}
