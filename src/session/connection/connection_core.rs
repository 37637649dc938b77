//! The part of a connection that channels and typed handles share.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use super::ConnectionAbout;
use crate::{
    model::{
        broker_event::EventKind,
        descriptions::Queue,
        error::{CancelReason, Error, Result},
    },
    runtime::{sync::Mutex, waiter::Wake},
    session::{
        events::EventStream,
        gate::Gate,
        subscriber::{Subscriber, SubscriberOptions, SubscriberOwner},
    },
};

#[cfg(doc)]
use super::Connection;

/// The part of a connection that channels and typed handles share.
pub(crate) struct ConnectionCore {
    gate: Arc<Gate>,
    about: ConnectionAbout,
    members: Mutex<Members>,
}

/// The parts that close with the connection. It is a leaf lock.
#[derive(Default)]
struct Members {
    last_channel: u16,
    channels: BTreeMap<u16, Weak<dyn Member>>,
    subscribers: BTreeMap<u64, Weak<Subscriber>>,
}

impl Members {
    fn free_channel(&mut self) -> Result<u16> {
        if self.channels.len() >= usize::from(u16::MAX) {
            return Err(Error::ResourceError(
                "all 65535 channels of the connection are open: close some".into(),
            ));
        }
        loop {
            self.last_channel = self.last_channel.checked_add(1).unwrap_or(1);
            if !self.channels.contains_key(&self.last_channel) {
                return Ok(self.last_channel);
            }
        }
    }
}

/// A channel at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChannelView {
    pub(crate) number: u16,
    pub(crate) confirm: bool,
    pub(crate) transactional: bool,
    pub(crate) consumers: usize,
    pub(crate) prefetch: u16,
    /// The limit of unsettled deliveries of all consumers together; 0 is none.
    pub(crate) global_prefetch: u32,
    pub(crate) unsettled: usize,
    /// Messages without a confirm.
    pub(crate) unconfirmed: usize,
    /// Messages that were published in confirm mode so far.
    pub(crate) published_to_confirm: u64,
    /// Publishes of a transaction.
    pub(crate) uncommitted: usize,
    /// Settlements of a transaction.
    pub(crate) uncommitted_settlements: usize,
    /// The window of unread deliveries, and how many there are; 0 is no window.
    pub(crate) window: u32,
    pub(crate) unread: u64,
}

/// A part of a connection that closes with it: a channel.
pub(crate) trait Member: Send + Sync {
    /// Closes the part, since the connection closes.
    fn close(&self, reason: CancelReason);

    /// The channel as it is now.
    fn view(&self) -> ChannelView;
}

impl ConnectionCore {
    pub(super) fn new(gate: Gate, about: ConnectionAbout) -> ConnectionCore {
        gate.churn().connections_opened.add(1);
        ConnectionCore {
            gate: Arc::new(gate),
            about,
            members: Mutex::default(),
        }
    }

    pub(crate) fn about(&self) -> &ConnectionAbout {
        &self.about
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The stream of the connection, and of channels that have none of their own.
    pub(in crate::session) fn events(&self) -> &Arc<EventStream> {
        self.gate.events()
    }

    /// Opens a channel that closes with the connection. `wanted` is its number, or the next free
    /// number. `open` makes it, and runs no user code.
    ///
    /// # Errors
    /// Those of [`Connection::open_channel_with`].
    pub(in crate::session) fn open_channel<C>(
        &self,
        wanted: Option<u16>,
        open: impl FnOnce(u16) -> (C, Weak<dyn Member>),
    ) -> Result<C> {
        self.gate.check_embedded("channels")?;
        let mut members = self.members.lock();
        self.gate.check_open()?;
        let number = match wanted {
            None => members.free_channel()?,
            Some(0) => return Err(Error::channel_zero()),
            Some(number) if members.channels.contains_key(&number) => {
                return Err(Error::channel_in_use());
            }
            Some(number) => number,
        };
        self.gate.access().open_channel()?;
        let (opened, member) = open(number);
        members.channels.insert(number, member);
        self.gate.churn().channels_opened.add(1);
        let told = self.tell_channel(EventKind::ChannelCreated, number);
        drop(members);
        told.into_iter().for_each(Wake::wake);
        Ok(opened)
    }

    pub(in crate::session) fn forget_channel(&self, number: u16) {
        let mut members = self.members.lock();
        if members.channels.remove(&number).is_none() {
            return;
        }
        let told = self.tell_channel(EventKind::ChannelClosed, number);
        drop(members);
        told.into_iter().for_each(Wake::wake);
        self.gate.access().close_channels(1);
        self.gate.churn().channels_closed.add(1);
    }

    /// The channels as they are now, by their numbers.
    pub(crate) fn view_channels(&self) -> Vec<ChannelView> {
        let members = self.members.lock();
        let channels: Vec<_> = members.channels.values().cloned().collect();
        drop(members);
        let channels = channels.iter().filter_map(Weak::upgrade);
        channels.map(|channel| channel.view()).collect()
    }

    /// Declares the queues and starts a consumer of each of them: all or nothing. The consumers end
    /// with this connection.
    ///
    /// # Errors
    /// - Those of the declarations.
    /// - [`Error::ResourceLocked`] if a queue is exclusive to another connection.
    /// - [`Error::AccessRefused`] if an exclusive consumer keeps this one out.
    /// - [`Error::ConnectionClosed`] or [`Error::ShutDown`].
    pub(crate) fn start_consumers(
        self: &Arc<Self>,
        queues: &[Queue],
        options: &SubscriberOptions,
    ) -> Result<Vec<Arc<Subscriber>>> {
        let owner: Weak<dyn SubscriberOwner> = Arc::downgrade(self) as Weak<ConnectionCore>;
        let started = self.gate.start_consumers(queues, &owner, options)?;
        let mut members = self.members.lock();
        // `close` collects under this lock. Either it finds these subscribers, or the connection is
        // found closed here.
        if let Err(error) = self.gate.check_open() {
            drop(members);
            for subscriber in started {
                subscriber.cancel(CancelReason::ConnectionClosed);
            }
            return Err(error);
        }
        for subscriber in &started {
            let weak = Arc::downgrade(subscriber);
            members.subscribers.insert(subscriber.number(), weak);
        }
        drop(members);
        Ok(started)
    }

    /// Closes channels and consumers, then deletes the exclusive queues.
    pub(crate) fn close(&self, reason: CancelReason) {
        let (wakes, members) = {
            let mut members = self.members.lock();
            let Some(wakes) = self.gate.close(reason) else {
                return;
            };
            (wakes, std::mem::take(&mut *members))
        };
        let access = self.gate.access();
        access.close();
        access.close_channels(members.channels.len());
        let churn = self.gate.churn();
        churn.channels_closed.add(members.channels.len() as u64);
        churn.connections_closed.add(1);
        for wake in wakes {
            wake.wake();
        }
        for (number, channel) in &members.channels {
            if let Some(channel) = channel.upgrade() {
                channel.close(reason);
            }
            let told = self.tell_channel(EventKind::ChannelClosed, *number);
            told.into_iter().for_each(Wake::wake);
        }
        for subscriber in members.subscribers.values().filter_map(Weak::upgrade) {
            subscriber.cancel(reason);
        }
        for wake in self.events().end(reason) {
            wake.wake();
        }
        self.tell_closed();
        self.gate.delete_exclusive_queues();
        self.gate.close_backend();
    }
}

impl SubscriberOwner for ConnectionCore {
    fn forget_subscriber(&self, number: u64) {
        self.members.lock().subscribers.remove(&number);
    }
}
