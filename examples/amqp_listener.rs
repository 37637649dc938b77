//! Programs in any language use the broker of this process, by AMQP 0-9-1. An example, not a server.
//!
//! `cargo run --features amqp --example amqp_listener -- --port 5672` serves clients until Ctrl-C.
//! They log in as `guest`, password `guest`. Without a port it serves a client of another protocol:
//!
//! ```text
//! listening on 127.0.0.1:40307
//! 127.0.0.1:51218 has connected
//! 127.0.0.1:51218: the peer does not speak AMQP 0-9-1
//! ```

use std::{
    env,
    error::Error,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread::{self, JoinHandle, Thread},
    time::Instant,
};

use leveret::{Broker, amqp};

type Connection = Mutex<amqp::ServerConnection>;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Hands over everything that comes from the peer.
fn read(mut socket: &TcpStream, connection: &Connection) -> io::Result<()> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut octets = vec![0; 64 << 10];
    loop {
        let count = socket.read(&mut octets)?;
        if count == 0 {
            return Ok(());
        }
        let mut rest = &octets[..count];
        while !rest.is_empty() {
            let mut locked = connection.lock().unwrap();
            rest = &rest[locked.receive(rest)..];
            let ready = locked.poll_ready(&mut Context::from_waker(&waker));
            drop(locked);
            if ready.is_pending() {
                thread::park();
            }
        }
    }
}

/// Sends the peer everything that is for it, until the connection ends.
fn write(mut socket: &TcpStream, connection: &Connection) -> io::Result<()> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut octets = Vec::new();
    loop {
        let mut locked = connection.lock().unwrap();
        locked.handle_timeout(Instant::now());
        let output = locked.poll_output(&mut Context::from_waker(&waker), &mut octets);
        let timeout = locked.poll_timeout();
        drop(locked);
        match (output, timeout) {
            (Poll::Ready(None), _) => return Ok(()),
            (Poll::Ready(Some(_)), _) => socket.write_all(&octets)?,
            (Poll::Pending, Some(end)) => thread::park_timeout(end - Instant::now()),
            (Poll::Pending, None) => thread::park(),
        }
        octets.clear();
    }
}

/// Serves a peer until it is gone, as an error of its socket tells. Each direction has a thread.
fn serve(socket: &TcpStream, peer: SocketAddr, connection: &Connection) {
    println!("{peer} has connected");
    thread::scope(|scope| {
        scope.spawn(|| {
            read(socket, connection).unwrap_or(());
            connection.lock().unwrap().handle_disconnect();
        });
        write(socket, connection).unwrap_or(());
        socket.shutdown(Shutdown::Both).unwrap_or(());
    });
    let locked = connection.lock().unwrap();
    println!("{peer}: {}", locked.close_reason().unwrap());
}

fn main() -> Result<(), Box<dyn Error>> {
    let port = env::args()
        .skip_while(|argument| argument != "--port")
        .nth(1);
    let port: Option<u16> = port.map(|port| port.parse()).transpose()?;
    let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or(0)))?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    let (broker, open) = (Broker::new(), Arc::new(Mutex::new(Vec::new())));
    let accepted = Arc::clone(&open);
    thread::spawn(move || {
        while let Ok((socket, peer)) = listener.accept() {
            let server = amqp::ServerConnection::new(&broker, amqp::ServerConfig::new());
            let connection = Arc::new(Connection::new(server));
            let served = Arc::clone(&connection);
            let thread = thread::spawn(move || serve(&socket, peer, &served));
            let mut open = accepted.lock().unwrap();
            open.retain(|(_, thread): &(_, JoinHandle<_>)| !thread.is_finished());
            open.push((connection, thread));
        }
    });
    let (stop, stopped) = mpsc::channel();
    ctrlc::set_handler(move || stop.send(()).unwrap_or(()))?;
    match port {
        Some(_) => stopped.recv()?,
        None => {
            let mut client = TcpStream::connect(address)?;
            client.write_all(b"GET / HTTP/1.1\r\n")?;
            let mut answer = String::new();
            client.read_to_string(&mut answer)?;
            assert_eq!(answer, "AMQP\0\0\x09\x01", "it is told what is spoken here");
        }
    }
    for (connection, thread) in open.lock().unwrap().drain(..) {
        connection.lock().unwrap().close("the listener ends");
        thread.join().unwrap();
    }
    Ok(())
}
