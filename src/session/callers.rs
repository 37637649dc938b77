//! [`Callers`], who wait for replies over a connection to an engine outside of this process.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Arc, Weak},
    time::Instant,
};

use super::backend::{Backend, Outbound};
use crate::{
    engine::vhost::REPLY_TO,
    message::{
        codec::Json,
        payload::{Body, Exit, ReplyAddress, ReplyTaker},
        properties::Properties,
    },
    model::{
        bytes::Bytes,
        error::{Error, Result},
        name::Name,
    },
    runtime::{clock::Time, sync::Mutex},
};

/// The callers of one connection, by their keys. All of them have one address at the engine, and
/// the correlation id of a reply is the key of its caller. So no one who knows some keys can guess
/// others.
pub(crate) struct Callers {
    time: Time,
    backend: Weak<dyn Backend>,
    /// Makes the keys.
    random: RandomState,
    /// A leaf lock.
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    last: u64,
    callers: HashMap<String, Caller>,
}

struct Caller {
    taker: Weak<dyn ReplyTaker>,
    /// The engine may have its message, and the replies come by the channel of that.
    is_sent: bool,
}

impl Callers {
    pub(super) fn new(time: &Time, backend: &Arc<dyn Backend>) -> Callers {
        Callers {
            time: time.clone(),
            backend: Arc::downgrade(backend),
            random: RandomState::new(),
            waiting: Mutex::default(),
        }
    }

    /// The key of the caller who waits for replies to a message. A reply of a stream, which waits
    /// for credit, has it as its message id, and has the correlation id of a caller elsewhere.
    pub(crate) fn key_of<'a>(&self, properties: &'a Properties) -> Option<&'a str> {
        if properties.reply_to.as_deref() != Some(REPLY_TO) {
            return None;
        }
        let waiting = self.waiting.lock();
        let keys = [&properties.message_id, &properties.correlation_id];
        let mut keys = keys.into_iter().filter_map(|key| key.as_deref());
        keys.find(|key| waiting.callers.contains_key(*key))
    }

    /// Whether a message is the request of a caller, and not a reply of a stream.
    pub(crate) fn is_request(&self, properties: &Properties) -> bool {
        let key = self.key_of(properties);
        key.is_some() && key == properties.correlation_id.as_deref()
    }

    /// The message of a caller is sent.
    pub(crate) fn sent(&self, key: &str) {
        if let Some(caller) = self.waiting.lock().callers.get_mut(key) {
            caller.is_sent = true;
        }
    }

    /// Gives a reply to its caller, if that still waits. Runs user code (wakers).
    pub(crate) fn reply(&self, properties: &Properties, body: Bytes) {
        let Some(key) = &properties.correlation_id else {
            return;
        };
        let taker = {
            let waiting = self.waiting.lock();
            waiting.callers.get(key).map(|caller| caller.taker.clone())
        };
        if let Some(taker) = taker.and_then(|taker| taker.upgrade()) {
            let at = self.time.now();
            taker.take_reply(at, properties, &Body::encoded(body), &Json);
        }
    }

    /// No more replies come to the messages that are sent. Runs user code (wakers).
    pub(crate) fn lost(&self, error: &Error) {
        let lost: Vec<_> = {
            let mut waiting = self.waiting.lock();
            let is_lost = |_: &String, caller: &mut Caller| caller.is_sent;
            waiting.callers.extract_if(is_lost).collect()
        };
        for taker in lost.iter().filter_map(|(_, caller)| caller.taker.upgrade()) {
            taker.no_reply(error.clone());
        }
    }
}

impl Exit for Arc<Callers> {
    fn now(&self) -> Instant {
        self.time.now()
    }

    fn reply_address(&self, taker: Weak<dyn ReplyTaker>) -> Result<Arc<dyn ReplyAddress>> {
        let name = Name::new(REPLY_TO)?;
        let key = {
            let mut waiting = self.waiting.lock();
            waiting.last += 1;
            let random = self.random.hash_one(waiting.last);
            let key = format!("leveret-{:x}-{random:016x}", waiting.last);
            let caller = Caller {
                taker,
                is_sent: false,
            };
            waiting.callers.insert(key.clone(), caller);
            key
        };
        Ok(Arc::new(CallerAddress {
            name,
            key,
            callers: Arc::clone(self),
        }))
    }
}

/// The address of a caller.
struct CallerAddress {
    name: Name,
    key: String,
    callers: Arc<Callers>,
}

impl ReplyAddress for CallerAddress {
    fn name(&self) -> &Name {
        &self.name
    }

    fn key(&self) -> &str {
        &self.key
    }

    /// Only to an address of direct replies.
    fn answer(&self, to: &Name, properties: Properties) {
        let rest = to.strip_prefix(REPLY_TO);
        if !rest.is_some_and(|rest| rest.starts_with('.')) {
            return;
        }
        if let Some(backend) = self.callers.backend.upgrade() {
            // The outcome is not waited for.
            let _ = backend.publish(Outbound {
                exchange: Name::empty(),
                routing_key: to.clone(),
                mandatory: false,
                waits: false,
                properties,
                body: Bytes::default(),
                expires: None,
            });
        }
    }
}

impl Drop for CallerAddress {
    fn drop(&mut self) {
        let caller = self.callers.waiting.lock().callers.remove(&self.key);
        drop(caller);
    }
}
