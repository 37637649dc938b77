//! A slot for one message, reserved under the queue's lock before the message is made.
//!
//! Most messages go to the inbox of the next consumer, or to the end of the ready messages.
//! [`QueueState::reserve`](super::QueueState::reserve) finds such a slot, and [`Permit::send`]
//! makes the message in it. All other messages go through
//! [`QueueState::enqueue`](super::QueueState::enqueue).

use std::{collections::vec_deque, iter, mem::MaybeUninit};

use super::{
    QueueCore, consumer_state::InboxCommit, effects::Effects, outcome::PushedBy, ready::ReadyCommit,
};
use crate::{
    message::envelope::Envelope, model::message_totals::MessageTotals, runtime::waiter::Wake,
};

/// The right to put one message into a slot.
pub(super) struct Permit<'a> {
    pub(super) slot: Slot<'a>,
    /// The messages that the queue has taken in.
    pub(super) taken_in: &'a mut MessageTotals,
    pub(super) next_position: &'a mut u64,
}

/// The end of a list with capacity for at least one more message, and the counts of its owner.
pub(super) struct Slot<'a> {
    pub(super) list: &'a mut Vec<Envelope>,
    /// How many messages there is room and credit for.
    pub(super) room: usize,
    pub(super) commit: Commit<'a>,
}

/// How the owner of a list counts a message that was written there.
pub(super) enum Commit<'a> {
    /// A consumer's inbox. The consumer has credit.
    Inbox(InboxCommit<'a>),
    /// The ready messages.
    Ready(ReadyCommit<'a>),
}

/// The number of messages whose cache lines are fetched at a time.
const AHEAD: usize = 4;

/// Prefetches the next [`AHEAD`] slots for writing by storing zeros. The consumer was the last to
/// read these cache lines. Without the prefetch the lock would be held until they arrive. A list
/// with few slots is that of a queue that has few messages at once, and may be one of very many.
#[inline(always)]
fn fetch_ahead(list: &mut Vec<Envelope>) {
    let slots = list.spare_capacity_mut();
    if slots.len() > AHEAD {
        slots[1..AHEAD].fill_with(MaybeUninit::zeroed);
    }
}

/// Makes room for the first message of a list that has no room at all. Many consumers never have
/// two messages at once. `false` if the list has to grow.
#[cold]
#[inline(never)]
pub(super) fn has_made_room(list: &mut Vec<Envelope>) -> bool {
    let has_none = list.capacity() == 0;
    if has_none {
        list.reserve_exact(1);
    }
    has_none
}

impl Slot<'_> {
    /// How many messages may be put there one after the other.
    fn run(&self) -> usize {
        match &self.commit {
            Commit::Inbox(inbox) if inbox.is_in_turn() => 1,
            Commit::Inbox(_) | Commit::Ready(_) => self.room,
        }
    }
}

impl Permit<'_> {
    /// Makes a message of `size` bytes in the slot. `make` gets its position and runs no user code.
    /// The message must not depend on time.
    #[inline(always)]
    #[must_use = "a receiver that was claimed must be woken"]
    pub(super) fn send(self, size: u64, make: impl FnOnce(u64) -> Envelope) -> Option<Wake> {
        let Slot { list, commit, .. } = self.slot;
        let was_empty = list.is_empty();
        let position = *self.next_position;
        if list.len() % AHEAD == 0 {
            fetch_ahead(list);
        }
        // Not `push`, which would make the message elsewhere and move it. This write comes first,
        // because the lock cannot be released before it is done.
        list.extend(iter::once_with(|| make(position)));
        *self.next_position += 1;
        let totals = MessageTotals::new(1, size);
        *self.taken_in += totals;
        match commit {
            Commit::Inbox(inbox) => inbox.commit(was_empty, totals),
            Commit::Ready(ready) => {
                ready.commit(totals);
                None
            }
        }
    }

    /// As [`send`](Self::send), for as many payloads as there is capacity for. They are counted
    /// together.
    pub(super) fn send_run<P>(
        self,
        payloads: &mut vec_deque::Drain<'_, P>,
        size: impl Fn(&P) -> u64,
        make: impl Fn(P, u64) -> Envelope,
        effects: &mut Effects,
    ) {
        let run = self.slot.run();
        let Slot { list, commit, .. } = self.slot;
        let was_empty = list.is_empty();
        let mut added = MessageTotals::default();
        for payload in payloads.by_ref().take(run) {
            if list.len() % AHEAD == 0 {
                fetch_ahead(list);
            }
            added.add_message(size(&payload));
            let position = *self.next_position;
            list.extend(iter::once_with(|| make(payload, position)));
            *self.next_position += 1;
        }
        *self.taken_in += added;
        match commit {
            Commit::Inbox(inbox) => inbox.commit_run(was_empty, added, effects),
            Commit::Ready(ready) => ready.commit(added),
        }
    }
}

