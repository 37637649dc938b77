//! The output: a line for each row as soon as it is measured, and a table at the end.

use std::collections::{BTreeMap, HashMap};

/// One row of the output.
pub struct Line {
    pub shape: String,
    pub row: String,
    pub median: f64,
    pub unit: &'static str,
    /// The ratio to the floor, if the row has a floor.
    pub ratio: Option<f64>,
    pub goal: Option<String>,
    pub met: Option<bool>,
    /// The distance of the cores, if the row depends on it.
    pub pace: Option<&'static str>,
}

pub struct Report {
    quick: bool,
    lines: Vec<Line>,
    /// The round-trip time between the cores in nanoseconds, by shape and pace.
    trips: HashMap<(String, Option<&'static str>), f64>,
    /// The shapes that were not measured at each pace.
    missing: BTreeMap<&'static str, Vec<String>>,
    rounds: usize,
    repeated: usize,
    dirty: usize,
}

impl Report {
    /// A quick run checks and does not measure, so it gives no verdicts.
    pub fn new(quick: bool) -> Report {
        Report {
            quick,
            lines: Vec::new(),
            trips: HashMap::new(),
            missing: BTreeMap::new(),
            rounds: 0,
            repeated: 0,
            dirty: 0,
        }
    }

    /// Adds the core distance of a group: the time of a cache line from core to core and back
    /// during its rounds at this pace, in nanoseconds.
    pub fn group(&mut self, shape: &str, pace: Option<&'static str>, trip: Option<f64>) {
        if let Some(trip) = trip {
            self.trips.insert((shape.to_owned(), pace), trip);
        }
    }

    /// Records that the machine did not have a pace while a group ran.
    pub fn without_pace(&mut self, shape: &str, pace: &'static str) {
        let shapes = self.missing.entry(pace).or_default();
        shapes.push(shape.to_owned());
    }

    /// Adds a round that counts. `dirty` if other processes were busy during it.
    pub fn round(&mut self, dirty: bool) {
        self.rounds += 1;
        self.dirty += usize::from(dirty);
    }

    /// Adds a round that does not count.
    pub fn repeated(&mut self) {
        self.repeated += 1;
    }

    pub fn line(&mut self, line: Line) {
        println!(
            "floor,{},{},{:.1},{},{},{},{}",
            line.shape,
            line.row,
            line.median,
            line.ratio.map_or("-".into(), |x| format!("{x:.2}")),
            line.goal.as_deref().unwrap_or("-"),
            self.verdict(&line),
            line.pace.unwrap_or("-"),
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
        let mut last = ("", None);
        println!();
        for line in &self.lines {
            let new = (&*line.shape, line.pace) != last;
            if new && !last.0.is_empty() {
                println!();
            }
            last = (&line.shape, line.pace);
            let group = (line.shape.clone(), line.pace);
            let trip = self.trips.get(&group).filter(|_| new);
            let text = format!(
                "{:shapes$}{:rows$}{:>16}  {:>6}  {:8}{}{}",
                if new { last.0 } else { "" },
                line.row,
                amount(line.median, line.unit),
                line.ratio.map_or(String::new(), |x| format!("{x:.2}x")),
                line.goal.as_deref().unwrap_or(""),
                self.verdict(line).replace('-', ""),
                trip.map_or(String::new(), |ns| format!(
                    "{} cores: to the other and back {ns:.0} ns",
                    line.pace.unwrap_or("two"),
                )),
            );
            println!("{}", text.trim_end());
        }
        println!();
        if self.quick {
            println!("quick: everything ran, nothing was measured");
            return;
        }
        for (pace, shapes) in &self.missing {
            println!("the cores were never {pace} during {}", shapes.join(", "));
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

/// A number with its unit and with separators between thousands.
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
