//! Checked names: AMQP's short strings, of at most 255 bytes of UTF-8.
//!
//! A [`Name`] names an exchange, a queue, a virtual host, a consumer tag or a user. It is checked
//! when it is made. Clones and comparisons are cheap. The declaration of a thing decides which
//! names are reserved.

use std::{
    borrow::{Borrow, Cow},
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    str::FromStr,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::octets;

/// The name of an exchange, a queue, a virtual host, a consumer or a user. It has at most
/// [`Name::MAX_BYTES`] bytes.
///
/// A clone copies no text. The empty name allocates nothing. It is the name of the default
/// exchange, and it asks the broker for a generated name.
///
/// # Examples
/// ```
/// use leveret::Name;
///
/// let name = Name::new("tasks")?;
/// assert_eq!(name, "tasks");
/// assert_eq!((name.as_str(), name.len()), ("tasks", 5));
/// assert_eq!(Name::empty(), "");
/// assert!(Name::new("x".repeat(256)).is_err());
/// # Ok::<(), leveret::Error>(())
/// ```
// The empty name is always `None`, so that clones of the default exchange's name share no counter.
// A clone of an `Arc` writes to memory, and all publishers would write to the same place.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Name(Option<Arc<str>>);

impl Name {
    /// The most bytes of a name. AMQP stores the length of a short string in one byte.
    pub const MAX_BYTES: usize = 255;

    /// Checks `name` and keeps it.
    ///
    /// # Errors
    /// [`NameTooLong`] for a name of more than [`Name::MAX_BYTES`] bytes.
    pub fn new(name: impl AsRef<str>) -> Result<Name, NameTooLong> {
        let name = name.as_ref();
        Name::check(name)?;
        match name.is_empty() {
            true => Ok(Name::empty()),
            false => Ok(Name(Some(Arc::from(name)))),
        }
    }

    /// Checks text as [`new`](Self::new) does, and keeps nothing. Text that is only compared with
    /// names needs no `Name`.
    pub(crate) fn check(name: &str) -> Result<(), NameTooLong> {
        match name.len() {
            0..=Name::MAX_BYTES => Ok(()),
            // Characters that stand for octets count as octets.
            _ if octets::len_of(name) <= Name::MAX_BYTES => Ok(()),
            _ => Err(NameTooLong::of(name)),
        }
    }

    /// Checks the name of a queue, an exchange or a budget and keeps it without its line ends.
    ///
    /// RabbitMQ removes them where such a thing is declared, bound or deleted. Here they are
    /// removed wherever it is named, so that each of its names leads to it.
    pub(crate) fn of_entity(name: &str) -> Result<Name, NameTooLong> {
        Name::new(without_line_ends(name))
    }

    /// This name as that of a queue, an exchange or a budget: without its line ends.
    pub(crate) fn to_entity(&self) -> Name {
        match without_line_ends(self) {
            Cow::Borrowed(_) => self.clone(),
            // It has become shorter.
            Cow::Owned(text) => Name::new(text).unwrap_or_default(),
        }
    }

    /// The empty name. Allocates nothing.
    pub const fn empty() -> Name {
        Name(None)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

/// The text without carriage returns and line feeds.
pub(crate) fn without_line_ends(text: &str) -> Cow<'_, str> {
    // Most names have no control characters. To look for those costs the least.
    match text.bytes().all(|byte| byte > b'\r') {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.replace(LINE_ENDS, "")),
    }
}

const LINE_ENDS: [char; 2] = ['\r', '\n'];

/// The error of a name of more than [`Name::MAX_BYTES`] bytes.
///
/// `?` converts it into [`Error::InvalidName`](crate::Error::InvalidName) (502).
///
/// # Examples
/// ```
/// use leveret::{Error, Name};
///
/// let error = Name::new("x".repeat(300)).unwrap_err();
/// assert_eq!(error.length, 300);
/// assert_eq!(Error::from(error).reply_code(), Some(502));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has at most 255 bytes, the one that begins '{start}' has {length}: shorten it")]
#[non_exhaustive]
pub struct NameTooLong {
    /// The length of the name in bytes.
    pub length: usize,
    /// The first characters of the name.
    pub start: Arc<str>,
}

impl NameTooLong {
    pub(crate) fn of(name: &str) -> NameTooLong {
        NameTooLong {
            length: name.len(),
            start: name.chars().take(20).collect::<String>().into(),
        }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

// `Borrow<str>` requires that a name hashes and orders as its text.
impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialEq<str> for Name {
    // Two empty texts are not compared as memory. They have no address, and on processors with
    // AVX-512 a `memcmp` that looks there takes 100 ns.
    #[inline]
    fn eq(&self, other: &str) -> bool {
        match &self.0 {
            None => other.is_empty(),
            Some(name) => **name == *other,
        }
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        *self == **other
    }
}

impl PartialEq<Name> for str {
    fn eq(&self, other: &Name) -> bool {
        *other == *self
    }
}

impl PartialEq<Name> for &str {
    fn eq(&self, other: &Name) -> bool {
        *other == **self
    }
}

impl From<&Name> for Name {
    fn from(name: &Name) -> Name {
        name.clone()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.as_str().to_owned()
    }
}

impl From<&Name> for String {
    fn from(name: &Name) -> String {
        name.as_str().to_owned()
    }
}

impl TryFrom<&str> for Name {
    type Error = NameTooLong;

    fn try_from(name: &str) -> Result<Name, NameTooLong> {
        Name::new(name)
    }
}

impl TryFrom<String> for Name {
    type Error = NameTooLong;

    fn try_from(name: String) -> Result<Name, NameTooLong> {
        Name::new(name)
    }
}

impl FromStr for Name {
    type Err = NameTooLong;

    fn from_str(name: &str) -> Result<Name, NameTooLong> {
        Name::new(name)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        Name::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    #[test]
    fn a_name_may_have_255_bytes_and_no_more() {
        assert_eq!(Name::new("x".repeat(255)).unwrap().len(), 255);
        let error = Name::new("x".repeat(256)).unwrap_err();
        assert_eq!((error.length, &*error.start), (256, &*"x".repeat(20)));
        assert!(
            Name::new("é".repeat(128)).is_err(),
            "bytes count, not characters"
        );
    }

    #[test]
    fn the_empty_name_is_one_and_the_same_however_it_is_made() {
        assert_eq!(Name::new("").unwrap(), Name::empty());
        assert_eq!(Name::default(), Name::empty());
        assert!(Name::new("").unwrap().0.is_none(), "nothing is allocated");
        assert!(Name::empty() < Name::new("a").unwrap());
    }

    #[test]
    fn maps_keyed_by_names_are_searched_with_plain_text() {
        let hashed = HashMap::from([(Name::new("q").unwrap(), 1), (Name::empty(), 2)]);
        assert_eq!(hashed.get("q"), Some(&1));
        assert_eq!(hashed.get(""), Some(&2));
        let ordered = BTreeMap::from([(Name::new("q").unwrap(), 1), (Name::empty(), 2)]);
        assert_eq!(ordered.get("q"), Some(&1));
        assert_eq!(ordered.get(""), Some(&2));
    }

    #[test]
    fn a_name_compares_and_prints_as_its_text() {
        let name = Name::new("q").unwrap();
        assert_eq!(name, "q");
        assert_eq!(name, *"q");
        assert_eq!("q", name);
        assert_eq!(format!("{name} {name:?} {name:>3}"), "q \"q\"   q");
        assert_eq!(String::from(&name), "q");
        assert_eq!(Name::try_from("q").unwrap(), name);
        assert_eq!("q".parse::<Name>().unwrap(), name);
    }

    #[test]
    fn reading_a_name_checks_its_length() {
        let name: Name = serde_json::from_str("\"q\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"q\"");
        let long = serde_json::to_string(&"x".repeat(256)).unwrap();
        let error = serde_json::from_str::<Name>(&long).unwrap_err();
        assert!(error.to_string().contains("255"), "{error}");
    }

    #[test]
    fn a_name_is_two_words() {
        assert_eq!(size_of::<Name>(), 16);
    }
}
