//! The scaling bench: the time of a message against the number of producers, consumers, queues,
//! bindings and waiting messages, and against the size of a payload. Where a bare channel can do
//! the same, its curve is next to leveret's.
//!
//! The bench prints `scaling,<against>,<series>,<x>,<median ns per message>` and draws the curves
//! in `benches/scaling.svg`.
//!
//! `cargo bench --bench scaling` measures. `--rounds <n>` and `--messages <n>` work as in the floor
//! bench. Without `--bench`, with `--quick` or with `LEVERET_QUICK` set, the bench only checks,
//! with few messages, and draws into the target directory.

#[path = "floor/cores.rs"]
#[allow(dead_code, reason = "the floor bench uses it")]
mod cores;
#[path = "scaling/curves.rs"]
mod curves;
#[path = "floor/exchanges.rs"]
#[allow(dead_code, reason = "the floor bench uses the rest")]
mod exchanges;
#[path = "floor/group.rs"]
#[allow(dead_code, reason = "the floor bench uses it")]
mod group;
#[path = "floor/item.rs"]
#[allow(dead_code, reason = "the floor bench uses the rest")]
mod item;
#[path = "floor/options.rs"]
#[allow(dead_code, reason = "the floor bench uses the rest")]
mod options;
#[path = "floor/others.rs"]
#[allow(dead_code, reason = "the floor bench uses it")]
mod others;
#[path = "floor/queues.rs"]
#[allow(dead_code, reason = "the floor bench uses the rest")]
mod queues;
#[path = "floor/race.rs"]
mod race;
#[path = "floor/raw.rs"]
#[allow(dead_code, reason = "the floor bench uses the rest")]
mod raw;
#[path = "floor/report.rs"]
#[allow(dead_code, reason = "the floor bench uses it")]
mod report;
#[path = "floor/routed.rs"]
#[allow(dead_code, reason = "the floor bench uses the rest")]
mod routed;
#[path = "scaling/svg.rs"]
mod svg;

use std::{fs, path::Path};

use self::options::Options;

/// The number of queues of the floor bench's fanout.
const QUEUES: u64 = 10;

fn main() {
    let options = Options::read();
    let mut panels = Vec::new();
    for curve in curves::all(&options) {
        let panel = curve.measure(options.rounds.min(5));
        for series in &panel.series {
            for (x, time) in &series.points {
                println!("scaling,{},{},{x},{time:.1}", panel.title, series.name);
            }
        }
        panels.push(panel);
    }
    let folder = match options.quick {
        true => env!("CARGO_TARGET_TMPDIR"),
        false => concat!(env!("CARGO_MANIFEST_DIR"), "/benches"),
    };
    let path = Path::new(folder).join("scaling.svg");
    fs::write(&path, svg::draw(&panels)).expect("the folder is there");
    println!("drawn: {}", path.display());
}
