//! The saved counts, and the rule for new counts.

use std::{env, fs, process::Command};

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/benches/instructions/counts.txt"
);

/// The steps that most messages take. Each of them, and their sum, has its own limit of growth.
const MOST: [&str; 3] = [
    "message::publish",
    "message::receive+look",
    "message::acknowledge",
];
const EACH: u64 = 8;
const SUM: u64 = 22;
const COMMAND: &str = "cargo bench --features durable --bench instructions -- --save";
const ALL: &str = "message, all three";

/// A queue in memory of a broker with a data folder may take this many more than one of a broker
/// without.
const BESIDE_DISK: u64 = 2;
const MEMORY_QUEUE: &str = "memory_queue::";

/// Every other step may grow by this fraction. The bare channel is not part of leveret, so it has
/// no limit.
const PERCENT: u64 = 8;
const FLOOR: &str = "floor::";

pub struct Counts {
    /// The compiler's version and target.
    compiler: String,
    /// Instructions per message, by step.
    steps: Vec<(String, u64)>,
}

impl Counts {
    /// The counts of the current compiler.
    pub fn of(steps: impl Iterator<Item = (String, u64)>) -> Counts {
        Counts {
            compiler: compiler(),
            steps: steps.collect(),
        }
    }

    /// The saved counts.
    pub fn saved() -> Counts {
        let text = fs::read_to_string(FILE).expect("counts.txt is there, or --save writes it");
        let mut lines = text.lines();
        let compiler = lines.next().expect("a first line").to_owned();
        let steps = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let (step, count) = line.split_once(' ').expect("a step and its count");
                (step.to_owned(), count.trim().parse().expect("a number"))
            });
        Counts {
            compiler,
            steps: steps.collect(),
        }
    }

    pub fn save(&self) {
        let mut text = format!(
            "{}\n\n# Instructions per message. `{COMMAND}` writes this.\n\n",
            self.compiler,
        );
        let saved = |step: &&(String, u64)| !step.0.starts_with(MEMORY_QUEUE);
        for (step, count) in self.steps.iter().filter(saved) {
            text += &format!("{step:30}{count:>6}\n");
        }
        fs::write(FILE, &text).expect("counts.txt can be written");
        print!("{text}");
    }

    /// Prints a table of both counts. Returns `false` if a step has grown past its limit.
    pub fn compare(&self, now: &Counts) -> bool {
        let comparable = self.compiler == now.compiler;
        let mut good = true;
        println!(
            "{:30}{:>12}{:>8}{:>12}",
            "step", "checked in", "now", "difference"
        );
        let mut row = |step: &str, before: Option<u64>, count: u64, limit: Option<u64>| {
            let too_many = match (before, limit) {
                (Some(before), Some(limit)) => count > before + limit,
                (None, _) => true,
                (_, None) => false,
            };
            good &= !too_many;
            println!(
                "{step:30}{:>12}{count:>8}{:>12}{}",
                before.map_or("-".to_owned(), |before| before.to_string()),
                before.map_or("-".to_owned(), |before| {
                    format!("{:+}", count as i64 - before as i64)
                }),
                match (too_many && comparable, before, limit) {
                    (true, Some(_), Some(limit)) => format!("  more than {limit:+}"),
                    (true, ..) => "  not checked in".to_owned(),
                    _ => String::new(),
                },
            );
        };
        for (step, count) in &now.steps {
            if let Some(same) = step.strip_prefix(MEMORY_QUEUE) {
                let without = now.get(&format!("message::{same}"));
                row(step, without, *count, Some(BESIDE_DISK));
                continue;
            }
            let before = self.get(step);
            let limit = if MOST.contains(&step.as_str()) {
                Some(EACH)
            } else if step.starts_with(FLOOR) {
                None
            } else {
                before.map(|before| before * PERCENT / 100)
            };
            row(step, before, *count, limit);
        }
        if let Some(count) = now.sum() {
            row(ALL, self.sum(), count, Some(SUM));
        }
        if !comparable {
            println!(
                "\nNothing is compared: the counts are of {},\nand this is {}",
                self.compiler, now.compiler,
            );
            return true;
        }
        if !good {
            println!(
                "\nA step takes too many instructions. If that is meant, run with `-- --save`"
            );
        }
        good
    }

    fn get(&self, step: &str) -> Option<u64> {
        let (_, count) = self.steps.iter().find(|(name, _)| name == step)?;
        Some(*count)
    }

    fn sum(&self) -> Option<u64> {
        MOST.iter().map(|step| self.get(step)).sum()
    }
}

/// The compiler's version and target. Counts are valid for one compiler only.
fn compiler() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().expect("rustc runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.lines().next().expect("rustc says its version");
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    format!("{version}, {}", host.expect("rustc says its host"))
}
