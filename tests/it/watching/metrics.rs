//! The metrics, beside those of RabbitMQ's plugin and of its overview dashboard.

use std::collections::{BTreeMap, BTreeSet};

use leveret::{Broker, Exchange, ManualClock, Message, Queue};

/// The metrics of RabbitMQ 4.3.6 with their types, recorded.
const RECORDED: &str = include_str!("rabbitmq-metrics.txt");

/// What Grafana's dashboard 10991, "RabbitMQ-Overview", asks for, and applies.
const OVERVIEW: &[&str] = &[
    "rabbitmq_build_info",
    "rabbitmq_channels",
    "rabbitmq_channels_closed_total",
    "rabbitmq_channels_opened_total",
    "rabbitmq_connections",
    "rabbitmq_connections_closed_total",
    "rabbitmq_connections_opened_total",
    "rabbitmq_erlang_uptime_seconds",
    "rabbitmq_global_consumers",
    "rabbitmq_global_messages_acknowledged_total",
    "rabbitmq_global_messages_confirmed_total",
    "rabbitmq_global_messages_delivered_consume_auto_ack_total",
    "rabbitmq_global_messages_delivered_consume_manual_ack_total",
    "rabbitmq_global_messages_delivered_get_auto_ack_total",
    "rabbitmq_global_messages_delivered_get_manual_ack_total",
    "rabbitmq_global_messages_delivered_total",
    "rabbitmq_global_messages_get_empty_total",
    "rabbitmq_global_messages_received_confirm_total",
    "rabbitmq_global_messages_received_total",
    "rabbitmq_global_messages_redelivered_total",
    "rabbitmq_global_messages_routed_total",
    "rabbitmq_global_messages_unroutable_dropped_total",
    "rabbitmq_global_messages_unroutable_returned_total",
    "rabbitmq_global_publishers",
    "rabbitmq_identity_info",
    "rabbitmq_queue_messages_ready",
    "rabbitmq_queue_messages_unacked",
    "rabbitmq_queues",
    "rabbitmq_queues_created_total",
    "rabbitmq_queues_declared_total",
    "rabbitmq_queues_deleted_total",
];

/// What it asks for besides, of a broker with a folder.
const OVERVIEW_DURABLE: &[&str] = &[
    "rabbitmq_disk_space_available_bytes",
    "rabbitmq_disk_space_available_limit_bytes",
];

/// Metrics of RabbitMQ that are not here, by the beginning of their names, with the reason.
const NOT_HERE: &[(&str, &[&str])] = &[
    (
        "the process is the program's, whose exporter tells of it",
        &[
            "rabbitmq_process_",
            "rabbitmq_resident_memory_limit_bytes",
            "rabbitmq_alarms_memory_used_watermark",
        ],
    ),
    (
        "there is no Erlang and no cluster",
        &[
            "rabbitmq_erlang_gc_",
            "rabbitmq_erlang_net_",
            "rabbitmq_erlang_processes_",
            "rabbitmq_erlang_scheduler_",
            "rabbitmq_raft_",
            "rabbitmq_schema_db_",
            "rabbitmq_unreachable_cluster_peers_count",
            "rabbitmq_cluster_exchange_name",
            "rabbitmq_channel_process_reductions_total",
            "rabbitmq_connection_process_reductions_total",
            "rabbitmq_queue_process_",
            "rabbitmq_channel_prefetch",
            "rabbitmq_consumer_prefetch",
        ],
    ),
    ("there is no socket", &["rabbitmq_connection_"]),
    (
        "the store counts otherwise, in StoreSnapshot",
        &[
            "rabbitmq_io_",
            "rabbitmq_msg_store_",
            "rabbitmq_queue_index_",
            "rabbitmq_queue_disk_",
            "rabbitmq_queue_messages_ram",
            "rabbitmq_queue_messages_ready_ram",
            "rabbitmq_queue_messages_unacked_ram",
            "rabbitmq_queue_messages_persistent",
            "rabbitmq_stream_segments",
        ],
    ),
    (
        "counting it would cost each message",
        &[
            "rabbitmq_message_size_bytes",
            "rabbitmq_queue_consumer_capacity",
            "rabbitmq_queue_consumer_utilisation",
            "rabbitmq_queue_exchange_messages_published_total",
            "rabbitmq_exchange_messages_confirmed_total",
            "rabbitmq_global_messages_dead_lettered_confirmed_total",
        ],
    ),
    ("logins are not counted", &["rabbitmq_auth_attempts"]),
];

struct Text {
    /// The type of each metric.
    types: BTreeMap<String, String>,
    /// The samples: name and labels, and the value.
    samples: BTreeMap<String, f64>,
}

/// Reads the text as Prometheus does, strictly.
fn parse(text: &str) -> Text {
    let (mut types, mut samples) = (BTreeMap::new(), BTreeMap::new());
    let mut current = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(
                types.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{name} twice"
            );
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            current = name;
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            assert_eq!(name, current, "the samples of a metric are together");
            let value: f64 = value.parse().unwrap();
            assert!(
                samples.insert(sample.to_owned(), value).is_none(),
                "{sample} twice"
            );
        }
    }
    Text { types, samples }
}

fn metrics(broker: &Broker) -> Text {
    parse(&broker.snapshot().unwrap().to_prometheus())
}

