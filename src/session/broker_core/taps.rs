//! The taps of a broker: each connection and each consumer learns that there is one.

use std::sync::Arc;

use super::{BrokerCore, VhostEntry};
use crate::{
    engine::tap::{TapFilter, TappedMessage},
    runtime::feed::FeedLine,
};

impl BrokerCore {
    /// Adds a tap, with room for `capacity` messages. When it returns, all messages pass it.
    ///
    /// A connection or a consumer that comes later asks by itself. A connection is opened under the
    /// lock of the virtual hosts, and a consumer asks after it has started. So none is missed.
    pub(crate) fn tap_line(
        &self,
        filter: TapFilter,
        capacity: usize,
    ) -> Arc<FeedLine<TappedMessage>> {
        let line = FeedLine::with(capacity, []);
        self.taps.add(filter, &line);
        let vhosts = self.vhosts.lock();
        for entry in vhosts.iter().flat_map(|vhosts| vhosts.values()) {
            self.note_taps(entry);
        }
        drop(vhosts);
        for vhost in self.virtual_hosts().unwrap_or_default() {
            vhost.queues().iter().for_each(|queue| queue.note_taps());
        }
        line
    }

    /// Has the connections of a virtual host show what they publish, if there is a tap.
    pub(super) fn note_taps(&self, entry: &VhostEntry) {
        if self.taps.is_read() {
            entry.implicit.gate().note_taps();
            for connection in entry.known() {
                connection.gate().note_taps();
            }
        }
    }
}
