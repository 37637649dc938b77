//! Bodies that several messages share: each is kept once, until its last message is settled.

use hashbrown::HashMap;

use super::Operation;

/// Who uses which body. Plain data behind the lock of the journal.
#[derive(Debug, Default)]
pub(super) struct SharedBodies {
    /// The body of a message, by its queue and position.
    of_messages: HashMap<(u64, u64), u64>,
    /// How many messages and publishes use a body.
    users: HashMap<u64, u64>,
}

impl SharedBodies {
    /// One more message or publish uses a body.
    pub(super) fn add_user(&mut self, body: u64) {
        *self.users.entry(body).or_default() += 1;
    }

    /// One uses it no more. Returns what is left to be done.
    pub(super) fn remove_user(&mut self, body: u64) -> Option<Operation> {
        let users = self.users.get_mut(&body)?;
        *users -= 1;
        if *users > 0 {
            return None;
        }
        self.users.remove(&body);
        Some(Operation::DropBody { body })
    }

    /// A message at this place uses a body.
    pub(super) fn add_message(&mut self, place: (u64, u64), body: u64) {
        self.of_messages.insert(place, body);
        self.add_user(body);
    }

    /// Follows an operation. Returns the bodies that no one uses any more.
    pub(super) fn follow(&mut self, operation: &Operation) -> Vec<Operation> {
        let mut freed = Vec::new();
        match operation {
            Operation::Put {
                queue,
                position,
                body: Some(body),
                ..
            } => self.add_message((*queue, *position), *body),
            _ if self.of_messages.is_empty() => {}
            Operation::Move {
                queue, from, to, ..
            } => {
                if let Some(body) = self.of_messages.remove(&(*queue, *from)) {
                    self.of_messages.insert((*queue, *to), body);
                }
            }
            Operation::Settle { queue, position } => {
                freed.extend(self.of_messages.remove(&(*queue, *position)));
            }
            Operation::DropQueue { queue } => {
                let of_queue = self.of_messages.extract_if(|place, _| place.0 == *queue);
                freed.extend(of_queue.map(|(_, body)| body));
            }
            _ => {}
        }
        let freed = freed.into_iter();
        freed.filter_map(|body| self.remove_user(body)).collect()
    }
}
