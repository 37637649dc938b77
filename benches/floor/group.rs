//! Groups of rows that run in turn. The first row of a group is its floor, and the others are
//! compared with it.

use std::time::Duration;

use super::{
    cores,
    options::Options,
    others::Others,
    report::{Line, Report},
};

/// The figures that the rows of a group measure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Nanoseconds per message. The ratio is throughput divided by the floor's. A goal is a
    /// minimum.
    Throughput,
    /// Nanoseconds from publish to receive, as p50 and p99. The ratio is the time divided by the
    /// floor's. A goal is a maximum.
    Latency,
}

impl Measure {
    /// The figures of one run of a row. Each is printed as a row of its own.
    fn figures(self) -> &'static [&'static str] {
        match self {
            Measure::Throughput => &[""],
            Measure::Latency => &["p50", "p99"],
        }
    }
}

pub struct Group {
    shape: String,
    measure: Measure,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    goal: Option<f64>,
    /// Runs the row once. Returns one result for each figure of the measure.
    run: Box<dyn Fn() -> Vec<f64>>,
}

/// The limits of reruns because of other processes: for one round, and for all rounds of a group.
const TRIES: usize = 3;

/// The limit of the processor use of other processes during a round, in cores.
const OTHERS: f64 = 0.1;

impl Group {
    pub fn throughput(shape: impl Into<String>) -> Group {
        Group::new(shape, Measure::Throughput)
    }

    pub fn latency(shape: impl Into<String>) -> Group {
        Group::new(shape, Measure::Latency)
    }

    fn new(shape: impl Into<String>, measure: Measure) -> Group {
        Group {
            shape: shape.into(),
            measure,
            rows: Vec::new(),
        }
    }

    /// Adds a row that returns the time in which it sent `messages` messages. The first row of a
    /// group is its floor.
    pub fn row(
        self,
        name: impl Into<String>,
        goal: Option<f64>,
        messages: u64,
        run: impl Fn(u64) -> Duration + 'static,
    ) -> Group {
        assert!(self.measure == Measure::Throughput);
        self.with(name, goal, move || {
            vec![run(messages).as_nanos() as f64 / messages as f64]
        })
    }

    /// Adds a row that returns the time of each message.
    pub fn times(
        self,
        name: impl Into<String>,
        goal: Option<f64>,
        run: impl Fn() -> Vec<Duration> + 'static,
    ) -> Group {
        assert!(self.measure == Measure::Latency);
        self.with(name, goal, move || {
            let mut times = run();
            times.sort();
            [0.50, 0.99]
                .map(|part| times[(times.len() as f64 * part) as usize].as_nanos() as f64)
                .to_vec()
        })
    }

    fn with(
        mut self,
        name: impl Into<String>,
        goal: Option<f64>,
        run: impl Fn() -> Vec<f64> + 'static,
    ) -> Group {
        self.rows.push(Row {
            name: name.into(),
            goal,
            run: Box::new(run),
        });
        self
    }

    /// Runs the floor and the selected rows in turn, and adds their medians to the report.
    pub fn run(self, options: &Options, report: &mut Report) {
        let figures = self.measure.figures();
        let wanted = |row: &Row| options.wants(&self.shape, &row.name, figures);
        if !self.rows.iter().any(wanted) {
            return;
        }
        let rows: Vec<&Row> = (self.rows.iter().enumerate())
            .filter(|&(place, row)| place == 0 || wanted(row))
            .map(|(_, row)| row)
            .collect();
        let mut samples = vec![vec![Vec::new(); figures.len()]; rows.len()];
        let mut repeats = if options.quick { 0 } else { options.rounds };
        let mut trips = Vec::new();
        for _ in 0..options.rounds {
            trips.extend(cores::round_trip().map(|trip| trip.as_nanos() as f64));
            let mut tries = TRIES;
            let round = loop {
                let others = Others::watch();
                let round: Vec<Vec<f64>> = rows.iter().map(|row| (row.run)()).collect();
                let dirty = others.is_some_and(|others| others.cores() > OTHERS);
                tries -= 1;
                if !dirty || tries == 0 || repeats == 0 {
                    report.round(dirty);
                    break round;
                }
                repeats -= 1;
                report.repeated();
            };
            for (samples, results) in samples.iter_mut().zip(round) {
                for (samples, result) in samples.iter_mut().zip(results) {
                    samples.push(result);
                }
            }
        }
        report.group(&self.shape, (!trips.is_empty()).then(|| median(trips)));
        let medians: Vec<Vec<f64>> = samples
            .into_iter()
            .map(|figures| figures.into_iter().map(median).collect())
            .collect();
        for (row, results) in rows.iter().zip(&medians) {
            for (index, figure) in figures.iter().enumerate() {
                let (floor, median) = (medians[0][index], results[index]);
                let separator = if figure.is_empty() { "" } else { "-" };
                let (ratio, met): (f64, fn(f64, f64) -> bool) = match self.measure {
                    Measure::Throughput => (floor / median, |ratio, goal| ratio >= goal),
                    Measure::Latency => (median / floor, |ratio, goal| ratio <= goal),
                };
                report.line(Line {
                    shape: self.shape.clone(),
                    row: format!("{}{separator}{figure}", row.name),
                    median,
                    unit: "ns",
                    ratio: Some(ratio),
                    goal: row.goal.map(|goal| match self.measure {
                        Measure::Throughput => format!(">={goal:.2}"),
                        Measure::Latency => format!("<={goal:.2}"),
                    }),
                    // The ratio is compared as printed. Otherwise a printed 1.00 could miss a goal
                    // of 1.00.
                    met: row
                        .goal
                        .map(|goal| met((ratio * 100.0).round() / 100.0, goal)),
                });
            }
        }
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
