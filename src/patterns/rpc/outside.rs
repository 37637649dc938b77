//! [`Outside`], the part of a call that is in other processes.

use std::{
    collections::{HashSet, VecDeque},
    mem,
    sync::Arc,
};

use super::answer::{Answer, StreamAddress};
use crate::{message::payload::ReplyAddress, model::error::Error};

/// How many replies may wait for their caller, and how many streams may be open. Streams have
/// credit for 256 replies each, so more than that are not those of leveret.
const MOST: usize = 8_192;

/// The part of a call that is in other processes.
pub(super) struct Outside {
    /// Where replies come.
    address: Arc<dyn ReplyAddress>,
    /// Replies that their caller has not taken.
    answers: VecDeque<Answer>,
    /// The streams of replies that have not ended.
    streams: HashSet<StreamAddress>,
}

/// What becomes of a reply.
pub(super) enum Taken {
    Yes,
    /// It is one to another call.
    No,
    /// It is one too many. The call ends, and so do these.
    TooMany(Streams),
}

/// Streams that end.
pub(super) struct Streams {
    address: Arc<dyn ReplyAddress>,
    streams: HashSet<StreamAddress>,
}

impl Streams {
    /// Tells them that their caller has gone.
    pub(super) fn give_up(self) {
        for stream in self.streams {
            stream.give(&*self.address, 0);
        }
    }
}

impl Outside {
    pub(super) fn new(address: Arc<dyn ReplyAddress>) -> Outside {
        Outside {
            address,
            answers: VecDeque::new(),
            streams: HashSet::new(),
        }
    }

    /// Takes a reply.
    pub(super) fn take(&mut self, answer: Answer, is_last: bool) -> Taken {
        if answer.key().is_some_and(|key| key != self.address.key()) {
            return Taken::No;
        }
        if let Some(stream) = answer.stream() {
            match is_last {
                true => drop(self.streams.remove(&stream)),
                false => drop(self.streams.insert(stream)),
            }
        }
        if self.answers.len() >= MOST || self.streams.len() > MOST {
            let text = "a server sends replies without the credit of the caller";
            self.answers
                .push_back(Answer::lost(Error::ResourceError(text.into())));
            return Taken::TooMany(self.take_streams());
        }
        if !answer.is_empty() {
            self.answers.push_back(answer);
        }
        Taken::Yes
    }

    /// No more replies come.
    pub(super) fn lose(&mut self, error: Error) {
        self.answers.push_back(Answer::lost(error));
    }

    /// The next reply, and the address from which its stream gets credit.
    pub(super) fn next(&mut self) -> Option<(Answer, Arc<dyn ReplyAddress>)> {
        let answer = self.answers.pop_front()?;
        Some((answer, Arc::clone(&self.address)))
    }

    /// The streams, when their caller has gone.
    pub(super) fn take_streams(&mut self) -> Streams {
        Streams {
            address: Arc::clone(&self.address),
            streams: mem::take(&mut self.streams),
        }
    }
}
