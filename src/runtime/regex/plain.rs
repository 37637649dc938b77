//! The regular expressions that are literal text: all of a name, its beginning, its end, or a part
//! of it.

#![cfg_attr(
    feature = "regex",
    allow(dead_code, reason = "the tests compare it with the engine")
)]

use super::NEEDS_FEATURE;

/// A pattern such as `^orders$`, `^orders\.`, `^orders.*`, `\.log$`, `orders` or `.*`.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pattern: String,
    text: String,
    at_begin: bool,
    at_end: bool,
}

impl Plain {
    /// # Errors
    /// The pattern needs an engine.
    pub(crate) fn new(pattern: &str) -> Result<Plain, String> {
        let (at_begin, rest) = match pattern.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        let (at_end, rest) = match rest.strip_suffix('$') {
            Some(rest) if !is_escaped(rest) => (true, rest),
            _ => (false, rest),
        };
        // Anything before the text, or behind it.
        let (any_before, rest) = match rest.strip_prefix(".*") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (any_behind, rest) = match rest.strip_suffix(".*") {
            Some(rest) if !is_escaped(rest) => (true, rest),
            _ => (false, rest),
        };
        Ok(Plain {
            pattern: pattern.to_owned(),
            text: literal(rest).ok_or(NEEDS_FEATURE)?,
            at_begin: at_begin && !any_before,
            at_end: at_end && !any_behind,
        })
    }

    /// As [`new`](Self::new): literal text is the same in every syntax.
    ///
    /// # Errors
    /// The pattern needs an engine.
    pub(crate) fn of_pcre(pattern: &str) -> Result<Plain, String> {
        Plain::new(pattern)
    }

    /// Whether the pattern is anywhere in the text.
    pub(crate) fn is_in(&self, text: impl AsRef<[u8]>) -> Option<bool> {
        let (text, wanted) = (text.as_ref(), self.text.as_bytes());
        Some(match (self.at_begin, self.at_end) {
            (true, true) => text == wanted,
            (true, false) => text.starts_with(wanted),
            (false, true) => text.ends_with(wanted),
            (false, false) => {
                wanted.is_empty() || text.windows(wanted.len()).any(|part| part == wanted)
            }
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.pattern
    }
}

/// Whether a backslash at the end takes the meaning from what follows.
fn is_escaped(before: &str) -> bool {
    let backslashes = before.len() - before.trim_end_matches('\\').len();
    backslashes % 2 == 1
}

/// The text that the pattern stands for; `None` if it is more than a text.
fn literal(pattern: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push(characters.next().filter(char::is_ascii_punctuation)?),
            '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' | '|' => {
                return None;
            }
            other => text.push(other),
        }
    }
    Some(text)
}

#[cfg(all(test, feature = "regex"))]
mod tests {
    use proptest::prelude::*;

    use super::{super::engine, *};

    #[test]
    fn a_pattern_that_is_more_than_a_text_is_refused() {
        for pattern in [
            "a|b", "a.c", "[ab]", "(a)", "a+", r"\d", "a{2}", "a^", "$a", r"a\",
        ] {
            assert_eq!(Plain::new(pattern).unwrap_err(), NEEDS_FEATURE, "{pattern}");
        }
    }

    proptest! {
        /// A pattern without an engine matches as the engine does.
        #[test]
        fn a_plain_pattern_is_in_a_name_as_the_engine_says(
            pattern in r"\^?(\.\*)?([ab]|\\\.|\\\$){0,4}(\.\*)?\$?",
            name in "[ab.$]{0,6}",
        ) {
            let plain = Plain::new(&pattern);
            let whole = engine::Regex::new(&pattern).unwrap();
            let found = plain.unwrap().is_in(&name);
            prop_assert_eq!(found, whole.is_in(&name), "{} in {}", pattern, name);
        }
    }
}
