//! The content header: the class, the size of the body, and the properties.

use super::{
    Malformed,
    field::{Field, MOST_OCTETS, Reader, ShortOctets},
    table::{self, NotEncodable, write_table},
};
use crate::{
    message::{
        headers::cc_bcc,
        properties::{Asked, Opaque, Properties, PropertyList},
    },
    model::octets,
};

/// The class of the methods with content.
pub(crate) const BASIC: u16 = 60;

/// The header of a content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContentHeader<'a> {
    pub(crate) class: u16,
    /// It has no use, and is 0.
    pub(crate) weight: u16,
    pub(crate) body_size: u64,
    /// The flags and the values, which are read later.
    properties: Reader<'a>,
}

impl PartialEq for Reader<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.rest() == other.rest()
    }
}

impl<'a> ContentHeader<'a> {
    pub(crate) fn read(payload: &'a [u8]) -> Result<ContentHeader<'a>, Malformed> {
        let mut from = Reader::new(payload);
        Ok(ContentHeader {
            class: from.field()?,
            weight: from.field()?,
            body_size: from.field()?,
            properties: from,
        })
    }

    /// Checks the properties, and keeps their octets: they are decoded when they are looked at. The
    /// publish looks at some of them, which are decoded now.
    pub(crate) fn properties(&self) -> Result<Properties, Malformed> {
        let octets = self.properties.rest();
        let decode = |octets: &[u8]| read(Reader::new(octets)).unwrap_or_default();
        match check(self.properties)? {
            Checked::Empty => Ok(Properties::new()),
            Checked::Plain(asked) => Ok(Properties::opaque(Opaque::new(octets, asked, decode))),
            Checked::ForPublish => read(self.properties).map(Properties::from),
        }
    }
}

// The flags, in the order of the values.
const CONTENT_TYPE: u16 = 1 << 15;
const CONTENT_ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const PRIORITY: u16 = 1 << 11;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const EXPIRATION: u16 = 1 << 8;
const MESSAGE_ID: u16 = 1 << 7;
const TIMESTAMP: u16 = 1 << 6;
const TYPE: u16 = 1 << 5;
const USER_ID: u16 = 1 << 4;
const APP_ID: u16 = 1 << 3;
const CLUSTER_ID: u16 = 1 << 2;
/// The flags of no property. The lowest one says that more flags follow, which class `basic` has
/// not.
const UNKNOWN: u16 = 0b11;

/// Properties that [`read`] can read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// There are none.
    Empty,
    /// A publish checks and changes nothing in them. The broker asks this of each message.
    Plain(Asked),
    /// A publish checks or changes some: an expiration, a user id, an address that is the broker's,
    /// a `CC` or a `BCC` header.
    ForPublish,
}

/// The start of the names that only the broker gives, as that of the address of direct replies.
const BROKERS_NAMES: &[u8] = b"amq.";

/// Checks that [`read`] can read properties.
pub(super) fn check(mut from: Reader<'_>) -> Result<Checked, Malformed> {
    let flags: u16 = from.field()?;
    if flags & UNKNOWN != 0 {
        return Err(Malformed::PropertyFlags);
    }
    let mut asked = Asked::default();
    let mut is_for_publish = flags & (EXPIRATION | USER_ID) != 0;
    let mut left = flags;
    while left != 0 {
        let flag = 1 << (15 - left.leading_zeros());
        left &= !flag;
        match flag {
            HEADERS => table::check_table(&mut from, 1, &mut |name| {
                is_for_publish |= name == cc_bcc::CC.as_bytes() || name == cc_bcc::BCC.as_bytes();
            })?,
            REPLY_TO => {
                let length: u8 = from.field()?;
                is_for_publish |= from.octets(length.into())?.starts_with(BROKERS_NAMES);
            }
            DELIVERY_MODE => asked.delivery_mode = Some(from.field()?),
            PRIORITY => asked.priority = Some(from.field()?),
            TIMESTAMP => from.octets(8).map(drop)?,
            _ => from.skip_short()?,
        }
    }
    match from.is_empty() {
        false => Err(Malformed::Length),
        true if flags == 0 => Ok(Checked::Empty),
        true if is_for_publish => Ok(Checked::ForPublish),
        true => Ok(Checked::Plain(asked)),
    }
}

pub(super) fn read(mut from: Reader<'_>) -> Result<PropertyList, Malformed> {
    let flags: u16 = from.field()?;
    if flags & UNKNOWN != 0 {
        return Err(Malformed::PropertyFlags);
    }
    let mut list = PropertyList::default();
    read_list(flags, &mut list, &mut from)?;
    match from.is_empty() {
        true => Ok(list),
        false => Err(Malformed::Length),
    }
}

