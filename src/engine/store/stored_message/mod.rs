//! A message as a store keeps it: one byte for the version, the head, and the body.
//!
//! The head begins with four bytes, the least significant first: a bit for each field that is
//! there, and for each property. The fields follow in the order of their bits. The rest is the
//! body. Most messages have few fields, and take some 20 bytes besides their body and their
//! routing key.

mod reader;

use std::{borrow::Cow, iter, sync::Arc};

pub(crate) use self::reader::MessageReader;

use crate::{
    message::properties::Properties,
    model::{
        binary::{Filler, Length, Sink, Source, Unreadable},
        bytes::Bytes,
        field_value::TableTooDeep,
        name::Name,
    },
};

/// The version of the form. A later version may use further bits without a new number.
const VERSION: u8 = 1;

// The bits of the fields, above those of the properties.
const EXCHANGE: u32 = 1 << 16;
const ROUTING_KEY: u32 = 1 << 17;
const SIZE: u32 = 1 << 18;
const BCC: u32 = 1 << 19;
const EXPIRES: u32 = 1 << 20;
const DEATHS: u32 = 1 << 21;
const REROUTED: u32 = 1 << 22;
const DUE: u32 = 1 << 23;
const BODY: u32 = 1 << 24;
const FAILED: u32 = 1 << 25;
const ALL: u32 = Properties::BITS | ((FAILED << 1) - EXCHANGE);

/// Everything of a message but its body and its [`Mark`](super::Mark).
///
/// Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MessageHead<'a> {
    pub(crate) exchange: Name,
    /// Not longer than a name.
    pub(crate) routing_key: Cow<'a, str>,
    pub(crate) properties: Cow<'a, Properties>,
    /// The size for limits, if it is not that of the body.
    pub(crate) size: Option<u64>,
    pub(crate) bcc: Cow<'a, [String]>,
    /// When it expires.
    pub(crate) expires: Option<u64>,
    /// The encoded length of its properties before its first death, if it has died. The broker has
    /// written its `x-death` header then.
    pub(crate) len_before_deaths: Option<u64>,
    /// Whether a dead letter routing key has replaced its own keys.
    pub(crate) is_rerouted: bool,
    /// When it is due, if it was published with a delay.
    pub(crate) due: Option<u64>,
    /// The number of its body, if that is kept by itself.
    pub(crate) body: Option<u64>,
    /// The failed deliveries in queues that it was in before.
    pub(crate) failed: u32,
}

impl MessageHead<'_> {
    fn present(&self) -> u32 {
        let bit = |is: bool, bit: u32| if is { bit } else { 0 };
        self.properties.present()
            | bit(!self.exchange.is_empty(), EXCHANGE)
            | bit(!self.routing_key.is_empty(), ROUTING_KEY)
            | bit(self.size.is_some(), SIZE)
            | bit(!self.bcc.is_empty(), BCC)
            | bit(self.expires.is_some(), EXPIRES)
            | bit(self.len_before_deaths.is_some(), DEATHS)
            | bit(self.is_rerouted, REROUTED)
            | bit(self.due.is_some(), DUE)
            | bit(self.body.is_some(), BODY)
            | bit(self.failed > 0, FAILED)
    }

    /// Writes what is [`present`](Self::present).
    fn write(&self, present: u32, to: &mut impl Sink) -> Result<(), TableTooDeep> {
        to.octet(VERSION);
        to.octets(&present.to_le_bytes());
        self.properties.write(to)?;
        for text in [&*self.exchange, &*self.routing_key] {
            if !text.is_empty() {
                to.run(text.as_bytes());
            }
        }
        write_number(self.size, to);
        if !self.bcc.is_empty() {
            to.number(self.bcc.len() as u64);
            self.bcc.iter().for_each(|key| to.run(key.as_bytes()));
        }
        write_number(self.expires, to);
        write_number(self.len_before_deaths, to);
        write_number(self.due, to);
        write_number(self.body, to);
        if self.failed > 0 {
            to.number(self.failed.into());
        }
        Ok(())
    }

    fn read(from: &mut Source<'_>) -> Result<MessageHead<'static>, Unreadable> {
        let version = from.octet()?;
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        let present = u32::from_le_bytes(from.array()?);
        if present & !ALL != 0 {
            return Err(Unreadable::Fields(present & !ALL));
        }
        let has = |field| present & field != 0;
        let mut head = MessageHead {
            properties: Cow::Owned(Properties::read(present, from)?),
            is_rerouted: has(REROUTED),
            ..MessageHead::default()
        };
        let long = |name: &str| Unreadable::LongName(name.len());
        if has(EXCHANGE) {
            let name = from.text()?;
            head.exchange = Name::new(name).map_err(|_| long(name))?;
        }
        if has(ROUTING_KEY) {
            let key = from.text()?;
            Name::check(key).map_err(|_| long(key))?;
            head.routing_key = Cow::Owned(key.to_owned());
        }
        let number = |field, from: &mut Source<'_>| has(field).then(|| from.number()).transpose();
        head.size = number(SIZE, from)?;
        if has(BCC) {
            let keys = (0..from.number()?).map(|_| from.text().map(str::to_owned));
            head.bcc = Cow::Owned(keys.collect::<Result<_, _>>()?);
        }
        head.expires = number(EXPIRES, from)?;
        head.len_before_deaths = number(DEATHS, from)?;
        head.due = number(DUE, from)?;
        head.body = number(BODY, from)?;
        let failed = number(FAILED, from)?.unwrap_or(0);
        head.failed = u32::try_from(failed).map_err(|_| Unreadable::TooLarge(failed))?;
        Ok(head)
    }
}

fn write_number(number: Option<u64>, to: &mut impl Sink) {
    if let Some(number) = number {
        to.number(number);
    }
}

/// A message as bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredMessage {
    bytes: Bytes,
    /// The number of its body, if that is kept by itself.
    body: Option<u64>,
}

impl StoredMessage {
    /// # Errors
    /// [`TableTooDeep`] of its headers.
    pub(crate) fn new(head: &MessageHead<'_>, body: &[u8]) -> Result<StoredMessage, TableTooDeep> {
        let own_body = if head.body.is_none() { body } else { &[] };
        let present = head.present();
        let mut length = Length::default();
        head.write(present, &mut length)?;
        length.octets(own_body);
        // All of it in one allocation.
        let mut bytes: Arc<[u8]> = iter::repeat_n(0, length.total()).collect();
        if let Some(place) = Arc::get_mut(&mut bytes) {
            let mut filler = Filler::new(place);
            head.write(present, &mut filler)?;
            filler.octets(own_body);
        }
        Ok(StoredMessage {
            bytes: bytes.into(),
            body: head.body,
        })
    }

    /// The bytes, and the number of the body if that is kept by itself.
    pub(crate) fn into_parts(self) -> (Bytes, Option<u64>) {
        (self.bytes, self.body)
    }

    /// The head and the body of a kept message.
    ///
    /// # Errors
    /// The reason why these are not the bytes of a message.
    pub(crate) fn read(bytes: &[u8]) -> Result<(MessageHead<'static>, &[u8]), Unreadable> {
        let mut source = Source::new(bytes);
        let head = MessageHead::read(&mut source)?;
        Ok((head, source.rest()))
    }
}

#[cfg(test)]
mod tests;
