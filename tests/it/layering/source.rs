//! Reads the imports of one file: every `use` and every path that begins with `crate`, `self` or
//! `super`, except in test code.

use super::tokens::{Token, tokens};

/// A path in a file, inside or outside of a `use`.
#[derive(Clone, PartialEq, Debug)]
pub struct PathUse {
    pub line: usize,
    /// The module that contains the path.
    pub module: Vec<String>,
    /// The path as written, with `crate`, `self` and `super`. For a glob, the part before `::*`.
    pub segments: Vec<String>,
    /// The name that the `use` declares, if it imports a single item.
    pub name: Option<String>,
}

impl PathUse {
    pub fn written(&self) -> String {
        self.segments.join("::")
    }
}

/// The relevant contents of a file.
#[derive(Default)]
pub struct Source {
    pub paths: Vec<PathUse>,
    /// The modules with a body in this file.
    pub modules: Vec<Vec<String>>,
    /// Modules that are compiled only for tests, in this file or in files of their own.
    pub test_modules: Vec<Vec<String>>,
}

impl Source {
    pub fn read(module: &[String], text: &str) -> Source {
        let mut source = Source::default();
        let tokens = tokens(text);
        let mut reader = Reader {
            tokens: &tokens,
            at: 0,
            source: &mut source,
        };
        reader.block(module);
        assert_eq!(
            reader.at,
            tokens.len(),
            "the braces of {} do not match",
            module.join("::")
        );
        source
    }
}

