//! The floor: a message through the broker (published, routed, received, acknowledged) next to the same message through a bare
//! `crossbeam_channel::unbounded`, in the same process and in turn.
//!
//! Prints `floor,<shape>,<row>,<median ns per published message>,<throughput against the shape's first row>`. Shapes are `<producers>x<consumers>` threads.
//! Every round checks that nothing was lost and nothing came twice.
//!
//! `cargo bench --bench floor` measures; add `-- <shape> <row>` or either for those alone, `--messages <n>` or `--rounds <n>` for other
//! sizes. Without `--bench` (as under `cargo test --benches`), with `--quick` or with `LEVERET_QUICK` set it only checks, with few messages.

#[path = "floor/item.rs"]
mod item;
#[path = "floor/race.rs"]
mod race;
#[path = "floor/raw.rs"]
mod raw;
#[path = "floor/routed.rs"]
mod routed;

use std::{collections::HashSet, env, fmt::Display, sync::Arc, time::Duration};

use crate::item::{Msg, Plain};

/// The queues of the fanout.
const QUEUES: u64 = 10;

/// One line of the output.
struct Row {
    shape: &'static str,
    name: &'static str,
    /// Published in a round.
    messages: u64,
    run: Box<dyn Fn(u64) -> Duration>,
}

fn row(
    shape: &'static str,
    name: &'static str,
    messages: u64,
    run: impl Fn(u64) -> Duration + 'static,
) -> Row {
    Row {
        shape,
        name,
        messages,
        run: Box::new(run),
    }
}

/// The groups of rows that are run in turn; the first row of a group is its floor.
fn groups(messages: u64) -> Vec<Vec<Row>> {
    let mut groups = Vec::new();
    for (shape, producers, consumers) in
        [("1x1", 1, 1), ("4x4", 4, 4), ("4x1", 4, 1), ("1x4", 1, 4)]
    {
        groups.push(vec![
            row(shape, "raw-msg", messages, move |n| {
                raw::channel::<Msg>(n, producers, consumers)
            }),
            row(shape, "raw-arc", messages, move |n| {
                raw::channel::<Arc<Msg>>(n, producers, consumers)
            }),
            row(shape, "leveret", messages, move |n| {
                routed::direct::<Msg>(n, producers, consumers)
            }),
        ]);
    }
    groups[0].push(row("1x1", "leveret-topic", messages, routed::topic));
    groups.push(vec![
        row("1x1", "raw-plain", messages, |n| {
            raw::channel::<Plain>(n, 1, 1)
        }),
        row("1x1", "leveret-plain", messages, |n| {
            routed::direct::<Plain>(n, 1, 1)
        }),
    ]);
    groups.push(vec![
        row("1x10", "raw-fanout", messages / QUEUES, raw::fanout),
        row("1x10", "leveret-fanout", messages / QUEUES, routed::fanout),
    ]);
    groups
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

struct Options {
    messages: u64,
    rounds: usize,
    only: HashSet<String>,
}

impl Options {
    fn read() -> Options {
        let mut arguments = env::args().skip(1).peekable();
        let mut quick = env::var_os("LEVERET_QUICK").is_some();
        let mut bench = false;
        let (mut messages, mut rounds) = (None, None);
        let mut only = HashSet::new();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => bench = true,
                "--quick" => quick = true,
                "--messages" => messages = Some(number(&argument, arguments.next())),
                "--rounds" => rounds = Some(number(&argument, arguments.next())),
                // The test runner's own words mean nothing here.
                _ if argument.starts_with('-') => {}
                _ => {
                    only.insert(argument);
                }
            }
        }
        quick |= !bench;
        Options {
            // Every shape shares them out evenly.
            messages: messages
                .unwrap_or(if quick { 4_000 } else { 400_000 })
                .next_multiple_of(40),
            rounds: rounds.unwrap_or(if quick { 1 } else { 11 }) as usize,
            only,
        }
    }

    fn wants(&self, row: &Row) -> bool {
        let is = |text: &String| row.shape == text || row.name == text;
        self.only.iter().all(is)
    }
}

fn number(option: &impl Display, value: Option<String>) -> u64 {
    match value.as_deref().map(str::parse) {
        Some(Ok(number)) if number > 0 => number,
        _ => panic!("{option} needs a number above 0"),
    }
}

fn main() {
    let options = Options::read();
    for group in groups(options.messages) {
        let floor = &group[0];
        if !group.iter().any(|row| options.wants(row)) {
            continue;
        }
        // The floor is always among them.
        let rows: Vec<&Row> = [floor]
            .into_iter()
            .chain(group.iter().skip(1).filter(|row| options.wants(row)))
            .collect();
        let mut times = vec![Vec::new(); rows.len()];
        for _ in 0..options.rounds {
            for (row, times) in rows.iter().zip(&mut times) {
                let time = (row.run)(row.messages);
                times.push(time.as_nanos() as f64 / row.messages as f64);
            }
        }
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        for (row, time) in rows.iter().zip(&medians) {
            println!(
                "floor,{},{},{time:.1},{:.2}",
                row.shape,
                row.name,
                medians[0] / time
            );
        }
    }
}
