//! A queue that is a stream: its log, and the places of its consumers in it.
//!
//! Its consumers take nothing out. They have credit, groups and inboxes as those of other queues.
//! A message that a consumer gives back is only credit.

use super::{
    QueueCore,
    browse::View,
    consumer_id::ConsumerId,
    effects::{Effect, Effects},
    kind::Kind,
    outcome::PushError,
    ready::ReadyKey,
    state::QueueState,
};
use crate::{
    engine::{
        store::WallClock,
        stream::{Block, Filter, Log, Progress, Reading, Retention, Segment},
    },
    message::{
        envelope::{Envelope, NEVER},
        payload::{Payload, not_encodable},
    },
    model::{
        arguments::{QueueArguments, StreamReading},
        descriptions::Offset,
        error::Error,
        name::Name,
    },
    runtime::{
        clock::Time,
        waiter::{Ticket, WaitList, Wake},
    },
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Instant,
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
        }
    }

    fn reading(&mut self, id: ConsumerId) -> Option<&mut Reading> {
        let mut readings = self.readings.iter_mut();
        Some(&mut readings.find(|(other, _)| *other == id)?.1)
    }
}

impl Stream {
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
    pub(crate) readers: Vec<Arc<Progress>>,
    /// The stored offsets, by the names of the readers.
    pub(crate) stored: BTreeMap<Name, u64>,
}

/// What a reader finds that has read its block.
#[derive(Debug)]
pub(crate) enum NextBlock {
    /// The block with this offset.
    Found(Arc<Block>, u64),
    /// The message has not come yet. The waiter, if there is one, is registered.
    Empty,
    /// The stream is deleted.
    Deleted,
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
    /// Milliseconds since 1970. Reads the clock, which may be user code.
    fn now(&self) -> u64 {
        let elapsed = self.time.now().saturating_duration_since(self.epoch);
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        self.clock.millis(nanos)
    }
}

impl QueueCore {
    /// The same queue, with the clock that a stream needs.
    pub(crate) fn with_arrivals(mut self, arrivals: &Arrivals) -> QueueCore {
        self.state.get_mut().set_clock(arrivals.clock);
        self.arrivals = self.is_stream().then(|| arrivals.clone());
        self
    }

    /// As [`try_push`](Self::try_push), for a stream that is in memory.
    #[inline(never)]
    pub(super) fn try_append<P: Payload>(
        &self,
        payload: P,
        make: impl FnOnce(P, u64) -> Envelope,
    ) -> Result<(), P> {
        let Some(arrivals) = &self.arrivals else {
            return Err(payload);
        };
        if !P::is_shareable() || self.stored.is_some() || self.account.is_some() {
            return Err(payload);
        }
        let came = arrivals.now();
        let mut state = self.lock();
        if state.deleted {
            return Err(payload);
        }
        let Some(stream) = state.kind.stream_mut() else {
            return Err(payload);
        };
        // Consumers and segments that end have more effects.
        if !stream.readings.is_empty() || stream.log.is_full() {
            return Err(payload);
        }
        let waiting = stream.waiting.take_all();
        let envelope = make(payload, stream.log.next());
        state.take_into_log(envelope, came, &mut Vec::new());
        drop(state);
        waiting.into_iter().for_each(Wake::wake);
        Ok(())
    }

    /// The block with the message at `offset`. If retention has dropped it, the first block that is
    /// kept, and that is noted in `progress`. If it has not come yet, registers the reader with the
    /// ticket.
    pub(crate) fn next_block(
        &self,
        progress: &Progress,
        offset: u64,
        ticket: Option<Ticket<'_>>,
    ) -> NextBlock {
        let mut state = self.lock();
        if state.deleted {
            return NextBlock::Deleted;
        }
        let Some(stream) = state.kind.stream_mut() else {
            return NextBlock::Deleted;
        };
        let kept = offset.max(stream.log.first());
        progress.add_lagged(kept - offset);
        if let Some(block) = stream.log.block(kept) {
            return NextBlock::Found(Arc::clone(block), kept);
        }
        if let Some(ticket) = ticket {
            stream.waiting.register(ticket);
        }
        NextBlock::Empty
    }

    /// How far the readers of a stream are. `None` if the queue is not a stream.
    pub(crate) fn stream_progress(&self) -> Option<StreamProgress> {
        let state = self.lock();
        let stream = state.kind.stream()?;
        Some(StreamProgress {
            first: stream.log.first(),
            next: stream.log.next(),
            readers: stream.progress.iter().filter_map(Weak::upgrade).collect(),
            stored: stream.stored.clone(),
        })
    }

