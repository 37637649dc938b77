//! The English of comments and pages, checked: the width of lines and a list of words.
//!
//! The rules:
//! 1. A line has at most 100 characters. Longer lines are allowed in three cases: a row of a
//!    table, a line of one word (a link, say), and a line of code with a string literal that would
//!    not fit on a line of its own.
//! 2. No text has one of the [`WORDS`], in any case of letters.
//! 3. No sentence has `what` as its subject. In this test it is the subject when one of the
//!    [`VERBS`] follows directly, and when it begins a sentence or follows one of the [`OPENERS`].
//!    A question may begin with it.
//!
//! Rule 1 holds for whole files. Rules 2 and 3 hold for text: comments and pages, without code
//! blocks, code spans and string literals. A sentence may go over several lines.

use std::{collections::BTreeSet, fs, path::Path};

const MOST_CHARACTERS: usize = 100;

/// Words and phrases that the text must not have.
const WORDS: &[&str] = &["whoever", "somebody", "nobody", "so many"];

/// `what` directly before one of these is the subject of its clause.
const VERBS: &[&str] = &[
    "is", "was", "are", "were", "has", "had", "does", "did", "can", "cannot", "must", "may",
    "comes", "came", "goes", "follows",
];

/// After one of these a clause with `what` stands where a noun belongs.
const OPENERS: &[&str] = &[",", ";", ":", "(", "and", "or", "but", "of", "that", "than"];

const FOLDERS: &[&str] = &["src", "tests", "examples", "benches"];
const PAGES: &[&str] = &[
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "examples/README.md",
];

/// A violation: the line and the reason.
type Found = (usize, String);

/// One line of Rust, as the scanner sees it.
#[derive(Debug, Default)]
struct Line {
    /// The comment on the line, without its marker.
    comment: Option<String>,
    /// Whether the line has no code.
    only_comment: bool,
    /// The characters of the longest literal on the line, with its quotes.
    literal: usize,
}

/// The part of Rust text that the scanner is in.
#[derive(Clone, Copy)]
enum State {
    Code,
    /// A block comment, with its depth.
    Block(usize),
    Text,
    /// A raw string, with the number of its hashes.
    Raw(usize),
}

/// Splits Rust text into lines, and finds their comments and string literals.
fn scan(text: &str) -> Vec<Line> {
    let mut state = State::Code;
    text.lines()
        .map(|line| scan_line(&line.chars().collect::<Vec<char>>(), &mut state))
        .collect()
}