fn read_list(flags: u16, list: &mut PropertyList, from: &mut Reader<'_>) -> Result<(), Malformed> {
    fn value<'a, T: Field<'a>>(
        is_there: bool,
        from: &mut Reader<'a>,
    ) -> Result<Option<T>, Malformed> {
        is_there.then(|| from.field()).transpose()
    }
    fn text(is_there: bool, from: &mut Reader<'_>) -> Result<Option<String>, Malformed> {
        Ok(value::<ShortOctets<'_>>(is_there, from)?.map(|text| text.0.into_owned()))
    }
    let has = |flag| flags & flag != 0;
    list.content_type = text(has(CONTENT_TYPE), from)?;
    list.content_encoding = text(has(CONTENT_ENCODING), from)?;
    list.headers = value(has(HEADERS), from)?;
    list.delivery_mode = value(has(DELIVERY_MODE), from)?;
    list.priority = value(has(PRIORITY), from)?;
    list.correlation_id = text(has(CORRELATION_ID), from)?;
    list.reply_to = text(has(REPLY_TO), from)?;
    list.expiration = text(has(EXPIRATION), from)?;
    list.message_id = text(has(MESSAGE_ID), from)?;
    list.timestamp = value(has(TIMESTAMP), from)?;
    list.message_type = text(has(TYPE), from)?;
    list.user_id = text(has(USER_ID), from)?;
    list.app_id = text(has(APP_ID), from)?;
    list.cluster_id = text(has(CLUSTER_ID), from)?;
    Ok(())
}

/// Writes a content header of class `basic`.
///
/// # Errors
/// [`NotEncodable`] if a property is longer or deeper than AMQP 0-9-1 allows. A part of it is
/// written then.
pub(crate) fn write_header(
    body_size: u64,
    properties: &Properties,
    to: &mut Vec<u8>,
) -> Result<(), NotEncodable> {
    BASIC.write(to);
    0_u16.write(to);
    body_size.write(to);
    write_properties(properties, to)
}

/// Writes the flags and the values of properties.
///
/// # Errors
/// Those of [`write_header`].
#[inline]
pub(super) fn write_properties(
    properties: &Properties,
    to: &mut Vec<u8>,
) -> Result<(), NotEncodable> {
    if let Some(octets) = properties.octets() {
        to.extend_from_slice(octets);
        return Ok(());
    }
    if properties.is_absent() {
        0_u16.write(to);
        return Ok(());
    }
    write_list(properties, to)
}

fn write_list(properties: &Properties, to: &mut Vec<u8>) -> Result<(), NotEncodable> {
    let place = to.len();
    0_u16.write(to);
    if properties.present() == 0 {
        return Ok(());
    }
    let mut flags = 0;
    let list: &PropertyList = properties;
    let mut text = |flag: u16, text: &Option<String>, to: &mut Vec<u8>| {
        let Some(text) = text else { return Ok(()) };
        if text.len() > MOST_OCTETS && octets::len_of(text) > MOST_OCTETS {
            return Err(NotEncodable);
        }
        flags |= flag;
        ShortOctets::from(text.as_str()).write(to);
        Ok(())
    };
    text(CONTENT_TYPE, &list.content_type, to)?;
    text(CONTENT_ENCODING, &list.content_encoding, to)?;
    let headers = list.headers.as_ref();
    headers.map_or(Ok(()), |headers| write_table(headers, to, 1))?;
    to.extend(list.delivery_mode);
    to.extend(list.priority);
    text(CORRELATION_ID, &list.correlation_id, to)?;
    text(REPLY_TO, &list.reply_to, to)?;
    text(EXPIRATION, &list.expiration, to)?;
    text(MESSAGE_ID, &list.message_id, to)?;
    if let Some(timestamp) = list.timestamp {
        timestamp.write(to);
    }
    text(TYPE, &list.message_type, to)?;
    text(USER_ID, &list.user_id, to)?;
    text(APP_ID, &list.app_id, to)?;
    text(CLUSTER_ID, &list.cluster_id, to)?;
    let others = [
        (HEADERS, list.headers.is_some()),
        (DELIVERY_MODE, list.delivery_mode.is_some()),
        (PRIORITY, list.priority.is_some()),
        (TIMESTAMP, list.timestamp.is_some()),
    ];
    for (flag, is_there) in others {
        flags |= if is_there { flag } else { 0 };
    }
    to[place..place + 2].copy_from_slice(&flags.to_be_bytes());
    Ok(())
}
