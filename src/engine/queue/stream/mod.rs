//! A queue that is a stream: its log, and the places of its consumers in it.
//!
//! Its consumers take nothing out. They have credit, groups and inboxes as those of other queues.
//! A message that a consumer gives back is only credit.
//!
//! What its store has in files of its own may go from memory. Nothing is read from there under the
//! lock: a reader reads by itself, and for a consumer that is an [effect](Effect::ReadStream).

mod readers;

pub(crate) use self::readers::NextBlock;
pub(in crate::engine) use self::readers::view;

use super::{
    Account, QueueCore,
    consumer_id::ConsumerId,
    effects::{Effect, Effects},
    kind::Kind,
    outcome::PushError,
    state::QueueState,
};
use crate::{
    engine::{
        store::WallClock,
        stream::{Appended, Log, Progress, Reading, Retention, Segment},
    },
    message::{
        envelope::{Envelope, NEVER},
        payload::{Payload, not_encodable},
    },
    model::{arguments::QueueArguments, error::Error, message_totals::MessageTotals, name::Name},
    runtime::{
        clock::Time,
        waiter::{WaitList, Wake},
    },
};
use std::{
    collections::{BTreeMap, vec_deque},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

/// What only a stream has.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) log: Log,
    /// The places of the consumers.
    readings: Vec<(ConsumerId, Reading)>,
    /// Readers that have read everything.
    waiting: WaitList,
    /// How far the readers are that are still there.
    progress: Vec<Weak<Progress>>,
    /// The offsets that readers have stored, by their names.
    stored: BTreeMap<Name, u64>,
    clock: WallClock,
    millisecond: Option<Millisecond>,
}

impl Stream {
    pub(super) fn new(settings: &QueueArguments) -> Stream {
        Stream {
            log: Log::new(Retention::of(settings)),
            readings: Vec::new(),
            waiting: WaitList::default(),
            progress: Vec::new(),
            stored: BTreeMap::new(),
            clock: WallClock::default(),
            millisecond: None,
        }
    }

    fn reading(&mut self, id: ConsumerId) -> Option<&mut Reading> {
        let mut readings = self.readings.iter_mut();
        Some(&mut readings.find(|(other, _)| *other == id)?.1)
    }

    /// The milliseconds since 1970 at a time of the virtual host.
    pub(super) fn millis(&self, now: u64) -> u64 {
        self.clock.millis(now)
    }
}

/// How far the readers of a stream are.
#[derive(Debug)]
pub(crate) struct StreamProgress {
    /// The offset of the first message that is kept.
    pub(crate) first: u64,
    /// The offset of the next message.
    pub(crate) next: u64,
    /// The bytes in memory, as the limits of the stream count them.
    pub(crate) in_memory: u64,
    pub(crate) readers: Vec<Arc<Progress>>,
    /// The stored offsets, by the names of the readers.
    pub(crate) stored: BTreeMap<Name, u64>,
}

/// The clock of a stream, which notes when each message comes.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    pub(crate) time: Time,
    /// The start of the nanoseconds of the virtual host.
    pub(crate) epoch: Instant,
    /// The time of day there.
    pub(crate) clock: WallClock,
}

impl Arrivals {
    /// The millisecond that `now` is in.
    #[inline(never)]
    fn millisecond(&self, now: Instant) -> Millisecond {
        let elapsed = now.saturating_duration_since(self.epoch);
        let part = elapsed.subsec_nanos().div_ceil(1_000_000);
        let whole = Duration::from_secs(elapsed.as_secs()) + Duration::from_millis(part.into());
        Millisecond {
            end: self.epoch.checked_add(whole).unwrap_or(now),
            number: self.clock.millis_after(whole),
        }
    }
}

/// The millisecond in which the last message came. Many messages come in the same one, and to
/// compare two times costs less than to compute it.
#[derive(Clone, Copy, Debug)]
struct Millisecond {
    /// Its last moment.
    end: Instant,
    /// Milliseconds since 1970.
    number: u64,
}

impl QueueCore {
    /// The same queue, with the clock that a stream needs.
    pub(crate) fn with_arrivals(mut self, arrivals: &Arrivals) -> QueueCore {
        self.state.get_mut().set_clock(arrivals.clock);
        self.arrivals = self.is_stream().then(|| Box::new(arrivals.clone()));
        self
    }

    /// The account that gets back what consumers settle. A stream keeps that.
    pub(crate) fn account_of_deliveries(&self) -> Option<&Arc<Account>> {
        self.account.as_ref().filter(|_| !self.is_stream())
    }

