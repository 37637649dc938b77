//! Random programs against a simple model. The budget's use is the sum of the sizes in its queues,
//! and a publisher is refused when its message does not fit.

use std::collections::VecDeque;

use leveret::{
    Broker, Budget, Delivery, ManualClock, Message, Producer, Queue, Requeue, SimpleQueue,
};
use proptest::prelude::*;

use crate::common::{SECOND, on_a_manual_clock};

const LIMIT: u64 = 20;

#[derive(Clone, Copy, Debug)]
enum Op {
    Publish {
        queue: usize,
        size: usize,
        delayed: bool,
    },
    Get {
        queue: usize,
    },
    Settle {
        index: usize,
        how: How,
    },
    Purge {
        queue: usize,
    },
    Advance,
    /// Deletes the queue and declares it again.
    Renew {
        queue: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum How {
    Ack,
    Reject,
    Return,
    ReturnLater,
    Drop,
}

fn op() -> impl Strategy<Value = Op> {
    let queue = 0..3_usize;
    let how = prop_oneof![
        3 => Just(How::Ack),
        1 => Just(How::Reject),
        1 => Just(How::Return),
        1 => Just(How::ReturnLater),
        1 => Just(How::Drop),
    ];
    prop_oneof![
        6 => (queue.clone(), 0..9_usize, any::<bool>())
            .prop_map(|(queue, size, delayed)| Op::Publish { queue, size, delayed }),
        4 => queue.clone().prop_map(|queue| Op::Get { queue }),
        4 => (0..8_usize, how).prop_map(|(index, how)| Op::Settle { index, how }),
        1 => queue.clone().prop_map(|queue| Op::Purge { queue }),
        1 => Just(Op::Advance),
        1 => queue.prop_map(|queue| Op::Renew { queue }),
    ]
}

/// The model's state of three queues. Queues 0 and 1 are covered by the budget, queue 2 is not.
/// Queues 0 and 2 dead-letter to queue 1.
#[derive(Default)]
struct Model {
    ready: [VecDeque<u64>; 3],
    later: [VecDeque<u64>; 3],
    /// The sizes of the fetched messages. `None` if their queue was deleted since.
    held: Vec<(usize, Option<u64>)>,
}

impl Model {
    fn used(&self) -> u64 {
        let waiting = self.ready.iter().zip(&self.later).take(2);
        let waiting = waiting.flat_map(|(ready, later)| ready.iter().chain(later));
        let held = self.held.iter().filter(|(queue, _)| *queue < 2);
        waiting.sum::<u64>() + held.filter_map(|(_, size)| *size).sum::<u64>()
    }
}

struct Real {
    broker: Broker,
    clock: ManualClock,
    producers: Vec<Producer<String>>,
    queues: Vec<SimpleQueue<String>>,
    held: Vec<Delivery<String>>,
}

fn description(queue: usize) -> Queue {
    let dying = |name: &str| {
        Queue::new(name)
            .dead_letter_exchange("")
            .dead_letter_routing_key("1")
    };
    match queue {
        0 => dying("0").budget("b"),
        1 => Queue::new("1").budget("b"),
        _ => dying("2"),
    }
}

impl Real {
    fn new() -> Real {
        let (broker, clock) = on_a_manual_clock();
        broker.declare(&Budget::new("b", LIMIT)).unwrap();
        let producers = (0..3)
            .map(|queue| broker.producer(description(queue)).unwrap())
            .collect();
        let queues = (0..3)
            .map(|queue| broker.simple_queue(description(queue)).unwrap())
            .collect();
        Real {
            broker,
            clock,
            producers,
            queues,
            held: Vec::new(),
        }
    }
}

fn step(op: Op, model: &mut Model, real: &mut Real) -> Result<(), TestCaseError> {
    match op {
        Op::Publish {
            queue,
            size,
            delayed,
        } => {
            let fits = queue == 2 || model.used() + size as u64 <= LIMIT;
            let message = Message::new("x".repeat(size));
            let message = match delayed {
                true => message.deliver_after(SECOND),
                false => message,
            };
            let published = real.producers[queue].publish_message(message);
            prop_assert_eq!(published.is_ok(), fits);
            if fits {
                let place = match delayed {
                    true => &mut model.later[queue],
                    false => &mut model.ready[queue],
                };
                place.push_back(size as u64);
            }
        }
        Op::Get { queue } => {
            let got = real.queues[queue].try_get();
            prop_assert_eq!(got.is_ok(), !model.ready[queue].is_empty());
            if let Ok(delivery) = got {
                // Any ready message of this size will do. The model of the whole broker checks the
                // order.
                let size = delivery.len() as u64;
                let at = model.ready[queue].iter().position(|ready| *ready == size);
                prop_assert!(at.is_some());
                model.ready[queue].remove(at.unwrap());
                model.held.push((queue, Some(size)));
                real.held.push(delivery);
            }
        }
        Op::Settle { index, how } if index < real.held.len() => {
            let delivery = real.held.swap_remove(index);
            let (queue, size) = model.held.swap_remove(index);
            match how {
                How::Ack => delivery.ack().unwrap(),
                How::Reject => delivery.reject().unwrap(),
                How::Return => delivery.nack(Requeue::Yes).unwrap(),
                How::ReturnLater => delivery.nack(Requeue::After(SECOND)).unwrap(),
                How::Drop => drop(delivery),
            }
            if let Some(size) = size {
                match how {
                    How::Ack => {}
                    How::Reject if queue == 1 => {}
                    How::Reject => model.ready[1].push_back(size),
                    How::Return | How::Drop => model.ready[queue].push_back(size),
                    How::ReturnLater => model.later[queue].push_back(size),
                }
            }
        }
        Op::Settle { .. } => {}
        Op::Purge { queue } => {
            let purged = real.broker.purge(description(queue)).unwrap();
            prop_assert_eq!(purged, model.ready[queue].len() as u64);
            model.ready[queue].clear();
        }
        Op::Advance => {
            real.clock.advance(SECOND);
            for (ready, later) in model.ready.iter_mut().zip(&mut model.later) {
                ready.append(later);
            }
        }
        Op::Renew { queue } => {
            real.broker.delete(&description(queue)).unwrap();
            real.queues[queue] = real.broker.simple_queue(description(queue)).unwrap();
            model.ready[queue].clear();
            model.later[queue].clear();
            for (from, size) in &mut model.held {
                if *from == queue {
                    *size = None;
                }
            }
        }
    }
    Ok(())
}

proptest! {

    #![proptest_config(crate::common::cases())]

    #[test]
    fn the_use_of_a_budget_is_the_size_of_its_messages(ops in prop::collection::vec(op(), 1..80)) {
        let (mut model, mut real) = (Model::default(), Real::new());
        for op in ops {
            step(op, &mut model, &mut real)?;
            let snapshot = real.broker.snapshot().unwrap();
            let root = &snapshot.vhosts[0];
            prop_assert_eq!(root.budgets[0].used, model.used());
            let held_by_queues: u64 = root.queues[..2]
                .iter()
                .map(|queue| queue.ready.bytes + queue.unsettled.bytes + queue.delayed.bytes)
                .sum();
            prop_assert_eq!(root.budgets[0].used, held_by_queues);
        }
        for queue in 0..3 {
            step(Op::Renew { queue }, &mut model, &mut real)?;
        }
        drop(real.held);
        prop_assert_eq!(real.broker.budget("b").unwrap().used, 0);
    }
}
