//! The numbers of deliveries, and their settlement.
//!
//! The number of a delivery names the channel that delivered it and its tag there. A channel that
//! is lost is forgotten, and so its deliveries cannot be settled any more.

use std::{collections::HashMap, sync::Arc};

use futures_util::FutureExt;
use lapin::{
    Channel,
    options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions},
};

use crate::{
    runtime::sync::{
        Mutex,
        atomic::{
            AtomicBool, AtomicI64, AtomicU32,
            Ordering::{Relaxed, SeqCst},
        },
    },
    session::backend::RemoteSettlement,
};

/// A tag has this many bits, enough for 2^40 deliveries of one channel.
const TAG_BITS: u32 = 40;

/// The channels that deliver, by their numbers.
#[derive(Default)]
pub(super) struct Deliveries {
    next: AtomicU32,
    /// A leaf lock.
    channels: Mutex<HashMap<u32, Arc<Delivering>>>,
}

/// A channel that delivers.
pub(super) struct Delivering {
    channel: Channel,
    /// The deliveries that are not settled.
    unsettled: AtomicI64,
    /// Nothing more is delivered.
    is_over: AtomicBool,
}

/// The channel of the delivery is lost.
pub(super) struct Lost;

impl Deliveries {
    /// Gives a channel a number.
    pub(super) fn add(&self, channel: Channel) -> u32 {
        let number = self.next.fetch_add(1, Relaxed) & (u32::MAX >> (TAG_BITS - 32));
        let delivering = Delivering {
            channel,
            unsettled: AtomicI64::new(0),
            is_over: AtomicBool::new(false),
        };
        self.channels.lock().insert(number, Arc::new(delivering));
        number
    }

    pub(super) fn channel(&self, number: u32) -> Option<Channel> {
        let channels = self.channels.lock();
        channels.get(&number).map(|found| found.channel.clone())
    }

    /// Numbers a delivery. `None` if its channel is lost.
    pub(super) fn arrived(&self, channel: u32, tag: u64) -> Option<u64> {
        let channels = self.channels.lock();
        channels.get(&channel)?.unsettled.fetch_add(1, SeqCst);
        Some(u64::from(channel) << TAG_BITS | tag)
    }

    /// The channel delivers no more. It is closed when its deliveries are settled.
    pub(super) fn over(&self, channel: u32) {
        let unused = {
            let mut channels = self.channels.lock();
            let is_unused = channels.get(&channel).is_some_and(|delivering| {
                delivering.is_over.store(true, SeqCst);
                delivering.unsettled.load(SeqCst) <= 0
            });
            is_unused.then(|| channels.remove(&channel))
        };
        drop(unused);
    }

    pub(super) fn lose(&self, channel: u32) {
        let lost = self.channels.lock().remove(&channel);
        drop(lost);
    }

    pub(super) fn lose_all(&self) {
        let lost = std::mem::take(&mut *self.channels.lock());
        drop(lost);
    }

    /// The channel of a delivery.
    ///
    /// # Errors
    /// [`Lost`].
    pub(super) fn find(&self, delivery: u64) -> Result<Arc<Delivering>, Lost> {
        let channels = self.channels.lock();
        let found = channels.get(&channel_of(delivery)).cloned();
        drop(channels);
        let is_up = |found: &Arc<Delivering>| found.channel.status().connected();
        found.filter(is_up).ok_or(Lost)
    }

    /// Settles a delivery. The client sends it in the order of the calls.
    ///
    /// # Errors
    /// [`Lost`].
    pub(super) fn settle(&self, delivery: u64, settlement: RemoteSettlement) -> Result<(), Lost> {
        let delivering = self.find(delivery)?;
        let channel = &delivering.channel;
        let tag = delivery & ((1 << TAG_BITS) - 1);
        // The first poll puts it into line. The rest would wait until it is written.
        let settled = match settlement {
            RemoteSettlement::Ack => {
                let options = BasicAckOptions::default();
                channel.basic_ack(tag, options).now_or_never()
            }
            RemoteSettlement::Requeue => {
                let options = BasicNackOptions {
                    requeue: true,
                    ..BasicNackOptions::default()
                };
                channel.basic_nack(tag, options).now_or_never()
            }
            RemoteSettlement::Reject => {
                let options = BasicRejectOptions::default();
                channel.basic_reject(tag, options).now_or_never()
            }
        };
        let left = delivering.unsettled.fetch_sub(1, SeqCst) - 1;
        if left <= 0 && delivering.is_over.load(SeqCst) {
            self.lose(channel_of(delivery));
        }
        match settled {
            Some(Err(_)) => Err(Lost),
            Some(Ok(())) | None => Ok(()),
        }
    }
}

fn channel_of(delivery: u64) -> u32 {
    (delivery >> TAG_BITS) as u32
}
