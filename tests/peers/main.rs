//! Programs in Python talk to leveret, and to a RabbitMQ if one answers.
//!
//! They are the programs of RabbitMQ's tutorials, written with kombu, and four with
//! oslo.messaging. Each must print the same lines with both brokers. `LEVERET_RABBITMQ` names the
//! RabbitMQ; without it the test looks at 127.0.0.1:5672. `calls` has the remote calls between
//! Python and Rust.
//!
//! The tests need Python 3 and its package index, so a plain `cargo test` leaves them out:
//! `cargo test --features amqp,rabbitmq --test peers -- --ignored --nocapture`

mod calls;
mod listener;
mod process;
mod python;
mod tutorials;

use std::{
    env,
    net::{TcpStream, ToSocketAddrs},
    path::PathBuf,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use process::Process;
use python::Python;
use tutorials::{Client, Server, TUTORIALS, Tutorial};

/// The user, password and address of a RabbitMQ that runs on this machine.
const LOCAL_RABBITMQ: &str = "amqp://guest:guest@127.0.0.1:5672//";

#[test]
#[ignore = "needs Python and its package index"]
fn the_tutorials_in_python_print_the_same_with_leveret_and_with_rabbitmq() {
    let Some(python) = Python::install() else {
        println!("SKIPPED: no Python 3 with the packages of tests/peers/requirements.txt");
        return;
    };
    let (mut listener, url) = start_listener();
    run_all(&python, "leveret", &url);
    listener.interrupt();
    match RabbitMq::find() {
        Some(rabbitmq) => run_all(&python, "RabbitMQ", &rabbitmq.url),
        None => println!("SKIPPED with RabbitMQ: none answers"),
    }
}

/// Starts the example `amqp_listener` on a free port. Returns it and its URL.
fn start_listener() -> (Process, String) {
    let mut target: PathBuf = env::current_exe().unwrap();
    // Steps up from `<target>/<profile>/deps/<this program>`.
    for _ in 0..3 {
        target.pop();
    }
    let mut cargo = Command::new(env!("CARGO"));
    // A build script that looks at what cargo tells this test would run again.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo.args([
        "run",
        "--quiet",
        "--all-features",
        "--example",
        "amqp_listener",
    ]);
    cargo.args([
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ]);
    cargo.arg("--target-dir").arg(target);
    cargo.args(["--", "--port", "0"]);
    let mut listener = Process::start("amqp_listener", &mut cargo);
    let line = listener.next_line();
    let (_, port) = line.rsplit_once(':').expect("it tells where it listens");
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    (listener, format!("amqp://guest:guest@127.0.0.1:{port}//"))
}

/// A RabbitMQ, which only one test at a time uses: the names of the queues are the same.
struct RabbitMq {
    url: String,
    _alone: MutexGuard<'static, ()>,
}

impl RabbitMq {
    /// One that answers.
    fn find() -> Option<RabbitMq> {
        static IN_USE: Mutex<()> = Mutex::new(());
        let url = match env::var("LEVERET_RABBITMQ") {
            Ok(url) => with_path(url),
            Err(_) => {
                let address = ("127.0.0.1", 5672).to_socket_addrs().ok()?.next()?;
                TcpStream::connect(address).ok()?;
                LOCAL_RABBITMQ.to_owned()
            }
        };
        // A test that has failed leaves queues behind, which the next one deletes.
        let alone = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        Some(RabbitMq { url, _alone: alone })
    }
}

/// The programs expect a path, which is the virtual host.
fn with_path(url: String) -> String {
    let address = url.split_once("://").map_or(&*url, |(_, address)| address);
    match address.split_once('/') {
        Some((_, path)) if !path.is_empty() => url,
        _ => format!("{}//", url.trim_end_matches('/')),
    }
}

#[test]
fn a_url_without_a_path_gets_the_one_of_the_default_virtual_host() {
    for url in [
        "amqp://guest:guest@host:5672",
        "amqp://guest:guest@host:5672/",
    ] {
        assert_eq!(with_path(url.to_owned()), "amqp://guest:guest@host:5672//");
    }
    for url in ["amqp://host//", "amqp://host/tests", "amqp://host/%2F"] {
        assert_eq!(with_path(url.to_owned()), url);
    }
}

fn run_all(python: &Python, broker: &str, url: &str) {
    clean(python, url);
    for tutorial in TUTORIALS {
        run(python, tutorial, url);
        println!("{broker}: {}", tutorial.name);
    }
    clean(python, url);
}

/// Deletes what the programs leave behind.
fn clean(python: &Python, url: &str) {
    let lines = Process::start("clean.py", &mut python.program("clean.py", &[], url)).finish();
    assert_eq!(lines, [""; 0]);
}

fn run(python: &Python, tutorial: &Tutorial, url: &str) {
    let servers = tutorial.servers.iter();
    let mut servers: Vec<_> = servers
        .map(|server| (server, start(python, server, url)))
        .collect();
    for (_, processes) in &mut servers {
        for process in processes {
            let ready = process.next_line();
            assert!(ready.starts_with("[*]"), "{}: {ready}", process.name());
        }
    }
    for client in tutorial.clients {
        check(python, client, url);
    }
    for (server, processes) in &mut servers {
        let mut printed: Vec<String> = Vec::new();
        while printed.len() < server.lines.len() {
            printed.push(Process::next_line_of(processes));
        }
        for process in processes.iter_mut() {
            printed.extend(process.interrupt());
        }
        assert_same(server.program, printed, server.lines);
    }
}

fn start(python: &Python, server: &Server, url: &str) -> Vec<Process> {
    let processes = server.processes.iter();
    processes
        .map(|arguments| {
            let mut program = python.program(server.program, arguments, url);
            Process::start(server.program, &mut program)
        })
        .collect()
}

fn check(python: &Python, client: &Client, url: &str) {
    let mut program = python.program(client.program, client.arguments, url);
    let printed = Process::start(client.program, &mut program).finish();
    assert_same(client.program, printed, client.lines);
}

fn assert_same(program: &str, mut printed: Vec<String>, expected: &[&str]) {
    let mut expected: Vec<_> = expected.iter().map(|line| (*line).to_owned()).collect();
    printed.sort();
    expected.sort();
    assert_eq!(printed, expected, "{program}");
}
