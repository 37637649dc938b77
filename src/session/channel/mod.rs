//! A channel: the methods of AMQP 0-9-1, the unsettled deliveries, and the stream of events.
//!
//! It has everything that a wire protocol needs, and is there for that, beside the typed handles.
//! The methods use the terms of AMQP. An error is returned to the caller and closes nothing.
//!
//! - `handle`: [`Channel`], which keeps the channel open, and its methods on the channel itself.
//! - `topology`, `publish`, `confirms`, `consume`, `settle`, `tx`: the other methods.
//! - `outgoing`: the way of a message into its queues. `at_once`: the common way.
//! - `options`: the arguments of the methods.
//! - `ledger`: the unsettled deliveries and the consumers. `by_tag`: values by delivery tag.
//! - `arrivals`: the deliveries that no reader has taken over.
//! - `outlet`: the way of events into a stream.
//! - `window`: the limit of unread deliveries. `reading`: what a read of a delivery notes.
//! - `sink`: the part of a channel that queues deliver to. `spare_handles`: what it makes ahead.
//!
//! The events themselves and their streams are in `session/events/`.

mod arrivals;
mod at_once;
mod by_tag;
mod confirms;
mod consume;
mod handle;
mod ledger;
mod options;
mod outcome;
mod outgoing;
mod outlet;
mod publish;
mod reading;
mod settle;
mod sink;
mod spare_handles;
mod topology;
mod tx;
mod window;

use std::sync::{Arc, Weak};

use hashbrown::HashMap;

#[cfg(feature = "amqp")]
pub(crate) use self::{at_once::RouteAtOnce, settle::Awaiting};
pub use self::{
    handle::Channel,
    options::{
        AckMode, ChannelOptions, ConsumeOptions, IfEmpty, IfUnused, Multiple, PublishOptions,
        QosScope,
    },
    outcome::PublishOutcome,
};
pub use super::events::{
    BlockedReason, ChannelDelivery, Confirm, ConfirmOutcome, Event, Events, Returned, StreamItem,
};

use self::{
    confirms::Confirms,
    ledger::{ConsumerSlot, Entry, Ledger, sort_for_return},
    outlet::Outlet,
    reading::Reading,
    tx::Tx,
    window::Window,
};
use super::{
    connection::{ChannelView, ConnectionCore, Member},
    gate::Gate,
    holding::{self, Admission, Source},
    publisher::{CachedRoute, Publisher},
};
use crate::{
    engine::{
        queue::{ConsumerId, Group, QueueCore, ReturnedDelivery as ReturnedToQueue},
        vhost::{Drain, VirtualHost},
    },
    message::envelope::Envelope,
    model::{
        error::{CancelReason, Error, Result},
        name::Name,
    },
    runtime::{
        sync::{
            MutexGuard,
            atomic::{AtomicBool, Ordering::SeqCst},
        },
        waiter::WaitList,
    },
    session::{subscriber::Subscriber, unacked::DeliveryOrigin},
};

/// The part of a channel that queues, events and handles share.
pub(crate) struct ChannelCore {
    connection: Arc<ConnectionCore>,
    number: u16,
    /// The group of the channel's consumers: queues know the consumers of one channel by it.
    group: Group,
    reading: Arc<Reading>,
    /// Whether it is closed, for those who need nothing else of the state.
    is_closed: AtomicBool,
}

/// The data behind the channel's lock. It is a leaf lock, since queues take it while they hold
/// their own lock.
pub(crate) struct ChannelState {
    pub(crate) closed: Option<CancelReason>,
    ledger: Ledger,
    mode: PublishMode,
    /// The prefetch of consumers that start from now on.
    prefetch: u16,
    /// The queue that an empty queue name stands for.
    current_queue: Option<Name>,
    /// The tag of the reply consumer, and the name that replies are sent to.
    replies_to: Option<(Name, Name)>,
    /// Typed consumers that end with the channel.
    subscribers: Vec<Weak<Subscriber>>,
    /// Publishers that wait for capacity. They wait only as long as the channel is open.
    closing: WaitList,
    /// The origin of the last get, for the next one from the same queue.
    last_get: Option<Arc<DeliveryOrigin>>,
    /// The publishers of exchanges, at most [`MOST_PUBLISHERS`].
    publishers: Publishers,
    /// The route of the last publish that needed nothing else.
    last_route: Option<Arc<CachedRoute>>,
    outlet: Outlet,
}

