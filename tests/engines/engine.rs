//! The engines, each with names of its own for a test.

use std::{
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use leveret::{Broker, Exchange, Queue};

/// Longer than any wait that succeeds.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A wait for what does not come.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// An engine for one test.
///
/// # If dropped
/// The queues and exchanges of the test are deleted.
pub(crate) struct Engine {
    pub(crate) broker: Broker,
    /// Deletes what is left, also if a test has put another broker in the place of the first.
    first: Broker,
    prefix: String,
    is_durable: bool,
    queues: Mutex<Vec<String>>,
    exchanges: Mutex<Vec<String>>,
    folder: Option<PathBuf>,
}

impl Engine {
    fn new(broker: Broker) -> Engine {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let (nanos, number) = (now.as_nanos(), NEXT.fetch_add(1, Relaxed));
        Engine {
            first: broker.clone(),
            broker,
            prefix: format!("engines-{nanos:x}-{number}"),
            is_durable: false,
            queues: Mutex::default(),
            exchanges: Mutex::default(),
            folder: None,
        }
    }

    /// A queue of the test.
    pub(crate) fn queue(&self, name: &str) -> Queue {
        let name = format!("{}.{name}", self.prefix);
        self.queues.lock().unwrap().push(name.clone());
        let queue = Queue::new(name);
        match self.is_durable {
            true => queue.durable(),
            false => queue,
        }
    }

    /// The name of an exchange of the test.
    pub(crate) fn exchange(&self, name: &str) -> String {
        let name = format!("{}.{name}", self.prefix);
        self.exchanges.lock().unwrap().push(name.clone());
        name
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Many are gone already.
        for name in self.queues.get_mut().unwrap().drain(..) {
            let _ = self.first.delete(&Queue::existing(name));
        }
        for name in self.exchanges.get_mut().unwrap().drain(..) {
            let _ = self.first.delete(&Exchange::existing(name));
        }
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

pub(crate) fn memory() -> Engine {
    Engine::new(Broker::open("leveret://memory").unwrap())
}

#[cfg(feature = "durable")]
pub(crate) fn durable() -> Engine {
    let mut engine = Engine::new(Broker::new());
    let folder = std::env::temp_dir().join(&engine.prefix);
    engine.broker = Broker::builder().data_dir(&folder).build().unwrap();
    engine.is_durable = true;
    engine.folder = Some(folder);
    engine
}

/// The URL of the RabbitMQ, if one answers.
#[cfg(feature = "rabbitmq")]
pub(crate) fn rabbitmq_url() -> Option<String> {
    use std::net::{SocketAddr, TcpStream};
    if let Ok(url) = std::env::var("LEVERET_RABBITMQ") {
        return Some(url);
    }
    let address = SocketAddr::from(([127, 0, 0, 1], 5672));
    match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
        Ok(_) => Some(format!("amqp://guest:guest@{address}")),
        Err(error) => {
            println!("SKIPPED: no RabbitMQ answers at {address}: {error}");
            None
        }
    }
}

#[cfg(feature = "rabbitmq")]
pub(crate) fn rabbitmq() -> Option<Engine> {
    let url = rabbitmq_url()?;
    Some(Engine::new(Broker::open(&url).unwrap()))
}
