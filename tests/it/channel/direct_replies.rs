//! Direct replies by typed producers. The scenarios `own-direct-reply-to` have those of a channel.

use leveret::{
    Broker, Channel, Exchange, Local, Message, Properties, Published, Queue, Result,
    channel::{AckMode, ConsumeOptions, Event, IfEmpty, IfUnused, PublishOptions},
};

use crate::common::channel_of;

/// A channel that waits for replies, and the address that it waits at.
fn requester(broker: &Broker) -> Result<(Channel, String)> {
    let channel = channel_of(broker)?;
    let options = ConsumeOptions::new().tag("replies").auto_ack();
    channel.basic_consume("amq.rabbitmq.reply-to", options)?;
    channel.queue_declare(&Queue::new("requests"))?;
    let properties = Properties::new().reply_to("amq.rabbitmq.reply-to");
    let options = PublishOptions::new();
    channel.basic_publish("", "requests", "request", properties, options)?;
    let request = channel.basic_get("requests", AckMode::Auto)?;
    let address = request.and_then(|request| request.properties().reply_to.clone());
    Ok((channel, address.expect("the request has an address")))
}

fn send(broker: &Broker, address: &str) -> Result<Published> {
    let producer = broker.producer::<String>(&Exchange::existing(""))?;
    let reply = Message::new("reply".to_owned())
        .routing_key(address)
        .mandatory();
    Ok(producer.publish_message(reply)?)
}

fn bodies(channel: &Channel) -> Vec<String> {
    let events = channel.events();
    std::iter::from_fn(|| events.try_recv().ok())
        .filter_map(|event| match event {
            Event::Delivery(reply) => Some(String::from_utf8_lossy(&reply.body().ok()?).into()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_reply_counts_as_routed_if_the_requester_takes_it() -> Result {
    let broker = Broker::new();
    let (channel, address) = requester(&broker)?;
    assert_eq!(send(&broker, &address)?.routed, 1);
    assert_eq!(bodies(&channel), ["reply"]);
    assert_eq!(send(&broker, &format!("{address}x"))?.routed, 0);
    channel.basic_cancel("replies")?;
    assert_eq!(send(&broker, &address)?.routed, 0);
    assert!(bodies(&channel).is_empty());
    let error = send(&broker, "amq.rabbitmq.reply-to.made-up").unwrap_err();
    assert_eq!(error.reply_code(), Some(312));
    Ok(())
}

#[test]
fn a_name_like_an_address_that_is_none_is_not_found() -> Result {
    let broker = Broker::new();
    let channel = channel_of(&broker)?;
    for name in ["amq.rabbitmq.reply-to.made-up", "amq.rabbitmq.reply-tox"] {
        let declared = channel.queue_declare(&Queue::new(name));
        assert_eq!(declared.unwrap_err().reply_code(), Some(404));
        let asked = channel.queue_declare_passive(name);
        assert_eq!(asked.unwrap_err().reply_code(), Some(404));
        assert_eq!(channel.queue_delete(name, IfUnused::No, IfEmpty::No)?, 0);
    }
    Ok(())
}

#[test]
fn a_reply_goes_to_requesters_and_queues_at_once() -> Result {
    let broker = Broker::new();
    let (first, to_first) = requester(&broker)?;
    let (second, to_second) = requester(&broker)?;
    let queue = broker.simple_queue::<String>("q")?;
    let keys = vec![
        to_second.as_str().into(),
        "q".into(),
        to_first.as_str().into(),
    ];
    let reply = Message::new("reply".to_owned())
        .routing_key(&*to_first)
        .header("CC", leveret::FieldValue::Array(keys));
    let producer = broker.producer::<String>(&Exchange::existing(""))?;
    assert_eq!(producer.publish_message(reply)?.routed, 3);
    assert_eq!(bodies(&first), ["reply"]);
    assert_eq!(bodies(&second), ["reply"]);
    assert_eq!(*queue.try_get()?, "reply");
    Ok(())
}

#[test]
fn a_local_reply_cannot_go_to_a_queue_as_well() -> Result {
    let broker = Broker::new();
    let (channel, address) = requester(&broker)?;
    broker.declare(&Queue::new("q"))?;
    let keys = leveret::FieldValue::Array(vec!["q".into()]);
    let producer = broker.producer::<Local<u32>>(&Exchange::existing(""))?;
    let reply = Message::new(Local::new(1))
        .routing_key(&*address)
        .header("CC", keys);
    assert!(producer.publish_message(reply).is_err());
    assert!(channel.events().try_recv().is_err());
    let alone = Message::new(Local::new(1)).routing_key(&*address);
    assert_eq!(producer.publish_message(alone)?.routed, 1);
    assert!(channel.events().try_recv().is_ok());
    Ok(())
}

#[test]
fn an_uncommitted_reply_does_not_keep_its_own_channel_alive() -> Result {
    let broker = Broker::new();
    let (channel, address) = requester(&broker)?;
    channel.tx_select()?;
    let options = PublishOptions::new();
    channel.basic_publish("", &address, "to itself", Properties::new(), options)?;
    drop(channel);
    assert_eq!(send(&broker, &address)?.routed, 0);
    Ok(())
}
