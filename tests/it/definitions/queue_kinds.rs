//! Alias queues and model queues in definitions.

use leveret::{
    AliasQueue, AliasTarget, Binding, Broker, Exchange, ExportOptions, ImportOptions, ModelQueue,
    Queue, RabbitMqVersion, Result,
};
use serde_json::json;

use super::{exported, refusal, remarks};

fn broker() -> Result<Broker> {
    let broker = Broker::new();
    broker.create_vhost("v")?;
    broker.declare(&Queue::new("paid").durable())?;
    broker.declare(&AliasQueue::of_queue("orders", "paid"))?;
    broker.declare(&AliasQueue::of_queue("a", "orders"))?;
    broker.declare(&AliasQueue::of_exchange("all", "amq.fanout"))?;
    let source = Exchange::topic("replies").durable().alternate("late");
    let binding = Binding::new(source.bind("amq.topic", "r.#"), "to.*").argument("n", 5_i64);
    let template = Queue::new("unused")
        .durable()
        .max_length(3)
        .binding(binding);
    let model = ModelQueue::new("reply", template).pattern("reply-*-x");
    broker.declare(&model.permanent())?;
    let v = broker.vhost("v")?;
    v.declare(&AliasQueue::of_queue("alias", "not.there"))?;
    v.declare(&ModelQueue::new("model", Queue::exclusive()))?;
    Ok(broker)
}

#[test]
fn they_are_exported_and_imported_and_work_as_before() -> Result {
    let text = broker()?.export_definitions()?;
    let copy = Broker::new();
    let report = copy.import_definitions(&text)?;
    assert_eq!((report.alias_queues, report.model_queues), (4, 2));
    assert_eq!(copy.export_definitions()?, text);
    let again = copy.import_definitions(&text)?;
    assert_eq!((again.alias_queues, again.model_queues), (0, 0));
    assert_eq!(copy.export_definitions()?, text);
    copy.producer::<u32>("a")?.publish(7)?;
    assert_eq!(*copy.simple_queue::<u32>("paid")?.get()?, 7);
    let queue = copy.open_model_queue("reply")?;
    assert!(queue.name().starts_with("reply-") && queue.name().ends_with("-x"));
    assert!(queue.is_durable() && !queue.is_exclusive());
    let source = Exchange::existing("replies");
    let producer = copy.producer::<u32>(&source)?;
    assert_eq!(producer.publish_to("to.one", 8)?.routed, 1);
    let vhosts = copy.snapshot()?.vhosts;
    assert_eq!(
        (vhosts[1].aliases.len(), vhosts[1].model_queues.len()),
        (1, 1)
    );
    // The same description is the same model, whatever the name of its template.
    copy.vhost("v")?
        .declare(&ModelQueue::new("model", Queue::exclusive()))?;
    Ok(())
}

#[test]
fn their_items_are_as_they_are_documented() -> Result {
    let exported = exported(&broker()?);
    assert_eq!(
        exported["alias_queues"],
        json!([
            {"name": "a", "vhost": "/", "target": "orders", "target_type": "queue"},
            {"name": "all", "vhost": "/", "target": "amq.fanout", "target_type": "exchange"},
            {"name": "orders", "vhost": "/", "target": "paid", "target_type": "queue"},
            {"name": "alias", "vhost": "v", "target": "not.there", "target_type": "queue"},
        ])
    );
    let model = &exported["model_queues"][0];
    assert_eq!(model["arguments"], json!({"x-max-length": 3}));
    assert_eq!(model["bindings"][0]["source"]["name"], "replies");
    assert_eq!(
        exported["model_queues"][1],
        json!({"name": "model", "vhost": "v", "pattern": "model.*", "permanent": false,
            "durable": false, "auto_delete": false, "exclusive": true, "arguments": {},
            "bindings": []})
    );
    Ok(())
}

