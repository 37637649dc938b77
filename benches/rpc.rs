//! The RPC bench: compares a call with the same call by hand, through two crossbeam channels: one
//! for the requests, and one for the reply, which travels with its request. Both run in the same
//! process, in turn, between two threads that stay on cores of their own.
//!
//! The lines, the table and the options are those of the bench `floor`. In the *hot* rows the next
//! call follows at once. By hand, both threads look at their channels again and again there, and
//! never sleep: a `recv` gives up after a while, and what it takes then is mostly the system's time
//! to wake a thread. leveret waits in its own way, as it does in every program. So the floor is a
//! call between two threads that burn their cores. In the *idle* rows both threads have slept
//! before each call, and both sides wait as their programs do: by hand with `recv`. Most of the
//! time is the system's time to wake a core. The rows `calls` compare the throughput of many
//! callers.
//!
//! - `short`: [`leveret::rpc::serve`] and [`leveret::rpc::client`].
//! - `endpoint`: a server of a topic with an endpoint, and a method by its name.

#[path = "floor/cores.rs"]
mod cores;
#[path = "floor/group.rs"]
mod group;
#[path = "floor/options.rs"]
mod options;
#[path = "floor/others.rs"]
mod others;
#[path = "floor/report.rs"]
mod report;

use std::{
    hint,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use core_affinity::CoreId;
use crossbeam_channel::{Receiver, RecvError, Sender, TryRecvError, bounded, unbounded};
use leveret::{
    Broker,
    rpc::{Client, Endpoint, Server, Target},
    worker::StopHandle,
};

use self::{cores::pinned, group::Group, options::Options, report::Report};

/// The pause of both threads before each call of the idle rows. It is long enough for their
/// spinning to end and for their cores to sleep.
const REST: Duration = Duration::from_millis(2);

/// One run: a number of calls, with a pause before each.
#[derive(Clone, Copy)]
struct Run {
    calls: u64,
    rest: Option<Duration>,
}

impl Run {
    /// Makes all calls. Returns the time of each.
    fn times(self, call: impl Fn(u64) -> u64) -> Vec<Duration> {
        let mut times = Vec::with_capacity(self.calls as usize);
        for id in 1..=self.calls {
            if let Some(rest) = self.rest {
                thread::sleep(rest);
            }
            let began = Instant::now();
            let reply = call(id);
            times.push(began.elapsed());
            assert_eq!(reply, id + 1);
        }
        times
    }

    /// Receives by hand. A hot run looks for a message for longer than any call takes, before it
    /// sleeps.
    fn receive<T>(self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        let looks = if self.rest.is_none() { LOOKS } else { 0 };
        for _ in 0..looks {
            match receiver.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Disconnected) => return Err(RecvError),
                Err(TryRecvError::Empty) => hint::spin_loop(),
            }
        }
        receiver.recv()
    }
}

/// How often a hot run looks for a message. It takes some milliseconds.
const LOOKS: u32 = 1_000_000;

fn raw(run: Run, cores: [CoreId; 2]) -> Vec<Duration> {
    let (request, requests) = unbounded::<(u64, Sender<u64>)>();
    let serve = move || {
        while let Ok((id, reply)) = run.receive(&requests) {
            reply.send(id + 1).expect("the caller is there");
        }
    };
    pinned(cores, serve, move || {
        run.times(|id| {
            let (reply, replies) = bounded(1);
            request.send((id, reply)).expect("the server is there");
            run.receive(&replies).expect("the server is there")
        })
    })
}

fn target(short: bool) -> Target {
    match short {
        true => Target::queue("increment"),
        false => Target::topic("numbers"),
    }
}

fn server(broker: &Broker, short: bool) -> Server {
    let name = if short { "" } else { "increment" };
    let endpoint = Endpoint::new().method(name, |id: u64, _| id + 1);
    Server::new(broker, target(short)).endpoint(endpoint)
}

/// A client whose server is there.
fn client(broker: &Broker, short: bool) -> Client {
    let client = Client::new(broker, target(short));
    while client.ping().is_err() {
        thread::yield_now();
    }
    client
}

fn leveret(run: Run, cores: [CoreId; 2], short: bool) -> Vec<Duration> {
    let broker = Broker::new();
    let server = server(&broker, short);
    let (started, is_started) = mpsc::channel::<StopHandle>();
    let serve = move || {
        let started = |stop| started.send(stop).expect("the caller is there");
        server.run(started).expect("the broker is there");
    };
    pinned(cores, serve, move || {
        let stop = is_started.recv().expect("the server starts");
        let client = client(&broker, short);
        let times = match short {
            true => run.times(|id| client.call("", id).expect("the server is there")),
            false => run.times(|id| client.call("increment", id).expect("the server is there")),
        };
        stop.stop();
        times
    })
}

/// The callers of the rows of throughput.
const CALLERS: u64 = 8;

fn raw_calls(calls: u64) -> Duration {
    let (request, requests) = unbounded::<(u64, Sender<u64>)>();
    let serve = move || {
        for (id, reply) in requests {
            reply.send(id + 1).expect("the caller is there");
        }
    };
    let server = thread::spawn(serve);
    let time = callers(calls, || {
        let request = request.clone();
        move |id| {
            let (reply, replies) = bounded(1);
            request.send((id, reply)).expect("the server is there");
            replies.recv().expect("the server is there")
        }
    });
    drop(request);
    server.join().expect("a thread panicked");
    time
}

fn leveret_calls(calls: u64) -> Duration {
    let broker = Broker::new();
    let server = server(&broker, true).spawn().expect("the broker is there");
    let time = callers(calls, || {
        let client = client(&broker, true);
        move |id| client.call("", id).expect("the server is there")
    });
    drop(server);
    time
}

fn callers<F: Fn(u64) -> u64 + Send + 'static>(calls: u64, caller: impl Fn() -> F) -> Duration {
    let callers: Vec<F> = (0..CALLERS).map(|_| caller()).collect();
    let began = Instant::now();
    let threads = callers.into_iter().map(|call| {
        thread::spawn(move || {
            for id in 0..calls / CALLERS {
                assert_eq!(call(id), id + 1);
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().expect("a thread panicked");
    }
    began.elapsed()
}

fn groups(options: &Options) -> Vec<Group> {
    let calls = options.messages / 8;
    let mut groups = vec![
        Group::throughput("calls")
            .row("raw", None, calls, raw_calls)
            .row("short", None, calls, leveret_calls),
    ];
    // The run pins its two threads to two cores, so it needs them.
    let Some(cores) = cores::two() else {
        println!("no latency rows: they need two cores, and threads that can be pinned");
        return groups;
    };
    let regimes = [
        ("hot", options.size(200, 20_000), None, 1.5),
        ("idle", options.size(5, 100), Some(REST), 1.15),
    ];
    for (regime, calls, rest, goal) in regimes {
        let run = Run { calls, rest };
        groups.push(
            Group::latency(regime)
                .times("raw", None, move || raw(run, cores))
                .times("short", Some(goal), move || leveret(run, cores, true))
                .times("endpoint", Some(goal), move || leveret(run, cores, false)),
        );
    }
    groups
}

fn main() {
    let options = Options::read();
    let mut report = Report::new(options.quick);
    for group in groups(&options) {
        group.run(&options, &mut report);
    }
    report.close();
}
