//! The results of the rounds, and their output.

use std::collections::HashMap;

use super::{Rival, Skipped, report::amount};

/// An embedded ActiveMQ, as it was measured once on 2026-11-22 on the same machine: vm://, not
/// persistent, acknowledged per hundred. It needs a JVM, so the bench does not run it.
const ACTIVEMQ: (&str, f64, f64) = ("activemq-figure", 3_942.0, 20.0);

pub struct Table {
    quick: bool,
    samples: HashMap<&'static str, Vec<f64>>,
    rounds: usize,
    dirty: usize,
}

impl Table {
    pub fn new(quick: bool) -> Table {
        Table {
            quick,
            samples: HashMap::new(),
            rounds: 0,
            dirty: 0,
        }
    }

    /// Adds a round that counts, and whether other processes were busy during it.
    pub fn round(&mut self, dirty: bool) {
        self.rounds += 1;
        self.dirty += usize::from(dirty);
    }

    pub fn sample(&mut self, name: &'static str, result: f64) {
        self.samples.entry(name).or_default().push(result);
    }

    fn median(&self, name: &str) -> Option<f64> {
        let mut samples = self.samples.get(name)?.clone();
        samples.sort_by(f64::total_cmp);
        samples.get(samples.len() / 2).copied()
    }

    pub fn print(&self, rivals: &[Rival], skipped: &Skipped) {
        let mut lines = Vec::new();
        for rival in rivals {
            if let Some(median) = self.median(rival.name) {
                lines.push((rival.name, rival.against, median, rival.goal));
            }
        }
        lines.push((ACTIVEMQ.0, "leveret", ACTIVEMQ.1, Some(ACTIVEMQ.2)));
        let mut table = String::new();
        for (name, against, median, goal) in lines {
            let ratio = self.median(against).map(|own| median / own);
            let verdict = match ratio.zip(goal) {
                Some((ratio, goal)) if !self.quick && ratio >= goal => "met",
                Some(_) if !self.quick => "missed",
                _ => "-",
            };
            let ratio = ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
            let goal = goal.map_or("-".into(), |goal| format!(">={goal:.0}"));
            println!("rivals,{name},{median:.1},{ratio},{goal},{verdict}");
            let line = format!(
                "{name:22}{:>13}  {:>9}  {:6}{:8}against {against}",
                amount(median, "ns"),
                format!("{ratio}x"),
                goal.replace('-', ""),
                verdict.replace('-', ""),
            );
            table += &format!("{line}\n");
        }
        println!("\n{table}");
        for line in skipped {
            println!("skipped {line}");
        }
        match self.quick {
            true => println!("quick: everything ran, nothing was measured"),
            false => println!(
                "{} rounds; in {} of them other processes used more than a tenth of a core",
                self.rounds, self.dirty
            ),
        }
    }
}
