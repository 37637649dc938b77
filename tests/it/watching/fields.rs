//! The fields of RabbitMQ's management API, one by one: each is in a snapshot's JSON, or has a
//! reason not to be.

use std::{collections::BTreeMap, time::Duration};

use leveret::{Broker, Credentials, ManualClock, Message, Policy, Queue, channel::ConsumeOptions};
use serde_json::{Value, json};

/// The fields of RabbitMQ 4.3.6, recorded.
const RECORDED: &str = include_str!("management-fields.json");

/// Fields that RabbitMQ has and leveret has not, with the reason.
const NOT_HERE: &[(&str, &[&str])] = &[
    (
        "there is no Erlang and no cluster",
        &[
            "cached_segments",
            "cluster_name",
            "cluster_state",
            "cluster_tags",
            "contexts",
            "crypto_lib_version",
            "disable_stats",
            "erlang_full_version",
            "erlang_version",
            "exchange_types",
            "garbage_collection",
            "internal_owner",
            "is_op_policy_updating_enabled",
            "leader",
            "listeners",
            "management_version",
            "members",
            "memory",
            "node",
            "node_tags",
            "online",
            "open_files",
            "pending_raft_commands",
            "rabbitmq_version",
            "rates_mode",
            "reductions",
            "reductions_details",
            "require_definition_json_extension",
            "sample_retention_policies",
            "segments",
            "statistics_db_event_queue",
            "enable_queue_totals",
        ],
    ),
    (
        "there is no socket",
        &[
            "channel_max",
            "frame_max",
            "host",
            "peer_cert_issuer",
            "peer_cert_serial_number",
            "peer_cert_subject",
            "peer_cert_validity",
            "peer_port",
            "port",
            "recv_cnt",
            "recv_oct",
            "recv_oct_details",
            "send_cnt",
            "send_oct",
            "send_oct_details",
            "send_pend",
            "ssl",
            "ssl_cipher",
            "ssl_hash",
            "ssl_key_exchange",
            "ssl_protocol",
            "timeout",
        ],
    ),
    (
        "messages are not told apart by their place",
        &[
            "disk_reads",
            "disk_reads_details",
            "disk_writes",
            "disk_writes_details",
            "message_bytes_persistent",
            "message_bytes_ram",
            "messages_persistent",
            "messages_ram",
            "messages_ready_ram",
            "messages_unacknowledged_ram",
            "storage_version",
        ],
    ),
    (
        "counting it would cost each message",
        &[
            "consumer_capacity",
            "consumer_utilisation",
            "messages_active_priorities",
            "messages_by_priority",
            "messages_ready_returned",
            "publishers",
        ],
    ),
    (
        "it is elsewhere: in About, or in the arguments",
        &[
            "consumer_timeout",
            "default_queue_type",
            "delayed_retry",
            "delivery_limit",
            "description",
            "metadata",
            "protected_from_deletion",
            "tags",
            "tracing",
        ],
    ),
    (
        "a consumer, a queue, an exchange and a connection do not keep it",
        &[
            "arguments",
            "first_timestamp",
            "internal",
            "properties_key",
            "user_who_performed_action",
        ],
    ),
];

/// A broker with one of everything.
fn busy(clock: &ManualClock) -> (Broker, Value) {
    let broker = Broker::builder().clock(clock.clone()).build();
    let earlier = broker.snapshot().unwrap();
    let connection = broker.connect("/", Credentials::guest()).unwrap();
    let channel = connection.open_channel().unwrap();
    let exchange = leveret::Exchange::topic("x");
    broker
        .declare(&Queue::new("q").bind(&exchange, "#"))
        .unwrap();
    broker
        .declare(&Queue::stream("s").bind(&exchange, "#"))
        .unwrap();
    let producer = broker.producer::<u32>(&exchange).unwrap();
    producer
        .publish_message(Message::new(7).routing_key("a.b"))
        .unwrap();
    channel
        .basic_consume("q", ConsumeOptions::new().tag("c"))
        .unwrap();
    let _reader = broker.reader::<u32>("s").build().unwrap();
    clock.advance(Duration::from_secs(1));
    let json = broker.snapshot().unwrap().to_json(Some(&earlier));
    let json = serde_json::from_str(&json).unwrap();
    drop((channel, connection));
    (broker, json)
}

fn has(item: &Value, field: &str) -> bool {
    item.get(field).is_some()
}

