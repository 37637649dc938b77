//! What was asked for on the command line.

use std::{collections::HashSet, env, fmt::Display};

/// The same for all groups.
pub struct Options {
    /// Published in one run of a row, unless the group has a reason for another number.
    pub messages: u64,
    pub rounds: usize,
    /// Only checks that everything runs; what it prints says nothing about speed.
    pub quick: bool,
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
                // The test runner's own words mean nothing here.
                _ if argument.starts_with('-') => {}
                _ => {
                    only.insert(argument);
                }
            }
        }
        quick |= !bench;
        Options {
            // Every shape shares them out evenly, in whole batches.
            messages: messages
                .unwrap_or(if quick { 4_000 } else { 160_000 })
                .next_multiple_of(640),
            rounds: rounds.unwrap_or(if quick { 1 } else { 17 }) as usize,
            quick,
            only,
        }
    }

    /// One of the two, by how much time there is.
    pub fn size(&self, quick: u64, whole: u64) -> u64 {
        if self.quick { quick } else { whole }
    }

    /// Is it among the rows asked for? Every word given names its shape or itself.
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
