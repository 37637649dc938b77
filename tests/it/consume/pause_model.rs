//! Random programs of typed consumers that are paused and resumed, against a simple model of one
//! queue. After every step the test compares the result and the counts.
//!
//! `tests/it/model` has the other operations, by channels, which cannot be paused.

use std::collections::VecDeque;

use leveret::{Broker, Consumer, Delivery, Message, Queue, QueueSnapshot, Requeue, TryRecvError};
use proptest::prelude::*;

use crate::common::{assert_conserved, cases};

const CONSUMERS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Plain,
    Priority,
    SingleActive,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Publish {
        priority: u8,
    },
    /// Starts the consumer with this number, in place of an earlier one.
    Start {
        consumer: usize,
        prefetch: u32,
        priority: i32,
        paused: bool,
    },
    Cancel {
        consumer: usize,
    },
    /// Receives a message if there is one, and holds it.
    Receive {
        consumer: usize,
    },
    /// Settles the delivery that the consumer has held longest.
    Settle {
        consumer: usize,
        requeue: bool,
    },
    Pause {
        consumer: usize,
    },
    Resume {
        consumer: usize,
    },
    ReturnUnseen {
        consumer: usize,
    },
    SetPrefetch {
        consumer: usize,
        prefetch: u32,
    },
}

fn any_op() -> impl Strategy<Value = Op> {
    let consumer = || 0..CONSUMERS;
    prop_oneof![
        8 => (0..3_u8).prop_map(|priority| Op::Publish { priority }),
        3 => (consumer(), 0..4_u32, 0..2, prop::bool::weighted(0.2)).prop_map(
            |(consumer, prefetch, priority, paused)| Op::Start {
                consumer, prefetch, priority, paused,
            }
        ),
        1 => consumer().prop_map(|consumer| Op::Cancel { consumer }),
        6 => consumer().prop_map(|consumer| Op::Receive { consumer }),
        5 => (consumer(), any::<bool>())
            .prop_map(|(consumer, requeue)| Op::Settle { consumer, requeue }),
        3 => consumer().prop_map(|consumer| Op::Pause { consumer }),
        3 => consumer().prop_map(|consumer| Op::Resume { consumer }),
        1 => consumer().prop_map(|consumer| Op::ReturnUnseen { consumer }),
        1 => (consumer(), 0..4_u32)
            .prop_map(|(consumer, prefetch)| Op::SetPrefetch { consumer, prefetch }),
    ]
}

/// The results that are compared: the received message with its flag, and the numbers of ready and
/// unsettled messages and of consumers.
type Outcome = (Option<(u32, bool)>, [u64; 3]);

/// The broker under test.
struct Real {
    broker: Broker,
    queue: Queue,
    published: u32,
    consumers: [Option<Consumer<u32>>; CONSUMERS],
    held: [VecDeque<Delivery<u32>>; CONSUMERS],
}

impl Real {
    fn new(kind: Kind) -> Real {
        let queue = Queue::new("q");
        let queue = match kind {
            Kind::Plain => queue,
            Kind::Priority => queue.max_priority(2),
            Kind::SingleActive => queue.single_active_consumer(),
        };
        let broker = Broker::new();
        broker.declare(&queue).unwrap();
        Real {
            broker,
            queue,
            published: 0,
            consumers: Default::default(),
            held: Default::default(),
        }
    }

    fn counts(&self) -> QueueSnapshot {
        let mut vhosts = self.broker.snapshot().unwrap().vhosts;
        vhosts.remove(0).queues.remove(0)
    }

    fn apply(&mut self, op: Op) -> Outcome {
        let received = self.perform(op);
        let counts = self.counts();
        assert_conserved(&counts);
        let numbers = [
            counts.ready.messages,
            counts.unsettled.messages,
            counts.consumers,
        ];
        (received, numbers)
    }

