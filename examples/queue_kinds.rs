//! The kinds of queues of the classic vocabulary: alias, model, initiation and dead-letter queue.
//!
//! A print service takes jobs by an alias, so that its queue can be replaced while programs print.
//! Its worker starts when there is something to print: the initiation queue says so. The answers
//! come to a temporary queue, which a model queue describes. `cargo run --example queue_kinds`
//! prints
//!
//! ```text
//! jobs.v1 has 1 message: start a worker (First)
//! printed: letter, and the answer is at reply.*
//! the alias leads to jobs.v2 now
//! jobs.v2 has 1 message: start a worker (First)
//! printed: invoice, and the answer is at reply.*
//! nobody prints at 'jobs.v3': the dead-letter queue has 1 message
//! ```

use leveret::{
    AliasQueue, Broker, Consumer, Exchange, Message, ModelQueue, Queue, Result, Trigger,
    TriggerMessage,
};

fn main() -> Result {
    let broker = Broker::new();
    let dead = Queue::new("dead letters");
    let lost = broker.simple_queue::<String>(&dead)?;
    broker.vhost("/")?.set_dead_letter_queue(Some(&dead))?;
    let start = broker.consumer::<TriggerMessage>("start")?;
    for version in ["jobs.v1", "jobs.v2"] {
        broker.declare(&Queue::new(version).trigger("start", Trigger::First))?;
    }
    let alias = |version: &str| AliasQueue::of_queue("jobs", version);
    broker.declare(&alias("jobs.v1"))?;
    broker.declare(&ModelQueue::new("reply.model", Queue::new("")).pattern("reply.*"))?;

    print(&broker, &start, "letter")?;
    broker.repoint(&alias("jobs.v2"))?;
    println!("the alias leads to jobs.v2 now");
    print(&broker, &start, "invoice")?;

    broker.repoint(&alias("jobs.v3"))?;
    let by_name = broker.producer_builder::<String>(Exchange::existing(""));
    by_name
        .routing_key("jobs")
        .build()?
        .publish("poster".to_owned())?;
    let count = lost.len()?;
    println!("nobody prints at 'jobs.v3': the dead-letter queue has {count} message");
    assert_eq!(count, 1);
    Ok(())
}

/// Prints one text: publishes it, starts a worker for it, and takes the answer.
fn print(broker: &Broker, start: &Consumer<TriggerMessage>, text: &str) -> Result {
    let replies = broker.open_model_queue("reply.model")?;
    let answers = broker.simple_queue::<String>(&replies)?;
    let job = Message::new(text.to_owned()).reply_to(replies.name());
    broker.producer::<String>("jobs")?.publish_message(job)?;

    let message = start.recv()?;
    let TriggerMessage {
        queue,
        depth,
        trigger,
        ..
    } = message.payload().clone();
    message.ack()?;
    println!("{queue} has {depth} message: start a worker ({trigger:?})");
    let worker = broker.consumer::<String>(&*queue)?;
    let job = worker.recv()?;
    let answer_to = job.info().properties().reply_to.clone().unwrap_or_default();
    broker
        .producer::<String>(&*answer_to)?
        .publish(format!("printed: {}", *job))?;
    job.ack()?;

    let answer = answers.get()?;
    assert!(replies.name().starts_with("reply."));
    println!("{}, and the answer is at reply.*", *answer);
    answer.ack()?;
    Ok(())
}