impl QueueCore {
    /// As [`try_push`](Self::try_push), also for a queue whose consumers take messages one by one,
    /// and for one with a limit. `has_priority` tells whether the message names one.
    ///
    /// # Errors
    /// Returns the payload if the message depends on time, if the queue is deleted, or if it may
    /// refuse the message, make its publisher wait or write it. Nothing has happened then.
    #[inline]
    pub(in crate::engine) fn try_enqueue<P>(
        &self,
        (size, has_priority): (u64, bool),
        payload: P,
        make: impl FnOnce(P, u64) -> Envelope,
    ) -> Result<Effects, P> {
        if self.is_timed() {
            return Err(payload);
        }
        let mut effects = Effects::none();
        let mut state = self.lock();
        if !has_priority && let Some(permit) = state.reserve(size, |order| order.level_of(None)) {
            effects.wake(permit.send(size, |position| make(payload, position)));
        } else if state.deleted || state.is_selective {
            return Err(payload);
        } else {
            // It sets the position.
            let mut message = Some(make(payload, 0));
            state.take_in(&mut message, PushedBy::Publisher, 0, &mut effects);
        }
        Ok(effects)
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::{collections::VecDeque, sync::Arc};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        engine::queue::{
            Account, BudgetCore, ConsumerId, Credit, DeliveryTarget, Effects, Inbox, PushedBy,
            QueueCore, QueueState, consumer_state::SubscribeRequest, outcome::Checkout,
        },
        message::{
            envelope::{Address, ExchangeId},
            payload::Body,
        },
        model::{
            arguments::{QueueArguments, QueueType, StreamReading},
            descriptions::Budget,
            error::CancelReason,
            name::Name,
        },
    };

    const CONSUMERS: usize = 3;

    fn plain(payload: &str, position: u64) -> Envelope {
        let address = Address::new(&ExchangeId::Interned(0), &Name::empty());
        Envelope::new(Body::new(payload.to_owned()), &address, None).at(position)
    }

    /// A queue with consumers, and the position and size of each delivery in order.
    struct Tried {
        state: QueueState,
        consumers: Vec<(ConsumerId, Arc<Credit>)>,
        handed: Vec<Vec<(u64, u64)>>,
        permits: usize,
    }

    impl Tried {
        fn new(settings: QueueArguments, prefetch: u32, priority: i64) -> Tried {
            let mut state = QueueState::new(Arc::new(settings), None, Arc::default());
            let consumers = (0..CONSUMERS).map(|number| {
                let credit = Arc::new(Credit::new(1));
                let request = SubscribeRequest {
                    tag: Name::empty(),
                    by: Arc::default(),
                    group: number as u64,
                    priority: if number == 0 { priority } else { 0 },
                    prefetch,
                    auto_ack: false,
                    exclusive: false,
                    paused: false,
                    timeout: None,
                    reading: StreamReading::default(),
                    credit: Arc::clone(&credit),
                    on_slow: Default::default(),
                };
                let inbox = |_| DeliveryTarget::Inbox(Inbox::default());
                let id = state.subscribe(request, inbox, 0, &mut Effects::none());
                (id.ok().unwrap(), credit)
            });
            let consumers = consumers.collect();
            Tried {
                state,
                consumers,
                handed: vec![Vec::new(); CONSUMERS],
                permits: 0,
            }
        }

        fn publish(&mut self, payload: &str, at_once: bool) {
            let make = |position| plain(payload, position);
            let permit = at_once
                .then(|| {
                    self.state
                        .reserve(payload.len() as u64, |order| order.level_of(None))
                })
                .flatten();
            if let Some(permit) = permit {
                self.permits += 1;
                assert!(permit.send(payload.len() as u64, make).is_none());
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
                .map(|envelope| (envelope.position(), envelope.size()));
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

        #![proptest_config(crate::model::test_cases::cases())]

        /// Messages written by permits and enqueued messages reach the same consumers in the same
        /// order, and have the same counts.
        #[test]
        fn a_reserved_slot_is_where_enqueue_would_have_put_the_message(
            limit in proptest::option::of(2..40_u64),
            single_active_consumer in any::<bool>(),
            quorum in any::<bool>(),
            max_priority in proptest::option::of(1..4_u8),
            prefetch in 0..9_u32,
            priority in 0..2_i64,
            steps in proptest::collection::vec((0..8_u8, 0..CONSUMERS, 1..30_usize), 1..60),
        ) {
            let settings = QueueArguments {
                max_length: limit,
                single_active_consumer,
                queue_type: if quorum { QueueType::Quorum } else { QueueType::Classic },
                max_priority: max_priority.filter(|_| !quorum),
                ..QueueArguments::default()
            };
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
                prop_assert_eq!(
                    put.state.counts(0, &mut effects),
                    pushed.state.counts(0, &mut effects)
                );
            }
            prop_assert_eq!(pushed.permits, 0);
        }
    }

