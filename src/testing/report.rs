//! The text of a failed assertion: the publishes that there are instead, with the nearest match.

use std::{fmt, fmt::Write};

use super::publish_record::PublishRecord;
use crate::model::error::CodecError;

/// The publishes that an assertion is not about.
#[derive(Debug)]
pub(super) struct Report {
    exchange: String,
    routing_key: String,
    others: Vec<OtherPublish>,
}

#[derive(Debug)]
struct OtherPublish {
    record: PublishRecord,
    difference: Difference,
    /// The number of letters that differ.
    distance: usize,
}

/// In which way a publish does not match. The nearest comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    Payload(String),
    Outcome,
    RoutingKey,
    Exchange,
    Both,
}

/// How many publishes a text has at most.
const MOST: usize = 20;

impl Report {
    pub(super) fn new(exchange: &str, routing_key: &str) -> Report {
        Report {
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            others: Vec::new(),
        }
    }

    /// Adds a publish, with the reason why its payload does not match, if only that does not.
    pub(super) fn add(&mut self, record: PublishRecord, payload: Option<CodecError>) {
        let exchange = distance(record.exchange(), &self.exchange);
        let routing_key = distance(record.routing_key(), &self.routing_key);
        let difference = match (exchange, routing_key, payload) {
            (0, 0, Some(error)) => Difference::Payload(error.to_string()),
            (0, 0, None) => Difference::Outcome,
            (0, ..) => Difference::RoutingKey,
            (_, 0, _) => Difference::Exchange,
            _ => Difference::Both,
        };
        self.others.push(OtherPublish {
            record,
            difference,
            distance: exchange + routing_key,
        });
    }

    /// The text of these publishes, which match, and of the others.
    pub(super) fn after<'a>(&self, found: impl Iterator<Item = &'a PublishRecord>) -> String {
        let mut text = String::new();
        let found: Vec<String> = found.map(ToString::to_string).collect();
        list(&mut text, "published there:", &found);
        let nearest = self
            .others
            .iter()
            .min_by_key(|other| (&other.difference, other.distance));
        if let Some(nearest) = nearest.filter(|_| found.is_empty()) {
            let _ = writeln!(text, "nearest: {}", nearest.record);
            let _ = writeln!(text, "         {}", nearest.difference);
        }
        let others: Vec<String> = self
            .others
            .iter()
            .map(|other| other.record.to_string())
            .collect();
        list(&mut text, "published elsewhere:", &others);
        if text.is_empty() {
            text.push_str("nothing was published\n");
        }
        text
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Payload(error) => write!(f, "the payload differs: {error}"),
            Difference::Outcome => f.write_str("the publish has not succeeded"),
            Difference::RoutingKey => f.write_str("the routing key differs"),
            Difference::Exchange => f.write_str("the exchange differs"),
            Difference::Both => f.write_str("the exchange and the routing key differ"),
        }
    }
}

/// Lists publishes under a title, if there are any.
pub(super) fn list(text: &mut String, title: &str, publishes: &[String]) {
    if publishes.is_empty() {
        return;
    }
    let _ = writeln!(text, "{title}");
    for (number, publish) in (1..).zip(publishes).take(MOST) {
        let _ = writeln!(text, "  {number}. {publish}");
    }
    if let Some(more) = publishes.len().checked_sub(MOST).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more");
    }
}

/// How many letters must be added, removed or replaced to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, with) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *with);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_texts_counts_their_letters() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("new", "new"), 0);
        assert_eq!(distance("nwe", "new"), 2);
        assert_eq!(distance("", "new"), 3);
        assert_eq!(distance("orders", "order"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
