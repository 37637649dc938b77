//! Groups: the text that begins with a parenthesis.

use std::fmt::Write;

use super::{Condition, Fault, Group, Reader, fault};

impl Reader<'_> {
    /// `(`, which is read.
    pub(super) fn open(&mut self, start: usize) -> Result<(), Fault> {
        let could_repeat = std::mem::replace(&mut self.can_repeat, false);
        if self.peek() == Some(b'*') {
            return fault("(*VERB) not recognized or malformed", start + 2);
        }
        if !self.take(b'?') {
            let captures = !self.flags.no_capture;
            self.captures += usize::from(captures);
            self.out.push_str(if captures { "(" } else { "(?:" });
            self.enter(None);
            return Ok(());
        }
        if self.take(b'#') {
            self.can_repeat = could_repeat;
            self.take_while(|byte| byte != b')');
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
        if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            let reason = "subpattern name must start with a non-digit";
            return fault(reason, self.at + 1);
        }
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let name = self.take_while(is_part).to_owned();
        if name.is_empty() {
            return fault("subpattern name expected", self.at);
        }
        if !self.take(name_end) {
            let reason = "syntax error in subpattern name (missing terminator?)";
            return fault(reason, self.at);
        }
        if self.names.contains(&name) {
            let reason = "two named subpatterns have the same name (PCRE2_DUPNAMES not set)";
            return fault(reason, self.at);
        }
        self.captures += 1;
        self.out.push_str(&format!("(?<{name}>"));
        self.names.push(name);
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
            [b'C', ..] => {
                // A callout, which calls nothing here.
                self.at += 1;
                self.take_number();
                return self.end_of_call("");
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
            Some(called) if !called.is_empty() => {
                if let Ok(number) = called.parse() {
                    self.refer(number);
                }
                self.end_of_call(&format!(r"\g<{called}>"))
            }
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
        if matches!(self.bytes.get(self.at + 1), Some(b'?')) {
            // An assertion, which is read as a group. The engine knows no such condition, so its
            // opposite is written before the other branch.
            self.out.push_str("(?:");
            self.enter(None);
            if let Some(group) = self.groups.last_mut() {
                group.condition = Condition::Awaited;
            }
            return Ok(true);
        }
        self.out.push_str("(?");
        self.enter(None);
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
                'n' => self.flags.no_capture = is_on,
                'i' | 's' | 'U' => {}
                _ => {
                    let reason = "unrecognized character after (? or (?-";
                    return fault(reason, self.at);
                }
            }
        }
        // Blanks and comments are left out here already.
        let written: String = flags
            .chars()
            .filter(|flag| !matches!(flag, 'x' | 'n'))
            .collect();
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
        let is_awaited = |group: &Group| matches!(group.condition, Condition::Awaited);
        let condition = match self.groups.last().is_some_and(is_awaited) {
            // What opens it is written already: three letters, or four.
            true => Condition::Assertion(self.out.rfind("(?").unwrap_or(0)),
            false => Condition::None,
        };
        self.groups.push(Group {
            flags: self.flags,
            look_behind: around.or(look_behind),
            condition,
        });
    }

    /// `)`, which is read.
    pub(super) fn close(&mut self, start: usize) -> Result<(), Fault> {
        let Some(group) = self.groups.pop() else {
            return fault("unmatched closing parenthesis", start + 1);
        };
        self.flags = group.flags;
        match group.condition {
            Condition::Otherwise(opposite) => {
                // Without another branch there is nothing else to match.
                self.out.push('|');
                self.out.push_str(&opposite);
                self.push(')', true);
            }
            Condition::Assertion(from) => {
                self.push(')', false);
                let assertion = &self.out[from..];
                let opposite = opposite(assertion);
                let Some(around) = self.groups.last_mut() else {
                    return Ok(());
                };
                match opposite {
                    Some(opposite) => around.condition = Condition::Otherwise(opposite),
                    None => return fault("assertion expected after (?( or (?(?C)", start),
                }
            }
            Condition::Awaited => {
                return fault("assertion expected after (?( or (?(?C)", start);
            }
            Condition::None => self.push(')', true),
        }
        Ok(())
    }
}

/// The opposite of an assertion. `None` if it is none.
fn opposite(assertion: &str) -> Option<String> {
    let pairs = [
        ("(?=", "(?!"),
        ("(?!", "(?="),
        ("(?<=", "(?<!"),
        ("(?<!", "(?<="),
    ];
    pairs.iter().find_map(|(this, other)| {
        let rest = assertion.strip_prefix(this)?;
        Some(format!("{other}{rest}"))
    })
}
