//! The handles on a RabbitMQ beside a program that is written for `lapin` by hand.
//!
//! `cargo bench --features rabbitmq --bench rabbitmq` prints a table. It needs a RabbitMQ at
//! `LEVERET_RABBITMQ` or at 127.0.0.1:5672, and says so without one. Without `--bench`, with
//! `--quick` or with `LEVERET_QUICK` set, it checks with few messages that none is lost.
//!
//! - Pipelined: messages of 100 octets are published in batches of 500, each with its confirm. Then
//!   all are received and acknowledged one by one.
//! - One at a time: each message is published, confirmed, received and acknowledged before the
//!   next.
//!
//! - Memory: the most resident memory of a process that does all this. Only Linux tells it.
//!
//! Both programs do the same, in turns, and the table has the best of five. A rate and a memory are
//! those of leveret divided by those by hand, and have a goal.

#[path = "rabbitmq/memory.rs"]
mod memory;
#[path = "rabbitmq/table.rs"]
mod table;

use std::{
    env,
    time::{Duration, Instant},
};

use async_rs::Runtime;
use futures_util::{StreamExt, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::FieldTable,
};
use leveret::{Broker, Queue};

const BODY: [u8; 100] = [7; 100];
const BATCH: usize = 500;
const PREFETCH: u16 = 256;

/// How long publishing and receiving took.
struct Times {
    publish: Duration,
    receive: Duration,
    each: Duration,
}

/// One of the two programs.
type Program = fn(url: &str, many: usize, singles: usize) -> Times;

fn main() {
    let quick = env::args().any(|argument| argument == "--quick")
        || env::var_os("LEVERET_QUICK").is_some()
        || !env::args().any(|argument| argument == "--bench");
    let (many, singles, rounds) = match quick {
        true => (1_000, 20, 1),
        false => (50_000, 1_000, 5),
    };
    let url = env::var("LEVERET_RABBITMQ");
    let url = url.unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".to_owned());
    let programs: [(&str, Program); 2] = [("by-hand", by_hand), ("by-handles", by_handles)];
    if let Some((_, program)) = programs.iter().find(|(name, _)| memory::is_asked_for(name)) {
        program(&url, many, singles);
        memory::tell_peak();
        return;
    }
    if let Err(error) = Broker::open(&url) {
        println!("SKIPPED: no RabbitMQ: {error}");
        return;
    }
    let mut times = [Vec::new(), Vec::new()];
    let mut peaks = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (place, (name, program)) in programs.into_iter().enumerate() {
            times[place].push(program(&url, many, singles));
            peaks[place].extend(memory::peak_of(name));
        }
    }
    if quick {
        return;
    }
    let [theirs, ours] = &times;
    table::begin(&format!("{many} messages of 100 octets"));
    let row = |name: &str, messages: usize, goal: f64, of: fn(&Times) -> Duration| {
        let rate = |all: &[Times]| {
            let best = all.iter().map(of).min().unwrap_or_default();
            messages as f64 / best.as_secs_f64()
        };
        table::rate(name, (rate(theirs), rate(ours)), goal);
    };
    row("publish with confirms, pipelined", many, 0.9, |it| {
        it.publish
    });
    row("receive and acknowledge", many, 0.9, |it| it.receive);
    row("one at a time", singles, 0.85, |it| it.each);
    let [theirs, ours] = peaks.map(|peaks| peaks.into_iter().min());
    if let (Some(theirs), Some(ours)) = (theirs, ours) {
        table::memory("memory", (theirs, ours), 1.2);
    }
}

