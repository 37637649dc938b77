//! The floor bench: compares a message through the broker (published, routed, received,
//! acknowledged) with the same message through a bare `crossbeam_channel::unbounded`. Both run in
//! the same process, in turn. Every round checks that no message was lost or received twice.
//!
//! The bench prints a line for each row, and the same rows as a table at the end:
//! `floor,<shape>,<row>,<median>,<ratio>,<goal>,<met|missed>,<near|far>`
//!
//! - A *shape* is a group of rows that run in turn: `<producers>x<consumers>` threads, or a name.
//!   The first row of a shape is its floor.
//! - The *median* of all rounds is in nanoseconds per published message. In the `-p50` and `-p99`
//!   rows it is the time from publish to receive.
//! - The *ratio* is the throughput divided by the floor's throughput: 2.00 is twice as fast. In the
//!   `-p50` and `-p99` rows it is the time divided by the floor's time: 2.00 is twice as slow.
//! - The *goal*, `>=` or `<=`, is for the ratio. A `-` means no goal.
//! - *near* and *far* are the distance of the two cores, see below.
//!
//! A row `leveret-to-kanal` compares the row `leveret` with the row `kanal` instead of the floor.
//!
//! `cargo bench --features amqp --bench floor` measures all rows. `-- <shape> <row>`, or one of
//! both, selects rows. `--messages <n>` and `--rounds <n>` set other sizes. Without `--bench` (as
//! under `cargo test --bench floor`), with `--quick` or with `LEVERET_QUICK` set, the bench only
//! checks, with few messages.
//!
//! Many short rounds give better medians than a few long ones. On a virtual machine the distance
//! between two cores changes several times in a second, or every few seconds. A cache line then
//! takes 30 to 120 ns to the other core and back, or 300 to 500 ns. Each distance has medians and
//! verdicts of its own. A group that has had only one of them waits a few seconds for the other
//! one. The end of the output names the groups that have not had both. A round in which other
//! processes used more than a tenth of a core runs again, a few times at most.
//!
//! The bench `memory` measures memory, so that its counting does not disturb these times.

#[path = "floor/channel.rs"]
mod channel;
#[path = "floor/cores.rs"]
mod cores;
#[path = "floor/exchanges.rs"]
mod exchanges;
#[path = "floor/group.rs"]
mod group;
#[path = "floor/headers_lookup.rs"]
mod headers_lookup;
#[path = "floor/item.rs"]
mod item;
#[path = "floor/kanal.rs"]
mod kanal;
#[path = "floor/latency.rs"]
mod latency;
#[path = "floor/logs.rs"]
mod logs;
#[path = "floor/options.rs"]
mod options;
#[path = "floor/others.rs"]
mod others;
#[path = "floor/plain_trie.rs"]
mod plain_trie;
#[path = "floor/queues.rs"]
mod queues;
#[path = "floor/quorum.rs"]
mod quorum;
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
#[path = "floor/snapshots.rs"]
mod snapshots;
#[path = "floor/streams.rs"]
mod streams;
#[path = "floor/topic_lookup.rs"]
mod topic_lookup;
#[cfg(feature = "amqp")]
#[path = "floor/wire.rs"]
mod wire;

pub use self::options::Options;
use self::report::Report;

/// The number of queues of the fanout.
const QUEUES: u64 = 10;

pub fn main() {
    measure(Options::read());
}

/// Measures the selected rows.
pub fn measure(options: Options) {
    let mut report = Report::new(options.quick);
    for groups in [
        streams::groups,
        exchanges::groups,
        topic_lookup::groups,
        headers_lookup::groups,
        queues::groups,
        quorum::groups,
        logs::groups,
        channel::groups,
        latency::groups,
        snapshots::groups,
    ] {
        for group in groups(&options) {
            group.run(&options, &mut report);
        }
    }
    #[cfg(feature = "amqp")]
    for group in wire::groups(&options) {
        group.run(&options, &mut report);
    }
    report.close();
}
