//! CBOR.

use super::{Codec, Reader, Value, failure};
use crate::model::error::CodecError;

/// CBOR, `application/cbor` (RFC 8949). It needs the feature `cbor`.
///
/// A struct is a map with the names of its fields, as in JSON.
///
/// # Examples
/// ```
/// use leveret::codec::{Cbor, Codec, Codecs, Value};
///
/// let octets = Cbor.encode(Value::new(&vec![1, 2]))?;
/// assert_eq!(octets, [0x82, 1, 2]);
/// let codecs = Codecs::default().with(Cbor);
/// let list: Vec<u32> = codecs.decode(&octets, Some("application/cbor"))?;
/// assert_eq!(list, [1, 2]);
/// # Ok::<(), leveret::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cbor;

impl Codec for Cbor {
    fn content_type(&self) -> &str {
        "application/cbor"
    }

    fn content_encoding(&self) -> Option<&str> {
        Some("binary")
    }

    fn encode(&self, value: Value<'_>) -> Result<Vec<u8>, CodecError> {
        minicbor_serde::to_vec(value).map_err(|error| failure(self, error))
    }

    fn decode(&self, octets: &[u8], reader: &mut Reader<'_>) -> Result<(), CodecError> {
        check(octets).map_err(|error| failure(self, error))?;
        let mut deserializer = minicbor_serde::Deserializer::new(octets);
        reader.read(&mut deserializer)
    }
}

/// How deep arrays, maps and tags may be nested, as in JSON.
const MOST_NESTED: usize = 128;

/// The items that an open array, map or tag still needs. `None` if a break ends it.
type Needed = Option<u64>;

/// Checks that the octets are one whole item, which is not nested too deep: the deserializer
/// recurses without a limit.
fn check(octets: &[u8]) -> Result<(), &'static str> {
    let mut open: Vec<Needed> = Vec::new();
    let mut left = octets;
    loop {
        let (major, argument) = take_head(&mut left)?;
        let opened = match (major, argument) {
            (0 | 1, Some(_)) => None,
            (2 | 3, Some(length)) => {
                take(&mut left, length)?;
                None
            }
            (4, Some(length)) => Some(Some(length)),
            (5, Some(length)) => Some(Some(length.checked_mul(2).ok_or(ENDS_EARLY)?)),
            (2..=5, None) => Some(None),
            (6, Some(_)) => Some(Some(1)),
            (7, Some(_)) => None,
            (7, None) => match open.pop() {
                Some(None) => None,
                _ => return Err("a break is where no item of unknown length is"),
            },
            _ => return Err("an integer or a tag has no value"),
        };
        match opened {
            Some(needed) if needed != Some(0) => open.push(needed),
            _ => close(&mut open),
        }
        match open.len() {
            0 if left.is_empty() => return Ok(()),
            0 => return Err(super::TRAILING),
            1..=MOST_NESTED => {}
            _ => return Err("the value is nested too deep"),
        }
    }
}

const ENDS_EARLY: &str = "the octets end within the value";

/// An item is complete, and perhaps the arrays, maps and tags around it.
fn close(open: &mut Vec<Needed>) {
    while let Some(Some(needed)) = open.last_mut() {
        *needed -= 1;
        if *needed > 0 {
            return;
        }
        open.pop();
    }
}

/// Takes the head of an item: its major type, and its argument unless its length is unknown.
fn take_head(left: &mut &[u8]) -> Result<(u8, Option<u64>), &'static str> {
    let [first] = *take(left, 1)? else {
        return Err(ENDS_EARLY);
    };
    let argument = match first & 31 {
        31 => None,
        28..=30 => return Err("an item has a reserved length"),
        width @ 24..=27 => {
            let octets = take(left, 1 << (width - 24))?;
            let number = octets
                .iter()
                .fold(0, |number, octet| number << 8 | u64::from(*octet));
            Some(number)
        }
        small => Some(u64::from(small)),
    };
    Ok((first >> 5, argument))
}

fn take<'a>(left: &mut &'a [u8], length: u64) -> Result<&'a [u8], &'static str> {
    let length = usize::try_from(length).map_err(|_| ENDS_EARLY)?;
    let (taken, rest) = left.split_at_checked(length).ok_or(ENDS_EARLY)?;
    *left = rest;
    Ok(taken)
}