fn by_handles(url: &str, many: usize, singles: usize) -> Times {
    let broker = Broker::open(url).expect("it answers");
    let queue = Queue::new("leveret-bench");
    broker.delete(&queue).expect("it can be deleted");
    let producer = broker.producer::<Vec<u8>>(&queue).expect("it is declared");
    let begin = Instant::now();
    for _ in 0..many / BATCH {
        let results = producer.publish_batch((0..BATCH).map(|_| BODY.to_vec()));
        assert!(results.iter().all(Result::is_ok));
    }
    let publish = begin.elapsed();
    let consumer = broker.consumer_builder::<Vec<u8>>(&queue);
    let consumer = consumer.prefetch(PREFETCH.into()).build();
    let consumer = consumer.expect("it is started");
    let begin = Instant::now();
    for _ in 0..many {
        let delivery = consumer.recv().expect("it is there");
        assert_eq!(delivery.len(), BODY.len());
        delivery.ack().expect("it is acknowledged");
    }
    let receive = begin.elapsed();
    let begin = Instant::now();
    for _ in 0..singles {
        producer.publish(BODY.to_vec()).expect("it is confirmed");
        let delivery = consumer.recv().expect("it is there");
        delivery.ack().expect("it is acknowledged");
    }
    let each = begin.elapsed();
    drop(consumer);
    broker.delete(&queue).expect("it can be deleted");
    Times {
        publish,
        receive,
        each,
    }
}

fn by_hand(url: &str, many: usize, singles: usize) -> Times {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let properties = ConnectionProperties::default();
        let current = Runtime::tokio_current();
        let connection = Connection::connect_with_runtime(url, properties, current).await;
        let connection = connection.expect("it answers");
        let channel = connection.create_channel().await.expect("a channel");
        let options = ConfirmSelectOptions::default();
        channel.confirm_select(options).await.expect("confirms");
        let name = "lapin-bench";
        let options = QueueDeleteOptions::default();
        channel
            .queue_delete(name.into(), options)
            .await
            .expect("it is deleted");
        let options = QueueDeclareOptions::default();
        let declared = channel.queue_declare(name.into(), options, FieldTable::default());
        declared.await.expect("it is declared");
        let begin = Instant::now();
        for _ in 0..many / BATCH {
            let confirms: FuturesUnordered<_> =
                (0..BATCH).map(|_| publish(&channel, name)).collect();
            assert_eq!(confirms.count().await, BATCH);
        }
        let publish_time = begin.elapsed();
        let channel = connection.create_channel().await.expect("a channel");
        let options = BasicQosOptions::default();
        channel
            .basic_qos(PREFETCH, options)
            .await
            .expect("a prefetch");
        let options = BasicConsumeOptions::default();
        let consuming =
            channel.basic_consume(name.into(), "".into(), options, FieldTable::default());
        let mut consumer = consuming.await.expect("it is started");
        let begin = Instant::now();
        for _ in 0..many {
            receive(&mut consumer).await;
        }
        let receive_time = begin.elapsed();
        let publishing = connection.create_channel().await.expect("a channel");
        let options = ConfirmSelectOptions::default();
        publishing.confirm_select(options).await.expect("confirms");
        let begin = Instant::now();
        for _ in 0..singles {
            publish(&publishing, name).await;
            receive(&mut consumer).await;
        }
        let each = begin.elapsed();
        let options = QueueDeleteOptions::default();
        publishing
            .queue_delete(name.into(), options)
            .await
            .expect("it is deleted");
        connection
            .close(200, "OK".into())
            .await
            .expect("it is closed");
        Times {
            publish: publish_time,
            receive: receive_time,
            each,
        }
    })
}

/// Publishes a message, and waits for its confirm.
async fn publish(channel: &Channel, queue: &str) {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties =
        BasicProperties::default().with_content_type("application/octet-stream".into());
    let confirm = channel.basic_publish("".into(), queue.into(), options, &BODY, properties);
    let confirm = confirm.await.expect("it is sent").await;
    let confirm = confirm.expect("it is confirmed");
    assert!(confirm.is_ack() && confirm.take_message().is_none());
}

async fn receive(consumer: &mut Consumer) {
    let delivery = consumer.next().await.expect("it runs");
    let delivery = delivery.expect("it is there");
    assert_eq!(delivery.data.len(), BODY.len());
    let options = BasicAckOptions::default();
    delivery.ack(options).await.expect("it is acknowledged");
}