/// Publishers by their exchanges.
type Publishers = HashMap<Name, Arc<Publisher>>;

/// The largest number of exchanges whose routes a channel remembers.
const MOST_PUBLISHERS: usize = 256;

enum PublishMode {
    Plain,
    Confirm(Confirms),
    Tx(Tx),
}

impl ChannelState {
    /// Whether a delivery is unsettled. The settlements of a transaction count after its commit.
    fn has_unsettled(&self) -> bool {
        let PublishMode::Tx(tx) = &self.mode else {
            return !self.ledger.is_empty();
        };
        tx.has_settlements() || !self.ledger.is_empty()
    }

    /// Whether the order of its events shows when each delivery was made: it has several consumers,
    /// the one for replies among them, or confirms.
    fn shows_order(&self) -> bool {
        let consumers = self.ledger.consumers.len() + usize::from(self.replies_to.is_some());
        consumers > 1 || matches!(self.mode, PublishMode::Confirm(_))
    }

    /// From now on no consumer of the channel is served late.
    fn serve_all_at_once(&self) {
        let consumers = self.ledger.consumers.values();
        let origins = consumers.filter_map(ConsumerSlot::as_origin);
        origins.for_each(|origin| origin.serve_at_once());
    }

    /// Takes the messages back that a consumer has not settled in time, and returns when its next
    /// delivery is due. The settlements of a transaction count after its commit.
    fn take_overdue(&mut self, origin: &Arc<DeliveryOrigin>, now: u64) -> (Vec<Envelope>, u64) {
        let tx = match &mut self.mode {
            PublishMode::Tx(tx) => Some(tx),
            PublishMode::Plain | PublishMode::Confirm(_) => None,
        };
        let uncommitted = tx.into_iter().flat_map(Tx::uncommitted);
        self.ledger.take_overdue(uncommitted, origin, now)
    }
}

