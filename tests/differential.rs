//! The differential test: runs the same random programs on leveret and on a real RabbitMQ, and
//! compares every outcome.
//!
//! `LEVERET_RABBITMQ=amqp://guest:guest@127.0.0.1:5672` is the address of the RabbitMQ. Without it
//! the test prints that it did not run, and passes. So it does if the version there is not 4.3,
//! which leveret follows. That RabbitMQ permits the features `transient_nonexcl_queues` and
//! `global_qos`. These variables are optional:
//! - `LEVERET_PROGRAMS`: the number of programs (150 by default)
//! - `LEVERET_SEED`: another seed, so other programs
//! - `LEVERET_FIRST`: the number of programs to skip
//! - `LEVERET_JOBS`: the number of programs that run at once. RabbitMQ writes each declaration to
//!   the disk, so too many of them take too long on a slow one.
//!
//! The test shrinks a program whose outcomes differ, and prints it as a conformance scenario with
//! the outcomes of RabbitMQ. A difference that disappears with more time for the broker was a race.
//! The test only counts it.
//!
//! All names begin with a prefix of the program. The program deletes its entities at its end.

#[path = "differential/client.rs"]
mod client;
#[path = "differential/generator.rs"]
mod generator;
#[path = "differential/line.rs"]
mod line;
#[path = "differential/ours.rs"]
mod ours;
#[path = "differential/outcome.rs"]
mod outcome;
#[path = "differential/program.rs"]
mod program;
#[path = "differential/rabbit.rs"]
mod rabbit;
#[path = "differential/random.rs"]
mod random;
#[path = "differential/style.rs"]
mod style;
#[path = "differential/wire.rs"]
mod wire;

use std::{
    env,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::{Address, Wire},
    program::{Difference, Program, prefix},
    rabbit::{Pace, Trouble},
};

/// The first pace has hardly any delay. Each next pace waits longer.
const PACES: [Pace; 4] = [
    pace(250, 1, 150),
    pace(500, 8, 170),
    pace(800, 25, 170),
    pace(800, 4, 170),
];

const fn pace(patience: u64, settle: u64, drift: u64) -> Pace {
    Pace {
        patience: Duration::from_millis(patience),
        settle: Duration::from_millis(settle),
        drift: Duration::from_millis(drift),
    }
}

#[derive(Default)]
struct Counts {
    next: AtomicU64,
    steps: AtomicU64,
    quorum_queues: AtomicU64,
    equal: AtomicU64,
    different: AtomicU64,
    raced: AtomicU64,
    late: AtomicU64,
    broken: AtomicU64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // Test runners that list the tests first get one test with the name of this file.
    if arguments.iter().any(|argument| argument == "--list") {
        if !arguments.iter().any(|argument| argument == "--ignored") {
            println!("differential: test");
        }
        return ExitCode::SUCCESS;
    }
    let Ok(url) = env::var("LEVERET_RABBITMQ") else {
        println!("differential: not run, LEVERET_RABBITMQ does not say where a RabbitMQ is");
        return ExitCode::SUCCESS;
    };
    let Some(address) = Address::parse(&url) else {
        println!("differential: LEVERET_RABBITMQ is not like amqp://user:password@host:port");
        return ExitCode::FAILURE;
    };
    if let Ok(wire) = Wire::connect(&address)
        && !wire.version.starts_with("4.3.")
    {
        let version = wire.version;
        println!("differential: not run, the RabbitMQ there is {version} and not 4.3");
        return ExitCode::SUCCESS;
    }
    let (programs, seed) = (number("LEVERET_PROGRAMS", 150), number("LEVERET_SEED", 1));
    let first = number("LEVERET_FIRST", 0);
    let started = Instant::now();
    let counts = Counts::default();
    thread::scope(|scope| {
        for _ in 0..number("LEVERET_JOBS", 12) {
            scope.spawn(|| {
                loop {
                    let number = first + counts.next.fetch_add(1, Relaxed);
                    if number >= first + programs {
                        break;
                    }
                    judge(&address, seed, number, &counts);
                }
            });
        }
    });
    println!(
        "differential: {} programs are equal (of these {} after a race), {} differ, {} could not be timed, {} broke off; {} steps, {} quorum queues, seed {seed}, {} s",
        counts.equal.load(Relaxed),
        counts.raced.load(Relaxed),
        counts.different.load(Relaxed),
        counts.late.load(Relaxed),
        counts.broken.load(Relaxed),
        counts.steps.load(Relaxed),
        counts.quorum_queues.load(Relaxed),
        started.elapsed().as_secs(),
    );
    if counts.different.load(Relaxed) + counts.broken.load(Relaxed) > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn number(name: &str, default: u64) -> u64 {
    let set = env::var(name).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Compares one program, counts the result, and prints a difference.
fn judge(address: &Address, seed: u64, number: u64, counts: &Counts) {
    let program = Program::generate(seed, number);
    counts.steps.fetch_add(program.steps.len() as u64, Relaxed);
    counts
        .quorum_queues
        .fetch_add(program.quorum_queues() as u64, Relaxed);
    match compare(&program, address, &PACES) {
        Ok((None, attempts)) => {
            counts.equal.fetch_add(1, Relaxed);
            counts.raced.fetch_add(u64::from(attempts > 1), Relaxed);
        }
        Ok((Some(difference), _)) => {
            counts.different.fetch_add(1, Relaxed);
            let patience = Instant::now() + Duration::from_secs(60);
            let (program, difference) = program.shrink(difference, |smaller| {
                if Instant::now() > patience {
                    return None;
                }
                compare(smaller, address, &PACES[1..3])
                    .ok()
                    .and_then(|(found, _)| found)
            });
            report(seed, number, &program, &difference);
        }
        Err(Trouble::Late) => {
            counts.late.fetch_add(1, Relaxed);
        }
        Err(Trouble::Broken(what)) => {
            counts.broken.fetch_add(1, Relaxed);
            println!("BROKE OFF program {number} of seed {seed}: {what}");
        }
    }
}

/// Compares at one pace after the other until the outcomes are equal. Returns the number of tries.
///
/// A program with expiry must differ twice. A single difference may be a delay of the machine.
fn compare(
    program: &Program,
    address: &Address,
    paces: &[Pace],
) -> Result<(Option<Difference>, usize), Trouble> {
    let (mut found, mut differed) = (None, 0);
    for (index, pace) in paces.iter().enumerate() {
        match program.compare(address, *pace) {
            Ok(None) => return Ok((None, index + 1)),
            Ok(difference) => {
                differed += 1;
                found = difference;
            }
            Err(Trouble::Late) => {}
            Err(broken) => return Err(broken),
        }
    }
    match found {
        _ if differed < 2.min(paces.len()) => Err(Trouble::Late),
        difference => Ok((difference, paces.len())),
    }
}

fn report(seed: u64, number: u64, program: &Program, difference: &Difference) {
    let prefix = prefix(number);
    let ours = &program.outcomes[difference.index];
    let text = format!(
        "DIFFERS program {number} of seed {seed}\n  leveret:  {ours:?}\n  RabbitMQ: {:?}\n",
        difference.real
    );
    let id = format!("own-differential.{seed}-{number}");
    println!(
        "{}{}",
        text.replace(&prefix, ""),
        program.scenario(&id, &prefix, difference)
    );
}
