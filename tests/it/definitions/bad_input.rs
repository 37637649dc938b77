//! Definitions that do not fit are refused whole, with the JSON path of the first thing.

use leveret::{Broker, Budget, Error, Exchange, ImportOptions, Queue};

use super::refusal;

/// A file that has this besides what fits: things of every section.
fn with(section: &str, item: &str) -> String {
    let sections = [
        ("users", r#"{"name": "u", "password_hash": "", "tags": []}"#),
        ("vhosts", r#"{"name": "v"}"#),
        (
            "permissions",
            r#"{"user": "u", "vhost": "v", "configure": "", "write": "", "read": ""}"#,
        ),
        (
            "topic_permissions",
            r#"{"user": "u", "vhost": "v", "exchange": "amq.topic", "write": "", "read": ""}"#,
        ),
        (
            "parameters",
            r#"{"component": "shovel", "vhost": "v", "name": "s", "value": {}}"#,
        ),
        ("global_parameters", r#"{"name": "g", "value": 1}"#),
        (
            "policies",
            r#"{"vhost": "v", "name": "p", "pattern": "^q", "definition": {"max-length": 5}}"#,
        ),
        ("budgets", r#"{"vhost": "v", "name": "b", "limit": 5}"#),
        (
            "exchanges",
            r#"{"name": "x", "vhost": "v", "type": "topic", "durable": true}"#,
        ),
        ("queues", r#"{"name": "q", "vhost": "v", "durable": true}"#),
        (
            "bindings",
            r#"{"source": "x", "vhost": "v", "destination": "q", "destination_type": "queue", "routing_key": "k"}"#,
        ),
    ];
    let sections = sections.map(|(name, fits)| match name == section {
        true => format!("\"{name}\": [{fits}, {item}]"),
        false => format!("\"{name}\": [{fits}]"),
    });
    format!("{{\"leveret_definitions\": 1, {}}}", sections.join(", "))
}

/// The section, an item that does not fit, and the path of the first thing in it.
const ITEMS: &[(&str, &str, &str)] = &[
    ("users", r#"5"#, "$.users[1]"),
    ("users", r#"{"tags": []}"#, "$.users[1].name"),
    ("users", r#"{"name": "w"}"#, "$.users[1].tags"),
    (
        "users",
        r#"{"name": "w", "tags": [5]}"#,
        "$.users[1].tags[0]",
    ),
    (
        "users",
        r#"{"name": "w", "tags": [], "password_hash": "?"}"#,
        "$.users[1].password_hash",
    ),
    (
        "users",
        r#"{"name": "w", "tags": [], "password_hash": "", "password": "p"}"#,
        "$.users[1].password",
    ),
    (
        "users",
        r#"{"name": "w", "tags": [], "limits": {"max-queues": 3}}"#,
        "$.users[1].limits['max-queues']",
    ),
    (
        "users",
        r#"{"name": "w", "tags": [], "limits": {"max-channels": "3"}}"#,
        "$.users[1].limits['max-channels']",
    ),
    ("users", r#"{"name": "u", "tags": []}"#, "$.users[1].name"),
    ("vhosts", r#"{}"#, "$.vhosts[1].name"),
    ("vhosts", r#"{"name": "v"}"#, "$.vhosts[1].name"),
    (
        "vhosts",
        r#"{"name": "w", "name": "z"}"#,
        "$.vhosts[1].name",
    ),
    (
        "vhosts",
        r#"{"name": "w", "metadata": 5}"#,
        "$.vhosts[1].metadata",
    ),
    (
        "vhosts",
        r#"{"name": "w", "metadata": {"tags": 5}}"#,
        "$.vhosts[1].metadata.tags",
    ),
    (
        "vhosts",
        r#"{"name": "w", "metadata": {"default_queue_type": "x"}}"#,
        "$.vhosts[1].metadata.default_queue_type",
    ),
    (
        "permissions",
        r#"{"user": "u", "vhost": "w", "configure": "", "write": "", "read": ""}"#,
        "$.permissions[1].vhost",
    ),
    (
        "permissions",
        r#"{"user": "w", "vhost": "v", "configure": "", "write": "", "read": ""}"#,
        "$.permissions[1].user",
    ),
    (
        "permissions",
        r#"{"user": "u", "vhost": "/", "configure": "", "write": "(", "read": ""}"#,
        "$.permissions[1].write",
    ),
    (
        "permissions",
        r#"{"user": "u", "vhost": "/", "configure": "", "write": ""}"#,
        "$.permissions[1].read",
    ),
    (
        "permissions",
        r#"{"user": "u", "vhost": "v", "configure": "", "write": "", "read": ""}"#,
        "$.permissions[1].name",
    ),
    (
        "topic_permissions",
        r#"{"user": "u", "vhost": "v", "exchange": "no", "write": "", "read": ""}"#,
        "$.topic_permissions[1].exchange",
    ),
    (
        "topic_permissions",
        r#"{"user": "u", "vhost": "v", "exchange": "x", "write": "", "read": "["}"#,
        "$.topic_permissions[1].read",
    ),
    (
        "parameters",
        r#"{"component": "frob", "vhost": "v", "name": "s", "value": {}}"#,
        "$.parameters[1].component",
    ),
    (
        "parameters",
        r#"{"component": "shovel", "vhost": "v", "name": "s", "value": {}}"#,
        "$.parameters[1].name",
    ),
    (
        "parameters",
        r#"{"component": "vhost-limits", "vhost": "v", "name": "limits", "value": {"frob": 5}}"#,
        "$.parameters[1].value.frob",
    ),
    (
        "parameters",
        r#"{"component": "vhost-limits", "vhost": "v", "name": "limits", "value": {"max-queues": true}}"#,
        "$.parameters[1].value['max-queues']",
    ),
    (
        "parameters",
        r#"{"component": "operator_policy", "vhost": "v", "name": "o", "value": {"pattern": "("}}"#,
        "$.parameters[1].value.definition",
    ),
    (
        "parameters",
        r#"{"component": "operator_policy", "vhost": "v", "name": "o", "value": {"pattern": "(", "definition": {"max-length": 5}}}"#,
        "$.parameters[1].value.pattern",
    ),
    (
        "parameters",
        r#"{"component": "operator_policy", "vhost": "v", "name": "o", "value": {"pattern": "", "definition": {"dead-letter-exchange": "x"}}}"#,
        "$.parameters[1].value.definition['dead-letter-exchange']",
    ),
    (
        "parameters",
        r#"{"component": "shovel", "vhost": "v", "name": "z"}"#,
        "$.parameters[1].value",
    ),
    (
        "global_parameters",
        r#"{"name": "g", "value": 2}"#,
        "$.global_parameters[1].name",
    ),
    (
        "global_parameters",
        r#"{"name": "h"}"#,
        "$.global_parameters[1].value",
    ),
    (
        "policies",
        r#"{"vhost": "v", "name": "r", "pattern": "(", "definition": {"max-length": 5}}"#,
        "$.policies[1].pattern",
    ),
    (
        "policies",
        r#"{"vhost": "v", "name": "r", "pattern": "", "definition": {}}"#,
        "$.policies[1].definition",
    ),
    (
        "policies",
        r#"{"vhost": "v", "name": "r", "pattern": "", "definition": {"frob": 5}}"#,
        "$.policies[1].definition.frob",
    ),
    (
        "policies",
        r#"{"vhost": "v", "name": "r", "pattern": "", "definition": {"max-length": "x"}}"#,
        "$.policies[1].definition['max-length']",
    ),
    (
        "policies",
        r#"{"vhost": "v", "name": "r", "pattern": "", "apply-to": "frobs", "definition": {"max-length": 5}}"#,
        "$.policies[1].apply-to",
    ),
    (
        "policies",
        r#"{"vhost": "v", "name": "r", "pattern": "", "priority": 1.5, "definition": {"max-length": 5}}"#,
        "$.policies[1].priority",
    ),
    (
        "policies",
        r#"{"vhost": "v", "name": "p", "pattern": "", "definition": {"max-length": 6}}"#,
        "$.policies[1].name",
    ),
    (
        "budgets",
        r#"{"vhost": "v", "name": "c", "limit": 0}"#,
        "$.budgets[1].arguments.limit",
    ),
    (
        "budgets",
        r#"{"vhost": "v", "name": "c", "limit": -1}"#,
        "$.budgets[1].limit",
    ),
    (
        "budgets",
        r#"{"vhost": "v", "name": "c", "limit": 5, "policy": "frob"}"#,
        "$.budgets[1].policy",
    ),
    (
        "exchanges",
        r#"{"name": "y", "vhost": "w", "type": "topic"}"#,
        "$.exchanges[1].vhost",
    ),
    (
        "exchanges",
        r#"{"name": "y", "type": "topic"}"#,
        "$.exchanges[1].vhost",
    ),
    (
        "exchanges",
        r#"{"name": "y", "vhost": "v"}"#,
        "$.exchanges[1].type",
    ),
    (
        "exchanges",
        r#"{"name": "y", "vhost": "v", "type": "frob"}"#,
        "$.exchanges[1]",
    ),
    (
        "exchanges",
        r#"{"name": "y", "vhost": "v", "type": "topic", "durable": 1}"#,
        "$.exchanges[1].durable",
    ),
    (
        "exchanges",
        r#"{"name": "x", "vhost": "v", "type": "topic", "durable": true}"#,
        "$.exchanges[1].name",
    ),
    (
        "exchanges",
        r#"{"name": "x", "vhost": "v", "type": "fanout", "durable": true}"#,
        "$.exchanges[1].type",
    ),
    (
        "exchanges",
        r#"{"name": "amq.direct", "vhost": "v", "type": "fanout", "durable": true}"#,
        "$.exchanges[1].type",
    ),
    (
        "exchanges",
        r#"{"name": "", "vhost": "v", "type": "direct"}"#,
        "$.exchanges[1].name",
    ),
    (
        "exchanges",
        r#"{"name": "y", "vhost": "v", "type": "topic", "arguments": {"alternate-exchange": 5}}"#,
        "$.exchanges[1].arguments['alternate-exchange']",
    ),
    ("queues", r#"{"vhost": "v"}"#, "$.queues[1].name"),
    ("queues", r#"{"name": 5, "vhost": "v"}"#, "$.queues[1].name"),
    (
        "queues",
        r#"{"name": "", "vhost": "v"}"#,
        "$.queues[1].name",
    ),
    (
        "queues",
        r#"{"name": "r", "vhost": "w"}"#,
        "$.queues[1].vhost",
    ),
    (
        "queues",
        r#"{"name": "r", "vhost": "v", "auto_delete": "no"}"#,
        "$.queues[1].auto_delete",
    ),
    (
        "queues",
        r#"{"name": "r", "vhost": "v", "arguments": 5}"#,
        "$.queues[1].arguments",
    ),
    (
        "queues",
        r#"{"name": "r", "vhost": "v", "arguments": {"x-max-length": -1}}"#,
        "$.queues[1].arguments['x-max-length']",
    ),
    (
        "queues",
        r#"{"name": "r", "vhost": "v", "arguments": {"x-max-length": 5.0}}"#,
        "$.queues[1].arguments['x-max-length']",
    ),
    (
        "queues",
        r#"{"name": "r", "vhost": "v", "arguments": {"x": {"$type": "frob"}}}"#,
        "$.queues[1].arguments.x",
    ),
    (
        "queues",
        r#"{"name": "r", "vhost": "v", "arguments": {"x-dead-letter-routing-key": "k"}}"#,
        "$.queues[1].arguments['x-dead-letter-routing-key']",
    ),
    (
        "queues",
        r#"{"name": "r", "vhost": "v", "durable": false, "arguments": {"x-queue-type": "quorum"}}"#,
        "$.queues[1].durable",
    ),
    (
        "queues",
        r#"{"name": "q", "vhost": "v", "durable": true}"#,
        "$.queues[1].name",
    ),
    (
        "queues",
        r#"{"name": "q", "vhost": "v", "durable": false}"#,
        "$.queues[1].durable",
    ),
    (
        "queues",
        r#"{"name": "q", "vhost": "v", "durable": true, "arguments": {"x-max-length": 5}}"#,
        "$.queues[1].arguments['x-max-length']",
    ),
    (
        "bindings",
        r#"{"source": "no", "vhost": "v", "destination": "q", "destination_type": "queue", "routing_key": ""}"#,
        "$.bindings[1].source",
    ),
    (
        "bindings",
        r#"{"source": "x", "vhost": "v", "destination": "no", "destination_type": "queue", "routing_key": ""}"#,
        "$.bindings[1].destination",
    ),
    (
        "bindings",
        r#"{"source": "x", "vhost": "v", "destination": "no", "destination_type": "exchange", "routing_key": ""}"#,
        "$.bindings[1].destination",
    ),
    (
        "bindings",
        r#"{"source": "x", "vhost": "w", "destination": "q", "destination_type": "queue", "routing_key": ""}"#,
        "$.bindings[1].vhost",
    ),
    (
        "bindings",
        r#"{"source": "", "vhost": "v", "destination": "q", "destination_type": "queue", "routing_key": ""}"#,
        "$.bindings[1]",
    ),
    (
        "bindings",
        r#"{"source": "x", "vhost": "v", "destination": "q", "destination_type": "frob", "routing_key": ""}"#,
        "$.bindings[1].destination_type",
    ),
    (
        "bindings",
        r#"{"source": "x", "vhost": "v", "destination": "q", "destination_type": "queue"}"#,
        "$.bindings[1].routing_key",
    ),
    (
        "bindings",
        r#"{"source": "x", "vhost": "v", "destination": "q", "destination_type": "queue", "routing_key": "k"}"#,
        "$.bindings[1].routing_key",
    ),
    (
        "bindings",
        r#"{"source": "amq.headers", "vhost": "v", "destination": "q", "destination_type": "queue", "routing_key": "", "arguments": {"x-match": "frob"}}"#,
        "$.bindings[1].arguments['x-match']",
    ),
];

#[test]
fn every_item_that_does_not_fit_refuses_the_whole_file_with_its_path() {
    let broker = Broker::new();
    let before = broker.export_definitions().unwrap();
    let mut wrong = Vec::new();
    for (section, item, path) in ITEMS {
        match broker.import_definitions(with(section, item)) {
            Err(Error::InvalidDefinitions(error))
                if error.path == path.replace(".apply-to", "['apply-to']") => {}
            other => wrong.push(format!("{item}: {other:?}, expected {path}")),
        }
        if broker.export_definitions().unwrap() != before {
            wrong.push(format!("{item} has left something"));
            break;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Without it the file fits.
    assert_eq!(broker.import_definitions(with("", "")).unwrap().queues, 1);
}

#[test]
fn a_file_that_is_no_json_is_refused_with_the_line_and_the_column() {
    let broker = Broker::new();
    for (text, line, column) in [
        ("", 1, 0),
        ("nonsense", 1, 2),
        ("{\"queues\": [\n  {\"name\": }\n]}", 2, 12),
        ("{} x", 1, 4),
        ("{\"vhosts\": [{\"name\": \"v\"},]}", 1, 27),
    ] {
        let error = refusal(broker.import_definitions(text));
        assert_eq!(error.position, Some((line, column)), "{text}: {error}");
    }
    let error = refusal(broker.import_definitions(b"{\"vhosts\": [{\"name\": \"v\xfc\"}]}"));
    assert!(error.position.is_some(), "{error}");
    for (text, path) in [
        ("[]", "$"),
        ("null", "$"),
        ("5", "$"),
        (r#"{"queues": null}"#, "$.queues"),
        (r#"{"queues": {}}"#, "$.queues"),
        (r#"{"queues": [], "queues": []}"#, "$.queues"),
        (r#"{"leveret_definitions": 2}"#, "$.leveret_definitions"),
    ] {
        assert_eq!(
            refusal(broker.import_definitions(text)).path,
            path,
            "{text}"
        );
    }
    assert_eq!(broker.vhosts().unwrap(), ["/"]);
    broker.import_definitions("\u{feff}{}").unwrap();
}

#[test]
fn other_properties_than_those_of_an_existing_thing_are_refused() {
    let broker = Broker::new();
    broker
        .declare(&Queue::new("q").durable().max_length(5))
        .unwrap();
    broker.declare(&Exchange::topic("x")).unwrap();
    broker.declare(&Budget::new("b", 5)).unwrap();
    let before = broker.export_definitions().unwrap();
    for (json, path) in [
        (
            r#"{"queues": [{"name": "q", "vhost": "/", "durable": true}]}"#,
            "$.queues[0].arguments['x-max-length']",
        ),
        (
            r#"{"queues": [{"name": "q", "vhost": "/", "durable": false, "arguments": {"x-max-length": 5}}]}"#,
            "$.queues[0].durable",
        ),
        (
            r#"{"exchanges": [{"name": "x", "vhost": "/", "type": "direct", "durable": false}]}"#,
            "$.exchanges[0].type",
        ),
        (
            r#"{"exchanges": [{"name": "x", "vhost": "/", "type": "topic", "durable": true}]}"#,
            "$.exchanges[0].durable",
        ),
        (
            r#"{"budgets": [{"name": "b", "vhost": "/", "limit": 6}]}"#,
            "$.budgets[0].arguments.limit",
        ),
    ] {
        let error = refusal(broker.import_definitions(json));
        assert_eq!(error.path, path, "{error}");
        assert!(error.cause.unwrap().is_inequivalent(), "{json}");
        assert_eq!(broker.export_definitions().unwrap(), before);
    }
}

#[test]
fn an_import_into_a_virtual_host_that_is_not_there_is_refused() {
    let options = ImportOptions::new().into_vhost("gone");
    let error = Broker::new()
        .import_definitions_with("{}", &options)
        .unwrap_err();
    assert!(error.is_not_found());
}