/// The section, its items, and the path of the first thing that does not fit.
const REFUSED: &[(&str, &str, &str)] = &[
    ("alias_queues", "{}", "$.alias_queues"),
    (
        "alias_queues",
        r#"[{"target": "q"}]"#,
        "$.alias_queues[0].name",
    ),
    (
        "alias_queues",
        r#"[{"name": "n"}]"#,
        "$.alias_queues[0].target",
    ),
    (
        "alias_queues",
        r#"[{"name": "n", "target": "q"}]"#,
        "$.alias_queues[0].target_type",
    ),
    (
        "alias_queues",
        r#"[{"name": "n", "target": "q", "target_type": "topic"}]"#,
        "$.alias_queues[0].target_type",
    ),
    (
        "alias_queues",
        r#"[{"name": "", "target": "q", "target_type": "queue"}]"#,
        "$.alias_queues[0].name",
    ),
    (
        "alias_queues",
        r#"[{"name": "n", "target": "", "target_type": "queue"}]"#,
        "$.alias_queues[0].target",
    ),
    (
        "alias_queues",
        r#"[{"name": "amq.n", "target": "q", "target_type": "queue"}]"#,
        "$.alias_queues[0]",
    ),
    // A queue of the file and one of the broker have the name.
    (
        "alias_queues",
        r#"[{"name": "q", "target": "n", "target_type": "queue"}]"#,
        "$.alias_queues[0].name",
    ),
    (
        "alias_queues",
        r#"[{"name": "paid", "target": "n", "target_type": "queue"}]"#,
        "$.alias_queues[0].name",
    ),
    (
        "alias_queues",
        r#"[{"name": "reply", "target": "n", "target_type": "queue"}]"#,
        "$.alias_queues[0].name",
    ),
    (
        "alias_queues",
        r#"[{"name": "n", "target": "q", "target_type": "queue"},
            {"name": "n", "target": "q", "target_type": "queue"}]"#,
        "$.alias_queues[1].name",
    ),
    (
        "alias_queues",
        r#"[{"name": "n", "target": "q", "target_type": "queue"},
            {"name": "n", "target": "r", "target_type": "queue"}]"#,
        "$.alias_queues[1].target",
    ),
    // Aliases of the file lead to each other, and to those of the broker.
    (
        "alias_queues",
        r#"[{"name": "n", "target": "n", "target_type": "queue"}]"#,
        "$.alias_queues[0].target",
    ),
    (
        "alias_queues",
        r#"[{"name": "n", "target": "m", "target_type": "queue"},
            {"name": "m", "target": "k", "target_type": "queue"},
            {"name": "k", "target": "n", "target_type": "queue"}]"#,
        "$.alias_queues[2].target",
    ),
    (
        "alias_queues",
        r#"[{"name": "ring", "target": "b", "target_type": "queue"}]"#,
        "$.alias_queues[0].target",
    ),
    // The broker has it with another target.
    (
        "alias_queues",
        r#"[{"name": "orders", "target": "q", "target_type": "queue"}]"#,
        "$.alias_queues[0].target",
    ),
    (
        "queues",
        r#"[{"name": "orders", "durable": true}]"#,
        "$.queues[0].name",
    ),
    (
        "queues",
        r#"[{"name": "reply", "durable": true}]"#,
        "$.queues[0].name",
    ),
    (
        "model_queues",
        r#"[{"name": ""}]"#,
        "$.model_queues[0].name",
    ),
    (
        "model_queues",
        r#"[{"name": "amq.m"}]"#,
        "$.model_queues[0]",
    ),
    (
        "model_queues",
        r#"[{"name": "m", "pattern": "m"}]"#,
        "$.model_queues[0].pattern",
    ),
    (
        "model_queues",
        r#"[{"name": "m", "pattern": "amq.*"}]"#,
        "$.model_queues[0]",
    ),
    (
        "model_queues",
        r#"[{"name": "m", "permanent": 1}]"#,
        "$.model_queues[0].permanent",
    ),
    (
        "model_queues",
        r#"[{"name": "m", "arguments": {"x-max-length": -1}}]"#,
        "$.model_queues[0].arguments['x-max-length']",
    ),
    (
        "model_queues",
        r#"[{"name": "m", "permanent": true, "arguments": {"x-queue-type": "quorum"}}]"#,
        "$.model_queues[0].durable",
    ),
    (
        "model_queues",
        r#"[{"name": "m", "bindings": {}}]"#,
        "$.model_queues[0].bindings",
    ),
    (
        "model_queues",
        r#"[{"name": "m", "bindings": [{"source": {"name": "x"}}, {"source": {}}]}]"#,
        "$.model_queues[0].bindings[1]",
    ),
    (
        "model_queues",
        r#"[{"name": "q"}]"#,
        "$.model_queues[0].name",
    ),
    (
        "model_queues",
        r#"[{"name": "orders"}]"#,
        "$.model_queues[0].name",
    ),
    (
        "model_queues",
        r#"[{"name": "m"}, {"name": "m"}]"#,
        "$.model_queues[1].name",
    ),
    // The broker has it with other properties.
    (
        "model_queues",
        r#"[{"name": "reply"}]"#,
        "$.model_queues[0]",
    ),
];