fn scan_line(chars: &[char], state: &mut State) -> Line {
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let indent = chars.iter().take_while(|c| c.is_whitespace()).count();
    let (mut line, mut comment, mut code) = (Line::default(), String::new(), false);
    // The beginning of the literal that the scanner is in.
    let mut start = indent;
    let mut i = indent;
    while i < chars.len() {
        match *state {
            State::Code if at(i) == '/' && at(i + 1) == '/' => {
                let marker = 2 + usize::from(matches!(at(i + 2), '/' | '!'));
                comment.extend(chars.iter().skip(i + marker));
                line.comment = Some(String::new());
                break;
            }
            State::Code if at(i) == '/' && at(i + 1) == '*' => {
                (*state, i) = (State::Block(1), i + 2);
            }
            State::Code => {
                code |= !at(i).is_whitespace();
                let prefix = match at(i) {
                    'r' if i == 0 || !is_word(at(i - 1)) || matches!(at(i - 1), 'b' | 'c') => {
                        let hashes = chars[i + 1..].iter().take_while(|c| **c == '#').count();
                        (at(i + 1 + hashes) == '"').then_some(hashes)
                    }
                    _ => None,
                };
                match (prefix, at(i)) {
                    (Some(hashes), _) => {
                        (*state, start, i) = (State::Raw(hashes), i, i + 2 + hashes)
                    }
                    (_, '"') => (*state, start, i) = (State::Text, i, i + 1),
                    // A character is skipped, and so is the sign of a lifetime.
                    (_, '\'') if at(i + 1) == '\\' => {
                        i += 3;
                        while i < chars.len() && at(i) != '\'' {
                            i += 1;
                        }
                        i += 1;
                    }
                    (_, '\'') if at(i + 2) == '\'' => i += 3,
                    _ => i += 1,
                }
            }
            State::Block(depth) => {
                line.comment = Some(String::new());
                match (at(i), at(i + 1)) {
                    ('*', '/') if depth == 1 => (*state, i) = (State::Code, i + 2),
                    ('*', '/') => (*state, i) = (State::Block(depth - 1), i + 2),
                    ('/', '*') => (*state, i) = (State::Block(depth + 1), i + 2),
                    (character, _) => {
                        comment.push(character);
                        i += 1;
                    }
                }
            }
            State::Text if at(i) == '\\' => i += 2,
            State::Text if at(i) != '"' => i += 1,
            State::Raw(hashes) if at(i) != '"' || (1..=hashes).any(|hash| at(i + hash) != '#') => {
                i += 1;
            }
            State::Text | State::Raw(_) => {
                i += match *state {
                    State::Raw(hashes) => 1 + hashes,
                    _ => 1,
                };
                line.literal = line.literal.max(i - start);
                *state = State::Code;
                code = true;
            }
        }
    }
    if matches!(state, State::Text | State::Raw(_)) {
        line.literal = line.literal.max(chars.len().saturating_sub(start));
        code = true;
    }
    line.comment = line.comment.map(|_| comment);
    line.only_comment = line.comment.is_some() && !code;
    line
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether a line of text may be long: a row of a table, or one word.
fn is_unbreakable(text: &str) -> bool {
    let text = text.trim();
    let item = ["- ", "* "].iter().find_map(|mark| text.strip_prefix(mark));
    let definition = |text: &str| text.starts_with('[') && text.contains("]: ");
    let words = text.split_whitespace().count();
    text.starts_with('|')
        || item.unwrap_or(text).split_whitespace().count() == 1
        || definition(text) && words == 2
}

fn check_rust(text: &str) -> Vec<Found> {
    let lines = scan(text);
    let mut found = Vec::new();
    for ((number, raw), line) in (1..).zip(text.lines()).zip(&lines) {
        let indent = raw.chars().take_while(|c| c.is_whitespace()).count();
        let allowed = match &line.comment {
            Some(comment) if line.only_comment => is_unbreakable(comment),
            // On a line of its own it would stand one level further in, before a comma.
            _ => indent + 4 + line.literal + 1 > MOST_CHARACTERS,
        };
        found.extend(check_width(number, raw, allowed));
    }
    let mut run: Vec<(usize, &str)> = Vec::new();
    for (number, line) in (1..).zip(&lines) {
        if !line.only_comment {
            found.extend(check_text(&run));
            run.clear();
        }
        run.extend(line.comment.as_deref().map(|comment| (number, comment)));
        if !line.only_comment {
            found.extend(check_text(&run));
            run.clear();
        }
    }
    found.extend(check_text(&run));
    found
}

fn check_page(text: &str) -> Vec<Found> {
    let lines: Vec<(usize, &str)> = (1..).zip(text.lines()).collect();
    let wide = lines
        .iter()
        .filter_map(|(number, line)| check_width(*number, line, is_unbreakable(line)));
    wide.chain(check_text(&lines)).collect()
}

fn check_width(number: usize, line: &str, allowed: bool) -> Option<Found> {
    let width = line.chars().count();
    let wide = width > MOST_CHARACTERS && !allowed;
    wide.then(|| (number, format!("{width} characters")))
}

/// One sentence: its words in small letters, and the signs between them, each with its line.
#[derive(Debug, Default)]
struct Sentence {
    words: Vec<(usize, String)>,
    is_question: bool,
}

/// Splits lines of Markdown into sentences, without code. A heading, an item of a list and a cell
/// of a table end the sentence before them.
fn sentences(lines: &[(usize, &str)]) -> Vec<Sentence> {
    let mut all = vec![Sentence::default()];
    let end = |all: &mut Vec<Sentence>, is_question: bool| {
        if let Some(last) = all.last_mut() {
            last.is_question = is_question;
        }
        all.push(Sentence::default());
    };
    let (mut in_block, mut in_span) = (false, false);
    for (number, line) in lines {
        let text = line.trim();
        let is_fence = text.starts_with("```");
        let is_heading = text.starts_with('#');
        let is_item = text.starts_with("- ") || text.starts_with("* ");
        if is_fence || is_heading || is_item || text.is_empty() || text.starts_with('|') {
            in_span = false;
            end(&mut all, false);
        }
        in_block ^= is_fence;
        if in_block || is_fence {
            continue;
        }
        let mut word = String::new();
        let mut characters = text.chars().chain([' ']).peekable();
        while let Some(character) = characters.next() {
            if character == '`' {
                in_span = !in_span;
            }
            let sentence = all.last_mut();
            if is_word(character) && !in_span {
                word.extend(character.to_lowercase());
                continue;
            }
            let sign = match character {
                ',' | ';' | ':' | '(' | ')' | '`' if !in_span => Some(character.to_string()),
                _ => None,
            };
            if let Some(sentence) = sentence {
                let word = std::mem::take(&mut word);
                let words = [Some(word).filter(|word| !word.is_empty()), sign];
                sentence
                    .words
                    .extend(words.into_iter().flatten().map(|word| (*number, word)));
            }
            let ends = characters.peek().is_none_or(|next| !is_word(*next));
            match character {
                '.' | '!' | '?' if ends && !in_span => end(&mut all, character == '?'),
                '|' if !in_span => end(&mut all, false),
                _ => {}
            }
        }
        if is_heading {
            end(&mut all, false);
        }
    }
    all
}

/// Checks rules 2 and 3 on lines of Markdown.
fn check_text(lines: &[(usize, &str)]) -> Vec<Found> {
    let mut found = Vec::new();
    for Sentence { words, is_question } in sentences(lines) {
        let word = |i: usize| words.get(i).map_or("", |(_, word)| word.as_str());
        for (i, (number, first)) in words.iter().enumerate() {
            let pair = format!("{first} {}", word(i + 1));
            if let Some(word) = WORDS.iter().find(|word| **word == first || **word == pair) {
                found.push((*number, format!("\"{word}\"")));
            }
            let begins = i == 0 && !is_question;
            let opened = i > 0 && OPENERS.contains(&word(i - 1));
            if first == "what" && VERBS.contains(&word(i + 1)) && (begins || opened) {
                found.push((*number, format!("\"{pair}\" as a subject")));
            }
        }
    }
    found
}

/// All files that the rules hold for, as paths from the root of the package.
fn files() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: BTreeSet<String> = PAGES.iter().map(|page| (*page).to_owned()).collect();
    let mut folders: Vec<String> = FOLDERS.iter().map(|name| (*name).to_owned()).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = format!("{folder}/{name}");
            let is_page = name.ends_with(".md") && path.starts_with("src/guide/");
            if entry.file_type().unwrap().is_dir() {
                folders.extend((name != "target").then_some(path));
            } else if name.ends_with(".rs") || is_page {
                files.insert(path);
            }
        }
    }
    files
}

