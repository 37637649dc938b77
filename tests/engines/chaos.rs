//! A RabbitMQ node of the test's own, which is stopped, killed and paused under load.
//!
//! `LEVERET_CHAOS` is the time in seconds; the default is a short run. It needs the programs of
//! RabbitMQ, and says so without them.

use std::{
    collections::BTreeMap,
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use leveret::{Backoff, Broker, Queue, RecvTimeoutError};

/// A node with its own port and folder.
struct Node {
    name: String,
    port: u16,
    folder: PathBuf,
    server: Option<Child>,
}

impl Node {
    /// `None` if this machine has no RabbitMQ.
    fn start() -> Option<Node> {
        let program = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
        if !program.exists() {
            println!("SKIPPED: there is no {}", program.display());
            return None;
        }
        let free = || {
            TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
        };
        let port = free().port();
        let name = format!("leveret-chaos-{port}@localhost");
        let folder = env::temp_dir().join(&name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("enabled_plugins"), "[].").unwrap();
        let mut node = Node {
            name,
            port,
            folder,
            server: None,
        };
        node.run();
        Some(node)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(Path::new("/usr/lib/rabbitmq/bin").join(program));
        let in_folder = |name: &str| self.folder.join(name);
        command
            .env("HOME", &self.folder)
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_DIST_PORT", (self.port ^ 1).to_string())
            .env("RABBITMQ_MNESIA_BASE", in_folder("data"))
            .env("RABBITMQ_LOG_BASE", in_folder("log"))
            .env("RABBITMQ_PID_FILE", in_folder("pid"))
            .env(
                "RABBITMQ_ENABLED_PLUGINS_FILE",
                in_folder("enabled_plugins"),
            )
            .env("RABBITMQ_CONFIG_FILE", in_folder("none"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Starts the server, and waits until it takes connections.
    fn run(&mut self) {
        self.server = Some(self.command("rabbitmq-server").spawn().unwrap());
        let begin = Instant::now();
        while Broker::open(&self.url()).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(120), "no start");
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn ctl(&self, arguments: &[&str]) {
        let status = self.command("rabbitmqctl").args(arguments).status();
        assert!(status.unwrap().success(), "{arguments:?}");
    }

    fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.port)
    }

    /// The process of the virtual machine, not that of a script around it.
    fn pid(&self) -> String {
        fs::read_to_string(self.folder.join("pid"))
            .unwrap()
            .trim()
            .to_owned()
    }

    fn signal(&self, signal: &str) {
        let arguments = [signal, &self.pid()];
        assert!(
            Command::new("kill")
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    }

    fn kill(&mut self) {
        self.signal("-KILL");
        self.server.take().unwrap().wait().unwrap();
        self.run();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = Command::new("kill").args(["-KILL", &self.pid()]).status();
            let _ = server.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
#[ignore = "it starts a server"]
fn no_confirmed_message_is_lost_whatever_happens_to_the_server() {
    let Some(mut node) = Node::start() else {
        return;
    };
    let seconds = env::var("LEVERET_CHAOS")
        .ok()
        .and_then(|text| text.parse().ok());
    let limit = Duration::from_secs(seconds.unwrap_or(1));
    let backoff = Backoff::new(Duration::from_millis(50)).max_delay(Duration::from_secs(1));
    let broker = Broker::rabbitmq(&node.url())
        .reconnect(backoff)
        .connect_timeout(Duration::from_secs(2))
        .heartbeat(Duration::from_secs(2))
        .open()
        .unwrap();
    let queue = Queue::new("ledger").durable();
    let producer = broker.producer_builder::<u64>(&queue);
    let producer = producer.properties(leveret::Properties::new().persistent());
    let producer = producer.build().unwrap();
    let consumer = broker.consumer::<u64>(&queue).unwrap();
    let doomed = Queue::new("doomed");
    let is_over = AtomicBool::new(false);
    let (confirmed, received) = thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let mut confirmed = 0;
            while !is_over.load(SeqCst) {
                for result in producer.publish_batch(confirmed..confirmed + 20) {
                    assert_eq!(result.unwrap().routed, 1);
                }
                confirmed += 20;
                thread::sleep(Duration::from_millis(2));
            }
            confirmed
        });
        let receiving = scope.spawn(|| {
            let mut received: BTreeMap<u64, Vec<bool>> = BTreeMap::new();
            loop {
                match consumer.recv_timeout(Duration::from_secs(5)) {
                    Ok(delivery) => {
                        let is_again = delivery.info().redelivered();
                        received.entry(*delivery).or_default().push(is_again);
                        // A lost acknowledgement is no loss.
                        let _ = delivery.ack();
                    }
                    Err(RecvTimeoutError::Timeout) if is_over.load(SeqCst) => break received,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let begin = Instant::now();
        let mut rounds = 0;
        while rounds == 0 || begin.elapsed() < limit {
            node.ctl(&["close_all_connections", "chaos"]);
            let other = broker.consumer::<u64>(&doomed).unwrap();
            node.ctl(&["delete_queue", "doomed"]);
            assert!(matches!(
                other.recv_timeout(Duration::from_secs(20)),
                Err(RecvTimeoutError::Cancelled(_))
            ));
            node.signal("-STOP");
            thread::sleep(Duration::from_secs(6)); // longer than two heartbeats
            node.signal("-CONT");
            node.ctl(&["set_vm_memory_high_watermark", "0.00000001"]);
            thread::sleep(Duration::from_millis(500));
            node.ctl(&["set_vm_memory_high_watermark", "0.4"]);
            node.ctl(&["stop_app"]);
            node.ctl(&["start_app"]);
            node.kill();
            rounds += 1;
        }
        is_over.store(true, SeqCst);
        (publishing.join().unwrap(), receiving.join().unwrap())
    });
    let lost: Vec<u64> = (0..confirmed)
        .filter(|id| !received.contains_key(id))
        .collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let again = received.values().filter(|times| times.len() > 1).count();
    // A duplicate is redelivered, or it was sent again. The first delivery of each copy is neither.
    println!("{confirmed} confirmed, {again} received more than once");
}