impl ChannelCore {
    pub(crate) fn lock(&self) -> MutexGuard<'_, ChannelState> {
        self.reading.state.lock()
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        self.connection.gate()
    }

    pub(crate) fn vhost(&self) -> &Arc<VirtualHost> {
        self.gate().vhost()
    }

    /// Locks the channel for a method, if it is open.
    fn open(&self) -> Result<MutexGuard<'_, ChannelState>> {
        self.vhost().check_up()?;
        let state = self.lock();
        match state.closed {
            None => Ok(state),
            Some(CancelReason::ConnectionClosed) => Err(Error::ConnectionClosed),
            Some(CancelReason::UserDeleted) => Err(Error::user_deleted(self.gate().user())),
            Some(CancelReason::ShutDown) => Err(Error::ShutDown),
            Some(CancelReason::BrokerDropped) => Err(Error::BrokerDropped),
            Some(_) => Err(Error::ChannelClosed),
        }
    }

    fn check_open(&self) -> Result {
        self.vhost().check_up()?;
        match self.is_closed.load(SeqCst) {
            false => Ok(()),
            true => self.open().map(drop),
        }
    }

    /// The publisher of an exchange. The channel keeps it, since it remembers routes. Publishers
    /// that the channel keeps no longer are `forgotten`, to be dropped after the lock is released:
    /// a route may be the last to hold a queue with its messages.
    fn publisher(
        &self,
        state: &mut ChannelState,
        exchange: &str,
        forgotten: &mut Option<Publishers>,
    ) -> Result<Arc<Publisher>> {
        if let Some(publisher) = state.publishers.get(exchange) {
            return Ok(Arc::clone(publisher));
        }
        if state.publishers.len() == MOST_PUBLISHERS {
            *forgotten = Some(std::mem::take(&mut state.publishers));
        }
        let (exchange, key) = (Name::new(exchange)?, Name::empty());
        let publisher = self
            .gate()
            .publisher(exchange.clone(), key, false, None, None);
        let publisher = Arc::new(publisher);
        state.publishers.insert(exchange, Arc::clone(&publisher));
        Ok(publisher)
    }

    /// Closes the channel: removes its consumers and returns its unsettled deliveries, in one
    /// critical section for each queue. Waiters for confirms are woken, and a transaction that is
    /// not committed is dropped.
    pub(crate) fn close(&self, reason: CancelReason) {
        self.serve_consumers();
        let mut state = self.lock();
        if state.closed.is_some() {
            return;
        }
        state.closed = Some(reason);
        self.is_closed.store(true, SeqCst);
        let consumers: Vec<Arc<DeliveryOrigin>> = state
            .ledger
            .consumers
            .drain()
            .filter_map(|(_, slot)| slot.origin())
            .collect();
        let spare_handles = state.ledger.spare_handles.forget_all();
        let mut unsettled = state.ledger.take_all();
        let mut unconfirmed = Vec::new();
        let uncommitted = match std::mem::replace(&mut state.mode, PublishMode::Plain) {
            PublishMode::Tx(tx) => Some(tx),
            PublishMode::Confirm(confirms) => {
                let (begun, open) = (confirms.published(), confirms.unconfirmed() as u64);
                let churn = self.gate().churn();
                churn.published_to_confirm.add(begun);
                churn.confirmed.add(begun.saturating_sub(open));
                unconfirmed = confirms.close();
                None
            }
            PublishMode::Plain => None,
        };
        let replies_to = state.replies_to.take();
        state.last_get = None;
        let publishers = std::mem::take(&mut state.publishers);
        let last_route = state.last_route.take();
        let subscribers = std::mem::take(&mut state.subscribers);
        let mut wakes = state.outlet.close(reason);
        wakes.extend(state.closing.take_all());
        let left_stream = state.outlet.left_stream(reason);
        drop(state);
        let unread = left_stream.map(|stream| stream.take_of(self.number));
        let (settlements, forgotten) = uncommitted.map(Tx::into_parts).unwrap_or_default();
        unsettled.extend(settlements);
        if let Some((_, name)) = replies_to {
            self.vhost().forget_requester(&name);
        }
        self.remove_consumers(consumers, unsettled);
        for subscriber in subscribers.iter().filter_map(Weak::upgrade) {
            subscriber.cancel(reason);
        }
        self.connection.forget_channel(self.number);
        for wake in wakes.into_iter().chain(unconfirmed) {
            wake.wake();
        }
        drop((forgotten, unread, spare_handles, publishers, last_route));
    }

    /// Has the queues hand over all that the consumers of the channel have a right to.
    fn serve_consumers(&self) {
        let state = self.lock();
        if state.ledger.consumers.is_empty() {
            return;
        }
        let consumers = state.ledger.consumers.values();
        let queues: Vec<_> = consumers
            .filter_map(ConsumerSlot::as_origin)
            .map(|origin| Arc::clone(&origin.queue))
            .collect();
        drop(state);
        for queue in &queues {
            self.vhost().serve_late_channel(queue);
        }
    }

    /// Makes a typed consumer end with this channel.
    ///
    /// # Errors
    /// The errors of a closed channel. The consumer is cancelled then.
    pub(crate) fn adopt(&self, subscriber: &Arc<Subscriber>) -> Result {
        let adopted = self.open().map(|mut state| {
            state.subscribers.retain(|other| other.strong_count() > 0);
            state.subscribers.push(Arc::downgrade(subscriber));
        });
        if adopted.is_err() {
            subscriber.cancel(CancelReason::ChannelClosed);
        }
        adopted
    }

    /// Removes the consumers from their queues, and returns the deliveries to their queues.
    fn remove_consumers(
        &self,
        consumers: Vec<Arc<DeliveryOrigin>>,
        mut unsettled: Vec<(u64, Entry)>,
    ) {
        sort_for_return(&mut unsettled);
        let mut queues: Vec<(Arc<QueueCore>, Vec<ConsumerId>, Vec<ReturnedToQueue>)> = Vec::new();
        let mut place = |queue: &Arc<QueueCore>| -> usize {
            let found = queues.iter().position(|(known, _, _)| known == queue);
            found.unwrap_or_else(|| {
                queues.push((Arc::clone(queue), Vec::new(), Vec::new()));
                queues.len() - 1
            })
        };
        let consumers: Vec<_> = consumers
            .iter()
            .filter_map(|origin| Some((place(&origin.queue), origin.consumer.as_ref()?.0)))
            .collect();
        let unsettled: Vec<_> = unsettled
            .into_iter()
            .filter_map(|(_, mut entry)| {
                let (origin, envelope) = entry.unacked.release()?;
                if origin.overdue.is_some() {
                    // The queue has the message already.
                    return None;
                }
                Some((place(&origin.queue), origin.consumer.clone(), envelope))
            })
            .collect();
        for (place, id) in consumers {
            queues[place].1.push(id);
        }
        for (place, consumer, envelope) in unsettled {
            queues[place].2.push(ReturnedToQueue { consumer, envelope });
        }
        for (queue, ids, returned) in queues {
            self.vhost().end_channel(&queue, &ids, returned);
        }
    }

    /// Tells queues that the common limit of the channel allows more deliveries.
    #[inline]
    fn resume(&self, queues: Vec<Arc<QueueCore>>) {
        if queues.is_empty() {
            return;
        }
        for queue in queues {
            self.vhost().resume(&queue, self.group);
        }
    }
}

