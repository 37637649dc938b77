//! Consumers that were removed while they had unsettled deliveries.

use std::{fmt, sync::Arc};

use super::{consumer_sink::ConsumerSink, credit::Credit, effects::Effects};
use crate::{message::envelope::Envelope, model::message_totals::MessageTotals};

/// The removed consumers of a queue. In a box, since most queues have none.
#[derive(Debug, Default)]
#[allow(
    clippy::box_collection,
    reason = "the list would take three words of every queue"
)]
pub(super) struct AllRetired(Option<Box<Vec<Retired>>>);

impl AllRetired {
    pub(super) fn push(&mut self, retired: Retired) {
        self.0.get_or_insert_default().push(retired);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Retired> {
        self.0.iter().flat_map(|all| all.iter())
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Retired> {
        self.0.as_mut()?.get_mut(place)
    }

    /// Forgets those for which `is_kept` is `false`.
    pub(super) fn retain(&mut self, is_kept: impl FnMut(&Retired) -> bool) {
        if let Some(all) = &mut self.0 {
            all.retain(is_kept);
        }
        self.0 = self.0.take().filter(|all| !all.is_empty());
    }
}

/// A removed consumer that still has unsettled deliveries: the count of its deliveries, and the
/// credit that counts their settlements.
pub(super) struct Retired {
    pub(super) handed: MessageTotals,
    pub(super) credit: Arc<Credit>,
    pub(super) auto_ack: bool,
    /// Of a consumer without an inbox.
    pub(super) sink: Option<Arc<dyn ConsumerSink>>,
    /// A delivery may be due at this time, and none before.
    pub(super) next_overdue: u64,
}

impl Retired {
    /// Takes back the deliveries that were not settled in time.
    pub(super) fn take_overdue(&mut self, now: u64, effects: &mut Effects) -> Vec<Envelope> {
        let (taken, next) = match &self.sink {
            Some(_) if self.next_overdue > now => return Vec::new(),
            Some(sink) => sink.take_overdue(now, effects),
            None => self.credit.deadlines.take_overdue(now),
        };
        self.next_overdue = next;
        taken
    }
}

impl fmt::Debug for Retired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retired")
            .field("handed", &self.handed)
            .field("credit", &self.credit)
            .finish_non_exhaustive()
    }
}
