//! Exchanges that are not AMQP's, in definitions.

use std::collections::BTreeMap;

use leveret::{
    Binding, Broker, Exchange, ExportOptions, FieldTable, Queue, RabbitMqVersion, Result,
};
use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::{exported, file, of_kind};
use crate::common::{cases, channel_of};

/// The queue of each of 64 keys.
fn mapping(broker: &Broker, exchange: &str) -> Result<BTreeMap<String, String>> {
    let mut mapping = BTreeMap::new();
    for number in 0..64 {
        let key = format!("key {number}");
        let queues = broker.route(&Exchange::existing(exchange), &key, &FieldTable::new())?;
        let names: Vec<String> = queues.iter().map(|name| name.to_string()).collect();
        mapping.insert(key, names.join(" "));
    }
    Ok(mapping)
}

#[test]
fn the_bindings_of_a_consistent_hash_exchange_keep_their_order() -> Result {
    let broker = Broker::new();
    let exchange = Exchange::consistent_hash("ring").durable();
    for (name, weight) in [("z", 1), ("b", 3), ("m", 1), ("a", 2)] {
        let binding = Binding::weighted(&exchange, weight);
        broker.declare(&Queue::new(name).durable().binding(binding))?;
    }
    let text = broker.export_definitions()?;
    let bindings = exported(&broker)["bindings"].clone();
    let order = bindings.as_array().unwrap().iter();
    let order = order.map(|binding| binding["destination"].as_str().unwrap());
    assert_eq!(order.collect::<Vec<_>>(), ["z", "b", "m", "a"]);
    let copy = Broker::from_definitions(&text)?;
    assert_eq!(copy.export_definitions()?, text);
    let theirs = mapping(&broker, "ring")?;
    assert_eq!(theirs.len(), 64);
    assert_eq!(mapping(&copy, "ring")?, theirs);
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    /// Whatever places come and go, and of which binding they are.
    #[test]
    fn an_export_of_a_ring_is_imported_and_exported_again_byte_by_byte(
        steps in vec((any::<bool>(), 0_usize..5, 1_u32..4), 0..24),
    ) {
        let broker = Broker::new();
        let exchange = Exchange::consistent_hash("ring");
        broker.declare(&exchange).unwrap();
        let channel = channel_of(&broker).unwrap();
        // A queue whose place went while it had another binding gets the last place.
        let mut is_exact = true;
        let mut bound: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (binds, queue, weight) in steps {
            let name = format!("q{queue}");
            let weights = bound.entry(queue).or_default();
            if binds {
                let binding = Binding::weighted(&exchange, weight);
                broker.declare(&Queue::new(&name).binding(binding)).unwrap();
                if !weights.contains(&weight) {
                    weights.push(weight);
                }
            } else if weights.contains(&weight) {
                let key = weight.to_string();
                channel.queue_unbind(&name, "ring", &key, Default::default()).unwrap();
                weights.retain(|it| *it != weight);
                is_exact &= weights.is_empty();
            }
        }
        let text = broker.export_definitions().unwrap();
        let copy = Broker::from_definitions(&text).unwrap();
        prop_assert_eq!(copy.export_definitions().unwrap(), text);
        if is_exact {
            let theirs = mapping(&broker, "ring").unwrap();
            prop_assert_eq!(mapping(&copy, "ring").unwrap(), theirs);
        }
    }
}

