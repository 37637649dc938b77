//! Regular expressions by the engine of another crate. Their size, their steps and their panics are
//! bounded.

use fancy_regex::{BytesMode, CompileError, RegexBuilder};

use super::pcre;
use crate::runtime::catch_panic::catch_panic;

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
        let compiled = compile(pattern, BytesMode::Unicode).ok_or(PANICKED)?;
        compiled.map(Regex).map_err(|error| what_is_wrong(&error))
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
///
/// A pattern that begins with a call of itself is in nothing: such a call never ends, and PCRE2
/// gives it up.
#[derive(Clone, Debug)]
pub(crate) struct BytesRegex(Option<fancy_regex::Regex>);

impl BytesRegex {
    /// Compiles a pattern in the syntax of PCRE2.
    ///
    /// # Errors
    /// The fault of the pattern.
    pub(crate) fn of_pcre(pattern: &str) -> Result<BytesRegex, String> {
        BytesRegex::new(&pcre::translate(pattern)?)
    }

    /// # Errors
    /// The fault of the pattern.
    pub(super) fn new(pattern: &str) -> Result<BytesRegex, String> {
        match compile(pattern, BytesMode::Ascii).ok_or(PANICKED)? {
            Ok(regex) => Ok(BytesRegex(Some(regex))),
            Err(error) if is_endless(&error) => Ok(BytesRegex(None)),
            Err(error) => Err(what_is_wrong(&error)),
        }
    }

    /// Whether the pattern is anywhere in the bytes. `None` if that takes too many steps.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> Option<bool> {
        match &self.0 {
            None => Some(false),
            Some(regex) => catch_panic(|| regex.is_match(bytes))?.ok(),
        }
    }
}

fn is_endless(error: &fancy_regex::Error) -> bool {
    let fancy_regex::Error::CompileError(error) = error else {
        return false;
    };
    matches!(
        **error,
        CompileError::LeftRecursiveSubroutineCall(_) | CompileError::NeverEndingRecursion
    )
}

/// `None` if the engine has panicked. It is not proven to be free of panics.
fn compile(
    pattern: &str,
    mode: BytesMode,
) -> Option<Result<fancy_regex::Regex, fancy_regex::Error>> {
    catch_panic(|| {
        RegexBuilder::new(pattern)
            .bytes_mode(mode)
            .backtrack_limit(MAX_STEPS)
            .max_prog_size(MAX_INSTRUCTIONS)
            .build()
    })
}

const PANICKED: &str = "it cannot be compiled";

/// The last line of the parser's message. The lines before it mark the position.
fn what_is_wrong(error: &fancy_regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}