/// The violations of these files, each with its place.
fn violations(files: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
    let mut violations = Vec::new();
    for (path, text) in files {
        let found = match path.ends_with(".md") {
            true => check_page(&text),
            false => check_rust(&text),
        };
        let lines = found.iter();
        violations.extend(lines.map(|(number, reason)| format!("{path}:{number}: {reason}")));
    }
    violations
}

#[test]
fn comments_and_pages_keep_to_the_width_and_the_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: String| {
        let text = fs::read_to_string(root.join(&path)).unwrap();
        (path, text)
    };
    let files = files();
    assert!(files.len() > 100, "only {} files were found", files.len());
    let violations = violations(files.into_iter().map(read));
    assert!(
        violations.is_empty(),
        "{} violation(s) of the rules at the top of tests/it/english.rs:\n{}\n",
        violations.len(),
        violations.join("\n"),
    );
}

/// The lines of a text at which a check finds something, with the reasons.
fn found(check: fn(&str) -> Vec<Found>, text: &str) -> Vec<String> {
    let found = check(text);
    found
        .iter()
        .map(|(line, reason)| format!("{line}: {reason}"))
        .collect()
}

#[test]
fn a_long_line_is_found_in_comments_pages_and_code() {
    let words = "word ".repeat(20) + "w";
    let letters = "é".repeat(50) + " " + &"é".repeat(49);
    assert_eq!(found(check_page, &words), ["1: 101 characters"]);
    assert_eq!(found(check_page, &letters), [""; 0]);
    for marker in ["//", "///", "//!"] {
        let comment = format!("fn f() {{\n    {marker} {words}\n}}\n");
        let expected = format!("2: {} characters", 4 + marker.len() + 1 + 101);
        assert_eq!(found(check_rust, &comment), [expected]);
    }
    let code = format!("let a = [{}];", "\"text\", ".repeat(12));
    assert_eq!(found(check_rust, &code), ["1: 107 characters"]);
    let behind = format!("let a = 1; // {}", "word ".repeat(20));
    assert_eq!(found(check_rust, &behind), ["1: 114 characters"]);
    let example = format!("/// ```\n/// {words}\n/// ```");
    assert_eq!(found(check_rust, &example), ["2: 105 characters"]);
}