    /// As [`try_push`](Self::try_push), for a stream that is in memory.
    #[inline(never)]
    pub(super) fn try_append<P: Payload>(
        &self,
        size: u64,
        payload: P,
        make: impl FnOnce(P, u64) -> Envelope,
    ) -> Result<(), P> {
        let Some((arrivals, now)) = self.read_arrival::<P>() else {
            return Err(payload);
        };
        let mut state = self.lock();
        let Some(stream) = state.plain_stream() else {
            return Err(payload);
        };
        let came = stream.millis_of(now, arrivals);
        stream.log.begin_chunk();
        stream.append(size, came, |offset| make(payload, offset));
        let waiting = stream.take_waiting();
        state.count_taken_in(MessageTotals::new(1, size));
        drop(state);
        if let Some(waiting) = waiting {
            waiting.into_iter().for_each(Wake::wake);
        }
        Ok(())
    }

    /// As [`try_push_run`](Self::try_push_run), for a stream that is in memory. The messages come
    /// at one time.
    pub(super) fn try_append_run<P: Payload>(
        &self,
        payloads: &mut vec_deque::Drain<'_, P>,
        size: impl Fn(&P) -> u64,
        make: impl Fn(P, u64) -> Envelope,
    ) {
        let Some((arrivals, now)) = self.read_arrival::<P>() else {
            return;
        };
        let mut state = self.lock();
        if let Some(stream) = state.plain_stream() {
            stream.log.begin_chunk();
        }
        let mut added = MessageTotals::default();
        while let Some(stream) = state.plain_stream()
            && let Some(payload) = payloads.next()
        {
            let size = size(&payload);
            let came = stream.millis_of(now, arrivals);
            stream.append(size, came, |offset| make(payload, offset));
            added.add_message(size);
        }
        let stream = state.kind.stream_mut();
        let waiting = stream.and_then(Stream::take_waiting);
        state.count_taken_in(added);
        drop(state);
        waiting.into_iter().flatten().for_each(Wake::wake);
    }

    /// Reads the clock for a message of a stream. `None` if a message of this type needs more than
    /// a place in the log.
    #[inline]
    fn read_arrival<P: Payload>(&self) -> Option<(&Arrivals, Instant)> {
        let arrivals = self.arrivals.as_deref()?;
        let is_plain = P::is_shareable() && self.stored.is_none() && self.account.is_none();
        is_plain.then(|| (arrivals, arrivals.time.now()))
    }
}

impl Stream {
    /// The milliseconds since 1970 at which a message comes. Another publisher may have read the
    /// clock later than `now` and come first. That makes no difference: times never go back.
    #[inline]
    fn millis_of(&mut self, now: Instant, arrivals: &Arrivals) -> u64 {
        match &self.millisecond {
            Some(last) if now <= last.end => last.number,
            _ => {
                let millisecond = arrivals.millisecond(now);
                self.millisecond = Some(millisecond);
                millisecond.number
            }
        }
    }

    /// Appends a message of this size that comes at `came`, if there is a segment that is not full.
    #[inline(always)]
    fn append(&mut self, size: u64, came: u64, make: impl FnOnce(u64) -> Envelope) {
        let envelope = make(self.log.next());
        self.log.append_to_last(size, envelope, came);
    }

    /// The readers that wait for a message. They are to be woken without the lock.
    #[inline]
    fn take_waiting(&mut self) -> Option<Vec<Wake>> {
        (!self.waiting.is_empty()).then(|| self.waiting.take_all())
    }
}

impl Kind {
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Kind::Stream(_))
    }

    pub(super) fn stream(&self) -> Option<&Stream> {
        match self {
            Kind::Stream(stream) => Some(stream),
            Kind::Classic | Kind::Quorum(_) => None,
        }
    }

    pub(super) fn stream_mut(&mut self) -> Option<&mut Stream> {
        match self {
            Kind::Stream(stream) => Some(stream),
            Kind::Classic | Kind::Quorum(_) => None,
        }
    }
}

impl QueueState {
    /// Sets the clock of a stream, which has no messages yet.
    pub(super) fn set_clock(&mut self, clock: WallClock) {
        if let Some(stream) = self.kind.stream_mut() {
            stream.clock = clock;
        }
    }

    /// Returns an error if the readers of a stream cannot share the message, or if a durable stream
    /// cannot write it. A stream has no gaps.
    pub(super) fn check_shareable(&self, message: &Option<Envelope>) -> Result<(), PushError> {
        match message {
            Some(envelope) if self.kind.is_stream() && !envelope.body().is_shareable() => {
                let type_name = envelope.body().type_name();
                Err(PushError::NotStored(Box::new(Error::LocalToStream {
                    type_name,
                })))
            }
            Some(envelope) if self.kind.is_stream() && self.lacks_incoming() => {
                let error = not_encodable(envelope.body().type_name());
                Err(PushError::NotStored(Box::new(Error::Codec(error))))
            }
            _ => Ok(()),
        }
    }

