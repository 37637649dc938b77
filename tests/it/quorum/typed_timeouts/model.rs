//! Random programs with typed consumers that have a time for each delivery, against a simple model
//! of one queue of either kind. After each step the test compares what was received and the counts
//! of the queue.

use std::collections::{BTreeMap, VecDeque};

use leveret::{Consumer, Delivery, Policy, Queue, Requeue, TryRecvError};
use proptest::prelude::*;

use crate::common::{assert_conserved, on_a_manual_clock};

/// One step of a program. A number chooses one of the deliveries that are held.
#[derive(Clone, Debug)]
enum Op {
    Publish,
    Receive,
    ReceiveBatch(usize),
    Settle(usize, How),
    /// Receives without the consumer, and acknowledges.
    Get,
    Advance(u64),
    ReturnUnseen,
    Pause,
    Resume,
    /// Sets the time by a policy, or clears it.
    SetPolicy(Option<u64>),
    /// Ends the consumer, and starts another one.
    Replace(Option<u64>),
}

#[derive(Clone, Copy, Debug)]
enum How {
    Ack,
    Return,
    Fail,
    Reject,
    Drop,
}

fn op() -> impl Strategy<Value = Op> {
    let how = prop_oneof![
        Just(How::Ack),
        Just(How::Return),
        Just(How::Fail),
        Just(How::Reject),
        Just(How::Drop),
    ];
    let time = || prop::option::of(0..300_u64);
    prop_oneof![
        8 => Just(Op::Publish),
        8 => Just(Op::Receive),
        2 => (1..4_usize).prop_map(Op::ReceiveBatch),
        8 => (any::<usize>(), how).prop_map(|(at, how)| Op::Settle(at, how)),
        2 => Just(Op::Get),
        6 => (0..200_u64).prop_map(Op::Advance),
        1 => Just(Op::ReturnUnseen),
        1 => Just(Op::Pause),
        1 => Just(Op::Resume),
        1 => time().prop_map(Op::SetPolicy),
        1 => time().prop_map(Op::Replace),
    ]
}

/// What a receiver sees: the payload, and how often it was acquired and failed before.
type Seen = (u32, u32, u32);

/// The place of a message in the order of its queue. Those that returned to a quorum queue come
/// first, in the order of their returns.
type Place = (bool, u64);

#[derive(Clone, Debug)]
struct Held {
    /// The number of its consumer.
    consumer: usize,
    place: Place,
    seen: Seen,
    /// When the queue takes it back.
    due: Option<u64>,
    is_late: bool,
}

struct Model {
    is_quorum: bool,
    now: u64,
    own: Option<u64>,
    policy: Option<u64>,
    places: u64,
    ready: BTreeMap<Place, Seen>,
    /// What the consumer has and has not shown.
    in_advance: VecDeque<(Place, Seen)>,
    held: Vec<Held>,
    /// The number of the consumer.
    consumer: usize,
    is_paused: bool,
    /// Whether it gets nothing before its next receive.
    waits_for_receive: bool,
    acked: u64,
    dropped: u64,
}

impl Model {
    fn place(&mut self, returned: bool) -> Place {
        self.places += 1;
        (!returned, self.places)
    }

    fn publish(&mut self, payload: u32) {
        let place = self.place(false);
        self.ready.insert(place, (payload, 0, 0));
        self.serve();
    }

    fn is_late(&self) -> bool {
        let mut own = self
            .held
            .iter()
            .filter(|held| held.consumer == self.consumer);
        own.any(|held| held.is_late)
    }

    fn serve(&mut self) {
        if !self.is_paused && !self.waits_for_receive && !self.is_late() {
            self.in_advance.extend(std::mem::take(&mut self.ready));
        }
    }

    fn return_unseen(&mut self) {
        self.ready.extend(self.in_advance.drain(..));
    }

    /// Takes the next message of the consumer.
    fn receive(&mut self) -> Option<Seen> {
        if self.in_advance.is_empty() {
            self.waits_for_receive = false;
            self.serve();
        }
        let (place, seen) = self.in_advance.pop_front()?;
        let of_queue = self.policy.filter(|_| self.is_quorum);
        let due = self.own.or(of_queue).map(|timeout| self.now + timeout);
        self.held.push(Held {
            consumer: self.consumer,
            place,
            seen,
            due,
            is_late: false,
        });
        Some(seen)
    }

