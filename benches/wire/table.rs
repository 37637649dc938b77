//! The results of the rounds, and their output.

use std::collections::BTreeMap;

use super::{Figure, Row};

/// The samples of leveret and of RabbitMQ, by row and figure.
#[derive(Default)]
pub struct Table {
    samples: BTreeMap<(&'static str, Figure), [Vec<f64>; 2]>,
}

impl Figure {
    fn name(self) -> &'static str {
        match self {
            Figure::Rate => "rate",
            Figure::Processor => "processor",
            Figure::P50 => "p50",
        }
    }

    /// Whether a ratio meets a goal.
    fn meets(self, ratio: f64, goal: f64) -> bool {
        match self {
            Figure::Rate => ratio >= goal,
            Figure::Processor | Figure::P50 => ratio <= goal,
        }
    }
}

impl Table {
    pub fn sample(&mut self, row: &'static str, figure: Figure, is_leveret: bool, value: f64) {
        let samples = self.samples.entry((row, figure)).or_default();
        samples[usize::from(!is_leveret)].push(value);
    }

    /// Prints every row that was run.
    pub fn print(&self, rows: &[Row], quick: bool) {
        for row in rows {
            for (&(name, figure), [leveret, rabbitmq]) in &self.samples {
                if name != row.name {
                    continue;
                }
                let (leveret, rabbitmq) = (median(leveret), median(rabbitmq));
                let ratio = leveret / rabbitmq;
                let goal = row.goals.iter().find(|(of, _)| *of == figure);
                let verdict = match goal {
                    Some((_, goal)) if !quick && figure.meets(ratio, *goal) => "met",
                    Some(_) if !quick => "missed",
                    _ => "-",
                };
                let goal = goal.map_or("-".to_owned(), |(_, goal)| goal.to_string());
                let figure = figure.name();
                println!(
                    "wire,{name},{figure},{leveret:.0},{rabbitmq:.0},{ratio:.3},{goal},{verdict}"
                );
            }
        }
    }
}

pub fn median(samples: &[f64]) -> f64 {
    let mut samples = samples.to_vec();
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
