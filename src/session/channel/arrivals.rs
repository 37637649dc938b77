//! The deliveries of a channel that no reader has taken over.

use std::{collections::VecDeque, mem, sync::Arc};

use super::spare_handles::SpareHandles;
use crate::{
    message::envelope::Envelope,
    session::{events::ChannelDelivery, unacked::DeliveryOrigin},
};

/// The capacity that is kept when nothing is left.
const IDLE: usize = 256;

/// A message as its queue delivered it. It has its tag, but neither its entry in the ledger nor its
/// event. A reader makes both, so that the queue need not write them.
pub(super) struct Arrival {
    pub(super) tag: u64,
    pub(super) origin: Arc<DeliveryOrigin>,
    /// When the queue takes it back. [`NEVER`](crate::message::envelope::NEVER) means not at all.
    pub(super) due: u64,
    pub(super) envelope: Envelope,
}

/// Messages that arrived one after another from one consumer. There is at least one.
#[derive(Debug)]
struct Run {
    /// The tag of the first one.
    tag: u64,
    origin: Arc<DeliveryOrigin>,
    due: u64,
    messages: VecDeque<Envelope>,
}

/// The deliveries of a channel that no reader has taken over, in the order of their tags. The
/// stream of events has their number.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// The first ones, if they have their entries already.
    entered: VecDeque<ChannelDelivery>,
    runs: VecDeque<Run>,
    /// How many messages of the runs will have an entry.
    unsettled: usize,
    /// Empty, for the next run.
    spare: Vec<Envelope>,
}

impl Arrivals {
    /// Adds a message.
    #[inline]
    pub(super) fn push(&mut self, arrival: Arrival) {
        let Arrival {
            tag,
            origin,
            due,
            envelope,
        } = arrival;
        self.unsettled += usize::from(!origin.auto_ack);
        if let Some(last) = self.runs.back_mut()
            && last.tag + last.messages.len() as u64 == tag
            && last.due == due
            && Arc::ptr_eq(&last.origin, &origin)
        {
            return last.messages.push_back(envelope);
        }
        let mut messages = mem::take(&mut self.spare);
        messages.push(envelope);
        self.push_run(tag, origin, due, messages);
    }

    /// Takes a buffer for the next run.
    pub(super) fn buffer(&mut self) -> Vec<Envelope> {
        mem::take(&mut self.spare)
    }

    /// Keeps a buffer that is empty.
    pub(super) fn keep_buffer(&mut self, buffer: Vec<Envelope>) {
        self.spare = buffer;
    }

    /// Adds the messages of a buffer, which have to be settled. There is at least one.
    pub(super) fn push_buffer(
        &mut self,
        tag: u64,
        origin: Arc<DeliveryOrigin>,
        due: u64,
        messages: Vec<Envelope>,
    ) {
        self.unsettled += messages.len();
        self.push_run(tag, origin, due, messages);
    }

    fn push_run(
        &mut self,
        tag: u64,
        origin: Arc<DeliveryOrigin>,
        due: u64,
        messages: Vec<Envelope>,
    ) {
        self.runs.push_back(Run {
            tag,
            origin,
            due,
            messages: messages.into(),
        });
    }

    /// How many of them will have an entry and have none yet.
    pub(super) fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// Whether the delivery with this tag has no entry yet, if it is there.
    #[inline]
    pub(super) fn may_have(&self, tag: u64) -> bool {
        self.runs.front().is_some_and(|first| first.tag <= tag)
    }

    /// Takes the next one that has its entry.
    #[inline]
    pub(super) fn pop_entered(&mut self) -> Option<ChannelDelivery> {
        let entered = self.entered.pop_front()?;
        if self.entered.is_empty() {
            self.entered = VecDeque::new();
        }
        Some(entered)
    }

    /// Takes the next one that has no entry. It gets a handle of its own.
    #[inline]
    pub(super) fn pop(&mut self, handles: &mut SpareHandles) -> Option<Arrival> {
        let run = self.runs.front_mut()?;
        let envelope = run.messages.pop_front()?;
        let (tag, due) = (run.tag, run.due);
        run.tag += 1;
        let origin = match run.messages.is_empty() {
            false => handles.another(&run.origin),
            true => self.end_run()?,
        };
        self.unsettled -= usize::from(!origin.auto_ack);
        Some(Arrival {
            tag,
            origin,
            due,
            envelope,
        })
    }

    /// Ends the first run, and keeps its buffer. Returns its handle.
    fn end_run(&mut self) -> Option<Arc<DeliveryOrigin>> {
        let Run {
            origin, messages, ..
        } = self.runs.pop_front()?;
        if messages.capacity() > self.spare.capacity() && messages.capacity() <= IDLE {
            self.spare = messages.into();
        }
        Some(origin)
    }

    /// Keeps one that has its entry now. A reader may still take it over.
    pub(super) fn keep_entered(&mut self, delivery: ChannelDelivery) {
        self.entered.push_back(delivery);
    }
}
