//! A test kit for programs that use leveret: a broker on a manual clock, an exact signal that all
//! work is done, captured publishes, faults, and tasks on one thread.
//!
//! Needs the feature `testing`. Enable it for tests only:
//!
//! ```toml
//! [dev-dependencies]
//! leveret = { version = "0.1", features = ["testing"] }
//! ```
//!
//! # A complete test
//!
//! The program under test takes orders, and charges a card for each of them. A charge that fails is
//! repeated after a minute.
//!
//! ```
//! use leveret::worker::{Context, Job, Settle, Worker};
//! use leveret::{Broker, Error, Result, testing::{Fault, TestBroker}};
//! use std::time::Duration;
//!
//! // The program. It knows nothing of the test.
//! async fn charge(order: Job<u32>, context: Context<'_>) -> Result<Settle> {
//!     let receipts = context.producer_to::<String>("receipts")?;
//!     let charged = receipts.publish_async(format!("charged {}", *order)).await;
//!     Ok(match charged {
//!         Ok(_) => Settle::Ack,
//!         Err(_) => Settle::Requeue(Duration::from_secs(60)),
//!     })
//! }
//!
//! fn worker(broker: &Broker) -> Worker<u32> {
//!     broker.worker("orders").concurrency(4).handler_async(charge)
//! }
//!
//! // The test.
//! let test = TestBroker::new();
//! test.spawn(worker(&test).run_async());
//! test.inject(Fault::fail(Error::Timeout).to_queue("receipts").nth(1));
//!
//! test.run_until_settled().unwrap(); // the worker waits for orders
//! test.producer::<u32>("orders")?.publish(7)?;
//! test.run_until_settled().unwrap();
//! test.published::<String>("", "receipts").assert_count(0);
//!
//! test.run_for(Duration::from_secs(60));
//! test.published::<String>("", "receipts")
//!     .assert_count(1)
//!     .assert_any(|receipt| **receipt == "charged 7");
//! # Ok::<(), leveret::Error>(())
//! ```
//!
//! # Threads or tasks
//!
//! A program of tasks runs on the thread of the test, by [`TestBroker::spawn`] and
//! [`TestBroker::run_until_settled`]. Every run then has the same order. [`TestBroker::seed`]
//! chooses another order: run the test with several seeds.
//!
//! A program with threads, or with a runtime of its own, runs as it does elsewhere. The test waits
//! for it by [`TestBroker::wait_settled`], without polling.
//!
//! # When is a broker settled?
//!
//! [`TestBroker::settled`] is `true` if all of this holds at one moment:
//!
//! - No queue with a consumer has a ready message.
//! - No delivery is unsettled.
//! - No publish is under way, and no message is on its way between queues: a dead letter, or a
//!   message whose delay is over.
//! - No handler runs, as far as the broker knows: a [`Busy`] guard is held for each of them.
//!
//! Delayed messages do not count until they are due. Messages in queues without a consumer do not
//! count.
//!
//! A handler that settles its message first and publishes afterwards leaves a moment in which
//! nothing is under way. Let it publish first, or hold a [`Busy`] guard.

mod executor;
mod fault;
mod not_settled;
mod publish_record;
mod published_messages;
mod random;
mod recorder;
mod report;
mod test_broker;

pub use self::{
    executor::Task,
    fault::{Fault, InjectedFault},
    not_settled::{BusyQueue, NotSettled},
    publish_record::PublishRecord,
    published_messages::{PublishedMessage, PublishedMessages},
    test_broker::{Busy, TestBroker},
};