    fn get(&mut self) -> Option<Seen> {
        let (_, seen) = self.ready.pop_first()?;
        self.acked += 1;
        Some(seen)
    }

    fn settle(&mut self, at: usize, how: How) {
        let held = self.held.remove(at);
        match how {
            _ if held.is_late => {}
            How::Ack => self.acked += 1,
            How::Reject => self.dropped += 1,
            How::Return => self.give_back(&held, false),
            How::Fail | How::Drop => self.give_back(&held, true),
        }
        self.serve();
    }

    fn give_back(&mut self, held: &Held, failed: bool) {
        let (payload, acquired, failures) = held.seen;
        let seen = (payload, acquired + 1, failures + u32::from(failed));
        let place = match self.is_quorum {
            true => self.place(true),
            false => held.place,
        };
        self.ready.insert(place, seen);
    }

    /// Goes on to `now`. Deliveries that are due on the way return, those of the consumer first.
    fn advance(&mut self, now: u64) {
        loop {
            let due = self.held.iter().filter(|held| !held.is_late);
            let due = due.filter_map(|held| held.due).min();
            let Some(due) = due.filter(|due| *due <= now) else {
                break;
            };
            let (consumer, all) = (self.consumer, &mut self.held);
            let overdue = all
                .iter_mut()
                .filter(|held| held.due == Some(due) && !held.is_late);
            let mut late: Vec<Held> = overdue
                .map(|held| {
                    held.is_late = true;
                    held.clone()
                })
                .collect();
            late.sort_by_key(|held| (held.consumer != consumer, held.consumer));
            if self.is_late() {
                self.return_unseen();
            }
            for held in late {
                self.give_back(&held, false);
            }
            self.serve();
        }
        self.now = now;
    }
}

/// The deliveries that are held, and what the last receive has brought.
#[derive(Default)]
struct Real {
    held: Vec<Delivery<u32>>,
}

impl Real {
    fn hold(&mut self, delivery: Delivery<u32>) -> Seen {
        let info = delivery.info();
        let seen = (*delivery, info.acquired_count(), info.delivery_count());
        self.held.push(delivery);
        seen
    }

    fn settle(&mut self, at: usize, how: How) {
        let delivery = self.held.remove(at);
        match how {
            How::Ack => delivery.ack().unwrap(),
            How::Return => delivery.nack(Requeue::Yes).unwrap(),
            How::Fail => delivery.nack(Requeue::Failed).unwrap(),
            How::Reject => delivery.reject().unwrap(),
            How::Drop => drop(delivery),
        }
    }
}

