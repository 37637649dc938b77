//! Reads the syntax of PCRE2 over bytes, as RabbitMQ 4.3 has it, and writes that of the engine.
//!
//! Both agree in most of it. The differences are here: a letter beyond ASCII is several bytes, `$`
//! is also before a last line feed, a class has no operators, and `{` is a letter where it begins
//! no repetition. Faults that PCRE2 finds first get its words and its place.
//!
//! Files: `class` reads classes, `escape` reads escapes.

mod class;
mod escape;
#[cfg(test)]
mod tests;

use std::fmt::Write;

/// The same pattern in the syntax of the engine.
///
/// # Errors
/// The fault of the pattern.
pub(crate) fn translate(pattern: &str) -> Result<String, String> {
    let mut reader = Reader {
        bytes: pattern.as_bytes(),
        at: 0,
        out: String::with_capacity(pattern.len() + 8),
        groups: Vec::new(),
        captures: 0,
        flags: Flags::default(),
        can_repeat: false,
    };
    reader.read()?;
    Ok(reader.out)
}

/// The largest number of a repetition.
const MOST_REPEATS: u32 = 65_535;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    out: String,
    /// The groups that are open.
    groups: Vec<Group>,
    /// The capturing groups so far.
    captures: usize,
    flags: Flags,
    /// Whether a quantifier may follow.
    can_repeat: bool,
}

/// The flags that change what is read.
#[derive(Clone, Copy, Default)]
struct Flags {
    /// `x`: blanks and comments mean nothing.
    extended: bool,
    /// `m`: `$` is at the end of every line.
    multi_line: bool,
}

struct Group {
    /// The flags before it.
    flags: Flags,
    /// Where the outermost look-behind around it begins, itself included.
    look_behind: Option<usize>,
}

type Fault = String;