#[test]
fn what_does_not_fit_is_refused_whole_with_its_path() -> Result {
    for (section, items, path) in REFUSED {
        let broker = broker()?;
        broker.declare(&AliasQueue::of_queue("b", "ring"))?;
        let before = broker.export_definitions()?;
        let file = format!(
            r#"{{"leveret_definitions": 1, "{section}": {items}, "{}": [{{"name": "q"}}]}}"#,
            if *section == "queues" {
                "others"
            } else {
                "queues"
            }
        );
        let file = file.replace(r#"{"name""#, r#"{"vhost": "/", "name""#);
        let file = file.replace(r#""source": {"vhost": "/", "#, r#""source": {"#);
        let file = file.replace(r#"{"target""#, r#"{"vhost": "/", "target""#);
        let error = refusal(broker.import_definitions(&file));
        assert_eq!(error.path, *path, "{error}: {file}");
        assert_eq!(broker.export_definitions()?, before, "{file}");
    }
    Ok(())
}

#[test]
fn an_import_that_fails_in_another_virtual_host_makes_none() -> Result {
    let broker = broker()?;
    let before = broker.export_definitions()?;
    let file = json!({
        "alias_queues": [{"name": "n", "vhost": "/", "target": "q", "target_type": "queue"}],
        "model_queues": [
            {"name": "m", "vhost": "/"},
            {"name": "m", "vhost": "v", "pattern": "**"},
        ],
    });
    let error = refusal(broker.import_definitions(file.to_string()));
    assert_eq!(error.path, "$.model_queues[1].pattern");
    assert_eq!(broker.export_definitions()?, before);
    Ok(())
}

#[test]
fn a_binding_of_an_alias_binds_its_target() -> Result {
    let binding = |destination: &str| {
        json!({"source": "amq.topic", "vhost": "/", "destination": destination,
            "destination_type": "queue", "routing_key": "k"})
    };
    let alias = |name: &str, target: &str, kind: &str| {
        json!({"name": name, "vhost": "/",
            "target": target, "target_type": kind})
    };
    let mut file = json!({
        "queues": [{"name": "q", "vhost": "/", "durable": true}],
        "alias_queues": [
            alias("to", "of", "queue"), alias("of", "q", "queue"),
            alias("all", "amq.fanout", "exchange"),
        ],
        "bindings": [binding("to"), binding("all")],
    });
    let broker = Broker::from_definitions(file.to_string())?;
    let exported = exported(&broker);
    let ends = exported["bindings"].as_array().unwrap().iter();
    let ends = ends.map(|it| (it["destination"].as_str(), it["destination_type"].as_str()));
    assert_eq!(
        ends.collect::<Vec<_>>(),
        [
            (Some("amq.fanout"), Some("exchange")),
            (Some("q"), Some("queue"))
        ]
    );
    file["alias_queues"][1] = alias("of", "gone", "queue");
    let error = refusal(Broker::new().import_definitions(file.to_string()));
    assert_eq!(error.path, "$.bindings[0].destination");
    Ok(())
}

#[test]
fn an_import_makes_a_remembered_route_through_a_new_alias() -> Result {
    let broker = Broker::new();
    broker.declare(&Queue::new("q"))?;
    let sender = broker.producer::<u32>(Exchange::existing("amq.direct"))?;
    assert_eq!(sender.publish(1)?.routed, 0);
    let file = json!({
        "alias_queues": [{"name": "n", "vhost": "/", "target": "q", "target_type": "queue"}],
        "bindings": [{"source": "amq.direct", "vhost": "/", "destination": "n",
            "destination_type": "queue", "routing_key": ""}],
    });
    broker.import_definitions(file.to_string())?;
    assert_eq!(sender.publish(2)?.routed, 1);
    Ok(())
}

#[test]
fn no_rabbitmq_takes_them() -> Result {
    let broker = broker()?;
    for version in [RabbitMqVersion::V3_10, RabbitMqVersion::V4_3] {
        let options = ExportOptions::new().for_rabbitmq(version);
        let error = broker.export_definitions_with(&options).unwrap_err();
        assert!(error.to_string().contains("alias"), "{error}");
        let exported = broker.export_definitions_with(&options.leave_out())?;
        assert_eq!(
            remarks(&exported.left_out),
            [
                "$.alias_queues[?@.vhost=='/' && @.name=='a'] dropped",
                "$.alias_queues[?@.vhost=='/' && @.name=='all'] dropped",
                "$.alias_queues[?@.vhost=='/' && @.name=='orders'] dropped",
                "$.model_queues[?@.vhost=='/' && @.name=='reply'] dropped",
                "$.alias_queues[?@.vhost=='v' && @.name=='alias'] dropped",
                "$.model_queues[?@.vhost=='v' && @.name=='model'] dropped",
            ]
        );
        assert!(!exported.json.contains("_queues"), "{}", exported.json);
    }
    Ok(())
}

#[test]
fn an_import_like_rabbitmq_keeps_those_that_exist() -> Result {
    let broker = broker()?;
    let file = json!({
        "alias_queues": [
            {"name": "orders", "vhost": "/", "target": "other", "target_type": "queue"},
            {"name": "new", "vhost": "/", "target": "other", "target_type": "queue"},
        ],
        "model_queues": [{"name": "reply", "vhost": "/"}, {"name": "m", "vhost": "/"}],
    });
    let options = ImportOptions::new().like_rabbitmq(RabbitMqVersion::V4_3);
    let report = broker.import_definitions_with(file.to_string(), &options)?;
    assert_eq!((report.alias_queues, report.model_queues), (1, 1));
    let aliases = &broker.snapshot()?.vhosts[0].aliases;
    let orders = aliases.iter().find(|alias| alias.name() == "orders");
    let target = AliasTarget::Queue("paid".to_owned());
    assert_eq!(orders.unwrap().target(), &target);
    Ok(())
}

#[test]
fn they_go_into_one_virtual_host() -> Result {
    let broker = broker()?;
    let of_root = ExportOptions::new().of_vhost("/");
    let text = broker.export_definitions_with(&of_root)?.json;
    assert!(text.contains("orders") && !text.contains("vhost"), "{text}");
    broker.create_vhost("w")?;
    broker.import_definitions_with(&text, &ImportOptions::new().into_vhost("w"))?;
    let of_w = ExportOptions::new().of_vhost("w");
    assert_eq!(broker.export_definitions_with(&of_w)?.json, text);
    Ok(())
}
