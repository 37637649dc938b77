//! The operations that wait for their commit. Those that undo one another never reach the store.

use hashbrown::HashMap;

use super::super::{Operation, RecordKey};

/// The queue and the position of a message.
type Place = (u64, u64);

/// Operations in their order, and where to find those that a later one may undo.
#[derive(Debug, Default)]
pub(super) struct Batch {
    operations: Vec<Operation>,
    puts: HashMap<Place, usize>,
    marks: HashMap<Place, usize>,
    bodies: HashMap<u64, usize>,
    records: HashMap<RecordKey, usize>,
    bytes: usize,
    /// How many operations do nothing.
    undone: usize,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.operations.len() == self.undone
    }

    /// How many operations were undone before they were written.
    pub(super) fn undone(&self) -> usize {
        self.undone
    }

    /// The bytes of its messages and bodies.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    pub(super) fn add(&mut self, operation: Operation) {
        let here = self.operations.len();
        match &operation {
            Operation::Nothing => return,
            Operation::Put {
                queue,
                position,
                message,
                ..
            } => {
                self.bytes += message.len();
                self.puts.insert((*queue, *position), here);
            }
            Operation::Mark {
                queue, position, ..
            } => {
                let before = self.marks.insert((*queue, *position), here);
                self.undo(before);
            }
            Operation::Move {
                queue,
                from,
                to,
                mark,
            } => {
                let (queue, from, to, mark) = (*queue, *from, *to, *mark);
                let marked = self.marks.remove(&(queue, from));
                self.undo(marked);
                if let Some(put) = self.puts.remove(&(queue, from)) {
                    if let Operation::Put { position, .. } = &mut self.operations[put] {
                        *position = to;
                    }
                    self.puts.insert((queue, to), put);
                    if mark.is_some() {
                        self.add(Operation::Mark {
                            queue,
                            position: to,
                            mark,
                        });
                    }
                    return;
                }
            }
            Operation::Settle { queue, position } => {
                let place = (*queue, *position);
                let marked = self.marks.remove(&place);
                self.undo(marked);
                if let Some(put) = self.puts.remove(&place) {
                    self.undo(Some(put));
                    return;
                }
            }
            Operation::PutBody { body, octets } => {
                self.bytes += octets.len();
                self.bodies.insert(*body, here);
            }
            Operation::DropBody { body } => {
                if let Some(put) = self.bodies.remove(body) {
                    self.undo(Some(put));
                    return;
                }
            }
            // A stream has no gaps, so nothing undoes an append.
            Operation::Append { message, .. } => self.bytes += message.len(),
            Operation::Trim { .. } => {}
            Operation::DropQueue { queue } => self.undo_messages(|place| place.0 == *queue),
            Operation::Record { key, .. } => {
                let before = self.records.insert(key.clone(), here);
                self.undo(before);
            }
        }
        self.operations.push(operation);
    }

    /// Undoes what is written of some messages.
    fn undo_messages(&mut self, are_gone: impl Fn(&Place) -> bool) {
        let puts = self.puts.extract_if(|place, _| are_gone(place));
        let marks = self.marks.extract_if(|place, _| are_gone(place));
        let undone: Vec<_> = puts.chain(marks).map(|(_, at)| at).collect();
        undone.into_iter().for_each(|at| self.undo(Some(at)));
    }

    fn undo(&mut self, at: Option<usize>) {
        let Some(at) = at else { return };
        let undone = std::mem::replace(&mut self.operations[at], Operation::Nothing);
        self.undone += 1;
        self.bytes -= match &undone {
            Operation::Put { message, .. } => message.len(),
            Operation::PutBody { octets, .. } => octets.len(),
            _ => 0,
        };
    }
}
