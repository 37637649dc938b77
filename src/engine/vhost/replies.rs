//! Direct reply-to: addresses that lead a reply to a channel's consumer.
//!
//! As in RabbitMQ 4.3 an address is the name of a *volatile queue*, which keeps no message. Its
//! first part names the requester and its last part is a key that only the requester and the
//! receiver of the request know. A message to an address that names a requester is routable, also
//! if that requester is gone or the key is wrong. It is then dropped.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
    time::Instant,
};

use super::VirtualHost;
use crate::{
    message::{
        codec::Json,
        envelope::{Address, Envelope, Meta},
        payload::{Body, Exit, ReplyAddress, ReplyTaker},
        properties::Properties,
    },
    model::{
        bytes::Bytes,
        error::{Error, Result},
        name::Name,
    },
    runtime::{clock::Time, sync::Mutex, waiter::Wake},
};

/// The name that a requester consumes from and sets as `reply_to`.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Takes replies for a requester. Called without any lock held.
pub(crate) trait Requester: Send + Sync {
    /// Takes a reply to this address, and returns the receiver to be woken. Gives the reply back if
    /// the requester does not wait for replies to this address.
    fn reply(&self, address: &Name, envelope: Envelope) -> Result<Option<Wake>, Envelope>;
}

/// The way of a message to one address.
#[derive(Clone)]
pub(crate) struct Reply {
    address: Name,
    /// `None` if the requester is gone.
    requester: Option<Weak<dyn Requester>>,
}

impl Reply {
    /// Hands a message to the requester, and returns the receiver to be woken. Gives the message
    /// back if the requester is gone or has another address.
    pub(crate) fn hand_over(&self, envelope: Envelope) -> Result<Option<Wake>, Envelope> {
        match self.requester.as_ref().and_then(Weak::upgrade) {
            Some(requester) => requester.reply(&self.address, envelope),
            None => Err(envelope),
        }
    }

    pub(crate) fn address(&self) -> &Name {
        &self.address
    }
}

/// The requesters that wait for replies, by address. A leaf lock.
#[derive(Default)]
pub(super) struct Replies {
    requesters: Mutex<HashMap<Name, Weak<dyn Requester>>>,
}

impl Replies {
    /// The ways to those of the routing keys that are addresses, each once.
    pub(super) fn addressed(&self, routing_keys: &[&str]) -> Vec<Reply> {
        let mut replies: Vec<Reply> = Vec::new();
        for key in routing_keys.iter().filter(|key| is_address(key)) {
            let Ok(address) = Name::new(key) else {
                continue;
            };
            if replies.iter().all(|reply| reply.address != address) {
                let requester = self.requesters.lock().get(&address).cloned();
                replies.push(Reply { address, requester });
            }
        }
        replies
    }
}

/// Whether a name is an address of direct replies, of a requester that is there or was there.
pub(crate) fn is_address(name: &str) -> bool {
    let parts = name.strip_prefix(REPLY_TO).and_then(|parts| {
        let (requester, _key) = parts.strip_prefix('.')?.split_once('.')?;
        Some(requester)
    });
    parts.is_some_and(|requester| {
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        requester.len() == 16 && requester.bytes().all(hexadecimal)
    })
}

impl VirtualHost {
    /// Makes an address at which replies reach `requester`, until
    /// [`forget_requester`](Self::forget_requester).
    pub(crate) fn add_requester(&self, requester: Weak<dyn Requester>) -> Result<Name> {
        let (number, key) = (self.next_number(), self.generate());
        let address = Name::new(format!("{REPLY_TO}.{number:016x}.{key}"))?;
        self.replies
            .requesters
            .lock()
            .insert(address.clone(), requester);
        Ok(address)
    }

    pub(crate) fn forget_requester(&self, address: &Name) {
        self.replies.requesters.lock().remove(address);
    }

    /// Whether a requester waits for replies at this address.
    pub(crate) fn awaits_replies(&self, address: &Name) -> bool {
        let requester = self.replies.requesters.lock().get(address).cloned();
        requester.is_some_and(|requester| requester.strong_count() > 0)
    }

