//! Groups of rows that run in turn. The first row of a group is its floor, and the others are
//! compared with it.

use std::{thread, time::Duration};

use super::{
    cores::{self, Pace},
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

    /// The ratio of a row to its floor.
    fn ratio(self, floor: f64, row: f64) -> f64 {
        match self {
            Measure::Throughput => floor / row,
            Measure::Latency => row / floor,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Measure::Throughput => ">=",
            Measure::Latency => "<=",
        }
    }

    /// Whether a ratio meets a goal. It is compared as printed. Otherwise a printed 1.00 could miss
    /// a goal of 1.00.
    fn meets(self, ratio: f64, goal: f64) -> bool {
        let printed = (ratio * 100.0).round() / 100.0;
        match self {
            Measure::Throughput => printed >= goal,
            Measure::Latency => printed <= goal,
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
    /// With the floor first, then with other rows of the group.
    comparisons: Vec<Comparison>,
    /// Runs the row once. Returns one result for each figure of the measure.
    run: Box<dyn Fn() -> Vec<f64>>,
}

/// A comparison with another row of the group.
struct Comparison {
    /// The index of the other row.
    base: usize,
    /// The row in the output.
    name: String,
    goal: Option<Goal>,
}

/// The goals at each pace.
#[derive(Clone, Copy)]
struct Goal {
    near: f64,
    far: f64,
}

impl Goal {
    fn at(self, pace: Option<Pace>) -> f64 {
        match pace {
            Some(Pace::Far) => self.far,
            Some(Pace::Near) | None => self.near,
        }
    }
}

/// The results of one round: for each row that ran its figures.
struct Round {
    /// The time of a cache line from core to core and back, if it can be measured.
    trip: Option<Duration>,
    results: Vec<Vec<f64>>,
}

impl Round {
    fn pace(&self) -> Option<Pace> {
        self.trip.map(Pace::of)
    }
}

/// The limits of reruns because of other processes: for one round, and for all rounds of a group.
const TRIES: usize = 3;

/// The limit of the processor use of other processes during a round, in cores.
const OTHERS: f64 = 0.1;

/// A pace with this number of rounds is judged.
const ENOUGH: usize = 5;

/// How often a group looks for a pace that it has too few rounds of, and the pause between looks.
const LOOKS: usize = 30;
const PAUSE: Duration = Duration::from_millis(100);

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
        let name = name.into();
        self.rows.push(Row {
            comparisons: vec![Comparison {
                base: 0,
                name: name.clone(),
                goal: goal.map(|goal| Goal {
                    near: goal,
                    far: goal,
                }),
            }],
            name,
            run: Box::new(run),
        });
        self
    }

    /// Compares the last row with another one too. `goals` are those at the near and at the far
    /// pace.
    #[allow(dead_code, reason = "the floor bench uses it")]
    pub fn against(mut self, base: &str, goals: Option<(f64, f64)>) -> Group {
        let index = self.rows.iter().position(|row| row.name == base);
        let base_index = index.expect("the row is in the group");
        let row = self.rows.last_mut().expect("a row comes first");
        row.comparisons.push(Comparison {
            base: base_index,
            name: format!("{}-to-{base}", row.name),
            goal: goals.map(|(near, far)| Goal { near, far }),
        });
        self
    }

    /// Runs the floor and the selected rows in turn, and adds their medians to the report.
    pub fn run(self, options: &Options, report: &mut Report) {
        let wanted = self.wanted(options);
        if wanted.is_empty() {
            return;
        }
        let mut repeats = if options.quick { 0 } else { options.rounds };
        let mut rounds: Vec<Round> = Vec::new();
        while rounds.len() < options.rounds {
            rounds.push(self.round(&wanted, &mut repeats, report));
        }
        if !options.quick {
            self.look_for_paces(&wanted, &mut rounds, &mut repeats, report);
        }
        let mut judged: Vec<Option<Pace>> = (Pace::ALL.into_iter())
            .map(Some)
            .filter(|&pace| count(&rounds, pace) >= ENOUGH)
            .collect();
        if judged.is_empty() {
            let paces = [None, Some(Pace::Near), Some(Pace::Far)];
            judged.extend(paces.into_iter().max_by_key(|&pace| count(&rounds, pace)));
        }
        for pace in Pace::ALL {
            if !judged.contains(&Some(pace)) {
                report.without_pace(&self.shape, pace.name());
            }
        }
        for pace in judged {
            let rounds = rounds.iter().filter(|round| round.pace() == pace);
            self.report(&wanted, &rounds.collect::<Vec<_>>(), pace, report);
        }
    }

    /// The indices of the rows to run: the floor, the selected rows, and those that they are
    /// compared with. None if no row is selected.
    fn wanted(&self, options: &Options) -> Vec<usize> {
        let figures = self.measure.figures();
        let is_wanted = |row: &Row| options.wants(&self.shape, &row.name, figures);
        let mut wanted: Vec<usize> = (self.rows.iter().enumerate())
            .filter(|(_, row)| is_wanted(row))
            .flat_map(|(index, row)| {
                let bases = row.comparisons.iter().map(|comparison| comparison.base);
                bases.chain([index])
            })
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// Runs one round, again if other processes are busy.
    fn round(&self, rows: &[usize], repeats: &mut usize, report: &mut Report) -> Round {
        let mut tries = TRIES;
        loop {
            let trip = cores::round_trip();
            let others = Others::watch();
            let results = rows.iter().map(|&row| (self.rows[row].run)()).collect();
            let dirty = others.is_some_and(|others| others.cores() > OTHERS);
            tries -= 1;
            if !dirty || tries == 0 || *repeats == 0 {
                report.round(dirty);
                return Round { trip, results };
            }
            *repeats -= 1;
            report.repeated();
        }
    }

    /// Runs further rounds at a pace that has too few, while the machine has it. The machine
    /// changes its pace by itself.
    fn look_for_paces(
        &self,
        rows: &[usize],
        rounds: &mut Vec<Round>,
        repeats: &mut usize,
        report: &mut Report,
    ) {
        let mut looks = LOOKS;
        while looks > 0 {
            let is_rare = |pace: Pace| count(rounds, Some(pace)) < ENOUGH;
            if !Pace::ALL.into_iter().any(is_rare) {
                return;
            }
            match cores::round_trip().map(Pace::of) {
                None => return,
                Some(pace) if is_rare(pace) => {
                    rounds.push(self.round(rows, repeats, report));
                }
                Some(_) => {
                    looks -= 1;
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    fn report(&self, rows: &[usize], rounds: &[&Round], pace: Option<Pace>, report: &mut Report) {
        let trips = rounds.iter().filter_map(|round| round.trip);
        let trips: Vec<f64> = trips.map(|trip| trip.as_nanos() as f64).collect();
        let trip = (!trips.is_empty()).then(|| median(trips));
        let pace_name = pace.map(Pace::name);
        report.group(&self.shape, pace_name, trip);
        let median_of = |index: usize, figure: usize| {
            let at = rows.iter().position(|&row| row == index);
            let at = at.expect("the row ran");
            median(
                rounds
                    .iter()
                    .map(|round| round.results[at][figure])
                    .collect(),
            )
        };
        for &index in rows {
            for (number, figure) in self.measure.figures().iter().enumerate() {
                let result = median_of(index, number);
                let separator = if figure.is_empty() { "" } else { "-" };
                for comparison in &self.rows[index].comparisons {
                    let floor = median_of(comparison.base, number);
                    let ratio = self.measure.ratio(floor, result);
                    let goal = comparison.goal.map(|goal| goal.at(pace));
                    report.line(Line {
                        shape: self.shape.clone(),
                        row: format!("{}{separator}{figure}", comparison.name),
                        median: result,
                        unit: "ns",
                        ratio: Some(ratio),
                        goal: goal.map(|goal| format!("{}{goal:.2}", self.measure.sign())),
                        met: goal.map(|goal| self.measure.meets(ratio, goal)),
                        pace: pace_name,
                    });
                }
            }
        }
    }
}

/// The number of rounds at a pace.
fn count(rounds: &[Round], pace: Option<Pace>) -> usize {
    rounds.iter().filter(|round| round.pace() == pace).count()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
