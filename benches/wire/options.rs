//! The options of the command line.

use std::env;

pub struct Options {
    /// The number of messages in one run of a lean row.
    pub messages: u64,
    pub rounds: usize,
    /// The run only checks that all rows work. Its figures are meaningless.
    pub quick: bool,
    only: Vec<String>,
}

impl Options {
    pub fn read() -> Options {
        let mut arguments = env::args().skip(1);
        let mut quick = env::var_os("LEVERET_QUICK").is_some();
        let mut bench = false;
        let (mut messages, mut rounds) = (None, None);
        let mut only = Vec::new();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => bench = true,
                "--quick" => quick = true,
                "--messages" => messages = Some(number(&argument, arguments.next())),
                "--rounds" => rounds = Some(number(&argument, arguments.next())),
                // Options of the test runner have no effect here.
                _ if argument.starts_with('-') => {}
                _ => only.push(argument),
            }
        }
        quick |= !bench;
        Options {
            messages: messages.unwrap_or(if quick { 2_000 } else { 100_000 }),
            rounds: rounds.unwrap_or(if quick { 1 } else { 5 }) as usize,
            quick,
            only,
        }
    }

    /// Whether the row is selected: all are, unless some are named.
    pub fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == row)
    }
}

fn number(option: &str, value: Option<String>) -> u64 {
    match value.as_deref().map(str::parse) {
        Some(Ok(number)) if number > 0 => number,
        _ => panic!("{option} needs a number above 0"),
    }
}
