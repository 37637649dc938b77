//! The messages of a queue that wait for a consumer, in the order in which they are to be served.
//!
//! Newcomers stand in line as they came; what was returned goes back to its place, which lies before every newcomer's
//! of the same time or between two that were returned as well. Knows nothing of consumers.

use std::collections::{BTreeMap, VecDeque};

use crate::envelope::Envelope;

/// Ready messages, oldest position first.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// In the order of their positions.
    arrived: VecDeque<Envelope>,
    /// By position. Every returned message was once at the head, so this stays small beside `arrived`.
    returned: BTreeMap<u64, Envelope>,
    bytes: u64,
}

impl Ready {
    pub(crate) fn len(&self) -> usize {
        self.arrived.len() + self.returned.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.arrived.is_empty() && self.returned.is_empty()
    }

    /// The bytes of all ready messages.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a newcomer: its position is the highest given so far.
    pub(crate) fn arrive(&mut self, envelope: Envelope) {
        self.bytes += envelope.size();
        self.arrived.push_back(envelope);
    }

    /// Puts a message back to its place.
    pub(crate) fn put_back(&mut self, envelope: Envelope) {
        self.bytes += envelope.size();
        self.returned.insert(envelope.position, envelope);
    }

    /// Takes the message that is to be served next.
    pub(crate) fn pop(&mut self) -> Option<Envelope> {
        let returned_first = match (self.returned.first_key_value(), self.arrived.front()) {
            (Some((position, _)), Some(arrived)) => *position < arrived.position,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let envelope = match returned_first {
            true => self.returned.pop_first().map(|(_, envelope)| envelope),
            false => self.arrived.pop_front(),
        }?;
        self.bytes -= envelope.size();
        Some(envelope)
    }

    /// Takes everything, in order.
    pub(crate) fn drain(&mut self) -> Vec<Envelope> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}
