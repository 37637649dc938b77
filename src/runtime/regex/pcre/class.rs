//! Classes: the text between brackets.

use super::{Fault, Reader, escape::Item, fault, hexadecimal};

/// The named classes.
const NAMED: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

impl Reader<'_> {
    /// A class, whose bracket is read.
    pub(super) fn class(&mut self) -> Result<(), Fault> {
        // The begin and the end of a word.
        for (word, written) in [("[:<:]]", r"\b(?=\w)"), ("[:>:]]", r"\b(?<=\w)")] {
            if self.starts_with(word) {
                self.at += word.len();
                self.out.push_str(written);
                return Ok(());
            }
        }
        self.out.push('[');
        if self.take(b'^') {
            self.out.push('^');
        }
        let mut is_first = true;
        let mut is_quoted = false;
        // The byte that may begin a range, with its place in the output.
        let mut before: Option<(u8, usize)> = None;
        loop {
            let Some(byte) = self.peek() else {
                let end = self.bytes.len();
                return fault("missing terminating ] for character class", end);
            };
            if is_quoted && self.starts_with(r"\E") {
                self.at += 2;
                is_quoted = false;
                continue;
            }
            if !is_quoted && self.starts_with(r"\Q") {
                self.at += 2;
                is_quoted = true;
                continue;
            }
            if byte == b']' && !is_first && !is_quoted {
                self.at += 1;
                self.out.push(']');
                return Ok(());
            }
            is_first = false;
            if byte == b'-' && !is_quoted && self.range_to(&mut before)? {
                continue;
            }
            match self.class_item(is_quoted)? {
                Item::Byte(byte) => {
                    before = Some((byte, self.out.len()));
                    self.out.push_str(&hexadecimal(byte));
                }
                Item::Class(items) => {
                    before = None;
                    self.out.push_str(&items);
                    let is_dash = |at: usize| self.bytes.get(at) == Some(&b'-');
                    let ends = matches!(self.bytes.get(self.at + 1), None | Some(b']'));
                    if is_dash(self.at) && !ends {
                        return fault("invalid range in character class", self.at + 1);
                    }
                }
                Item::Nothing => {}
            }
        }
    }

    /// `-` and the end of a range that begins with `before`. `false` if `-` stands for itself.
    fn range_to(&mut self, before: &mut Option<(u8, usize)>) -> Result<bool, Fault> {
        let Some((first, _)) = *before else {
            return Ok(false);
        };
        if matches!(self.bytes.get(self.at + 1), None | Some(b']')) {
            return Ok(false);
        }
        self.at += 1;
        let Item::Byte(last) = self.class_item(false)? else {
            return fault("invalid range in character class", self.at);
        };
        if last < first {
            return fault("range out of order in character class", self.at);
        }
        self.out.push('-');
        self.out.push_str(&hexadecimal(last));
        *before = None;
        Ok(true)
    }

    fn class_item(&mut self, is_quoted: bool) -> Result<Item, Fault> {
        let Some(byte) = self.peek() else {
            let end = self.bytes.len();
            return fault("missing terminating ] for character class", end);
        };
        if is_quoted {
            self.at += 1;
            return Ok(Item::Byte(byte));
        }
        match byte {
            b'[' if matches!(self.bytes.get(self.at + 1), Some(b':' | b'.' | b'=')) => {
                self.named_class()
            }
            b'\\' => {
                self.at += 1;
                match self.peek() {
                    Some(b'b') => {
                        self.at += 1;
                        Ok(Item::Byte(0x08))
                    }
                    Some(b'N' | b'R' | b'X' | b'B') => {
                        let reason = "escape sequence is invalid in character class";
                        fault(reason, self.at + 1)
                    }
                    _ => self.item(),
                }
            }
            byte => {
                self.at += 1;
                Ok(Item::Byte(byte))
            }
        }
    }

    /// `[:name:]`, if there is an end of it. If not, the bracket stands for itself.
    fn named_class(&mut self) -> Result<Item, Fault> {
        let kind = self.bytes[self.at + 1];
        let rest = &self.bytes[self.at + 2..];
        let end = rest.windows(2).position(|pair| pair == [kind, b']']);
        let is_word = |name: &&[u8]| {
            name.iter()
                .all(|byte| byte.is_ascii_lowercase() || *byte == b'^')
        };
        let Some(name) = end.map(|end| &rest[..end]).filter(is_word) else {
            self.at += 1;
            return Ok(Item::Byte(b'['));
        };
        let end = self.at + name.len() + 4;
        if kind != b':' {
            return fault("POSIX collating elements are not supported", end);
        }
        let name = std::str::from_utf8(name).unwrap_or_default();
        let (negation, word) = match name.strip_prefix('^') {
            Some(word) => ("^", word),
            None => ("", name),
        };
        if !NAMED.contains(&word) {
            return fault("unknown POSIX class name", end);
        }
        let written = format!("[:{negation}{word}:]");
        self.at = end;
        Ok(Item::Class(written))
    }
}