struct Reader<'a> {
    tokens: &'a [(Token, usize)],
    at: usize,
    source: &'a mut Source,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(token, _)| token)
    }

    fn word(&self, ahead: usize) -> Option<&str> {
        match self.peek(ahead) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn sign(&self, ahead: usize, sign: char) -> bool {
        self.peek(ahead) == Some(&Token::Sign(sign))
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |(_, line)| *line)
    }

    /// Reads to the end of the file, or past the brace that closes the block of `module`.
    fn block(&mut self, module: &[String]) {
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Sign('#') if self.sign(1, '[') || self.sign(1, '!') => {
                    let whole_block = self.sign(1, '!');
                    if !self.attribute_is_for_tests() {
                        continue;
                    }
                    if whole_block {
                        self.source.test_modules.push(module.to_vec());
                    } else {
                        self.skip_item(module);
                    }
                }
                Token::Sign('{') => {
                    depth += 1;
                    self.at += 1;
                }
                Token::Sign('}') if depth == 0 => {
                    self.at += 1;
                    return;
                }
                Token::Sign('}') => {
                    depth -= 1;
                    self.at += 1;
                }
                Token::Word(word) if word == "mod" && self.sign(2, '{') => {
                    let mut inner = module.to_vec();
                    inner.extend(self.word(1).map(str::to_owned));
                    self.source.modules.push(inner.clone());
                    self.at += 3;
                    self.block(&inner);
                }
                // `use<'a>` in a bound is not an import.
                Token::Word(word) if word == "use" && !self.sign(1, '<') => {
                    self.at += 1;
                    if self.peek(0) == Some(&Token::Path) {
                        self.at += 1; // `use ::name` leads out of the crate
                    } else {
                        self.use_tree(module, &[]);
                    }
                }
                Token::Word(word) if matches!(&**word, "crate" | "self" | "super") => {
                    self.path_in_passing(module);
                }
                _ => self.at += 1,
            }
        }
    }

    /// Reads `crate::a::b` outside of a `use`. The path in `pub(in crate::a)` is not an import.
    fn path_in_passing(&mut self, module: &[String]) {
        let line = self.line();
        let before = |back: usize| {
            self.at
                .checked_sub(back)
                .and_then(|i| self.tokens.get(i))
                .map(|(token, _)| token)
        };
        let visibility = before(1) == Some(&Token::Word("in".to_owned()))
            && before(2) == Some(&Token::Sign('('));
        let mut segments = Vec::new();
        while let Some(word) = self.word(0) {
            segments.push(word.to_owned());
            self.at += 1;
            if self.peek(0) == Some(&Token::Path) {
                self.at += 1;
            } else {
                break;
            }
        }
        if segments.len() > 1 && !visibility {
            self.source.paths.push(PathUse {
                line,
                module: module.to_vec(),
                segments,
                name: None,
            });
        }
    }

    /// Reads one branch of a `use`. `before` is the path in front of it.
    fn use_tree(&mut self, module: &[String], before: &[String]) {
        let line = self.line();
        let mut segments = before.to_vec();
        loop {
            match self.peek(0) {
                Some(Token::Word(word)) if word == "as" => break,
                Some(Token::Word(word)) => {
                    // `a::{self}` means `a`.
                    if word != "self" || segments.is_empty() {
                        segments.push(word.clone());
                    }
                    self.at += 1;
                }
                Some(Token::Path) => self.at += 1,
                Some(Token::Sign('{')) => {
                    self.at += 1;
                    while !self.sign(0, '}') && self.at < self.tokens.len() {
                        self.use_tree(module, &segments);
                        if self.sign(0, ',') {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                Some(Token::Sign('*')) => {
                    self.at += 1;
                    self.source.paths.push(PathUse {
                        line,
                        module: module.to_vec(),
                        segments,
                        name: None,
                    });
                    return;
                }
                _ => break,
            }
        }
        let mut name = segments.last().cloned();
        if self.word(0) == Some("as") {
            name = self.word(1).map(str::to_owned);
            self.at += 2;
        }
        if !segments.is_empty() {
            self.source.paths.push(PathUse {
                line,
                module: module.to_vec(),
                segments,
                name,
            });
        } else {
            self.at += 1; // not a `use` that this reader knows, so it continues behind it
        }
    }

    /// Reads past an attribute. Returns whether it is `cfg(test)` or `cfg(all(.., test, ..))`.
    fn attribute_is_for_tests(&mut self) -> bool {
        let mut depth = 0_usize;
        let mut text = String::new();
        while let Some(token) = self.peek(0) {
            match token {
                Token::Sign('[') => depth += 1,
                Token::Sign(']') => depth -= 1,
                Token::Sign(sign) => text.push(*sign),
                Token::Word(word) => text.push_str(word),
                Token::Path => text.push_str("::"),
            }
            let closed = *token == Token::Sign(']') && depth == 0;
            self.at += 1;
            if closed {
                break;
            }
        }
        let text = text.trim_start_matches(['#', '!']);
        if text == "cfg(test)" {
            return true;
        }
        let Some(all) = text
            .strip_prefix("cfg(all(")
            .and_then(|rest| rest.strip_suffix("))"))
        else {
            return false;
        };
        let mut depth = 0_i32;
        let mut parts = all.split(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ',' && depth == 0
        });
        parts.any(|part| part == "test")
    }

    /// Reads past the item, field, variant or statement behind `#[cfg(test)]`.
    fn skip_item(&mut self, module: &[String]) {
        while self.sign(0, '#') {
            self.attribute_is_for_tests();
        }
        let (mut ends_at_comma, mut ends_at_brace) = (true, true);
        let mut undecided = true;
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Word(word) if undecided && depth == 0 => match &**word {
                    "pub" | "async" | "unsafe" => {}
                    "const" if matches!(self.word(1), Some("fn" | "async" | "unsafe")) => {}
                    first => {
                        undecided = false;
                        ends_at_brace =
                            !matches!(first, "use" | "const" | "static" | "type" | "let");
                        ends_at_comma = ends_at_brace
                            && !matches!(
                                first,
                                "mod" | "fn" | "impl" | "trait" | "struct" | "enum" | "extern"
                            );
                        if first == "mod" {
                            let mut test = module.to_vec();
                            test.extend(self.word(1).map(str::to_owned));
                            self.source.test_modules.push(test);
                        }
                    }
                },
                Token::Sign('{' | '(' | '[') => depth += 1,
                // The end of the enclosing list or block.
                Token::Sign('}' | ')' | ']') if depth == 0 => return,
                Token::Sign('}') if depth == 1 && ends_at_brace => {
                    self.at += 1;
                    return;
                }
                Token::Sign('}' | ')' | ']') => depth -= 1,
                Token::Sign(end @ (';' | ',')) if depth == 0 && (*end == ';' || ends_at_comma) => {
                    self.at += 1;
                    return;
                }
                _ => {}
            }
            self.at += 1;
        }
    }
}

