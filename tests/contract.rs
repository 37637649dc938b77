//! The public names as they were agreed on: this program must go on compiling and working.

use std::{sync::Arc, thread, time::Duration};

use leveret::{
    Broker, Bytes, Credentials, Event, Exchange, Local, ManualClock, Message, Overflow, Properties,
    PublishOptions, Queue, RecvError, Requeue, Select,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Task {
    id: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Log {
    text: String,
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_agreed_program_runs() -> leveret::Result {
    let broker = Broker::new();
    let tasks = Queue::new("tasks").durable().max_length(10_000);
    let producer = broker.producer::<Task>(&tasks)?;
    let consumer = broker.consumer::<Task>(&tasks)?;
    producer.publish(Task { id: 1 })?;
    let task = consumer.recv()?;
    assert_eq!(task.id, 1);
    task.ack()?;

    let logs = Exchange::topic("logs");
    let errors = broker.declare(&Queue::exclusive().bind(&logs, "*.error"))?;
    let publisher = broker.producer::<Log>(&logs)?;
    let log = Log {
        text: "full".to_owned(),
    };
    publisher.publish_to("disk.error", log.clone())?;
    publisher.publish_message(
        Message::new(log.clone())
            .routing_key("disk.error")
            .priority(5)
            .expiration(secs(5))
            .header("k", "v")
            .persistent()
            .mandatory(),
    )?;
    let found = broker.consumer::<Log>(&errors)?;
    found.recv()?.ack()?;
    let second = found.recv()?;
    assert_eq!(*second.payload(), log);
    let properties = second.info().properties();
    assert_eq!(properties.priority, Some(5));
    assert_eq!(properties.expiration.as_deref(), Some("5000"));
    assert!(properties.is_persistent());
    assert_eq!(second.ack_into().unwrap(), log);
    Ok(())
}

#[test]
fn connections_channels_and_brokers_have_the_typed_verbs_alike() -> leveret::Result {
    let broker = Broker::builder().clock(ManualClock::new()).build();
    let connection = broker.connect("/", Credentials::guest())?;
    let channel = connection.open_channel()?;
    let queue = Queue::new("q").overflow(Overflow::RejectPublish);
    for simple in [
        broker.simple_queue::<u32>("q2")?,
        connection.simple_queue("q2")?,
        channel.simple_queue("q2")?,
    ] {
        simple.put(1)?;
        simple.get_timeout(secs(1))?.ack()?;
        assert_eq!((simple.len(), simple.purge()), (0, 0));
    }
    broker.declare(&queue)?;
    connection.producer::<u32>(&queue)?.publish(1)?;
    assert_eq!(channel.purge(&queue)?, 1);
    channel.producer::<u32>(&queue)?.publish(2)?;
    let consumer = channel
        .consumer_builder::<u32>(&queue)
        .prefetch(1)
        .build()?;
    assert_eq!(consumer.recv()?.ack_into().unwrap(), 2);
    channel.close()?;
    assert!(matches!(consumer.recv(), Err(RecvError::Cancelled(_))));
    connection.delete(&queue)?;
    Ok(())
}

#[test]
fn handles_cross_threads_and_futures_are_send() {
    fn send<T: Send>(_: &T) {}
    fn sync<T: Sync>(_: &T) {}
    let broker = Broker::new();
    let queue = Queue::new("q");
    let producer = broker.producer::<Task>(&queue).unwrap();
    let consumer = broker.consumer::<Task>(&queue).unwrap();
    producer.publish(Task { id: 7 }).unwrap();
    let delivery = consumer.recv().unwrap();
    send(&broker);
    send(&producer);
    sync(&producer);
    send(&consumer);
    sync(&consumer);
    send(&delivery);
    sync(&delivery);
    send(&consumer.recv_async());
    send(&producer.publish_async(Task { id: 8 }));
    let stopper = consumer.cancel_handle();
    let consumer = Arc::new(consumer);
    let receiving = thread::spawn({
        let consumer = Arc::clone(&consumer);
        move || consumer.iter().count()
    });
    stopper.cancel();
    assert_eq!(receiving.join().unwrap(), 0);
    delivery.nack(Requeue::No).unwrap();
}

#[test]
fn a_closure_travels_and_a_select_waits_for_several_types() -> leveret::Result {
    type Job = Local<Box<dyn FnOnce() -> u32 + Send>>;
    let broker = Broker::new();
    let (jobs, bytes) = (Queue::new("jobs"), Queue::new("bytes"));
    let job_consumer = broker.consumer::<Job>(&jobs)?;
    let byte_consumer = broker.consumer::<Bytes>(&bytes)?;
    broker
        .producer::<Job>(&jobs)?
        .publish(Local(Box::new(|| 42)))?;
    let mut select = Select::new();
    let job_index = select.recv(&job_consumer);
    let byte_index = select.recv(&byte_consumer);
    assert_ne!(job_index, byte_index);
    let selected = select.select();
    assert_eq!(selected.index(), job_index);
    let job = selected
        .recv(&job_consumer)?
        .ack_into()
        .unwrap_or_else(|_| unreachable!());
    assert_eq!((job.into_inner())(), 42);
    Ok(())
}

#[test]
fn a_channel_speaks_amqp() -> leveret::Result {
    let broker = Broker::new();
    let channel = broker.connect("/", Credentials::guest())?.open_channel()?;
    channel.confirm_select()?;
    channel.basic_publish(
        "",
        "nobody",
        "lost",
        Properties::new(),
        PublishOptions::new().mandatory(),
    )?;
    let events = channel.events();
    assert!(matches!(events.recv()?, Event::Return(returned) if returned.reply_code == 312));
    assert!(matches!(events.recv()?, Event::Confirm(confirm) if confirm.delivery_tag == 1));
    assert!(events.try_recv().is_err());
    Ok(())
}
