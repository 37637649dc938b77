//! The table, with the goal of each row.

/// Prints the head.
pub fn begin(title: &str) {
    println!("{title:37} | by hand      | leveret      | ratio | goal    |");
    println!(
        "--------------------------------------+--------------+--------------+-------+---------+-------"
    );
}

/// Prints a row of rates: messages a second by hand and by leveret, and the least ratio.
pub fn rate(name: &str, (theirs, ours): (f64, f64), least: f64) {
    let (theirs_text, ours_text) = (format!("{theirs:8.0} / s"), format!("{ours:8.0} / s"));
    let ratio = ours / theirs;
    let goal = format!(">= {least}");
    row(name, [theirs_text, ours_text], ratio, &goal, ratio >= least);
}

/// Prints a row of memory in KiB, and the most ratio.
pub fn memory(name: &str, (theirs, ours): (u64, u64), most: f64) {
    let text = |kibibytes: u64| format!("{:8.1} MiB", kibibytes as f64 / 1_024.0);
    let ratio = ours as f64 / theirs as f64;
    let goal = format!("<= {most}");
    row(
        name,
        [text(theirs), text(ours)],
        ratio,
        &goal,
        ratio <= most,
    );
}

fn row(name: &str, [theirs, ours]: [String; 2], ratio: f64, goal: &str, is_met: bool) {
    let verdict = if is_met { "met" } else { "missed" };
    println!("{name:37} | {theirs:>12} | {ours:>12} | {ratio:5.2} | {goal:7} | {verdict}");
}
