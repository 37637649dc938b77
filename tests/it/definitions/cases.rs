//! The imports that were recorded on RabbitMQ 3.10.8 and 4.3.6.

use std::collections::BTreeMap;

use leveret::{Broker, ImportOptions, RabbitMqVersion};
use serde_json::{Map, Value};

use super::{exported, file, json};

/// What a file answers, and what there is then in virtual host `v`.
struct Recorded {
    version: RabbitMqVersion,
    accepted: bool,
    state: Value,
}

fn recorded(case: &Value) -> Vec<Recorded> {
    let results = case["result"].as_object().unwrap();
    let results = results.iter().flat_map(|(versions, result)| {
        versions.split(" and ").map(|version| Recorded {
            version: version.parse().unwrap(),
            accepted: result["http_status"] == 204,
            state: result["state_after"].clone(),
        })
    });
    results.collect()
}

/// The file of a case. Some are no JSON, with escapes for bytes that are not UTF-8.
fn bytes(case: &Value) -> Vec<u8> {
    match &case["file"] {
        Value::String(text) => {
            let text = text.replace("\\xfc", "\u{fffd}");
            let mut bytes = Vec::new();
            for part in text.chars() {
                match part {
                    '\u{fffd}' => bytes.push(0xfc),
                    other => bytes.extend(other.to_string().bytes()),
                }
            }
            bytes
        }
        other => other.to_string().into_bytes(),
    }
}

fn broker_of(case: &Value, base: &Value) -> Broker {
    match case["imported_over"] == "base" {
        true => Broker::from_definitions(base.to_string()).unwrap(),
        false => Broker::new(),
    }
}

