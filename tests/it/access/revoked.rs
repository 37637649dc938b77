//! Changes of permissions while a connection is open.

use leveret::{
    CancelReason, Exchange, Permission, Permissions, Queue, RecvError, TopicPermissions,
    channel::{AckMode, ConsumeOptions, Event, Multiple},
};

use super::{assert_denied, broker_of_ada, delete_queue, publish};

#[test]
fn a_producer_that_has_published_before_is_refused_at_once() {
    let (broker, connection) = broker_of_ada(&Permissions::all());
    let exchange = broker.declare(&Exchange::fanout("x")).unwrap();
    broker
        .declare(&Queue::new("q").bind(&exchange, ""))
        .unwrap();
    let to_exchange = connection.producer::<u32>(&exchange).unwrap();
    let to_queue = connection.producer::<u32>("q").unwrap();
    let clone = to_queue.clone();
    let channel = connection.open_channel().unwrap();
    for _ in 0..2 {
        to_exchange.publish(1).unwrap();
        to_queue.publish(1).unwrap();
        clone.publish(1).unwrap();
        publish(&channel, "", "q").unwrap();
    }
    let no_write = Permissions::new(".*", "", ".*");
    broker.set_permissions("/", "ada", &no_write).unwrap();
    let text = "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for \
                user 'ada'";
    for producer in [&to_queue, &clone] {
        let refused = producer.publish(2).unwrap_err();
        assert_eq!(refused.error().to_string(), text);
        assert_eq!(refused.into_inner(), Some(2)); // it is given back
        let refused = producer.publish_batch(vec![3, 4]);
        assert!(refused.iter().all(Result::is_err));
    }
    let refused = to_exchange.publish(2).map_err(|error| error.into_parts().0);
    assert_denied(refused, Permission::Write, "x");
    assert_denied(publish(&channel, "", "q"), Permission::Write, "amq.default");
    assert_eq!(broker.purge("q").unwrap(), 8);
    // Nothing is closed, and the right can come back.
    broker
        .set_permissions("/", "ada", &Permissions::all())
        .unwrap();
    to_queue.publish(5).unwrap();
    to_exchange.publish(5).unwrap();
    publish(&channel, "", "q").unwrap();
    assert_eq!(broker.purge("q").unwrap(), 3);
}

#[test]
fn topic_permissions_count_for_a_key_that_was_used_before() {
    let (broker, connection) = broker_of_ada(&Permissions::all());
    let topic = Exchange::existing("amq.topic");
    broker.declare(&Queue::new("q").bind(&topic, "#")).unwrap();
    let producer = connection.producer::<u32>(&topic).unwrap();
    let publish = |key| {
        producer
            .publish_to(key, 1)
            .map_err(|error| error.into_parts().0)
    };
    for key in ["a", "b", "a", "b"] {
        publish(key).unwrap();
    }
    let only_a = TopicPermissions::new("amq.topic", "^a$", ".*");
    broker.set_topic_permissions("/", "ada", &only_a).unwrap();
    publish("a").unwrap();
    assert_denied(publish("b"), Permission::Write, "amq.topic#b");
    broker.clear_topic_permissions("/", "ada", None).unwrap();
    publish("b").unwrap();
    assert_eq!(broker.purge("q").unwrap(), 6);
}

#[test]
fn consumers_go_on_and_get_no_more_after_a_cancel() {
    let (broker, connection) = broker_of_ada(&Permissions::all());
    broker.declare(&Queue::new("q")).unwrap();
    let typed = connection.consumer::<u32>("q").unwrap();
    let channel = connection.open_channel().unwrap();
    let consume = || channel.basic_consume("q", ConsumeOptions::new().tag("c"));
    consume().unwrap();
    broker.clear_permissions("/", "ada").unwrap();
    let producer = broker.producer::<u32>("q").unwrap();
    producer.publish(1).unwrap();
    producer.publish(2).unwrap();
    typed.recv().unwrap().ack().unwrap();
    let Ok(Event::Delivery(delivery)) = channel.events().recv() else {
        panic!("the channel gets one of the two");
    };
    // Settling, limits and cancelling ask for nothing.
    channel
        .basic_ack(delivery.delivery_tag(), Multiple::No)
        .unwrap();
    channel.basic_qos(0, 1, false.into()).unwrap();
    channel.basic_recover(leveret::Requeue::Yes).unwrap();
    channel.confirm_select().unwrap();
    channel.basic_cancel("c").unwrap();
    assert_denied(consume(), Permission::Read, "q");
    assert_denied(
        channel.basic_get("q", AckMode::Auto).map(drop),
        Permission::Read,
        "q",
    );
    assert_denied(
        connection.consumer::<u32>("q").map(drop),
        Permission::Configure,
        "q",
    );
    assert!(channel.close().is_ok() && connection.close().is_ok());
}

#[test]
fn a_simple_queue_ends_when_read_is_revoked() {
    let (broker, connection) = broker_of_ada(&Permissions::all());
    let queue = connection.simple_queue::<u32>("q").unwrap();
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    queue.get().unwrap().ack().unwrap();
    let no_read = Permissions::new(".*", ".*", "");
    broker.set_permissions("/", "ada", &no_read).unwrap();
    let refused = || RecvError::Cancelled(CancelReason::AccessRefused).to_string();
    assert_eq!(queue.get().unwrap_err().to_string(), refused());
    assert_eq!(queue.try_get().unwrap_err().to_string(), refused());
    assert_eq!(queue.purge().unwrap_err().reply_code(), Some(403));
    assert_eq!(queue.len(), Ok(1));
    broker.delete_user("ada").unwrap();
    let deleted = RecvError::Cancelled(CancelReason::UserDeleted).to_string();
    assert_eq!(queue.get().unwrap_err().to_string(), deleted);
    assert_eq!(broker.purge("q").unwrap(), 1);
}

#[test]
fn a_transaction_asks_when_it_is_published_in() {
    let (broker, connection) = broker_of_ada(&Permissions::all());
    broker.declare(&Queue::new("q")).unwrap();
    let channel = connection.open_channel().unwrap();
    channel.tx_select().unwrap();
    publish(&channel, "", "q").unwrap();
    broker.clear_permissions("/", "ada").unwrap();
    assert_denied(publish(&channel, "", "q"), Permission::Write, "amq.default");
    channel.tx_commit().unwrap();
    assert_eq!(broker.purge("q").unwrap(), 1);
}

#[test]
fn an_exclusive_queue_of_someone_without_permissions_still_ends_with_the_connection() {
    let (broker, connection) = broker_of_ada(&Permissions::all());
    let queue = Queue::new("q").exclusive_flag();
    connection.declare(&queue).unwrap();
    broker.clear_permissions("/", "ada").unwrap();
    let channel = connection.open_channel().unwrap();
    assert_denied(delete_queue(&channel, "q"), Permission::Configure, "q");
    connection.close().unwrap();
    broker.declare(&Queue::new("q").durable()).unwrap();
}
