//! Where the next message goes at once, if nothing stands in its way: to the consumer whose turn it is, or to the end of the line.
//!
//! Looked for first and filled afterwards: so a message is made right where it is to lie, and what most messages need not ask is not
//! asked. Everything else goes by [`QueueState::enqueue`](super::QueueState::enqueue). Plain data behind the queue's lock.

use std::{collections::VecDeque, iter, mem::MaybeUninit};

use super::{consumers::ConsumerId, credit::Credit};
use crate::model::message_totals::MessageTotals;
use crate::{
    message::envelope::Envelope,
    runtime::waiter::{WaitList, Wake},
};

/// The place for one message, and what is to be counted when it is filled.
pub(crate) struct Place<'a> {
    pub(super) spot: Spot<'a>,
    /// What the queue has taken in.
    pub(super) taken_in: &'a mut MessageTotals,
    pub(super) next_position: &'a mut u64,
}

pub(super) struct Spot<'a> {
    /// Has room for one more.
    pub(super) room: &'a mut Vec<Envelope>,
    pub(super) owner: Owner<'a>,
}

pub(super) enum Owner<'a> {
    /// It is the inbox of a consumer, which has credit.
    Consumer {
        waiting: &'a mut WaitList,
        credit: &'a Credit,
        /// What the consumer was handed.
        handed: &'a mut MessageTotals,
        available: &'a mut u32,
        /// Where others wait for their turn, if any do.
        turn: Option<&'a mut VecDeque<ConsumerId>>,
    },
    /// It is the end of the line, behind messages that wait for credit.
    Line {
        /// The bytes of its last piece, its length, and what all ready messages amount to.
        piece: &'a mut u64,
        line: &'a mut usize,
        ready: &'a mut usize,
        bytes: &'a mut u64,
    },
}

/// For how many messages cache lines are fetched at a time.
const AHEAD: usize = 4;

/// Has the cache lines of the next few places come, all at once, by writing something there: they are with the consumer, which has read them
/// last. Otherwise each message would wait for its own before the lock can be let go.
#[inline(always)]
fn fetch_ahead(room: &mut Vec<Envelope>) {
    if let Some(places) = room.spare_capacity_mut().get_mut(1..AHEAD) {
        places.fill_with(MaybeUninit::zeroed);
    }
}

