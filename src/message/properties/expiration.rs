//! The expiration of a message: a number of milliseconds, as text.

use super::{Kept, Properties, PropertyList};
use crate::model::{
    arguments::MAX_EXPIRY_MILLIS,
    error::{Error, Result},
};

impl Properties {
    /// Rewrites a valid expiration as RabbitMQ does since version 3.13: without a sign and without
    /// leading zeros. Returns the one that was given, if it was another.
    #[inline]
    pub(crate) fn rewrite_expiration(&mut self) -> Option<String> {
        match &mut self.0 {
            Kept::List(list) => list.rewrite_expiration(),
            Kept::None | Kept::Octets(_) => None,
        }
    }
}

impl PropertyList {
    fn rewrite_expiration(&mut self) -> Option<String> {
        let given = self.expiration.as_ref()?;
        let is_plain = match given.as_bytes() {
            [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        if is_plain {
            return None;
        }
        let millis = parse_expiration(given).ok()?;
        self.expiration.replace(millis.to_string())
    }
}

/// Parses an expiration. The errors are those of RabbitMQ, word for word.
pub(super) fn parse_expiration(text: &str) -> Result<u64> {
    let refused = |reason: String| Err(Error::invalid_expiration(text, reason));
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = unsigned.len()
        - unsigned
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .len();
    let (number, rest) = unsigned.split_at(digits);
    if number.is_empty() {
        return refused("no_integer".to_owned());
    }
    if !rest.is_empty() {
        return refused(format!("{{leftover_string,{rest:?}}}"));
    }
    let significant = number.trim_start_matches('0');
    match significant.parse::<u64>() {
        _ if significant.is_empty() => Ok(0),
        _ if negative => refused(format!("{{value_negative,-{significant}}}")),
        Ok(millis) if millis <= MAX_EXPIRY_MILLIS => Ok(millis),
        _ => refused(format!("{{value_too_large,{significant}}}")),
    }
}