#[test]
fn every_metric_of_rabbitmq_is_here_with_its_type_or_has_a_reason() {
    let text = metrics(&Broker::new());
    let mut needless: BTreeSet<&str> = NOT_HERE
        .iter()
        .flat_map(|(_, begin)| *begin)
        .copied()
        .collect();
    for line in RECORDED.lines() {
        let (name, kind) = line.split_once(' ').unwrap();
        match text.types.get(name) {
            // The plugin leaves the type of three informations open.
            Some(here) => assert!(
                here == kind || kind == "untyped",
                "{name}: {here}, not {kind}"
            ),
            None => {
                let mut begins = NOT_HERE.iter().flat_map(|(_, begins)| *begins);
                let begin = begins.find(|begin| name.starts_with(**begin));
                needless.remove(*begin.unwrap_or_else(|| panic!("{name} is missing")));
            }
        }
    }
    assert_eq!(needless, BTreeSet::new());
    let known: BTreeSet<&str> = RECORDED
        .lines()
        .map(|it| it.split(' ').next().unwrap())
        .collect();
    for name in text.types.keys() {
        let is_own = name.starts_with("leveret_");
        assert!(
            is_own || known.contains(name.as_str()),
            "RabbitMQ has no {name}"
        );
    }
}

#[test]
fn the_overview_dashboard_finds_all_its_metrics() {
    let text = metrics(&Broker::new());
    for name in OVERVIEW.iter().chain(OVERVIEW_DURABLE) {
        assert!(text.types.contains_key(*name), "{name}");
    }
    for name in OVERVIEW {
        let mut samples = text.samples.keys();
        let is_there = samples.any(|sample| sample.split('{').next() == Some(name));
        // A broker without queues has no sample of a queue.
        assert!(
            is_there || name.starts_with("rabbitmq_queue_"),
            "{name} has no sample"
        );
    }
}

#[test]
fn the_samples_have_rabbitmqs_labels_and_the_values_of_the_snapshot() {
    let clock = ManualClock::new();
    let broker = Broker::builder().clock(clock.clone()).build();
    let exchange = Exchange::fanout("x\"\\\n");
    broker
        .declare(&Queue::new("a b").bind(&exchange, ""))
        .unwrap();
    broker
        .declare(&Queue::quorum("k").max_length(1).bind(&exchange, ""))
        .unwrap();
    let producer = broker.producer::<u32>(&exchange).unwrap();
    (0..3).for_each(|number| assert!(producer.publish(number).unwrap().refused == 0));
    let unrouted = Message::new(1).routing_key("nowhere").mandatory();
    broker
        .producer::<u32>(&Exchange::existing("amq.direct"))
        .unwrap()
        .publish_message(unrouted)
        .unwrap_err();
    let held = broker.consumer::<u32>("a b").unwrap().recv().unwrap();
    let text = metrics(&broker);
    for (sample, value) in [
        (
            r#"rabbitmq_queue_messages_unacked{vhost="/",queue="a b"}"#,
            1.0,
        ),
        (r#"rabbitmq_queue_messages{vhost="/",queue="a b"}"#, 3.0),
        (
            r#"rabbitmq_exchange_messages_published_total{vhost="/",exchange="x\"\\"}"#,
            3.0,
        ),
        (
            r#"rabbitmq_global_messages_received_total{protocol="amqp091"}"#,
            4.0,
        ),
        (
            r#"rabbitmq_global_messages_routed_total{protocol="amqp091"}"#,
            6.0,
        ),
        (
            r#"rabbitmq_global_messages_unroutable_returned_total{protocol="amqp091"}"#,
            1.0,
        ),
        (
            concat!(
                "rabbitmq_global_messages_dead_lettered_maxlen_total",
                r#"{queue_type="rabbit_quorum_queue",dead_letter_strategy="disabled"}"#
            ),
            2.0,
        ),
        (r#"rabbitmq_cluster_vhost_status{vhost="/"}"#, 1.0),
        ("rabbitmq_queues", 2.0),
    ] {
        assert_eq!(text.samples.get(sample), Some(&value), "{sample}");
    }
    held.ack().unwrap();
}

#[test]
fn counters_never_fall() {
    let broker = Broker::new();
    let mut before = BTreeMap::new();
    for round in 0..20_u32 {
        let queue = Queue::new("q");
        let producer = broker.producer::<u32>(&queue).unwrap();
        let _ = producer.publish_batch(0..round);
        let consumer = broker.consumer::<u32>("q").unwrap();
        if let Ok(delivery) = consumer.try_recv() {
            delivery.ack().unwrap();
        }
        drop((consumer, producer));
        if round % 3 == 0 {
            broker.delete(&queue).unwrap();
        }
        let text = metrics(&broker);
        let counters = text.samples.into_iter().filter(|(sample, _)| {
            sample.starts_with("rabbitmq_global_messages")
                || sample.starts_with("rabbitmq_channel_")
        });
        let now: BTreeMap<String, f64> = counters
            .filter(|(name, _)| name.contains("_total"))
            .collect();
        for (name, value) in &before {
            assert!(now[name] >= *value, "{name}: {} after {value}", now[name]);
        }
        before = now;
    }
}