impl Place<'_> {
    /// Has a message of `size` bytes made there, for the position given. It must depend on no time; `make` runs no user code.
    #[inline(always)]
    #[must_use = "a receiver that was claimed must be woken"]
    pub(crate) fn put(self, size: u64, make: impl FnOnce(u64) -> Envelope) -> Option<Wake> {
        let Spot { room, owner } = self.spot;
        let first = room.is_empty();
        let position = *self.next_position;
        if room.len() % AHEAD == 0 {
            fetch_ahead(room);
        }
        // Not pushed, which would have it made elsewhere and moved. Before all else: the lock is not free until it is written.
        room.extend(iter::once_with(|| make(position)));
        *self.next_position += 1;
        let amount = MessageTotals::new(1, size);
        *self.taken_in += amount;
        match owner {
            Owner::Consumer {
                waiting,
                credit,
                handed,
                available,
                turn,
            } => {
                *handed += amount;
                // Without a limit there is nothing to count down.
                *available = available.saturating_sub(1);
                if first {
                    credit.set_filled(true);
                }
                if let Some(turn) = turn {
                    turn.rotate_left(1);
                }
                match waiting.is_empty() {
                    true => None,
                    false => waiting.take_one(),
                }
            }
            Owner::Line {
                piece,
                line,
                ready,
                bytes,
            } => {
                *piece = piece.wrapping_add(size);
                *line += 1;
                *ready += 1;
                *bytes = bytes.wrapping_add(size);
                None
            }
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::{collections::VecDeque, sync::Arc};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        engine::queue::{
            ConsumerId, Credit, DeliveryTarget, Effects, Inbox, PushedBy, QueueState,
            consumer_state::SubscribeRequest, outcome::Checkout,
        },
        message::{
            envelope::{Address, ExchangeId},
            payload::Body,
        },
        model::{arguments::QueueArguments, name::Name},
    };

    const CONSUMERS: usize = 3;

    /// A queue with consumers, and what they were handed: position and size, in this order.
    struct Tried {
        state: QueueState,
        consumers: Vec<(ConsumerId, Arc<Credit>)>,
        handed: Vec<Vec<(u64, u64)>>,
        places: usize,
    }

    impl Tried {
        fn new(settings: QueueArguments, prefetch: u32, priority: i64) -> Tried {
            let mut state = QueueState::new(settings, None);
            let consumers = (0..CONSUMERS).map(|number| {
                let credit = Arc::new(Credit::new(1));
                let ask = SubscribeRequest {
                    tag: Name::empty(),
                    group: number as u64,
                    priority: if number == 0 { priority } else { 0 },
                    prefetch,
                    auto_ack: false,
                    exclusive: false,
                    credit: Arc::clone(&credit),
                };
                let inbox = |_| DeliveryTarget::Inbox(Inbox::default());
                let id = state.subscribe(ask, inbox, 0, &mut Effects::none());
                (id.ok().unwrap(), credit)
            });
            let consumers = consumers.collect();
            Tried {
                state,
                consumers,
                handed: vec![Vec::new(); CONSUMERS],
                places: 0,
            }
        }

        fn publish(&mut self, payload: &str, at_once: bool) {
            let make = |position| {
                let address = Address::new(&ExchangeId::Interned(0), &Name::empty());
                Envelope::new(Body::new(payload.to_owned()), &address, None).at(position)
            };
            let place = at_once.then(|| self.state.place()).flatten();
            if let Some(place) = place {
                self.places += 1;
                assert!(place.put(payload.len() as u64, make).is_none());
                return;
            }
            let mut message = Some(make(0));
            let mut effects = Effects::none();
            let pushed = self
                .state
                .enqueue(&mut message, PushedBy::Publisher, 0, &mut effects);
            assert!(pushed.is_ok() || message.is_some());
        }

        fn receive(&mut self, number: usize) {
            let (id, _) = self.consumers[number];
            let (mut run, mut effects) = (VecDeque::new(), Effects::none());
            let taken = self.state.checkout(id, &mut run, None, 0, &mut effects);
            assert_eq!(matches!(taken, Checkout::Taken), !run.is_empty());
            let run = run
                .iter()
                .map(|envelope| (envelope.position, envelope.size()));
            self.handed[number].extend(run);
        }

        fn settle(&mut self, number: usize) {
            let (id, credit) = &self.consumers[number];
            if credit.settle(1, 1) {
                self.state.restore_credit(*id, 0, &mut Effects::none());
            }
        }
    }

    proptest! {
        /// Messages that were put and messages that were pushed come to the same consumers, in the same order, and count the same.
        #[test]
        fn a_place_is_where_a_push_would_have_led(
            limit in proptest::option::of(2..40_u64),
            single_active_consumer in any::<bool>(),
            prefetch in 0..9_u32,
            priority in 0..2_i64,
            steps in proptest::collection::vec((0..8_u8, 0..CONSUMERS, 1..30_usize), 1..60),
        ) {
            let settings = QueueArguments { max_length: limit, single_active_consumer, ..QueueArguments::default() };
            let mut put = Tried::new(settings.clone(), prefetch, priority);
            let mut pushed = Tried::new(settings, prefetch, priority);
            let mut unsettled = [0; CONSUMERS];
            for (step, number, count) in steps {
                for _ in 0..count {
                    match step {
                        0..=4 => {
                            let payload = "x".repeat(count);
                            put.publish(&payload, true);
                            pushed.publish(&payload, false);
                        }
                        5..=6 => {
                            let before = put.handed[number].len();
                            put.receive(number);
                            pushed.receive(number);
                            unsettled[number] += put.handed[number].len() - before;
                        }
                        _ if unsettled[number] > 0 => {
                            unsettled[number] -= 1;
                            put.settle(number);
                            pushed.settle(number);
                        }
                        _ => {}
                    }
                }
                let mut effects = Effects::none();
                prop_assert_eq!(&put.handed, &pushed.handed);
                prop_assert_eq!(put.state.counts(0, &mut effects), pushed.state.counts(0, &mut effects));
            }
            prop_assert_eq!(pushed.places, 0);
        }
    }

    #[test]
    fn there_is_a_place_with_a_consumer_and_in_the_line() {
        let mut tried = Tried::new(QueueArguments::default(), 4, 0);
        (0..100).for_each(|_| tried.publish("x", true));
        let handed = CONSUMERS * 4;
        // What has to be made room for is pushed, and the first that no consumer can take.
        assert!(tried.places > handed, "{}", tried.places);
        assert_eq!(tried.state.ready_len(), 100 - handed);
    }

    #[test]
    fn whoever_waits_for_anything_else_is_asked_first() {
        let idle = |settings| Tried::new(settings, 1, 0);
        let mut limited = idle(QueueArguments {
            max_length: Some(10),
            ..QueueArguments::default()
        });
        let mut ranked = idle(QueueArguments {
            max_priority: Some(3),
            ..QueueArguments::default()
        });
        for tried in [&mut limited, &mut ranked] {
            (0..8).for_each(|_| tried.publish("x", true));
            assert!(tried.state.ready_len() > 0);
            assert!(tried.state.place().is_none());
        }
    }
}
