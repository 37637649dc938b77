//! A RabbitMQ behind TLS, whose certificate is one of the test's own.
//!
//! The program `openssl` makes the certificates, and takes the connections in front of the
//! RabbitMQ. Without it, or without a RabbitMQ, the test says so.

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use leveret::{Broker, Error};

use crate::engine::{LONG, rabbitmq_url};

/// Makes a key and a certificate for `localhost`, and the root certificate `root.pem` for it.
const COMMANDS: [&str; 3] = [
    "req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 2 -subj /CN=leveret",
    "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost",
    "x509 -req -in request.pem -CA root.pem -CAkey root.key -CAcreateserial -days 2 \
     -extfile names -out certificate.pem",
];

/// A TLS server for one connection after the other.
struct Encrypted {
    folder: PathBuf,
    port: u16,
    server: Child,
}

impl Encrypted {
    /// `None` if this machine has no `openssl`.
    fn in_front_of(server: String) -> Option<Encrypted> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let folder = env::temp_dir().join(format!("leveret-tls-{:x}", now.as_nanos()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("names"), "subjectAltName=DNS:localhost").unwrap();
        for command in COMMANDS {
            let command = openssl(&folder).args(command.split(' ')).output();
            let Ok(output) = command else {
                println!("SKIPPED: there is no openssl");
                let _ = fs::remove_dir_all(&folder);
                return None;
            };
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{told}");
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut child = openssl(&folder)
            .args(["s_server", "-quiet", "-cert", "certificate.pem"])
            .args(["-key", "key.pem", "-accept", &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (from_client, to_client) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        thread::spawn(move || forward(from_client, to_client, &server));
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < LONG);
            thread::yield_now();
        }
        Some(Encrypted {
            folder,
            port,
            server: child,
        })
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn openssl(folder: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(folder);
    command
}

/// Hands octets on to a server, which is connected when the first ones come.
fn forward(mut from: impl Read, mut to: impl Write + Send + 'static, server: &str) {
    let mut first = [0; 8];
    if from.read_exact(&mut first).is_err() {
        return;
    }
    let mut server = TcpStream::connect(server).unwrap();
    let mut answers = server.try_clone().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = answers.read(&mut buffer) {
            if to
                .write_all(&buffer[..count])
                .and_then(|()| to.flush())
                .is_err()
            {
                break;
            }
        }
    });
    let _ = server.write_all(&first);
    let _ = std::io::copy(&mut from, &mut server);
}

#[test]
fn a_server_with_a_certificate_of_its_own_needs_a_root_certificate() {
    let Some(url) = rabbitmq_url() else { return };
    let server = url.rsplit_once('@').unwrap().1.to_owned();
    let Some(encrypted) = Encrypted::in_front_of(server) else {
        return;
    };
    let url = format!("amqps://guest:guest@localhost:{}", encrypted.port);
    match Broker::open(&url).unwrap_err() {
        Error::ConnectFailed { fault, .. } => assert!(fault.contains("certificate"), "{fault}"),
        other => panic!("{other}"),
    }
    let root = fs::read_to_string(encrypted.folder.join("root.pem")).unwrap();
    // The name of the host is checked as well.
    let other = url.replace("localhost", "127.0.0.1");
    let refused = Broker::rabbitmq(&other).root_certificate(&root).open();
    assert!(matches!(refused, Err(Error::ConnectFailed { .. })));
    let broker = Broker::rabbitmq(&url)
        .root_certificate(&root)
        .open()
        .unwrap();
    let queue = broker.declare(&leveret::Queue::exclusive()).unwrap();
    let producer = broker.producer::<String>(&queue).unwrap();
    producer.publish("hello".to_owned()).unwrap();
    let consumer = broker.consumer::<String>(&queue).unwrap();
    assert_eq!(*consumer.recv_timeout(LONG).unwrap(), "hello");
}
