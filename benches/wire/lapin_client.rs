//! The rows of lapin. It costs more than either broker. So the processor time of the broker and the
//! time of a round trip tell more than the rate.

use std::time::{Duration, Instant};

use futures::{StreamExt, future::join_all};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, Error, options::*,
    types::FieldTable,
};
use tokio::{runtime::Runtime, task, time::timeout};

use super::{Broker, Figure, Measured, Options, Row, table::median};

/// The number of publishes that are awaited together. It is the fastest way of lapin.
const WINDOW: u64 = 100;

/// The time limit that ends the run if a message is lost.
const PATIENCE: Duration = Duration::from_secs(60);

const BODY: [u8; 64] = [7; 64];

pub fn rows() -> Vec<Row> {
    const GOALS: &[(Figure, f64)] = &[(Figure::Processor, 0.5)];
    const ROUND_TRIP: &[(Figure, f64)] = &[(Figure::Processor, 0.5), (Figure::P50, 0.75)];
    vec![
        Row {
            name: "lapin",
            goals: GOALS,
            run: |broker, options| run(broker, options, 10, Shape::Stream { confirms: false }),
        },
        Row {
            name: "lapin-confirms",
            goals: GOALS,
            run: |broker, options| run(broker, options, 10, Shape::Stream { confirms: true }),
        },
        Row {
            name: "lapin-confirmed-each",
            goals: ROUND_TRIP,
            run: |broker, options| run(broker, options, 50, Shape::ConfirmedEach),
        },
        Row {
            name: "lapin-delivered-each",
            goals: ROUND_TRIP,
            run: |broker, options| run(broker, options, 50, Shape::DeliveredEach),
        },
    ]
}

#[derive(Clone, Copy)]
enum Shape {
    /// One publisher and one consumer, which acknowledges each message.
    Stream { confirms: bool },
    /// A message is published when the one before is confirmed.
    ConfirmedEach,
    /// A message is published when the one before has come on another connection.
    DeliveredEach,
}

/// Runs a shape with a part of the messages of a lean row.
fn run(broker: &Broker, options: &Options, part: u64, shape: Shape) -> Measured {
    let messages = (options.messages / part).next_multiple_of(WINDOW);
    let runtime = Runtime::new().expect("a runtime");
    let measured = runtime.block_on(measure(broker, messages, shape));
    measured.expect("the broker is there")
}

async fn measure(broker: &Broker, messages: u64, shape: Shape) -> Result<Measured, Error> {
    let uri = format!("amqp://guest:guest@{}", broker.address);
    let publishing = Connection::connect(&uri, ConnectionProperties::default()).await?;
    let consuming = Connection::connect(&uri, ConnectionProperties::default()).await?;
    let (publisher, channel) = (
        publishing.create_channel().await?,
        consuming.create_channel().await?,
    );
    let (queue, consumer) = consume(&channel).await?;
    let confirms = !matches!(
        shape,
        Shape::Stream { confirms: false } | Shape::DeliveredEach
    );
    if confirms {
        let options = ConfirmSelectOptions::default();
        publisher.confirm_select(options).await?;
    }
    let (before, began) = (broker.processor_time(), Instant::now());
    let round_trips = match shape {
        Shape::Stream { .. } => {
            let receiving = task::spawn(receive(consumer, messages));
            for _ in 0..messages / WINDOW {
                let publishes = (0..WINDOW).map(|_| publish(&publisher, &queue));
                for published in join_all(publishes).await {
                    published?;
                }
            }
            receiving.await.expect("the consumer ends")?;
            Vec::new()
        }
        Shape::ConfirmedEach => {
            let receiving = task::spawn(receive(consumer, messages));
            let mut times = Vec::new();
            for _ in 0..messages {
                let began = Instant::now();
                publish(&publisher, &queue).await?;
                times.push(began.elapsed());
            }
            receiving.await.expect("the consumer ends")?;
            times
        }
        Shape::DeliveredEach => {
            let (mut consumer, mut times) = (consumer, Vec::new());
            for _ in 0..messages {
                let began = Instant::now();
                publish(&publisher, &queue).await?;
                let delivery = next(&mut consumer).await?;
                times.push(began.elapsed());
                delivery.ack(BasicAckOptions::default()).await?;
            }
            times
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let processor = broker.processor_time() - before;
    let mut measured = vec![
        (Figure::Rate, messages as f64 / seconds),
        (Figure::Processor, processor as f64 / messages as f64),
    ];
    if !round_trips.is_empty() {
        let times: Vec<f64> = round_trips.iter().map(|it| it.as_nanos() as f64).collect();
        measured.push((Figure::P50, median(&times)));
    }
    publishing.close(200, "".into()).await?;
    consuming.close(200, "".into()).await?;
    Ok(measured)
}

/// A queue that ends with its connection, and its consumer.
async fn consume(channel: &Channel) -> Result<(String, Consumer), Error> {
    let options = QueueDeclareOptions {
        exclusive: true,
        ..Default::default()
    };
    let queue = channel
        .queue_declare("".into(), options, FieldTable::default())
        .await?;
    channel.basic_qos(256, BasicQosOptions::default()).await?;
    let name = queue.name().clone();
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(name.clone(), "".into(), options, FieldTable::default());
    Ok((name.to_string(), consumer.await?))
}

/// Publishes a message, and waits for its confirm if the channel has confirms.
async fn publish(channel: &Channel, queue: &str) -> Result<(), Error> {
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let sent = channel.basic_publish("".into(), queue.into(), options, &BODY, properties);
    sent.await?.await.map(drop)
}

async fn next(consumer: &mut Consumer) -> Result<lapin::message::Delivery, Error> {
    let next = timeout(PATIENCE, consumer.next()).await;
    next.expect("nothing is lost").expect("the broker is there")
}

async fn receive(mut consumer: Consumer, messages: u64) -> Result<(), Error> {
    for _ in 0..messages {
        let delivery = next(&mut consumer).await?;
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}
