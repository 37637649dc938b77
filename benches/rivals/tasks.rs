//! Rivals that run in tokio's tasks: its broadcast channel, and kameo's message queue, which also
//! routes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kameo::prelude::*;
use kameo_actors::{
    DeliveryStrategy,
    message_queue::{
        BasicConsume, BasicPublish, ExchangeDeclare, ExchangeType, MessageQueue, QueueBind,
        QueueDeclare,
    },
};
use tokio::{
    runtime::Runtime,
    sync::{broadcast, oneshot},
    task,
};

use super::{
    Rival,
    item::{Item, Msg},
    options::Options,
    race::Tally,
};

/// The capacity of a broadcast channel. A receiver that is further behind would lose messages.
const CAPACITY: usize = 1_024;

pub fn rivals(options: &Options) -> Vec<Rival> {
    let messages = options.messages;
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    let shared = Arc::clone(&runtime);
    vec![
        Rival::new("tokio-broadcast", "leveret", Some(1.0), move || {
            let time = runtime.block_on(cast(messages));
            time.as_nanos() as f64 / messages as f64
        }),
        Rival::new("kameo", "leveret", Some(1.0), move || {
            let messages = messages / 4;
            let time = shared.block_on(actors(messages));
            time.as_nanos() as f64 / messages as f64
        }),
    ]
}

/// One receiver. The sender waits when the channel is full, so no message is lost.
async fn cast(messages: u64) -> Duration {
    let (sender, mut receiver) = broadcast::channel::<Arc<Msg>>(CAPACITY);
    let began = Instant::now();
    let sending = task::spawn(async move {
        for id in 1..=messages {
            while sender.len() >= CAPACITY {
                task::yield_now().await;
            }
            sender.send(Arc::<Msg>::make(id)).expect("it is there");
        }
    });
    let receiving = task::spawn(async move {
        let mut tally = Tally::default();
        while tally.messages < messages {
            tally.add(receiver.recv().await.expect("nothing is lost").id());
        }
        tally
    });
    sending.await.expect("the sender panicked");
    let got = receiving.await.expect("the receiver panicked");
    let time = began.elapsed();
    assert_eq!(got, Tally::expected(messages, 1));
    time
}

/// Counts the messages that it gets, and reports when it has all of them.
#[derive(Actor)]
struct Counter {
    tally: Tally,
    messages: u64,
    done: Option<oneshot::Sender<Tally>>,
}

impl Message<Msg> for Counter {
    type Reply = ();

    async fn handle(&mut self, message: Msg, _: &mut Context<Self, Self::Reply>) {
        self.tally.add(message.id);
        if self.tally.messages == self.messages
            && let Some(done) = self.done.take()
        {
            done.send(self.tally).expect("the bench waits");
        }
    }
}

/// Through a direct exchange and a queue to an actor, without acknowledgements. A message waits for
/// a busy consumer only in the consumer's mailbox.
async fn actors(messages: u64) -> Duration {
    let (done, all) = oneshot::channel();
    let broker = MessageQueue::spawn(MessageQueue::new(DeliveryStrategy::Guaranteed));
    let counter = Counter::spawn(Counter {
        tally: Tally::default(),
        messages,
        done: Some(done),
    });
    let name = || String::from("floor");
    let declare = ExchangeDeclare {
        exchange: name(),
        kind: ExchangeType::Direct,
        auto_delete: false,
    };
    broker.ask(declare).await.expect("a new exchange");
    let declare = QueueDeclare {
        queue: name(),
        auto_delete: false,
    };
    broker.ask(declare).await.expect("a new queue");
    let bind = QueueBind {
        queue: name(),
        exchange: name(),
        routing_key: name(),
        arguments: Default::default(),
    };
    broker.ask(bind).await.expect("both are there");
    let consume = BasicConsume {
        queue: name(),
        recipient: counter.recipient::<Msg>(),
        tags: Default::default(),
    };
    broker.ask(consume).await.expect("the queue is there");
    let began = Instant::now();
    let sending = task::spawn(async move {
        for id in 1..=messages {
            let publish = BasicPublish {
                exchange: name(),
                routing_key: name(),
                message: Msg::make(id),
                properties: Default::default(),
            };
            broker.tell(publish).await.expect("the broker runs");
        }
        broker
    });
    let got = all.await.expect("the counter runs");
    let time = began.elapsed();
    assert_eq!(got, Tally::expected(messages, 1));
    drop(sending.await.expect("the publisher panicked"));
    time
}
