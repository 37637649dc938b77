//! The metrics of a broker, with the names, types and labels of RabbitMQ's Prometheus plugin.
//!
//! `table` lists them, each with a function that reads it from a snapshot. `prometheus` writes
//! them as text, and `facade` gives them to the recorder of the crate metrics.

#[cfg(feature = "metrics")]
mod facade;
mod prometheus;
mod table;

use super::snapshot::Snapshot;

/// A metric: what it is, and how to read it.
struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    read: fn(&Snapshot, &mut Samples<'_>),
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It only rises.
    Counter,
    Gauge,
}

/// The labels of a sample. The names are fixed.
type Labels<'a> = &'a [(&'static str, &'a str)];

/// Takes the samples of a metric.
struct Samples<'a> {
    take: &'a mut dyn FnMut(Labels<'_>, f64),
}

impl Samples<'_> {
    fn add(&mut self, labels: Labels<'_>, value: impl Value) {
        (self.take)(labels, value.into_f64());
    }
}

/// A value of a sample. Numbers over 2^53 lose their last digits, as in Prometheus.
trait Value {
    fn into_f64(self) -> f64;
}

impl Value for u64 {
    fn into_f64(self) -> f64 {
        self as f64
    }
}

impl Value for usize {
    fn into_f64(self) -> f64 {
        self as f64
    }
}

impl Value for f64 {
    fn into_f64(self) -> f64 {
        self
    }
}

impl Value for bool {
    fn into_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
}
