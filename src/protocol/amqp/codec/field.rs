//! The elementary types of AMQP 0-9-1: numbers, bits, strings. Numbers have the highest octet
//! first.

use std::borrow::Cow;

use super::Malformed;
use crate::model::octets;

/// Octets that are read from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Reader<'a> {
        Reader(octets)
    }

    /// The octets that are left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (here, rest) = self.0.split_first_chunk().ok_or(Malformed::Length)?;
        self.0 = rest;
        Ok(*here)
    }

    pub(super) fn octets(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let split = self.0.split_at_checked(length);
        let (here, rest) = split.ok_or(Malformed::Length)?;
        self.0 = rest;
        Ok(here)
    }

    /// Skips a short string.
    #[inline]
    pub(super) fn skip_short(&mut self) -> Result<(), Malformed> {
        let length: u8 = self.field()?;
        self.octets(length.into()).map(drop)
    }

    /// The next field of a method or of a content header.
    pub(crate) fn field<T: Field<'a>>(&mut self) -> Result<T, Malformed> {
        T::read(self)
    }
}

/// A type of a field.
pub(crate) trait Field<'a>: Sized {
    fn read(from: &mut Reader<'a>) -> Result<Self, Malformed>;

    fn write(&self, to: &mut Vec<u8>);
}

/// The implementations for numbers, which differ only in their types.
macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Field<'_> for $type {
            #[inline]
            fn read(from: &mut Reader<'_>) -> Result<$type, Malformed> {
                from.array().map(<$type>::from_be_bytes)
            }

            #[inline]
            fn write(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_be_bytes());
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64, i8, i16, i32, i64, f32, f64);

/// Bits that follow one another share an octet, with the first one in its lowest bit. Bits that the
/// specification does not name are ignored.
impl<const N: usize> Field<'_> for [bool; N] {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<[bool; N], Malformed> {
        let [octet] = from.array()?;
        Ok(std::array::from_fn(|bit| octet >> bit & 1 == 1))
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        let bits = self.iter().enumerate();
        to.push(bits.fold(0, |octet, (at, bit)| octet | u8::from(*bit) << at));
    }
}

/// A bit on its own.
impl Field<'_> for bool {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Result<bool, Malformed> {
        let [bit] = Field::read(from)?;
        Ok(bit)
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        [*self].write(to);
    }
}

/// A short string. To write one of more than 255 octets cuts it behind a whole character, and ends
/// it with three dots, as RabbitMQ does with the text of a long error.
impl<'a> Field<'a> for &'a str {
    #[inline]
    fn read(from: &mut Reader<'a>) -> Result<&'a str, Malformed> {
        let length: u8 = from.field()?;
        text(from.octets(length.into())?)
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        let (text, end) = cut(self);
        to.push((text.len() + end.len()) as u8);
        to.extend_from_slice(text.as_bytes());
        to.extend_from_slice(end.as_bytes());
    }
}

/// The most octets of a short string.
pub(super) const MOST_OCTETS: usize = u8::MAX as usize;

/// The part of a text that a short string has room for, and the end that it gets.
#[inline]
fn cut(text: &str) -> (&str, &'static str) {
    const DOTS: &str = "...";
    if text.len() <= MOST_OCTETS {
        return (text, "");
    }
    let mut end = MOST_OCTETS - DOTS.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (&text[..end], DOTS)
}

/// A long string.
impl<'a> Field<'a> for &'a [u8] {
    fn read(from: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
        let length: u32 = from.field()?;
        from.octets(length as usize)
    }

    fn write(&self, to: &mut Vec<u8>) {
        (self.len() as u32).write(to);
        to.extend_from_slice(self);
    }
}

/// A name, or the key of a binding.
///
/// # Errors
/// [`Malformed::Text`] for octets that are not UTF-8, which RabbitMQ refuses too.
#[inline]
fn text(octets: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(octets).map_err(|_| Malformed::Text)
}

/// A short string of octets: a property, the routing key of a message, the name of a header. They
/// need not be UTF-8. To write one of more than 255 octets cuts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShortOctets<'a>(pub(crate) Cow<'a, str>);

impl<'a> From<&'a str> for ShortOctets<'a> {
    fn from(text: &'a str) -> ShortOctets<'a> {
        ShortOctets(Cow::Borrowed(text))
    }
}

impl<'a> Field<'a> for ShortOctets<'a> {
    #[inline]
    fn read(from: &mut Reader<'a>) -> Result<ShortOctets<'a>, Malformed> {
        let length: u8 = from.field()?;
        Ok(ShortOctets(octets::to_text(from.octets(length.into())?)))
    }

    #[inline]
    fn write(&self, to: &mut Vec<u8>) {
        let octets = octets::of_text(&self.0);
        let octets = &octets[..octets.len().min(MOST_OCTETS)];
        to.push(octets.len() as u8);
        to.extend_from_slice(octets);
    }
}