#[test]
fn tables_single_words_and_long_literals_may_be_long() {
    let long = "x".repeat(120);
    let words = "word ".repeat(30);
    for text in [
        format!("| {words} |"),
        format!("- https://{long}"),
        format!("[link]: https://{long}"),
    ] {
        assert_eq!(found(check_page, &text), [""; 0]);
        assert_eq!(found(check_rust, &format!("/// {text}")), [""; 0]);
    }
    for code in [
        format!("let a = \"{words}\";"),
        format!("let a = r#\"{words}\"#;"),
        format!("let a = \"a \\\n    {words}\\\n    b\";"),
    ] {
        assert_eq!(found(check_rust, &code), [""; 0]);
    }
}

#[test]
fn a_word_of_the_list_is_found_in_any_text() {
    let page = "# Nobody\n\nThere are so\nmany, and\n\n- Whoever comes\n\n| a | somebody's |";
    let expected = [
        "1: \"nobody\"",
        "3: \"so many\"",
        "6: \"whoever\"",
        "8: \"somebody\"",
    ];
    assert_eq!(found(check_page, page), expected);
    let code = "/// Somebody.\nfn f() { /* so many */ }\nlet a = '\"'; // nobody\n//! a\n";
    let expected = ["1: \"somebody\"", "2: \"so many\"", "3: \"nobody\""];
    assert_eq!(found(check_rust, code), expected);
}

#[test]
fn code_blocks_code_spans_names_and_literals_are_not_text() {
    let page = "A `nobody`, a test `that_nobody_sees`, `so\nmany`.\n\n```\nnobody\n```\n\nwhat_is";
    assert_eq!(found(check_page, page), [""; 0]);
    let code = "/// ```\n/// // nobody\n/// ```\nfn nobody() { f(\"// nobody\", r#\"// \" nobody\"#, 'a') }";
    assert_eq!(found(check_rust, code), [""; 0]);
}

#[test]
fn a_subject_with_what_is_found_and_a_question_is_not() {
    for text in [
        "What is refused returns.",
        "It ends. What\nhas no queue is lost.",
        "It takes a message, and what is left of it.",
        "The count of what is ready.",
        "It says that what is ready is lost.",
        "| what is | lost |",
    ] {
        assert_eq!(found(check_page, text).len(), 1, "{text}");
    }
    for text in [
        "## What is a run?",
        "What is a run? A list.",
        "It tells what is ready.",
        "It tells `of` what `is` ready.",
        "What a queue holds.",
    ] {
        assert_eq!(found(check_page, text), [""; 0], "{text}");
    }
}

#[test]
fn a_violation_says_where_it_is() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files = [
        file("src/b/x.rs", "// plain"),
        file("src/c.rs", "\n// nobody"),
        file("README.md", "So many pages"),
    ];
    assert_eq!(
        violations(files),
        ["src/c.rs:2: \"nobody\"", "README.md:1: \"so many\""]
    );
}
