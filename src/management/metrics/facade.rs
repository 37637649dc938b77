//! The metrics for the recorder of the crate metrics.

use metrics::{Key, KeyName, Label, Level, Metadata, Unit};

use super::{Kind, Labels, Samples, table};
use crate::management::snapshot::Snapshot;

impl Snapshot {
    /// Gives the metrics of the broker to the recorder of the crate `metrics`, with the names and
    /// labels of [`to_prometheus`](Self::to_prometheus). Without a recorder nothing happens. Needs
    /// the feature `metrics`.
    ///
    /// Publishing and receiving count nothing for it: call this every few seconds.
    ///
    /// # Examples
    /// ```
    /// use leveret::Broker;
    /// use std::time::Duration;
    ///
    /// let broker = Broker::new();
    /// let ticks = broker.every(Duration::from_millis(1)).max_runs(3).ticks()?;
    /// for _ in ticks.iter() {
    ///     broker.snapshot()?.record_metrics();
    /// }
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn record_metrics(&self) {
        metrics::with_recorder(|recorder| {
            describe(recorder);
            for metric in table::metrics() {
                let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
                let mut take = |labels: Labels<'_>, value: f64| {
                    let labels = labels.iter();
                    let labels = labels.map(|(name, value)| Label::new(*name, (*value).to_owned()));
                    let key = Key::from_parts(metric.name, labels.collect::<Vec<_>>());
                    match metric.kind {
                        Kind::Counter => {
                            recorder
                                .register_counter(&key, &metadata)
                                .absolute(value as u64);
                        }
                        Kind::Gauge => recorder.register_gauge(&key, &metadata).set(value),
                    }
                };
                (metric.read)(self, &mut Samples { take: &mut take });
            }
        });
    }
}

fn describe(recorder: &dyn metrics::Recorder) {
    for metric in table::metrics() {
        let (name, help) = (KeyName::from_const_str(metric.name), metric.help.into());
        let unit = match metric.name {
            name if name.contains("_bytes") => Some(Unit::Bytes),
            name if name.ends_with("_seconds") => Some(Unit::Seconds),
            _ => None,
        };
        match metric.kind {
            Kind::Counter => recorder.describe_counter(name, unit, help),
            Kind::Gauge => recorder.describe_gauge(name, unit, help),
        }
    }
}
