//! Random programs of steering, beside a model of two queues.

use std::collections::VecDeque;

use leveret::{
    Broker, ExportedMessage, Message, MessageId, MessageOutcome, Properties, Queue, Selection,
    SimpleQueue,
};
use proptest::prelude::*;

use super::counts;
use crate::common::{assert_conserved, cases};

#[derive(Clone, Debug)]
enum Step {
    Put(usize),
    Get(usize),
    Ack(usize),
    Return(usize),
    /// Deletes the n-th of the messages that were ever seen.
    Delete(usize, usize),
    DeleteAll(usize, usize, u32),
    Move(usize, usize),
    MoveAll(usize, usize, u32),
    Peek(usize, usize),
    Browse(usize, u32),
    Pause(usize),
    Resume(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    let queue = 0..2_usize;
    prop_oneof![
        4 => queue.clone().prop_map(Step::Put),
        3 => queue.clone().prop_map(Step::Get),
        1 => (0..4_usize).prop_map(Step::Ack),
        2 => (0..4_usize).prop_map(Step::Return),
        2 => (queue.clone(), 0..20_usize).prop_map(|(queue, at)| Step::Delete(queue, at)),
        1 => (queue.clone(), 0..4_usize, 1..4_u32).prop_map(|(q, n, m)| Step::DeleteAll(q, n, m)),
        2 => (queue.clone(), 0..20_usize).prop_map(|(queue, at)| Step::Move(queue, at)),
        1 => (queue.clone(), 0..4_usize, 1..4_u32).prop_map(|(q, n, m)| Step::MoveAll(q, n, m)),
        2 => (queue.clone(), 0..6_usize).prop_map(|(queue, most)| Step::Peek(queue, most)),
        1 => (queue.clone(), 1..4_u32).prop_map(|(queue, modulus)| Step::Browse(queue, modulus)),
        1 => queue.clone().prop_map(Step::Pause),
        1 => queue.prop_map(Step::Resume),
    ]
}

/// A message of the model: its place in the order of its queue, and its number.
type Entry = (u64, u32);

#[derive(Default)]
struct Modelled {
    ready: VecDeque<Entry>,
    next: u64,
    paused: bool,
    purged: u64,
    moved: u64,
}

impl Modelled {
    /// The numbers of the first ready messages that a modulus divides.
    fn divided(&self, most: usize, modulus: u32) -> Vec<u32> {
        let numbers = self.numbers().into_iter();
        numbers
            .filter(|it| it.is_multiple_of(modulus))
            .take(most)
            .collect()
    }

    fn put(&mut self, number: u32) {
        self.ready.push_back((self.next, number));
        self.next += 1;
    }

    fn put_back(&mut self, entry: Entry) {
        let at = self.ready.partition_point(|(place, _)| *place < entry.0);
        self.ready.insert(at, entry);
    }

    fn take(&mut self, number: u32) -> bool {
        match self.ready.iter().position(|(_, ready)| *ready == number) {
            Some(at) => self.ready.remove(at).is_some(),
            None => false,
        }
    }

    fn take_at(&mut self, place: u64) -> bool {
        match self.ready.iter().position(|(ready, _)| *ready == place) {
            Some(at) => self.ready.remove(at).is_some(),
            None => false,
        }
    }

