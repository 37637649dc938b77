//! Messages of queues, made from what a store has of them.

use std::sync::Arc;

use super::VirtualHost;
use crate::{
    engine::store::{MessageHead, WallClock},
    message::{
        envelope::{Address, Deaths, Envelope, Meta, NEVER},
        payload::Body,
    },
    model::{bytes::Bytes, name::Name},
};

/// Makes the messages of one queue. Those that share a head share its parts in memory too.
pub(super) struct Envelopes<'a> {
    vhost: &'a VirtualHost,
    clock: WallClock,
    /// The last head that messages share, and its parts.
    last: Option<(Arc<MessageHead<'static>>, Parts)>,
}

/// The parts of an envelope that its head tells.
#[derive(Clone)]
struct Parts {
    address: Address,
    meta: Arc<Meta>,
    deadline: u64,
}

impl<'a> Envelopes<'a> {
    pub(super) fn new(vhost: &'a VirtualHost, clock: WallClock) -> Envelopes<'a> {
        Envelopes {
            vhost,
            clock,
            last: None,
        }
    }

    pub(super) fn make(
        &mut self,
        head: Arc<MessageHead<'static>>,
        body: Bytes,
        position: u64,
    ) -> Envelope {
        let last = self.last.as_ref();
        let Parts {
            address,
            meta,
            deadline,
        } = match last.filter(|(last, _)| Arc::ptr_eq(last, &head)) {
            Some((_, parts)) => parts.clone(),
            None => match Arc::try_unwrap(head) {
                Ok(head) => self.parts_of(head),
                Err(head) => {
                    let parts = self.parts_of(MessageHead::clone(&head));
                    self.last = Some((head, parts.clone()));
                    parts
                }
            },
        };
        let mut envelope = Envelope::new(Body::encoded(body), &address, Some(meta));
        envelope.set_deadline(deadline);
        envelope.at(position)
    }

    fn parts_of(&self, head: MessageHead<'_>) -> Parts {
        let exchange = self.vhost.exchange_names().of(&head.exchange);
        let key = Name::new(&head.routing_key).unwrap_or_default();
        let meta = Meta {
            properties: head.properties.into_owned(),
            size: head.size,
            bcc: head.bcc.into_owned(),
            deaths: Deaths {
                recorded: head.len_before_deaths.is_some(),
                rerouted: head.is_rerouted,
                len_before: head.len_before_deaths.unwrap_or(0),
            },
            ..Meta::default()
        };
        let address = Address::new(&exchange, &key);
        Parts {
            meta: address.complete(meta),
            address,
            deadline: head.expires.map_or(NEVER, |at| self.clock.nanos(at)),
        }
    }
}