fn run(queue: &Queue, is_quorum: bool, own: Option<u64>, program: Vec<Op>) {
    use std::time::Duration;
    let (broker, clock) = on_a_manual_clock();
    let root = broker.vhost("/").unwrap();
    let start = |own: Option<u64>| -> Consumer<u32> {
        let builder = broker.consumer_builder::<u32>(queue).prefetch(0);
        match own {
            Some(millis) => builder.timeout(Duration::from_millis(millis)),
            None => builder,
        }
        .build()
        .unwrap()
    };
    let producer = broker.producer::<u32>(queue).unwrap();
    let mailbox = broker.simple_queue::<u32>(queue).unwrap();
    let mut consumer = start(own);
    let mut model = Model {
        is_quorum,
        now: 0,
        own,
        policy: None,
        places: 0,
        ready: BTreeMap::new(),
        in_advance: VecDeque::new(),
        held: Vec::new(),
        consumer: 0,
        is_paused: false,
        waits_for_receive: false,
        acked: 0,
        dropped: 0,
    };
    let mut real = Real::default();
    let mut published = 0;
    // In the end everything is settled, and the rest is received by others.
    let settle_all = [(); 200].map(|()| Op::Settle(0, How::Ack));
    let end = [Op::SetPolicy(None), Op::Replace(None), Op::Resume]
        .into_iter()
        .chain([(); 200].map(|()| Op::Receive))
        .chain([(); 200].map(|()| Op::Settle(0, How::Ack)));
    for op in program.into_iter().chain(settle_all).chain(end) {
        match op {
            Op::Publish => {
                producer.publish(published).unwrap();
                model.publish(published);
                published += 1;
            }
            Op::Receive => {
                let came = match consumer.try_recv() {
                    Ok(delivery) => Some(real.hold(delivery)),
                    Err(TryRecvError::Empty) => None,
                    Err(error) => panic!("{error}"),
                };
                assert_eq!(came, model.receive());
            }
            Op::ReceiveBatch(most) => {
                let batch = consumer.recv_batch(most, Duration::ZERO).unwrap();
                let came: Vec<_> = batch.map(|one| real.hold(one)).collect();
                let expected = std::iter::from_fn(|| model.receive()).take(most);
                assert_eq!(came, expected.collect::<Vec<_>>());
            }
            Op::Settle(at, how) => {
                if let Some(at) = at.checked_rem(real.held.len()) {
                    real.settle(at, how);
                    model.settle(at, how);
                }
            }
            Op::Get => {
                let got = mailbox.try_get().ok().map(|delivery| {
                    let info = delivery.info();
                    let seen = (*delivery, info.acquired_count(), info.delivery_count());
                    delivery.ack().unwrap();
                    seen
                });
                assert_eq!(got, model.get());
            }
            Op::Advance(millis) => {
                clock.advance(Duration::from_millis(millis));
                model.advance(model.now + millis);
            }
            Op::ReturnUnseen => {
                assert_eq!(consumer.return_unseen(), model.in_advance.len() as u64);
                model.return_unseen();
                model.waits_for_receive = true;
            }
            Op::Pause => {
                consumer.pause();
                model.return_unseen();
                model.is_paused = true;
            }
            Op::Resume => {
                consumer.resume();
                // The end of a pause ends the other one too.
                model.waits_for_receive &= !model.is_paused;
                model.is_paused = false;
                model.serve();
            }
            Op::SetPolicy(time) => {
                match time {
                    Some(millis) => {
                        let millis = i64::try_from(millis).unwrap();
                        let policy = Policy::new("p", "q").setting("consumer-timeout", millis);
                        root.set_policy(policy).unwrap();
                    }
                    None => drop(root.clear_policy("p")),
                }
                model.policy = time;
            }
            Op::Replace(own) => {
                drop(consumer);
                model.return_unseen();
                consumer = start(own);
                model.own = own;
                model.consumer += 1;
                model.is_paused = false;
                model.waits_for_receive = false;
                model.serve();
            }
        }
        // A delivery that is due at once needs no time to pass.
        clock.advance(Duration::ZERO);
        model.advance(model.now);
        let mut snapshot = broker.snapshot().unwrap();
        let queues = &mut snapshot.vhosts[0].queues;
        let at = queues.iter().position(|one| one.name == "q").unwrap();
        let counts = queues.swap_remove(at);
        assert_conserved(&counts);
        let unsettled = model.held.iter().filter(|held| !held.is_late).count();
        assert_eq!(
            [
                counts.ready.messages,
                counts.unsettled.messages,
                counts.acked.messages,
                counts.dropped.messages,
            ],
            [
                model.ready.len() as u64,
                (unsettled + model.in_advance.len()) as u64,
                model.acked,
                model.dropped,
            ]
        );
    }
    assert!(real.held.is_empty() && model.ready.is_empty());
    assert_eq!(model.acked + model.dropped, u64::from(published));
}

proptest! {
    #![proptest_config(crate::common::cases())]

    #[test]
    fn a_queue_takes_late_deliveries_back_as_the_model_does(
        is_quorum: bool,
        own in prop::option::weighted(0.8, 0..300_u64),
        program in prop::collection::vec(op(), 1..120),
    ) {
        let queue = match is_quorum {
            true => Queue::quorum("q").unlimited_deliveries(),
            false => Queue::new("q").durable(),
        };
        run(&queue, is_quorum, own, program);
    }
}
