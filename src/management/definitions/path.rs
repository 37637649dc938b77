//! A place in a JSON file, as a JSON path.

use std::fmt;

/// A place, made of the places around it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(super) fn key(&'a self, key: &'a str) -> Path<'a> {
        Path::Key(self, key)
    }

    pub(super) fn index(&'a self, index: usize) -> Path<'a> {
        Path::Index(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => f.write_str("$"),
            Path::Index(around, index) => write!(f, "{around}[{index}]"),
            Path::Key(around, key) if is_word(key) => write!(f, "{around}.{key}"),
            Path::Key(around, key) => {
                let key = key.replace('\\', "\\\\").replace('\'', "\\'");
                write!(f, "{around}['{key}']")
            }
        }
    }
}

/// Whether a key needs no quotes.
fn is_word(key: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
    key.starts_with(is_letter)
        && key
            .chars()
            .all(|letter| is_letter(letter) || letter.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_quotes_the_keys_that_are_no_words() {
        let queues = Path::Root.key("queues");
        let (queue, arguments);
        queue = queues.index(3);
        arguments = queue.key("arguments");
        let length = arguments.key("x-max-length");
        assert_eq!(length.to_string(), "$.queues[3].arguments['x-max-length']");
        assert_eq!(
            arguments.key("it's").to_string(),
            "$.queues[3].arguments['it\\'s']"
        );
        assert_eq!(Path::Root.to_string(), "$");
    }
}
