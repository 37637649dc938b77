//! Reads the syntax of PCRE2 over bytes, as RabbitMQ 4.3 has it, and writes that of the engine.
//!
//! Both agree in most of it. The differences are here: a letter beyond ASCII is several bytes, `$`
//! is also before a last line feed, a class has no operators, and `{` is a letter where it begins
//! no repetition. Faults that PCRE2 finds first get its words and its place.
//!
//! Files: `class` reads classes, `escape` reads escapes, `group` reads groups.

mod class;
mod escape;
mod group;
#[cfg(test)]
mod tests;

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
        names: Vec::new(),
        referred: None,
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
    /// Their names.
    names: Vec<String>,
    /// The largest number of a group that was referred to, and where.
    referred: Option<(usize, usize)>,
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
    /// `n`: only groups with names capture.
    no_capture: bool,
}

struct Group {
    /// The flags before it.
    flags: Flags,
    /// Where the outermost look-behind around it begins, itself included.
    look_behind: Option<usize>,
    condition: Condition,
}

/// What a group has to do with a condition, which is an assertion.
#[derive(Default)]
enum Condition {
    #[default]
    None,
    /// Its assertion comes next.
    Awaited,
    /// It is the assertion of the group around. Here it begins in the output.
    Assertion(usize),
    /// The opposite of its assertion, which stands before its other branch.
    Otherwise(String),
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
                    self.class()?;
                    self.can_repeat = true;
                }
                b'(' => self.open(start)?,
                b')' => self.close(start)?,
                b'*' => self.repeat("*", true)?,
                b'+' => self.repeat("+", true)?,
                b'?' => self.repeat("?", false)?,
                b'{' => self.brace(start)?,
                b'|' => {
                    self.push('|', false);
                    self.otherwise();
                }
                b'^' => self.push('^', false),
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
        if !self.groups.is_empty() {
            return fault("missing closing parenthesis", self.bytes.len());
        }
        match self.referred {
            Some((number, at)) if number > self.captures => {
                fault("reference to non-existent subpattern", at)
            }
            _ => Ok(()),
        }
    }

    /// Notes that the pattern refers to a group, up to here.
    fn refer(&mut self, number: usize) {
        if self.referred.is_none_or(|(other, _)| number > other) {
            self.referred = Some((number, self.at));
        }
    }

    /// Writes the opposite of the condition of this group, before its other branch.
    fn otherwise(&mut self) {
        if let Some(group) = self.groups.last_mut()
            && let Condition::Otherwise(opposite) = std::mem::take(&mut group.condition)
        {
            self.out.push_str(&opposite);
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

    /// The numbers of `{n}`, `{n,}`, `{n,m}` or `{,m}`, whose brace is read. `None` if it is none
    /// of them.
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
}

/// A byte as the engine reads it.
fn hexadecimal(byte: u8) -> String {
    format!(r"\x{byte:02X}")
}
