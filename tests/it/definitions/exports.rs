//! Exports: the own form, and those for RabbitMQ.

use leveret::{
    Binding, Broker, Budget, Exchange, ExportOptions, FieldTable, FieldValue, Overflow, Policy,
    Queue, RabbitMqVersion,
};
use serde_json::{Value, json};

use super::{file, json, remarks};

const VERSIONS: [RabbitMqVersion; 2] = [RabbitMqVersion::V3_10, RabbitMqVersion::V4_3];

/// Values of every field type.
fn every_type() -> FieldTable {
    FieldTable::new()
        .with(
            "array",
            FieldValue::Array(vec![1.into(), "two".into(), ().into()]),
        )
        .with("bool", true)
        .with("bytes", FieldValue::Bytes(vec![0, 255]))
        .with(
            "decimal",
            FieldValue::Decimal {
                scale: 2,
                value: 125,
            },
        )
        .with("double", 2.0)
        .with("float", 0.1_f32)
        .with("long", 1_i64 << 40)
        .with("small long", 3_i64)
        .with("octet", 1_i8)
        .with("short", -3_i16)
        .with("table", FieldTable::from([("$type", "text")]))
        .with("timestamp", FieldValue::Timestamp(u64::MAX))
        .with("ubyte", 200_u8)
        .with("uint", 3_000_000_000_u32)
        .with("ushort", 60_000_u16)
        .with("infinite", f64::INFINITY)
        .with("void", ())
}

#[test]
fn the_own_form_keeps_what_rabbitmq_loses() {
    let broker = Broker::new();
    broker
        .declare(&Budget::new("b", 1 << 30).block().whole_vhost())
        .unwrap();
    let delayed = Exchange::topic("later").durable().delayed();
    let mut queue = Queue::new("q")
        .budget("b")
        .overflow(Overflow::Block)
        .max_length(5);
    queue = queue.arguments(every_type());
    queue = queue.binding(Binding::new(&delayed, "k").arguments(every_type()));
    broker.declare(&queue).unwrap();
    broker
        .vhost("/")
        .unwrap()
        .set_policy(Policy::new("p", "^none").setting("max-length", 5))
        .unwrap();
    let text = broker.export_definitions().unwrap();
    let copy = Broker::from_definitions(&text).unwrap();
    assert_eq!(copy.export_definitions().unwrap(), text);
    // The types are the same: otherwise this would be another queue.
    copy.declare(&queue).unwrap();
    let before = copy.snapshot().unwrap().vhosts[0].bindings.clone();
    assert_eq!(before, broker.snapshot().unwrap().vhosts[0].bindings);
}

#[test]
fn queues_that_end_with_their_connection_are_left_out_with_their_bindings() {
    let broker = Broker::new();
    let exchange = Exchange::fanout("x");
    for queue in [
        Queue::new("kept"),
        Queue::new("own").exclusive_flag(),
        Queue::new("").auto_delete(),
    ] {
        broker.declare(&queue.bind(&exchange, "")).unwrap();
    }
    let exported = super::exported(&broker);
    assert_eq!(exported["queues"].as_array().unwrap().len(), 1);
    assert_eq!(exported["bindings"].as_array().unwrap().len(), 1);
}