impl ChannelCore {
    /// Notes that the current thread receives the deliveries of the channel.
    fn note_receiver(self: &Arc<Self>) {
        let holders = &self.reading.holders;
        if !holders.is_last_receiver() {
            // It is asked for its ledger and not for its threads, so that one of them is enough.
            holders.note_receiver(self, true);
        }
    }

    /// Admits publishes of this channel, as [`holding::admit`] does.
    ///
    /// # Errors
    /// [`Error::ShutDown`].
    fn admit(&self) -> Result<Admission> {
        holding::admit(self.vhost().drain(), || self.lock().has_unsettled())
    }
}

impl Source for ChannelCore {
    fn has_unsettled(&self, drain: &Arc<Drain>) -> bool {
        Arc::ptr_eq(self.vhost().drain(), drain) && self.lock().has_unsettled()
    }
}

impl Member for ChannelCore {
    fn close(&self, reason: CancelReason) {
        ChannelCore::close(self, reason);
    }

    fn view(&self) -> ChannelView {
        self.serve_consumers();
        let window = self.reading.window.as_ref().map(Window::view);
        let (window, unread) = window.unwrap_or_default();
        let state = self.lock();
        let view = ChannelView {
            number: self.number,
            prefetch: state.prefetch,
            consumers: state.ledger.consumers.len() + usize::from(state.replies_to.is_some()),
            global_prefetch: state.ledger.limit(),
            unsettled: state.ledger.len(),
            window,
            unread,
            ..ChannelView::default()
        };
        match &state.mode {
            PublishMode::Plain => view,
            PublishMode::Confirm(confirms) => ChannelView {
                confirm: true,
                unconfirmed: confirms.unconfirmed(),
                published_to_confirm: confirms.published(),
                ..view
            },
            PublishMode::Tx(tx) => ChannelView {
                transactional: true,
                uncommitted: tx.publishes(),
                uncommitted_settlements: tx.settlements(),
                ..view
            },
        }
    }
}

impl ConsumerSlot {
    fn as_origin(&self) -> Option<&Arc<DeliveryOrigin>> {
        match self {
            ConsumerSlot::Reserved => None,
            ConsumerSlot::Consumer(origin) => Some(origin),
        }
    }

    fn origin(self) -> Option<Arc<DeliveryOrigin>> {
        match self {
            ConsumerSlot::Reserved => None,
            ConsumerSlot::Consumer(origin) => Some(origin),
        }
    }
}
