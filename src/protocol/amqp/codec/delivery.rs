//! `basic.deliver` with its content: three frames for every message that a client gets. So they are
//! written in few and large pieces.

use super::{
    field::{Field, ShortOctets},
    frame::{self, END, HEADER, METHOD},
    properties::{BASIC, write_properties},
    table::NotEncodable,
};
use crate::message::properties::Properties;

/// The number of the method `basic.deliver` in its class.
const DELIVER: u16 = 60;

/// Room for all that is neither text nor body.
const BESIDES: usize = 64;

/// The fields of `basic.deliver`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) consumer_tag: &'a str,
    pub(crate) delivery_tag: u64,
    pub(crate) redelivered: bool,
    pub(crate) exchange: &'a str,
    pub(crate) routing_key: &'a str,
}

impl Delivery<'_> {
    /// Writes the method, the header and the body. A frame has a payload of at most `most` octets.
    ///
    /// # Errors
    /// [`NotEncodable`] if AMQP cannot carry a property of the message. Nothing is written then.
    pub(crate) fn write(
        &self,
        channel: u16,
        properties: &Properties,
        body: &[u8],
        most: usize,
        to: &mut Vec<u8>,
    ) -> Result<(), NotEncodable> {
        let texts = self.consumer_tag.len() + self.exchange.len() + self.routing_key.len();
        to.reserve(BESIDES + texts + body.len());
        let start = to.len();
        let [c, d] = channel.to_be_bytes();
        let ([a, b], [m, n]) = (BASIC.to_be_bytes(), DELIVER.to_be_bytes());
        to.extend_from_slice(&[METHOD, c, d, 0, 0, 0, 0, a, b, m, n]);
        self.consumer_tag.write(to);
        let [t, u, v, w, x, y, z, last] = self.delivery_tag.to_be_bytes();
        let redelivered = u8::from(self.redelivered);
        to.extend_from_slice(&[t, u, v, w, x, y, z, last, redelivered]);
        self.exchange.write(to);
        ShortOctets::from(self.routing_key).write(to);
        frame::set_size(start, to);
        let header = to.len() + 1;
        // The end of the method, the beginning of the header, its class, and a weight of 0.
        to.extend_from_slice(&[END, HEADER, c, d, 0, 0, 0, 0, a, b, 0, 0]);
        (body.len() as u64).write(to);
        if let Err(error) = write_properties(properties, to) {
            to.truncate(start);
            return Err(error);
        }
        frame::set_size(header, to);
        to.push(END);
        frame::write_body(channel, body, most, to);
        Ok(())
    }
}