#[test]
fn what_a_version_does_not_take_is_listed_thing_by_thing() {
    let broker = Broker::new();
    broker.declare(&Budget::new("b", 100)).unwrap();
    let delayed = Exchange::topic("later").delayed();
    let random = Exchange::local_random("random");
    for queue in [
        Queue::new("block").max_length(1).overflow(Overflow::Block),
        Queue::new("budget").budget("b"),
        Queue::new("delayed").bind(&delayed, "#"),
        Queue::new("random").bind(&random, ""),
        Queue::new("timestamp").argument("x", FieldValue::Timestamp(5)),
        Queue::new("void").argument("x", FieldValue::Array(vec![().into()])),
        Queue::new("fits").bind("amq.topic", "k"),
    ] {
        broker.declare(&queue).unwrap();
    }
    for (name, policy) in [
        (
            "kind",
            Policy::new("kind", "").apply_to(leveret::ApplyTo::ClassicQueues),
        ),
        (
            "retry",
            Policy::new("retry", "").setting("delayed-retry-max", 5),
        ),
        ("word", Policy::new("word", "").setting("overflow", "block")),
    ] {
        assert_eq!(policy.name, name);
        let policy = match policy.definition.is_empty() {
            true => policy.setting("max-length", 5),
            false => policy,
        };
        broker.vhost("/").unwrap().set_policy(policy).unwrap();
    }
    for version in VERSIONS {
        let options = ExportOptions::new().for_rabbitmq(version);
        let error = broker.export_definitions_with(&options).unwrap_err();
        assert!(error.to_string().contains("does not take it"), "{error}");
        let exported = broker
            .export_definitions_with(&options.leave_out())
            .unwrap();
        let left_out = remarks(&exported.left_out).join("\n");
        for name in ["block", "budget", "timestamp", "void"] {
            let path = format!("$.queues[?@.vhost=='/' && @.name=='{name}']");
            assert!(left_out.contains(&path), "{path} in\n{left_out}");
        }
        let is_old = version == RabbitMqVersion::V3_10;
        for (path, is_there) in [
            ("$.budgets[?@.vhost=='/' && @.name=='b']", true),
            ("$.exchanges[?@.vhost=='/' && @.name=='later']", true),
            ("$.exchanges[?@.vhost=='/' && @.name=='random']", is_old),
            ("@.source=='later'", true),
            ("@.source=='random'", is_old),
            ("$.policies[?@.vhost=='/' && @.name=='kind']", is_old),
            ("$.policies[?@.vhost=='/' && @.name=='retry']", is_old),
            ("$.policies[?@.vhost=='/' && @.name=='word']", true),
            ("fits", false),
        ] {
            assert_eq!(left_out.contains(path), is_there, "{path} in\n{left_out}");
        }
        let names = |section: &str| {
            let exported = json(&exported.json);
            let items = exported[section].as_array().unwrap().iter();
            let names = items.map(|item| item["name"].as_str().unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names("queues"), ["delayed", "fits", "random"]);
        // It is what an import takes.
        drop(Broker::from_definitions(&exported.json).unwrap());
    }
}

#[test]
fn the_form_for_a_version_is_as_that_version_writes_it() {
    for (version, name) in VERSIONS.iter().zip([
        "3.10.8/medium-importable.json",
        "4.3.6/medium-importable.json",
    ]) {
        let theirs = json(&file(name));
        let broker = Broker::from_definitions(file(name)).unwrap();
        let options = ExportOptions::new().for_rabbitmq(*version).leave_out();
        let exported = broker.export_definitions_with(&options).unwrap();
        assert_eq!(exported.left_out, [], "{name}");
        let ours = json(&exported.json);
        for section in [
            "exchanges",
            "queues",
            "bindings",
            "policies",
            "parameters",
            "topic_permissions",
        ] {
            let sorted = |all: &Value| {
                let items = all[section].as_array().unwrap().iter();
                let items = items.filter(|item| item["name"] != "amq.rabbitmq.log");
                let mut items: Vec<String> = items.map(|item| normal(item).to_string()).collect();
                items.sort();
                items
            };
            assert_eq!(sorted(&ours), sorted(&theirs), "{section} of {name}");
        }
        let users = |all: &Value| {
            let users = all["users"].as_array().unwrap().iter();
            let users = users.filter(|user| user["name"] != "guest");
            let mut users: Vec<String> = users.map(Value::to_string).collect();
            users.sort();
            users
        };
        assert_eq!(users(&ours), users(&theirs), "{name}");
        let keys = |all: &Value| {
            all["queues"][0]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&ours), keys(&theirs), "{name}");
    }
}

/// An item without what the form of `medium-importable.json` may have or not.
fn normal(item: &Value) -> Value {
    let mut item = item.clone();
    if let Some(fields) = item.as_object_mut() {
        // 4.3 never writes it.
        if fields.get("internal") == Some(&json!(false)) {
            fields.remove("internal");
        }
    }
    item
}

#[test]
fn the_definitions_of_one_virtual_host_do_not_name_it() {
    let broker = Broker::new();
    broker.create_vhost("v").unwrap();
    let v = broker.vhost("v").unwrap();
    v.declare(&Queue::new("q").bind(Exchange::topic("x"), "k"))
        .unwrap();
    v.set_policy(Policy::new("p", "").setting("max-length", 5))
        .unwrap();
    let of_v = ExportOptions::new().of_vhost("v");
    let exported = broker.export_definitions_with(&of_v).unwrap().json;
    assert!(
        !exported.contains("vhost") && !exported.contains("users"),
        "{exported}"
    );
    broker.create_vhost("w").unwrap();
    let into_w = leveret::ImportOptions::new().into_vhost("w");
    broker.import_definitions_with(&exported, &into_w).unwrap();
    let of_w = ExportOptions::new().of_vhost("w");
    assert_eq!(
        broker.export_definitions_with(&of_w).unwrap().json,
        exported
    );
    let error = broker
        .export_definitions_with(&ExportOptions::new().of_vhost("gone"))
        .unwrap_err();
    assert!(error.is_not_found());
}
