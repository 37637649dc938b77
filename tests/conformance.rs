//! The judge: replays scenarios recorded on a real RabbitMQ through `Channel` and compares every outcome.
//!
//! The format is described in `conformance/FORMAT.md`. Each scenario gets a broker of its own on a manual clock and a thread of its own, so that one that
//! panics or hangs cannot hurt another. `LEVERET_CONFORMANCE_DIR=<dir>` replays another folder; arguments select scenarios whose id contains one of them.
//! Prints every failure, one line per area and, last, `conformance: P passed, F failed, U pending`.

#[path = "conformance/expectation.rs"]
mod expectation;
#[path = "conformance/fields.rs"]
mod fields;
#[path = "conformance/inbox.rs"]
mod inbox;
#[path = "conformance/message.rs"]
mod message;
#[path = "conformance/methods.rs"]
mod methods;
#[path = "conformance/replay.rs"]
mod replay;
#[path = "conformance/routing.rs"]
mod routing;
#[path = "conformance/scenario.rs"]
mod scenario;
#[path = "conformance/values.rs"]
mod values;
#[path = "conformance/waits.rs"]
mod waits;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    env,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use crate::scenario::{Kind, Scenario};

/// What a check says: nothing, or what came instead of what was recorded.
type Outcome<T = ()> = Result<T, String>;

/// The wall time after which a scenario counts as hanging.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // Test runners that ask before they run get one test, named like this file.
    if arguments.iter().any(|argument| argument == "--list") {
        if !arguments.iter().any(|argument| argument == "--ignored") {
            println!("conformance: test");
        }
        return ExitCode::SUCCESS;
    }
    panic::set_hook(Box::new(remember_panic));
    match judge(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            println!("conformance: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Replays what the arguments select and prints the report; true if nothing failed.
fn judge(arguments: &[String]) -> Outcome<bool> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let elsewhere = env::var_os("LEVERET_CONFORMANCE_DIR").map(PathBuf::from);
    let scenarios = scenario::load(elsewhere.as_deref().unwrap_or(&home))?;
    let pending = scenario::pending(&home.join("pending.txt"))?;
    if elsewhere.is_none() {
        let known: BTreeSet<&str> = scenarios
            .iter()
            .map(|scenario| scenario.id.as_str())
            .collect();
        if let Some(id) = pending.iter().find(|id| !known.contains(id.as_str())) {
            return Err(format!("pending.txt names '{id}', which is no scenario"));
        }
    }
    let scenarios: Vec<Arc<Scenario>> = scenarios
        .into_iter()
        .filter(|scenario| selected(scenario, arguments))
        .map(Arc::new)
        .collect();
    let verdicts = replay_all(&scenarios);

    let mut areas: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut total = Counts::default();
    for (scenario, verdict) in scenarios.iter().zip(verdicts) {
        let counts = areas.entry(&scenario.area).or_default();
        match (verdict, pending.contains(&scenario.id)) {
            (Ok(()), false) => counts.passed += 1,
            (Err(_), true) => counts.pending += 1,
            (Err(what), false) => {
                counts.failed += 1;
                println!("FAILED {}: {what}", scenario.id);
            }
            (Ok(()), true) => {
                counts.failed += 1;
                println!(
                    "FAILED {}: it passes, but pending.txt lists it: take it off the list",
                    scenario.id
                );
            }
        }
    }
    for (area, counts) in &areas {
        println!("{area}: {counts}");
        total.add(counts);
    }
    println!("conformance: {total}");
    Ok(total.failed == 0)
}

/// Whether the arguments (as a test runner passes them on) ask for this scenario; a name of this whole test asks for all.
fn selected(scenario: &Scenario, arguments: &[String]) -> bool {
    let mut filters = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .peekable();
    filters.peek().is_none()
        || filters.any(|filter| {
            scenario.id.contains(filter.as_str()) || "conformance".contains(filter.as_str())
        })
}

/// How many scenarios ended how.
#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    pending: usize,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.pending += other.pending;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} pending",
            self.passed, self.failed, self.pending
        )
    }
}

/// Replays all scenarios on a few workers and returns their verdicts in the same order.
fn replay_all(scenarios: &[Arc<Scenario>]) -> Vec<Outcome> {
    let workers = thread::available_parallelism().map_or(2, |cores| cores.get() * 2);
    let next = AtomicUsize::new(0);
    let verdicts: Mutex<Vec<Outcome>> = Mutex::new(vec![
        Err("it was never replayed".to_owned());
        scenarios.len()
    ]);
    thread::scope(|scope| {
        for _ in 0..workers.min(scenarios.len()) {
            scope.spawn(|| {
                while let Some((index, scenario)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    scenarios.get(index).map(|scenario| (index, scenario))
                } {
                    let verdict = replay_guarded(scenario);
                    verdicts.lock().unwrap_or_else(PoisonError::into_inner)[index] = verdict;
                }
            });
        }
    });
    verdicts
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Replays one scenario on a thread of its own; a panic or a hang is its failure. A hanging thread is left behind, it ends with the process.
fn replay_guarded(scenario: &Arc<Scenario>) -> Outcome {
    let (report, verdict) = mpsc::channel();
    let replayed = Arc::clone(scenario);
    thread::Builder::new()
        .name(format!("{SCENARIO_THREAD}{}", scenario.id))
        .spawn(move || {
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| match &replayed.kind {
                Kind::Steps(steps) => replay::run(steps),
                Kind::Routing(table) => routing::run(table),
            }));
            let outcome =
                outcome.unwrap_or_else(|_| Err(format!("it panicked: {}", LAST_PANIC.take())));
            // The receiver is gone when this thread was given up as hanging.
            let _ = report.send(outcome);
        })
        .map_err(|error| format!("no thread for it: {error}"))?;
    match verdict.recv_timeout(PATIENCE) {
        Ok(outcome) => outcome,
        Err(_) => Err(format!(
            "it hangs: no end after {} seconds",
            PATIENCE.as_secs()
        )),
    }
}

/// What the names of the threads that replay scenarios begin with.
const SCENARIO_THREAD: &str = "scenario ";

thread_local! {
    /// What the last panic on this thread said: part of a scenario's verdict instead of noise among the report.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The panic hook: keeps a replaying thread's panic for its verdict, prints any other.
fn remember_panic(info: &panic::PanicHookInfo<'_>) {
    if thread::current()
        .name()
        .is_some_and(|name| name.starts_with(SCENARIO_THREAD))
    {
        LAST_PANIC.set(info.to_string());
    } else {
        eprintln!("{info}");
    }
}
