//! Transactions: publishes and settlements that take effect at the commit. Declarations are not
//! part of a transaction.

use super::{
    Admission, Channel, ChannelCore, ChannelState, PublishMode,
    ledger::{Entry, entries},
    outgoing::Pending,
    settle::Settlement,
};
use crate::{
    engine::store::{Journal, Synced},
    model::error::{Error, Result},
    runtime::waiter::{self, Waiting},
};

/// The publishes and settlements since the last commit or rollback.
#[derive(Default)]
pub(super) struct Tx {
    published: Vec<Pending>,
    settled: Vec<(Settlement, Vec<(u64, Entry)>)>,
}

impl Tx {
    pub(super) fn publish(&mut self, pending: Pending) {
        self.published.push(pending);
    }

    /// The number of publishes.
    pub(super) fn publishes(&self) -> usize {
        self.published.len()
    }

    /// The number of settlements.
    pub(super) fn settlements(&self) -> usize {
        self.settled.iter().map(|(_, taken)| taken.len()).sum()
    }

    /// Deliveries settled in the same way, one after another, are settled together at the commit,
    /// in the order of their tags.
    pub(super) fn settle(&mut self, how: Settlement, taken: Vec<(u64, Entry)>) {
        match self.settled.last_mut() {
            Some((same, before)) if *same == how => before.extend(taken),
            _ => self.settled.push((how, taken)),
        }
    }

    pub(super) fn has_settlements(&self) -> bool {
        !self.settled.is_empty()
    }

    /// The deliveries that are settled at the commit, with their tags.
    pub(super) fn uncommitted(&mut self) -> impl Iterator<Item = (u64, &mut Entry)> {
        let settled = self.settled.iter_mut().flat_map(|(_, taken)| taken);
        settled.map(|(tag, entry)| (*tag, entry))
    }

    /// The deliveries that are not settled after all, and the messages that are not published.
    pub(super) fn into_parts(self) -> (Vec<(u64, Entry)>, Vec<Pending>) {
        let settled = self.settled.into_iter().flat_map(|(_, taken)| taken);
        (settled.collect(), self.published)
    }
}

/// A transaction that has taken effect, and may not be on disk yet.
struct Committed {
    /// Whether a queue has refused one of the messages.
    refused: bool,
    unsynced: Option<Synced>,
    _on_its_way: Admission,
}

impl Committed {
    fn end(self, synced: Result) -> Result {
        synced?;
        match self.refused {
            false => Ok(()),
            true => Err(Error::partial_commit()),
        }
    }
}

