//! [`Version`], the version of an interface.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The version of an RPC interface: a major and a minor number.
///
/// A new minor number adds to an interface, and a new major number breaks it. So a server of
/// version 1.4 serves requests for 1.0 to 1.4, and no others. The default is 1.0.
///
/// # Examples
/// ```
/// use leveret::rpc::Version;
///
/// let version = Version::new(1, 4);
/// assert!(version.serves(Version::new(1, 0)) && version.serves(version));
/// assert!(!version.serves(Version::new(1, 5)) && !version.serves(Version::new(2, 0)));
/// assert_eq!("1.4".parse(), Ok(version));
/// assert_eq!((version.to_string(), Version::default()), ("1.4".to_owned(), (1, 0).into()));
/// assert!("1".parse::<Version>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The major number. Versions with different ones have nothing in common.
    pub major: u16,
    /// The minor number.
    pub minor: u16,
}

impl Version {
    /// Makes the version `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Version {
        Version { major, minor }
    }

    /// Whether an endpoint of this version serves requests for another: the major numbers are
    /// equal, and this minor number is not lower.
    pub const fn serves(self, requested: Version) -> bool {
        self.major == requested.major && self.minor >= requested.minor
    }
}

impl Default for Version {
    fn default() -> Version {
        Version::new(1, 0)
    }
}

impl From<(u16, u16)> for Version {
    fn from((major, minor): (u16, u16)) -> Version {
        Version::new(major, minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The error of a text that is no [`Version`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no version: a version is two numbers from 0 to 65535, such as 1.4")]
pub struct InvalidVersion(String);

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Version, InvalidVersion> {
        let number = |digits: &str| match digits.starts_with('+') {
            true => None,
            false => digits.parse().ok(),
        };
        let numbers = text
            .split_once('.')
            .and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
        numbers
            .map(Version::from)
            .ok_or_else(|| InvalidVersion(text.to_owned()))
    }
}
