//! A broker of this process that listens for clients.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Instant,
};

use futures_lite::future::{block_on, poll_fn};
use leveret::{
    Broker,
    amqp::{ServerConfig, ServerConnection},
};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Lets clients come to `broker` for as long as the process lives. Returns the URL for them.
pub fn listen(broker: &Broker) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let broker = broker.clone();
    thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            let server = ServerConnection::new(&broker, ServerConfig::new());
            thread::spawn(move || serve(&socket, &Mutex::new(server)));
        }
    });
    Ok(format!("amqp://guest:guest@127.0.0.1:{port}//"))
}

fn serve(socket: &TcpStream, connection: &Mutex<ServerConnection>) {
    thread::scope(|scope| {
        scope.spawn(|| {
            read(socket, connection).unwrap_or(());
            connection.lock().unwrap().handle_disconnect();
        });
        write(socket, connection).unwrap_or(());
        socket.shutdown(Shutdown::Both).unwrap_or(());
    });
}

fn read(mut socket: &TcpStream, connection: &Mutex<ServerConnection>) -> io::Result<()> {
    let mut octets = [0; 8 << 10];
    loop {
        let count = socket.read(&mut octets)?;
        let mut rest = &octets[..count];
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            block_on(poll_fn(|context| {
                connection.lock().unwrap().poll_ready(context)
            }));
            let taken = connection.lock().unwrap().receive(rest);
            rest = &rest[taken..];
        }
    }
}

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
