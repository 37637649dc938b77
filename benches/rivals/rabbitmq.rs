//! RabbitMQ, a server, through the client lapin: transient messages through the default exchange,
//! with one connection for each side.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, future::join_all};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Error, options::*,
    types::FieldTable,
};
use tokio::{
    runtime::Runtime,
    task,
    time::{sleep, timeout},
};

use super::{
    REST, Rival, Skipped,
    item::{Item, id_of},
    options::Options,
    own::p50,
    race::Tally,
};

/// The number of publishes that are awaited together. It is the fastest way of lapin.
const WINDOW: u64 = 100;

/// The time limit that ends the run if a message is lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// The way in which the consumer acknowledges.
#[derive(Clone, Copy, PartialEq)]
enum Ack {
    Auto,
    Each,
    PerFifty,
}

struct Server {
    runtime: Runtime,
    publisher: Connection,
    consumer: Connection,
}

pub fn rivals(options: &Options, skipped: &mut Skipped) -> Vec<Rival> {
    let runtime = Runtime::new().expect("a runtime");
    let uri = env::var("LEVERET_RABBITMQ").unwrap_or("amqp://guest:guest@127.0.0.1:5672".into());
    let connect = async || {
        let connection = Connection::connect(&uri, ConnectionProperties::default());
        match timeout(Duration::from_secs(5), connection).await {
            Ok(connected) => connected.map_err(|error| error.to_string()),
            Err(_) => Err("no answer".into()),
        }
    };
    let connections = runtime.block_on(async { (connect().await, connect().await) });
    let (publisher, consumer) = match connections {
        (Ok(publisher), Ok(consumer)) => (publisher, consumer),
        (Err(error), _) | (_, Err(error)) => {
            skipped.push(format!("rabbitmq: {error}"));
            return Vec::new();
        }
    };
    let server = Arc::new(Server {
        runtime,
        publisher,
        consumer,
    });
    let calls = options.size(10, 200);
    let mut rivals = Vec::new();
    for (name, against, goal, rest) in [
        ("rabbitmq-rpc", "leveret-rpc", 100.0, None),
        ("rabbitmq-rpc-woken", "leveret-rpc-woken", 4.0, Some(REST)),
    ] {
        let server = Arc::clone(&server);
        rivals.push(
            Rival::new(name, against, Some(goal), move || {
                let times = server.runtime.block_on(call(&server, calls, rest));
                p50(times.expect("RabbitMQ is there"))
            })
            .elsewhere(),
        );
    }
    for (name, against, goal, messages, window) in [
        ("rabbitmq-durable", "leveret-durable", 1.8, 300, 1),
        (
            "rabbitmq-durable-100",
            "leveret-durable-100",
            6.0,
            5_000,
            WINDOW,
        ),
    ] {
        let server = Arc::clone(&server);
        let messages = options.size(WINDOW, messages);
        rivals.push(
            Rival::new(name, against, Some(goal), move || {
                let time = server
                    .runtime
                    .block_on(confirmed(&server, messages, window));
                time.expect("RabbitMQ is there").as_nanos() as f64 / messages as f64
            })
            .elsewhere(),
        );
    }
    for (name, ack, goal, messages) in [
        ("rabbitmq-auto-ack", Ack::Auto, 1.0, 20_000),
        ("rabbitmq-ack-each", Ack::Each, 50.0, 5_000),
        ("rabbitmq-ack-per-50", Ack::PerFifty, 50.0, 20_000),
    ] {
        let server = Arc::clone(&server);
        let messages = options.size(500, messages);
        rivals.push(
            Rival::new(name, "leveret-bytes", Some(goal), move || {
                let time = server.runtime.block_on(stream(&server, messages, ack));
                time.expect("RabbitMQ is there").as_nanos() as f64 / messages as f64
            })
            .elsewhere(),
        );
    }
    rivals
}

