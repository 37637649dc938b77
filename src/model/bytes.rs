//! [`Bytes`]: an immutable run of octets that is cheap to clone.
//!
//! An encoded message body is `Bytes`. Programs that carry opaque data use it as their payload
//! type. This module knows no messages, codecs or content types.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    str::{self, Utf8Error},
    sync::Arc,
};

/// The number of octets that `Debug` shows.
const SHOWN: usize = 64;

/// From this length on a vector is kept as it is. Octets that are beside their count take one piece
/// of memory less, and to copy fewer of them costs no more than that.
const LONG: usize = 1_024;

/// An immutable run of octets. A clone shares it.
///
/// A vector of 1,024 octets or more is not copied, unless a quarter of its capacity is empty. So a
/// body that comes in parts is collected in a vector, without another copy.
///
/// A producer of `Bytes` sends them unchanged, with the content type `application/octet-stream`. A
/// consumer of `Bytes` takes every message, whatever its content type.
///
/// ```
/// use leveret::Bytes;
///
/// let body = Bytes::from("hello");
/// assert_eq!(body.len(), 5);
/// assert_eq!(body, "hello");
/// assert_eq!(body.as_str(), Ok("hello"));
/// assert_eq!(Bytes::copy_from_slice(&[1, 2]).as_slice(), [1, 2]);
/// assert!(Bytes::from(vec![0xff]).as_str().is_err());
/// assert_eq!(body.to_vec(), b"hello");
/// ```
#[derive(Clone)]
pub struct Bytes(Octets);

#[derive(Clone)]
enum Octets {
    Short(Arc<[u8]>),
    /// Octets that were not copied, behind one pointer more.
    Long(Arc<Long>),
}

enum Long {
    Vector(Vec<u8>),
    /// The octets of others from `at` on.
    Part {
        of: Bytes,
        at: u32,
        length: u32,
    },
}

impl Long {
    fn as_slice(&self) -> &[u8] {
        match self {
            Long::Vector(octets) => octets,
            // It was made of octets that are there, and octets do not change.
            Long::Part { of, at, length } => {
                let (at, length) = (*at as usize, *length as usize);
                of.get(at..at + length).unwrap_or_default()
            }
        }
    }
}

impl Bytes {
    /// Copies `octets`.
    pub fn copy_from_slice(octets: &[u8]) -> Self {
        Self(Octets::Short(Arc::from(octets)))
    }

    /// The octets.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Octets::Short(octets) => octets,
            Octets::Long(octets) => octets.as_slice(),
        }
    }

    /// The last `length` octets before `end`, or `None` if there are not as many. Long ones are
    /// shared, which keeps all of these octets in memory.
    pub(crate) fn part(&self, end: usize, length: usize) -> Option<Bytes> {
        let at = end.checked_sub(length)?;
        let octets = self.get(at..end)?;
        Some(match (u32::try_from(at), u32::try_from(length)) {
            (Ok(at), Ok(length)) if octets.len() >= LONG => {
                let of = self.clone();
                Self(Octets::Long(Arc::new(Long::Part { of, at, length })))
            }
            _ => octets.into(),
        })
    }

    /// The octets as text.
    ///
    /// # Errors
    ///
    /// The error of octets that are not UTF-8.
    pub fn as_str(&self) -> Result<&str, Utf8Error> {
        str::from_utf8(self)
    }

    /// Copies the octets into a vector.
    pub fn to_vec(&self) -> Vec<u8> {
        self.as_slice().to_vec()
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Bytes) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Bytes {}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Bytes) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Bytes) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

