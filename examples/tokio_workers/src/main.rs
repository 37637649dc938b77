//! Workers on tokio: each worker is one task with many handlers, and a shutdown lets them finish.
//!
//! One worker fetches pages, and the other one adds up their lengths.
//! `cargo run --manifest-path examples/tokio_workers/Cargo.toml` prints
//!
//! ```text
//! fetch: 30 done, 2 failed
//! count: 30 done, 0 failed
//! 420 characters in 30 pages
//! nothing is left
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use leveret::{Broker, Result};
use tokio::sync::{Barrier, mpsc};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result {
    let broker = Broker::open(&std::env::var("LEVERET_URL").unwrap_or_default())?;
    let server = Arc::new(Server(Barrier::new(10)));
    let pages = broker.producer::<String>("count")?;
    let (ended, mut all_ended) = mpsc::channel(32);
    let missed = ended.clone();
    let fetcher = broker.worker::<String>("fetch").concurrency(10);
    let fetcher = fetcher.handler_async(move |address, context| {
        let (server, missed) = (Arc::clone(&server), missed.clone());
        // While the broker shuts down, only the holder of a message may publish.
        let pages = context.producer(&pages);
        async move {
            match server.fetch(&address).await {
                Ok(page) => pages.publish_async(page).await?,
                Err(error) => {
                    missed.send(()).await?;
                    return Err(error.into());
                }
            };
            Ok::<(), BoxError>(())
        }
    });
    let fetcher = tokio::spawn(fetcher.run_async());

    let characters = Arc::new(AtomicUsize::new(0));
    let sum = Arc::clone(&characters);
    let counter = broker.worker::<String>("count");
    let counter = counter.handler_async(move |page, _| {
        sum.fetch_add(page.len(), Relaxed);
        let counted = ended.clone();
        async move { counted.send(()).await }
    });
    let counter = tokio::spawn(counter.run_async());

    let client = broker.producer::<String>("fetch")?;
    for number in 0..30 {
        client.publish_async(format!("/pages/{number:02}")).await?;
    }
    for number in [7, 8] {
        client.publish_async(format!("/missing/{number}")).await?;
    }

    // Here the shutdown alone would wait for all. A RabbitMQ keeps what has not been delivered.
    for _ in 0..32 {
        all_ended.recv().await;
    }
    // The workers finish their messages, at most in ten seconds. Then their tasks end.
    let report = broker.shutdown_async(Duration::from_secs(10)).await?;
    for worker in [fetcher, counter] {
        let report = worker.await.expect("a worker does not panic")?;
        let (done, failed) = (report.counts.acked, report.counts.failed);
        println!("{}: {done} done, {failed} failed", report.worker);
        assert_eq!(done, 30);
    }
    let characters = characters.load(Relaxed);
    println!("{characters} characters in 30 pages");
    assert_eq!(characters, 30 * "page /pages/00".len());
    assert!(!report.timed_out && report.queues.is_empty(), "{report:?}");
    println!("nothing is left");
    Ok(())
}

/// A server that answers ten requests at a time. It waits until it has as many.
struct Server(Barrier);

impl Server {
    async fn fetch(&self, address: &str) -> Result<String, String> {
        if address.starts_with("/missing/") {
            return Err("there is no page".to_owned());
        }
        self.0.wait().await;
        Ok(format!("page {address}"))
    }
}
