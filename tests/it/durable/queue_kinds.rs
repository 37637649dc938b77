//! Alias queues, model queues and triggers over the end of a broker.

use leveret::{AliasQueue, ModelQueue, Trigger, TriggerMessage};

use super::*;

#[test]
fn aliases_and_models_come_back() {
    let folder = Folder::new();
    let model = ModelQueue::new("model", Queue::new("").max_length(3))
        .pattern("m.*")
        .permanent();
    let alias = AliasQueue::of_queue("alias", "second");
    {
        let broker = folder.broker();
        broker.declare(&Queue::new("second").durable()).unwrap();
        broker
            .declare(&AliasQueue::of_queue("alias", "first"))
            .unwrap();
        broker
            .declare(&AliasQueue::of_exchange("chain", "amq.fanout"))
            .unwrap();
        broker
            .declare(&AliasQueue::of_queue("gone", "first"))
            .unwrap();
        broker.declare(&model).unwrap();
        broker
            .declare(&ModelQueue::new("gone too", Queue::new("")))
            .unwrap();
        broker.repoint(&alias).unwrap();
        broker
            .delete(&AliasQueue::of_queue("gone", "first"))
            .unwrap();
        broker
            .delete(&ModelQueue::new("gone too", Queue::new("")))
            .unwrap();
    }
    let broker = folder.broker();
    let root = broker.snapshot().unwrap().vhosts.remove(0);
    let chain = AliasQueue::of_exchange("chain", "amq.fanout");
    assert_eq!(root.aliases, [alias, chain]);
    assert_eq!(root.model_queues, [model]);
    assert_eq!(
        broker
            .producer::<u32>("alias")
            .unwrap()
            .publish(1)
            .unwrap()
            .routed,
        1
    );
    let queue = broker.open_model_queue("model").unwrap();
    assert!(queue.name().starts_with("m."));
}

#[test]
fn a_deleted_virtual_host_leaves_no_alias_and_no_model() {
    let folder = Folder::new();
    {
        let broker = folder.broker();
        broker.create_vhost("v").unwrap();
        let connection = broker.connect("v", Credentials::guest()).unwrap();
        connection
            .declare(&AliasQueue::of_queue("alias", "q"))
            .unwrap();
        connection
            .declare(&ModelQueue::new("model", Queue::new("")))
            .unwrap();
        broker.delete_vhost("v").unwrap();
        broker.create_vhost("v").unwrap();
    }
    let snapshot = folder.broker().snapshot().unwrap();
    let vhost = snapshot.vhosts.iter().find(|vhost| &*vhost.name == "v");
    let vhost = vhost.unwrap();
    assert!(vhost.aliases.is_empty() && vhost.model_queues.is_empty());
}

#[test]
fn a_queue_with_messages_triggers_when_its_broker_starts() {
    let folder = Folder::new();
    let queue = Queue::new("q").durable().trigger("start", Trigger::First);
    {
        let broker = folder.broker();
        broker.declare(&Queue::new("start").durable()).unwrap();
        let producer = broker
            .producer_builder::<u32>(&queue)
            .properties(persistent())
            .build()
            .unwrap();
        producer.publish(1).unwrap();
        producer.publish(2).unwrap();
        assert_eq!(broker.purge("start").unwrap(), 1);
    }
    let broker = folder.broker();
    let start = broker.simple_queue::<TriggerMessage>("start").unwrap();
    let message = start.try_get().unwrap();
    assert_eq!((message.trigger, message.depth), (Trigger::First, 2));
    message.ack().unwrap();
}
