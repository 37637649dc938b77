//! [`Priority`], the importance of a notification.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The importance of a notification: the seven of oslo.messaging.
///
/// The order is that of [`Priority::ALL`]; it does not rank.
///
/// # Examples
/// ```
/// use leveret::notify::Priority;
///
/// assert_eq!(Priority::Warn.as_str(), "warn");
/// assert_eq!("WARNING".parse(), Ok(Priority::Warn));
/// assert!("loud".parse::<Priority>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// A record of who has done what.
    Audit,
    /// For developers.
    Debug,
    /// Something has happened as it should.
    Info,
    /// Something may need attention.
    #[serde(alias = "warning")]
    Warn,
    /// Something has failed.
    Error,
    /// Something has failed, and others will.
    Critical,
    /// A measurement.
    Sample,
}

impl Priority {
    /// All priorities.
    pub const ALL: [Priority; 7] = [
        Priority::Audit,
        Priority::Debug,
        Priority::Info,
        Priority::Warn,
        Priority::Error,
        Priority::Critical,
        Priority::Sample,
    ];

    /// The name, in lower case. It is the last word of the routing key.
    pub fn as_str(self) -> &'static str {
        match self {
            Priority::Audit => "audit",
            Priority::Debug => "debug",
            Priority::Info => "info",
            Priority::Warn => "warn",
            Priority::Error => "error",
            Priority::Critical => "critical",
            Priority::Sample => "sample",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text is the name of no [`Priority`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no priority of a notification")]
pub struct UnknownPriority(pub String);

/// Reads a name in any case of letters. `warning` is `warn`.
impl FromStr for Priority {
    type Err = UnknownPriority;

    fn from_str(name: &str) -> Result<Priority, UnknownPriority> {
        if name.eq_ignore_ascii_case("warning") {
            return Ok(Priority::Warn);
        }
        let mut all = Priority::ALL.into_iter();
        all.find(|priority| name.eq_ignore_ascii_case(priority.as_str()))
            .ok_or_else(|| UnknownPriority(name.to_owned()))
    }
}
