//! What is printed: a line for each row as soon as it is known, and a table for the eye at the end.

use std::collections::HashMap;

/// One row.
pub struct Line {
    pub shape: String,
    pub row: String,
    pub median: f64,
    pub unit: &'static str,
    /// Against the floor, if there is one.
    pub ratio: Option<f64>,
    pub goal: Option<String>,
    pub met: Option<bool>,
}

pub struct Report {
    quick: bool,
    lines: Vec<Line>,
    /// How far apart the cores were, in nanoseconds there and back, by shape.
    trips: HashMap<String, f64>,
    rounds: usize,
    repeated: usize,
    dirty: usize,
}

impl Report {
    /// A quick run checks and does not measure: it gives no verdicts.
    pub fn new(quick: bool) -> Report {
        Report {
            quick,
            lines: Vec::new(),
            trips: HashMap::new(),
            rounds: 0,
            repeated: 0,
            dirty: 0,
        }
    }

    /// A group was run: how long a cache line took from core to core and back meanwhile, in nanoseconds.
    pub fn group(&mut self, shape: &str, trip: Option<f64>) {
        if let Some(trip) = trip {
            self.trips.insert(shape.to_owned(), trip);
        }
    }

    /// A round that counts; was somebody else busy all the same?
    pub fn round(&mut self, dirty: bool) {
        self.rounds += 1;
        self.dirty += usize::from(dirty);
    }

    /// A round that does not count.
    pub fn repeated(&mut self) {
        self.repeated += 1;
    }

    pub fn line(&mut self, line: Line) {
        println!(
            "floor,{},{},{:.1},{},{},{}",
            line.shape,
            line.row,
            line.median,
            line.ratio.map_or("-".into(), |x| format!("{x:.2}")),
            line.goal.as_deref().unwrap_or("-"),
            self.verdict(&line),
        );
        self.lines.push(line);
    }

    fn verdict(&self, line: &Line) -> &'static str {
        match line.met {
            _ if self.quick => "-",
            None => "-",
            Some(true) => "met",
            Some(false) => "missed",
        }
    }

    pub fn close(&self) {
        let width = |text: fn(&Line) -> &str| {
            let longest = self.lines.iter().map(|line| text(line).len()).max();
            longest.unwrap_or(0) + 2
        };
        let (shapes, rows) = (width(|line| &line.shape), width(|line| &line.row));
        let mut last = "";
        println!();
        for line in &self.lines {
            let new = line.shape != last;
            if new && !last.is_empty() {
                println!();
            }
            last = &line.shape;
            let trip = self.trips.get(last).filter(|_| new);
            let text = format!(
                "{:shapes$}{:rows$}{:>16}  {:>6}  {:8}{}{}",
                if new { last } else { "" },
                line.row,
                amount(line.median, line.unit),
                line.ratio.map_or(String::new(), |x| format!("{x:.2}x")),
                line.goal.as_deref().unwrap_or(""),
                self.verdict(line).replace('-', ""),
                trip.map_or(String::new(), |ns| format!(
                    "core to core and back {ns:.0} ns"
                )),
            );
            println!("{}", text.trim_end());
        }
        println!();
        if self.quick {
            println!("quick: everything ran, nothing was measured");
            return;
        }
        let goals = self.lines.iter().filter_map(|line| line.met);
        let met = goals.clone().filter(|&met| met).count();
        println!("{met} of {} goals met", goals.count());
        if self.rounds > 0 {
            println!(
                "{} rounds; others were busy in {} more, which were run again, and in {} of those that count",
                self.rounds, self.repeated, self.dirty,
            );
        }
    }
}

/// With its unit and thousands apart.
pub fn amount(value: f64, unit: &str) -> String {
    if value < 1_000.0 {
        return format!("{value:.1} {unit}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {unit}")
}