#[test]
fn the_exchange_types_of_rabbitmq_s_files_are_made() -> Result {
    for name in ["3.10.8/medium-ctl.json", "4.3.6/medium-ctl.json"] {
        let broker = Broker::new();
        let report = broker.import_definitions(file(name))?;
        for remark in of_kind(&report, leveret::RemarkKind::Kept) {
            assert!(!remark.path.contains("exchanges"), "{name}: {remark}");
        }
        let exported = exported(&broker);
        let exchanges = exported["exchanges"].as_array().unwrap();
        for kind in ["x-consistent-hash", "x-random", "x-recent-history"] {
            let is_of_kind = |exchange: &&serde_json::Value| exchange["type"] == kind;
            let exchange = exchanges.iter().find(is_of_kind).unwrap();
            let snapshot = broker.snapshot()?;
            let vhost = snapshot.vhosts.iter();
            let mut vhost =
                vhost.filter(|vhost| *vhost.name == *exchange["vhost"].as_str().unwrap());
            let made = vhost.next().unwrap().exchanges.iter();
            let mut made = made.filter(|made| *made.name == *exchange["name"].as_str().unwrap());
            assert!(made.next().is_some(), "{name}: {exchange}");
        }
    }
    Ok(())
}

#[test]
fn each_version_takes_the_exchange_types_of_its_plugins() -> Result {
    let broker = Broker::new();
    for exchange in [
        Exchange::consistent_hash("hash"),
        Exchange::modulus_hash("modulus"),
        Exchange::random("random"),
        Exchange::recent_history("history").history_length(3),
        Exchange::local_random("local"),
        Exchange::topic("later").delayed(),
    ] {
        broker.declare(&exchange)?;
    }
    // Kept parts, of which RabbitMQ has these types with its plugins.
    let kept = json!({"exchanges": [
        {"name": "jms", "vhost": "/", "type": "x-jms-topic", "durable": true},
        {"name": "event", "vhost": "/", "type": "x-event", "durable": true},
        {"name": "lvc", "vhost": "/", "type": "x-lvc", "durable": true},
    ]});
    broker.import_definitions(kept.to_string())?;
    for (version, gone) in [
        (RabbitMqVersion::V3_10, vec!["later", "local", "lvc"]),
        (RabbitMqVersion::V4_3, vec!["later", "lvc"]),
    ] {
        let options = ExportOptions::new().for_rabbitmq(version).leave_out();
        let exported = broker.export_definitions_with(&options)?;
        let gone = gone
            .iter()
            .map(|name| format!("$.exchanges[?@.vhost=='/' && @.name=='{name}']"));
        let left_out = exported.left_out.iter().map(|remark| remark.path.clone());
        assert_eq!(left_out.collect::<Vec<_>>(), gone.collect::<Vec<_>>());
    }
    Ok(())
}

#[test]
fn a_history_is_not_imported_and_goes_to_the_new_bindings_of_an_import() -> Result {
    let broker = Broker::new();
    let room = Exchange::recent_history("room").history_length(2).durable();
    broker.declare(&Queue::new("old").durable().bind(&room, ""))?;
    let sender = broker.producer::<u32>(&room)?;
    for number in 1..4 {
        sender.publish(number)?;
    }
    let text = broker.export_definitions()?;
    let taken = |broker: &Broker, name: &str| -> Result<Vec<u32>> {
        let queue = broker.simple_queue::<u32>(name)?;
        let taken = std::iter::from_fn(|| {
            let message = queue.try_get().ok()?;
            let number = *message;
            message.ack().unwrap();
            Some(number)
        });
        Ok(taken.collect())
    };
    let copy = Broker::from_definitions(&text)?;
    assert_eq!(taken(&copy, "old")?, [0; 0]);
    // The bindings that exist get nothing, and new ones get what was kept.
    let more = text.replace("\"old\"", "\"new\"");
    broker.import_definitions(&text)?;
    broker.import_definitions(&more)?;
    assert_eq!(taken(&broker, "old")?, [1, 2, 3]);
    assert_eq!(taken(&broker, "new")?, [2, 3]);
    // One that is refused gives nothing.
    let other = text.replace("\"old\"", "\"other\"");
    let refused = other.replace("\"bindings\": [", "\"bindings\": [{\"source\": 5},");
    broker.import_definitions(&refused).unwrap_err();
    broker.import_definitions(&other)?;
    assert_eq!(taken(&broker, "other")?, [2, 3]);
    Ok(())
}
