//! Heartbeats: a silent peer is dead, and a silent server shows that it is not.

use std::time::{Duration, Instant};

/// The heartbeats of a connection. Time passes in halves of the agreed interval, as in RabbitMQ.
#[derive(Debug)]
pub(super) struct Heartbeat {
    half: Duration,
    /// The end of this half.
    next: Instant,
    /// Halves in a row in which nothing came.
    silent: u8,
    /// Octets came in this half.
    pub(super) received: bool,
    /// Octets went out in this half.
    pub(super) sent: bool,
}

/// The work at the end of a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// A heartbeat is to be sent.
    Send,
    /// The peer has been silent for two intervals.
    PeerIsDead,
}

/// A peer is dead after this number of silent halves: two intervals.
const DEAD: u8 = 4;

impl Heartbeat {
    /// `None` without heartbeats.
    pub(super) fn new(seconds: u16, now: Instant) -> Option<Heartbeat> {
        let half = Duration::from_millis(u64::from(seconds) * 500);
        (seconds > 0).then(|| Heartbeat {
            half,
            next: now + half,
            silent: 0,
            received: true,
            sent: true,
        })
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Ends a half, if it is over. While `is_held` the server takes no octets, and the peer is not
    /// to blame for silence.
    pub(super) fn tick(&mut self, now: Instant, is_held: bool) -> Due {
        if now < self.next {
            return Due::Nothing;
        }
        self.next = now + self.half;
        self.silent = match std::mem::take(&mut self.received) || is_held {
            true => 0,
            false => self.silent + 1,
        };
        match (self.silent, std::mem::take(&mut self.sent)) {
            (DEAD.., _) => Due::PeerIsDead,
            (_, false) => Due::Send,
            (_, true) => Due::Nothing,
        }
    }
}