    fn perform(&mut self, op: Op) -> Option<(u32, bool)> {
        match op {
            Op::Publish { priority } => {
                let producer = self.broker.producer(&self.queue).unwrap();
                let message = Message::new(self.published).priority(priority);
                producer.publish_message(message).unwrap();
                self.published += 1;
            }
            Op::Start {
                consumer,
                prefetch,
                priority,
                paused,
            } => {
                drop(self.consumers[consumer].take());
                let builder = self.broker.consumer_builder(&self.queue);
                let builder = builder.prefetch(prefetch).priority(priority);
                let builder = if paused { builder.paused() } else { builder };
                self.consumers[consumer] = Some(builder.build().unwrap());
            }
            Op::Cancel { consumer } => drop(self.consumers[consumer].take()),
            Op::Receive { consumer } => match self.consumers[consumer].as_ref()?.try_recv() {
                Ok(delivery) => {
                    let received = (*delivery, delivery.info().redelivered());
                    self.held[consumer].push_back(delivery);
                    return Some(received);
                }
                Err(TryRecvError::Empty) => {}
                Err(error) => panic!("{error}"),
            },
            Op::Settle { consumer, requeue } => {
                let delivery = self.held[consumer].pop_front()?;
                match requeue {
                    true => delivery.nack(Requeue::Yes).unwrap(),
                    false => delivery.ack().unwrap(),
                }
            }
            Op::Pause { consumer } => self.consumers[consumer].as_ref()?.pause(),
            Op::Resume { consumer } => self.consumers[consumer].as_ref()?.resume(),
            Op::ReturnUnseen { consumer } => {
                self.consumers[consumer].as_ref()?.return_unseen();
            }
            Op::SetPrefetch { consumer, prefetch } => {
                self.consumers[consumer].as_ref()?.set_prefetch(prefetch);
            }
        }
        None
    }
}

#[derive(Clone, Copy, Debug)]
struct Msg {
    id: u32,
    priority: u8,
    returned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Pause {
    None,
    UntilReceive,
    UntilResume,
}

#[derive(Debug)]
struct State {
    priority: i32,
    prefetch: u32,
    pause: Pause,
    unseen: VecDeque<Msg>,
    /// The deliveries that it holds. Those of an earlier consumer with this number do not count.
    held: usize,
}

impl State {
    fn has_credit(&self) -> bool {
        let unsettled = self.unseen.len() + self.held;
        self.prefetch == 0 || unsettled < self.prefetch as usize
    }
}

/// The model. Consumers are numbered by the order of their starts.
#[derive(Debug)]
struct Model {
    kind: Kind,
    published: u32,
    ready: Vec<Msg>,
    /// By their numbers. A consumer that has ended is `None`.
    consumers: Vec<Option<State>>,
    /// The number of the consumer in each place of the program.
    places: [Option<usize>; CONSUMERS],
    /// The deliveries of each place, with the number of the consumer that received it.
    held: [VecDeque<(usize, Msg)>; CONSUMERS],
    turns: Vec<usize>,
    blocked: Vec<usize>,
    active: Option<usize>,
}

impl Model {
    fn new(kind: Kind) -> Model {
        Model {
            kind,
            published: 0,
            ready: Vec::new(),
            consumers: Vec::new(),
            places: [None; CONSUMERS],
            held: Default::default(),
            turns: Vec::new(),
            blocked: Vec::new(),
            active: None,
        }
    }

    fn state(&mut self, number: usize) -> &mut State {
        self.consumers[number].as_mut().unwrap()
    }

    fn put(&mut self, msg: Msg) {
        self.ready.push(msg);
        let ranked = self.kind == Kind::Priority;
        self.ready.sort_by_key(|msg| {
            let priority = if ranked { msg.priority } else { 0 };
            (std::cmp::Reverse(priority), msg.id)
        });
    }

    /// The first in turn of the highest priority.
    fn first_in_turn(&self) -> Option<usize> {
        let priority = |number: &usize| self.consumers[*number].as_ref().unwrap().priority;
        let highest = self.turns.iter().map(priority).max()?;
        let mut turns = self.turns.iter().copied();
        turns.find(|number| priority(number) == highest)
    }

    fn block(&mut self, number: usize) {
        self.turns.retain(|other| *other != number);
        self.blocked.retain(|other| *other != number);
        self.blocked.push(number);
    }

    fn reconsider(&mut self) {
        for number in std::mem::take(&mut self.blocked) {
            let state = self.consumers[number].as_ref().unwrap();
            match state.pause == Pause::None && state.has_credit() {
                true => self.turns.push(number),
                false => self.blocked.push(number),
            }
        }
        self.active = self.active.or_else(|| self.first_in_turn());
    }

    fn serve(&mut self) {
        while !self.ready.is_empty() {
            let next = match self.kind {
                Kind::SingleActive => self.active.filter(|active| !self.blocked.contains(active)),
                _ => self.first_in_turn(),
            };
            let Some(number) = next else { return };
            if !self.state(number).has_credit() {
                self.block(number);
                continue;
            }
            let msg = self.ready.remove(0);
            self.state(number).unseen.push_back(msg);
            if self.kind != Kind::SingleActive {
                self.turns.retain(|other| *other != number);
                self.turns.push(number);
            }
        }
    }