    /// # Errors
    /// [`Error::NotImplemented`] for a get from an address of direct replies.
    pub(crate) fn check_get(&self, name: &Name) -> Result {
        match is_address(name) {
            true => Err(Error::volatile_get(name, self.name())),
            false => Ok(()),
        }
    }

    /// # Errors
    /// [`Error::AccessRefused`] for a binding of an address of direct replies, or of a name like
    /// one.
    pub(super) fn check_bound(&self, destination: &str) -> Result {
        let rest = destination.strip_prefix(REPLY_TO);
        match rest.is_some_and(|rest| rest.starts_with('.')) {
            true => Err(Error::volatile_binding()),
            false => Ok(()),
        }
    }
}

/// A caller whose request has left the process.
struct Caller {
    taker: Weak<dyn ReplyTaker>,
    time: Time,
}

impl Requester for Caller {
    fn reply(&self, _: &Name, envelope: Envelope) -> Result<Option<Wake>, Envelope> {
        let Some(taker) = self.taker.upgrade() else {
            return Err(envelope);
        };
        let writer = envelope.meta().and_then(|meta| meta.codec.as_deref());
        taker.take_reply(
            self.time.now(),
            envelope.properties(),
            envelope.body(),
            writer.unwrap_or(&Json),
        );
        Ok(None)
    }
}

/// The address of a caller.
struct CallerAddress {
    name: Name,
    vhost: Weak<VirtualHost>,
    /// The list of requesters has a weak reference to it.
    _caller: Arc<Caller>,
}

impl ReplyAddress for CallerAddress {
    fn name(&self) -> &Name {
        &self.name
    }

    fn key(&self) -> &str {
        let key = self.name.strip_prefix(REPLY_TO);
        key.map_or(&self.name, |key| key.trim_start_matches('.'))
    }

    /// Only to an address of direct replies.
    fn answer(&self, to: &Name, properties: Properties) {
        let Some(vhost) = self.vhost.upgrade() else {
            return;
        };
        let exchange = vhost.exchange_names.of(&Name::empty());
        let meta = Meta {
            properties,
            ..Meta::default()
        };
        for reply in vhost.replies.addressed(&[to]) {
            let body = Body::encoded(Bytes::default());
            let address = Address::new(&exchange, to);
            let message = Envelope::new(body, &address, Some(address.complete(meta.clone())));
            if let Ok(Some(wake)) = reply.hand_over(message) {
                wake.wake();
            }
        }
    }
}

impl Drop for CallerAddress {
    fn drop(&mut self) {
        if let Some(vhost) = self.vhost.upgrade() {
            vhost.forget_requester(&self.name);
        }
    }
}

impl Exit for Arc<VirtualHost> {
    fn now(&self) -> Instant {
        self.time.now()
    }

    fn reply_address(&self, taker: Weak<dyn ReplyTaker>) -> Result<Arc<dyn ReplyAddress>> {
        let caller = Arc::new(Caller {
            taker,
            time: self.time.clone(),
        });
        let requester: Arc<dyn Requester> = Arc::<Caller>::clone(&caller);
        Ok(Arc::new(CallerAddress {
            name: self.add_requester(Arc::downgrade(&requester))?,
            vhost: Arc::downgrade(self),
            _caller: caller,
        }))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reply").field(&self.address).finish()
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies")
            .field("requesters", &self.requesters.lock().len())
            .finish()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_with_a_requester_and_a_key_is_an_address() {
        let requester = "0123456789abcdef";
        assert!(is_address(&format!("{REPLY_TO}.{requester}.key")));
        assert!(is_address(&format!("{REPLY_TO}.{requester}.")));
        assert!(is_address(&format!("{REPLY_TO}.{requester}.key.more")));
        for name in [
            REPLY_TO.to_owned(),
            format!("{REPLY_TO}."),
            format!("{REPLY_TO}.nonsense"),
            format!("{REPLY_TO}.a.b"),
            format!("{REPLY_TO}.{requester}"),
            format!("{REPLY_TO}x{requester}.key"),
            format!("{REPLY_TO}.x{requester}.key"),
            format!("x{REPLY_TO}.{requester}.key"),
        ] {
            assert!(!is_address(&name), "{name}");
        }
    }
}
