//! leveret, and the bare channel.

use std::time::Duration;

use super::{
    Rival, Skipped, cores,
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
        p50(latency::call(run, cores))
    }));
    rivals.push(Rival::new(
        "crossbeam-rpc",
        "leveret-rpc",
        None,
        move || p50(latency::raw_call(run, cores)),
    ));
    rivals
}

/// The median, in nanoseconds.
pub fn p50(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_nanos() as f64
}
