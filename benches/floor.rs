//! The floor: a message through the broker (published, routed, received, acknowledged) next to the same message through a bare
//! `crossbeam_channel::unbounded`, in the same process and in turn. Every round checks that nothing was lost and nothing came twice.
//!
//! Prints a line for each row, and the same as a table at the end:
//! `floor,<shape>,<row>,<median>,<ratio>,<goal>,<met|missed>`
//!
//! - A *shape* is a group of rows that are run in turn: `<producers>x<consumers>` threads, or a name. Its first row is its floor.
//! - The *median* over all rounds is in nanoseconds: per published message, or in the `-p50` and `-p99` rows from here to there.
//! - The *ratio* is throughput against the floor's: 2.00 is twice as fast. In the `-p50` and `-p99` rows it is the time against
//!   the floor's: 2.00 is twice as slow. The *goal*, `>=` or `<=`, is for the ratio; `-` is none.
//!
//! `cargo bench --bench floor` measures; add `-- <shape> <row>` or either for those alone, `--messages <n>` or `--rounds <n>` for other
//! sizes. Without `--bench` (as under `cargo test --bench floor`), with `--quick` or with `LEVERET_QUICK` set it only checks, with few
//! messages. Many short rounds tell more than few long ones: on a virtual machine the distance between two cores changes several times
//! in a second (the table says what it was). A round during which other processes used more than a tenth of a core is run again, a few times at most.
//!
//! Memory has a bench of its own, `memory`, in which counting does not disturb the clock.

#[path = "floor/channel.rs"]
mod channel;
#[path = "floor/cores.rs"]
mod cores;
#[path = "floor/exchanges.rs"]
mod exchanges;
#[path = "floor/group.rs"]
mod group;
#[path = "floor/item.rs"]
mod item;
#[path = "floor/latency.rs"]
mod latency;
#[path = "floor/options.rs"]
mod options;
#[path = "floor/others.rs"]
mod others;
#[path = "floor/plain_trie.rs"]
mod plain_trie;
#[path = "floor/queues.rs"]
mod queues;
#[path = "floor/race.rs"]
mod race;
#[path = "floor/raw.rs"]
mod raw;
#[path = "floor/report.rs"]
mod report;
#[path = "floor/routed.rs"]
mod routed;
#[path = "floor/selective.rs"]
mod selective;
#[path = "floor/streams.rs"]
mod streams;
#[path = "floor/topic_lookup.rs"]
mod topic_lookup;

use self::{options::Options, report::Report};

/// The queues of the fanout.
const QUEUES: u64 = 10;

pub fn main() {
    let options = Options::read();
    let mut report = Report::new(options.quick);
    for groups in [
        streams::groups,
        exchanges::groups,
        topic_lookup::groups,
        queues::groups,
        channel::groups,
        latency::groups,
    ] {
        for group in groups(&options) {
            group.run(&options, &mut report);
        }
    }
    report.close();
}