/// As that of a slice, by which a map may look for it.
impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl Default for Bytes {
    fn default() -> Self {
        Self(Octets::Short(Arc::from([])))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(octets: Vec<u8>) -> Self {
        Self(
            match octets.len() < LONG || octets.len() < octets.capacity() / 4 * 3 {
                true => Octets::Short(octets.into()),
                false => Octets::Long(Arc::new(Long::Vector(octets))),
            },
        )
    }
}

impl From<&[u8]> for Bytes {
    fn from(octets: &[u8]) -> Self {
        Self(Octets::Short(octets.into()))
    }
}

impl<const N: usize> From<&[u8; N]> for Bytes {
    fn from(octets: &[u8; N]) -> Self {
        octets.as_slice().into()
    }
}

impl<const N: usize> From<[u8; N]> for Bytes {
    fn from(octets: [u8; N]) -> Self {
        octets.as_slice().into()
    }
}

impl From<Box<[u8]>> for Bytes {
    fn from(octets: Box<[u8]>) -> Self {
        Self(Octets::Short(octets.into()))
    }
}

impl From<Arc<[u8]>> for Bytes {
    fn from(octets: Arc<[u8]>) -> Self {
        Self(Octets::Short(octets))
    }
}

impl From<String> for Bytes {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<&String> for Bytes {
    fn from(text: &String) -> Self {
        text.as_bytes().into()
    }
}

impl FromIterator<u8> for Bytes {
    fn from_iter<I: IntoIterator<Item = u8>>(octets: I) -> Self {
        Self(Octets::Short(octets.into_iter().collect()))
    }
}

/// Compares `Bytes` with every type that is a slice of octets or text.
macro_rules! comparable {
    ($($other:ty => |$it:ident| $octets:expr;)*) => {$(
        impl PartialEq<$other> for Bytes {
            fn eq(&self, $it: &$other) -> bool {
                *self.as_slice() == *$octets
            }
        }

        impl PartialEq<Bytes> for $other {
            fn eq(&self, other: &Bytes) -> bool {
                other == self
            }
        }
    )*};
}

comparable! {
    [u8] => |it| it;
    &[u8] => |it| *it;
    Vec<u8> => |it| it.as_slice();
    str => |it| it.as_bytes();
    &str => |it| it.as_bytes();
    String => |it| it.as_bytes();
}

impl<const N: usize> PartialEq<[u8; N]> for Bytes {
    fn eq(&self, other: &[u8; N]) -> bool {
        *self.as_slice() == other[..]
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Bytes {
    fn eq(&self, other: &&[u8; N]) -> bool {
        *self.as_slice() == other[..]
    }
}

/// Shows text as text and other octets as hexadecimal digits. A long body is cut, and its length is
/// shown.
impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Ok(text) if text.len() <= SHOWN => write!(f, "{text:?}")?,
            Ok(text) => {
                // The cut lies between two characters. A slice through a character would panic.
                let end = (0..=SHOWN)
                    .rev()
                    .find(|&end| text.is_char_boundary(end))
                    .unwrap_or(0);
                write!(f, "{:?}..", &text[..end])?;
            }
            Err(_) => {
                f.write_str("0x")?;
                for octet in self.iter().take(SHOWN / 2) {
                    write!(f, "{octet:02x}")?;
                }
                if self.len() > SHOWN / 2 {
                    f.write_str("..")?;
                } else {
                    return Ok(());
                }
            }
        }
        if self.len() > SHOWN || self.as_str().is_err() {
            write!(f, " ({} bytes)", self.len())?;
        }
        Ok(())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

/// Takes octets in every form of a format: bytes, text, or a sequence of numbers (as in JSON).
struct BytesVisitor;

impl<'de> de::Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: de::Error>(self, octets: &[u8]) -> Result<Bytes, E> {
        Ok(octets.into())
    }

    fn visit_byte_buf<E: de::Error>(self, octets: Vec<u8>) -> Result<Bytes, E> {
        Ok(octets.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
        Ok(text.into())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Bytes, A::Error> {
        // The hint comes from the sender. The vector therefore reserves little.
        let mut octets = Vec::with_capacity(sequence.size_hint().unwrap_or(0).min(4096));
        while let Some(octet) = sequence.next_element()? {
            octets.push(octet);
        }
        Ok(octets.into())
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;

    #[test]
    fn bytes_are_equal_to_slices_and_text_in_both_directions() {
        let bytes = Bytes::from("abc");
        assert_eq!(bytes, "abc");
        assert_eq!("abc", bytes);
        assert_eq!(bytes, b"abc");
        assert_eq!(bytes, vec![97, 98, 99]);
        assert_eq!(bytes, *b"abc".as_slice());
        assert_ne!(bytes, "abd");
    }

    #[test]
    fn debug_shows_text_as_text_and_the_rest_in_hexadecimal_and_cuts_both() {
        assert_eq!(
            format!("{:?}", Bytes::from("hi \"you\"")),
            r#""hi \"you\"""#
        );
        assert_eq!(format!("{:?}", Bytes::from([0xff, 0x00])), "0xff00");
        let long = Bytes::from("ü".repeat(100));
        assert_eq!(
            format!("{long:?}"),
            format!("{:?}.. (200 bytes)", "ü".repeat(32))
        );
        let binary = Bytes::from(vec![0xff; 100]);
        assert_eq!(
            format!("{binary:?}"),
            format!("0x{}.. (100 bytes)", "ff".repeat(32))
        );
    }

    #[test]
    fn bytes_survive_a_round_trip_through_json() {
        let bytes = Bytes::from([0, 1, 255]);
        let json = serde_json::to_string(&bytes).unwrap();
        assert_eq!(json, "[0,1,255]");
        assert_eq!(serde_json::from_str::<Bytes>(&json).unwrap(), bytes);
        assert_eq!(serde_json::from_str::<Bytes>(r#""hi""#).unwrap(), "hi");
    }

    #[test]
    fn a_part_has_the_octets_before_its_end_and_shares_long_ones() {
        let octets: Vec<u8> = (0..=255).cycle().take(4 * LONG).collect();
        let whole = Bytes::from(octets.clone());
        for (end, length) in [(10, 3), (4 * LONG, 2 * LONG), (LONG, LONG), (5, 5), (7, 0)] {
            let part = whole.part(end, length).unwrap();
            assert_eq!(part, octets[end - length..end]);
            assert_eq!(part.part(length, length).unwrap(), part);
            let shares = part.as_ptr() == whole[end - length..].as_ptr();
            assert_eq!(shares, length >= LONG, "{length}");
            assert!(!shares || part.part(length, length).unwrap().as_ptr() == part.as_ptr());
        }
        assert_eq!(whole.part(2, 3), None);
        assert_eq!(whole.part(4 * LONG + 1, 1), None);
        assert_eq!(Bytes::from("hello").part(4, 3).unwrap(), "ell");
    }

    #[test]
    fn a_long_vector_is_not_copied_and_a_wasteful_one_is() {
        let full = vec![7; LONG];
        let place = full.as_ptr();
        let bytes = Bytes::from(full);
        assert_eq!(bytes.as_ptr(), place);
        assert_eq!(bytes.clone().as_ptr(), place);
        let mut wasteful = Vec::with_capacity(2 * LONG);
        wasteful.resize(LONG, 7);
        let place = wasteful.as_ptr();
        let copied = Bytes::from(wasteful);
        assert_ne!(copied.as_ptr(), place);
        assert_eq!((&bytes, bytes.cmp(&copied)), (&copied, Ordering::Equal));
        let hash = |bytes: &Bytes| BuildHasherDefault::<DefaultHasher>::default().hash_one(bytes);
        assert_eq!(hash(&bytes), hash(&copied));
        assert_eq!(size_of::<Bytes>(), size_of::<&[u8]>());
    }

    #[test]
    fn a_clone_shares_the_octets() {
        let bytes = Bytes::from("shared");
        assert_eq!(bytes.clone().as_ptr(), bytes.as_ptr());
    }
}