    /// Calls `f` with the readers that wait for a message.
    pub(crate) fn with_waiting_readers(&self, f: impl FnOnce(&mut WaitList)) {
        match self.lock().kind.stream_mut() {
            Some(stream) => f(&mut stream.waiting),
            None => f(&mut WaitList::default()),
        }
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
        envelope.deadline = NEVER;
        let mut dropped = Vec::new();
        let came = self.kind.stream().map(|stream| stream.clock.millis(now));
        self.take_into_log(envelope, came.unwrap_or_default(), &mut dropped);
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
    fn take_into_log(&mut self, envelope: Envelope, came: u64, dropped: &mut Vec<Segment>) {
        self.next_position += 1;
        self.tally.taken_in.add_message(envelope.size());
        if let Some(stream) = self.kind.stream_mut() {
            stream.log.begin_chunk();
            stream.log.append(envelope, came, dropped);
        }
    }

    /// Puts a message back into its log that was there before the broker ended.
    pub(in crate::engine) fn restore_to_log(
        &mut self,
        envelope: Envelope,
        came: u64,
        effects: &mut Effects,
    ) {
        self.next_position = envelope.position + 1;
        self.tally.taken_in.add_message(envelope.size());
        if let Some(account) = &self.account {
            account.charge(envelope.size());
        }
        let Some(stream) = self.kind.stream_mut() else {
            return;
        };
        let mut dropped = Vec::new();
        stream.log.begin_at(envelope.position);
        stream.log.begin_chunk();
        stream.log.append(envelope, came, &mut dropped);
        self.end_segments(dropped, effects);
    }

    /// The segments were dropped by retention.
    fn end_segments(&mut self, dropped: Vec<Segment>, effects: &mut Effects) {
        if let (Some(last), Some(storage)) = (dropped.last(), &self.storage) {
            storage.forget_before(last.end());
        }
        for segment in dropped {
            self.tally.dropped += segment.totals();
            self.tally.rare().dropped_by.maxlen += segment.totals().messages;
            self.refund(segment.totals().bytes, effects);
            effects.add(Effect::DropSegment(segment));
        }
    }

    /// Copies of up to `most` messages of a stream behind `key` and before the offset `end`.
    pub(super) fn view_log(
        &self,
        key: Option<ReadyKey>,
        end: u64,
        most: usize,
    ) -> Vec<(ReadyKey, View)> {
        let Some(stream) = self.kind.stream() else {
            return Vec::new();
        };
        let first = key.map_or(0, |key| key.position() + 1);
        let first = first.max(stream.log.first());
        let views = (first..end.min(stream.log.next())).map_while(|offset| {
            let envelope = stream.log.block(offset)?.envelope(offset)?;
            Some((ReadyKey::of_offset(offset), (envelope, Ok(()))))
        });
        views.take(most).collect()
    }

    /// Gives a new consumer of a stream its place.
    pub(super) fn begin_reading(&mut self, id: ConsumerId, from: &StreamReading, now: u64) {
        if let Some(stream) = self.kind.stream_mut() {
            let next = stream.log.resolve(from.from, stream.clock.millis(now));
            let reading = Reading::new(next, Filter::of(from));
            stream.readings.push((id, reading));
        }
    }

    /// Forgets the places of consumers that are gone.
    pub(super) fn end_reading(&mut self, id: ConsumerId) {
        if let Some(stream) = self.kind.stream_mut() {
            stream.readings.retain(|(other, _)| *other != id);
        }
    }

    /// Adds a reader. It begins behind the offset that is stored under its name, or else at `from`.
    pub(in crate::engine) fn add_reader(
        &mut self,
        progress: &Arc<Progress>,
        from: Offset,
        now: u64,
    ) {
        let Some(stream) = self.kind.stream_mut() else {
            return;
        };
        let stored = stream.stored.get(progress.name());
        let from = match stored {
            Some(stored) => Offset::At(stored.saturating_add(1)),
            None => from,
        };
        progress.set_next(stream.log.resolve(from, stream.clock.millis(now)));
        stream.progress.retain(|other| other.strong_count() > 0);
        stream.progress.push(Arc::downgrade(progress));
        if self.deleted {
            progress.end();
        }
    }

    /// The offset at which a reader begins that asks for `from`.
    pub(in crate::engine) fn resolve(&self, from: Offset, now: u64) -> u64 {
        let stream = self.kind.stream();
        stream.map_or(0, |stream| {
            stream.log.resolve(from, stream.clock.millis(now))
        })
    }

    /// Stores the offset of the last message that readers of this name are done with.
    pub(in crate::engine) fn store_offset(&mut self, name: &Name, offset: u64) {
        if let Some(stream) = self.kind.stream_mut() {
            stream.stored.insert(name.clone(), offset);
        }
    }

    /// The offset that is stored under a name.
    pub(in crate::engine) fn stored_offset(&self, name: &Name) -> Option<u64> {
        self.kind.stream()?.stored.get(name).copied()
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
            self.tally.deleted += segment.totals();
            effects.add(Effect::DropSegment(segment));
        }
    }

    /// Has a consumer read again from this offset, since it has not seen the message there.
    pub(super) fn read_again(&mut self, id: ConsumerId, offset: u64) {
        let stream = self.kind.stream_mut();
        if let Some(reading) = stream.and_then(|stream| stream.reading(id)) {
            let next = reading.next().min(offset);
            reading.seek(next);
        }
    }

    /// Delivers to the consumers of a stream what they have credit for.
    pub(super) fn serve_readings(&mut self, now: u64, effects: &mut Effects) {
        let Kind::Stream(stream) = &mut self.kind else {
            return;
        };
        let Stream { log, readings, .. } = &mut **stream;
        for (id, reading) in readings {
            while let Some((block, offset)) = reading.find(log)
                && self.consumers.may_read(*id)
                && let Some(envelope) = block.envelope(offset)
            {
                let size = envelope.size();
                let mut message = Some(envelope);
                if !self
                    .consumers
                    .deliver_to(*id, &mut message, size, now, effects)
                {
                    break;
                }
                reading.seek(offset + 1);
            }
        }
    }

    /// The number of messages that a consumer of a stream has not got yet. Its filter may leave
    /// some of them out.
    pub(super) fn unread(&mut self, id: ConsumerId) -> usize {
        let Some(stream) = self.kind.stream_mut() else {
            return 0;
        };
        let end = stream.log.next();
        let next = stream.reading(id).map_or(end, |reading| reading.next());
        end.saturating_sub(next) as usize
    }

    /// Whether a consumer of a stream has not got all messages yet that it may get.
    pub(super) fn has_unread(&self) -> bool {
        let unread = |stream: &Stream| {
            let mut readings = stream.readings.iter();
            readings.any(|(_, reading)| reading.next() < stream.log.next())
        };
        self.kind.stream().is_some_and(unread)
    }
}
