//! The time-outs of a connection.

use std::time::{Duration, Instant};

use super::{CloseReason, Phase, ServerConnection, heartbeat::Due, session::Session};

/// How long a peer may take to answer `connection.close`, or to close its socket after an answer,
/// as in RabbitMQ.
pub(super) const CLOSING: Duration = Duration::from_secs(30);

/// How long a peer whose login was refused is kept waiting, as in RabbitMQ.
pub(super) const REFUSED: Duration = Duration::from_secs(3);

impl ServerConnection {
    /// The time of the next time-out, by the clock of the broker. `None` if there is none.
    ///
    /// The driver calls [`handle_timeout`](Self::handle_timeout) then. The time may change by every
    /// call of another method.
    ///
    /// [`handle_timeout`](Self::handle_timeout) has an example.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let heartbeat = self.heartbeat.as_ref().map(|heartbeat| heartbeat.next());
        [self.deadline, heartbeat].into_iter().flatten().min()
    }

    /// Does what is due at `now`: sends a heartbeat, or ends a connection whose peer is silent. It
    /// does nothing before [`poll_timeout`](Self::poll_timeout).
    ///
    /// # Examples
    /// ```
    /// use leveret::{amqp::{CloseReason, ServerConfig, ServerConnection}, Broker, ManualClock};
    /// use std::time::Duration;
    /// let clock = ManualClock::new();
    /// let broker = Broker::builder().clock(clock.clone()).build();
    /// let mut connection = ServerConnection::new(&broker, ServerConfig::new());
    /// let end = connection.poll_timeout().expect("a handshake has to end");
    /// connection.handle_timeout(end - Duration::from_millis(1));
    /// assert_eq!(connection.close_reason(), None);
    /// connection.handle_timeout(end);
    /// assert_eq!(connection.close_reason(), Some(&CloseReason::HandshakeTimeout));
    /// ```
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            match self.phase {
                Phase::Refused | Phase::Closing | Phase::Closed => self.finish(),
                _ => self.end(CloseReason::HandshakeTimeout),
            }
        }
        // A publish that waits is not the fault of the peer. Neither is input that waits behind
        // output, as long as the peer reads.
        let is_reading = self.heartbeat.as_ref().is_some_and(|it| it.sent);
        let is_waiting = self.session.as_ref().is_some_and(Session::is_waiting);
        let is_held = is_waiting || self.output.is_full() && is_reading;
        let due = self.heartbeat.as_mut().map(|it| it.tick(now, is_held));
        match due {
            Some(Due::PeerIsDead) => {
                self.output.clear();
                self.end(CloseReason::HeartbeatTimeout);
            }
            // Octets that wait for the driver show that the server is alive.
            Some(Due::Send) if self.output.len() == 0 => self.output.heartbeat(),
            Some(Due::Send | Due::Nothing) | None => {}
        }
        if self.has_output() {
            self.wake_output();
        }
    }

    /// Ends the connection, since the peer is gone or cannot be written to. Nothing is sent any
    /// more. It does nothing to a connection that has ended.
    ///
    /// The same happens if the connection is dropped. A driver needs this only if another thread or
    /// task waits for output.
    ///
    /// # Examples
    /// ```
    /// use leveret::{amqp::{CloseReason, ServerConfig, ServerConnection}, Broker};
    /// let mut connection = ServerConnection::new(&Broker::new(), ServerConfig::new());
    /// connection.handle_disconnect();
    /// assert_eq!(connection.close_reason(), Some(&CloseReason::Disconnected));
    /// ```
    pub fn handle_disconnect(&mut self) {
        if !matches!(self.phase, Phase::Ended) {
            self.reason.get_or_insert(CloseReason::Disconnected);
            self.finish();
        }
        self.output.clear();
        self.wake_output();
        self.wake_input();
    }
}
