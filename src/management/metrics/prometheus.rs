//! The metrics as the text that Prometheus reads.

use super::{Kind, Labels, Samples, table::metrics};
use crate::management::snapshot::Snapshot;

impl Snapshot {
    /// The metrics of the broker as a text for Prometheus, with the names, types and labels of
    /// RabbitMQ's plugin, so that its dashboards show this broker too.
    ///
    /// Serve it at a path of your own with the content type `text/plain; version=0.0.4`. The page
    /// [`watching`](crate::guide::watching) lists the metrics, and those of RabbitMQ that are not
    /// here.
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Queue};
    ///
    /// let broker = Broker::new();
    /// broker.producer::<u32>(&Queue::new("q"))?.publish(7)?;
    /// let text = broker.snapshot()?.to_prometheus();
    /// assert!(text.contains("# TYPE rabbitmq_queue_messages_ready gauge\n"));
    /// assert!(text.contains(r#"rabbitmq_queue_messages_ready{vhost="/",queue="q"} 1"#));
    /// # Ok::<(), leveret::Error>(())
    /// ```
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        for metric in metrics() {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            let name = metric.name;
            text += &format!("# HELP {name} {}\n# TYPE {name} {kind}\n", metric.help);
            let mut take = |labels: Labels<'_>, value: f64| {
                text += name;
                write_labels(&mut text, labels);
                text += &format!(" {value}\n");
            };
            (metric.read)(self, &mut Samples { take: &mut take });
        }
        text
    }
}

fn write_labels(text: &mut String, labels: Labels<'_>) {
    for (index, (name, value)) in labels.iter().enumerate() {
        text.push(if index == 0 { '{' } else { ',' });
        text.push_str(name);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    if !labels.is_empty() {
        text.push('}');
    }
}
