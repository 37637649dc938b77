//! [`Outside`], the part of a call that is in other processes.

use std::{collections::VecDeque, sync::Arc};

use super::answer::{Answer, StreamAddress};
use crate::message::payload::ReplyAddress;

/// The part of a call that is in other processes.
pub(super) struct Outside {
    /// Where replies come.
    address: Arc<dyn ReplyAddress>,
    /// Replies that their caller has not taken. Streams have credit for a number of them.
    answers: VecDeque<Answer>,
    /// The streams of replies that have not ended.
    streams: Vec<StreamAddress>,
}

impl Outside {
    pub(super) fn new(address: Arc<dyn ReplyAddress>) -> Outside {
        Outside {
            address,
            answers: VecDeque::new(),
            streams: Vec::new(),
        }
    }

    /// Takes a reply. Returns whether it is one to this call.
    pub(super) fn take(&mut self, answer: Answer, is_last: bool) -> bool {
        if answer.key().is_some_and(|key| key != self.address.key()) {
            return false;
        }
        if let Some(stream) = answer.stream() {
            self.streams.retain(|known| *known != stream);
            if !is_last {
                self.streams.push(stream);
            }
        }
        if !answer.is_empty() {
            self.answers.push_back(answer);
        }
        true
    }

    /// The next reply, and the address from which its stream gets credit.
    pub(super) fn next(&mut self) -> Option<(Answer, Arc<dyn ReplyAddress>)> {
        let answer = self.answers.pop_front()?;
        Some((answer, Arc::clone(&self.address)))
    }

    /// Tells the streams that their caller has gone.
    pub(super) fn give_up(self) {
        for stream in self.streams {
            stream.give(&*self.address, 0);
        }
    }
}
