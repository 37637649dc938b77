//! kombu's in-memory transport in a Python process: publish and acknowledge, in one thread.

use std::process::Command;

use super::{Rival, Skipped, options::Options};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kombu_memory.py");

pub fn rivals(options: &Options, skipped: &mut Skipped) -> Vec<Rival> {
    if let Err(error) = run(10) {
        skipped.push(format!("kombu: {error}"));
        return Vec::new();
    }
    let messages = options.size(100, 5_000);
    vec![
        Rival::new("kombu-memory", "leveret", Some(1.0), move || {
            run(messages).expect("it ran before")
        })
        .elsewhere(),
    ]
}

/// Nanoseconds per message.
fn run(messages: u64) -> Result<f64, String> {
    let output = Command::new("python3")
        .args([SCRIPT, &messages.to_string()])
        .output()
        .map_err(|error| format!("python3: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr);
        errors.lines().last().unwrap_or("no output").to_owned()
    })
}