/// The state in the words of the recordings: what exists in virtual host `v`, and the users.
fn state(broker: &Broker) -> Value {
    let all = exported(broker);
    let empty = Vec::new();
    let items = |section: &str| all[section].as_array().unwrap_or(&empty).clone();
    let in_v = |section: &str| {
        let items = items(section).into_iter();
        items
            .filter(|item| item["vhost"] == "v")
            .collect::<Vec<_>>()
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut state: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let users = items("users").into_iter();
    let users = users.filter(|user| user["name"] != "guest").map(|user| {
        let tags = user["tags"].as_array().unwrap().iter().map(text);
        format!(
            "{}:{}",
            text(&user["name"]),
            tags.collect::<Vec<_>>().join(",")
        )
    });
    state.insert("users", users.collect());
    let queues = in_v("queues").into_iter().map(|queue| {
        let mut arguments = queue["arguments"].clone();
        arguments.as_object_mut().unwrap().remove("x-queue-type");
        let arguments = match arguments.as_object().unwrap().is_empty() {
            true => String::new(),
            false => format!(":{}", python(&arguments)),
        };
        let transient = if queue["durable"] == false {
            " transient"
        } else {
            ""
        };
        format!("{}{arguments}{transient}", text(&queue["name"]))
    });
    state.insert("queues", queues.collect());
    let exchanges = in_v("exchanges").into_iter();
    let exchanges = exchanges
        .map(|exchange| format!("{}:{}", text(&exchange["name"]), text(&exchange["type"])));
    state.insert("exchanges", exchanges.collect());
    let bindings = in_v("bindings").into_iter().map(|binding| {
        let kind = &text(&binding["destination_type"])[..1];
        format!(
            "{}->{kind}:{}[{}]",
            text(&binding["source"]),
            text(&binding["destination"]),
            text(&binding["routing_key"])
        )
    });
    state.insert("bindings", bindings.collect());
    let policies = in_v("policies").into_iter().map(|policy| {
        let definition = python(&policy["definition"]);
        format!(
            "{}{definition}{}",
            text(&policy["name"]),
            policy["priority"]
        )
    });
    state.insert("policies", policies.collect());
    let permissions = in_v("permissions").into_iter();
    let permissions = permissions.filter(|it| it["user"] != "guest").map(|it| {
        let patterns = ["configure", "write", "read"].map(|key| text(&it[key]));
        format!("{}:{}", text(&it["user"]), patterns.join("/"))
    });
    state.insert("permissions", permissions.collect());
    let topics = in_v("topic_permissions").into_iter();
    let topics = topics.map(|it| format!("{}:{}", text(&it["user"]), text(&it["exchange"])));
    state.insert("topic", topics.collect());
    let operators = in_v("parameters").into_iter();
    let operators = operators.filter(|it| it["component"] == "operator_policy");
    state.insert("operator", operators.map(|it| text(&it["name"])).collect());
    let mut words = Map::new();
    for (key, mut values) in state {
        values.sort();
        if !values.is_empty() {
            words.insert(key.to_owned(), values.into());
        }
    }
    let vhosts = items("vhosts").into_iter();
    if let Some(v) = vhosts.into_iter().find(|vhost| vhost["name"] == "v") {
        words.insert("metadata".to_owned(), v["metadata"].clone());
    }
    Value::Object(words)
}

/// An object as the recordings have it.
fn python(value: &Value) -> String {
    let entries = value.as_object().unwrap().iter();
    let entries = entries.map(|(key, value)| {
        let value = match value.as_f64().filter(|value| *value > 1e18) {
            // The recordings have an integer of 71 bits, which is a float here.
            Some(value) => format!("{}", value as i128),
            None => value.to_string(),
        };
        format!("{key:?}: {value}")
    });
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}

/// Leaves out of ours what the recording does not tell.
fn comparable(mut ours: Value, recorded: &Value) -> Value {
    let (Value::Object(state), Value::Object(told)) = (&mut ours, recorded) else {
        panic!("{recorded}");
    };
    match told.get("metadata") {
        None => {
            state.remove("metadata");
        }
        Some(metadata) => {
            let ours = state["metadata"].as_object_mut().unwrap();
            // Without a default queue type 4.3 says "classic", and 3.10 says nothing.
            if let Some(queue_type) = metadata.get("default_queue_type") {
                ours.insert("default_queue_type".to_owned(), queue_type.clone());
            }
        }
    }
    ours
}

#[test]
fn an_import_like_rabbitmq_leaves_what_rabbitmq_leaves() {
    let all = json(&file("import-cases.json"));
    let mut wrong = Vec::new();
    for case in all["cases"].as_array().unwrap() {
        for Recorded {
            version,
            accepted,
            state: told,
        } in recorded(case)
        {
            let id = format!("{} {version}", case["id"].as_str().unwrap());
            if DIFFERENT.iter().any(|(different, _)| *different == id) {
                continue;
            }
            let broker = broker_of(case, &all["base"]);
            let options = ImportOptions::new().like_rabbitmq(version);
            let imported = broker.import_definitions_with(bytes(case), &options);
            let ours = comparable(state(&broker), &told);
            if imported.is_ok() != accepted || ours != told {
                wrong.push(format!(
                    "{id}: {imported:?}\n  ours  {ours}\n  theirs {told}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The cases that are different on purpose, with the reason.
const DIFFERENT: &[(&str, &str)] = &[
    ("json-latin1 3.10", "text is UTF-8 here, as in 4.3"),
    (
        "queue-no-name 3.10",
        "it broke the virtual host of RabbitMQ",
    ),
    (
        "queue-number-name 3.10",
        "it broke the virtual host of RabbitMQ",
    ),
];

#[test]
fn a_strict_import_makes_all_of_a_file_or_changes_nothing() {
    let all = json(&file("import-cases.json"));
    let mut wrong = Vec::new();
    for case in all["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let broker = broker_of(case, &all["base"]);
        let before = broker.export_definitions().unwrap();
        let imported = broker.import_definitions(bytes(case));
        let newest = recorded(case).into_iter().max_by_key(|it| it.version);
        let newest = newest.unwrap();
        match imported {
            Ok(report) => {
                let ours = comparable(state(&broker), &newest.state);
                if !newest.accepted || ours != newest.state {
                    wrong.push(format!(
                        "{id} was made: {report:?}\n  ours  {ours}\n  theirs {}",
                        newest.state
                    ));
                }
            }
            Err(error) => {
                if broker.export_definitions().unwrap() != before {
                    wrong.push(format!("{id} has left something: {error}"));
                }
                if newest.accepted && !STRICTER.contains(&id) {
                    wrong.push(format!("{id} was refused: {error}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Files that RabbitMQ takes and a strict import does not.
const STRICTER: &[&str] = &[
    "json-duplicate-key",
    "queue-empty-name",
    "queue-twice",
    "queue-twice-different",
    "exchange-twice-different",
    "binding-no-routing-key",
    "binding-twice",
    "policy-twice",
    "vhost-twice",
    "over-queue-other-arguments",
    "over-queue-other-durable",
    "over-queue-without-arguments",
    "over-exchange-other-durable",
];
