//! Publishes to an engine outside of this process that are started, and not waited for yet.

use std::{collections::VecDeque, task::Poll};

use super::{
    Producer, PublishError, PublishResults,
    rest::Rest,
    send::{Made, Unpublished, unpublished},
};
use crate::{
    engine::vhost::Published,
    message::{
        envelope::Envelope,
        outgoing::Message,
        payload::{Body, Payload},
    },
    model::error::{Error, Result},
    runtime::{completion::Completion, waiter::Waitable},
    session::{
        backend::{Confirmation, Outbound},
        gate::Gate,
        publisher::{OnFull, Overrides},
    },
};

/// A publish that an engine outside of this process has not confirmed yet, and its message.
pub(super) type Started<T> =
    std::result::Result<(Completion<Confirmation>, Option<Envelope>, Option<Body>), Unpublished<T>>;

/// The parts of a message that come back if it is not published.
type Parts = (Option<Envelope>, Option<Body>);

/// The most publishes of a batch that are not confirmed, and their bytes.
const UNDER_WAY: usize = 1_024;
const BYTES_UNDER_WAY: u64 = 16 << 20;

/// The publishes of a batch that are started and not confirmed, in their order.
pub(super) struct UnderWay<T: Payload> {
    started: VecDeque<Started<T>>,
    bytes: u64,
}

impl<T: Payload> UnderWay<T> {
    pub(super) fn new() -> UnderWay<T> {
        UnderWay {
            started: VecDeque::new(),
            bytes: 0,
        }
    }

    fn push(&mut self, started: Started<T>) {
        self.bytes += UnderWay::bytes(&started);
        self.started.push_back(started);
    }

    fn bytes(started: &Started<T>) -> u64 {
        let message = started.as_ref().ok();
        let envelope = message.and_then(|(_, envelope, _)| envelope.as_ref());
        envelope.map_or(0, Envelope::size)
    }

    /// Takes out the first ones, if there are too many.
    pub(super) fn take_surplus(&mut self) -> Vec<Started<T>> {
        let mut surplus = Vec::new();
        while (self.started.len() > UNDER_WAY || self.bytes > BYTES_UNDER_WAY)
            && let Some(first) = self.started.pop_front()
        {
            self.bytes -= UnderWay::bytes(&first);
            surplus.push(first);
        }
        surplus
    }

    pub(super) fn take_all(self) -> Vec<Started<T>> {
        self.started.into()
    }
}

impl<T: Payload> Producer<T> {
    /// Starts to publish payloads to an engine outside of this process. They are handed over
    /// together, when all of them are made.
    pub(super) fn start_all(
        &self,
        payloads: impl Iterator<Item = T>,
        on_full: impl Fn() -> OnFull,
        under_way: &mut UnderWay<T>,
    ) {
        let mut messages = Vec::with_capacity(payloads.size_hint().0);
        let mut made = Vec::with_capacity(messages.capacity());
        let waits = on_full() != OnFull::Refuse;
        for payload in payloads {
            made.push(self.make_outbound(payload, waits).map(|(message, parts)| {
                messages.push(message);
                parts
            }));
        }
        let (completions, error) = match self.publisher.start_all(messages, on_full()) {
            // There is one for each message.
            Ok(completions) => (completions, Error::ConnectionClosed),
            Err(error) => (Vec::new(), error),
        };
        let mut completions = completions.into_iter();
        for made in made {
            let started = made.and_then(|(envelope, original)| match completions.next() {
                Some(completion) => Ok((completion, envelope, original)),
                None => Err(unpublished(error.clone(), envelope, original)),
            });
            under_way.push(started);
        }
    }

    fn make_outbound(&self, payload: T, waits: bool) -> Result<(Outbound, Parts), Unpublished<T>> {
        let Made {
            prepared,
            envelope,
            original,
            ..
        } = self.make_plain(payload, Overrides::default())?;
        let message = envelope.as_ref().map(|it| prepared.outbound(it, waits));
        match message.unwrap_or(Err(Error::ConnectionClosed)) {
            Ok(message) => Ok((message, (envelope, original))),
            Err(error) => Err(unpublished(error, envelope, original)),
        }
    }

    /// Waits until publishes are confirmed, and adds their results. It waits for the last one
    /// first: an engine mostly confirms in order, so the thread wakes once.
    pub(super) fn confirm_all(
        &self,
        all: Vec<Started<T>>,
        on_full: impl Fn() -> OnFull,
        results: &mut PublishResults<T>,
    ) {
        let backwards = all.into_iter().rev();
        let ended: Vec<_> = backwards
            .map(|started| {
                let (completion, envelope, original) = started.map_err(PublishError::of_payload)?;
                let gate = self.publisher.gate();
                let outcome = gate.wait_for_confirmation(completion, on_full());
                self.finish_started(outcome, envelope, original)
            })
            .collect();
        results.extend(ended.into_iter().rev());
    }

    /// Same as [`confirm_all`](Self::confirm_all), for a task.
    pub(super) async fn confirm_all_async(
        &self,
        all: Vec<Started<T>>,
        results: &mut PublishResults<T>,
    ) {
        let mut ended = Vec::new();
        for started in all.into_iter().rev() {
            ended.push(match started {
                Ok((completion, envelope, original)) => {
                    let outcome = Gate::confirmation(completion).await;
                    self.finish_started(outcome, envelope, original)
                }
                Err(unpublished) => Err(PublishError::of_payload(unpublished)),
            });
        }
        results.extend(ended.into_iter().rev());
    }

    /// Returns the result of a publish that an engine outside of this process has ended.
    pub(super) fn finish_started(
        &self,
        outcome: Result<Confirmation>,
        envelope: Option<Envelope>,
        original: Option<Body>,
    ) -> Result<Published, PublishError<T>> {
        let key = self.publisher.routing_key();
        self.finish(outcome, key, envelope, original)
            .map_err(PublishError::of_payload)
    }

    /// Whether the message changes where it leaves the process, and that is now.
    pub(super) fn departs(&self, message: &Envelope) -> bool {
        self.publisher.gate().is_remote() && message.body().departing().is_some()
    }

    /// Publishes a message, and waits neither for room nor for the confirm of an engine outside of
    /// this process. An engine that takes nothing now gets the message later.
    ///
    /// # Errors
    /// Those of [`try_publish`](Self::try_publish) that are known at once. The message is dropped.
    pub(crate) fn send_off(&self, message: Message<T>) -> Result<()> {
        let gate = self.publisher.gate();
        if !gate.is_remote() {
            let published = self.send_message(message, OnFull::Refuse);
            return published.map(drop).map_err(|error| error.into_parts().0);
        }
        let (payload, properties, rest) = Rest::split(message);
        let made = self.make_message(payload, properties, &rest);
        let (made, _) = made.map_err(|(error, ..)| error)?;
        let Made {
            prepared, envelope, ..
        } = made;
        let Some(started) = prepared.start_if_up(envelope.as_ref()) else {
            return Err(Error::ConnectionClosed);
        };
        match started?.attempt(None) {
            Poll::Ready(None) => Err(Error::ConnectionClosed),
            Poll::Ready(Some(Err(failure))) => {
                Err(failure.into_error(self.publisher.exchange(), prepared.routing_key()))
            }
            Poll::Ready(Some(Ok(_))) | Poll::Pending => Ok(()),
        }
    }
}