// The tests below show which paths are read and which are not.

/// The paths in a text, each after its line number.
fn paths(text: &str) -> Vec<String> {
    Source::read(&[], text)
        .paths
        .iter()
        .map(|path| format!("{} {}", path.line, path.written()))
        .collect()
}

#[test]
fn nested_braces_aliases_globs_and_self_are_read() {
    assert_eq!(
        paths(
            "use crate::{\n a::{self, b::{C, D as E}},\n f::*,\n};\npub(crate) use super::super::g;\nuse ::std::fmt;"
        ),
        [
            "2 crate::a",
            "2 crate::a::b::C",
            "2 crate::a::b::D",
            "3 crate::f",
            "5 super::super::g",
        ]
    );
}

#[test]
fn paths_outside_of_use_are_read() {
    assert_eq!(
        paths(
            "fn f(a: &crate::a::A) -> Result<crate::B, super::C> {\n self.x(); crate::d::<u8>(); $crate::e!() }\npub(in crate::f) struct G<T: crate::h::I + use<'a>>;"
        ),
        [
            "1 crate::a::A",
            "1 crate::B",
            "1 super::C",
            "2 crate::d",
            "2 crate::e",
            "3 crate::h::I",
        ]
    );
}

#[test]
fn comments_and_literals_are_not_read() {
    assert_eq!(
        paths(
            r##"//! use crate::a;
/// ```
/// use crate::b;
/// ```
/* use crate::c; /* use crate::d; */ use crate::e; */
const A: (&str, &str, &[u8], char, char) = ("use crate::f; \" {", r#"use crate::g; " {"#, b"{\\", '{', '\'');
fn f<'a>(x: &'a str, r#type: u8) {} use crate::h;
const B: &str = "
";
use crate::i;"##
        ),
        ["7 crate::h", "10 crate::i"]
    );
}

#[test]
fn test_code_is_not_read_and_the_code_behind_it_is() {
    let text = "#[cfg(test)] use crate::a;
#[cfg(all(shuttle, test))] mod t { use crate::b; fn f() {} }
#[cfg(test)] #[allow(x)] pub(crate) const fn f(a: u8, b: u8) { crate::c::f() }
struct S { #[cfg(test)] d: fn(u8) -> crate::d::D, e: crate::e::E, #[cfg(test)] f: crate::f::F }
#[cfg(test)] const G: T = T { a: crate::g::A };
#[cfg(test)] struct H(crate::h::H, u8);
#[cfg(not(test))] use crate::i;
#[cfg(any(test, shuttle))] use crate::j;
#[cfg(all(shuttle, not(test)))] use crate::k;
mod l { #[cfg(test)] mod tests; fn f() { #[cfg(test)] crate::l::f(); crate::m::f() } }
#[cfg(test)] mod tests;";
    assert_eq!(
        paths(text),
        [
            "4 crate::e::E",
            "7 crate::i",
            "8 crate::j",
            "9 crate::k",
            "10 crate::m::f",
        ]
    );
    assert_eq!(
        Source::read(&["x".to_owned()], text).test_modules,
        [vec!["x", "t"], vec!["x", "l", "tests"], vec!["x", "tests"]]
    );
}
