//! The most resident memory of a program, which runs in a process of its own.

use std::{
    env, fs,
    process::{Command, Stdio},
};

/// The argument before the name of a program, in the process that runs it.
const PROGRAM: &str = "--memory-of";

/// Whether this process is there for the program of this name.
pub fn is_asked_for(name: &str) -> bool {
    let argument = env::args()
        .skip_while(|argument| argument != PROGRAM)
        .nth(1);
    argument.is_some_and(|asked| asked == name)
}

/// Prints the most resident memory of this process so far, in KiB.
pub fn tell_peak() {
    println!("{}", peak().expect("Linux tells it"));
}

/// Runs a program in a process of its own, and returns the most resident memory of it, in KiB.
/// `None` if the system does not tell it.
pub fn peak_of(name: &str) -> Option<u64> {
    peak()?;
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(env::args().skip(1)).args([PROGRAM, name]);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.expect("the process starts");
    assert!(output.status.success(), "the process has failed");
    let text = String::from_utf8(output.stdout).expect("a text");
    Some(text.trim().parse().expect("a number"))
}

fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
