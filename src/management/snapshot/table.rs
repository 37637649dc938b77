//! A snapshot as tables for a terminal.

use std::fmt::{self, Display};

use super::{Snapshot, VhostSnapshot};

/// Rows of cells, which become columns of equal width.
struct Table {
    /// How many columns at the left hold names. Numbers are aligned to the right.
    names: usize,
    rows: Vec<Vec<String>>,
}

/// A cell that tells nothing.
const NOTHING: &str = "-";

impl Table {
    fn new<const N: usize>(names: usize, titles: [&str; N]) -> Table {
        Table {
            names,
            rows: vec![titles.map(str::to_owned).to_vec()],
        }
    }

    fn row<const N: usize>(&mut self, cells: [&dyn Display; N]) {
        let cells = cells.map(|cell| plain(&cell.to_string()));
        self.rows.push(cells.to_vec());
    }

    /// Whether there is a row below the titles.
    fn has_rows(&self) -> bool {
        self.rows.len() > 1
    }
}

/// A name as one line of visible text.
fn plain(text: &str) -> String {
    match text.chars().any(char::is_control) {
        true => text.escape_debug().to_string(),
        false => text.to_owned(),
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let space = " ".repeat(width - cell.chars().count());
                if column > 0 {
                    line.push_str("  ");
                }
                match column < self.names {
                    true => line += &format!("{cell}{space}"),
                    false => line += &format!("{space}{cell}"),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// The queues, exchanges that were used, bindings, consumers, and connections of all virtual hosts.
/// Tables without rows are left out.
impl Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables = [queues, exchanges, bindings, consumers, connections];
        let tables = tables.map(|table| table(&self.vhosts));
        let mut first = true;
        for table in tables.iter().filter(|table| table.has_rows()) {
            if !std::mem::take(&mut first) {
                writeln!(f)?;
            }
            write!(f, "{table}")?;
        }
        Ok(())
    }
}

fn queues(vhosts: &[VhostSnapshot]) -> Table {
    let mut table = Table::new(
        3,
        [
            "vhost",
            "queue",
            "type",
            "ready",
            "unsettled",
            "delayed",
            "bytes",
            "consumers",
            "taken in",
            "acked",
            "redelivered",
            "dead letters",
            "dropped",
            "head age",
        ],
    );
    for vhost in vhosts {
        for queue in &vhost.queues {
            let age: &dyn Display = match queue.head_age {
                Some(age) => &format!("{:.1} s", age.as_secs_f64()),
                None => &NOTHING,
            };
            table.row([
                &vhost.name,
                &queue.name,
                &queue.queue_type,
                &queue.ready.messages,
                &queue.unsettled.messages,
                &queue.delayed.messages,
                &queue.bytes(),
                &queue.consumers,
                &queue.taken_in.messages,
                &queue.acked.messages,
                &queue.message_stats.redeliver,
                &queue.dead_lettered.messages,
                &queue.dropped_by.total(),
                age,
            ]);
        }
    }
    table
}

fn exchanges(vhosts: &[VhostSnapshot]) -> Table {
    let titles = ["vhost", "exchange", "type", "in", "out", "unroutable"];
    let mut table = Table::new(3, titles);
    for vhost in vhosts {
        let default = (&"(default)" as &dyn Display, &"direct" as &dyn Display);
        let default = (default, vhost.default_exchange);
        let others = vhost.exchanges.iter();
        let others = others.map(|it| {
            let names: (&dyn Display, &dyn Display) = (&it.name, &it.exchange_type);
            (names, it.message_stats)
        });
        let used = [default].into_iter().chain(others);
        for ((name, kind), stats) in used.filter(|(_, stats)| stats.publish_in > 0) {
            table.row([
                &vhost.name,
                name,
                kind,
                &stats.publish_in,
                &stats.publish_out,
                &(stats.drop_unroutable + stats.return_unroutable),
            ]);
        }
    }
    table
}

fn bindings(vhosts: &[VhostSnapshot]) -> Table {
    let titles = ["vhost", "source", "destination", "kind", "binding key"];
    let mut table = Table::new(5, titles);
    for vhost in vhosts {
        for binding in &vhost.bindings {
            let kind = if binding.to_queue {
                "queue"
            } else {
                "exchange"
            };
            table.row([
                &vhost.name,
                &binding.source,
                &binding.destination,
                &kind,
                &binding.routing_key,
            ]);
        }
    }
    table
}

fn consumers(vhosts: &[VhostSnapshot]) -> Table {
    let titles = [
        "vhost",
        "queue",
        "consumer",
        "delivered",
        "unsettled",
        "credit",
        "active",
    ];
    let mut table = Table::new(3, titles);
    for vhost in vhosts {
        for consumer in &vhost.consumers {
            let credit: &dyn Display = match &consumer.credit {
                Some(credit) => credit,
                None => &NOTHING,
            };
            table.row([
                &vhost.name,
                &consumer.queue,
                &consumer.consumer_tag,
                &consumer.delivered.messages,
                &consumer.unsettled.messages,
                credit,
                if consumer.active { &"yes" } else { &"no" },
            ]);
        }
    }
    table
}

/// The connections that a program has opened itself.
fn connections(vhosts: &[VhostSnapshot]) -> Table {
    let titles = ["vhost", "connection", "user", "channels", "unsettled"];
    let mut table = Table::new(3, titles);
    for vhost in vhosts {
        let connections = vhost.connections.iter();
        for connection in connections.filter(|connection| !connection.implicit) {
            let number = format!("#{}", connection.number);
            let name = match connection.name.as_str() {
                "" => &number,
                _ => &connection.name,
            };
            let channels = connection.channels.iter();
            table.row([
                &vhost.name,
                name,
                &connection.user,
                &connection.channels.len(),
                &channels.map(|it| it.messages_unsettled).sum::<u64>(),
            ]);
        }
    }
    table
}
