//! [`Regex`], a regular expression that a user has written, and [`BytesRegex`], one over bytes in
//! the syntax of PCRE2.
//!
//! With the feature `regex`, `engine` has them, and `pcre` reads the syntax of PCRE2. Without it,
//! `plain` has the patterns that need no engine, and refuses the others.

#[cfg(feature = "regex")]
mod engine;
#[cfg(feature = "regex")]
mod pcre;
#[cfg(any(test, not(feature = "regex")))]
mod plain;

#[cfg(feature = "regex")]
pub(crate) use self::engine::{BytesRegex, Regex};
#[cfg(not(feature = "regex"))]
pub(crate) use self::plain::{Plain as BytesRegex, Plain as Regex};

/// The fault of a pattern that is not here without the feature.
pub(crate) const NEEDS_FEATURE: &str =
    "only literal text and its beginning and end are here without the feature regex of leveret";
