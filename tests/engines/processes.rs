//! Several processes on one RabbitMQ.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use leveret::{Broker, Queue};

use crate::engine::{LONG, rabbitmq, rabbitmq_url};

/// The queue that this process is to consume from, if it is a second process.
const QUEUE: &str = "LEVERET_SECOND_PROCESS";

/// The same test in another process. It prints a line for each message.
fn another_process(queue: &str) -> Child {
    let name = concat!(module_path!(), "::processes_share_a_queue");
    let (_, name) = name.split_once("::").unwrap();
    Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(QUEUE, queue)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Receives messages and settles none, until the process is killed.
fn consume(url: &str, queue: &str) {
    let broker = Broker::open(url).unwrap();
    let consumer = broker.consumer_builder::<u32>(Queue::existing(queue));
    let consumer = consumer.prefetch(10).build().unwrap();
    println!("\nready");
    let mut held = Vec::new();
    while let Ok(delivery) = consumer.recv() {
        println!("\ngot {}", *delivery);
        held.push(delivery);
    }
}

#[test]
fn processes_share_a_queue() {
    let Some(url) = rabbitmq_url() else { return };
    if let Ok(queue) = env::var(QUEUE) {
        return consume(&url, &queue);
    }
    let engine = rabbitmq().unwrap();
    let queue = engine.queue("q");
    let producer = engine.broker.producer::<u32>(&queue).unwrap();
    let builder = engine.broker.consumer_builder::<u32>(&queue);
    let ours = builder.prefetch(10).build().unwrap();
    let mut other = another_process(queue.name());
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
    let mut line = |beginning: &str| {
        let mut found = lines.by_ref().map(Result::unwrap);
        found.find(|line| line.starts_with(beginning)).unwrap()
    };
    line("ready");
    for number in 0..20 {
        producer.publish(number).unwrap();
    }
    // RabbitMQ deals them out in turn, until both have their prefetch.
    let held: Vec<_> = (0..10).map(|_| ours.recv_timeout(LONG).unwrap()).collect();
    for _ in 0..10 {
        line("got");
    }
    other.kill().unwrap();
    other.wait().unwrap();
    for delivery in held {
        assert!(!delivery.info().redelivered());
        delivery.ack().unwrap();
    }
    for _ in 0..10 {
        let delivery = ours.recv_timeout(LONG).unwrap();
        assert!(delivery.info().redelivered(), "{}", *delivery);
        delivery.ack().unwrap();
    }
    drop(ours);
    assert_eq!(engine.broker.purge(&queue).unwrap(), 0);
}