    /// Puts a new message of a stream into its log, and delivers it.
    pub(super) fn append_to_log(
        &mut self,
        mut envelope: Envelope,
        now: u64,
        effects: &mut Effects,
    ) {
        envelope.set_deadline(NEVER);
        let mut dropped = Vec::new();
        let came = self.kind.stream().map(|stream| stream.clock.millis(now));
        let message = self.take_incoming();
        let appended = self.take_into_log(envelope, came.unwrap_or_default(), &mut dropped);
        if let (Some(appended), Some(message)) = (appended, message) {
            self.write_entry(appended, message);
        }
        self.evict(effects);
        let Some(stream) = self.kind.stream_mut() else {
            return;
        };
        for wake in stream.waiting.take_all() {
            effects.wake(Some(wake));
        }
        self.end_segments(dropped, effects);
        self.serve_readings(now, effects);
    }

    /// Adds a message that comes at `came`. Puts the segments that go into `dropped`.
    fn take_into_log(
        &mut self,
        envelope: Envelope,
        came: u64,
        dropped: &mut Vec<Segment>,
    ) -> Option<Appended> {
        self.count_taken_in(MessageTotals::new(1, envelope.size()));
        let stream = self.kind.stream_mut()?;
        stream.log.begin_chunk();
        Some(stream.log.append(envelope, came, dropped))
    }

    fn count_taken_in(&mut self, added: MessageTotals) {
        self.next_position += added.messages;
        self.tally.taken_in += added;
    }

    /// The stream, if a message takes its place in the log and does nothing else. Consumers and
    /// segments that end have more effects.
    #[inline]
    fn plain_stream(&mut self) -> Option<&mut Stream> {
        if self.deleted {
            return None;
        }
        let stream = self.kind.stream_mut()?;
        (stream.readings.is_empty() && !stream.log.is_full()).then_some(stream)
    }

    /// Takes messages out of memory that are on disk too, if there are more than the store wants
    /// there.
    fn evict(&mut self, effects: &mut Effects) {
        let files = self.storage.as_ref().and_then(|it| it.stream_files());
        let (Some((files, number)), Some(stream)) = (files, self.kind.stream_mut()) else {
            return;
        };
        let memory = files.memory();
        if stream.log.in_memory() > memory {
            let blocks = stream.log.evict(files.end(number), memory);
            if !blocks.is_empty() {
                effects.add(Effect::DropBlocks(blocks));
            }
        }
    }

    /// Puts a segment back whose messages so far are all on disk.
    pub(in crate::engine) fn restore_segment(&mut self, segment: Segment) {
        self.next_position = segment.end();
        self.tally.taken_in += segment.totals();
        if let Some(account) = &self.account {
            account.charge(segment.totals().bytes);
        }
        if let Some(stream) = self.kind.stream_mut() {
            stream.log.add_on_disk(segment);
        }
    }

    /// Gives no message of a stream an offset before this one. The stream has no messages.
    pub(in crate::engine) fn restore_offset(&mut self, next: u64) {
        self.next_position = self.next_position.max(next);
        if let Some(stream) = self.kind.stream_mut() {
            stream.log.begin_at(next);
        }
    }

    /// Puts a message back into its log that was there before the broker ended. `begins` tells
    /// whether it begins a segment.
    pub(in crate::engine) fn restore_to_log(
        &mut self,
        begins: bool,
        envelope: Envelope,
        came: u64,
        effects: &mut Effects,
    ) {
        self.next_position = envelope.position() + 1;
        self.tally.taken_in.add_message(envelope.size());
        if let Some(account) = &self.account {
            account.charge(envelope.size());
        }
        let Some(stream) = self.kind.stream_mut() else {
            return;
        };
        let mut dropped = Vec::new();
        stream.log.begin_at(envelope.position());
        stream.log.begin_chunk();
        stream.log.append_to(begins, envelope, came, &mut dropped);
        self.end_segments(dropped, effects);
    }

    /// The segments were dropped by retention.
    fn end_segments(&mut self, dropped: Vec<Segment>, effects: &mut Effects) {
        if let (Some(last), Some(storage)) = (dropped.last(), &self.storage) {
            storage.trim(last.end());
        }
        for segment in dropped {
            self.tally.rare().dropped += segment.totals();
            self.tally.rare().dropped_by.maxlen += segment.totals().messages;
            self.refund(segment.totals().bytes, effects);
            effects.add(Effect::DropSegment(segment));
        }
    }

    /// Drops the log of a stream that is deleted, and wakes its readers.
    pub(super) fn end_stream(&mut self, effects: &mut Effects) {
        let Some(stream) = self.kind.stream_mut() else {
            return;
        };
        stream.readings.clear();
        for reader in stream
            .progress
            .drain(..)
            .filter_map(|reader| reader.upgrade())
        {
            reader.end();
        }
        for wake in stream.waiting.take_all() {
            effects.wake(Some(wake));
        }
        for segment in stream.log.drain() {
            self.tally.rare().deleted += segment.totals();
            effects.add(Effect::DropSegment(segment));
        }
    }
}
