//! Programs in any language use the broker of this process, by AMQP 0-9-1: an example, no server.
//!
//! `cargo run --features amqp --example amqp_listener -- --port 5672` serves clients until Ctrl-C.
//! They log in as `guest`, password `guest`. Without a port its own client comes and goes:
//!
//! ```text
//! listening on 127.0.0.1:40307
//! 127.0.0.1:51218 has connected
//! 127.0.0.1:51218: the peer is gone
//! ```

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use futures_lite::future::{block_on, poll_fn};
use leveret::Broker;
use leveret::amqp::{ServerConfig, ServerConnection};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Hands over everything that comes from the peer.
fn read(socket: &TcpStream, connection: &Mutex<ServerConnection>) -> io::Result<()> {
    let mut socket = BufReader::with_capacity(64 << 10, socket);
    while !socket.fill_buf()?.is_empty() {
        block_on(poll_fn(|context| {
            connection.lock().unwrap().poll_ready(context)
        }));
        let taken = connection.lock().unwrap().receive(socket.buffer());
        socket.consume(taken);
    }
    Ok(())
}

/// Sends the peer everything that is for it, until the connection ends.
fn write(mut socket: &TcpStream, connection: &Mutex<ServerConnection>) -> io::Result<()> {
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
fn serve(socket: &TcpStream, peer: SocketAddr, connection: &Mutex<ServerConnection>) {
    // A peer that takes nothing for so long is gone.
    let _ = socket.set_write_timeout(Some(Duration::from_secs(30)));
    println!("{peer} has connected");
    thread::scope(|scope| {
        scope.spawn(|| {
            read(socket, connection).unwrap_or(());
            connection.lock().unwrap().handle_disconnect();
        });
        write(socket, connection).unwrap_or(());
        socket.shutdown(Shutdown::Both).unwrap_or(());
    });
    println!(
        "{peer}: {}",
        connection.lock().unwrap().close_reason().unwrap()
    );
}

fn main() -> io::Result<()> {
    let port = env::args().skip_while(|it| it != "--port").nth(1);
    let listener = TcpListener::bind(format!("127.0.0.1:{}", port.as_deref().unwrap_or("0")))?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    let (broker, open) = (Broker::new(), Arc::new(Mutex::new(Vec::new())));
    let accepted = Arc::clone(&open);
    thread::spawn(move || {
        while let Ok((socket, peer)) = listener.accept() {
            let config = ServerConfig::new().peer_address(peer.to_string());
            let server = ServerConnection::new(&broker, config);
            let connection = Arc::new(Mutex::new(server));
            let served = Arc::clone(&connection);
            let thread = thread::spawn(move || serve(&socket, peer, &served));
            let mut open = accepted.lock().unwrap();
            open.retain(|(_, thread): &(_, JoinHandle<_>)| !thread.is_finished());
            open.push((connection, thread));
        }
    });
    let (stop, stopped) = mpsc::channel();
    ctrlc::set_handler(move || stop.send(()).unwrap()).unwrap();
    if port.is_some() {
        stopped.recv().unwrap();
    } else {
        let client = TcpStream::connect(address)?;
        client.shutdown(Shutdown::Write)?;
        io::copy(&mut &client, &mut io::sink())?;
    }
    for (connection, thread) in open.lock().unwrap().drain(..) {
        connection.lock().unwrap().close("the listener ends");
        thread.join().unwrap();
    }
    Ok(())
}
