//! The limits and the metadata of virtual hosts.

use leveret::{Broker, Exchange, Queue, VhostLimits, VhostMetadata};

#[test]
fn the_queues_of_a_vhost_are_limited_for_everyone() {
    let broker = Broker::new();
    broker
        .set_vhost_limits("/", VhostLimits::new().max_queues(2))
        .unwrap();
    broker.declare(&Queue::new("a")).unwrap();
    broker.declare(&Queue::exclusive()).unwrap();
    broker.declare(&Queue::new("a")).unwrap();
    let error = broker.declare(&Queue::new("b")).unwrap_err();
    let text = "PRECONDITION_FAILED - cannot declare queue 'b': queue limit in vhost '/' (2) is \
                reached";
    assert_eq!(error.to_string(), text);
    assert!(broker.consumer::<u32>("b").is_err());
    assert!(broker.producer::<u32>("b").is_err());
    assert!(broker.simple_queue::<u32>("b").is_err());
    broker.delete(&Queue::new("a")).unwrap();
    broker.declare(&Queue::new("b")).unwrap();
}

#[test]
fn a_batch_of_queues_that_exceeds_the_limit_makes_none() {
    let broker = Broker::new();
    broker
        .set_vhost_limits("/", VhostLimits::new().max_queues(1))
        .unwrap();
    let both = [Queue::new("a"), Queue::new("b")];
    let consumer = broker.consumer_builder::<u32>("a").also("b").build();
    let error = consumer.map(drop).unwrap_err();
    assert_eq!(error.reply_code(), Some(406));
    for queue in both {
        assert!(broker.purge(&queue).unwrap_err().is_not_found());
    }
}

#[test]
fn a_negative_limit_is_none_and_zero_is_none_at_all() {
    let broker = Broker::new();
    broker
        .set_vhost_limits("/", VhostLimits::new().max_queues(-1))
        .unwrap();
    broker.declare(&Queue::new("a")).unwrap();
    broker
        .set_vhost_limits("/", VhostLimits::new().max_queues(0))
        .unwrap();
    assert_eq!(
        broker.declare(&Queue::new("b")).unwrap_err().reply_code(),
        Some(406)
    );
    broker.declare(&Queue::new("a")).unwrap();
}

#[test]
fn a_queue_without_a_type_gets_that_of_the_vhost_if_it_can_be_of_it() {
    let broker = Broker::new();
    broker.declare(&Queue::new("before").durable()).unwrap();
    let metadata = VhostMetadata::new().default_queue_type("quorum");
    broker.set_vhost_metadata("/", metadata).unwrap();
    broker.declare(&Queue::new("d").durable()).unwrap();
    broker.declare(&Queue::quorum("d")).unwrap();
    for classic in [
        Queue::new("transient"),
        Queue::new("auto").durable().auto_delete(),
        Queue::new("mine").durable().exclusive_flag(),
    ] {
        broker.declare(&classic).unwrap();
        let typed = classic.argument("x-queue-type", "classic");
        broker.declare(&typed).unwrap();
    }
    let error = broker.declare(&Queue::new("before").durable()).unwrap_err();
    let text = "inequivalent arg 'x-queue-type' for queue 'before' in vhost '/'";
    assert!(error.to_string().contains(text), "{error}");
    let unnamed = broker.declare(&Queue::new("").durable()).unwrap_err();
    assert!(
        unnamed.to_string().contains("server-named queue"),
        "{unnamed}"
    );
    broker.declare(&Queue::existing("before")).unwrap();
    broker
        .set_vhost_metadata("/", VhostMetadata::new())
        .unwrap();
    broker.declare(&Queue::new("before").durable()).unwrap();
}

#[test]
fn topic_permissions_end_with_their_exchange() {
    let broker = Broker::new();
    let exchange = Exchange::topic("x");
    let topic = leveret::TopicPermissions::new("x", "^a$", "^a$");
    broker.declare(&exchange).unwrap();
    broker.set_topic_permissions("/", "guest", &topic).unwrap();
    broker.delete(&exchange).unwrap();
    assert_eq!(broker.topic_permissions("/").unwrap(), []);
    // Also if the exchange goes by itself.
    broker.declare(&exchange.clone().auto_delete()).unwrap();
    broker.set_topic_permissions("/", "guest", &topic).unwrap();
    let queue = Queue::new("q").bind(Exchange::existing("x"), "#");
    broker.declare(&queue).unwrap();
    broker.delete(&queue).unwrap();
    assert_eq!(broker.topic_permissions("/").unwrap(), []);
}

#[test]
fn a_vhost_takes_its_permissions_and_limits_along() {
    let broker = Broker::new();
    broker.create_vhost("v").unwrap();
    broker
        .set_vhost_limits("v", VhostLimits::new().max_queues(1))
        .unwrap();
    broker
        .set_vhost_metadata("v", VhostMetadata::new().tag("t"))
        .unwrap();
    broker.delete_vhost("v").unwrap();
    assert_eq!(broker.user_permissions("guest").unwrap().len(), 1);
    broker.create_vhost("v").unwrap();
    assert!(broker.vhost_limits("v").unwrap().is_empty());
    assert_eq!(broker.vhost_metadata("v").unwrap(), VhostMetadata::new());
}