impl Channel {
    /// Makes the channel transactional, for the rest of its life. Publishes and settlements take
    /// effect at [`tx_commit`](Self::tx_commit). A second call has no effect.
    ///
    /// As in RabbitMQ a commit is not atomic over several queues; it only delays the effects.
    ///
    /// # RabbitMQ
    /// `tx.select` (AMQP 0-9-1).
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] on a channel in confirm mode, and the errors of [a closed
    /// channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::{AckMode, PublishOptions}, Broker, Credentials, Properties, Queue};
    ///
    /// let broker = Broker::new();
    /// let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::new("q"))?;
    /// channel.tx_select()?;
    /// channel.basic_publish("", "q", "hello", Properties::new(), PublishOptions::new())?;
    /// assert!(channel.basic_get("q", AckMode::Auto)?.is_none());
    /// channel.tx_commit()?;
    /// assert!(channel.basic_get("q", AckMode::Auto)?.is_some());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn tx_select(&self) -> Result {
        let mut state = self.core().open()?;
        match state.mode {
            PublishMode::Confirm(_) => Err(Error::tx_in_confirm_mode()),
            PublishMode::Tx(_) => Ok(()),
            PublishMode::Plain => {
                state.mode = PublishMode::Tx(Tx::default());
                Ok(())
            }
        }
    }

    /// Makes the publishes of this transaction, and then its settlements. The next transaction
    /// begins.
    ///
    /// The queues of a message are those that its publish has found. The
    /// [`Event::Return`](crate::channel::Event::Return) of a mandatory message without a queue is
    /// in the stream when this method returns. The commit does not wait for room: a full queue with
    /// [`Overflow::Block`](crate::Overflow::Block), or one whose blocking budget is spent, refuses
    /// the message. A queue that was deleted and declared again since the publish refuses it too.
    ///
    /// # RabbitMQ
    /// `tx.commit` (AMQP 0-9-1).
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`] on a channel that is not transactional.
    /// - [`Error::PreconditionFailed`] if a queue refused one of the messages. All other publishes
    ///   and all settlements take effect then.
    /// - [`Error::ResourceError`] if a queue of a message was deleted since its publish. The
    ///   messages before this one are published. It and those after it are lost, and the deliveries
    ///   that were settled are unsettled again. The next transaction begins.
    /// - [`Error::ShutDown`] while the broker [shuts down](crate::Broker::shutdown), if neither the
    ///   channel nor the thread holds an unsettled delivery. The transaction stays as it is.
    /// - The errors of [a closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::{AckMode, Multiple, PublishOptions}, Properties};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// # use leveret::Queue;
    /// # channel.queue_declare(&Queue::new("q"))?;
    /// # for body in ["first", "second"] {
    /// #     channel.basic_publish("", "q", body, Properties::new(), PublishOptions::new())?;
    /// # }
    /// # channel.queue_declare(&Queue::new("done"))?;
    /// // Two messages are ready in the queue "q".
    /// channel.tx_select()?;
    /// let got = channel.basic_get("q", AckMode::Manual)?.expect("two are ready");
    /// channel.basic_ack(got.delivery_tag(), Multiple::No)?;
    /// channel.basic_publish("", "done", "first", Properties::new(), PublishOptions::new())?;
    /// channel.tx_commit()?; // the effects begin here
    /// assert_eq!(channel.queue_purge("done")?, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn tx_commit(&self) -> Result {
        let committed = self.commit()?;
        let unsynced = committed.unsynced.as_ref();
        // A wait without a deadline does not time out.
        let synced = unsynced.and_then(|unsynced| waiter::wait(unsynced, None));
        committed.end(synced.unwrap_or(Ok(())))
    }

    /// Same as [`tx_commit`](Self::tx_commit), as a future for any runtime.
    ///
    /// In a durable broker a transaction waits until it is on disk. This form does not block its
    /// thread meanwhile, and those that wait at the same time share a sync. Without a data folder
    /// the future is ready at once.
    ///
    /// # Cancel safety
    /// The transaction takes effect when the future is polled first. A future that is dropped later
    /// does not undo it.
    ///
    /// # Errors
    /// The errors of [`tx_commit`](Self::tx_commit).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::PublishOptions, Properties, Queue};
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::new("q"))?;
    /// channel.tx_select()?;
    /// channel.basic_publish("", "q", "hello", Properties::new(), PublishOptions::new())?;
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime does this
    /// let committing = pin!(channel.tx_commit_async());
    /// assert_eq!(committing.poll(&mut context), Poll::Ready(Ok(())));
    /// assert_eq!(channel.queue_purge("q")?, 1);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub async fn tx_commit_async(&self) -> Result {
        let committed = self.commit()?;
        let synced = match &committed.unsynced {
            Some(unsynced) => Waiting::new(unsynced.clone()).await,
            None => Ok(()),
        };
        committed.end(synced)
    }

    /// Makes a transaction take effect, and does not wait for the disk.
    fn commit(&self) -> Result<Committed> {
        let core = self.core();
        let on_its_way = core.admit()?;
        let Tx { published, settled } = self.next_tx()?;
        let journal = core.vhost().storage().map(|storage| storage.journal());
        let whole = journal.map(Journal::begin_whole);
        let settles = settled.iter().flat_map(|(_, taken)| taken);
        let settles = settles.filter_map(|(_, entry)| entry.unacked.origin());
        let mut is_kept = settles
            .into_iter()
            .any(|origin| origin.queue.stored().is_some());
        let mut refused = false;
        for pending in published {
            match core.commit_pending(pending) {
                Ok(committed) => {
                    refused |= committed.is_refused;
                    is_kept |= committed.is_kept;
                }
                Err(error) => {
                    core.restore(settled);
                    return Err(error);
                }
            }
        }
        for (how, mut taken) in settled {
            taken.sort_by_key(|(tag, _)| *tag);
            let relieved = core.lock().ledger.release(entries(&taken));
            core.settle(how, taken);
            core.resume(relieved);
        }
        drop(whole);
        Ok(Committed {
            refused,
            unsynced: journal.filter(|_| is_kept).map(Journal::synced),
            _on_its_way: on_its_way,
        })
    }

    /// Drops the publishes and settlements of this transaction. The next transaction begins. The
    /// deliveries are unsettled again and can be settled.
    ///
    /// # RabbitMQ
    /// `tx.rollback` (AMQP 0-9-1).
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] on a channel that is not transactional, and the errors of [a
    /// closed channel](Channel#errors-of-a-closed-channel).
    ///
    /// # Examples
    /// ```
    /// use leveret::{channel::PublishOptions, Properties, Queue};
    /// # use leveret::{Broker, Credentials};
    /// # let broker = Broker::new();
    /// # let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    /// channel.queue_declare(&Queue::new("q"))?;
    /// let error = channel.tx_rollback().unwrap_err(); // the channel is not transactional yet
    /// assert_eq!(error.reply_code(), Some(406));
    /// channel.tx_select()?;
    /// channel.basic_publish("", "q", "never mind", Properties::new(), PublishOptions::new())?;
    /// channel.tx_rollback()?;
    /// channel.tx_commit()?;
    /// assert_eq!(channel.queue_purge("q")?, 0);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn tx_rollback(&self) -> Result {
        let mut state = self.core().open()?;
        let ChannelState { mode, ledger, .. } = &mut *state;
        let PublishMode::Tx(tx) = mode else {
            return Err(Error::not_transactional());
        };
        // In one critical section: when a channel closes, each delivery is in the ledger or in the
        // transaction.
        let Tx { published, settled } = std::mem::take(tx);
        ledger.restore(settled.into_iter().flat_map(|(_, taken)| taken));
        drop(state);
        drop(published);
        Ok(())
    }

    fn next_tx(&self) -> Result<Tx> {
        let mut state = self.core().open()?;
        match &mut state.mode {
            PublishMode::Tx(tx) => Ok(std::mem::take(tx)),
            PublishMode::Plain | PublishMode::Confirm(_) => Err(Error::not_transactional()),
        }
    }
}

impl ChannelCore {
    /// Makes the deliveries of settlements that do not take effect unsettled again.
    fn restore(&self, settled: Vec<(Settlement, Vec<(u64, Entry)>)>) {
        let taken = settled.into_iter().flat_map(|(_, taken)| taken);
        let mut state = self.lock();
        if state.closed.is_none() {
            state.ledger.restore(taken);
            return;
        }
        // The channel has closed meanwhile, and its deliveries have returned. So do these.
        drop(state);
        self.remove_consumers(Vec::new(), taken.collect());
    }
}
