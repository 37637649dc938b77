//! NATS, a server: one client publishes and one subscribes, without acknowledgements.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{Client, ConnectOptions, Subscriber};
use futures::StreamExt;
use tokio::{runtime::Runtime, task, time::timeout};

use super::{
    Rival, Skipped,
    item::{Item, id_of},
    options::Options,
    own::p50,
    race::Tally,
};

/// The time limit that ends the run if a message is lost.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn rivals(options: &Options, skipped: &mut Skipped) -> Vec<Rival> {
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    let address = env::var("LEVERET_NATS").unwrap_or("127.0.0.1:4222".into());
    let connect = async || {
        let options = ConnectOptions::new()
            // The limit is higher than the number of messages, because NATS drops messages over the
            // limit.
            .subscription_capacity(1 << 20)
            .connection_timeout(Duration::from_secs(2));
        options.connect(&address).await
    };
    let clients = runtime.block_on(async { (connect().await, connect().await) });
    let (publisher, subscriber) = match clients {
        (Ok(publisher), Ok(subscriber)) => (publisher, subscriber),
        (Err(error), _) | (_, Err(error)) => {
            skipped.push(format!("nats: {address}: {error}"));
            return Vec::new();
        }
    };
    let messages = options.messages / 4;
    let calls = options.size(20, 500);
    let other = (Arc::clone(&runtime), publisher.clone(), subscriber.clone());
    vec![
        Rival::new("nats", "leveret-bytes", Some(3.0), move || {
            let time = runtime.block_on(stream(&publisher, &subscriber, messages));
            time.as_nanos() as f64 / messages as f64
        })
        .elsewhere(),
        Rival::new("nats-rpc", "leveret-rpc", Some(3.0), move || {
            let (runtime, caller, server) = &other;
            p50(runtime.block_on(call(caller, server, calls)))
        })
        .elsewhere(),
    ]
}

/// A subscription that the server has registered. A flush only says that the request was written,
/// so a message on the same connection must come back first.
async fn subscribed(client: &Client, subject: &str) -> Subscriber {
    let subject = subject.to_owned();
    let mut subscription = client.subscribe(subject.clone()).await.expect("connected");
    let probe = client.publish(subject, Vec::make(0).into());
    probe.await.expect("connected");
    let next = timeout(PATIENCE, subscription.next()).await;
    next.expect("the server answers").expect("connected");
    subscription
}

async fn stream(publisher: &Client, subscriber: &Client, messages: u64) -> Duration {
    let subject = publisher.new_inbox();
    let mut subscription = subscribed(subscriber, &subject).await;
    let began = Instant::now();
    let publisher = publisher.clone();
    let sending = task::spawn(async move {
        for id in 1..=messages {
            let body = Vec::make(id).into();
            publisher
                .publish(subject.clone(), body)
                .await
                .expect("connected");
        }
        publisher.flush().await.expect("connected");
    });
    let receiving = task::spawn(async move {
        let mut tally = Tally::default();
        while tally.messages < messages {
            let next = timeout(PATIENCE, subscription.next()).await;
            let message = next.expect("nothing is lost").expect("connected");
            tally.add(id_of(&message.payload));
        }
        tally
    });
    sending.await.expect("the publisher panicked");
    let got = receiving.await.expect("the subscriber panicked");
    let time = began.elapsed();
    assert_eq!(got, Tally::expected(messages, 1));
    time
}

async fn call(caller: &Client, server: &Client, calls: u64) -> Vec<Duration> {
    let subject = caller.new_inbox();
    let mut requests = subscribed(server, &subject).await;
    let server = server.clone();
    let serving = task::spawn(async move {
        for _ in 0..calls {
            let request = requests.next().await.expect("connected");
            let reply = request.reply.expect("a request");
            server
                .publish(reply, request.payload)
                .await
                .expect("connected");
        }
    });
    let mut times = Vec::new();
    for id in 0..calls {
        let began = Instant::now();
        let request = caller.request(subject.clone(), Vec::make(id).into());
        let reply = request.await.expect("the server runs");
        times.push(began.elapsed());
        assert_eq!(id_of(&reply.payload), id);
    }
    serving.await.expect("the server panicked");
    times
}