/// A queue that is deleted after the run, and its consumer.
async fn consume(channel: &Channel, ack: Ack) -> Result<(String, lapin::Consumer), Error> {
    let options = QueueDeclareOptions {
        auto_delete: true,
        ..Default::default()
    };
    let queue = channel
        .queue_declare("".into(), options, FieldTable::default())
        .await?;
    channel.basic_qos(256, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions {
        no_ack: ack == Ack::Auto,
        ..Default::default()
    };
    let name = queue.name().clone();
    let consumer = channel.basic_consume(name.clone(), "".into(), options, FieldTable::default());
    Ok((name.to_string(), consumer.await?))
}

async fn stream(server: &Server, messages: u64, ack: Ack) -> Result<Duration, Error> {
    let channel = server.consumer.create_channel().await?;
    let (queue, mut consumer) = consume(&channel, ack).await?;
    let publisher = server.publisher.create_channel().await?;
    let began = Instant::now();
    let sending = task::spawn(async move {
        for first in (1..=messages).step_by(WINDOW as usize) {
            let last = messages.min(first + WINDOW - 1);
            join_all((first..=last).map(|id| {
                let (publisher, queue) = (&publisher, &queue);
                async move {
                    let (options, body) = (BasicPublishOptions::default(), Vec::make(id));
                    let properties = BasicProperties::default().with_delivery_mode(1);
                    publisher
                        .basic_publish("".into(), queue.as_str().into(), options, &body, properties)
                        .await
                        .expect("RabbitMQ is there");
                }
            }))
            .await;
        }
        publisher
    });
    let mut tally = Tally::default();
    while tally.messages < messages {
        let next = timeout(PATIENCE, consumer.next()).await;
        let delivery = next.expect("nothing is lost").expect("RabbitMQ is there")?;
        tally.add(id_of(&delivery.data));
        let multiple = match ack {
            Ack::Auto => continue,
            Ack::Each => false,
            Ack::PerFifty if tally.messages % 50 == 0 || tally.messages == messages => true,
            Ack::PerFifty => continue,
        };
        delivery.ack(BasicAckOptions { multiple }).await?;
    }
    let time = began.elapsed();
    assert_eq!(tally, Tally::expected(messages, 1));
    let publisher = sending.await.expect("the publisher panicked");
    publisher.close(200, "".into()).await?;
    channel.close(200, "".into()).await?;
    Ok(time)
}

/// Persistent messages to a durable queue, each with its confirm. `window` of them wait for their
/// confirms together.
async fn confirmed(server: &Server, messages: u64, window: u64) -> Result<Duration, Error> {
    let channel = server.publisher.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let name = format!("leveret-durable-{}", std::process::id());
    let options = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .queue_declare(name.as_str().into(), options, FieldTable::default())
        .await?;
    let body = vec![7; super::durable::BODY];
    let began = Instant::now();
    for _ in 0..messages / window {
        let publishes = (0..window).map(|_| {
            let (channel, body, name) = (&channel, &body, name.as_str());
            async move {
                let options = BasicPublishOptions::default();
                let properties = BasicProperties::default().with_delivery_mode(2);
                let sent = channel.basic_publish("".into(), name.into(), options, body, properties);
                sent.await?.await
            }
        });
        for confirm in join_all(publishes).await {
            assert!(confirm?.is_ack());
        }
    }
    let time = began.elapsed();
    channel
        .queue_delete(name.as_str().into(), QueueDeleteOptions::default())
        .await?;
    channel.close(200, "".into()).await?;
    Ok(time)
}

/// Requests through direct reply-to, the fastest way of RabbitMQ.
async fn call(server: &Server, calls: u64, rest: Option<Duration>) -> Result<Vec<Duration>, Error> {
    let channel = server.consumer.create_channel().await?;
    let (queue, mut requests) = consume(&channel, Ack::Auto).await?;
    let serving = task::spawn(async move {
        for _ in 0..calls {
            let request = requests.next().await.expect("RabbitMQ is there")?;
            let properties = request.properties;
            let reply_to = properties.reply_to().clone().expect("a request has one");
            let correlation = properties
                .correlation_id()
                .clone()
                .expect("a request has one");
            let properties = BasicProperties::default().with_correlation_id(correlation);
            let options = BasicPublishOptions::default();
            channel
                .basic_publish("".into(), reply_to, options, &request.data, properties)
                .await?;
        }
        channel.close(200, "".into()).await
    });
    let caller = server.publisher.create_channel().await?;
    let options = BasicConsumeOptions {
        no_ack: true,
        ..Default::default()
    };
    let replies = "amq.rabbitmq.reply-to";
    let mut consumer = caller
        .basic_consume(replies.into(), "".into(), options, FieldTable::default())
        .await?;
    let mut times = Vec::new();
    for id in 0..calls {
        if let Some(rest) = rest {
            sleep(rest).await;
        }
        let began = Instant::now();
        let correlation = id.to_string();
        let properties = BasicProperties::default()
            .with_reply_to(replies.into())
            .with_correlation_id(correlation.as_str().into());
        let (options, body) = (BasicPublishOptions::default(), Vec::make(id));
        caller
            .basic_publish("".into(), queue.as_str().into(), options, &body, properties)
            .await?;
        let reply = consumer.next().await.expect("RabbitMQ is there")?;
        times.push(began.elapsed());
        let same = reply.properties.correlation_id().as_ref();
        assert_eq!(same.map(|id| id.as_str()), Some(correlation.as_str()));
    }
    serving.await.expect("the server panicked")?;
    caller.close(200, "".into()).await?;
    Ok(times)
}
