//! [`Regex`], a regular expression that a user has written: its size, its steps and its panics are
//! bounded. [`BytesRegex`] is one over bytes. `pcre` reads the syntax of PCRE2.

pub(crate) mod pcre;

use fancy_regex::{BytesMode, RegexBuilder};

use super::catch_panic::catch_panic;

/// How often a match may go back and try another way. A look-around in a row of others needs the
/// square of the length of a name, which is 65,025. The limit is reached within milliseconds.
const MAX_STEPS: usize = 100_000;

/// The limit of the size of a compiled pattern, in instructions. Its call of its own groups
/// multiplies it.
const MAX_INSTRUCTIONS: usize = 100_000;

#[derive(Clone, Debug)]
pub(crate) struct Regex(fancy_regex::Regex);

impl Regex {
    /// # Errors
    /// The fault of the pattern.
    pub(crate) fn new(pattern: &str) -> Result<Regex, String> {
        compile(pattern, BytesMode::Unicode).map(Regex)
    }

    /// Whether the pattern is anywhere in the text. `None` if that takes too many steps.
    pub(crate) fn is_in(&self, text: &str) -> Option<bool> {
        catch_panic(|| self.0.is_match(text))?.ok()
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// A regular expression over bytes: a class of characters has those of ASCII.
#[derive(Clone, Debug)]
pub(crate) struct BytesRegex(fancy_regex::Regex);

impl BytesRegex {
    /// # Errors
    /// The fault of the pattern.
    pub(crate) fn new(pattern: &str) -> Result<BytesRegex, String> {
        compile(pattern, BytesMode::Ascii).map(BytesRegex)
    }

    /// Whether the pattern is anywhere in the bytes. `None` if that takes too many steps.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> Option<bool> {
        catch_panic(|| self.0.is_match(bytes))?.ok()
    }
}

fn compile(pattern: &str, mode: BytesMode) -> Result<fancy_regex::Regex, String> {
    let compile = || {
        RegexBuilder::new(pattern)
            .bytes_mode(mode)
            .backtrack_limit(MAX_STEPS)
            .max_prog_size(MAX_INSTRUCTIONS)
            .build()
    };
    // The engine is not proven to be free of panics.
    let compiled = catch_panic(compile).ok_or("it cannot be compiled")?;
    compiled.map_err(|error| what_is_wrong(&error))
}

/// The last line of the parser's message. The lines before it mark the position.
fn what_is_wrong(error: &fancy_regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
