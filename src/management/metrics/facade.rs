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

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::{collections::BTreeMap, sync::Arc, sync::Mutex, sync::PoisonError};

    use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, Recorder, SharedString};

    use super::*;
    use crate::{Broker, Queue};

    type Values = Arc<Mutex<BTreeMap<String, f64>>>;

    #[derive(Clone)]
    struct Kept(Values);

    /// One metric of the recorder.
    struct One(String, Values);

    impl One {
        fn set_to(&self, value: f64) {
            let mut values = self.1.lock().unwrap_or_else(PoisonError::into_inner);
            values.insert(self.0.clone(), value);
        }
    }

    impl CounterFn for One {
        fn increment(&self, _: u64) {
            panic!("counters are absolute");
        }

        fn absolute(&self, value: u64) {
            self.set_to(value as f64);
        }
    }

    impl GaugeFn for One {
        fn increment(&self, _: f64) {
            panic!("gauges are set");
        }

        fn decrement(&self, _: f64) {
            panic!("gauges are set");
        }

        fn set(&self, value: f64) {
            self.set_to(value);
        }
    }

    impl Kept {
        fn one(&self, key: &Key) -> Arc<One> {
            let labels = key
                .labels()
                .map(|label| format!(",{}={}", label.key(), label.value()));
            let name = format!("{}{}", key.name(), labels.collect::<String>());
            Arc::new(One(name, Arc::clone(&self.0)))
        }
    }

    impl Recorder for Kept {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
            panic!("there is no histogram");
        }

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.one(key))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.one(key))
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            panic!("there is no histogram");
        }
    }

    #[test]
    fn a_recorder_gets_the_samples_of_the_text() {
        let broker = Broker::new();
        let producer = broker.producer::<u32>(&Queue::new("q")).unwrap();
        (0..3).for_each(|number| drop(producer.publish(number)));
        let snapshot = broker.snapshot().unwrap();
        let values = Values::default();
        metrics::with_local_recorder(&Kept(Arc::clone(&values)), || snapshot.record_metrics());
        let values = values.lock().unwrap();
        assert_eq!(values["rabbitmq_queue_messages_ready,vhost=/,queue=q"], 3.0);
        assert_eq!(
            values["rabbitmq_global_messages_received_total,protocol=amqp091"],
            3.0
        );
        let text = snapshot.to_prometheus();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(values.len(), samples.count());
    }
}
