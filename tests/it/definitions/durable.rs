//! Definitions in a broker that keeps its data in a folder.

use std::fs;

use leveret::{
    AliasQueue, Binding, Broker, Exchange, ModelQueue, Queue, Router, RouterBinding, RouterMessage,
};

use super::file;

struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir();
        Folder(folder.join(format!("leveret-definitions-{name}-{}", std::process::id())))
    }

    fn broker(&self) -> Broker {
        Broker::builder().data_dir(&self.0).build().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Without the queues that are not durable, and their bindings.
fn durable(text: &str) -> String {
    let lines = text.lines().filter(|line| {
        let is_transient = line.contains("\"durable\":false") && !line.contains("\"type\"");
        !is_transient && !line.contains("\"destination\":\"q-transient")
    });
    let kept: Vec<&str> = lines.map(|line| line.trim_end_matches(',')).collect();
    kept.join("\n")
}

#[test]
fn everything_imported_survives_a_restart() {
    for name in ["3.10.8/medium-ctl.json", "4.3.6/medium-http-all.json"] {
        let folder = Folder::new("restart");
        let before = {
            let broker = folder.broker();
            broker.import_definitions(file(name)).unwrap();
            broker.export_definitions().unwrap()
        };
        let after = folder.broker().export_definitions().unwrap();
        assert_eq!(durable(&after), durable(&before), "{name}");
        assert!(
            after.contains("my-param") && after.contains("q-stream"),
            "{name}"
        );
    }
}

#[test]
fn what_is_cleared_or_deleted_does_not_come_back() {
    let folder = Folder::new("cleared");
    {
        let broker = folder.broker();
        broker
            .import_definitions(file("4.3.6/medium-ctl.json"))
            .unwrap();
        let shovel = r#"{"parameters": [{"component": "shovel", "vhost": "shop", "name": "s",
            "value": {"src-queue": "q"}}]}"#;
        broker.import_definitions(shovel).unwrap();
        assert_eq!(broker.clear_kept_definitions("shop").unwrap(), 1);
        assert!(broker.clear_global_parameter("my-param").unwrap());
        broker.delete_vhost("qq").unwrap();
    }
    let after = folder.broker().export_definitions().unwrap();
    for gone in ["src-queue", "my-param", "\"qq\""] {
        assert!(!after.contains(gone), "{gone}");
    }
    assert!(after.contains("a-string"));
}

#[test]
fn a_refused_import_writes_nothing() {
    let folder = Folder::new("refused");
    let before = {
        let broker = folder.broker();
        let before = broker.export_definitions().unwrap();
        let wrong = file("4.3.6/medium-ctl.json")
            .replace("\"x-max-priority\": 5", "\"x-max-priority\": -5");
        broker.import_definitions(wrong).unwrap_err();
        before
    };
    assert_eq!(folder.broker().export_definitions().unwrap(), before);
}

#[test]
fn alias_queues_model_queues_and_rings_survive_a_restart() {
    let folder = Folder::new("kinds");
    let ring = Exchange::consistent_hash("ring").durable();
    let before = {
        let broker = Broker::new();
        for (name, weight) in [("z", 2), ("a", 1), ("m", 3)] {
            let binding = Binding::weighted(&ring, weight);
            let queue = Queue::new(name).durable().binding(binding);
            broker.declare(&queue).unwrap();
        }
        broker.declare(&AliasQueue::of_queue("n", "z")).unwrap();
        let template = Queue::new("").max_length(5).bind(&ring, "1");
        broker.declare(&ModelQueue::new("model", template)).unwrap();
        let text = broker.export_definitions().unwrap();
        folder.broker().import_definitions(&text).unwrap();
        text
    };
    assert_eq!(folder.broker().export_definitions().unwrap(), before);
    // A refused import writes none of them.
    let refused = before
        .replace("\"n\"", "\"k\"")
        .replace("model", "mould")
        .replace("\"bindings\": [", "\"bindings\": [{\"source\": 5},");
    let refused = refused.replace("ring", "other");
    folder.broker().import_definitions(refused).unwrap_err();
    assert_eq!(folder.broker().export_definitions().unwrap(), before);
}

#[derive(Debug)]
struct First;

impl Router for First {
    fn route(&self, _: &RouterMessage<'_>, bindings: &[RouterBinding]) -> Vec<usize> {
        bindings.iter().take(1).map(|_| 0).collect()
    }
}

#[test]
fn what_was_kept_is_made_by_a_broker_that_has_its_type() {
    let folder = Folder::new("kept");
    let file = r#"{
        "queues": [{"name": "q", "vhost": "/", "durable": true}],
        "exchanges": [{"name": "x", "vhost": "/", "type": "x-lvc", "durable": true}],
        "bindings": [{"source": "x", "vhost": "/", "destination": "q",
            "destination_type": "queue", "routing_key": "k"}]}"#;
    let report = folder.broker().import_definitions(file).unwrap();
    assert_eq!((report.exchanges, report.bindings), (0, 0));
    let builder = Broker::builder().exchange_type("x-lvc", First);
    let broker = builder.data_dir(&folder.0).build().unwrap();
    let report = broker.import_definitions(file).unwrap();
    assert_eq!((report.exchanges, report.bindings), (1, 1));
    let sender = broker.producer::<u32>(Exchange::existing("x")).unwrap();
    assert_eq!(sender.publish(1).unwrap().routed, 1);
    let text = broker.export_definitions().unwrap();
    assert_eq!(text.matches("\"source\":\"x\"").count(), 1, "{text}");
}