    fn serve_again(&mut self) {
        self.reconsider();
        self.serve();
    }

    fn step_back(&mut self, number: usize) {
        if self.active == Some(number) {
            self.active = None;
            self.active = self.first_in_turn();
        }
    }

    fn end(&mut self, place: usize) {
        let Some(number) = self.places[place].take() else {
            return;
        };
        self.turns.retain(|other| *other != number);
        self.blocked.retain(|other| *other != number);
        let state = self.consumers[number].take().unwrap();
        self.step_back(number);
        state.unseen.into_iter().for_each(|msg| self.put(msg));
        self.serve();
    }

    fn pause(&mut self, number: usize, pause: Pause) {
        let state = self.state(number);
        if state.pause != Pause::UntilResume {
            state.pause = pause;
        }
        let unseen = std::mem::take(&mut state.unseen);
        self.block(number);
        if pause == Pause::UntilResume {
            self.step_back(number);
        }
        unseen.into_iter().for_each(|msg| self.put(msg));
        self.serve_again();
    }

    fn apply(&mut self, op: Op) -> Outcome {
        let received = self.perform(op);
        self.serve_again();
        let running = || self.consumers.iter().flatten();
        let unseen: usize = running().map(|state| state.unseen.len()).sum();
        let held: usize = self.held.iter().map(VecDeque::len).sum();
        let numbers = [self.ready.len(), unseen + held, running().count()];
        (received, numbers.map(|number| number as u64))
    }

    fn perform(&mut self, op: Op) -> Option<(u32, bool)> {
        match op {
            Op::Publish { priority } => {
                let id = self.published;
                self.published += 1;
                self.put(Msg {
                    id,
                    priority,
                    returned: false,
                });
                self.serve();
            }
            Op::Start {
                consumer,
                prefetch,
                priority,
                paused,
            } => {
                self.end(consumer);
                let number = self.consumers.len();
                let pause = if paused {
                    Pause::UntilResume
                } else {
                    Pause::None
                };
                self.consumers.push(Some(State {
                    priority,
                    prefetch,
                    pause,
                    unseen: VecDeque::new(),
                    held: 0,
                }));
                self.places[consumer] = Some(number);
                match paused {
                    true => self.blocked.push(number),
                    false => {
                        self.turns.push(number);
                        self.active.get_or_insert(number);
                    }
                }
                self.serve();
            }
            Op::Cancel { consumer } => self.end(consumer),
            Op::Receive { consumer } => {
                let number = self.places[consumer]?;
                let state = self.state(number);
                if state.unseen.is_empty() && state.pause == Pause::UntilReceive {
                    state.pause = Pause::None;
                    self.serve_again();
                }
                let state = self.state(number);
                let msg = state.unseen.pop_front()?;
                state.held += 1;
                self.held[consumer].push_back((number, msg));
                return Some((msg.id, msg.returned));
            }
            Op::Settle { consumer, requeue } => {
                let (number, mut msg) = self.held[consumer].pop_front()?;
                if let Some(state) = &mut self.consumers[number] {
                    state.held -= 1;
                }
                if requeue {
                    msg.returned = true;
                    self.put(msg);
                }
                self.serve_again();
            }
            Op::Pause { consumer } => self.pause(self.places[consumer]?, Pause::UntilResume),
            Op::Resume { consumer } => {
                let number = self.places[consumer]?;
                let state = self.state(number);
                if state.pause == Pause::UntilResume {
                    state.pause = Pause::None;
                    self.serve_again();
                }
            }
            Op::ReturnUnseen { consumer } => {
                self.pause(self.places[consumer]?, Pause::UntilReceive)
            }
            Op::SetPrefetch { consumer, prefetch } => {
                let number = self.places[consumer]?;
                self.state(number).prefetch = prefetch;
                self.serve_again();
            }
        }
        None
    }
}

fn check(kind: Kind, program: &[Op]) -> Result<(), TestCaseError> {
    let (mut real, mut model) = (Real::new(kind), Model::new(kind));
    for (step, op) in program.iter().enumerate() {
        let (observed, expected) = (real.apply(*op), model.apply(*op));
        prop_assert_eq!(
            observed,
            expected,
            "step {}, {:?} of {:?}",
            step,
            op,
            &program[..=step]
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..cases() })]

    #[test]
    fn paused_consumers_and_the_others_get_what_the_model_gives_them(
        kind in prop_oneof![Just(Kind::Plain), Just(Kind::Priority), Just(Kind::SingleActive)],
        program in prop::collection::vec(any_op(), 1..100),
    ) {
        check(kind, &program)?;
    }
}
