//! The conformance test: replays scenarios that were recorded on a real RabbitMQ, and compares
//! every result. The replay uses `Channel`.
//!
//! `conformance/FORMAT.md` describes the format of the scenarios. Each scenario gets a broker with
//! a manual clock and a thread of its own. So a scenario that panics or hangs does not affect
//! another one.
//!
//! `LEVERET_CONFORMANCE_DIR=<dir>` replays another folder. Arguments select the scenarios whose id
//! contains one of them.
//!
//! With `LEVERET_CONFORMANCE_DURABLE=1` every broker keeps its data in a folder. With `=all` every
//! queue is durable and every message persistent too, and only a restart after the last step
//! counts. Without it only the brokers of scenarios with a restart have a folder. That needs the
//! feature `durable`: without it those scenarios are left out.
//!
//! With `LEVERET_CONFORMANCE_WIRE=1` the clients of the scenarios speak AMQP 0-9-1 to the server's
//! side of `amqp`. That needs the feature `amqp`.
//!
//! The test prints every failure, one line for each area, and last `conformance: P passed, F
//! failed, U pending`.

#[path = "conformance/administration.rs"]
mod administration;
#[path = "conformance/contents.rs"]
mod contents;
#[path = "conformance/distribution.rs"]
mod distribution;
#[path = "conformance/expectation.rs"]
mod expectation;
#[path = "conformance/fields.rs"]
mod fields;
#[cfg(feature = "durable")]
#[path = "conformance/folder.rs"]
mod folder;
#[path = "conformance/home.rs"]
mod home;
#[path = "conformance/inbox.rs"]
mod inbox;
#[path = "conformance/message.rs"]
mod message;
#[path = "conformance/methods.rs"]
mod methods;
#[cfg(feature = "amqp")]
#[path = "conformance/over_wire.rs"]
mod over_wire;
#[path = "conformance/peer.rs"]
mod peer;
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
#[cfg(feature = "amqp")]
mod wire;

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

use crate::{
    home::{End, Home},
    scenario::{Kind, Scenario},
};

/// The result of a check: no text, or the difference between the result and the recording.
type Outcome<T = ()> = Result<T, String>;

/// Whether a broker can keep its data in a folder.
const CAN_BE_DURABLE: bool = cfg!(feature = "durable");

/// A scenario that takes longer than this wall time counts as hanging.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // Test runners that list the tests first get one test with the name of this file.
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

/// Replays the selected scenarios and prints the report. Returns whether none failed.
fn judge(arguments: &[String]) -> Outcome<bool> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let elsewhere = env::var_os("LEVERET_CONFORMANCE_DIR").map(PathBuf::from);
    let scenarios = scenario::load(elsewhere.as_deref().unwrap_or(&home))?;
    let mut pending = scenario::pending(&home.join("pending.txt"))?;
    if elsewhere.is_none() {
        let known: BTreeSet<&str> = scenarios
            .iter()
            .map(|scenario| scenario.id.as_str())
            .collect();
        if let Some(id) = pending.iter().find(|id| !known.contains(id.as_str())) {
            return Err(format!("pending.txt names '{id}', which is no scenario"));
        }
    }
    if home::all_survive() {
        // Only the restart at the end counts.
        pending.clear();
    }
    let all_durable = env::var_os("LEVERET_CONFORMANCE_DURABLE").is_some();
    if all_durable && !CAN_BE_DURABLE {
        return Err("a durable broker needs the feature `durable`".to_owned());
    }
    if peer::is_on_wire() {
        if !cfg!(feature = "amqp") {
            return Err("clients on the wire need the feature `amqp`".to_owned());
        }
        println!("the clients are on the wire");
    }
    let mut scenarios: Vec<Arc<Scenario>> = scenarios
        .into_iter()
        .filter(|scenario| selected(scenario, arguments))
        .map(Arc::new)
        .collect();
    let selected = scenarios.len();
    scenarios.retain(|scenario| CAN_BE_DURABLE || !scenario.restarts());
    if scenarios.len() < selected {
        let left_out = selected - scenarios.len();
        println!("{left_out} scenarios with a restart are left out: the feature `durable` is off");
    }
    let verdicts = replay_all(&scenarios, all_durable);

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

/// Whether the arguments select this scenario. Test runners pass their own arguments on, so the
/// name of this test selects all scenarios.
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

/// The numbers of scenarios by result.
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

/// Replays all scenarios on a few worker threads. Returns their verdicts in the same order.
fn replay_all(scenarios: &[Arc<Scenario>], all_durable: bool) -> Vec<Outcome> {
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
                    let verdict = replay_guarded(scenario, all_durable);
                    verdicts.lock().unwrap_or_else(PoisonError::into_inner)[index] = verdict;
                }
            });
        }
    });
    verdicts
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Replays one scenario on a thread of its own. A panic or a hang is a failure. A hanging thread
/// ends with the process.
fn replay_guarded(scenario: &Arc<Scenario>, all_durable: bool) -> Outcome {
    let (report, verdict) = mpsc::channel();
    let replayed = Arc::clone(scenario);
    thread::Builder::new()
        .name(format!("{SCENARIO_THREAD}{}", scenario.id))
        .spawn(move || {
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| replay(&replayed, all_durable)));
            let outcome =
                outcome.unwrap_or_else(|_| Err(format!("it panicked: {}", LAST_PANIC.take())));
            // The receiver is gone if this thread was counted as hanging.
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

/// Replays one scenario, and once more with kills if it says so.
fn replay(scenario: &Scenario, all_durable: bool) -> Outcome {
    let is_durable = all_durable || scenario.restarts();
    let home = || match is_durable {
        true => Home::in_folder(),
        false => Home::Memory,
    };
    match &scenario.kind {
        Kind::Steps(steps) => {
            replay::run(steps, &scenario.users, home(), None)?;
            if scenario.also_killed {
                let killed = replay::run(steps, &scenario.users, home(), Some(End::Kill));
                killed.map_err(|problem| format!("with kills: {problem}"))?;
            }
            Ok(())
        }
        Kind::Routing(table) => routing::run(table, &home()),
        Kind::Distribution(distribution) => distribution.run(home()),
    }
}

/// The prefix of the names of the threads that replay scenarios.
const SCENARIO_THREAD: &str = "scenario ";

thread_local! {
    /// The message of the last panic on this thread. It becomes a part of the scenario's verdict
    /// and does not disturb the report.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The panic hook. It keeps the panic of a replaying thread for its verdict, and prints any other
/// panic.
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
