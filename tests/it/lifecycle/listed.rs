//! Connections, channels and consumers in a snapshot.

use leveret::{
    Broker, ConnectionOptions, ConnectionSnapshot, ConsumerSnapshot, Credentials, FieldTable,
    FieldValue, Properties, Queue, Result, Snapshot, VhostSnapshot,
    channel::{AckMode, ChannelOptions, ConsumeOptions, Multiple, PublishOptions, QosScope},
};

fn vhost(broker: &Broker) -> Result<VhostSnapshot> {
    let snapshot = broker.snapshot()?;
    // What a snapshot has survives its way through JSON.
    let json = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot);
    Ok(snapshot.vhosts[0].clone())
}

fn named<'a>(vhost: &'a VhostSnapshot, name: &str) -> &'a ConnectionSnapshot {
    let mut connections = vhost.connections.iter();
    connections
        .find(|connection| connection.name == name)
        .unwrap()
}

fn of_queue<'a>(vhost: &'a VhostSnapshot, queue: &str) -> Vec<&'a ConsumerSnapshot> {
    let consumers = vhost.consumers.iter();
    consumers
        .filter(|consumer| *consumer.queue == *queue)
        .collect()
}

#[test]
fn a_snapshot_lists_connections_with_their_options_while_they_are_open() -> Result {
    let broker = Broker::new();
    let user = broker.authenticate(Credentials::guest().mechanism("AMQPLAIN"))?;
    let client = FieldTable::from_iter([("product", FieldValue::from("pika"))]);
    let options = ConnectionOptions::new()
        .name("wire")
        .peer_address("10.0.0.1:4711")
        .protocol("AMQP 0-9-1")
        .client_properties(client.clone());
    let connection = broker.connect_as(&user, "/", options)?;
    let listed = vhost(&broker)?;
    assert_eq!(listed.connections.len(), 2);
    let implicit = named(&listed, "");
    assert!(implicit.implicit && implicit.auth_mechanism.is_empty());
    let wire = named(&listed, "wire");
    assert_eq!(
        (&*wire.peer_address, &*wire.protocol, &*wire.auth_mechanism),
        ("10.0.0.1:4711", "AMQP 0-9-1", "AMQPLAIN")
    );
    assert_eq!((&wire.client_properties, wire.blocked), (&client, false));
    assert!(wire.number > implicit.number);
    connection.close()?;
    assert_eq!(vhost(&broker)?.connections.len(), 1);
    Ok(())
}

#[test]
fn a_snapshot_lists_channels_with_their_counts() -> Result {
    let broker = Broker::new();
    let user = broker.authenticate(Credentials::guest())?;
    let connection = broker.connect_as(&user, "/", ConnectionOptions::new().name("c"))?;
    let consuming = connection.open_channel_with(ChannelOptions::new().number(9).window(3))?;
    consuming.queue_declare(&Queue::new("q"))?;
    consuming.basic_qos(0, 10, QosScope::Consumer)?;
    consuming.basic_qos(0, 20, QosScope::Channel)?;
    consuming.basic_consume("q", ConsumeOptions::new())?;
    let publishing = connection.open_channel()?;
    publishing.tx_select()?;
    let publish = || {
        let (properties, options) = (Properties::new(), PublishOptions::new());
        publishing.basic_publish("", "q", "m", properties, options)
    };
    publish()?;
    publishing.tx_commit()?;
    publish()?;
    publish()?;
    let confirming = connection.open_channel()?;
    confirming.confirm_select()?;

    let listed = vhost(&broker)?;
    let [first, second, ninth] = &named(&listed, "c").channels[..] else {
        panic!("{listed:?}");
    };
    assert_eq!([first.number, second.number, ninth.number], [1, 2, 9]);
    assert!(first.transactional && second.confirm && !ninth.confirm);
    assert_eq!(
        (first.messages_uncommitted, second.messages_unconfirmed),
        (2, 0)
    );
    assert_eq!((ninth.consumers, ninth.messages_unsettled), (1, 1));
    assert_eq!(
        (ninth.prefetch_count, ninth.global_prefetch_count),
        (10, 20)
    );
    assert_eq!((ninth.window, ninth.deliveries_unread), (3, 1));
    consuming.events().try_recv()?;
    consuming.basic_ack(1, Multiple::No)?;
    let listed = vhost(&broker)?;
    let ninth = &named(&listed, "c").channels[2];
    assert_eq!((ninth.deliveries_unread, ninth.messages_unsettled), (0, 0));

    // The settlements of a transaction count with it.
    publishing.tx_commit()?;
    consuming.close()?;
    publishing.basic_get("q", AckMode::Manual)?;
    publishing.basic_ack(1, Multiple::No)?;
    let listed = vhost(&broker)?;
    let [first, _] = &named(&listed, "c").channels[..] else {
        panic!("{listed:?}");
    };
    assert_eq!(
        (first.messages_unsettled, first.settlements_uncommitted),
        (0, 1)
    );
    Ok(())
}

#[test]
fn a_snapshot_lists_the_consumers_of_channels_and_typed_ones_with_their_connections() -> Result {
    let broker = Broker::new();
    let user = broker.authenticate(Credentials::guest())?;
    let connection = broker.connect_as(&user, "/", ConnectionOptions::new().name("c"))?;
    let channel = connection.open_channel()?;
    channel.queue_declare(&Queue::new("q").single_active_consumer())?;
    channel.basic_qos(0, 7, QosScope::Consumer)?;
    channel.basic_consume("q", ConsumeOptions::new().tag("first").priority(3))?;
    channel.basic_consume("q", ConsumeOptions::new().tag("second").auto_ack())?;
    let typed = connection.consumer::<u32>("typed")?;
    let implicit = broker.consumer::<u32>("implicit")?;

    let listed = vhost(&broker)?;
    let number = named(&listed, "c").number;
    let [first, second] = of_queue(&listed, "q")[..] else {
        panic!("{listed:?}");
    };
    assert_eq!(
        (&*first.consumer_tag, &*second.consumer_tag),
        ("first", "second")
    );
    assert_eq!((first.connection, first.channel), (Some(number), Some(1)));
    assert_eq!((first.prefetch_count, first.priority), (7, 3));
    assert!(first.active && first.ack_required && !first.exclusive);
    assert!(!second.active && !second.ack_required);
    let [one] = of_queue(&listed, "typed")[..] else {
        panic!("{listed:?}");
    };
    assert_eq!((one.connection, one.channel), (Some(number), None));
    let [other] = of_queue(&listed, "implicit")[..] else {
        panic!("{listed:?}");
    };
    assert_eq!(other.connection, Some(named(&listed, "").number));
    drop((typed, implicit));
    channel.basic_cancel("first")?;
    let listed = vhost(&broker)?;
    assert_eq!(listed.consumers.len(), 1);
    assert!(of_queue(&listed, "q")[0].active);
    Ok(())
}
