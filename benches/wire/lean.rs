//! The rows of the lean client.

use std::{thread, time::Instant};

use super::{
    Broker, Figure, Measured, Options, Row,
    client::{ACK, Client, DELIVER, PATIENCE, message},
};

/// The messages of one write.
const TOGETHER: u64 = 100;

/// How many messages of a publisher may wait for their confirms.
const IN_FLIGHT: u64 = 1_000;

pub fn rows() -> Vec<Row> {
    // A tenth of RabbitMQ's processor time.
    const CHEAP: (Figure, f64) = (Figure::Processor, 0.1);
    vec![
        Row {
            name: "lean",
            goals: &[(Figure::Rate, 8.0), CHEAP],
            run: |broker, options| stream(broker, options, 64, false),
        },
        Row {
            name: "lean-confirms",
            goals: &[(Figure::Rate, 8.0), CHEAP],
            run: |broker, options| stream(broker, options, 64, true),
        },
        Row {
            name: "lean-drain",
            goals: &[(Figure::Rate, 20.0)],
            run: drain,
        },
        Row {
            name: "lean-1k",
            goals: &[(Figure::Rate, 6.0)],
            run: |broker, options| stream(broker, options, 1_024, false),
        },
    ]
}

/// The figures of a run that began at this time, when the broker had used `before`.
fn measured(broker: &Broker, messages: u64, began: Instant, before: u64) -> Measured {
    let seconds = began.elapsed().as_secs_f64();
    let processor = broker.processor_time() - before;
    vec![
        (Figure::Rate, messages as f64 / seconds),
        (Figure::Processor, processor as f64 / messages as f64),
    ]
}

/// One publisher and one consumer, each with a connection.
fn stream(broker: &Broker, options: &Options, body: usize, confirms: bool) -> Measured {
    let messages = options.messages.next_multiple_of(TOGETHER);
    let mut publisher = Client::connect(broker.address);
    let mut consumer = Client::connect(broker.address);
    consumer.declare();
    consumer.consume();
    if confirms {
        publisher.confirm_select();
    }
    let batch = message(body).repeat(TOGETHER as usize);
    let (before, began) = (broker.processor_time(), Instant::now());
    let publishing = thread::spawn(move || {
        let mut confirmed = 0;
        for sent in (TOGETHER..=messages).step_by(TOGETHER as usize) {
            publisher.write(&batch);
            let needed = match sent {
                _ if !confirms => 0,
                sent if sent == messages => messages,
                sent => sent.saturating_sub(IN_FLIGHT - TOGETHER),
            };
            while confirmed < needed {
                match publisher.next() {
                    // They come in order here, one by one or many at once.
                    Some(method) if method.id == ACK => confirmed = method.tag(),
                    Some(method) => panic!("{:?}", method.id),
                    None => publisher.read(),
                }
            }
        }
        publisher
    });
    take(&mut consumer, messages);
    let measured = measured(broker, messages, began, before);
    publishing.join().expect("the publisher ends").close();
    consumer.close();
    measured
}

/// A queue that was filled before.
fn drain(broker: &Broker, options: &Options) -> Measured {
    let messages = options.messages.next_multiple_of(TOGETHER);
    let began_filling = Instant::now();
    let mut client = Client::connect(broker.address);
    client.declare();
    let batch = message(64).repeat(TOGETHER as usize);
    (0..messages / TOGETHER).for_each(|_| client.write(&batch));
    // RabbitMQ answers before it has put the last ones into the queue.
    let patience = began_filling + PATIENCE;
    while u64::from(client.ready()) < messages {
        assert!(Instant::now() < patience, "a message is lost");
    }
    let (before, began) = (broker.processor_time(), Instant::now());
    client.consume();
    take(&mut client, messages);
    let measured = measured(broker, messages, began, before);
    client.close();
    measured
}

/// Takes and acknowledges messages, until the broker has seen the last acknowledgement.
fn take(consumer: &mut Client, messages: u64) {
    let mut last = 0;
    while last < messages {
        while let Some(method) = consumer.next() {
            assert_eq!(method.id, DELIVER);
            let tag = method.tag();
            assert_eq!(tag, last + 1);
            last = tag;
            consumer.acknowledge(tag);
        }
        consumer.flush();
        if last < messages {
            consumer.read();
        }
    }
    assert_eq!(consumer.ready(), 0);
}
