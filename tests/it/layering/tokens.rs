//! Splits Rust text into words and signs.

#[derive(Clone, PartialEq, Debug)]
pub enum Token {
    Word(String),
    /// The sign `::`.
    Path,
    Sign(char),
}

/// The words and signs of a text with their lines, without comments, literals and lifetimes.
pub fn tokens(text: &str) -> Vec<(Token, usize)> {
    let text: Vec<char> = text.chars().collect();
    let at = |i: usize| text.get(i).copied().unwrap_or('\0');
    let (mut tokens, mut i, mut line) = (Vec::new(), 0, 1);
    while i < text.len() {
        let start = i;
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < text.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= text.len() {
                        break;
                    }
                }
            }
            '"' => i = end_of_string(&text, i),
            // `'x'`, `'\n'` and `'\u{1F407}'` are characters. `'a` and `'static` are lifetimes.
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < text.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            '\'' => {
                i += 1;
                while at(i).is_alphanumeric() || at(i) == '_' {
                    i += 1;
                }
            }
            c if c.is_alphanumeric() || c == '_' => {
                while at(i).is_alphanumeric() || at(i) == '_' {
                    i += 1;
                }
                let word: String = text[start..i].iter().collect();
                let hashes = text[i..].iter().take_while(|c| **c == '#').count();
                match (&*word, at(i + hashes)) {
                    ("r" | "br" | "cr", '"') => {
                        let close: Vec<char> =
                            std::iter::once('"').chain(vec!['#'; hashes]).collect();
                        i += hashes + 1;
                        while i < text.len() && !text[i..].starts_with(&close) {
                            i += 1;
                        }
                        i += close.len();
                    }
                    ("b" | "c", '"') if hashes == 0 => i = end_of_string(&text, i),
                    ("r", _) if hashes == 1 => i += 1, // r#type: the word comes next
                    _ => tokens.push((Token::Word(word), line)),
                }
            }
            ':' if at(i + 1) == ':' => {
                tokens.push((Token::Path, line));
                i += 2;
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push((Token::Sign(c), line));
                }
                i += 1;
            }
        }
        line += text[start..i.min(text.len())]
            .iter()
            .filter(|c| **c == '\n')
            .count();
    }
    tokens
}

/// The index behind the closing quote of the string that opens at `i`.
fn end_of_string(text: &[char], mut i: usize) -> usize {
    i += 1;
    while i < text.len() && text[i] != '"' {
        i += if text[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}
