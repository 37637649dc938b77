//! What a store has to show after some operations.

use std::collections::BTreeMap;

use crate::{
    engine::store::{Mark, Operation, Recovered, Store},
    model::error::StoreError,
};

/// What a store has to show.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) messages: BTreeMap<(u64, u64), (Vec<u8>, Option<Mark>)>,
    pub(crate) bodies: BTreeMap<u64, Vec<u8>>,
    pub(crate) records: BTreeMap<(u8, String), Vec<u8>>,
}

impl Model {
    pub(crate) fn apply(&mut self, operation: &Operation) {
        match operation.clone() {
            Operation::Nothing => {}
            Operation::Put {
                queue,
                position,
                message,
                ..
            } => {
                let message = (message.to_vec(), None);
                self.messages.insert((queue, position), message);
            }
            Operation::Mark {
                queue,
                position,
                mark,
            } => {
                if let Some(message) = self.messages.get_mut(&(queue, position)) {
                    message.1 = mark;
                }
            }
            Operation::Move {
                queue,
                from,
                to,
                mark,
            } => {
                if let Some((message, _)) = self.messages.remove(&(queue, from)) {
                    self.messages.insert((queue, to), (message, mark));
                }
            }
            Operation::Settle { queue, position } => {
                self.messages.remove(&(queue, position));
            }
            Operation::SettleBefore { queue, position } => {
                let stays = |of: &(u64, u64)| of.0 != queue || of.1 >= position;
                self.messages.retain(|of, _| stays(of));
            }
            Operation::PutBody { body, octets } => {
                self.bodies.insert(body, octets.to_vec());
            }
            Operation::DropBody { body } => {
                self.bodies.remove(&body);
            }
            Operation::DropQueue { queue } => {
                self.messages.retain(|(other, _), _| *other != queue);
            }
            Operation::Record { key, value } => {
                let key = (key.kind as u8, key.name);
                match value {
                    Some(value) => self.records.insert(key, value.to_vec()),
                    None => self.records.remove(&key),
                };
            }
        }
    }

    pub(crate) fn apply_all(&mut self, batch: &[Operation]) {
        batch.iter().for_each(|operation| self.apply(operation));
    }

    /// What a store shows. It shows nothing twice, and says the same of its messages elsewhere.
    pub(crate) fn of(store: &mut dyn Store) -> Result<Model, StoreError> {
        let mut model = Model::default();
        store.recover(&mut |recovered| match recovered {
            Recovered::Record { kind, name, value } => {
                let key = (kind as u8, name.to_owned());
                let before = model.records.insert(key, value.to_vec());
                assert_eq!(before, None, "{name}");
            }
            Recovered::Body { body, octets } => {
                assert!(model.messages.is_empty(), "bodies come before messages");
                let before = model.bodies.insert(body, octets.to_vec());
                assert_eq!(before, None, "{body}");
            }
            Recovered::Message {
                queue,
                position,
                message,
                mark,
            } => {
                let message = (message.to_vec(), mark);
                let before = model.messages.insert((queue, position), message);
                assert_eq!(before, None, "{queue} {position}");
            }
        })?;
        let mut marks = BTreeMap::new();
        store.each_message(&mut |queue, position, mark| {
            marks.insert((queue, position), mark);
        });
        let messages = model.messages.iter();
        let expected: BTreeMap<_, _> = messages.map(|(place, it)| (*place, it.1)).collect();
        assert_eq!(marks, expected);
        let usage = store.usage();
        let numbers = (usage.messages, usage.bodies);
        assert_eq!(numbers, (marks.len() as u64, model.bodies.len() as u64));
        Ok(model)
    }
}