    fn numbers(&self) -> Vec<u32> {
        self.ready.iter().map(|(_, number)| *number).collect()
    }
}

const NAMES: [&str; 2] = ["a", "b"];

fn number_of(properties: &Properties) -> u32 {
    let number = properties
        .header_value("n")
        .and_then(|number| number.as_i64());
    number.unwrap().try_into().unwrap()
}

/// The ids of all messages that were ever seen, with their queues, places and numbers.
fn look(broker: &Broker, seen: &mut Vec<(usize, MessageId, Entry)>) {
    for (at, name) in NAMES.iter().enumerate() {
        for message in broker.peek(*name, 100).unwrap() {
            let (id, number) = (message.id().unwrap(), number_of(message.properties()));
            let entry = (message.position(), number);
            if !seen.iter().any(|(_, other, _)| *other == id) {
                seen.push((at, id, entry));
            }
        }
    }
}

proptest! {

    #![proptest_config(cases())]

    #[test]
    fn a_random_program_does_what_the_model_says(
        steps in proptest::collection::vec(steps(), 1..60),
    ) {
        let broker = Broker::new();
        let queues: Vec<SimpleQueue<u32>> = NAMES
            .iter()
            .map(|name| broker.simple_queue(Queue::new(*name)).unwrap())
            .collect();
        let mut models = [Modelled::default(), Modelled::default()];
        let (mut held, mut seen, mut next) = (Vec::new(), Vec::new(), 0_u32);
        for step in steps {
            match step {
                Step::Put(at) => {
                    let message = Message::new(next).header("n", next);
                    queues[at].put_message(message).unwrap();
                    models[at].put(next);
                    next += 1;
                }
                Step::Get(at) => {
                    let model = &mut models[at];
                    let expected = match model.paused {
                        true => None,
                        false => model.ready.pop_front(),
                    };
                    let got = queues[at].try_get().ok();
                    let number = expected.map(|(_, number)| number);
                    prop_assert_eq!(got.as_ref().map(|it| **it), number);
                    if let (Some(got), Some(entry)) = (got, expected) {
                        held.push((at, entry, got));
                    }
                }
                Step::Ack(which) => {
                    if which < held.len() {
                        let (_, _, delivery) = held.remove(which);
                        delivery.ack().unwrap();
                    }
                }
                Step::Return(which) => {
                    if which < held.len() {
                        let (at, entry, delivery) = held.remove(which);
                        drop(delivery);
                        models[at].put_back(entry);
                    }
                }
                Step::Delete(at, which) => {
                    look(&broker, &mut seen);
                    if let Some((home, id, entry)) = seen.get(which).copied() {
                        let is_there = home == at && models[at].take_at(entry.0);
                        let outcome = broker.delete_message(NAMES[at], id).unwrap();
                        let done = outcome == MessageOutcome::Done;
                        prop_assert_eq!(done, is_there);
                        models[at].purged += u64::from(done);
                    }
                }
                Step::DeleteAll(at, most, modulus) => {
                    let which = Selection::first(most);
                    let which = which.filter(|it| number_of(it).is_multiple_of(modulus));
                    let deleted = broker.delete_messages(NAMES[at], which).unwrap();
                    let model = &mut models[at];
                    let chosen = model.divided(most, modulus);
                    chosen.iter().for_each(|number| assert!(model.take(*number)));
                    prop_assert_eq!(deleted, chosen.len() as u64);
                    model.purged += deleted;
                }
                Step::Move(at, which) => {
                    look(&broker, &mut seen);
                    if let Some((home, id, entry)) = seen.get(which).copied() {
                        let is_there = home == at && models[at].take_at(entry.0);
                        let outcome = broker.move_message(NAMES[at], id, NAMES[1 - at]).unwrap();
                        prop_assert_eq!(outcome == MessageOutcome::Done, is_there);
                        if is_there {
                            models[at].moved += 1;
                            models[1 - at].put(entry.1);
                        }
                    }
                }
                Step::MoveAll(at, most, modulus) => {
                    let which = Selection::first(most);
                    let which = which.filter(|it| number_of(it).is_multiple_of(modulus));
                    let moved = broker.move_messages(NAMES[at], NAMES[1 - at], which).unwrap();
                    let chosen = models[at].divided(most, modulus);
                    for number in &chosen {
                        assert!(models[at].take(*number));
                        models[1 - at].put(*number);
                    }
                    models[at].moved += chosen.len() as u64;
                    prop_assert_eq!((moved.moved, moved.refused), (chosen.len() as u64, 0));
                }
                Step::Peek(at, most) => {
                    let peeked = broker.peek(NAMES[at], most).unwrap();
                    let numbers = peeked.iter().map(|it| number_of(it.properties()));
                    let numbers: Vec<_> = numbers.collect();
                    let expected = models[at].divided(most, 1);
                    prop_assert_eq!(numbers, expected);
                }
                Step::Browse(at, modulus) => {
                    let divides =
                        |it: &ExportedMessage| number_of(it.properties()).is_multiple_of(modulus);
                    let browsed = broker.browse(NAMES[at], divides);
                    let browsed = browsed.unwrap().map(|it| number_of(it.unwrap().properties()));
                    let numbers: Vec<_> = browsed.collect();
                    let expected = models[at].divided(usize::MAX, modulus);
                    prop_assert_eq!(numbers, expected);
                }
                Step::Pause(at) => {
                    broker.pause_queue(NAMES[at]).unwrap();
                    models[at].paused = true;
                }
                Step::Resume(at) => {
                    broker.resume_queue(NAMES[at]).unwrap();
                    models[at].paused = false;
                }
            }
            for (at, model) in models.iter().enumerate() {
                let counts = counts(&broker, NAMES[at]);
                prop_assert_eq!(counts.ready.messages, model.ready.len() as u64);
                prop_assert_eq!(counts.purged.messages, model.purged);
                prop_assert_eq!(counts.moved.messages, model.moved);
                prop_assert_eq!(counts.paused, model.paused);
                assert_conserved(&counts);
            }
        }
    }
}
