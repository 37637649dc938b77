//! Forwarding: a message in hand is published elsewhere, and then acknowledged.

use std::mem;

use super::{
    connection::Connection,
    delivery_info::DeliveryInfo,
    publisher::{Claim, OnFull, Overrides},
    unacked::Unacked,
};
use crate::{
    message::{
        envelope::{Envelope, Meta},
        payload::Body,
        properties::Properties,
    },
    model::{bytes::Bytes, error::Result, name::Name},
};

impl DeliveryInfo {
    /// Publishes the message with other properties, as a mandatory one, and acknowledges it then.
    /// Its payload is not encoded for that. Queues that are full refuse the message. An engine
    /// outside of this process may take its time, but a connection that is lost is not waited for.
    /// A message that is settled stays so.
    ///
    /// # Errors
    /// Those of a publish. The message is unsettled as before.
    #[cold]
    #[inline(never)]
    pub(crate) fn forward(
        &mut self,
        connection: &Connection,
        (exchange, routing_key): (&str, &str),
        properties: Properties,
    ) -> Result {
        let to = (Name::of_entity(exchange)?, Name::new(routing_key)?);
        let Some((origin, mut envelope)) = self.unacked.release() else {
            return Ok(());
        };
        let (size, claim) = (envelope.size(), origin.claim(&envelope));
        match publish(connection, to, claim, properties, &mut envelope) {
            Ok(()) => {
                // The message is where it was to go, even if the acknowledgement fails.
                let _ = origin.ack_with_claims(&envelope, size);
                Ok(())
            }
            Err(error) => {
                self.unacked = Unacked::new(origin, envelope);
                Err(error)
            }
        }
    }
}

/// Publishes the payload of a message. It is in `envelope` again after a failure.
fn publish(
    connection: &Connection,
    (exchange, routing_key): (Name, Name),
    claim: Claim,
    properties: Properties,
    envelope: &mut Envelope,
) -> Result {
    let gate = connection.gate();
    let publisher = gate.publisher(exchange, routing_key, true, None, None);
    let publisher = publisher.with_claim(claim);
    let prepared = publisher.prepare(gate, Overrides::default(), Some(&properties))?;
    let meta = Meta {
        properties,
        codec: envelope.meta().and_then(|meta| meta.codec.clone()),
        size: envelope.meta().and_then(|meta| meta.size),
        ..Meta::default()
    };
    let body = mem::replace(envelope.body_mut(), Body::encoded(Bytes::default()));
    let meta = prepared.address().complete(meta);
    let mut message = Some(Envelope::new(body, prepared.address(), Some(meta)));
    let key = prepared.routing_key();
    let outcome = match prepared.start_if_up(message.as_ref()) {
        None => Ok(prepared.push(&mut message, gate, OnFull::Refuse)),
        Some(started) => {
            started.and_then(|completion| gate.wait_for_confirmation(completion, OnFull::Wait))
        }
    };
    let outcome = outcome.and_then(|confirmation| {
        confirmation.map_err(|failure| failure.into_error(publisher.exchange(), key))
    });
    if let (Err(_), Some(message)) = (&outcome, message) {
        *envelope.body_mut() = message.into_body();
    }
    outcome.map(drop)
}
