//! Runs this program again under valgrind, and reads callgrind's counts.

use std::{
    collections::HashMap,
    env, fs,
    process::{self, Command, Stdio},
};

use crate::{
    LONG, SHORT,
    scenarios::{CYCLE, Scenario},
};

/// The first argument of a run under valgrind. The scenario and the number of cycles follow it.
pub const RUN: &str = "--scenario";

/// Counts the steps of a scenario. Returns the name of each step and its instructions per message.
pub fn count(scenario: &Scenario) -> Vec<(String, u64)> {
    let (short, long) = (costs(scenario, SHORT), costs(scenario, LONG));
    let messages = (LONG - SHORT) * CYCLE;
    let per_message = |step: &&str| {
        let more = long[step] - short[step];
        let name = format!("{}::{step}", scenario.name);
        (name, (more + messages / 2) / messages)
    };
    scenario.steps.iter().map(per_message).collect()
}

/// The total instructions of each step, with all functions that it called.
fn costs(scenario: &Scenario, cycles: u64) -> HashMap<&'static str, u64> {
    let file = env::temp_dir().join(format!("leveret-instructions-{}", process::id()));
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .args(["--compress-strings=no", "--compress-pos=no"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(env::current_exe().expect("this program has a path"))
        .args([RUN, scenario.name, &cycles.to_string()])
        .stdin(Stdio::null())
        .status();
    let status = ran.expect("valgrind is needed: install it, for example with apt-get");
    assert!(
        status.success(),
        "{} under valgrind: {status}",
        scenario.name
    );
    let text = fs::read_to_string(&file).expect("callgrind wrote its file");
    fs::remove_file(&file).expect("it can be removed again");

    let cost = |function| {
        let name = format!("instructions::scenarios::{}::{function}", scenario.module);
        let (calls, cost) = calls_of(&name, &text);
        // A step may handle many messages in one call.
        assert_eq!(cycles * CYCLE % calls, 0, "{calls} calls of {name}");
        cost
    };
    let steps = scenario.steps.iter();
    steps
        .map(|&step| (step, step.split('+').map(cost).sum()))
        .collect()
}

/// The number of calls of a function, and their total instructions.
///
/// A call has three lines: `cfn=<function>`, `calls=<number> <line>` and `<line> <instructions>`.
fn calls_of(function: &str, text: &str) -> (u64, u64) {
    let mut lines = text.lines();
    let (mut calls, mut cost) = (0, 0);
    while let Some(line) = lines.next() {
        if line.strip_prefix("cfn=") != Some(function) {
            continue;
        }
        let mut next = |prefix: &str, word: usize| -> u64 {
            let line = lines.next().and_then(|line| line.strip_prefix(prefix));
            let word = line.and_then(|line| line.split(' ').nth(word));
            let number = word.and_then(|word| word.parse().ok());
            number.expect("callgrind's format")
        };
        calls += next("calls=", 0);
        cost += next("", 1);
    }
    (calls, cost)
}
