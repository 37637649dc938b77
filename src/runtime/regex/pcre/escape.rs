//! Escapes: the text behind a backslash.

use super::{Fault, Reader, fault, hexadecimal};
use crate::runtime::regex::Regex;

/// One item of a class, or what an escape stands for.
pub(super) enum Item {
    Byte(u8),
    /// The items of a class, without brackets.
    Class(String),
    /// Nothing: the end of a quotation.
    Nothing,
}

/// Horizontal space, and vertical space.
const BLANKS: &str = r"\t\x20\xA0";
const LINES: &str = r"\n\x0B\x0C\r\x85";

impl Reader<'_> {
    /// An escape outside of a class, whose backslash is read.
    pub(super) fn escape(&mut self) -> Result<(), Fault> {
        let Some(byte) = self.peek() else {
            return fault(r"\ at end of pattern", self.at);
        };
        self.at += 1;
        self.can_repeat = true;
        match byte {
            b'd' | b'D' | b'w' | b'W' | b's' | b'S' => {
                self.out.push('\\');
                self.out.push(char::from(byte));
            }
            b'b' | b'B' | b'A' | b'z' | b'G' | b'K' => {
                self.out.push('\\');
                self.push(char::from(byte), false);
            }
            b'Z' => {
                self.out.push_str(r"(?=\n?\z)");
                self.can_repeat = false;
            }
            b'N' => self.out.push_str(r"[^\n]"),
            b'R' => self.out.push_str(&format!(r"(?>\r\n|[{LINES}])")),
            b'C' => self.out.push_str(r"(?s:.)"),
            b'X' => self.out.push_str(r"(?>\r\n|(?s:.))"),
            b'Q' => self.quotation(),
            b'k' => self.named_reference()?,
            b'g' => self.reference()?,
            b'1'..=b'9' => {
                self.at -= 1;
                self.numbered()?;
            }
            _ => {
                self.at -= 1;
                match self.item()? {
                    Item::Byte(byte) => self.out.push_str(&hexadecimal(byte)),
                    Item::Class(items) => self.out.push_str(&format!("[{items}]")),
                    Item::Nothing => self.can_repeat = false,
                }
            }
        }
        Ok(())
    }

    /// An escape that may also be in a class. The byte behind the backslash is next.
    pub(super) fn item(&mut self) -> Result<Item, Fault> {
        let Some(byte) = self.peek() else {
            return fault(r"\ at end of pattern", self.at);
        };
        self.at += 1;
        Ok(match byte {
            b'a' => Item::Byte(0x07),
            b'e' => Item::Byte(0x1B),
            b'f' => Item::Byte(0x0C),
            b'n' => Item::Byte(b'\n'),
            b'r' => Item::Byte(b'\r'),
            b't' => Item::Byte(b'\t'),
            b'h' => Item::Class(BLANKS.to_owned()),
            b'H' => Item::Class(format!("[^{BLANKS}]")),
            b'v' => Item::Class(LINES.to_owned()),
            b'V' => Item::Class(format!("[^{LINES}]")),
            b'd' | b'D' | b'w' | b'W' | b's' | b'S' => {
                Item::Class(format!("\\{}", char::from(byte)))
            }
            b'c' => match self.peek() {
                Some(letter @ 0x20..=0x7E) => {
                    self.at += 1;
                    Item::Byte(letter.to_ascii_uppercase() ^ 0x40)
                }
                _ => {
                    return fault(
                        r"\c must be followed by a printable ASCII character",
                        self.at,
                    );
                }
            },
            b'x' => Item::Byte(self.hexadecimal_code()?),
            b'o' => Item::Byte(self.braced_code(8)?),
            b'0'..=b'7' => {
                self.at -= 1;
                Item::Byte(self.octal_code()?)
            }
            b'p' | b'P' => Item::Class(self.property(byte == b'P')?),
            b'E' => Item::Nothing,
            byte if byte.is_ascii_alphanumeric() => {
                return fault(r"unrecognized character follows \", self.at);
            }
            byte => Item::Byte(byte),
        })
    }

    /// `\Q`, up to `\E`.
    fn quotation(&mut self) {
        let end = self.rest().windows(2).position(|pair| pair == br"\E");
        let length = end.unwrap_or(self.rest().len());
        let quoted = self.rest()[..length].to_vec();
        self.can_repeat = false;
        quoted.into_iter().for_each(|byte| self.literal(byte));
        self.at += length + if end.is_some() { 2 } else { 0 };
    }

    fn hexadecimal_code(&mut self) -> Result<u8, Fault> {
        if self.peek() == Some(b'{') {
            return self.braced_code(16);
        }
        let mut code = 0;
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                break;
            };
            self.at += 1;
            code = code * 16 + digit;
        }
        Ok(u8::try_from(code).unwrap_or(u8::MAX))
    }

    /// The code of a character in braces.
    fn braced_code(&mut self, radix: u32) -> Result<u8, Fault> {
        if !self.take(b'{') {
            return fault(r"missing opening brace after \o", self.at);
        }
        let digits = self.take_while(|byte| char::from(byte).is_digit(radix));
        let code = u64::from_str_radix(digits, radix);
        let is_empty = digits.is_empty();
        if is_empty || !self.take(b'}') {
            return fault(r"non-hex or non-octal character in \x{} or \o{}", self.at);
        }
        match code.ok().and_then(|code| u8::try_from(code).ok()) {
            Some(code) => Ok(code),
            None => fault(
                r"character code point value in \x{} or \o{} is too large",
                self.at - 1,
            ),
        }
    }

    fn octal_code(&mut self) -> Result<u8, Fault> {
        let mut code = 0_u32;
        for _ in 0..3 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(8)) else {
                break;
            };
            self.at += 1;
            code = code * 8 + digit;
        }
        match u8::try_from(code) {
            Ok(code) => Ok(code),
            Err(_) => fault(
                "octal value is greater than \\377 in 8-bit non-UTF-8 mode",
                self.at,
            ),
        }
    }

    /// A number: a reference to a group, or the code of a character.
    fn numbered(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let number = self.take_number().unwrap_or(0) as usize;
        if number < 10 || number <= self.captures {
            self.refer(number);
            self.out.push_str(&format!(r"(?:\{number})"));
            return Ok(());
        }
        self.at = start;
        match self.peek() {
            Some(b'8' | b'9') => fault("reference to non-existent subpattern", self.at),
            _ => {
                let byte = self.octal_code()?;
                self.out.push_str(&hexadecimal(byte));
                Ok(())
            }
        }
    }

    /// `\k`: a reference to a named group.
    fn named_reference(&mut self) -> Result<(), Fault> {
        match self.bracketed() {
            Some((_, name)) if !name.is_empty() => {
                self.out.push_str(&format!(r"\k<{name}>"));
                Ok(())
            }
            _ => fault(
                r"\k is not followed by a braced, angle-bracketed, or quoted name",
                self.at,
            ),
        }
    }

    /// `\g`: a reference to a group, or a call of one.
    fn reference(&mut self) -> Result<(), Fault> {
        let (is_call, name) = match self.bracketed() {
            Some((open, name)) => (open != b'{', name),
            None => {
                let is_part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+');
                (false, self.take_while(is_part).to_owned())
            }
        };
        let distance = |text: &str| text.parse::<usize>().ok();
        let number = match name.as_bytes() {
            [b'-', ..] => {
                let distance = distance(&name[1..]);
                distance.and_then(|distance| (self.captures + 1).checked_sub(distance))
            }
            [b'+', ..] => distance(&name[1..]).map(|distance| self.captures + distance),
            [b'0'..=b'9', ..] => distance(&name),
            [] => {
                return fault(
                    "\\g is not followed by a braced, angle-bracketed, or quoted name/number or by \
                     a plain number",
                    self.at,
                );
            }
            _ => None,
        };
        if let Some(number) = number {
            self.refer(number);
        }
        let name = number.map_or(name, |number| number.to_string());
        self.out.push_str(&match (is_call, number) {
            (true, _) => format!(r"\g<{name}>"),
            (false, Some(number)) => format!(r"(?:\{number})"),
            (false, None) => format!(r"\k<{name}>"),
        });
        Ok(())
    }

    /// A name in braces, brackets or quotes, with what opens it.
    fn bracketed(&mut self) -> Option<(u8, String)> {
        let open = self.peek()?;
        let close = match open {
            b'{' => b'}',
            b'<' => b'>',
            b'\'' => b'\'',
            _ => return None,
        };
        self.at += 1;
        let name = self.take_while(|byte| byte != close).to_owned();
        self.take(close).then_some((open, name))
    }

    /// `\p` or `\P`: the bytes whose character of Latin-1 has a property.
    fn property(&mut self, mut is_negated: bool) -> Result<String, Fault> {
        let name = match self.take(b'{') {
            true => {
                is_negated ^= self.take(b'^');
                let name = self.take_while(|byte| byte != b'}').to_owned();
                match self.take(b'}') {
                    true => name,
                    false => return fault(r"malformed \P or \p sequence", self.at),
                }
            }
            false => match self.peek() {
                Some(letter) if letter.is_ascii_alphabetic() => {
                    self.at += 1;
                    char::from(letter).to_string()
                }
                _ => return fault(r"malformed \P or \p sequence", self.at),
            },
        };
        let pattern = match name.as_str() {
            "L&" => r"[\p{Lu}\p{Ll}\p{Lt}]".to_owned(),
            "Any" => "(?s:.)".to_owned(),
            name => format!(r"\p{{{name}}}"),
        };
        let Ok(regex) = Regex::new(&pattern) else {
            return fault(r"unknown property after \P or \p", self.at);
        };
        let has = |byte: &u8| {
            let mut text = [0; 4];
            let has = regex.is_in(char::from(*byte).encode_utf8(&mut text));
            has.unwrap_or(false) != is_negated
        };
        let bytes: String = (0..=u8::MAX).filter(has).map(hexadecimal).collect();
        Ok(match bytes.is_empty() {
            true => r"[^\x00-\xFF]".to_owned(),
            false => bytes,
        })
    }
}