    #[test]
    fn a_slot_can_be_reserved_with_a_consumer_and_behind_the_ready_messages() {
        let mut tried = Tried::new(QueueArguments::default(), 4, 0);
        let handed = CONSUMERS * 4;
        // A message is enqueued if its list has to grow, as for the second one, or if it is the
        // first that no consumer can take.
        (0..handed).for_each(|_| tried.publish("x", true));
        assert_eq!(tried.permits, handed - CONSUMERS);
        (0..100).for_each(|_| tried.publish("x", true));
        assert!(tried.permits > handed, "{}", tried.permits);
        assert_eq!(tried.state.ready_len(), 100);
    }

    #[test]
    fn only_a_consumer_that_is_alone_gets_a_run() {
        let room = |priority| {
            let mut tried = Tried::new(QueueArguments::default(), 0, priority);
            (0..8 * CONSUMERS).for_each(|_| tried.publish("x", true));
            (0..CONSUMERS).for_each(|number| tried.receive(number));
            (0..2 * CONSUMERS).for_each(|_| tried.publish("x", true));
            let permit = tried
                .state
                .reserve(1, |order| order.level_of(None))
                .unwrap();
            assert!(matches!(permit.slot.commit, Commit::Inbox(_)));
            permit.slot.run()
        };
        assert_eq!(room(0), 1);
        assert!(room(1) > 1, "the others have a lower priority");
    }

    #[test]
    fn a_deleted_queue_with_a_budget_has_no_slot_and_pays_nothing() {
        let budget = BudgetCore::new(Name::empty(), &Budget::new("b", 100));
        let budget = Arc::new(budget);
        let account = Account::with(vec![Arc::clone(&budget)]);
        let mut state = QueueState::new(Arc::default(), account, Arc::default());
        for _ in 0..2 {
            let mut message = Some(plain("x", 0));
            let by = PushedBy::Publisher;
            let pushed = state.enqueue(&mut message, by, 0, &mut Effects::none());
            assert!(pushed.is_ok());
        }
        assert!(state.reserve(1, |order| order.level_of(None)).is_some());
        let deleted = state.delete(false, false, CancelReason::QueueDeleted, 0);
        assert!(deleted.is_ok());
        let used = budget.used();
        assert!(state.reserve(1, |order| order.level_of(None)).is_none());
        state.note_selective();
        assert!(state.reserve(1, |order| order.level_of(None)).is_none());
        assert_eq!(budget.used(), used);
    }

    #[test]
    fn a_plain_queue_takes_a_message_at_once_and_leaves_nothing_to_do() {
        let queue = QueueCore::new(Name::empty(), 1, Arc::default(), None, Arc::default());
        // The first message makes the list grow.
        let (mut first, mut effects) = (Some(plain("x", 0)), Effects::none());
        let pushed = queue
            .lock()
            .enqueue(&mut first, PushedBy::Publisher, 0, &mut effects);
        assert!(pushed.is_ok() && effects.is_empty());
        assert!(
            queue
                .try_push(1, "x".to_owned(), |text, at| plain(&text, at))
                .is_ok()
        );
        queue.set_timed();
        assert!(
            queue
                .try_push(1, "x".to_owned(), |text, at| plain(&text, at))
                .is_err()
        );
        assert_eq!(queue.ready_len(), 2);
    }

    #[test]
    fn a_backlog_takes_a_message_at_once_unless_there_is_a_limit() {
        let mut limited = Tried::new(
            QueueArguments {
                max_length: Some(10),
                ..QueueArguments::default()
            },
            1,
            0,
        );
        let ranked = QueueArguments {
            max_priority: Some(3),
            ..QueueArguments::default()
        };
        let quorum = QueueArguments {
            queue_type: QueueType::Quorum,
            ..QueueArguments::default()
        };
        let others = [ranked, quorum].map(|settings| Tried::new(settings, 1, 0));
        (0..9).for_each(|_| limited.publish("x", true));
        assert!(limited.state.ready_len() > 0);
        assert!(
            limited
                .state
                .reserve(1, |order| order.level_of(None))
                .is_none()
        );
        for mut tried in others {
            (0..9).for_each(|_| tried.publish("x", true));
            assert!(tried.state.ready_len() > 0);
            assert!(
                tried
                    .state
                    .reserve(1, |order| order.level_of(None))
                    .is_some()
            );
        }
    }
}
