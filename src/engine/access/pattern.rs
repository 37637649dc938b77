//! The pattern of a permission: a regular expression over the bytes of a name.

use crate::{model::error::InvalidPattern, runtime::regex::BytesRegex};

/// A pattern that is compiled.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    /// Nothing: the pattern is empty.
    Nothing,
    /// Everything: the pattern is `.*`, which nearly all users have.
    Everything,
    Regex(BytesRegex),
}

impl Pattern {
    /// # Errors
    /// The pattern does not compile.
    pub(super) fn new(pattern: &str) -> Result<Pattern, InvalidPattern> {
        let matcher = match pattern {
            "" => Matcher::Nothing,
            ".*" => Matcher::Everything,
            pattern => Matcher::Regex(compile(pattern)?),
        };
        Ok(Pattern {
            text: pattern.to_owned(),
            matcher,
        })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_everything(&self) -> bool {
        matches!(self.matcher, Matcher::Everything)
    }

    /// Whether the pattern is in the name. A match that takes too many steps is none.
    pub(super) fn is_in(&self, name: &str) -> bool {
        match &self.matcher {
            // As `^$`.
            Matcher::Nothing => name.is_empty(),
            Matcher::Everything => true,
            Matcher::Regex(regex) => regex.is_in(name.as_bytes()).unwrap_or(false),
        }
    }
}

fn compile(pattern: &str) -> Result<BytesRegex, InvalidPattern> {
    BytesRegex::of_pcre(pattern).map_err(|fault| InvalidPattern::new(pattern, fault))
}
