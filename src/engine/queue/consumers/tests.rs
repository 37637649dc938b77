//! The turn order when consumers take none, or all there is.

use std::sync::Arc;

use super::*;
use crate::{
    engine::queue::{ConsumerSink, Credit},
    message::{
        envelope::{Address, ExchangeId},
        payload::Body,
    },
    model::{arguments::StreamReading, error::CancelReason, name::Name},
};

/// A channel at its common limit.
struct Full;

impl ConsumerSink for Full {
    fn try_deliver(&self, _: &mut Option<Envelope>, _: u64, _: &mut Effects) -> bool {
        false
    }

    fn deliver_run(
        &self,
        _: usize,
        _: &mut dyn FnMut(&mut Vec<Envelope>, usize) -> MessageTotals,
        _: &mut Effects,
    ) -> MessageTotals {
        MessageTotals::default()
    }

    fn take_overdue(&self, _: u64, _: &mut Effects) -> (Vec<Envelope>, u64) {
        (Vec::new(), NEVER)
    }

    fn cancelled(&self, _: CancelReason, _: &mut Effects) {}
}

fn message() -> Envelope {
    let address = Address::new(&ExchangeId::Interned(0), &Name::empty());
    Envelope::new(Body::new(7_u8), &address, None)
}

/// Adds a consumer without a limit of its own.
fn add(consumers: &mut Consumers, group: Group, target: DeliveryTarget) -> ConsumerId {
    let request = SubscribeRequest {
        tag: Name::empty(),
        by: Arc::default(),
        group,
        priority: 0,
        prefetch: 0,
        auto_ack: false,
        exclusive: false,
        paused: false,
        timeout: None,
        reading: StreamReading::default(),
        credit: Arc::new(Credit::new(1)),
        on_slow: Default::default(),
    };
    consumers.add(request, |_| target)
}

#[test]
fn a_channel_at_its_limit_is_forgotten_with_its_last_consumer() {
    let mut consumers = Consumers::new(SingleActive::No);
    let [first, second, _] = [1, 1, 2].map(|channel| {
        let target = DeliveryTarget::Push(Arc::new(Full));
        add(&mut consumers, channel, target)
    });
    assert!(!consumers.deliver(&mut Some(message()), 1, 0, &mut Effects::none()));
    assert!(consumers.is_suspended(1) && consumers.is_suspended(2));
    consumers.remove(first);
    assert!(consumers.is_suspended(1), "its other consumer is there");
    consumers.remove(second);
    assert!(!consumers.is_suspended(1) && consumers.is_suspended(2));
}

#[test]
fn a_consumer_without_a_limit_takes_all_ready_messages_at_once() {
    let mut consumers = Consumers::new(SingleActive::No);
    add(&mut consumers, 1, DeliveryTarget::Inbox(Inbox::default()));
    let next = consumers.next_consumer().unwrap();
    let fill = |run: &mut Vec<Envelope>, most| {
        let taken = 1_000.min(most);
        run.extend((0..taken).map(|_| message()));
        MessageTotals::new(taken as u64, taken as u64)
    };
    assert!(consumers.deliver_batch(&next, &mut Effects::none(), fill));
    assert_eq!(consumers.iter().next().unwrap().inbox_len(), 1_000);
}