fn fault<T>(reason: &str, at: usize) -> Result<T, Fault> {
    Err(format!("{reason} at {at}"))
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn starts_with(&self, text: &str) -> bool {
        self.rest().starts_with(text.as_bytes())
    }

    /// Takes the next byte if it is this one.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes the bytes up to the first that does not fit.
    fn take_while(&mut self, fits: impl Fn(u8) -> bool) -> &str {
        let from = self.at;
        while self.peek().is_some_and(&fits) {
            self.at += 1;
        }
        // Only whole characters are taken, or only ASCII.
        std::str::from_utf8(&self.bytes[from..self.at]).unwrap_or_default()
    }

    fn take_number(&mut self) -> Option<u32> {
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        match digits {
            "" => None,
            digits => Some(digits.parse().unwrap_or(u32::MAX)),
        }
    }

    fn read(&mut self) -> Result<(), Fault> {
        while let Some(byte) = self.peek() {
            let start = self.at;
            self.at += 1;
            match byte {
                b'\\' => self.escape()?,
                b'[' => {
                    self.class(start)?;
                    self.can_repeat = true;
                }
                b'(' => self.open(start)?,
                b')' => self.close(start)?,
                b'*' => self.repeat("*", true)?,
                b'+' => self.repeat("+", true)?,
                b'?' => self.repeat("?", false)?,
                b'{' => self.brace(start)?,
                b'|' | b'^' => self.push(char::from(byte), false),
                b'$' if self.flags.multi_line => self.push('$', true),
                b'$' => {
                    self.out.push_str(r"(?=\n?\z)");
                    self.can_repeat = true;
                }
                b'#' if self.flags.extended => {
                    self.take_while(|byte| byte != b'\n');
                }
                _ if self.flags.extended && byte.is_ascii_whitespace() => {}
                b'.' => self.push('.', true),
                byte => self.literal(byte),
            }
        }
        match self.groups.is_empty() {
            true => Ok(()),
            false => fault("missing closing parenthesis", self.bytes.len()),
        }
    }

    fn push(&mut self, character: char, can_repeat: bool) {
        self.out.push(character);
        self.can_repeat = can_repeat;
    }

    /// A byte that stands for itself.
    fn literal(&mut self, byte: u8) {
        match byte.is_ascii_alphanumeric() || byte == b'_' {
            true => self.out.push(char::from(byte)),
            false => self.out.push_str(&hexadecimal(byte)),
        }
        self.can_repeat = true;
    }

    /// A quantifier, with `?` or `+` behind it. Its own text is read.
    fn repeat(&mut self, quantifier: &str, is_endless: bool) -> Result<(), Fault> {
        if !self.can_repeat {
            return fault("quantifier does not follow a repeatable item", self.at);
        }
        let group = self.groups.last();
        if let (true, Some(start)) = (is_endless, group.and_then(|group| group.look_behind)) {
            return fault("length of lookbehind assertion is not limited", start);
        }
        self.out.push_str(quantifier);
        if let Some(mode @ (b'?' | b'+')) = self.peek() {
            self.at += 1;
            self.out.push(char::from(mode));
        }
        self.can_repeat = false;
        Ok(())
    }

    /// `{`: a repetition, or itself.
    fn brace(&mut self, start: usize) -> Result<(), Fault> {
        let Some((least, most)) = self.repetition() else {
            self.at = start + 1;
            self.literal(b'{');
            return Ok(());
        };
        let end = self.at - 1;
        if least.max(most.unwrap_or(0)) > MOST_REPEATS {
            return fault("number too big in {} quantifier", end);
        }
        if most.is_some_and(|most| most < least) {
            return fault("numbers out of order in {} quantifier", end);
        }
        let most_text = most.map(|most| most.to_string()).unwrap_or_default();
        self.repeat(&format!("{{{least},{most_text}}}"), most.is_none())
    }

    /// The numbers of `{n}`, `{n,}`, `{n,m}` or `{,m}`, whose brace is read. `None` if it is none of
    /// them.
    fn repetition(&mut self) -> Option<(u32, Option<u32>)> {
        let blanks = |reader: &mut Self| {
            reader.take_while(|byte| matches!(byte, b' ' | b'\t'));
        };
        blanks(self);
        let least = self.take_number();
        blanks(self);
        let has_comma = self.take(b',');
        blanks(self);
        let most = self.take_number().filter(|_| has_comma);
        blanks(self);
        match (self.take(b'}'), least, has_comma, most) {
            (true, Some(times), false, None) => Some((times, Some(times))),
            (true, Some(least), true, most) => Some((least, most)),
            (true, None, true, Some(most)) => Some((0, Some(most))),
            _ => None,
        }
    }

    /// `(`, which is read.
    fn open(&mut self, start: usize) -> Result<(), Fault> {
        self.can_repeat = false;
        if self.peek() == Some(b'*') {
            return fault("(*VERB) not recognized or malformed", start + 2);
        }
        if !self.take(b'?') {
            self.captures += 1;
            self.out.push('(');
            self.enter(None);
            return Ok(());
        }
        if self.take(b'#') {
            self.take_while(|byte| byte != b')');
            // What it follows may still be repeated in PCRE2; no one writes that.
            return match self.take(b')') {
                true => Ok(()),
                false => fault("missing ) after (?# comment", self.bytes.len()),
            };
        }
        for (prefix, written) in [
            (":", "(?:"),
            ("=", "(?="),
            ("!", "(?!"),
            (">", "(?>"),
            ("<=", "(?<="),
            ("<!", "(?<!"),
        ] {
            if self.starts_with(prefix) {
                self.at += prefix.len();
                self.out.push_str(written);
                self.enter(prefix.starts_with('<').then_some(start));
                return Ok(());
            }
        }
        if self.call()? || self.condition()? {
            return Ok(());
        }
        let Some(name_end) = self.take_name_start() else {
            return self.set_flags();
        };
        let name = self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let opened = format!("(?<{name}>");
        let is_named = name.starts_with(|first: char| !first.is_ascii_digit());
        if !is_named || !self.take(name_end) {
            return fault("subpattern name expected", self.at);
        }
        self.captures += 1;
        self.out.push_str(&opened);
        self.enter(None);
        Ok(())
    }

    /// `P<`, `<` or `'` of a named group. Returns what ends the name.
    fn take_name_start(&mut self) -> Option<u8> {
        let (length, end) = match self.rest() {
            [b'P', b'<', ..] => (2, b'>'),
            [b'<', ..] => (1, b'>'),
            [b'\'', ..] => (1, b'\''),
            _ => return None,
        };
        self.at += length;
        Some(end)
    }

    /// A call of a group, or a reference to one, in parentheses. `false` if it is none.
    fn call(&mut self) -> Result<bool, Fault> {
        let start = self.at;
        let called = match self.rest() {
            [b'R', ..] => {
                self.at += 1;
                Some("0".to_owned())
            }
            [b'0'..=b'9', ..] => self.take_number().map(|number| number.to_string()),
            [sign @ (b'+' | b'-'), b'0'..=b'9', ..] => {
                let is_ahead = *sign == b'+';
                self.at += 1;
                let distance = self.take_number().unwrap_or(0) as usize;
                let number = match is_ahead {
                    true => Some(self.captures + distance),
                    false => (self.captures + 1).checked_sub(distance),
                };
                number.map(|number| number.to_string())
            }
            [b'&', ..] | [b'P', b'>', ..] => {
                self.at += if self.starts_with("&") { 1 } else { 2 };
                let name = self.take_while(|byte| byte != b')');
                Some(name.to_owned())
            }
            [b'P', b'=', ..] => {
                self.at += 2;
                let name = self.take_while(|byte| byte != b')').to_owned();
                return self.end_of_call(&format!(r"\k<{name}>"));
            }
            _ => return Ok(false),
        };
        match called {
            Some(called) if !called.is_empty() => self.end_of_call(&format!(r"\g<{called}>")),
            _ => fault("reference to non-existent subpattern", start),
        }
    }

    fn end_of_call(&mut self, written: &str) -> Result<bool, Fault> {
        if !self.take(b')') {
            return fault("missing closing parenthesis", self.bytes.len());
        }
        self.out.push_str(written);
        self.can_repeat = true;
        Ok(true)
    }

    /// `(` of a condition, behind `(?`. `false` if it is none.
    fn condition(&mut self) -> Result<bool, Fault> {
        if self.peek() != Some(b'(') {
            return Ok(false);
        }
        self.out.push_str("(?");
        self.enter(None);
        if matches!(self.bytes.get(self.at + 1), Some(b'?')) {
            // An assertion, which is read as a group.
            return Ok(true);
        }
        let condition = self.take_while(|byte| byte != b')').to_owned();
        self.out.push_str(&condition);
        match self.take(b')') {
            true => {
                self.out.push(')');
                Ok(true)
            }
            false => fault("missing closing parenthesis for condition", self.at),
        }
    }

    /// The flags behind `(?`, for a group or for the rest of the group around.
    fn set_flags(&mut self) -> Result<(), Fault> {
        let before = self.flags;
        let is_flag = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'^');
        let flags = self.take_while(is_flag).to_owned();
        let mut is_on = true;
        for flag in flags.chars() {
            match flag {
                '-' => is_on = false,
                'x' => self.flags.extended = is_on,
                'm' => self.flags.multi_line = is_on,
                'i' | 's' | 'U' => {}
                _ => {
                    let reason = "unrecognized character after (? or (?-";
                    return fault(reason, self.at);
                }
            }
        }
        // Blanks and comments are left out here already.
        let written: String = flags.chars().filter(|flag| *flag != 'x').collect();
        let written = written.trim_end_matches('-');
        match self.peek() {
            Some(b')') => {
                self.at += 1;
                if !written.is_empty() {
                    let _ = write!(self.out, "(?{written})");
                }
                Ok(())
            }
            Some(b':') => {
                self.at += 1;
                let _ = write!(self.out, "(?{written}:");
                let changed = std::mem::replace(&mut self.flags, before);
                self.enter(None);
                self.flags = changed;
                Ok(())
            }
            Some(_) => fault("unrecognized character after (? or (?-", self.at + 1),
            None => fault("missing closing parenthesis", self.bytes.len()),
        }
    }

    fn enter(&mut self, look_behind: Option<usize>) {
        let around = self.groups.last().and_then(|group| group.look_behind);
        self.groups.push(Group {
            flags: self.flags,
            look_behind: around.or(look_behind),
        });
    }

    fn close(&mut self, start: usize) -> Result<(), Fault> {
        let Some(group) = self.groups.pop() else {
            return fault("unmatched closing parenthesis", start);
        };
        self.flags = group.flags;
        self.push(')', true);
        Ok(())
    }
}

/// A byte as the engine reads it.
fn hexadecimal(byte: u8) -> String {
    format!(r"\x{byte:02X}")
}
