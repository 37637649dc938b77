//! leveret, and the bare channel.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use core_affinity::CoreId;
use leveret::{
    Broker,
    rpc::{Client, Endpoint, Server, Target},
    worker::StopHandle,
};

use super::{
    REST, Rival, Skipped,
    cores::{self, pinned},
    item::Msg,
    latency::{self, Run},
    options::Options,
    raw, routed,
};

pub fn rivals(options: &Options, skipped: &mut Skipped) -> Vec<Rival> {
    let messages = options.messages;
    let each = move |time: Duration| time.as_nanos() as f64 / messages as f64;
    let mut rivals = vec![
        Rival::new("leveret", "leveret", None, move || {
            each(routed::direct::<Msg>(messages, 1, 1))
        }),
        Rival::new("leveret-bytes", "leveret-bytes", None, move || {
            each(routed::direct::<Vec<u8>>(messages, 1, 1))
        }),
        Rival::new("crossbeam", "leveret", None, move || {
            each(raw::channel::<Msg>(messages, 1, 1))
        }),
        Rival::new("crossbeam-bytes", "leveret-bytes", None, move || {
            each(raw::channel::<Vec<u8>>(messages, 1, 1))
        }),
    ];
    let Some(cores) = cores::two() else {
        skipped.push("leveret-rpc: needs two cores, and threads that can be pinned".into());
        return rivals;
    };
    let run = Run {
        messages: options.size(100, 20_000),
        rest: None,
    };
    rivals.push(Rival::new("leveret-rpc", "leveret-rpc", None, move || {
        p50(call(run, cores))
    }));
    let woken = Run {
        messages: options.size(5, 200),
        rest: Some(REST),
    };
    rivals.push(Rival::new(
        "leveret-rpc-woken",
        "leveret-rpc-woken",
        None,
        move || p50(call(woken, cores)),
    ));
    rivals.push(Rival::new(
        "crossbeam-rpc",
        "leveret-rpc",
        None,
        move || p50(latency::raw_call(run, cores)),
    ));
    rivals
}

/// Calls through `leveret::rpc`.
fn call(run: Run, cores: [CoreId; 2]) -> Vec<Duration> {
    let broker = Broker::new();
    let target = Target::topic("numbers");
    let endpoint = Endpoint::new().method("id", |id: u64, _| id);
    let server = Server::new(&broker, target.clone()).endpoint(endpoint);
    let (started, is_started) = mpsc::channel::<StopHandle>();
    let serve = move || {
        let started = |stop| started.send(stop).expect("the caller is there");
        server.run(started).expect("the broker is there");
    };
    pinned(cores, serve, move || {
        let stop = is_started.recv().expect("the server starts");
        let client = Client::new(&broker, target);
        while client.ping().is_err() {
            thread::yield_now();
        }
        let mut times = Vec::with_capacity(run.messages as usize);
        for id in 0..run.messages {
            if let Some(rest) = run.rest {
                thread::sleep(rest);
            }
            let began = Instant::now();
            let reply = client.call::<u64>("id", id);
            times.push(began.elapsed());
            assert_eq!(reply.expect("the server is there"), id);
        }
        stop.stop();
        times
    })
}

/// The median, in nanoseconds.
pub fn p50(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_nanos() as f64
}
