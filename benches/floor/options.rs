//! The options of the command line.

use std::{collections::HashSet, env, fmt::Display};

/// The options that all groups share.
pub struct Options {
    /// The number of messages in one run of a row. A group may use another number if it has a
    /// reason.
    pub messages: u64,
    pub rounds: usize,
    /// The run only checks that all rows work. Its times are meaningless.
    pub quick: bool,
    /// Whether the allocator is mimalloc, which hides less of the broker's own cost.
    #[allow(dead_code, reason = "the floor bench uses it")]
    pub mimalloc: bool,
    only: HashSet<String>,
}

impl Options {
    pub fn read() -> Options {
        let mut arguments = env::args().skip(1);
        let mut quick = env::var_os("LEVERET_QUICK").is_some();
        let mut bench = false;
        let (mut messages, mut rounds) = (None, None);
        let mut only = HashSet::new();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => bench = true,
                "--quick" => quick = true,
                "--messages" => messages = Some(number(&argument, arguments.next())),
                "--rounds" => rounds = Some(number(&argument, arguments.next())),
                // Options of the test runner have no effect here.
                _ if argument.starts_with('-') => {}
                _ => {
                    only.insert(argument);
                }
            }
        }
        quick |= !bench;
        Options {
            // The number is divisible by the threads and batches of every shape.
            messages: messages
                .unwrap_or(if quick { 4_000 } else { 160_000 })
                .next_multiple_of(640),
            rounds: rounds.unwrap_or(if quick { 1 } else { 17 }) as usize,
            quick,
            mimalloc: false,
            only,
        }
    }

    /// One of the two sizes: the small one in a quick run.
    pub fn size(&self, quick: u64, whole: u64) -> u64 {
        if self.quick { quick } else { whole }
    }

    /// Whether the row is selected. Every given word must be the name of its shape, of the row or
    /// of a figure.
    pub fn wants(&self, shape: &str, row: &str, figures: &[&str]) -> bool {
        let is = |word: &String| {
            word == shape
                || word
                    .strip_prefix(row)
                    .is_some_and(|rest| match rest.strip_prefix('-') {
                        Some(figure) => figures.contains(&figure),
                        None => rest.is_empty(),
                    })
        };
        self.only.iter().all(is)
    }
}

fn number(option: &impl Display, value: Option<String>) -> u64 {
    match value.as_deref().map(str::parse) {
        Some(Ok(number)) if number > 0 => number,
        _ => panic!("{option} needs a number above 0"),
    }
}
