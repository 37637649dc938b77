//! Random operations, such as a broker makes: no message gets the position of another one.

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::model::Model;
use crate::{
    engine::store::{Arrival, Mark, Operation, RecordKey, RecordKind},
    model::bytes::Bytes,
};

/// Batches of operations, and the state after each of them.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) batches: Vec<Vec<Operation>>,
    /// One more than batches: the first one is empty.
    pub(crate) states: Vec<Model>,
}

/// What makes an operation: its kind, what it is about, and bytes.
type Choice = (u8, usize, Option<u32>, Vec<u8>);

impl Workload {
    /// Workloads of this number of batches.
    pub(crate) fn any(batches: std::ops::Range<usize>) -> impl Strategy<Value = Workload> {
        let length = prop_oneof![8 => 0..60usize, 2 => 60..400usize, 1 => 1_000..5_000usize];
        let bytes = length.prop_flat_map(|length| {
            any::<u8>().prop_map(move |byte| (0..length).map(|at| byte ^ at as u8).collect())
        });
        let choice = (0..28u8, any::<usize>(), any::<Option<u32>>(), bytes);
        let batch = proptest::collection::vec(choice, 1..8);
        proptest::collection::vec(batch, batches).prop_map(Workload::of)
    }

    /// One of this number of batches, always the same.
    pub(crate) fn some(batches: usize) -> Workload {
        let mut runner = TestRunner::deterministic();
        let workload = Workload::any(batches..batches + 1).new_tree(&mut runner);
        workload.unwrap().current()
    }

    fn of(choices: Vec<Vec<Choice>>) -> Workload {
        let mut state = Model::default();
        let mut workload = Workload {
            batches: Vec::new(),
            states: vec![state.clone()],
        };
        let mut next = 0;
        for batch in choices {
            let batch = batch.into_iter().map(|choice| {
                next += 1;
                let operation = operation(choice, next, &state);
                state.apply(&operation);
                operation
            });
            workload.batches.push(batch.collect());
            workload.states.push(state.clone());
        }
        workload
    }
}

/// An operation on something kept, or on something new with the number `next`.
fn operation((kind, about, mark, bytes): Choice, next: u64, state: &Model) -> Operation {
    let bytes = Bytes::from(bytes);
    let queue = about as u64 % 3;
    let messages = state.messages.keys();
    let message = messages.cycle().nth(about % 16).copied();
    let body = state.bodies.keys().cycle().nth(about % 16).copied();
    let mark = mark.map(|number| Mark {
        acquired: 1 + number % 5,
        due: number.is_multiple_of(3).then_some(u64::from(number)),
        ..Mark::default()
    });
    // Some are not there, or no more.
    let (of, position) = message.unwrap_or((queue, about as u64 % 9));
    match kind {
        0..=7 => Operation::Put {
            queue,
            position: next,
            message: bytes,
            body: None,
        },
        8 | 9 => Operation::Mark {
            queue: of,
            position,
            mark,
        },
        10 => Operation::Move {
            queue: of,
            from: position,
            to: next,
            mark,
        },
        11..=13 => Operation::Settle {
            queue: of,
            position,
        },
        14 => Operation::PutBody {
            body: next,
            octets: bytes,
        },
        15 => Operation::DropBody {
            body: body.unwrap_or(0),
        },
        16 if about.is_multiple_of(8) => Operation::DropQueue { queue },
        16..=18 => Operation::Record {
            key: RecordKey {
                kind: RecordKind::ALL[about % RecordKind::ALL.len()],
                name: format!("record {}", about % 4),
            },
            value: mark.map(|_| bytes),
        },
        20.. => stream_operation(about, kind, next, bytes, state),
        _ => Operation::Nothing,
    }
}

/// An operation on one of three streams. A stream that is dropped is followed by one with a new
/// number.
fn stream_operation(about: usize, kind: u8, next: u64, message: Bytes, state: &Model) -> Operation {
    let slot = about as u64 % 3;
    let mut streams = state.streams.keys().copied();
    let stream = streams.find(|it| it % 3 == slot);
    let stream = stream.unwrap_or(30 + 3 * next + slot);
    let found = state.streams.get(&stream);
    let (first, end) = found.map_or((0, 0), |it| (it.first, it.next()));
    match about % 48 {
        3 => Operation::DropQueue { queue: stream },
        5..8 => Operation::Trim {
            stream,
            offset: first + about as u64 / 48 % (end - first + 1),
        },
        _ => Operation::Append {
            stream,
            offset: end,
            arrival: Arrival {
                came: 3 * next,
                size: message.len() as u64,
                bytes: message.len() as u64 + 100,
                begins: kind == 20 || found.is_none(),
            },
            message,
        },
    }
}