#[test]
fn each_field_of_the_management_api_is_here_or_has_a_reason() {
    let clock = ManualClock::new();
    let (_broker, json) = busy(&clock);
    let recorded: BTreeMap<String, BTreeMap<String, Vec<String>>> =
        serde_json::from_str(RECORDED).unwrap();
    let reason = |field: &str| {
        let mut reasons = NOT_HERE.iter();
        reasons
            .find(|(_, fields)| fields.contains(&field))
            .map(|(reason, _)| reason)
    };
    let mut used = Vec::new();
    for (list, groups) in &recorded {
        let items: Vec<&Value> = match &json[list] {
            Value::Array(items) => items.iter().collect(),
            one => vec![one],
        };
        for (group, fields) in groups {
            for field in fields {
                let is_here = items.iter().any(|item| match group.as_str() {
                    "fields" => has(item, field),
                    // RabbitMQ has the counts of a channel there, and leveret has those of queues
                    // and exchanges.
                    "message_stats" if list == "channels" => true,
                    _ => has(&item[group], field),
                });
                // Some rates are in the list of the rates alone.
                let base = field.strip_suffix("_details");
                let is_rate = base.is_some_and(|base| {
                    items
                        .iter()
                        .any(|item| has(item, base) || has(&item[group], base))
                });
                let is_elsewhere = list == "channels" && field == "message_stats";
                if !(is_here || is_rate || is_elsewhere) {
                    let known = [field.as_str(), base.unwrap_or(field)];
                    let known = known.iter().find(|field| reason(field).is_some());
                    used.push(*known.unwrap_or_else(|| panic!("{list} lacks {group} {field}")));
                }
            }
        }
    }
    for (_, fields) in NOT_HERE {
        for field in *fields {
            assert!(used.contains(field), "{field} is here by now");
        }
    }
}

#[test]
fn a_queue_names_the_policies_that_apply_to_it_now() {
    let broker = Broker::new();
    let root = broker.vhost("/").unwrap();
    broker.declare(&Queue::new("q")).unwrap();
    let policies = || {
        let json = broker.snapshot().unwrap().to_json(None);
        let mut json: Value = serde_json::from_str(&json).unwrap();
        let mut queue = json["queues"][0].take();
        ["policy", "operator_policy", "effective_policy_definition"].map(|it| queue[it].take())
    };
    assert_eq!(policies(), [Value::Null, Value::Null, json!({})]);
    let policy = Policy::new("p", "^q").setting("max-length", 9);
    root.set_policy(policy.setting("message-ttl", 5)).unwrap();
    let operator = Policy::new("o", "").setting("max-length", 3);
    root.set_operator_policy(operator.setting("message-ttl", 7))
        .unwrap();
    let merged = json!({"max-length": 3, "message-ttl": 5});
    assert_eq!(policies(), [json!("p"), json!("o"), merged]);
    assert!(root.clear_policy("p").unwrap());
    let alone = json!({"max-length": 3, "message-ttl": 7});
    assert_eq!(policies(), [Value::Null, json!("o"), alone]);
    // A queue that is declared under a policy has it from the start.
    broker.delete(&Queue::new("q")).unwrap();
    broker.declare(&Queue::quorum("q")).unwrap();
    assert_eq!(policies()[1], "o");
}

#[test]
fn the_values_are_those_of_the_snapshot() {
    let clock = ManualClock::new();
    let (_broker, json) = busy(&clock);
    let [queue, stream] = json["queues"].as_array().unwrap().as_slice() else {
        panic!("{}", json["queues"]);
    };
    assert_eq!(
        (&queue["name"], &queue["type"]),
        (&"q".into(), &"classic".into())
    );
    assert_eq!(
        (&queue["messages"], &queue["messages_unacknowledged"]),
        (&1.into(), &1.into())
    );
    assert_eq!(queue["message_stats"]["publish_details"]["rate"], 1.0);
    assert_eq!(
        (&stream["type"], &stream["readers"][0]["lag"]),
        (&"stream".into(), &0.into())
    );
    let exchanges = json["exchanges"].as_array().unwrap();
    let x = exchanges.iter().find(|it| it["name"] == "x").unwrap();
    assert_eq!(x["message_stats"]["publish_out"], 2);
    assert_eq!(exchanges[0]["name"], "", "the default exchange");
    let consumer = &json["consumers"][0];
    assert_eq!(
        (&consumer["consumer_tag"], &consumer["unsettled"]),
        (&"c".into(), &1.into())
    );
    assert_eq!(consumer["channel_details"]["number"], 1);
    assert_eq!(json["channels"][0]["messages_unacknowledged"], 1);
    assert_eq!(json["connections"][1]["channels"], 1);
    let totals = &json["overview"]["object_totals"];
    assert_eq!(
        (&totals["queues"], &totals["consumers"]),
        (&2.into(), &1.into())
    );
    assert_eq!(json["overview"]["message_stats"]["publish"], 1);
}
