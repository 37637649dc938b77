//! The octets that the peer has not got yet.

use crate::{
    message::properties::Properties,
    model::bytes::Bytes,
    protocol::amqp::codec::{Delivery, Method, NotEncodable, frame, write_header},
};

/// How many octets are kept ready. With more, no event is taken and no input, until the driver has
/// taken these. One message goes beyond it.
pub(super) const BOUND: usize = 64 << 10;

/// The capacity that an idle buffer keeps.
pub(super) const IDLE: usize = 4 << 10;

#[derive(Debug, Default)]
pub(super) struct Output {
    octets: Vec<u8>,
    /// The largest payload of a frame.
    pub(super) most: usize,
}

impl Output {
    pub(super) fn len(&self) -> usize {
        self.octets.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.octets.len() >= BOUND
    }

    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    #[inline]
    pub(super) fn method(&mut self, channel: u16, method: &Method<'_>) {
        frame::write_method(channel, method, &mut self.octets);
    }

    /// Writes the answer of a method, unless the peer wants none.
    #[inline]
    pub(super) fn answer(&mut self, channel: u16, no_wait: bool, answer: &Method<'_>) {
        if !no_wait {
            self.method(channel, answer);
        }
    }

    /// Writes a method with its content.
    ///
    /// # Errors
    /// [`NotEncodable`] if AMQP cannot carry a property of the message. Nothing is written then.
    #[inline]
    pub(super) fn content(
        &mut self,
        channel: u16,
        method: &Method<'_>,
        properties: &Properties,
        body: &Bytes,
    ) -> Result<(), NotEncodable> {
        let start = self.octets.len();
        self.method(channel, method);
        let header = |to: &mut Vec<u8>| write_header(body.len() as u64, properties, to);
        let written = frame::write(frame::HEADER, channel, &mut self.octets, header);
        match written {
            Ok(()) => frame::write_body(channel, body, self.most, &mut self.octets),
            Err(_) => self.octets.truncate(start),
        }
        written
    }

    /// Writes a delivery with its content.
    ///
    /// # Errors
    /// Those of [`content`](Self::content).
    #[inline]
    pub(super) fn delivery(
        &mut self,
        channel: u16,
        delivery: &Delivery<'_>,
        properties: &Properties,
        body: &Bytes,
    ) -> Result<(), NotEncodable> {
        delivery.write(channel, properties, body, self.most, &mut self.octets)
    }

    pub(super) fn heartbeat(&mut self) {
        frame::write_heartbeat(&mut self.octets);
    }

    pub(super) fn clear(&mut self) {
        self.octets = Vec::new();
    }

    /// Swaps the empty buffer with that of the driver, if that is empty too. So octets come into
    /// the memory of the driver, which keeps what it needs.
    pub(super) fn swap_empty(&mut self, buffer: &mut Vec<u8>) {
        if self.octets.is_empty() && buffer.is_empty() {
            std::mem::swap(&mut self.octets, buffer);
        }
    }

    /// Moves everything to the end of `buffer`, and returns how much that is.
    pub(super) fn take(&mut self, buffer: &mut Vec<u8>) -> usize {
        let count = self.octets.len();
        match buffer.is_empty() {
            true => std::mem::swap(&mut self.octets, buffer),
            false => buffer.append(&mut self.octets),
        }
        count
    }

    /// Gives memory back that an idle connection does not need.
    pub(super) fn trim(&mut self) {
        if self.octets.is_empty() && self.octets.capacity() > IDLE {
            self.octets = Vec::new();
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::amqp::codec::tests::{properties, short_octets};

    /// Text that may be too long for its field.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![4 => short_octets(), 1 => "[a-zé]{200,300}"]
    }

    proptest! {
        #[test]
        fn a_delivery_has_the_octets_of_its_method_its_header_and_its_body(
            properties in properties(),
            message_id in prop::option::of(text()),
            [consumer_tag, exchange, routing_key] in [text(), text(), text()],
            (channel, delivery_tag, redelivered) in any::<(u16, u64, bool)>(),
            body in prop::collection::vec(any::<u8>(), 0..600),
            most in 1..700usize,
        ) {
            let properties = match message_id {
                Some(id) => properties.message_id(id),
                None => properties,
            };
            let body = Bytes::from(body);
            let output = || Output {
                octets: b"before".to_vec(),
                most,
            };
            let (mut general, mut special) = (output(), output());
            let method = Method::BasicDeliver {
                consumer_tag: &consumer_tag,
                delivery_tag,
                redelivered,
                exchange: &exchange,
                routing_key: routing_key.as_str().into(),
            };
            let delivery = Delivery {
                consumer_tag: &consumer_tag,
                delivery_tag,
                redelivered,
                exchange: &exchange,
                routing_key: &routing_key,
            };
            let written = general.content(channel, &method, &properties, &body);
            let delivered = special.delivery(channel, &delivery, &properties, &body);
            prop_assert_eq!(delivered, written);
            prop_assert_eq!(&special.octets, &general.octets);
            prop_assert_eq!(written.is_err(), special.octets == b"before");
        }
    }
}
